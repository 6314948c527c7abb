"""Tries each way to int8 that a network allows, and takes the one closest to the float network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.convert.export_task import Exported, ExportTask, versions
from garmentlite.convert.int8_candidates import Candidate, closest, compare
from garmentlite.edge.errors import ModelError
from garmentlite.train.data import as_input
from garmentlite.train.prediction import predict_logits

if TYPE_CHECKING:
    import keras

    from garmentlite.convert.folding import Operation

# Names of the ways, in the order in which they are tried.
WAY_PLAIN = "post-training"
WAY_CORRECTED = "post-training, bias corrected"
WAY_CUT = "output range cut, ties evened"
WAY_FINE_TUNED = "output range cut, ties evened, fine-tuned"

# Largest difference between the folded twin and the network, as a share of the largest logit: some hundred
# roundings of float32 (6e-8 each) one after the other.
FOLDING_TOLERANCE = 1e-5


def to_int8(task: ExportTask) -> Exported:
    """Converts a network to int8.

    A network whose batch-norm can be folded is converted in every way. Any other network can only be
    quantized as it is.

    Raises:
        ModelError: If the network cannot be folded but fine-tuning was requested, the folded network
            differs from the original, or a part of it has no int8 kernel.
    """
    operations, obstacle = _folded(task.model)
    if obstacle and task.fine_tune:
        raise ModelError(
            f"it cannot be fine-tuned, since {obstacle}; --int8 --ptq quantizes it as it is, and "
            "--int8-weights, --float16 and --float32 take it too"
        )
    difference = None
    if obstacle:
        task.say(f"Quantizing the network as it is, since {obstacle} ...")
        candidates = [_quantized_as_it_is(task)]
    else:
        difference = _compare_twin(task, operations)
        candidates = _folded_ways(task, operations)
    chosen = closest(candidates)
    quantization = {
        "way": chosen.way,
        "candidates": [one.as_document(task.material.labels) for one in candidates],
        "io": task.io,
        "calibration": task.manifest(),
        "seed": task.seed,
        "folding_difference": difference,
        "versions": versions("tf_keras", "tensorflow-model-optimization"),
    }
    return Exported(chosen.flatbuffer, quantization, tuple(candidates), chosen)


def require_same(what: str, logits: np.ndarray, expected: np.ndarray, tolerance: float) -> float:
    """Computes the largest difference as a share of the largest logit, and refuses one that is too large.

    Raises:
        ModelError: If it is above the tolerance, or NaN.
    """
    difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
    if not difference <= tolerance:
        raise ModelError(
            f"{what} differs from the original by {difference:.1e} of the largest logit, at most "
            f"{tolerance:.0e} was expected; please report it"
        )
    return difference


def _folded(model: keras.Model) -> tuple[list[Operation], str]:
    """Folds the network; returns the operations, or none and why it cannot be folded."""
    from garmentlite.convert import folding

    try:
        return folding.fold(model), ""
    except ModelError as error:
        return [], str(error)


def _quantized_as_it_is(task: ExportTask) -> Candidate:
    from garmentlite.convert import int8

    flatbuffer = int8.quantized(
        task.model, task.material.training, task.seed, io=task.io, allow_float=task.allow_float
    )
    return compare(WAY_PLAIN, flatbuffer, task.float_logits, task.material.validation)


def _compare_twin(task: ExportTask, operations: list[Operation]) -> float:
    from garmentlite.convert import keras2

    task.say("Folding batch-norm and comparing the folded network with the original ...")
    twin = keras2.build_twin(operations)
    logits = keras2.predict_logits(twin, as_input(task.material.validation.images_u8))
    return require_same("the folded network", logits, task.float_logits, FOLDING_TOLERANCE)


def _folded_ways(task: ExportTask, operations: list[Operation]) -> list[Candidate]:
    from garmentlite.convert import int8

    training, seed, io = task.material.training, task.seed, task.io
    training_logits = predict_logits(task.model, training.images_u8)
    weights = task.source.class_weights(task.material.labels)

    def range_cut(epochs: int) -> bytes:
        return int8.range_cut(
            operations,
            training,
            training_logits,
            weights,
            task.source.augmentation,
            seed,
            epochs=epochs,
            io=io,
            on_progress=task.on_progress,
        )

    ways: dict[str, Callable[[], bytes]] = {
        WAY_PLAIN: lambda: int8.post_training(operations, training, seed, io=io),
        WAY_CORRECTED: lambda: int8.post_training_corrected(operations, training, seed, io=io),
        WAY_CUT: lambda: range_cut(0),
    }
    if task.fine_tune:
        ways[WAY_FINE_TUNED] = lambda: range_cut(task.epochs)
    task.say(f"Quantizing in {len(ways)} ways ...")
    return [
        compare(way, make(), task.float_logits, task.material.validation)
        for way, make in ways.items()
    ]
