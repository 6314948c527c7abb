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
_RARE_COLOUR = np.float32(1e-5)  # a share; a colour rarer than this on both sides is not evidence
# The logarithm of a ratio becomes a whole number of levels. Sums of whole numbers below 2**24 are the same on
# every machine, in float32 too; sums of other numbers differ in their last bits.
LOGIT_OF_A_LEVEL = np.float32(np.log(2) / 32)
_LARGEST_LEVEL = 185  # a logit of 4
_BITS_OF_ONE = np.float32(1).view(np.int32)
_BITS_OF_A_LEVEL = 18  # of the 23 bits that double a number, which leaves 32 levels


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
    """Computes a histogram, smoothed over neighbouring bins; it is the same on every machine.

    Args:
        bins: Any shape with at most 16,384 pixels, see `colour_bins`.
        weights: The same shape, in [0, 1], multiples of 1/256; None counts every pixel as 1.

    Returns:
        float32, shape (16384,), with sum 1.
    """
    cv2 = load_opencv()
    flat = None if weights is None else weights.ravel()
    counts = np.bincount(bins.ravel(), flat, minlength=_BINS_A * _BINS_B * _BINS_LIGHTNESS)
    total = max(float(counts.sum()), 1.0)
    smooth = counts.astype(np.float32).reshape(-1, _BINS_LIGHTNESS) @ _OVER_LIGHTNESS
    # OpenCV smooths over a and b as over the rows and columns of an image with 16 channels.
    smooth = smooth.reshape(_BINS_A, _BINS_B, _BINS_LIGHTNESS)
    smooth = cv2.sepFilter2D(smooth, -1, _NEIGHBOURS, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    shares: np.ndarray = smooth.ravel() / np.float32(total)
    return shares


def evidence_levels(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Says for each bin how much commoner its colour is on the garment than on the background.

    The bits of a float32 number, read as an integer, are nearly its logarithm (Mitchell 1962, "Computer
    multiplication and division using binary logarithms"); here the error is at most 0.09.

    Args:
        inside: Shares of the bins on the garment, see `share_of_bins`.
        outside: The same on the background.

    Returns:
        float32, shape (16384,), whole numbers from -185 to 185: the logarithm of the ratio of the shares,
        divided by `LOGIT_OF_A_LEVEL`.
    """
    ratios = (inside + _RARE_COLOUR) / (outside + _RARE_COLOUR)
    levels = (ratios.view(np.int32) - _BITS_OF_ONE) >> _BITS_OF_A_LEVEL
    return np.clip(levels, -_LARGEST_LEVEL, _LARGEST_LEVEL).astype(np.float32)


def smoothed(levels: np.ndarray, weights: tuple[int, ...]) -> np.ndarray:
    """Smooths a plane over rows and columns; the result is the same on every machine.

    Args:
        levels: float32, shape (H, W), whole numbers from -255 to 255.
        weights: The factors, in 256ths, of the neighbours in the row and then in the column, with the pixel
            itself in the middle. Their number is odd and their sum is 256.

    Returns:
        float32, shape (H, W).
    """
    cv2 = load_opencv()
    kernel = np.array(weights, np.float32) / 256
    smooth: np.ndarray = cv2.sepFilter2D(levels, -1, kernel, kernel)
    return smooth
