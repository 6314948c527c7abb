"""Refuses a network that does no better than guessing on labelled images, and looks for the cause.

Two mistakes make a good network look as if it guessed: its pixels have another range than it was
trained with, and its outputs stand for the classes in another order, often the alphabetical order of
their folders. Both are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.convert.material import Images
from garmentlite.convert.network import Network
from garmentlite.edge import metrics
from garmentlite.edge.errors import CheckFailedError
from garmentlite.edge.model_input import RANGES, InputRange

IMAGES = 1000  # images tried; the mean recall of ten classes is then known to within 3 points
# A network is at chance below this share of the way from guessing to answering everything right.
_SHARE_ABOVE_CHANCE = 0.1
# Another range or order is the cause if it leaves at most this share of the wrong answers.
_SHARE_LEFT = 0.5


@dataclass(frozen=True)
class _Trial:
    """How well the network does with a range of its input, and with classes in an order.

    Attributes:
        input_range: The numbers that stand for the pixels.
        order: The class number of each output, shape (C,).
        recall: Recall averaged over the classes, in [0, 1].
        error: Standard error of the mean recall.
    """

    input_range: InputRange
    order: np.ndarray
    recall: float
    error: float

    @property
    def is_in_order(self) -> bool:
        return bool((self.order == np.arange(len(self.order))).all())


def require_better_than_chance(
    network: Network, images: Images, labels: Sequence[str], seed: int
) -> None:
    """Checks that a network recognises the classes of images.

    Args:
        network: The network as it is converted.
        images: Labelled images that no weight was taken from.
        labels: The class names in the order in which the outputs are taken.
        seed: Seed of the choice of images.

    Raises:
        CheckFailedError: If it is at chance, or if it does far better with another range or order.
    """
    chosen = images.sample(IMAGES, seed)
    counts = np.bincount(chosen.y, minlength=len(labels))
    shown = int((counts > 0).sum())
    if shown < 2:
        return  # a network that always gives the same answer would be right
    now, *others = [
        trial
        for one in _ranges_from(network.adapted.input_range)
        for trial in _trials(network, one, chosen, counts)
    ]
    mending = [one for one in others if _mends(one, now)]
    if mending:
        best = max(mending, key=lambda one: one.recall)
        simplest = next(one for one in mending if not _differ(one, best))
        raise CheckFailedError(_cause(network, len(chosen.y), labels, now, simplest))
    chance = 1 / shown
    if now.recall + 2 * now.error < chance + _SHARE_ABOVE_CHANCE * (1 - chance):
        raise CheckFailedError(
            f"{_result(network, len(chosen.y), now)}, and guessing gives {chance:.0%}, so nothing was "
            f"written; no other range of pixels ({', '.join(RANGES)}) and no other order of the "
            "classes does much better. Check that the file holds the trained weights and that the images are "
            "prepared as in its training. If the network is for other classes, name them with --labels and "
            "give grey pictures of them with --calibration. If it is untrained on purpose, let --calibration "
            "name a folder of grey pictures without subfolders; then the network is not judged."
        )


def _differ(one: _Trial, other: _Trial) -> bool:
    """Whether two trials differ by more than chance explains: by three standard errors."""
    return abs(one.recall - other.recall) > 3 * np.hypot(one.error, other.error)


def _mends(trial: _Trial, now: _Trial) -> bool:
    is_better = 1 - trial.recall <= _SHARE_LEFT * (1 - now.recall)
    return is_better and _differ(trial, now)


def _ranges_from(first: InputRange) -> list[InputRange]:
    return [first, *(one for one in RANGES.values() if one != first)]


def _trials(
    network: Network, input_range: InputRange, images: Images, images_of_class: np.ndarray
) -> list[_Trial]:
    """Tries a range with the classes as they are, and then in the order that fits the answers best."""
    if input_range != network.adapted.input_range:
        network = network.with_input_range(input_range)
    answers = network.predict(images.images_u8).argmax(axis=1)
    matrix = metrics.confusion_matrix(images.y, answers, len(images_of_class))
    orders = [np.arange(len(matrix))]
    if images_of_class.all():
        orders.append(_best_order(matrix / images_of_class[:, np.newaxis]))
    return [_Trial(input_range, order, *_mean_recall(matrix, order)) for order in orders]


def _mean_recall(matrix: np.ndarray, order: np.ndarray) -> tuple[float, float]:
    """Computes the mean recall and its standard error where output i stands for class order[i]."""
    right = np.zeros(len(matrix))
    right[order] = matrix[order, np.arange(len(order))]
    counts = matrix.sum(axis=1)
    right, counts = right[counts > 0], counts[counts > 0]
    # With one right and one wrong image added to each class, no class counts as certain.
    likely = (right + 1) / (counts + 2)
    variance = (likely * (1 - likely) / counts).sum() / len(counts) ** 2
    return float((right / counts).mean()), float(np.sqrt(variance))


def _best_order(recalls: np.ndarray) -> np.ndarray:
    """Gives each output the class that it fits best, the clearest pair first; shape (C,)."""
    left = recalls.copy()
    order = np.zeros(len(left), np.int64)
    for _ in range(len(left)):
        class_id, output = np.unravel_index(int(left.argmax()), left.shape)
        order[output] = class_id
        left[class_id, :] = left[:, output] = -1
    return order


def _result(network: Network, images: int, now: _Trial) -> str:
    return f"{network.path} recognises {now.recall:.0%} of {images:,} images (the mean over the classes)"


def _cause(network: Network, images: int, labels: Sequence[str], now: _Trial, found: _Trial) -> str:
    causes, cures = [], []
    if found.input_range != now.input_range:
        causes.append(
            f"pixels as numbers {found.input_range.name} in place of {now.input_range.name}"
        )
        cures.append(f"give --input-range {found.input_range.name}")
    if not found.is_in_order:
        ordered = [labels[class_id] for class_id in found.order]
        is_sorted = ordered == sorted(labels, key=str.casefold)
        causes.append(
            f"its outputs taken in {'alphabetical order' if is_sorted else 'this order'}: "
            f"{', '.join(ordered)}"
        )
        cures.append(
            "write these labels, one on each line, to a text file and name it with --labels"
        )
    return (
        f"{_result(network, images, now)}, but {found.recall:.0%} with {' and '.join(causes)}; nothing was "
        f"written, {' and '.join(cures)}."
    )
