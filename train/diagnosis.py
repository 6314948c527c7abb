"""What can be seen to be wrong with a training run, and its likely cause.

A network that stays at chance looks the same whatever the reason. Two cheap measurements tell the reasons
apart: the loss before the first step, and how far the mean image of each class gets as a classifier. That
classifier needs no training: where even it fails, the labels do not belong to the images; where it works and
the network does not, the network or its learning rate is at fault.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.errors import DataError, TrainingError

if TYPE_CHECKING:
    from garmentlite.train.fit import Epoch

PATIENCE_AT_CHANCE = 2  # epochs; every network here is above 70% after the first one

# Fashion-MNIST: the mean images get 68%, on shuffled labels 10%.
_LABELS_FIT_ABOVE = 2.0  # times chance

# ln(C) is the loss of a network that says nothing yet. A fresh one here has at most 1.3 times that; with
# pixels up to 255 in place of 1 it has tens to hundreds of times that.
_START_LOSS_LIMIT = 4.0

_RISE = 1.02  # the validation loss has risen if the last one is this many times the lowest


def require_trainable(
    x: np.ndarray, y: np.ndarray, x_validation: np.ndarray, y_validation: np.ndarray, classes: int
) -> None:
    """Refuses images and labels that nothing can be learned from.

    Args:
        x: Images to train on, shape (N, H, W).
        y: Their class numbers, shape (N,).
        x_validation: Images that select, shape (M, H, W).
        y_validation: Their class numbers, shape (M,).
        classes: Number of classes.

    Raises:
        DataError: If images are not uint8, images and labels are not as many, a label is not in
            [0, classes), or a part is empty.
    """
    for part, images, labels in (("training", x, y), ("validation", x_validation, y_validation)):
        if images.dtype != np.uint8:
            raise DataError(
                f"The {part} images are {images.dtype} with values up to {images.max(initial=0):g}, "
                "expected uint8 from 0 to 255; they are scaled to [0, 1] once, by the training itself."
            )
        if len(images) != len(labels) or not len(images):
            raise DataError(
                f"There are {len(images)} {part} images and {len(labels)} labels, expected as many of one "
                "as of the other, and at least one."
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise DataError(
                f"The {part} labels go from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}."
            )


def doubts_about_labels(
    x: np.ndarray, y: np.ndarray, x_validation: np.ndarray, y_validation: np.ndarray, classes: int
) -> str:
    """Says whether the labels seem not to belong to the images; an empty string if all is well.

    Args:
        x: uint8 images to train on, shape (N, H, W).
        y: Their class numbers, shape (N,).
        x_validation: uint8 images that select, shape (M, H, W).
        y_validation: Their class numbers, shape (M,).
        classes: Number of classes.
    """
    means = _class_means(x, y, classes)
    on_training = _nearest_mean_accuracy(means, x, y)
    on_validation = _nearest_mean_accuracy(means, x_validation, y_validation)
    needed = _LABELS_FIT_ABOVE / classes
    if on_training < needed:
        return (
            f"The mean image of each class recognises {on_training:.0%} of the training images, chance is "
            f"{1 / classes:.0%}: the labels seem not to belong to the images (another order, or shuffled)."
        )
    if on_validation < needed:
        return (
            f"The mean image of each class recognises {on_training:.0%} of the training images and "
            f"{on_validation:.0%} of those for validation: the two seem to be numbered differently."
        )
    return ""


def doubts_about_start(loss: float, classes: int) -> str:
    """Says whether the loss before the first step is that of a sound network; empty if it is.

    Args:
        loss: Mean cross entropy of the untrained network on clean images, in nats.
        classes: Number of classes.
    """
    expected = math.log(classes)
    if loss <= _START_LOSS_LIMIT * expected:
        return ""
    return (
        f"Before the first step the loss is {loss:.3g}, a network that knows nothing has about "
        f"{expected:.2f}: its input is probably not scaled to [0, 1], or its initial weights are too large."
    )


def require_progress(
    history: Sequence[Epoch], classes: int, images: int, answers: int, doubts: str
) -> None:
    """Stops a run that cannot come to anything.

    Args:
        history: Epochs so far, at least one.
        classes: Number of classes.
        images: Number of validation images.
        answers: How many different classes the network names on them.
        doubts: What was doubted before the first step; named as the cause where there is any.

    Raises:
        TrainingError: If the loss is no number, or the network stays at chance.
    """
    last = history[-1]
    if not (math.isfinite(last.loss) and math.isfinite(last.val_loss)):
        raise TrainingError(
            f"The loss is no number after epoch {last.epoch}: "
            + (
                doubts
                or "the learning rate is probably too high; try a smaller --learning-rate than "
            )
            + ("" if doubts else f"{last.learning_rate:g}.")
        )
    chance = 1 / classes
    # Four standard deviations of a network that guesses.
    limit = chance + 4 * math.sqrt(chance * (1 - chance) / images)
    recent = history[-PATIENCE_AT_CHANCE:]
    if len(recent) < PATIENCE_AT_CHANCE or any(epoch.val_accuracy > limit for epoch in recent):
        return
    if doubts:
        cause = doubts
    elif last.train_accuracy > 2 * limit:
        cause = (
            f"It recognises {last.train_accuracy:.0%} of the training images, so the validation images are "
            "other than those, or numbered differently."
        )
    elif answers == 1:
        cause = (
            "It gives every image the same answer: its ReLUs are dead or its weights have run away, mostly "
            f"from too high a learning rate; try a smaller --learning-rate than {last.learning_rate:g}."
        )
    else:
        cause = (
            "The images can be told apart by their class means, so the network does not learn: try another "
            f"--learning-rate than {last.learning_rate:g}."
        )
    raise TrainingError(
        f"The network is at chance after {last.epoch} epochs ({last.val_accuracy:.1%} of the validation "
        f"images). {cause}"
    )


@dataclass(frozen=True)
class Overfitting:
    """How much better the kept weights are on images they were trained on.

    Attributes:
        epoch: Of the weights kept.
        train_accuracy: On clean training images.
        val_accuracy: On validation images.
        began: First epoch after which the validation loss rose to the end of the run while the loss on
            clean training images fell; None if it never did.
    """

    epoch: int
    train_accuracy: float
    val_accuracy: float
    began: int | None

    @property
    def sentence(self) -> str:
        """The same in words."""
        gap = (self.train_accuracy - self.val_accuracy) * 100
        kept = (
            f"Kept: epoch {self.epoch}, {self.train_accuracy:.2%} on clean training images and "
            f"{self.val_accuracy:.2%} on validation, a gap of {gap:.1f} points."
        )
        if self.began is None:
            return f"{kept} The validation loss did not rise."
        return (
            f"{kept} Overfitting began after epoch {self.began}: from there the loss fell on training "
            "images and rose on validation images."
        )

    def as_document(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return asdict(self)


def overfitting(history: Sequence[Epoch]) -> Overfitting:
    """The gap at the weights kept, and where the validation loss turned.

    Args:
        history: A run's epochs, at least one of them the best.
    """
    kept = [epoch for epoch in history if epoch.best][-1]
    lowest = min(
        (epoch for epoch in history if math.isfinite(epoch.val_loss)),
        key=lambda epoch: epoch.val_loss,
    )
    last = history[-1]
    turned = last.val_loss > _RISE * lowest.val_loss and last.train_loss < lowest.train_loss
    return Overfitting(
        kept.epoch, kept.train_accuracy, kept.val_accuracy, lowest.epoch if turned else None
    )


def start_loss(y: np.ndarray, logits: np.ndarray) -> float:
    """Mean cross entropy, in nats; infinite where it is no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss = metrics.log_loss(y, logits)
    return loss if math.isfinite(loss) else math.inf


def _class_means(x: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Float64, shape (C, H * W); infinitely far for a class without images."""
    flat = x.reshape(len(x), -1)
    means = np.full((classes, flat.shape[1]), np.inf)
    for class_id in np.unique(y):
        means[class_id] = flat[y == class_id].mean(axis=0)
    return means


def _nearest_mean_accuracy(means: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    known = np.flatnonzero(np.isfinite(means).all(axis=1))
    flat = x.reshape(len(x), -1).astype(np.float32)
    candidates = means[known].astype(np.float32)
    # The square of the distance, without the part that is the same for every class.
    distances = (candidates**2).sum(axis=1) - 2 * flat @ candidates.T
    return float((known[distances.argmin(axis=1)] == y).mean())
