"""Brings a whole picture to the input of a model, for models that were not trained on garments cut out.

`edge/preparation.py` finds a garment and makes an image in the form of Fashion-MNIST. Most other image
classifiers were trained on photographs that were only cropped and reduced.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from garmentlite.edge.errors import OptionError
from garmentlite.edge.model_input import ModelInput, size_in_words
from garmentlite.edge.pictures import Picture
from garmentlite.edge.preparation import TILE, Box, Prepared, prepare
from garmentlite.edge.segmenters.interface import Segmenter

# How a picture becomes the input of a model: the garment cut out, the whole picture reduced (which changes its
# proportions), or the largest part in the middle with the proportions of the input.
PrepareWay = Literal["garment", "resize", "centre-crop"]
PREPARE_WAYS: tuple[PrepareWay, ...] = ("garment", "resize", "centre-crop")


def prepare_way(asked: str | None, model_input: ModelInput) -> PrepareWay:
    """Chooses how pictures become the input of a model.

    Args:
        asked: What the user asked for; None for "garment" if the model takes grey images of 28x28 pixels, and for
            "centre-crop" otherwise.
        model_input: The input of the model.

    Raises:
        OptionError: If there is no such way, or "garment" is asked for another size than 28x28.
    """
    is_tile = model_input.image_size == (TILE, TILE)
    if asked is None:
        return "garment" if is_tile and model_input.channels == 1 else "centre-crop"
    for way in PREPARE_WAYS:
        if way == asked:
            break
    else:
        raise OptionError(f"--prepare {asked} is not a way; choose one of {', '.join(PREPARE_WAYS)}.")
    if way == "garment" and not is_tile:
        raise OptionError(
            f"--prepare garment makes images of {TILE}x{TILE} pixels, but the model takes "
            f"{size_in_words(model_input.image_size)}; choose resize or centre-crop."
        )
    return way


def preparer(
    way: PrepareWay, model_input: ModelInput, segmenter: Segmenter
) -> Callable[[Picture], Prepared]:
    """Returns the function that makes the input of a model from a picture.

    Args:
        way: How.
        model_input: The input of the model.
        segmenter: Separates a garment from its background, for the way "garment".
    """
    if way == "garment":
        return lambda picture: prepare(picture, segmenter)
    return lambda picture: prepare_whole(picture, way, model_input)


def prepare_whole(
    picture: Picture, way: Literal["resize", "centre-crop"], model_input: ModelInput
) -> Prepared:
    """Makes the input of a model from a whole picture, or from the part in its middle.

    What is transparent becomes white. Pillow computes the same bytes on every machine.

    Args:
        picture: Any picture.
        way: Whether to take all of it, or the largest part in its middle with the proportions of the input.
        model_input: The input of the model.
    """
    from PIL import Image

    start = time.perf_counter()
    height, width = model_input.image_size
    box = _box_of(picture.shape, way, model_input.image_size)
    image = Image.fromarray(_on_white(picture))
    if model_input.channels == 1:
        image = image.convert("L")
    # The picture in memory may be smaller than the one that the box refers to.
    scale_x, scale_y = image.width / picture.shape[1], image.height / picture.shape[0]
    part = (
        box.x * scale_x, box.y * scale_y, (box.x + box.width) * scale_x, (box.y + box.height) * scale_y,
    )  # fmt: skip
    reduced = image.resize((width, height), Image.Resampling.BILINEAR, box=part)
    return Prepared(
        image_u8=np.array(reduced),
        mask=None,
        box=box,
        reason=None,
        form=way,
        segmenter=None,
        latency_ms={"segment": 0.0, "prepare": (time.perf_counter() - start) * 1000},
    )


def _box_of(shape: tuple[int, int], way: str, image_size: tuple[int, int]) -> Box:
    height, width = shape
    if way == "resize":
        return Box(0, 0, width, height)
    part_width = max(1, min(width, round(height * image_size[1] / image_size[0])))
    part_height = max(1, min(height, round(width * image_size[0] / image_size[1])))
    return Box((width - part_width) // 2, (height - part_height) // 2, part_width, part_height)


def _on_white(picture: Picture) -> np.ndarray:
    if picture.alpha is None:
        return picture.rgb
    alpha = picture.alpha[..., np.newaxis].astype(np.uint32)
    return ((picture.rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
