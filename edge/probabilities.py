"""Turns logits into probabilities and losses, for the device and for training; NumPy only."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Computes the probabilities of logits over the last axis; large logits do not overflow.

    Args:
        logits: Float, shape (..., C).
        temperature: The logits are divided by it first, above 0 (Guo et al. 2017, "On Calibration of
            Modern Neural Networks").

    Returns:
        The logits' own shape and float type; each row sums to 1.
    """
    scaled = logits / logits.dtype.type(temperature)
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """Computes the logarithm of the sum of exponentials of every row, without overflow: (N, C) to (N,)."""
    largest = logits.max(axis=1, keepdims=True)
    return largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1))


def cross_entropy(y_true: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Computes the negative logarithm of the probability given to the true class, for each image.

    Args:
        y_true: True class numbers, shape (N,).
        logits: Before softmax, shape (N, C).

    Returns:
        float64, shape (N,), in nats.
    """
    logits = logits.astype(np.float64)
    return log_sum_exp(logits) - logits[np.arange(len(y_true)), y_true]
