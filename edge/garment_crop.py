"""Cuts a garment and a little of its surroundings out of a frame, with its mask as transparency."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import MAX_SIDE, MIN_SIDE
from garmentlite.edge.preparation import box_of

# Of the garment's longest side, on each side: as much as the variants of a photograph show in training.
SURROUNDINGS = 0.15
_OPAQUE = 255


def garment_crop(frame_bgr: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cuts a garment and its surroundings out of a frame.

    Preparing the crop gives the same 28x28 image as preparing the frame with this mask, unless the crop had
    to be reduced to 640 pixels.

    Args:
        frame_bgr: uint8, shape (H, W, 3), BGR.
        mask: bool, shape (H, W), True on the garment; at least one pixel.

    Returns:
        uint8, shape (h, w, 4), BGRA; transparent outside the mask, where the colours are kept. Beyond the
        edge of the frame its outermost pixels are repeated. Both sides have at least 28 and at most 640
        pixels.
    """
    cv2 = load_opencv()
    x, y, width, height = box_of(mask)
    margin = max(round(SURROUNDINGS * max(width, height)), (MIN_SIDE - min(width, height) + 1) // 2)
    alpha = mask.astype(np.uint8) * _OPAQUE
    rows = slice(max(0, y - margin), y + height + margin)
    columns = slice(max(0, x - margin), x + width + margin)
    beyond = (
        max(0, margin - y),
        max(0, y + height + margin - mask.shape[0]),
        max(0, margin - x),
        max(0, x + width + margin - mask.shape[1]),
    )
    colours = cv2.copyMakeBorder(frame_bgr[rows, columns], *beyond, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(alpha[rows, columns], *beyond, cv2.BORDER_CONSTANT, value=0)
    scale = MAX_SIDE / max(alpha.shape)
    if scale < 1:
        size_wh = tuple(max(MIN_SIDE, round(side * scale)) for side in alpha.shape[::-1])
        colours, alpha = (
            cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA) for part in (colours, alpha)
        )
    crop: np.ndarray = np.dstack([colours, alpha])
    return crop
