"""Computes histograms of colours, over bins of CIELAB, in parts of a picture."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.opencv import load_opencv

_BINS_A, _BINS_B, _BINS_LIGHTNESS = 32, 32, 16
_NEIGHBOURS = np.array([0.25, 0.5, 0.25], np.float32)
# The same weights along the 16 bins of lightness, as a matrix. At either end the missing neighbour is
# replaced by the bin itself.
_OVER_LIGHTNESS = (np.eye(16) / 2 + (np.eye(16, k=1) + np.eye(16, k=-1)) / 4).astype(np.float32)
_OVER_LIGHTNESS[[0, -1], [0, -1]] = 0.75


def colour_bins(rgb: np.ndarray) -> np.ndarray:
    """Assigns each pixel to one of 32 x 32 x 16 bins of a, b and lightness.

    Args:
        rgb: uint8, shape (H, W, 3).

    Returns:
        Integers in [0, 16384), shape (H, W).
    """
    cv2 = load_opencv()
    lab = cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0), cv2.COLOR_RGB2Lab)
    lightness, a, b = cv2.split(lab)
    bins = (a & 0xF8).astype(np.uint16) << 6 | (b & 0xF8).astype(np.uint16) << 1 | lightness >> 4
    return bins.astype(np.intp)


def share_of_bins(bins: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Computes a histogram, smoothed over neighbouring bins.

    Args:
        bins: Any shape, see `colour_bins`.
        weights: The same shape, not negative; None counts every pixel as 1.

    Returns:
        float32, shape (16384,), with sum 1.
    """
    cv2 = load_opencv()
    flat = None if weights is None else weights.ravel()
    total = bins.size if weights is None else max(float(weights.sum()), 1.0)
    counts = np.bincount(bins.ravel(), flat, minlength=_BINS_A * _BINS_B * _BINS_LIGHTNESS)
    shares = (counts / total).astype(np.float32).reshape(_BINS_A, _BINS_B, _BINS_LIGHTNESS)
    # OpenCV smooths over a and b as over the rows and columns of an image with 16 channels.
    shares = cv2.sepFilter2D(shares, -1, _NEIGHBOURS, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    smoothed: np.ndarray = shares.reshape(-1, _BINS_LIGHTNESS) @ _OVER_LIGHTNESS
    return smoothed.ravel()
