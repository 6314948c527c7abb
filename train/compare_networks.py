"""Compares networks by their answers to the same images: who is right where, and what recall costs.

A comparison image by image shows smaller differences than one of stored figures, see `compare`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from garmentlite.train.compare import STANDARD_ERRORS


@dataclass(frozen=True)
class Paired:
    """The images of a class on which two networks differ.

    Attributes:
        label: The class, or "all classes".
        images: Number of images of the class.
        lost: Number of images that only the first network recognises.
        gained: Number of images that only the other network recognises.
    """

    label: str
    images: int
    lost: int
    gained: int

    @property
    def may_be_chance(self) -> bool:
        """Whether chance alone may explain it (McNemar's test at two standard errors)."""
        error = math.sqrt(self.lost + self.gained)
        return not abs(self.gained - self.lost) > STANDARD_ERRORS * error

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the counts."""
        return asdict(self) | {"may_be_chance": self.may_be_chance}


@dataclass(frozen=True)
class TradeOff:
    """The accuracy that the recall of one class costs, if an offset is added to its output alone.

    Attributes:
        recall: Every value that the recall of the class can have, float64, shape (M,), rising.
        accuracy: The highest accuracy with that recall, float64, shape (M,).
        here: Recall and accuracy of the network without an offset.
    """

    recall: np.ndarray
    accuracy: np.ndarray
    here: tuple[float, float]


def paired(
    y_true: np.ndarray, logits: np.ndarray, other: np.ndarray, labels: Sequence[str]
) -> list[Paired]:
    """Counts the images on which one of two networks is right and the other wrong.

    Args:
        y_true: Class numbers, shape (N,).
        logits: Logits of the first network, shape (N, C).
        other: Logits of the other network on the same images, shape (N, C).
        labels: The C class names.

    Returns:
        One entry for each class, then one for all classes.
    """
    right, right_other = (answers.argmax(axis=1) == y_true for answers in (logits, other))
    counts = [
        np.bincount(y_true[chosen], minlength=len(labels)).tolist()
        for chosen in (slice(None), right & ~right_other, right_other & ~right)
    ]
    rows = [Paired(*row) for row in zip(labels, *counts, strict=True)]
    return [*rows, Paired("all classes", *map(sum, counts))]


def trade_off(y_true: np.ndarray, logits: np.ndarray, class_id: int) -> TradeOff:
    """Computes recall and accuracy for every offset of one output at which an answer changes.

    Args:
        y_true: Class numbers, shape (N,); at least one of the class.
        logits: Shape (N, C).
        class_id: Number of the class.
    """
    own = logits[:, class_id].astype(np.float64)
    rivals = logits.astype(np.float64)
    rivals[:, class_id] = -np.inf
    of_class = y_true == class_id
    right_without = rivals.argmax(axis=1) == y_true  # never one of the class
    order = np.argsort(rivals.max(axis=1) - own, kind="stable")
    # After step i the i nearest images are answered with the class, all others with their best rival.
    recognised = np.concatenate(([0], np.cumsum(of_class[order])))
    change = of_class[order].astype(np.int64) - right_without[order]
    right = right_without.sum() + np.concatenate(([0], np.cumsum(change)))
    best = np.zeros(int(of_class.sum()) + 1, np.int64)
    np.maximum.at(best, recognised, right)
    predicted = logits.argmax(axis=1)
    return TradeOff(
        recall=np.arange(len(best)) / of_class.sum(),
        accuracy=best / len(y_true),
        here=(float((predicted[of_class] == class_id).mean()), float((predicted == y_true).mean())),
    )
