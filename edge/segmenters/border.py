"""Segments by colours: those commoner in the middle of a picture than along its border are the garment."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.segmenters.colours import colour_bins, share_of_bins, smoothed
from garmentlite.edge.segmenters.masks import cleaned, enlarged, reduced
from garmentlite.edge.segmenters.picture_border import along_border

_MIDDLE = 0.6  # share of width and height: the part of a picture where the garment usually is
# A colour belongs to the garment if its share in the middle exceeds this share of middle and border together.
_GARMENT_ODDS = 0.6
_NEIGHBOURS = (4, 21, 60, 86, 60, 21, 4)  # a Gaussian with standard deviation 1.2, in 256ths


class BorderSegmenter:
    """Compares colours in the middle with colours along the border; it is fast on slow boards.

    A garment may touch the border, and the background may show between its sleeves.
    """

    name = "border"
    version = 3

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        bins = colour_bins(reduced(rgb))
        return enlarged(cleaned(is_commoner_in_the_middle(bins)), rgb.shape)


def is_commoner_in_the_middle(bins: np.ndarray) -> np.ndarray:
    """Marks pixels whose colours are commoner in the middle than along the border, smoothed over the area.

    Args:
        bins: Shape (H, W), see `colour_bins`.

    Returns:
        bool, shape (H, W).
    """
    border = share_of_bins(along_border(bins))
    height, width = bins.shape
    margin_y, margin_x = (int(side * (1 - _MIDDLE) / 2) for side in (height, width))
    middle = share_of_bins(bins[margin_y : height - margin_y, margin_x : width - margin_x])
    smallest = 1e-6  # a colour that is in neither part gets 0.5
    odds = (middle + smallest) / (middle + border + 2 * smallest)
    levels = np.rint(odds * 255).take(bins)
    return smoothed(levels, _NEIGHBOURS) > _GARMENT_ODDS * 255
