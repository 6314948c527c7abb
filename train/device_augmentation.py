"""Carries out the changes of images on an accelerator, with the pixels that `augmentation.changed` gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from garmentlite.train.augmentation import WHOLE, Changes

_FIXED_POINT_BITS = 16  # as in Pillow, which counts in 1/65536 of a pixel


def as_tensors(changes: Changes) -> dict[str, np.ndarray]:
    """Makes the arrays that `changed` takes, int32 with N rows each, from the changes of N images."""
    a, b, c, d, e, f = changes.matrices.T
    # Pillow asks for the pixel at the centre of each pixel of the result, which lies half a pixel further.
    matrices = np.stack([a, b, c + (a + b) / 2, d, e, f + (d + e) / 2], axis=1)
    fixed_point = np.floor(matrices * (1 << _FIXED_POINT_BITS) + 0.5)
    return {
        "matrices": fixed_point.astype(np.int32),
        "mirrored": changes.mirrored.astype(np.int32),
        "erased": changes.erased,
        "grey": changes.grey,
        "partner": changes.partner,
        "weight": changes.weight,
        "pasted": changes.pasted,
    }


def changed(images_u8: Any, changes: Mapping[str, Any]) -> Any:
    """Carries out changes with tensor operators of Keras; the counterpart of `augmentation.changed`.

    A pixel differs from Pillow's only if its source lies within about 2e-4 pixels of a pixel's border: here
    each coefficient is rounded to 1/65536 of a pixel and multiplied by up to 27, as in Pillow's affine
    transform. Pillow counts in doubles where an image is neither turned nor sheared.

    Args:
        images_u8: Tensor of uint8, shape (N, H, W).
        changes: Tensors of int32, see `as_tensors`.

    Returns:
        Tensor of uint8, shape (N, H, W).
    """
    ops = keras.ops
    height, width = images_u8.shape[1:]
    y = ops.reshape(ops.arange(height, dtype="int32"), (1, height, 1))
    x = ops.reshape(ops.arange(width, dtype="int32"), (1, 1, width))

    def per_image(values: Any) -> Any:
        return ops.reshape(values, (-1, 1, 1))

    def inside(rectangles: Any) -> Any:
        top, left, bottom, right = (per_image(rectangles[:, side]) for side in range(4))
        return (y >= top) & (y < bottom) & (x >= left) & (x < right)

    column = ops.where(per_image(changes["mirrored"]) > 0, width - 1 - x, x)
    a, b, c, d, e, f = (per_image(changes["matrices"][:, place]) for place in range(6))
    source_x = ops.right_shift(a * column + b * y + c, _FIXED_POINT_BITS)
    source_y = ops.right_shift(d * column + e * y + f, _FIXED_POINT_BITS)
    is_outside = (source_x < 0) | (source_x >= width) | (source_y < 0) | (source_y >= height)
    place = ops.where(is_outside, 0, source_y * width + source_x)
    flat = ops.reshape(ops.cast(images_u8, "int32"), (-1, height * width))
    pixels = ops.take_along_axis(flat, ops.reshape(place, (-1, height * width)), axis=1)
    result = ops.where(is_outside, 0, ops.reshape(pixels, (-1, height, width)))
    result = ops.where(inside(changes["erased"]), per_image(changes["grey"]), result)

    other, weight = ops.take(result, changes["partner"], axis=0), per_image(changes["weight"])
    blended = (result * weight + other * (WHOLE - weight) + WHOLE // 2) // WHOLE
    return ops.cast(ops.where(inside(changes["pasted"]), other, blended), "uint8")
