"""Adapts a network to what every file of garmentlite takes and gives.

The file takes one grey image of pixel / 255, shape (N, H, W, 1), and gives logits. A network may take
pixels from 0 to 255 or from -1 to 1, three colours, or the pixels in a row, and it may end in a
softmax. Such a network gets other layers at its start and its end, and gives the same answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np

from garmentlite.edge.errors import ModelError
from garmentlite.edge.first_layers import range_before_scaling
from garmentlite.edge.model_input import CONTRACT, InputRange

_CONSTANT = 1e-6  # factors and offsets closer than this to 1 and 0 are roundings of float32


@dataclass(frozen=True)
class Adapted:
    """A network that takes pixel / 255 and gives logits.

    Attributes:
        model: The network, which computes logits (N, C) of float32 images (N, H, W, 1).
        input_range: The numbers that stand for the pixels in the original network.
        sentences: What was adapted; empty if the network is as it was.
    """

    model: keras.Model
    input_range: InputRange
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class _Start:
    """The operations at the start of a network that only scale and reshape its input.

    Attributes:
        operations: These operations.
        scale: Factor of the input, for each channel or for all.
        offset: What is added to the product.
        image_shape: (height, width, channels) of the image that is taken.
        shape: Shape of what the first other operation takes, without the batch.
        flattens_next: Whether that operation is a Flatten, which takes any shape.
    """

    operations: tuple[Any, ...]
    scale: np.ndarray
    offset: np.ndarray
    image_shape: tuple[int, int, int]
    shape: tuple[int, ...]
    flattens_next: bool


def adapt(network: keras.Model, path: Path, input_range: InputRange | None = None) -> Adapted:
    """Adapts a network; its weights are shared with the result.

    Args:
        network: A functional or sequential Keras 3 network.
        path: Its file, for a message.
        input_range: The numbers that stand for its pixels; None to read them from a Rescaling layer at
            its start.

    Raises:
        ModelError: If it does not go from one image to the logits of classes.
    """
    _require_one_to_one(network, path)
    model = _flat(network)
    start = _start_of(model, path)
    sentences: list[str] = []

    stated = range_before_scaling(float(start.scale.mean()), float(start.offset.mean()))
    taken = input_range or stated or CONTRACT
    low, high = taken.ends
    scale = start.scale * (high - low)
    offset = start.scale * low + start.offset
    if taken != CONTRACT:
        why = "as --input-range says" if input_range else "as its Rescaling layer shows"
        sentences.append(
            f"It takes pixels as numbers {taken.name}, {why}; the files take pixel / 255."
        )
    height, width, channels = start.image_shape
    if channels == 3:
        sentences.append(
            "It takes colour images; the files take one grey image and give it to all three channels."
        )
    own_shape = tuple(network.input_shape[1:])
    if len(own_shape) != 3 or own_shape[:2] != (height, width):
        sentences.append(
            f"It takes an input of shape {own_shape}; the files take the same pixels as an image of shape "
            f"({height}, {width}, 1)."
        )
    end, replaced = _without_softmax(model, path)
    if end:
        sentences.append(
            "It ends in a softmax, which is left out: the files give logits, and softmax is applied "
            "where they are used."
        )
    is_as_it_was = not start.operations and not any(map(_is_inner_network, network.layers))
    if is_as_it_was and not sentences:
        return Adapted(network, taken, ())

    passed = {id(operation): _pass_on for operation in start.operations} | {id(end): replaced}
    inputs = keras.Input((height, width, 1), name="image")
    x = _scaled(inputs, scale, offset, channels)
    if start.shape != tuple(x.shape[1:]) and not start.flattens_next:
        # int8 is fine-tuned for a Flatten, but not for a Reshape. The names that Keras gives may be taken.
        is_row, name = len(start.shape) == 1, "input_shape"
        layers = keras.layers
        x = (layers.Flatten(name=name) if is_row else layers.Reshape(start.shape, name=name))(x)
    outputs = model._run_through_graph(x, lambda operation: passed.get(id(operation), operation))
    return Adapted(keras.Model(inputs, outputs, name=network.name), taken, tuple(sentences))


def ends_in_sigmoid(path: Path) -> ModelError:
    """Says why a network that ends in a sigmoid is refused."""
    return ModelError(
        f"{path} ends in a sigmoid, so each of its outputs answers yes or no for itself; the files need one "
        "answer, so train it with a softmax over the classes."
    )


def _require_one_to_one(network: keras.Model, path: Path) -> None:
    shape_in, shape_out = _shapes(network)
    if (
        not isinstance(shape_in, tuple)
        or not isinstance(shape_out, tuple)
        or None in shape_in[1:]
        or len(shape_out) != 2
        or shape_out[1] is None
        or shape_out[1] < 2
    ):
        raise _other_shapes(network, path)


def _shapes(network: keras.Model) -> tuple[Any, Any]:
    """Returns the shapes of input and output; None for a network that was saved before it was built."""
    return getattr(network, "input_shape", None), getattr(network, "output_shape", None)


def _other_shapes(network: keras.Model, path: Path) -> ModelError:
    shape_in, shape_out = _shapes(network)
    return ModelError(
        f"{path} goes from {shape_in} to {shape_out}, expected one grey or colour "
        "image (None, H, W, 1 or 3), or its pixels in a row, to the logits of two or more classes "
        "(None, C); choose such a classifier."
    )


def _flat(network: keras.Model) -> keras.Model:
    """Returns a functional network whose layers are no networks themselves."""
    functional = _functional(network)
    if not any(map(_is_inner_network, functional.layers)):
        return functional
    inputs = keras.Input(functional.input_shape[1:])
    return keras.Model(inputs, _run_flat(functional, inputs, {}))


def _functional(network: keras.Model) -> Any:
    """Returns the functional form of a sequential network; a functional one is returned as it is."""
    if isinstance(network, keras.Sequential):
        return keras.Model(network.inputs, network.outputs)
    return network


def _is_inner_network(operation: Any) -> bool:
    return (
        isinstance(operation, keras.Model)
        and hasattr(operation, "operations")
        and len(operation.inputs) == len(operation.outputs) == 1
    )


def _run_flat(network: Any, x: Any, names: dict[str, int]) -> Any:
    """Runs a network on a tensor, and the layers of the networks in it one by one."""

    def of_operation(operation: Any) -> Callable[..., Any]:
        if _is_inner_network(operation):
            return lambda x, **_: _run_flat(_functional(operation), x, names)
        # Inner networks may use the same names, but in one network each name is different.
        while names.setdefault(operation.name, id(operation)) != id(operation):
            operation.name += "_inner"
        return operation

    return network._run_through_graph(x, of_operation)


def _start_of(model: Any, path: Path) -> _Start:
    """Follows the input through the operations that only scale or reshape it."""
    readers: dict[int, list[Any]] = {}
    for node in chain.from_iterable(model._nodes_by_depth.values()):
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node)

    tensor = model.inputs[0]
    scale, offset = np.ones(1), np.zeros(1)
    operations: list[Any] = []
    shapes = [tuple(tensor.shape[1:])]
    kind = ""
    while tensor is not model.outputs[0]:
        nodes = readers.get(id(tensor), [])
        kind = type(nodes[0].operation).__name__ if len(nodes) == 1 else ""
        if kind == "Rescaling":
            layer = nodes[0].operation
            factor, addend = (np.ravel(np.float64(one)) for one in (layer.scale, layer.offset))
            scale, offset = scale * factor, offset * factor + addend
        elif kind != "Reshape" or scale.size > 1 or offset.size > 1:
            break
        operations.append(nodes[0].operation)
        tensor = nodes[0].outputs[0]
        shapes.append(tuple(tensor.shape[1:]))
    image_shape = next(filter(None, map(_image_shape, shapes)), None)
    if image_shape is None or max(scale.size, offset.size) > image_shape[2]:
        raise _other_shapes(model, path)
    return _Start(
        tuple(operations), scale, offset, image_shape, shapes[-1], flattens_next=kind == "Flatten"
    )


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Reads (height, width, channels) from the shape of an input; None if it is not one of an image.

    A single channel may stand first or be left out, and a square image may have its pixels in a row:
    the numbers are in the same order.
    """
    if len(shape) == 3 and shape[2] in (1, 3):
        return shape[0], shape[1], shape[2]
    if len(shape) == 3 and shape[0] == 1:
        return shape[1], shape[2], 1
    if len(shape) == 2:
        return shape[0], shape[1], 1
    side = math.isqrt(shape[0]) if len(shape) == 1 else 0
    return (side, side, 1) if side > 1 and side * side == shape[0] else None


