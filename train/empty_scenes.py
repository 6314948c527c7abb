"""Makes pictures without a garment from pieces of background around a garment."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import Picture

LARGEST, SMALLEST, STEP = 0.6, 0.2, 0.05  # of the picture's sides, those of a piece
_DISTANCE = 4  # pixels between a piece and the garment, whose outline may be a little off


def piece_of_ground(
    rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator | None = None
) -> np.ndarray | None:
    """Cuts out a piece of background in the picture's proportions, enlarged to the picture's size.

    Args:
        rgb: uint8, shape (H, W, 3).
        mask: bool, shape (H, W), True on the garment.
        rng: Chooses the size among those that fit, and the place; without it, the largest and first piece
            is taken.

    Returns:
        uint8, shape (H, W, 3); None if no piece of `SMALLEST` is free of garment.
    """
    cv2 = load_opencv()
    kernel = np.ones((3, 3), np.uint8)
    near = cv2.dilate(mask.astype(np.uint8), kernel, iterations=_DISTANCE)
    total = cv2.integral(near)
    largest = LARGEST if rng is None else rng.uniform(SMALLEST, LARGEST)
    for scale in np.arange(largest, SMALLEST - STEP / 5, -STEP):
        height, width = (max(1, round(side * scale)) for side in mask.shape)
        inside = total[height:, width:] - total[:-height, width:]
        inside = inside - total[height:, :-width] + total[:-height, :-width]
        places = np.argwhere(inside == 0)
        if len(places):
            y, x = places[0 if rng is None else rng.integers(len(places))]
            piece = np.ascontiguousarray(rgb[y : y + height, x : x + width])
            return cv2.resize(piece, mask.shape[::-1], interpolation=cv2.INTER_LINEAR_EXACT)
    return None


def around(
    rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator, count: int
) -> list[Picture]:
    """Cuts out pieces of background around a garment as pictures; fewer than `count` if there is no room.

    Args:
        rgb: uint8, shape (H, W, 3).
        mask: bool, shape (H, W), True on the garment.
        rng: Chooses their sizes and places.
        count: Maximum number of pieces.
    """
    pieces = [piece_of_ground(rgb, mask, rng) for _ in range(count)]
    return [Picture(piece) for piece in pieces if piece is not None]
