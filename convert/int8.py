"""The ways to int8, tried side by side, and the one that stays closest to the float network.

Which way is closest is counted, not assumed: validation images on which float and int8 give another
class. Accuracy would not do, since a fine-tune that moves the borders between classes can gain accuracy
overall while one class is lost.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from garmentlite.convert import export, keras2
from garmentlite.convert.folding import Operation
from garmentlite.convert.material import Images
from garmentlite.edge import foreign_model, metrics
from garmentlite.edge.classifier import Classifier
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.data import as_input

CALIBRATION_IMAGES = 2000  # a few hundred find the ranges; more only find rarer extremes
CORRECTION_IMAGES = 5000  # the mean of a logit is then known to a hundredth of its step
TIE_SHIFTS = 16  # random shifts of every close image in the search for tie offsets
TIE_SWEEPS = 8  # over the classes, at most; the search settles after two or three
FINE_TUNE_RATE = 2e-5  # Adam; a fiftieth of training's, so that only roundings move
_CHUNK = 250  # images between two reports of progress

# What is being done, step (from 1), steps in all.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Candidate:
    """One int8 model, compared with the float network on validation images.

    Attributes:
        way: How it was made.
        flatbuffer: The model's bytes.
        lost: Images per class that float had right and int8 has wrong, int64, shape (C,).
        gained: The other way round.
        changed: Images on which the two give another class, right or wrong.
        accuracy_change: Accuracy of int8 less that of float.
        images: How many were looked at.
    """

    way: str
    flatbuffer: bytes
    lost: np.ndarray
    gained: np.ndarray
    changed: int
    accuracy_change: float
    images: int

    def as_document(self, labels: Sequence[str]) -> dict[str, Any]:
        """For a card: the counts by label."""
        return {
            "way": self.way,
            "validation_images": self.images,
            "changed": self.changed,
            "agreement": 1 - self.changed / self.images,
            "accuracy_change": self.accuracy_change,
            "lost": dict(zip(labels, self.lost.tolist(), strict=True)),
            "gained": dict(zip(labels, self.gained.tolist(), strict=True)),
        }


def compare(way: str, flatbuffer: bytes, float_logits: np.ndarray, validation: Images) -> Candidate:
    """Counts what an int8 model changed, with the kernels that a device uses.

    Args:
        way: How it was made.
        flatbuffer: The int8 model.
        float_logits: Of the validation images, shape (N, C).
        validation: Images no weight, range or bias was taken from.
    """
    y, before = validation.y, float_logits.argmax(axis=1)
    after = logits_of(flatbuffer, validation.images_u8).argmax(axis=1)
    num_classes = float_logits.shape[1]
    lost = np.bincount(y[(before == y) & (after != y)], minlength=num_classes)
    gained = np.bincount(y[(before != y) & (after == y)], minlength=num_classes)
    return Candidate(
        way=way,
        flatbuffer=flatbuffer,
        lost=lost,
        gained=gained,
        changed=int((before != after).sum()),
        accuracy_change=float(gained.sum() - lost.sum()) / len(y),
        images=len(y),
    )


def closest(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the fewest changed images; among equals the one whose worst class lost least."""
    return min(candidates, key=lambda one: (one.changed, int((one.lost - one.gained).max())))


def calibrated(
    model: Any,
    training: Images,
    seed: int,
    *,
    io: str = "int8",
    allow_float: bool = False,
) -> tuple[bytes, dict[str, Any]]:
    """Int8 by calibration alone, of any network that the converter takes.

    Args:
        model: A Keras 2 or Keras 3 model from (N, H, W, 1) to logits.
        training: Images to calibrate with.
        seed: Of their choice.
        io: Type of input and output.
        allow_float: Whether operators without an int8 kernel may stay float.

    Returns:
        The model's bytes and the manifest of the calibration images.
    """
    calibration = training.sample(CALIBRATION_IMAGES, seed)
    x = as_input(calibration.images_u8)
    flatbuffer = export.to_int8(model, x, io=io, allow_float=allow_float)
    return flatbuffer, calibration.manifest("training images", seed)


