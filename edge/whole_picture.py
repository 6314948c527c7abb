"""Brings a whole picture to the input of a model, for models that were not trained on garments cut out.

`edge/preparation.py` finds a garment and makes an image in the form of Fashion-MNIST. Most other image
classifiers were trained on photographs that were only cropped and reduced.
"""

from __future__ import annotations

import time
from typing import Literal

import numpy as np

from garmentlite.edge.model_input import ModelInput
from garmentlite.edge.pictures import Picture
from garmentlite.edge.preparation import Box, Prepared

WholeWay = Literal["resize", "centre-crop"]


def prepare_whole(picture: Picture, way: WholeWay, model_input: ModelInput) -> Prepared:
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
        latency_ms={"prepare": (time.perf_counter() - start) * 1000},
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
