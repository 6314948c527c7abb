"""Reads a SavedModel folder of TensorFlow as a Keras network with one layer, which computes its graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from garmentlite.convert.adaptation import ends_in_sigmoid
from garmentlite.edge import native_log
from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import read_bytes
from garmentlite.edge.read_errors import READ_ERRORS

LARGEST_BYTES = 512 << 20  # of a graph's file, as of a Keras file
_USUAL_SIGNATURE = "serving_default"  # the name that Keras and TensorFlow give it

# Operators of a network that keep a state: they read variables and call functions of the graph.
_READING_STATE = ("VarHandleOp", "ReadVariableOp", "StatefulPartitionedCall")
# Operators that read files and count as stateless.
_READING_FILES = (
    "ReadFile", "MatchingFiles", "ImmutableConst", "PyFuncStateless", "GenerateVocabRemapping",
    "DecodeProtoV2", "EncodeProtoV2",
)  # fmt: skip
# Operators whose name begins so write to files and addresses, and count as stateless.
_DEBUGGING = "Debug"
# Kinds of objects that TensorFlow makes while it loads a folder, by running functions of the graph.
_MADE_WHILE_LOADING = ("resource", "asset")
# Names under which TensorFlow registers what it makes without running such functions.
_HARMLESS_NAMES = ("", "tf.TrackableConstant")


class SavedGraph(keras.layers.Layer):
    """Computes the graph of a SavedModel, whose weights are constants.

    Args:
        function: The graph, which computes one output of a float32 tensor (N, ...).
    """

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._function = function

    def call(self, x: Any) -> Any:
        """Computes the output of a batch."""
        return self._function(x)


def read_saved_model(folder: Path) -> keras.Model:
    """Reads the graph that a SavedModel serves; it runs nothing that touches files or the system.

    A softmax at the end of the graph becomes a layer of its own.

    Args:
        folder: The folder, as `tf.saved_model.save`, `model.export` (Keras 3) and `model.save` (Keras
            2) write it.

    Raises:
        ModelError: If it cannot be read, does not serve one float32 input and one output, or does more than
            computing.
    """
    _require_computing_only(folder)
    try:
        with native_log.held_back():
            loaded = tf.saved_model.load(str(folder))  # it holds the variables of its functions
            signatures = getattr(loaded, "signatures", {})
            signature = signatures.get(_USUAL_SIGNATURE) or next(iter(signatures.values()), None)
            frozen = None if signature is None else convert_variables_to_constants_v2(signature)
    except (*READ_ERRORS, AssertionError, tf.errors.OpError) as error:
        raise _unreadable(folder, str(error)) from error
    if frozen is None:
        raise _unreadable(
            folder, "it has no signature; save it with model.export('folder') of Keras"
        )
    if len(frozen.inputs) != 1 or len(frozen.outputs) != 1:
        raise ModelError(
            f"{folder} has {len(frozen.inputs)} inputs and {len(frozen.outputs)} outputs, expected one "
            "image and the logits of its classes; save a network with these alone."
        )
    (taken,), (given,) = frozen.inputs, frozen.outputs
    if taken.dtype != tf.float32 or not taken.shape.rank or taken.shape[0] is not None:
        raise ModelError(
            f"{folder} takes {taken.dtype.name} of shape {taken.shape}, expected float32 with an open "
            "number of images (None, ...); save it again with such an input."
        )
    logits, ends_in_softmax = _before_softmax(given, folder)
    inputs = keras.Input(tuple(taken.shape[1:]))
    outputs = SavedGraph(frozen.prune(taken.name, logits.name))(inputs)
    if ends_in_softmax:
        outputs = keras.layers.Softmax()(outputs)
    return keras.Model(inputs, outputs, name="saved_model")


def _before_softmax(tensor: Any, folder: Path) -> tuple[Any, bool]:
    """Follows an output back to the input of its softmax; returns the output itself if there is none.

    Raises:
        ModelError: If the graph ends in a sigmoid.
    """
    found = tensor
    while found.op.type == "Identity":
        found = found.op.inputs[0]
    if found.op.type == "Sigmoid":
        raise ends_in_sigmoid(folder)
    return (found.op.inputs[0], True) if found.op.type == "Softmax" else (tensor, False)


def _require_computing_only(folder: Path) -> None:
    """Refuses a SavedModel that could touch files or run code while it is loaded or run."""
    try:
        stored = SavedModel.FromString(
            read_bytes(folder / tf.saved_model.SAVED_MODEL_FILENAME_PB, LARGEST_BYTES)
        )
        (graph,) = stored.meta_graphs
    except (OSError, DecodeError, ValueError) as error:
        raise _unreadable(folder, str(getattr(error, "strerror", None) or error)) from error
    objects = graph.object_graph_def.nodes
    if not objects:
        raise _unreadable(folder, "it is from TensorFlow 1; save it with TensorFlow 2")
    made = {one.WhichOneof("kind") for one in objects} & set(_MADE_WHILE_LOADING)
    if any(one.saveable_objects or one.registered_name not in _HARMLESS_NAMES for one in objects):
        made.add("functions that run while it is loaded")
    served = _served_operators(graph)
    refused = sorted(made) or sorted(name for name in served if _does_more_than_computing(name))
    if refused:
        raise ModelError(
            f"{folder} does more than computing ({', '.join(refused)}), and such a graph is never run; "
            "save the network alone, without the code that reads its files or looks up its words."
        )


def _does_more_than_computing(operator: str) -> bool:
    definition = op_def_registry.get(operator)
    return (
        definition is None
        or operator in _READING_FILES
        or operator.startswith(_DEBUGGING)
        or (definition.is_stateful and operator not in _READING_STATE)
    )


def _served_operators(graph: Any) -> set[str]:
    """Collects the operators that the signatures of a graph can reach."""
    functions = {one.signature.name: one.node_def for one in graph.graph_def.library.function}
    by_name = {one.name: one for one in graph.graph_def.node}
    waiting: list[Any] = []
    seen: set[str] = set()
    found: set[str] = set()

    def follow(names: Sequence[str]) -> None:
        for name in names:
            plain = name.lstrip("^").partition(":")[0]
            if plain not in seen and plain in by_name:
                seen.add(plain)
                waiting.append(by_name[plain])

    for name, signature in graph.signature_def.items():
        if name != "__saved_model_init_op":
            follow([output.name for output in signature.outputs.values()])
    while waiting:
        node = waiting.pop()
        found.add(node.op)
        follow(node.input)
        for called in _called_functions(node):
            if called not in seen and called in functions:
                seen.add(called)
                waiting.extend(functions[called])
    return found


def _called_functions(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.WhichOneof("value") == "func":
            yield value.func.name
        yield from (one.name for one in value.list.func)


def _unreadable(folder: Path, reason: str) -> ModelError:
    line = reason.strip().split("\n")[0]
    return ModelError(
        f"{folder} cannot be read as a SavedModel ({line}); save it again with model.export('folder') of "
        "Keras, or give a .keras file."
    )
