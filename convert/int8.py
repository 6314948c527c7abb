"""Converts a network to int8 by post-training quantization, or with a cut output range and fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from garmentlite.convert import export, keras2
from garmentlite.convert.export_task import RANGE_IMAGES
from garmentlite.convert.folding import Operation
from garmentlite.convert.material import Images
from garmentlite.convert.measure import logits_of
from garmentlite.edge.callbacks import OnStageProgress, ignore_stage_progress
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.quantization import Quantization
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.data import as_input

CORRECTION_IMAGES = 5000  # they give the mean of a logit to a hundredth of its step
TIE_SHIFTS = 16  # random shifts of each close image in the search for tie offsets
# The largest number of sweeps over the classes; the search settles after two or three.
TIE_SWEEPS = 8
FINE_TUNE_RATE = 2e-5  # of Adam; a fiftieth of training's, so that only roundings move


def quantized(
    model: Any,
    training: Images,
    seed: int,
    *,
    io: str = "int8",
    allow_float: bool = False,
) -> bytes:
    """Quantizes any network that the converter accepts, with quantization ranges taken from images.

    Args:
        model: A Keras 2 or Keras 3 model from (N, H, W, 1) to logits.
        training: Images that set the ranges.
        seed: Seed of their choice.
        io: Type of input and output.
        allow_float: Whether operators without an int8 kernel may stay float.

    Returns:
        The model's bytes.
    """
    x = as_input(training.sample(RANGE_IMAGES, seed).images_u8)
    return export.to_int8(model, x, io=io, allow_float=allow_float)


def post_training(
    operations: Sequence[Operation], training: Images, seed: int, *, io: str = "int8"
) -> bytes:
    """Quantizes a folded network to int8 without training; see `quantized`.

    Args:
        operations: The folded network, see `folding.fold`.
        training: Images that set the ranges.
        seed: Seed of their choice.
        io: Type of input and output.
    """
    return quantized(keras2.build_twin(operations), training, seed, io=io)


def post_training_corrected(
    operations: Sequence[Operation], training: Images, seed: int, *, io: str = "int8"
) -> bytes:
    """Quantizes without training and corrects the last bias until each logit keeps its mean.

    Rounding shifts each output a little, always in the same direction (Nagel et al. 2019, "Data-free
    quantization", section 4.2), and a class whose logit sinks loses images. The shift is measured on training
    images and subtracted from the last bias, which costs nothing on the device.

    The arguments are those of `post_training`.
    """
    flatbuffer = post_training(operations, training, seed)
    shift = mean_shift(flatbuffer, keras2.build_twin(operations), training, seed)
    _, bias = operations[-1].weights
    corrected = [*operations[:-1], replace(operations[-1], bias=bias - shift)]
    return post_training(corrected, training, seed, io=io)


def output_range(float_logits: np.ndarray) -> tuple[float, float]:
    """Finds the range of the output that decides between classes, from the second-largest logits.

    An int8 output has 256 steps for all logits. With a range from the smallest to the largest logit the steps
    are so coarse that close rivals fall on the same one, and nearly all answers that int8 changes are such
    ties. The two largest logits of an image decide, so only the range in which a second-largest logit occurs
    must be resolved. A logit below the range may saturate, because it cannot win; the largest logit may
    saturate above it, because no rival reaches there.

    Args:
        float_logits: Logits of training images, shape (N, C).

    Returns:
        The smallest and largest logit that the output should represent.
    """
    second = np.sort(float_logits, axis=1)[:, -2]
    # One image in a thousand may saturate below, where its answer is far ahead; above hardly any may.
    low, high = np.quantile(second, [0.001, 0.9999])
    headroom = 0.1 * (high - low)  # for images that are harder than the training images
    return float(low - headroom), float(high + headroom)


def tie_offsets(float_logits: np.ndarray, step: float, seed: int) -> np.ndarray:
    """Finds offsets of the outputs, of about a step at most, with which ties favour no class.

    If two classes share the largest step of the output, the class with the lower number is the answer. So the
    last of several similar classes (Shirt, after T-shirt/top, Pullover, Dress and Coat) loses every tie.
    Between two classes, an offset of half a step would put the decision boundary where the float network has
    it. For more classes the offsets that change the fewest answers are found by trying, class after class.

    Rounding is simulated on training images whose two largest logits are close. All logits of an image get
    many random shifts in common: a shift does not change the float answer, but it changes the rounding.

    Args:
        float_logits: Logits of training images, shape (N, C).
        step: Distance of neighbouring outputs, in logits.
        seed: Seed of the random shifts.

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
    on_progress: OnStageProgress = ignore_stage_progress,
) -> bytes:
    """Quantizes with the output range cut and ties evened, with or without fine-tuning.

    Args:
        operations: The folded float network.
        training: Images that set the ranges and that are fine-tuned on.
        training_logits: The float network's logits of these images, shape (N, C).
        class_weights: The class weights of the training, shape (C,).
        augmentation: The augmentation of the training.
        seed: Seed of the images that set the ranges, and of the order and augmentation of the fine-tuning.
        epochs: Epochs of quantization-aware fine-tuning; 0 leaves it out.
        io: Type of input and output.
        on_progress: Called with (stage, step, steps) after each step.

    Returns:
        The model's bytes.
    """
    x = as_input(training.sample(RANGE_IMAGES, seed).images_u8)
    teacher = keras2.build_twin(operations)
    low, high = output_range(training_logits)
    student = keras2.quantization_aware(teacher, x, (low, high))
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
            on_step=partial(on_progress, "Fine-tuning towards int8"),
        )
    shift = mean_shift(export.to_int8(student), teacher, training, seed)
    offsets = tie_offsets(training_logits, (high - low) / 255, seed)
    keras2.shift_last_bias(student, offsets - shift)
    return export.to_int8(student, io=io)


def mean_shift(
    flatbuffer: bytes, teacher: keras2.tf_keras.Model, training: Images, seed: int
) -> np.ndarray:
    """Measures the mean by which each output of an int8 model differs from the float network's.

    Args:
        flatbuffer: An int8 model.
        teacher: The folded float network.
        training: Images to measure on.
        seed: Seed of their choice. Images other than those that set the ranges are drawn, so that the ranges
            are met as they will be met later.

    Returns:
        float32, shape (C,), in logits.
    """
    sample = training.sample(CORRECTION_IMAGES, seed + 1)
    rounded = logits_of(flatbuffer, sample.images_u8)
    real = keras2.predict_logits(teacher, as_input(sample.images_u8))
    output = read_contents(flatbuffer).outputs[0]
    quantization = Quantization(np.dtype(np.int8), output.scales[0], output.zero_points[0])
    lowest, highest = quantization.dequantize(np.array([-128, 127], np.int8))
    # What saturates is cut on purpose, so only values within the range tell of a shift.
    return (rounded - real.clip(lowest, highest)).mean(axis=0).astype(np.float32)
