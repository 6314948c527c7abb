"""The strip of pixels along the border of a picture, which usually shows the background."""

from __future__ import annotations

import numpy as np

STRIP_SHARE = 0.06  # thickness of the strip as a share of the picture's longest side


def border_mask(shape: tuple[int, ...]) -> np.ndarray:
    """Marks the strip along the border.

    Args:
        shape: Shape of the picture, (H, W) or (H, W, channels).

    Returns:
        bool, shape (H, W), True on the strip.
    """
    height, width = shape[:2]
    thickness = _thickness(height, width)
    strip = np.ones((height, width), bool)
    strip[thickness : height - thickness, thickness : width - thickness] = False
    return strip


def along_border(plane: np.ndarray) -> np.ndarray:
    """Collects the pixels that `border_mask` marks.

    Args:
        plane: Shape (H, W, ...).

    Returns:
        Shape (N, ...), in no particular order.
    """
    height, width = plane.shape[:2]
    thickness = _thickness(height, width)
    if min(height, width) <= 2 * thickness:
        sides = [plane]
    else:
        between = plane[thickness : height - thickness]
        sides = [
            plane[:thickness],
            plane[-thickness:],
            between[:, :thickness],
            between[:, -thickness:],
        ]
    # Slices, because indexing with a mask takes ten times as long.
    return np.concatenate([side.reshape(-1, *plane.shape[2:]) for side in sides])


def _thickness(height: int, width: int) -> int:
    return max(1, round(STRIP_SHARE * max(height, width)))  # pixels