def post_training(
    operations: Sequence[Operation], training: Images, seed: int, *, io: str = "int8"
) -> tuple[bytes, dict[str, Any]]:
    """Int8 of a folded network by calibration alone: weights as they are; see `calibrated`."""
    return calibrated(keras2.build_twin(operations), training, seed, io=io)


def post_training_corrected(
    operations: Sequence[Operation], training: Images, seed: int, *, io: str = "int8"
) -> tuple[bytes, dict[str, Any]]:
    """Int8 by calibration, then the last bias moved until every logit keeps its mean.

    Rounding shifts each output a little and always the same way (Nagel et al. 2019, "Data-free
    quantization", section 4.2); a class whose logit sinks loses images one-sidedly. The shift is measured
    on training images and taken off the last bias, which costs nothing on the device.
    """
    flatbuffer, manifest = post_training(operations, training, seed)
    shift = _mean_shift(flatbuffer, keras2.build_twin(operations), training, seed)
    _, bias = operations[-1].weights
    corrected = [*operations[:-1], replace(operations[-1], bias=bias - shift)]
    return post_training(corrected, training, seed, io=io)[0], manifest


def output_range(float_logits: np.ndarray) -> tuple[float, float]:
    """The range of the output that decides: that of the second largest logit, and a little more.

    An int8 output has 256 steps for all ten logits. Calibrated from the smallest to the largest, the steps
    are so coarse that close rivals fall on the same one, and nearly all answers that int8 changes are such
    ties. But which class wins is settled between the two largest logits of an image, so only the range in
    which a second largest logit is met has to be resolved. What lies below may saturate, since it has no
    chance; an answer may saturate above it, since no rival reaches there.

    Args:
        float_logits: Of training images, shape (N, C).

    Returns:
        Smallest and largest logit the output should show.
    """
    second = np.sort(float_logits, axis=1)[:, -2]
    # Below, an image in a thousand may saturate: its answer is far ahead. Above, hardly any.
    low, high = np.quantile(second, [0.001, 0.9999])
    headroom = 0.1 * (high - low)  # for images harder than these
    return float(low - headroom), float(high + headroom)


def tie_offsets(float_logits: np.ndarray, step: float, seed: int) -> np.ndarray:
    """Offsets of the outputs, below a step or so, with which ties take from every class alike.

    Where two classes share the largest step of the output, the one with the lower number is the answer,
    so the last of a group of lookalikes (Shirt, behind T-shirt, Pullover, Dress and Coat) loses every
    tie. Half a step more for it would put the border between the two where float has it; between ten
    classes the offsets that change the fewest answers are found by trying, one class after the other.

    Rounding is simulated on training images whose two largest logits lie close together, each with many
    random shifts common to its logits: a shift changes no float answer, but how the steps fall.

    Args:
        float_logits: Of training images, shape (N, C).
        step: Distance of neighbouring outputs, in logits.
        seed: Of the random shifts.

    Returns:
        float32, shape (C,), mean 0, to be added to the last bias.
    """
    two_largest = np.sort(float_logits, axis=1)[:, -2:]
    close = float_logits[np.diff(two_largest, axis=1)[:, 0] < 3 * step]
    rng = np.random.default_rng(seed)
    shifted = np.concatenate(
        [close + rng.uniform(0, step, (len(close), 1)) for _ in range(TIE_SHIFTS)]
    )
    answers = np.tile(close.argmax(axis=1), TIE_SHIFTS)

    def changed(offsets: np.ndarray) -> int:
        return int((np.rint((shifted + offsets) / step).argmax(axis=1) != answers).sum())

    offsets = np.zeros(float_logits.shape[1])
    fewest = changed(offsets)
    for _ in range(TIE_SWEEPS):
        before = fewest
        for class_id in range(len(offsets)):
            for offset in np.arange(-8, 9) / 8 * step:
                trial = offsets.copy()
                trial[class_id] = offset
                if (count := changed(trial)) < fewest:
                    offsets, fewest = trial, count
        if fewest == before:
            break
    return (offsets - offsets.mean()).astype(np.float32)


