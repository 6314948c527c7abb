"""Distillation: makes training targets from the predictions of larger networks, or of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from garmentlite.edge.callbacks import OnProgress, ignore_progress
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.files import sha256
from garmentlite.edge.npz import read_npz, write_npz
from garmentlite.edge.probabilities import softmax
from garmentlite.train import runs
from garmentlite.train.keras_file import read_network
from garmentlite.train.older_files import read_0_1_0
from garmentlite.train.prediction import predict_logits
from garmentlite.train.training_copy import training_copy

TEMPERATURE = 2.0  # softens the teachers, which are too confident on images they were trained on
SHARE = 0.9  # of the teachers in the target; the label has the rest

_CHUNK = 5000  # images between two reports of progress
_PURPOSE = "cache of the teachers' answers"


@dataclass(frozen=True)
class Teacher:
    """Networks whose mean prediction is learned.

    Attributes:
        models: Networks from (N, 28, 28, 1) in [0, 1] to logits (N, C).
        sha256: Checksum of the file of each.
    """

    models: list[keras.Model]
    sha256: tuple[str, ...]


def load(paths: Sequence[Path], num_classes: int) -> Teacher:
    """Reads the teachers.

    Args:
        paths: Folders of runs, or `.keras` files.
        num_classes: C; every teacher must have as many outputs.

    Raises:
        ModelError: If one cannot be read or has other inputs or outputs.
    """
    models, checksums = [], []
    for path in paths:
        file = runs.model_file(path)
        model = read_network(file, "--teacher takes a run's folder or a .keras file")
        expected = ((None, 28, 28, 1), (None, num_classes))
        if (model.input_shape, model.output_shape) != expected:
            raise ModelError(
                f"--teacher {path} goes from {model.input_shape} to {model.output_shape}, expected "
                f"{expected[0]} to {expected[1]}; choose a network trained on the same classes."
            )
        models.append(model)
        checksums.append(sha256(file.read_bytes()))
    return Teacher(models, tuple(checksums))


def soft_targets(
    teacher: Teacher,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    *,
    cache: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> np.ndarray:
    """Computes the targets that are learned in place of the labels.

    They are the teachers' softened probabilities (Hinton et al. 2015, arXiv 1503.02531), averaged over the
    networks and over each image and its mirror image, mixed with the label.

    Args:
        teacher: The networks.
        images_u8: Clean training images, uint8, shape (N, H, W).
        y_true: Their class numbers, shape (N,).
        cache: File that keeps the teachers' probabilities, so that a resumed run need not ask again.
        on_progress: Called with the number of images done and their total, counted over the networks.

    Returns:
        Probabilities, float32, shape (N, C).

    Raises:
        DataError: If the cache cannot be read or was made with other networks or images.
    """
    about = {"teachers": list(teacher.sha256), "images": sha256(images_u8.tobytes())}
    probabilities = _read_cache(cache, about) if cache and cache.exists() else None
    if probabilities is None:
        probabilities = _mean_probabilities(teacher, images_u8, on_progress)
        if cache:
            write_npz(cache, _PURPOSE, about, {"probabilities": probabilities})
    labels = np.eye(probabilities.shape[1], dtype=np.float32)[y_true]
    return SHARE * probabilities + np.float32(1 - SHARE) * labels


class ConsistentTeacher:
    """Asks the teachers about the images as the network is shown them, changed and mixed.

    "Knowledge distillation: a good teacher is patient and consistent" (Beyer et al. 2021, arXiv 2106.05237).
    """

    def __init__(self, teacher: Teacher, *, mixed_precision: bool = False) -> None:
        """Makes copies of the networks that answer faster.

        Args:
            teacher: The networks.
            mixed_precision: Whether they compute in bfloat16.
        """
        self._models = [
            training_copy(model, mixed_precision=mixed_precision) for model in teacher.models
        ]
        if keras.backend.backend() == "jax":
            self._logits = [_on_the_device(model) for model in self._models]
        else:
            self._logits = [model.predict_on_batch for model in self._models]

    def __call__(self, x: Any) -> Any:
        """Computes the softened probabilities of images, averaged over the networks.

        Args:
            x: Images as pixel / 255, float32, shape (N, 28, 28, 1); they may lie on an accelerator.

        Returns:
            Tensor of float32, shape (N, C); on JAX it stays on the accelerator.
        """
        ops = keras.ops
        answers = [
            ops.softmax(ops.cast(logits(x), "float32") / TEMPERATURE) for logits in self._logits
        ]
        return sum(answers) / len(answers)


def _on_the_device(model: keras.Model) -> Callable[[Any], Any]:
    """Compiles a network for JAX, without fetching its outputs from the accelerator."""
    import jax

    kinds = model.trainable_variables, model.non_trainable_variables
    weights = [[variable.value for variable in kind] for kind in kinds]
    outputs = jax.jit(lambda weights, x: model.stateless_call(*weights, x, training=False)[0])
    return lambda x: outputs(weights, x)


def _mean_probabilities(
    teacher: Teacher, images_u8: np.ndarray, on_progress: OnProgress
) -> np.ndarray:
    total = np.zeros((len(images_u8), teacher.models[0].output_shape[1]), np.float64)
    of = len(teacher.models) * len(images_u8)
    for number, model in enumerate(teacher.models):
        for start in range(0, len(images_u8), _CHUNK):
            chunk = images_u8[start : start + _CHUNK]
            for images in (chunk, chunk[:, :, ::-1]):
                logits = predict_logits(model, images).astype(np.float64)
                share = softmax(logits, TEMPERATURE) / (2 * len(teacher.models))
                total[start : start + _CHUNK] += share
            on_progress(number * len(images_u8) + start + len(chunk), of)
    return total.astype(np.float32)


def _read_cache(path: Path, about: Mapping[str, object]) -> np.ndarray | None:
    """Reads the teachers' probabilities; None for a cache of version 0.1.0, which is then made again."""
    if read_0_1_0(path, "probabilities") is not None:
        return None
    archive = read_npz(path, _PURPOSE, "delete it, and the teachers are asked again")
    if archive.about != about:
        raise DataError(
            f"{path} holds the answers of other teachers or to other images; delete it, and the teachers "
            "are asked again."
        )
    return archive.arrays["probabilities"]
