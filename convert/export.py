"""Networks to the bytes of TFLite files, and what those bytes really hold."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from edge import native_log
from edge.errors import ModelError
from edge.runtime import make_interpreter

# Types an int8 file may hold: int8 values, int32 biases and shapes, int64 in shape arithmetic.
INTEGER_TYPES = frozenset({"int8", "uint8", "int32", "int64"})


def to_float32(model: Any) -> bytes:
    """A network as a float32 TFLite model with a static batch of 1.

    Args:
        model: A Keras 3 or Keras 2 model from (N, H, W, C) to logits.
    """
    return convert_quietly(converter_for(model))


def to_int8(model: Any, x_calibration: np.ndarray | None = None) -> bytes:
    """A network as an int8 TFLite model, int8 in and out, with a static batch of 1.

    Args:
        model: A Keras 2 model from (N, H, W, C) to logits; quantization-aware, or plain with
            `x_calibration`.
        x_calibration: float32 images, shape (N, H, W, C), in [0, 1], that show the activation ranges; None
            where the network carries its ranges itself.

    Raises:
        ModelError: If the bytes written are not what was asked for; see `require_int8`.
    """
    converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    if x_calibration is not None:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

        def representative_dataset() -> Iterator[list[np.ndarray]]:
            for image in x_calibration:
                yield [image[np.newaxis]]

        converter.representative_dataset = representative_dataset
    flatbuffer = convert_quietly(converter)
    require_int8(flatbuffer)
    return flatbuffer


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
    """Runs a converter without its chatter."""
    with native_log.held_back(), warnings.catch_warnings():
        # Said of every quantization-aware model, whose ranges are in the graph: harmless.
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        return converter.convert()


@dataclass(frozen=True)
class Contents:
    """What a TFLite file holds, read from its bytes.

    Attributes:
        input_shape: With the batch, such as (1, 28, 28, 1).
        input_type: Name of the type, such as "int8".
        output_type: Likewise.
        tensor_types: How many tensors there are of each type.
        operators: How many there are of each operator.
        size: Bytes of the flatbuffer.
    """

    input_shape: tuple[int, ...]
    input_type: str
    output_type: str
    tensor_types: dict[str, int]
    operators: dict[str, int]
    size: int


def read_contents(flatbuffer: bytes) -> Contents:
    """Reads a model's bytes back.

    Args:
        flatbuffer: A TFLite model; metadata behind it does no harm.
    """
    # The reference kernels leave the graph as it is written; the default ones replace parts of it.
    interpreter: Any = make_interpreter(flatbuffer, kernels="reference")
    first, last = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    tensors = Counter(np.dtype(t["dtype"]).name for t in interpreter.get_tensor_details())
    # No public call lists the operators; the runtime's own benchmark uses this one.
    operators = Counter(op["op_name"] for op in interpreter._get_ops_details())
    return Contents(
        input_shape=tuple(int(size) for size in first["shape_signature"]),
        input_type=np.dtype(first["dtype"]).name,
        output_type=np.dtype(last["dtype"]).name,
        tensor_types=dict(tensors),
        operators=dict(operators),
        size=len(flatbuffer),
    )


def require_int8(flatbuffer: bytes) -> Contents:
    """Makes sure that a model is int8 throughout, by its bytes and not by the converter's settings.

    Raises:
        ModelError: If input or output is not int8, the batch is not a static 1, or any tensor is float.
    """
    contents = read_contents(flatbuffer)
    if (contents.input_type, contents.output_type) != ("int8", "int8"):
        raise ModelError(
            f"the converted file takes {contents.input_type} and gives {contents.output_type}, "
            "expected int8 and int8"
        )
    if contents.input_shape[0] != 1 or -1 in contents.input_shape:
        raise ModelError(f"the converted file has input {contents.input_shape}, expected batch 1")
    foreign = {name: n for name, n in contents.tensor_types.items() if name not in INTEGER_TYPES}
    if foreign:
        raise ModelError(f"the converted file holds {foreign} besides integers; expected none")
    return contents