def _scaled(inputs: Any, scale: np.ndarray, offset: np.ndarray, channels: int) -> Any:
    """Scales a grey image and gives it to each channel, by a 1x1 convolution, which int8 kernels compute."""
    if channels == 1 and _changes_nothing(scale, offset):
        return inputs
    layer = keras.layers.Conv2D(channels, 1, name="input_scale")
    scaled = layer(inputs)
    kernel = np.broadcast_to(scale, channels).reshape(1, 1, 1, channels)
    layer.set_weights([kernel, np.broadcast_to(offset, channels)])
    return scaled


def _changes_nothing(scale: np.ndarray, offset: np.ndarray) -> bool:
    return bool(abs(scale - 1).max() < _CONSTANT and abs(offset).max() < _CONSTANT)


def _pass_on(x: Any, **_: Any) -> Any:
    return x


def _without_softmax(model: Any, path: Path) -> tuple[Any, Any]:
    """Finds the softmax at the end of a network.

    Returns:
        The operation that ends in the softmax and what takes its place; (None, None) if there is none.

    Raises:
        ModelError: If the network ends in a sigmoid.
    """
    last = model.outputs[0]._keras_history.operation
    if type(last).__name__ == "Softmax":  # a layer or a function of Keras
        return last, _pass_on
    activation = getattr(last, "activation", None)
    name = keras.activations.serialize(activation) if activation is not None else ""
    if name == "sigmoid":
        raise ends_in_sigmoid(path)
    if name == "softmax" and isinstance(last, keras.layers.Activation):
        return last, _pass_on
    if name == "softmax" and isinstance(last, keras.layers.Dense):
        linear = keras.layers.Dense.from_config(last.get_config() | {"activation": "linear"})
        linear.build((None, last.kernel.shape[0]))
        linear.set_weights(last.get_weights())
        return last, linear
    return None, None
