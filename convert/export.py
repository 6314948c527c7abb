"""Converts networks to the bytes of TFLite files, and checks what these bytes hold."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from garmentlite.edge import native_log
from garmentlite.edge.contents import Contents
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError

# Types of input and output of an int8 file by name.
IO_TYPES = {"int8": tf.int8, "uint8": tf.uint8, "float32": tf.float32}


def to_float32(model: Any) -> bytes:
    """Converts a network to a float32 TFLite model with a static batch of 1.

    Args:
        model: A Keras 3 or Keras 2 model from (N, H, W, C) to logits.
    """
    return convert_quietly(converter_for(model))


def to_float16(model: Any) -> bytes:
    """Converts a network to float16 weights: half the bytes; the arithmetic stays float32."""
    converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return convert_quietly(converter)


def to_int8_weights(model: Any) -> bytes:
    """Converts a network to int8 weights; activations are quantized with a range found for each image."""
    converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return convert_quietly(converter)


def to_int16x8(model: Any, x_range: np.ndarray, *, allow_float: bool = False) -> bytes:
    """Converts a network to int16 activations, inputs and outputs, and int8 weights.

    Args:
        model: A Keras 3 or Keras 2 model from (N, H, W, C) to logits.
        x_range: float32 images, shape (N, H, W, C), in [0, 1], that set the quantization ranges.
        allow_float: Whether operators without such a kernel may stay float.

    Raises:
        ModelError: If the file does not have the requested types; see `require_integers`.
    """
    converter = converter_for(model)
    _set_ranges(converter, x_range)
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
    x_range: np.ndarray | None = None,
    *,
    io: str = "int8",
    allow_float: bool = False,
) -> bytes:
    """Converts a network to an int8 TFLite model with a static batch of 1.

    Args:
        model: A model from (N, H, W, C) to logits: quantization-aware (Keras 2), or plain (Keras 2 or 3)
            with `x_range`.
        x_range: float32 images, shape (N, H, W, C), in [0, 1], that set the quantization ranges; None for a
            quantization-aware model, which has its ranges.
        io: Type of input and output, one of `IO_TYPES`; a type other than int8 costs an operator at the input
            and one at the output.
        allow_float: Whether operators without an int8 kernel may stay float.

    Raises:
        ModelError: If the file does not have the requested types; see `require_integers`.
    """
    converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = IO_TYPES[io]
    if x_range is not None:
        _set_ranges(converter, x_range)
        _set_kernels(converter, tf.lite.OpsSet.TFLITE_BUILTINS_INT8, allow_float=allow_float)
    flatbuffer = convert_quietly(converter)
    require_integers(flatbuffer, io, allow_float=allow_float)
    return flatbuffer


def _set_ranges(converter: tf.lite.TFLiteConverter, x_range: np.ndarray) -> None:
    def representative_dataset() -> Iterator[list[np.ndarray]]:
        for image in x_range:
            yield [image[np.newaxis]]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_dataset


def _set_kernels(
    converter: tf.lite.TFLiteConverter, kernels: tf.lite.OpsSet, *, allow_float: bool
) -> None:
    floats = [tf.lite.OpsSet.TFLITE_BUILTINS] if allow_float else []
    converter.target_spec.supported_ops = [kernels, *floats]


def converter_for(model: Any) -> tf.lite.TFLiteConverter:
    """Makes a converter of a model in inference mode with a static batch of 1 and no other setting."""
    signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    function = tf.function(lambda x: model(x, training=False), jit_compile=False)
    concrete = function.get_concrete_function(signature)
    # The converter freezes the variables that it is given. It does not find those of a Keras 3 model by
    # itself, and would write a file that reads variables which are never set.
    owner = tf.Module()
    owner.variables_to_freeze = list(concrete.variables)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], owner)


def convert_quietly(converter: tf.lite.TFLiteConverter) -> bytes:
    """Runs a converter and drops its log messages.

    Raises:
        ModelError: If it has no operator or no kernel for something in the network.
    """
    with native_log.held_back(), warnings.catch_warnings():
        # A harmless warning about each quantization-aware model, whose ranges are in the graph.
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        try:
            return converter.convert()
        except (ConverterError, RuntimeError, ValueError) as error:
            # The message is a page long; the operator that it names is the helpful part.
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
    """Checks on the bytes of a model, not on the settings of the converter, that it computes with integers.

    Args:
        flatbuffer: The model.
        io: Requested type of input and output.
        allow_float: Whether some operators may compute with real numbers.

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
    # QUANTIZE and DEQUANTIZE only change the type, at a float input or output and around float operators.
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
