"""Turns a Keras 3 network into a list of plain operations: folds batch-norm and removes dropout.

    conv or dense:  y = W x + b        batch-norm:  z = gamma (y - mean) / sqrt(variance + epsilon) + beta
    folded:         W' = W s,  b' = (b - mean) s + beta,  with  s = gamma / sqrt(variance + epsilon)

The result has only convolutions, dense layers, additions, pooling and ReLU, which int8 kernels compute. It
has no batch statistics that fine-tuning could change.

An average pool before a 1x1 convolution, as in the shortcuts of residual networks, is merged with it into
one convolution, whose kernel is repeated over the pool's window and divided by its area. The fast int8
kernels have no average pool, so each one would leave XNNPACK and round once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from garmentlite.edge.errors import ModelError


@dataclass(frozen=True)
class Operation:
    """One operation of a folded network.

    Attributes:
        name: Unique in the network.
        kind: "input", "conv", "depthwise_conv", "dense", "add", "max_pool", "average_pool",
            "global_average_pool", "flatten" or "relu".
        inputs: Names of the operations whose results are its inputs.
        options: The settings of the kind beside its weights: strides, padding, pool size, shape.
        kernel: float32 weights in Keras' layout; None if the kind has none.
        bias: float32, shape (outputs,); None if the kind has none.
        relu: Whether the operation ends with a ReLU.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None
    relu: bool = False

    @property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias of an operation that has them."""
        if self.kernel is None or self.bias is None:
            raise TypeError(
                f"the operation '{self.name}' is of kind '{self.kind}', without weights"
            )
        return self.kernel, self.bias


# Layers that can be folded beside batch-norm and dropout, with the settings that are kept.
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "InputLayer": ("input", ()),
    "Conv2D": ("conv", ("strides", "padding")),
    "DepthwiseConv2D": ("depthwise_conv", ("strides", "padding")),
    "Dense": ("dense", ()),
    "Add": ("add", ()),
    "MaxPooling2D": ("max_pool", ("pool_size", "strides", "padding")),
    "AveragePooling2D": ("average_pool", ("pool_size", "strides", "padding")),
    "GlobalAveragePooling2D": ("global_average_pool", ("keepdims",)),
    "Flatten": ("flatten", ()),
    "ReLU": ("relu", ()),
}
_WITH_WEIGHTS = ("conv", "depthwise_conv", "dense")

_LARGEST_WINDOW = 9  # pixels; a larger pool costs less than a kernel of its size


def fold(model: keras.Model) -> list[Operation]:
    """Folds a network into operations, each after the operations that it takes its inputs from.

    Args:
        model: A functional or sequential Keras 3 network with one input and one output, made of the layers
            named in this module, with batch-norm directly after a convolution or dense layer.

    Returns:
        The operations; the last one gives the logits.

    Raises:
        ModelError: If a layer is not one of those, or a batch-norm has nothing to fold into.
    """
    folded: dict[str, Operation] = {}
    stands_for: dict[str, str] = {}  # layer name -> name of the operation that gives its result
    layers = _layers_in_order(model)
    consumers = _consumer_counts(layers)
    for layer, inputs in layers:
        sources = tuple(stands_for[name] for name in inputs)
        kind = type(layer).__name__
        if kind == "Dropout":
            stands_for[layer.name] = sources[0]
            continue
        before = folded.get(sources[0]) if sources else None
        # A layer can be merged into the operation before it only if no other layer uses that result.
        alone = before is not None and all(
            consumers[name] == 1 for name, given in stands_for.items() if given == before.name
        )
        if kind == "BatchNormalization":
            if before is None or not alone or before.kind not in _WITH_WEIGHTS or before.relu:
                raise ModelError(
                    f"the batch-norm '{layer.name}' does not directly follow a convolution or dense "
                    "layer, so it cannot be folded; write conv -> batch-norm -> ReLU"
                )
            folded[before.name] = _with_batch_norm(before, layer)
            stands_for[layer.name] = before.name
        elif kind == "ReLU" and before is not None and alone and before.kind in _WITH_WEIGHTS:
            _refuse_unusual_relu(layer)
            folded[before.name] = replace(before, relu=True)
            stands_for[layer.name] = before.name
        else:
            folded[layer.name] = _operation_of(layer, sources)
            stands_for[layer.name] = layer.name
    return _pools_into_convolutions(list(folded.values()))


def _pools_into_convolutions(operations: list[Operation]) -> list[Operation]:
    """Merges every average pool that only a 1x1 convolution follows with that convolution."""
    by_name = {operation.name: operation for operation in operations}
    sources = [name for operation in operations for name in operation.inputs]
    taken: dict[str, Operation] = {}  # by the name of the pool
    for operation in operations:
        pool = by_name[operation.inputs[0]] if operation.inputs else operation
        if (
            operation.kind == "conv"
            and operation.weights[0].shape[:2] == (1, 1)
            and operation.options["strides"] == (1, 1)
            and pool.kind == "average_pool"
            and pool.options["padding"] == "valid"  # "same" averages over fewer pixels at the edge
            and np.prod(pool.options["pool_size"]) <= _LARGEST_WINDOW
            and sources.count(pool.name) == 1
        ):
            taken[pool.name] = operation
    merged = {
        operation.name: replace(
            operation,
            inputs=by_name[pool].inputs,
            options={"strides": by_name[pool].options["strides"], "padding": "valid"},
            kernel=_over_window(operation.weights[0], by_name[pool].options["pool_size"]),
        )
        for pool, operation in taken.items()
    }
    return [merged.get(one.name, one) for one in operations if one.name not in taken]


def _over_window(kernel: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """Makes a kernel that averages over a window first and then applies a 1x1 kernel."""
    return np.tile(kernel / np.float32(window[0] * window[1]), (*window, 1, 1))


def _operation_of(layer: keras.Layer, sources: tuple[str, ...]) -> Operation:
    layer_kind = type(layer).__name__
    if layer_kind not in _KINDS:
        raise ModelError(
            f"the layer '{layer.name}' is a {layer_kind}, which cannot be folded; possible are "
            f"{', '.join(_KINDS)}, BatchNormalization and Dropout"
        )
    kind, names = _KINDS[layer_kind]
    options = {name: getattr(layer, name) for name in names}
    if kind == "input":
        options["shape"] = tuple(layer.batch_shape[1:])
    if kind == "relu":
        _refuse_unusual_relu(layer)
    if kind not in _WITH_WEIGHTS:
        return Operation(layer.name, kind, sources, options)
    activation = keras.activations.serialize(layer.activation)
    dilated = tuple(np.ravel(getattr(layer, "dilation_rate", 1))) not in ((1,), (1, 1))
    if activation not in ("linear", "relu") or dilated or getattr(layer, "groups", 1) != 1:
        raise ModelError(
            f"the layer '{layer.name}' has dilation, groups or the activation '{activation}', "
            "which cannot be folded; possible are plain layers with no activation or ReLU"
        )
    kernel = np.asarray(layer.kernel, np.float32)
    outputs = kernel.shape[2] * kernel.shape[3] if kind == "depthwise_conv" else kernel.shape[-1]
    bias = np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(outputs, np.float32)
    return Operation(layer.name, kind, sources, options, kernel, bias, relu=activation == "relu")


def _with_batch_norm(operation: Operation, layer: keras.layers.BatchNormalization) -> Operation:
    kernel, old_bias = operation.weights
    # In float64, because the folded network is compared with the original to within float32 rounding.
    variance = np.asarray(layer.moving_variance, np.float64)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma, np.float64)
    bias = (old_bias - np.asarray(layer.moving_mean, np.float64)) * scale
    if layer.center:
        bias = bias + np.asarray(layer.beta, np.float64)
    # The last axis of a kernel is the output; a depthwise kernel has (height, width, input, 1).
    shaped = scale.reshape(kernel.shape[2:]) if operation.kind == "depthwise_conv" else scale
    return replace(
        operation,
        kernel=(kernel * shaped).astype(np.float32),
        bias=bias.astype(np.float32),
    )


def _refuse_unusual_relu(layer: keras.layers.ReLU) -> None:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise ModelError(
            f"the layer '{layer.name}' is not a plain ReLU (it has a limit, slope or threshold)"
        )


def _layers_in_order(model: keras.Model) -> list[tuple[keras.Layer, tuple[str, ...]]]:
    """Lists each layer with the names of the layers that its inputs come from."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise ModelError(
            "only functional and sequential networks can be folded; build it with keras.Model(in, out)"
        )
    # Keras has no public way from a layer to its predecessors. A layer has a node for each of its uses,
    # also in other networks, and the tensors that go into a node know their operation.
    of_model = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    ordered = []
    for layer in model.operations:
        nodes = [node for node in layer._inbound_nodes if id(node) in of_model]
        if len(nodes) != 1:
            raise ModelError(f"the layer '{layer.name}' is used more than once")
        tensors = nodes[0].input_tensors
        ordered.append((layer, tuple(tensor._keras_history.operation.name for tensor in tensors)))
    return ordered


def _consumer_counts(layers: list[tuple[keras.Layer, tuple[str, ...]]]) -> dict[str, int]:
    counts = {layer.name: 0 for layer, _ in layers}
    for _, inputs in layers:
        for name in inputs:
            counts[name] += 1
    return counts
