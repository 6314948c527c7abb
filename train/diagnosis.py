"""Stops a training run that cannot succeed, and names the likely cause.

A network that stays at chance looks the same whatever the reason. Two cheap measurements tell the reasons
apart: the loss before the first step, and the accuracy of a classifier that compares an image with the mean
image of each class. That classifier needs no training. If it fails, the labels do not belong to the images;
if it works and the network does not, the network or its learning rate is at fault.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.errors import DataError, TrainingError
from garmentlite.train.history import Epoch

PATIENCE_AT_CHANCE = 2  # epochs; every network here reaches 70% in the first one

# On Fashion-MNIST the mean images reach 68%, with shuffled labels 10%.
_LABELS_FIT_ABOVE = 2.0  # times the accuracy of chance

# ln(C) is the loss of uniform answers. An untrained network here has at most 1.3 times that; with pixels up
# to 255 in place of 1 it has tens to hundreds of times that.
_START_LOSS_LIMIT = 4.0

_RISE = 1.02  # the validation loss has risen if the last value is this many times the lowest


def require_trainable(
    x: np.ndarray, y: np.ndarray, x_validation: np.ndarray, y_validation: np.ndarray, classes: int
) -> None:
    """Refuses images and labels that nothing can be learned from.

    Args:
        x: Images to train on, shape (N, H, W).
        y: Their class numbers, shape (N,).
        x_validation: Validation images, shape (M, H, W).
        y_validation: Their class numbers, shape (M,).
        classes: Number of classes.

    Raises:
        DataError: If images are not uint8, the numbers of images and labels differ, a label is not in
            [0, classes), or a part is empty.
    """
    for part, images, labels in (("training", x, y), ("validation", x_validation, y_validation)):
        if images.dtype != np.uint8:
            raise DataError(
                f"The {part} images are {images.dtype} with values up to {images.max(initial=0):g}, "
                "expected uint8 from 0 to 255; leave the scaling to [0, 1] to the training."
            )
        if len(images) != len(labels) or not len(images):
            raise DataError(
                f"There are {len(images)} {part} images and {len(labels)} labels, expected equal numbers and "
                "at least one of each."
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise DataError(
                f"The {part} labels go from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}."
            )


def doubts_about_labels(
    x: np.ndarray, y: np.ndarray, x_validation: np.ndarray, y_validation: np.ndarray, classes: int
) -> str:
    """Describes why the labels seem not to belong to the images; an empty string if they do belong.

    Args:
        x: Training images, uint8, shape (N, H, W).
        y: Their class numbers, shape (N,).
        x_validation: Validation images, uint8, shape (M, H, W).
        y_validation: Their class numbers, shape (M,).
        classes: Number of classes.
    """
    means = _class_means(x, y, classes)
    on_training = _nearest_mean_accuracy(means, x, y)
    on_validation = _nearest_mean_accuracy(means, x_validation, y_validation)
    needed = _LABELS_FIT_ABOVE / classes
    if on_training < needed:
        return (
            f"The labels seem not to belong to the images (in another order, or shuffled): the nearest mean "
            f"image of a class is right for {on_training:.0%} of the training images, chance is "
            f"{1 / classes:.0%}."
        )
    if on_validation < needed:
        return (
            "The classes of the training and the validation images seem to be numbered differently: the "
            f"nearest mean image of a class is right for {on_training:.0%} of the training images and "
            f"{on_validation:.0%} of the validation images."
        )
    return ""


def doubts_about_start(loss: float, classes: int) -> str:
    """Describes why the loss before the first step is too high; an empty string if it is not.

    Args:
        loss: Mean cross entropy of the untrained network on clean images, in nats.
        classes: Number of classes.
    """
    expected = math.log(classes)
    if loss <= _START_LOSS_LIMIT * expected:
        return ""
    return (
        f"The loss before the first step is {loss:.3g}, expected about {expected:.2f} as for uniform "
        "answers: the input is probably not scaled to [0, 1], or the initial weights are too large."
    )


def require_progress(
    history: Sequence[Epoch], classes: int, images: int, answers: int, doubts: str
) -> None:
    """Stops a run that cannot succeed.

    Args:
        history: The epochs so far, at least one.
        classes: Number of classes.
        images: Number of validation images.
        answers: Number of different classes that the network answers with on the validation images.
        doubts: What looked wrong before the first step; it is named as the cause.

    Raises:
        TrainingError: If the loss is NaN or infinite, or the accuracy stays at chance.
    """
    last = history[-1]
    if not (math.isfinite(last.loss) and math.isfinite(last.val_loss)):
        cause = doubts or (
            "The learning rate is probably too high; try a smaller --learning-rate than "
            f"{last.learning_rate:g}."
        )
        raise TrainingError(f"The loss is NaN or infinite after epoch {last.epoch}. {cause}")
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
            f"It recognises {last.train_accuracy:.0%} of the training images, so the validation images show "
            "other things, or their classes are numbered differently."
        )
    elif answers == 1:
        cause = (
            "It gives every image the same answer: its ReLUs are dead or its weights have diverged, in most "
            f"cases by too high a learning rate; try a smaller --learning-rate than {last.learning_rate:g}."
        )
    else:
        cause = (
            "The mean images of the classes tell the images apart, so the network itself does not learn; try "
            f"another --learning-rate than {last.learning_rate:g}."
        )
    raise TrainingError(
        f"The accuracy is at chance after {last.epoch} epochs ({last.val_accuracy:.1%} of the validation "
        f"images). {cause}"
    )


@dataclass(frozen=True)
class Overfitting:
    """How much better the kept weights are on the training images than on others.

    Attributes:
        epoch: Epoch of the weights that are kept.
        train_accuracy: Accuracy on clean training images.
        val_accuracy: Accuracy on the validation images.
        began: Epoch after which the validation loss rose until the end of the run while the loss on clean
            training images fell; None if there was none.
    """

    epoch: int
    train_accuracy: float
    val_accuracy: float
    began: int | None

    @property
    def sentence(self) -> str:
        """The figures in words."""
        gap = (self.train_accuracy - self.val_accuracy) * 100
        kept = (
            f"Kept: epoch {self.epoch}, accuracy {self.train_accuracy:.2%} on clean training images and "
            f"{self.val_accuracy:.2%} on validation images, a gap of {gap:.1f} points."
        )
        if self.began is None:
            return f"{kept} The validation loss did not rise."
        return (
            f"{kept} Overfitting began after epoch {self.began}: from then on the loss fell on training "
            "images and rose on validation images."
        )

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the figures."""
        return asdict(self)


def overfitting(history: Sequence[Epoch]) -> Overfitting:
    """Measures the gap of the kept weights and finds the epoch at which the validation loss turned.

    Args:
        history: The epochs of a run; at least one of them is the best.
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
    """Computes the mean cross entropy, in nats; infinite in place of NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss = metrics.log_loss(y, logits)
    return loss if math.isfinite(loss) else math.inf


def _class_means(x: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Computes each class's mean image, float64, shape (C, H * W); infinite for a class without images."""
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
