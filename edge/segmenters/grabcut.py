"""GrabCut: graph cuts over two learned colour models."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.border import is_commoner_in_the_middle
from garmentlite.edge.segmenters.colours import colour_bins
from garmentlite.edge.segmenters.masks import cleaned, enlarged, reduced
from garmentlite.edge.segmenters.picture_border import border_mask
from garmentlite.edge.segmenters.plain import mask_on_plain_background

GRABCUT_ITERATIONS = 2  # more iterations change nothing visible, because the start is good
_SEED = 1708  # any fixed number: GrabCut's k-means draws from OpenCV's random generator


class GrabCutSegmenter:
    """GrabCut (Rother et al. 2004), started from the mask of `BorderSegmenter`.

    On a plain background it uses the paper's rule instead, which is exact and faster there.
    """

    name = "grabcut"
    version = 2

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        small = reduced(rgb)
        mask = mask_on_plain_background(small)
        return enlarged(cleaned(_grabcut(small) if mask is None else mask), rgb.shape)


def _grabcut(rgb: np.ndarray) -> np.ndarray:
    """Computes the mask, bool of shape (H, W)."""
    cv2 = load_opencv()
    likely = is_commoner_in_the_middle(colour_bins(rgb))
    trimap = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[border_mask(rgb.shape) & ~likely] = cv2.GC_BGD
    if likely.all() or not likely.any():
        return likely  # one of the two colour models would have no pixel to learn from
    cv2.setRNGSeed(_SEED)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))  # storage of the colour models
    cv2.grabCut(
        rgb, trimap, None, background, foreground, GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_MASK
    )
    mask = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    # If most of the start is lost, GrabCut took a garment that fills the picture for background.
    return mask if mask.sum() > likely.sum() / 3 else likely
