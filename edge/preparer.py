"""Chooses how pictures become the input of a model, and makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from garmentlite.edge.errors import OptionError
from garmentlite.edge.model_input import ModelInput, size_in_words
from garmentlite.edge.pictures import LEAST_SIDE, MAX_SIDE, Picture
from garmentlite.edge.preparation import PREPARATION, TILE, WHOLE_PICTURE, Prepared, prepare
from garmentlite.edge.segmenters.interface import Segmenter
from garmentlite.edge.whole_picture import WholeWay, prepare_whole

# "garment": the garment is cut out and brought to the form of Fashion-MNIST. "resize": the whole picture is
# reduced, which changes its proportions. "centre-crop": the largest part in the middle that has the
# proportions of the input is reduced.
PrepareWay = Literal["garment"] | WholeWay
PREPARE_WAYS: tuple[PrepareWay, ...] = ("garment", "resize", "centre-crop")


@dataclass(frozen=True)
class Preparer:
    """Makes the input of a model from a picture.

    Attributes:
        way: How a picture becomes the input.
        model_input: The input of the model.
        segmenter: Separates a garment from its background; it is used for the way "garment".
    """

    way: PrepareWay
    model_input: ModelInput
    segmenter: Segmenter

    @property
    def least_side(self) -> int:
        """How many pixels the longest side of a large picture keeps when it is read, see `read_picture`."""
        return LEAST_SIDE if self.way == "garment" else MAX_SIDE

    @property
    def preparation(self) -> dict[str, Any]:
        """Name and version of the preparation."""
        return PREPARATION if self.way == "garment" else WHOLE_PICTURE

    def prepare(self, picture: Picture) -> Prepared:
        """Makes the input, or says why no garment was found."""
        if self.way == "garment":
            return prepare(picture, self.segmenter)
        return prepare_whole(picture, self.way, self.model_input)


def make_preparer(asked: str | None, model_input: ModelInput, segmenter: Segmenter) -> Preparer:
    """Chooses how pictures become the input of a model.

    Args:
        asked: The way that the user asked for; None for the usual one.
        model_input: The input of the model.
        segmenter: Separates a garment from its background.

    Raises:
        OptionError: If there is no such way, or "garment" is asked for another size than 28x28.
    """
    if asked is None:
        return Preparer(usual_way(model_input), model_input, segmenter)
    way = next((one for one in PREPARE_WAYS if one == asked), None)
    if way is None:
        raise OptionError(
            f"--prepare {asked} is not a way; choose one of {', '.join(PREPARE_WAYS)}."
        )
    if way == "garment" and not _takes_tiles(model_input):
        raise OptionError(
            f"--prepare garment makes images of {TILE}x{TILE} pixels, but the model takes "
            f"{size_in_words(model_input.image_size)}; choose resize or centre-crop."
        )
    return Preparer(way, model_input, segmenter)


def usual_way(model_input: ModelInput) -> PrepareWay:
    """Returns "garment" for a model of grey images of 28x28 pixels, and "centre-crop" for any other."""
    is_grey = model_input.channels == 1
    return "garment" if is_grey and _takes_tiles(model_input) else "centre-crop"


def _takes_tiles(model_input: ModelInput) -> bool:
    return model_input.image_size == (TILE, TILE)
