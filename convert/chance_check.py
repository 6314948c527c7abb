"""Refuses a network that does no better than guessing on labelled images, and names the cause by trying.

Two mistakes make a good network look as if it guessed: its pixels have another range than it was
trained with, and its outputs stand for the classes in another order, often the alphabetical order of
their folders. Both are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.convert.input_range import INPUT_RANGES
from garmentlite.convert.material import Images
from garmentlite.convert.network import Network
from garmentlite.edge import metrics
from garmentlite.edge.errors import CheckFailedError

IMAGES = 1000  # that are tried; the mean recall of ten classes is then known to within 3 points
# At chance: less than this share of the way from guessing to answering everything right.
_SHARE_ABOVE_CHANCE = 0.1
# Another range or order is the cause if it leaves at most this share of the wrong answers.
_SHARE_LEFT = 0.5


@dataclass(frozen=True)
class _Trial:
    """How well the network does with a range of its input, and with classes in an order.

    Attributes:
        input_range: One of `INPUT_RANGES`.
        order: The class number of each output, shape (C,).
        recall: Recall averaged over the classes, in [0, 1].
    """

    input_range: str
    order: np.ndarray
    recall: float

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
    present = counts[counts > 0]
    if len(present) < 2:
        return  # a network that always gives the same answer would be right
    # Two standard errors of the mean recall, for recalls of one half, where they are largest.
    uncertainty = float(np.sqrt((1 / present).sum()) / len(present))
    trials = [
        trial
        for name in _ranges_from(network.adapted.input_range)
        for trial in _trials(network, name, chosen, is_every_class_shown=bool(counts.all()))
    ]
    now, *others = trials
    mending = [
        one
        for one in others
        if 1 - one.recall <= _SHARE_LEFT * (1 - now.recall)
        and one.recall - now.recall > 1.5 * uncertainty  # three standard errors
    ]
    if mending:
        best = max(one.recall for one in mending)
        simplest = next(one for one in mending if best - one.recall <= 1.5 * uncertainty)
        raise CheckFailedError(_cause(network, len(chosen.y), labels, now, simplest))
    chance = 1 / len(present)
    if now.recall + uncertainty < chance + _SHARE_ABOVE_CHANCE * (1 - chance):
        raise CheckFailedError(
            f"{_result(network, len(chosen.y), now)}, and guessing gives {chance:.0%}, so nothing was "
            f"written; no other range of pixels ({', '.join(INPUT_RANGES)}) and no other order of the "
            "classes does much better, so check that the file holds the trained weights and that the "
            "images are prepared as in its training."
        )


def _ranges_from(first: str) -> list[str]:
    return [first, *(name for name in INPUT_RANGES if name != first)]


def _trials(
    network: Network, input_range: str, images: Images, *, is_every_class_shown: bool
) -> list[_Trial]:
    """Tries a range with the classes as they are, and then in the order that fits the answers best."""
    if input_range != network.adapted.input_range:
        network = network.with_input_range(input_range)
    logits = network.predict(images.images_u8)
    recalls = _recall_by_output(images.y, logits)
    orders = [np.arange(logits.shape[1])]
    if is_every_class_shown:
        orders.append(_best_order(recalls))
    return [
        _Trial(input_range, order, float(np.nanmean(recalls[order, np.arange(len(order))])))
        for order in orders
    ]


def _recall_by_output(y_true: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Computes the share of each class's images that each output wins, shape (C, C); NaN without images."""
    classes = logits.shape[1]
    matrix = metrics.confusion_matrix(y_true, logits.argmax(axis=1), classes)
    with np.errstate(invalid="ignore"):
        return matrix / matrix.sum(axis=1, keepdims=True)


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
        causes.append(f"pixels as numbers {found.input_range} in place of {now.input_range}")
        cures.append(f"give --input-range {found.input_range}")
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
