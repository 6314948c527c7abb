"""Cuts a garment and a little of its surroundings out of a frame, with its mask as transparency."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import LEAST_SIDE, MIN_SIDE, halved
from garmentlite.edge.preparation import box_of

# Of the garment's longest side, on each side: as much as the variants of a photograph show in training.
SURROUNDINGS = 0.15
LONGEST_SIDE = 2 * LEAST_SIDE - 1  # pixels; a larger picture is halved when it is read
# Also of a garment that fills the frame: a picture that is opaque nearly everywhere counts as a photograph.
LEAST_SURROUNDINGS = 0.02
_OPAQUE = 255


def garment_crop(frame_bgr: np.ndarray, mask: np.ndarray, least_side: int) -> np.ndarray:
    """Cuts a garment and its surroundings out of a frame, at the size at which it was recognized.

    Preparing the crop gives the same 28x28 image as preparing the frame, unless the garment is larger than
    600 pixels and has to be reduced.

    Args:
        frame_bgr: uint8, shape (H, W, 3), BGR.
        mask: bool, shape (H, W), True on the garment; at least one pixel.
        least_side: The frame is halved as long as its longest side keeps this many pixels.

    Returns:
        uint8, shape (h, w, 4), BGRA; transparent outside the mask, where the colours are kept. Beyond the
        edge of the frame its outermost pixels are repeated. Both sides have 28 to 639 pixels.
    """
    cv2 = load_opencv()
    colours = halved(frame_bgr, least_side)
    alpha = mask.astype(np.uint8) * np.uint8(_OPAQUE)
    if alpha.shape != colours.shape[:2]:
        alpha = cv2.resize(alpha, colours.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    x, y, width, height = box_of(alpha > 0)
    longest, shortest = max(width, height), min(width, height)
    margin = min(round(SURROUNDINGS * longest), max(0, LONGEST_SIDE - longest) // 2)
    margin = max(margin, round(LEAST_SURROUNDINGS * longest), (MIN_SIDE - shortest + 1) // 2, 1)
    rows = slice(max(0, y - margin), y + height + margin)
    columns = slice(max(0, x - margin), x + width + margin)
    beyond = (
        max(0, margin - y),
        max(0, y + height + margin - alpha.shape[0]),
        max(0, margin - x),
        max(0, x + width + margin - alpha.shape[1]),
    )
    colours = cv2.copyMakeBorder(colours[rows, columns], *beyond, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(alpha[rows, columns], *beyond, cv2.BORDER_CONSTANT, value=0)
    scale = LONGEST_SIDE / max(alpha.shape)
    if scale < 1:
        size_wh = tuple(max(MIN_SIDE, round(side * scale)) for side in alpha.shape[::-1])
        colours, alpha = (
            cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA) for part in (colours, alpha)
        )
    crop: np.ndarray = np.dstack([colours, alpha])
    return crop
