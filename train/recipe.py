"""How a network is trained: everything that decides a run, but for the network, its data and the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from garmentlite.edge.errors import OptionError
from garmentlite.train.augmentation import Augmentation

FALLS_AT = (
    0.65,
    0.85,
)  # "plateau": shares of a run's epochs after which the learning rate has fallen
WARM_UP_EPOCHS = 2  # "cosine": epochs before the full learning rate
FULL_AT_THE_END = (
    1 / 8
)  # share of the epochs, at the end, in which no image rests (InfoBatch's delta)

OPTIMIZERS = ("adam", "sgd", "muon")
SCHEDULES = ("plateau", "cosine", "constant")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training protocol.

    Attributes:
        epochs: At most.
        batch_size: Images a step.
        learning_rate: The largest.
        augmentation: Random changes of the training images.
        optimizer: "adam", "sgd" with Nesterov momentum 0.9, or "muon" (see `train.muon`).
        schedule: "plateau" lowers the learning rate when the validation loss stops falling, and stops
            early; "cosine" warms up and falls to nothing over the epochs, all of which are run and the
            last of which is kept: on the way the loss may be lower, by surer or less sure answers that a
            temperature makes alike, while more of them are wrong; "constant" does neither.
        weight_decay: Of kernels, a step and times the learning rate (decoupled); not of biases and
            batch-norm.
        label_smoothing: Share of every target that is spread over all classes.
        averaging: Momentum of the moving average of the weights that is validated and kept; 0 for the
            weights themselves.
        start_share: Share of the weights that a run began with in those that are validated and kept; a little
            keeps what was known (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
        rest: Share of the easy images (loss below the mean) that an epoch leaves out; those that stay
            count for them (InfoBatch, Qin et al. 2024, arXiv 2303.04947).
        reduce_after: "plateau": epochs without a better validation loss before the learning rate falls;
            at the latest it falls after the shares `FALLS_AT` of the epochs, so that a run of any
            length ends on small steps.
        reduce_by: "plateau": factor of the learning rate then.
        stop_after: "plateau": epochs without a better validation loss before training stops.
    """

    epochs: int = 22
    batch_size: int = 128
    learning_rate: float = 1e-3
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: str = "adam"
    schedule: str = "plateau"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    averaging: float = 0.0
    start_share: float = 0.0
    rest: float = 0.0
    reduce_after: int = 2
    reduce_by: float = 0.3
    stop_after: int = 5

    def __post_init__(self) -> None:
        """Refuses what cannot be trained with."""
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                option = "--" + name.replace("_", "-")
                raise OptionError(f"{option} must be above 0, got {getattr(self, name)}.")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise OptionError(
                    f"A recipe's {name} is one of {', '.join(known)}, got '{getattr(self, name)}'."
                )

    def rate_at(self, epoch: int) -> float:
        """The largest learning rate allowed in an epoch, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "cosine":
            warm = min(1.0, (epoch + 1) / (WARM_UP_EPOCHS + 1))
            return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        falls = sum(epoch >= share * self.epochs for share in FALLS_AT)
        return self.learning_rate * self.reduce_by**falls

    def rests_in(self, epoch: int) -> bool:
        """Whether easy images may rest in an epoch, counted from 0."""
        return self.rest > 0 and epoch < self.epochs * (1 - FULL_AT_THE_END)
