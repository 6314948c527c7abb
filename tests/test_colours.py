"""Tests of what makes masks equal on every machine: sums of whole numbers only."""

import numpy as np
import pytest

pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")

from garmentlite.edge.segmenters.colours import (
    LOGIT_OF_A_LEVEL,
    evidence_levels,
    share_of_bins,
    smoothed,
)

BINS = 32 * 32 * 16
WEIGHTS = (6, 58, 128, 58, 6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_shares_of_weighted_bins_have_sum_1_and_are_exact(rng):
    bins = rng.integers(0, BINS, (96, 128))
    weights = (rng.integers(0, 257, bins.shape) / 256).astype(np.float32)
    shares = share_of_bins(bins, weights)
    assert shares.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    # 64 x 256 times the smoothed count is a whole number, whatever the order of the sum.
    wholes = shares.astype(np.float64) * weights.sum(dtype=np.float64) * 64 * 256
    assert np.abs(wholes - np.rint(wholes)).max() < 2**-24 * wholes.max()


def test_evidence_is_the_logarithm_of_the_ratio_within_a_tenth(rng):
    inside, outside = rng.random((2, BINS)).astype(np.float32) ** 8
    levels = evidence_levels(inside, outside)
    assert levels.dtype == np.float32
    assert np.array_equal(levels, np.rint(levels))
    expected = np.clip(np.log((inside + 1e-5) / (outside + 1e-5)), -4, 4)
    assert np.abs(levels * LOGIT_OF_A_LEVEL - expected).max() < 0.1


def test_evidence_of_equal_shares_is_0(rng):
    shares = rng.random(BINS).astype(np.float32)
    assert not evidence_levels(shares, shares).any()


def test_smoothing_adds_whole_numbers_without_rounding(rng):
    levels = rng.integers(-255, 256, (30, 40)).astype(np.float32)
    padded = np.pad(levels.astype(np.int64), 2, "reflect")
    rows = sum(w * padded[n : n + 30] for n, w in enumerate(WEIGHTS))
    expected = sum(w * rows[:, n : n + 40] for n, w in enumerate(WEIGHTS))
    assert np.array_equal(smoothed(levels, WEIGHTS).astype(np.float64) * 256**2, expected)
