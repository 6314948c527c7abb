"""The argument and the result of the function that exports a format."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.convert.int8_candidates import Candidate
from garmentlite.convert.material import Images, Material
from garmentlite.convert.source import Source
from garmentlite.edge.callbacks import OnStageProgress, Say, ignore_stage_progress, say_nothing

if TYPE_CHECKING:
    import keras

RANGE_IMAGES = 2000  # a few hundred find the quantization ranges; more only add rarer extremes


@dataclass(frozen=True)
class ExportTask:
    """A network that is to be written in a format.

    Attributes:
        source: What is known about the network.
        model: The network.
        material: The images that set quantization ranges, choose between ways, and measure.
        float_logits: The network's logits of the validation images, shape (N, C).
        fine_tune: Whether int8 is reached by quantization-aware fine-tuning too.
        epochs: Epochs of the fine-tuning.
        seed: Seed of the images that set the ranges, and of the fine-tuning.
        io: Type of input and output of an int8 file.
        allow_float: Whether operators without an integer kernel may compute with real numbers.
        on_progress: Called with (stage, step, steps) during the long parts.
        say: Called with a sentence at each stage.
    """

    source: Source
    model: keras.Model
    material: Material
    float_logits: np.ndarray
    fine_tune: bool = True
    epochs: int = 1
    seed: int = 0
    io: str = "int8"
    allow_float: bool = False
    on_progress: OnStageProgress = ignore_stage_progress
    say: Say = say_nothing

    @property
    def range_images(self) -> Images:
        """The images that set the quantization ranges."""
        return self.material.training.sample(RANGE_IMAGES, self.seed)

    def manifest(self) -> dict[str, Any]:
        """Records these images for the metadata: which they are, and how many of them also measure.

        The count compares pixels, so that a copy of a measuring image is found too.
        """
        measuring = {image.tobytes() for image in self.material.test.images_u8}
        images = self.range_images
        shared = sum(image.tobytes() in measuring for image in images.images_u8)
        return images.manifest("training images", self.seed) | {
            "data": self.material.name,
            "also_in_test": shared,
        }

    def about(self, way: str) -> dict[str, Any]:
        """Describes how the file was made, for its metadata: the way, and the versions of the programs."""
        return {"way": way, "versions": versions()}


@dataclass(frozen=True)
class Exported:
    """A network in one format.

    Attributes:
        flatbuffer: The bytes of the model.
        quantization: How it was made, for the metadata of the file.
        candidates: The int8 models that were compared; empty if there was no choice.
        chosen: The one that was chosen; None if there was no choice.
    """

    flatbuffer: bytes
    quantization: dict[str, Any] = field(default_factory=dict)
    candidates: tuple[Candidate, ...] = ()
    chosen: Candidate | None = None


def versions(*more: str) -> dict[str, str]:
    """Lists the versions of TensorFlow, Keras and other packages."""
    return {name: version(name) for name in ("tensorflow", "keras", *more)}
