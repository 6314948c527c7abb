"""The configuration of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from garmentlite.train.recipe import Recipe

TEACHER_SEES = ("clean", "augmented")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Recipe):
    """Everything that decides the result of a run; the same configuration and data give the same weights.

    Attributes:
        network: Name of the network in the registry.
        labels: Class names in the order of the outputs.
        class_weights: Factor of the loss by label, in any order; a label that is missing has 1.
        seed: Seed of the initial weights, the order of the images, augmentation and dropout.
        teacher: SHA-256 of each network whose answers are learned together with the labels.
        teacher_sees: Which images the teachers answer about: "clean" for the training images as they are,
            once for the whole run, or "augmented" for those that the network is shown.
        images: Number of training images of Fashion-MNIST that are drawn at random; None for all.
        mixed_precision: Whether to compute in bfloat16; the weights stay float32.
        init_sha256: SHA-256 of the file with the initial weights; empty for random weights.
        photos_sha256: SHA-256 of the photographs; empty without photographs.
    """

    network: str
    labels: tuple[str, ...]
    class_weights: Mapping[str, float] = field(default_factory=dict)
    seed: int
    teacher: tuple[str, ...] = ()
    teacher_sees: str = TEACHER_SEES[0]
    images: int | None = None
    mixed_precision: bool = False
    init_sha256: str = ""
    photos_sha256: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError if a class weight names an unknown label."""
        super().__post_init__()
        if unknown := set(self.class_weights) - set(self.labels):
            raise ValueError(
                f"class_weights names {sorted(unknown)}, which are not among the labels"
            )

    @property
    def loss_weights(self) -> np.ndarray:
        """Factor of the loss for each class, float32, shape (C,)."""
        return np.array([self.class_weights.get(label, 1.0) for label in self.labels], np.float32)
