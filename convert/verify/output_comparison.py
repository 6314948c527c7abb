"""Compares the raw outputs of one model, computed in two ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FLOAT_STEP = 1e-4  # one "step" of a float output as a share of the largest: sums in another order


@dataclass(frozen=True)
class OutputComparison:
    """How far two computations of the same outputs differ.

    Attributes:
        images: Number of images.
        differing_images: Images with any difference in their outputs.
        changed_answers: Images whose largest output is of another class.
        largest_step: Largest difference of an output: whole steps of an integer type; for a float type in
            units of 1e-4 of the largest output.
    """

    images: int
    differing_images: int
    changed_answers: int
    largest_step: float


def compare_outputs(first: np.ndarray, second: np.ndarray) -> OutputComparison:
    """Compares raw outputs of one type, both of shape (N, C) with N at least 1."""
    return OutputComparison(
        images=len(first),
        differing_images=int(np.count_nonzero((first != second).any(axis=1))),
        changed_answers=int(np.count_nonzero(first.argmax(axis=1) != second.argmax(axis=1))),
        largest_step=float(_steps_between(first, second).max()),
    )


def has_tie(raw: np.ndarray) -> np.ndarray:
    """Marks images whose largest output several classes share; the lowest class number wins there.

    Args:
        raw: Outputs of a model in their own type, shape (N, C).

    Returns:
        bool, shape (N,).
    """
    return np.count_nonzero(raw == raw.max(axis=1, keepdims=True), axis=1) > 1


def _steps_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Computes the differences in steps of the type, float64, shape (N, C)."""
    distance = np.abs(first.astype(np.float64) - second.astype(np.float64))
    if np.issubdtype(first.dtype, np.integer):
        return distance
    largest = float(np.abs(first).max())
    return distance / (FLOAT_STEP * largest) if largest > 0 else distance
