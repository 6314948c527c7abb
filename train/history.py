"""The history of a training run: the figures of each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        learning_rate: Learning rate during this epoch.
        seconds: Wall time of the epoch with its validation.
        loss: Weighted mean cross entropy over the augmented training images, with dropout, in nats. With
            soft targets it cannot fall below the entropy of the targets.
        accuracy: Unweighted accuracy on the same images; an image of none of the classes counts as right.
        train_loss: Weighted mean cross entropy on some clean training images, measured like `val_loss`.
        train_accuracy: Unweighted accuracy on the same images.
        val_loss: Weighted mean cross entropy on the validation images.
        val_accuracy: Unweighted accuracy on the validation images.
        val_recall: Recall per class on the validation images, in the order of the labels; None for a class
            without images.
        best: Whether the weights of this epoch became the ones to keep: its selection loss is the lowest so
            far, or the schedule keeps its last epoch.
        photo_loss: Like `val_loss`, on the held-out photographs; None unless the run trains on photographs
            together with Fashion-MNIST.
        photo_accuracy: Share of the held-out photographs that are recognised; a photograph in which no
            garment was found is not.
        photo_recall: The same share for each group of labels.
    """

    epoch: int
    learning_rate: float
    seconds: float
    loss: float
    accuracy: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_recall: list[float | None]
    best: bool
    photo_loss: float | None = None
    photo_accuracy: float | None = None
    photo_recall: list[float | None] | None = None

    @property
    def selection_loss(self) -> float:
        """The loss that decides which weights are kept: `val_loss`, or its mean with `photo_loss`."""
        return self.val_loss if self.photo_loss is None else (self.val_loss + self.photo_loss) / 2

    def in_words(self) -> str:
        """Describes the epoch in one line for the terminal."""
        photographs = ""
        if self.photo_loss is not None:
            photographs = f", photographs {self.photo_loss:.4f}, {self.photo_accuracy:.2%}"
        return (
            f"epoch {self.epoch:3d}: loss {self.loss:.4f}, validation loss {self.val_loss:.4f}, "
            f"accuracy {self.val_accuracy:.2%}{photographs}, {self.seconds:.0f} s"
        )


def epochs_since_best(history: Sequence[Epoch]) -> int:
    """Counts the epochs after the best one; 0 for an empty history."""
    return next((i for i, epoch in enumerate(reversed(history)) if epoch.best), 0)


def epochs_since_change(history: Sequence[Epoch]) -> int:
    """Counts the epochs after the best one or the last change of the learning rate, the later one."""
    rates = [epoch.learning_rate for epoch in history]
    at_this_rate = next(
        (i for i, rate in enumerate(reversed(rates)) if rate != rates[-1]), len(rates)
    )
    return min(epochs_since_best(history), at_this_rate)
