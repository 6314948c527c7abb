"""Schedules: the learning rate of each epoch, which epoch is kept, and when a run ends early.

A new schedule is one class and one entry in `SCHEDULES`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from garmentlite.train.history import Epoch, epochs_since_best, epochs_since_change

# Shares of the epochs after which "plateau" lowers the learning rate in any case.
FALLS_AT = (0.65, 0.85)
WARM_UP_EPOCHS = 2  # epochs in which "cosine" rises to the full learning rate


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """The learning rate over a run.

    Attributes:
        learning_rate: The highest learning rate.
        epochs: Maximum number of epochs.
        reduce_after: Number of epochs without a better validation loss after which "plateau" lowers the
            learning rate.
        reduce_by: Factor by which it lowers the rate.
        stop_after: Number of epochs without a better validation loss after which it stops the run.
        keeps_last_epoch: Whether the weights of the last epoch are kept in place of those with the lowest
            validation loss.
    """

    keeps_last_epoch: ClassVar[bool] = False

    learning_rate: float
    epochs: int
    reduce_after: int
    reduce_by: float
    stop_after: int

    @abstractmethod
    def highest_rate(self, epoch: int) -> float:
        """Returns the highest learning rate allowed in an epoch, counted from 0."""

    def next_rate(self, history: Sequence[Epoch]) -> float:
        """Returns the learning rate of the epoch that follows a history."""
        return self.highest_rate(len(history))

    def why_ended(self, history: Sequence[Epoch]) -> str:
        """Says why training ends after a history; an empty string while it goes on."""
        return "all epochs done" if len(history) >= self.epochs else ""


class Constant(Schedule):
    """One learning rate for all epochs; no early stopping."""

    def highest_rate(self, epoch: int) -> float:
        """See `Schedule.highest_rate`."""
        return self.learning_rate


class Cosine(Schedule):
    """The rate warms up, then falls to nothing along a cosine; every epoch is run and the last is kept.

    Before the end the validation loss may be lower, because the network is less confident there. But more
    answers are wrong then, and a temperature corrects the confidence.
    """

    keeps_last_epoch = True

    def highest_rate(self, epoch: int) -> float:
        """See `Schedule.highest_rate`."""
        warm = min(1.0, (epoch + 1) / (WARM_UP_EPOCHS + 1))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))


class Plateau(Schedule):
    """The rate falls when the validation loss stops falling; early stopping.

    The rate falls after the shares `FALLS_AT` of the epochs in any case, so that a run of any length ends
    on small steps.
    """

    def highest_rate(self, epoch: int) -> float:
        """See `Schedule.highest_rate`."""
        falls = sum(epoch >= share * self.epochs for share in FALLS_AT)
        return self.learning_rate * self.reduce_by**falls

    def next_rate(self, history: Sequence[Epoch]) -> float:
        """See `Schedule.next_rate`."""
        highest = self.highest_rate(len(history))
        if not history:
            return highest
        rate = history[-1].learning_rate
        if epochs_since_change(history) >= self.reduce_after:
            rate *= self.reduce_by
        return min(rate, highest)

    def why_ended(self, history: Sequence[Epoch]) -> str:
        """See `Schedule.why_ended`."""
        if epochs_since_best(history) >= self.stop_after:
            return f"no better for {self.stop_after} epochs"
        return super().why_ended(history)


SCHEDULES: Mapping[str, type[Schedule]] = {
    "plateau": Plateau,
    "cosine": Cosine,
    "constant": Constant,
}
