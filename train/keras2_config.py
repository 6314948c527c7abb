"""Rewrites the configuration of a Keras 2 network, so that Keras 3 builds the same network from it.

Keras 3 reads the weights of `.keras` and `.h5` files of Keras 2, but cannot read parts of their
configuration: module names that are gone, arguments that its layers no longer take (keras-team/keras#19441),
and data types in an older form. TensorFlow had Keras 2 up to TensorFlow 2.15, and `tf_keras` still is
Keras 2.
"""

from __future__ import annotations

from typing import Any

from garmentlite.edge.errors import ModelError

# Arguments that layers of Keras 3 no longer take, with the values at which they change nothing.
_GONE: dict[str, tuple[Any, ...]] = {
    "groups": (1,),  # of depthwise, separable and transposed convolutions
    "time_major": (False,),
    "noise_shape": (None,),
    "rng_type": ("stateful", "stateless", "legacy_stateful"),  # of random layers: how they draw
}
_STILL_GROUPED = ("Conv1D", "Conv2D", "Conv3D", "GroupNormalization")
# What only training uses; layers of Keras 3 no longer take all of them.
_FOR_TRAINING = ("_initializer", "_regularizer", "_constraint", "trainable")

# What Keras 2 puts between its layers where a network computes with functions of TensorFlow.
_FUNCTION_LAYERS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod")


def is_keras_2(version: object) -> bool:
    """Tells whether a file's `keras_version`, such as "2.15.0", is one of Keras 2 or older."""
    return isinstance(version, str | bytes) and str(version).strip("b'")[:2] in ("2.", "1.")


def as_keras_3(config: dict[str, Any], path: object) -> dict[str, Any]:
    """Rewrites the configuration of a network.

    Args:
        config: The configuration as JSON: `config.json` of a `.keras` file, `model_config` of an `.h5` file.
        path: The file, for a message.

    Returns:
        The configuration of the same network for Keras 3.

    Raises:
        ModelError: If the network computes with functions of TensorFlow between its layers.
    """
    return dict(_rewritten(config, path))


def _rewritten(value: Any, path: object) -> Any:
    if isinstance(value, list):
        return [_rewritten(one, path) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _rewritten(one, path) for name, one in value.items()}
    kind, config = found.get("class_name"), found.get("config")
    if kind in _FUNCTION_LAYERS:
        function = config.get("function") if isinstance(config, dict) else None
        raise ModelError(
            f"{path} is from Keras 2 and computes with functions of TensorFlow "
            f"({function or found.get('name')}) between its layers, which Keras 3 cannot read; save it with "
            "the version of TensorFlow that made it as a folder, tf.saved_model.save(model, 'folder'), and "
            "convert that folder."
        )
    if kind == "Sequential" and isinstance(config, list):  # Keras before 2.2.3
        config = found["config"] = {"name": "sequential", "layers": config}
    if kind in ("Policy", "PolicyV1"):
        # Mixed precision is for training on a GPU. The weights are float32, and so is the arithmetic here.
        return "float32"
    if kind in ("Functional", "Model") and "module" in found:
        found |= {"module": "keras.src.models.functional", "class_name": "Functional"}
    elif kind == "Sequential" and "module" in found:
        found["module"] = "keras"
    if isinstance(kind, str) and isinstance(config, dict):
        found["config"] = _layer_config(kind, config)
    return found


def _layer_config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    kept = {
        name: value
        for name, value in config.items()
        if not name.endswith(_FOR_TRAINING)
        and (value not in _GONE.get(name, ()) or (name == "groups" and kind in _STILL_GROUPED))
    }
    if kind == "InputLayer" and "batch_input_shape" in kept:
        kept["batch_shape"] = kept.pop("batch_input_shape")
    layers = kept.get("layers")
    if isinstance(layers, list):
        kept["layers"] = _with_input_layer(kind, layers)
    for ends in ("input_layers", "output_layers"):
        # In Keras 3 a list of one tensor is not the tensor itself, and no layer takes such a list.
        if isinstance(kept.get(ends), list) and len(kept[ends]) == 1:
            kept[ends] = kept[ends][0]
    axis = kept.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        kept["axis"] = axis[0]
    return kept


def _with_input_layer(kind: str, layers: list[Any]) -> list[Any]:
    """Takes the input's shape out of the layers' arguments; a Sequential gets an input layer with it."""
    shapes = [
        layer["config"].pop("batch_input_shape", None)
        for layer in layers
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict)
    ]
    if kind != "Sequential" or not shapes or shapes[0] is None:
        return layers
    return [{"class_name": "InputLayer", "config": {"batch_shape": shapes[0]}}, *layers]
