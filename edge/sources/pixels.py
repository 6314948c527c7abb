"""Brings the forms in which cameras deliver frames into the one that is recognized."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.pictures import is_too_small


def as_bgr(pixels: object) -> np.ndarray | None:
    """Converts what a camera delivered to a frame in OpenCV's order of channels.

    Args:
        pixels: A grey, BGR or BGRA array, uint8 or uint16. Anything else a driver may deliver is allowed too.

    Returns:
        uint8, shape (H, W, 3), BGR; None if it is no picture, or one with a side below 28 pixels.
    """
    if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3):
        return None
    height, width = pixels.shape[:2]
    if is_too_small(width, height):
        return None
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.dtype != np.uint8:
        return None
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    if channels not in (3, 4):
        return None
    return np.ascontiguousarray(pixels[..., :3])
