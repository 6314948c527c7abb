"""Networks to the bytes of TFLite files, and what those bytes really hold."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from garmentlite.edge import native_log
from garmentlite.edge.contents import Contents, read_contents
from garmentlite.edge.errors import ModelError

# Of input and output of an int8 file, by name.
IO_TYPES = {"int8": tf.int8, "uint8": tf.uint8, "float32": tf.float32}


def to_float32(model: Any) -> bytes:
    """A network as a float32 TFLite model with a static batch of 1.

    Args:
        model: A Keras 3 or Keras 2 model from (N, H, W, C) to logits.
    """
    return convert_quietly(converter_for(model))


def to_float16(model: Any) -> bytes:
    """The network with its weights in half precision: half the bytes, computed with as float32."""
    converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return convert_quietly(converter)


def to_int8_weights(model: Any) -> bytes:
    """The network with int8 weights and float activations, whose range is found image by image."""
    converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return convert_quietly(converter)


def to_int16x8(model: Any, x_calibration: np.ndarray, *, allow_float: bool = False) -> bytes:
    """The network with int16 activations, inputs and outputs, and int8 weights.

    Args:
        model: A Keras 3 or Keras 2 model from (N, H, W, C) to logits.
        x_calibration: float32 images, shape (N, H, W, C), in [0, 1], that show the activation ranges.
        allow_float: Whether operators without such a kernel may stay float.

    Raises:
        ModelError: If the bytes written are not what was asked for; see `require_integers`.
    """
    converter = converter_for(model)
    _calibrate(converter, x_calibration)
    _set_kernels(
        converter,
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        allow_float=allow_float,
    )
    converter.inference_input_type = converter.inference_output_type = tf.int16
    flatbuffer = convert_quietly(converter)
    require_integers(flatbuffer, "int16", allow_float=allow_float)
    return flatbuffer


def to_int8(
    model: Any,
    x_calibration: np.ndarray | None = None,
    *,
    io: str = "int8",
    allow_float: bool = False,
) -> bytes:
    """A network as an int8 TFLite model with a static batch of 1.

    Args:
        model: A model from (N, H, W, C) to logits: quantization-aware (Keras 2), or plain (Keras 2 or 3)
            with `x_calibration`.
        x_calibration: float32 images, shape (N, H, W, C), in [0, 1], that show the activation ranges; None
            where the network carries its ranges itself.
        io: Type of input and output, one of `IO_TYPES`; other than int8 costs an operator at each border.
        allow_float: Whether operators without an int8 kernel may stay float.

    Raises:
        ModelError: If the bytes written are not what was asked for; see `require_integers`.
    """
    converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = IO_TYPES[io]
    if x_calibration is not None:
        _calibrate(converter, x_calibration)
        _set_kernels(converter, tf.lite.OpsSet.TFLITE_BUILTINS_INT8, allow_float=allow_float)
    flatbuffer = convert_quietly(converter)
    require_integers(flatbuffer, io, allow_float=allow_float)
    return flatbuffer


def _calibrate(converter: tf.lite.TFLiteConverter, x_calibration: np.ndarray) -> None:
    def representative_dataset() -> Iterator[list[np.ndarray]]:
        for image in x_calibration:
            yield [image[np.newaxis]]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_dataset


def _set_kernels(
    converter: tf.lite.TFLiteConverter, kernels: tf.lite.OpsSet, *, allow_float: bool
) -> None:
    floats = [tf.lite.OpsSet.TFLITE_BUILTINS] if allow_float else []
    converter.target_spec.supported_ops = [kernels, *floats]


def converter_for(model: Any) -> tf.lite.TFLiteConverter:
    """A converter of a model in inference mode with a static batch of 1, nothing else set."""
    signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    function = tf.function(lambda x: model(x, training=False), jit_compile=False)
    concrete = function.get_concrete_function(signature)
    # The converter freezes the variables it is shown. Of a Keras 3 model it finds none by itself, and would
    # write a file that reads variables nobody ever sets.
    owner = tf.Module()
    owner.variables_to_freeze = list(concrete.variables)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], owner)


def convert_quietly(converter: tf.lite.TFLiteConverter) -> bytes:
    """Runs a converter without its chatter.

    Raises:
        ModelError: If it has no operator or no kernel for something in the network.
    """
    with native_log.held_back(), warnings.catch_warnings():
        # Said of every quantization-aware model, whose ranges are in the graph: harmless.
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        try:
            return converter.convert()
        except (ConverterError, RuntimeError, ValueError) as error:
            # The message is a page of the compiler's; the operator it names is what helps.
            named = re.search(r"'(?:tf|tfl)?\.?(\w+)' op|for op: '(\w+)'", str(error))
            reason = (
                f"it has none for {named[1] or named[2]}"
                if named
                else " ".join(str(error).split())[:200]
            )
            raise ModelError(
                f"the converter finds no operator of this format for a part of the network ({reason}); "
                "choose another format such as --float32, or replace the layer"
            ) from error


def require_integers(flatbuffer: bytes, io: str, *, allow_float: bool = False) -> Contents:
    """Makes sure that a model computes with integers, by its bytes and not by the converter's settings.

    Args:
        flatbuffer: The model.
        io: Type of input and output that was asked for.
        allow_float: Whether some operators may compute with real numbers all the same.

    Raises:
        ModelError: If input or output is of another type, the batch is not a static 1, or an operator
            computes with real numbers.
    """
    contents = read_contents(flatbuffer)
    if (contents.input_type, contents.output_type) != (io, io):
        raise ModelError(
            f"the converted file takes {contents.input_type} and gives {contents.output_type}, "
            f"expected {io} and {io}"
        )
    if contents.input_shape[0] != 1 or -1 in contents.input_shape:
        raise ModelError(f"the converted file has input {contents.input_shape}, expected batch 1")
    # QUANTIZE and DEQUANTIZE compute nothing: they stand at a float border, or around what does.
    floats = [
        step.name
        for step in contents.steps
        if step.touches_float and step.name not in ("QUANTIZE", "DEQUANTIZE")
    ]
    if floats and not allow_float:
        raise ModelError(
            f"the converted file computes with real numbers in {', '.join(dict.fromkeys(floats))}, for "
            "which there is no integer kernel; --allow-float accepts it (slower on the device), or "
            "replace the layer"
        )
    return contents
