"""A recipe: how a network is trained, apart from the network itself, its data and the seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from garmentlite.edge.errors import OptionError
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.schedule import SCHEDULES, Schedule

FULL_AT_THE_END = 1 / 8  # share of the last epochs in which no image rests (InfoBatch's delta)

OPTIMIZERS = ("adam", "sgd", "muon")

# For photographs without Fashion-MNIST. They are few, so the weights are averaged over fewer steps; not all
# of their labels are right, so a share of every label is spread over all classes.
AVERAGING_ALONE, SMOOTHING_ALONE = 0.97, 0.1
AUGMENTATION_ALONE = Augmentation(shift=0.05, flip=0.5, erase=0.25)  # for recipes without any

# For a run that begins with trained weights: the number of epochs (together with Fashion-MNIST, and alone),
# the share of the network's own learning rate, and the averaging over the steps of so short a run.
ADAPTATION_EPOCHS, ADAPTATION_EPOCHS_ALONE, ADAPTATION_RATE = 12, 20, 0.2
ADAPTATION_AVERAGING = 0.995
# Share of the initial weights in those that are kept, and factor of the loss of Fashion-MNIST's images beside
# photographs. Both make the network forget less of Fashion-MNIST (docs/photographs.md has the figures).
START_SHARE, BESIDE_FACTOR = 0.1, 2.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training protocol.

    Attributes:
        epochs: Maximum number of epochs.
        batch_size: Number of images in a step.
        learning_rate: The highest learning rate.
        augmentation: Random changes of the training images.
        optimizer: "adam", "sgd" with Nesterov momentum 0.9, or "muon" (see `train.muon`).
        schedule: Name of the schedule, see `train.schedule`.
        weight_decay: Decoupled weight decay of the kernels in each step, times the learning rate; biases
            and batch-norm have none.
        label_smoothing: Share of every target that is spread over all classes.
        averaging: Momentum of the moving average of the weights that is validated and kept; 0 keeps the
            weights themselves.
        start_share: Share of the initial weights in those that are validated and kept; a little of them
            keeps what the network had learned before (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
        beside_factor: Factor of the loss of Fashion-MNIST's images if photographs are trained on too.
        rest: Share of the easy images (loss below the mean) that an epoch leaves out; the weights of the
            other easy images are raised to make up for it (InfoBatch, Qin et al. 2024, arXiv 2303.04947).
        reduce_after: Used by the schedule "plateau", see `train.schedule.Schedule`.
        reduce_by: Used by the schedule "plateau".
        stop_after: Used by the schedule "plateau".
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
    beside_factor: float = 1.0
    rest: float = 0.0
    reduce_after: int = 2
    reduce_by: float = 0.3
    stop_after: int = 5

    def __post_init__(self) -> None:
        """Raises OptionError for values that cannot be trained with."""
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                option = "--" + name.replace("_", "-")
                raise OptionError(f"{option} must be above 0, got {getattr(self, name)}.")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", tuple(SCHEDULES))):
            if getattr(self, name) not in known:
                raise OptionError(
                    f"A recipe's {name} is one of {', '.join(known)}, got '{getattr(self, name)}'."
                )

    @property
    def rates(self) -> Schedule:
        """The schedule of this recipe."""
        return SCHEDULES[self.schedule](
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            reduce_after=self.reduce_after,
            reduce_by=self.reduce_by,
            stop_after=self.stop_after,
        )

    def rests_in(self, epoch: int) -> bool:
        """Whether easy images may rest in an epoch, counted from 0."""
        return self.rest > 0 and epoch < self.epochs * (1 - FULL_AT_THE_END)


def adapted(recipe: Recipe, *, photographs: bool, is_pretrained: bool, alone: bool) -> Recipe:
    """Adapts a network's recipe to photographs, to weights that are trained already, or to both.

    Args:
        recipe: The network's own recipe.
        photographs: Whether the run trains on photographs.
        is_pretrained: Whether the run begins with trained weights; it is then short, with small steps.
        alone: Whether the run trains on photographs without Fashion-MNIST. An epoch then has few steps,
            labels are smoothed, and images are augmented even where the recipe does not do so.

    Returns:
        The recipe. No image rests, and none is mixed with another, whose target may be a group of classes.
    """
    unmixed = replace(recipe.augmentation, mixup=0.0, cutmix=0.0)
    changes: dict[str, Any] = {"rest": 0.0, "augmentation": unmixed}
    if is_pretrained:
        changes |= {
            "epochs": ADAPTATION_EPOCHS_ALONE if alone else ADAPTATION_EPOCHS,
            "learning_rate": recipe.learning_rate * ADAPTATION_RATE,
            "averaging": min(ADAPTATION_AVERAGING, recipe.averaging),
            "schedule": "cosine",
            "start_share": 0.0 if alone else START_SHARE,
            "beside_factor": BESIDE_FACTOR if photographs and not alone else 1.0,
        }
    if alone:
        changes["averaging"] = min(AVERAGING_ALONE, recipe.averaging)
        changes["label_smoothing"] = max(SMOOTHING_ALONE, recipe.label_smoothing)
        if not any(asdict(recipe.augmentation).values()):
            changes["augmentation"] = AUGMENTATION_ALONE
    return replace(recipe, **changes)
