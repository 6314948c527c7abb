"""Reaching a wanted recall of one class by an offset of its output, chosen on validation images.

The offset is added to the last bias: it costs nothing on the device, and it moves the border between
this class and the others and no other border. What the class gains, its neighbours pay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge import metrics
from edge.errors import OptionError
from edge.labels import class_id_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Target:
    """A class and the recall it is to reach.

    Attributes:
        label: Its name.
        class_id: Its number.
        recall: In (0, 1).
    """

    label: str
    class_id: int
    recall: float


@dataclass(frozen=True)
class Outcome:
    """What the offset did, on the validation images.

    Attributes:
        label: The class.
        target: The recall that was wanted.
        offset: What was added to its logit.
        recall: Of the class, before and after.
        macro_recall: Mean recall of all classes, before and after.
        accuracy: Before and after.
        paid: The class that lost most recall by it.
        paid_recall: Its recall, before and after.
    """

    label: str
    target: float
    offset: float
    recall: tuple[float, float]
    macro_recall: tuple[float, float]
    accuracy: tuple[float, float]
    paid: str
    paid_recall: tuple[float, float]

    def as_document(self) -> dict[str, Any]:
        """The outcome as JSON can hold it."""
        return asdict(self)


def parse(option: str, labels: Sequence[str]) -> Target:
    """Reads "NAME=RECALL".

    Raises:
        OptionError: If it is not of that form, the class is unknown, or the recall is not in (0, 1).
    """
    name, _, share = option.rpartition("=")
    try:
        recall = float(share)
    except ValueError:
        recall = math.nan
    if not name or not 0 < recall < 1:
        raise OptionError(
            f"--target-recall takes NAME=RECALL with a recall between 0 and 1, got '{option}'; write for "
            "example --target-recall Shirt=0.9."
        )
    class_id = class_id_of(name, labels)
    return Target(labels[class_id], class_id, recall)


def offset_for(target: Target, y_true: np.ndarray, logits: np.ndarray) -> float:
    """The smallest offset with which a class has the wanted recall; 0 where it has it already.

    Args:
        target: The class and its recall.
        y_true: Class numbers, shape (N,); at least one of the class.
        logits: Shape (N, C).

    Returns:
        What to add to the logit of the class, at least 0.
    """
    own = logits[y_true == target.class_id].astype(np.float64)
    rivals = np.delete(own, target.class_id, axis=1).max(axis=1)
    behind = np.sort(
        rivals - own[:, target.class_id]
    )  # how far each image is from being recognised
    last = behind[math.ceil(target.recall * len(behind)) - 1]
    # A little more than needed: on a tie the class with the lower number wins.
    return max(0.0, float(last) + 1e-3)


def apply(
    target: Target,
    model: keras.Model,
    y_true: np.ndarray,
    logits: np.ndarray,
    labels: Sequence[str],
) -> Outcome:
    """Adds the offset to the last bias of a network, in place.

    Args:
        target: The class and its recall.
        model: A network that ends in a dense layer of logits.
        y_true: Class numbers of the validation images, shape (N,).
        logits: What the network gives for them, shape (N, C).
        labels: Class names in the order of their numbers.

    Returns:
        What it did on these images.
    """
    offset = offset_for(target, y_true, logits)
    shift = np.zeros(logits.shape[1], np.float32)
    shift[target.class_id] = offset
    bias = model.layers[-1].bias
    bias.assign(np.asarray(bias) + shift)
    before, after = (
        metrics.confusion_matrix(y_true, answers.argmax(axis=1), len(labels))
        for answers in (logits, logits + shift)
    )
    recalls = [metrics.recall_per_class(matrix) for matrix in (before, after)]
    paid = int(np.nanargmax(recalls[0] - recalls[1]))
    return Outcome(
        label=target.label,
        target=target.recall,
        offset=offset,
        recall=(float(recalls[0][target.class_id]), float(recalls[1][target.class_id])),
        macro_recall=(float(np.nanmean(recalls[0])), float(np.nanmean(recalls[1]))),
        accuracy=(metrics.accuracy(before), metrics.accuracy(after)),
        paid=labels[paid],
        paid_recall=(float(recalls[0][paid]), float(recalls[1][paid])),
    )
