"""Learning from larger or several networks: what they say of the training images becomes the target."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.files import sha256, write_bytes
from garmentlite.train import runs
from garmentlite.train.fit import predict_logits
from garmentlite.train.keras_file import read_network

TEMPERATURE = 2.0  # softens the teachers, whose answers to images they were trained on are too sure
SHARE = 0.9  # of the teachers in the target; the label has the rest

_CHUNK = 5000  # images between two reports of progress

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Teacher:
    """Networks whose mean answer is learned.

    Attributes:
        models: Each from (N, 28, 28, 1) in [0, 1] to logits (N, C).
        sha256: Checksum of each one's file.
    """

    models: list[keras.Model]
    sha256: tuple[str, ...]


def load(paths: Sequence[Path], num_classes: int) -> Teacher:
    """Reads the teachers.

    Args:
        paths: Runs' folders or `.keras` files.
        num_classes: C; every teacher must answer with as many.

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
    on_progress: OnProgress = lambda done, of: None,
) -> np.ndarray:
    """What is to be learned in place of the labels.

    The teachers' softened probabilities (Hinton et al. 2015, arXiv 1503.02531), averaged over the networks
    and over each image and its mirror image, mixed with the label.

    Args:
        teacher: The networks.
        images_u8: Clean training images, uint8, shape (N, H, W).
        y_true: Their class numbers, shape (N,).
        cache: File to keep the teachers' probabilities in, so that a resumed run need not ask again.
        on_progress: Called with images done and all images, counted over the networks.

    Returns:
        Probabilities, float32, shape (N, C).

    Raises:
        DataError: If the cache is no such file or was made with other networks or images.
    """
    about = ",".join((*teacher.sha256, sha256(images_u8.tobytes())))
    probabilities = _cached(cache, about) if cache and cache.exists() else None
    if probabilities is None:
        probabilities = _mean_probabilities(teacher, images_u8, on_progress)
        if cache:
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, probabilities=probabilities, about=np.array(about))
            write_bytes(cache, buffer.getvalue())
    labels = np.eye(probabilities.shape[1], dtype=np.float32)[y_true]
    return SHARE * probabilities + np.float32(1 - SHARE) * labels


def _mean_probabilities(
    teacher: Teacher, images_u8: np.ndarray, on_progress: OnProgress
) -> np.ndarray:
    total = np.zeros((len(images_u8), teacher.models[0].output_shape[1]), np.float64)
    of = len(teacher.models) * len(images_u8)
    for number, model in enumerate(teacher.models):
        for start in range(0, len(images_u8), _CHUNK):
            chunk = images_u8[start : start + _CHUNK]
            for images in (chunk, chunk[:, :, ::-1]):
                logits = predict_logits(model, images).astype(np.float64) / TEMPERATURE
                exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
                shares = exponentials / exponentials.sum(axis=1, keepdims=True)
                total[start : start + _CHUNK] += shares / (2 * len(teacher.models))
            on_progress(number * len(images_u8) + start + len(chunk), of)
    return total.astype(np.float32)


def _cached(path: Path, about: str) -> np.ndarray:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            probabilities, made_of = stored["probabilities"], str(stored["about"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not what a teacher's answers are kept in ({error}); delete it."
        ) from error
    if made_of != about:
        raise DataError(
            f"{path} holds the answers of other teachers or to other images; delete it."
        )
    return probabilities