def range_cut(
    operations: Sequence[Operation],
    training: Images,
    training_logits: np.ndarray,
    class_weights: np.ndarray,
    augmentation: Augmentation,
    seed: int,
    *,
    epochs: int,
    io: str = "int8",
    on_progress: OnProgress = lambda what, step, steps: None,
) -> tuple[bytes, dict[str, Any]]:
    """Int8 with the output range that decides and ties evened, fine-tuned or as it is.

    Args:
        operations: The folded float network.
        training: Images to calibrate and fine-tune with.
        training_logits: What the float network gives for them, shape (N, C).
        class_weights: As in training, shape (C,).
        augmentation: As in training.
        seed: Of the calibration images, and of the order and augmentation of the fine-tuning.
        epochs: Passes of quantization-aware fine-tuning over the images; 0 for none.
        io: Type of input and output.
        on_progress: Called after every step.

    Returns:
        The model's bytes and the manifest of the calibration images.
    """
    calibration = training.sample(CALIBRATION_IMAGES, seed)
    teacher = keras2.build_twin(operations)
    low, high = output_range(training_logits)
    student = keras2.quantization_aware(teacher, as_input(calibration.images_u8), (low, high))
    if epochs:
        keras2.distil(
            student,
            training.images_u8,
            lambda x: keras2.predict_logits(teacher, x),
            class_weights[training.y],
            augmentation,
            epochs=epochs,
            learning_rate=FINE_TUNE_RATE,
            seed=seed,
            on_step=lambda step, steps: on_progress("Fine-tuning towards int8", step, steps),
        )
    shift = _mean_shift(export.to_int8(student), teacher, training, seed)
    offsets = tie_offsets(training_logits, (high - low) / 255, seed)
    keras2.shift_last_bias(student, offsets - shift)
    return export.to_int8(student, io=io), calibration.manifest("training images", seed)


def logits_of(
    flatbuffer: bytes,
    images_u8: np.ndarray,
    on_progress: OnProgress = lambda what, step, steps: None,
) -> np.ndarray:
    """Logits that a model's bytes give for uint8 images, through the device's classifier on every core.

    Args:
        flatbuffer: The model.
        images_u8: uint8, shape (N, H, W).
        on_progress: Called after every few hundred images.

    Returns:
        float32, shape (N, C).
    """
    chunks = [images_u8[start : start + _CHUNK] for start in range(0, len(images_u8), _CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks))
    free: SimpleQueue[Classifier] = SimpleQueue()  # an interpreter must not run in two threads
    for _ in range(workers):
        free.put(_classifier_of(flatbuffer))

    def logits_of_chunk(chunk: np.ndarray) -> np.ndarray:
        classifier = free.get()
        try:
            return classifier.logits(chunk)
        finally:
            free.put(classifier)

    logits = []
    with ThreadPoolExecutor(workers) as pool:
        for rows in pool.map(logits_of_chunk, chunks):
            logits.append(rows)
            on_progress("Measuring", len(logits), len(chunks))
    return np.concatenate(logits)


def fit_temperature(y_true: np.ndarray, logits: np.ndarray) -> float:
    """The number that logits are divided by so that confidence means probability (Guo et al. 2017).

    Args:
        y_true: Class numbers, shape (N,).
        logits: Shape (N, C).

    Returns:
        The temperature with the lowest log loss, between 0.2 and 5, to a hundredth.
    """
    candidates = np.arange(20, 501) / 100
    losses = [metrics.log_loss(y_true, logits / temperature) for temperature in candidates]
    return float(candidates[int(np.argmin(losses))])


def _mean_shift(
    flatbuffer: bytes, teacher: Any, training: Images, seed: int
) -> np.ndarray:  # float32, shape (C,)
    # Other images than those of the calibration, so that the ranges are met as they will be met later.
    sample = training.sample(CORRECTION_IMAGES, seed + 1)
    classifier = _classifier_of(flatbuffer)
    quantized = classifier.logits(sample.images_u8)
    real = keras2.predict_logits(teacher, as_input(sample.images_u8))
    lowest, highest = classifier.output.dequantize(np.array([-128, 127], np.int8))
    # What saturates is cut on purpose; only what the output can show tells of a shift.
    return (quantized - real.clip(lowest, highest)).mean(axis=0).astype(np.float32)


def _classifier_of(flatbuffer: bytes) -> Classifier:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(flatbuffer)
        foreign_model.trust(flatbuffer)
        return Classifier(path)
