"""The rule of the Fashion-MNIST paper for a plain background."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.median import median
from garmentlite.edge.segmenters.masks import cleaned, enlarged, reduced
from garmentlite.edge.segmenters.picture_border import along_border

# "Close to the corner pixels" in the paper (arXiv 1708.07747, section 2, step 2): 5% of the largest
# possible distance in RGB, sqrt(3) * 255.
PLAIN_DISTANCE = 0.05 * 3**0.5 * 255
PLAIN_SHARE = 0.97  # a background is plain if this share of the border's pixels is that close


class PlainSegmenter:
    """Takes every pixel for garment whose colour differs from the background's.

    The background's colour is the median of the border. The paper takes the corner pixels, which one speck
    would spoil.
    """

    name = "plain"
    version = 2

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        small = reduced(rgb)
        mask = _differs(small, _border_colour(small))
        return enlarged(cleaned(mask), rgb.shape)


def mask_on_plain_background(rgb: np.ndarray) -> np.ndarray | None:
    """Applies the paper's rule if the background is plain.

    Args:
        rgb: uint8, shape (H, W, 3).

    Returns:
        bool, shape (H, W), True on the garment; None if the background has several colours.
    """
    border_colour = _border_colour(rgb)
    on_border = _differs(along_border(rgb), border_colour)
    is_plain = np.count_nonzero(on_border) <= (1 - PLAIN_SHARE) * on_border.size
    return _differs(rgb, border_colour) if is_plain else None


def _border_colour(rgb: np.ndarray) -> np.ndarray:
    """Computes the median colour along the border: float32, shape (3,)."""
    return median(np.ascontiguousarray(along_border(rgb).T))


def _differs(rgb: np.ndarray, border_colour: np.ndarray) -> np.ndarray:
    """Marks the colours, shape (..., 3), that are far from the border's: bool, shape (...)."""
    # By channel, because NumPy is slow along a last axis of three.
    red, green, blue = (rgb[..., channel] - border_colour[channel] for channel in range(3))
    return red * red + green * green + blue * blue > PLAIN_DISTANCE**2
