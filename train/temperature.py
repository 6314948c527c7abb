"""Searches the temperature by which logits are divided, so that confidence means probability."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_CANDIDATES = np.arange(20, 501) / 100  # 0.2 to 5, in steps of a hundredth


def temperature_of_least_loss(loss: Callable[[float], float]) -> float:
    """Finds the temperature with the lowest loss (temperature scaling, Guo et al. 2017).

    Every candidate is tried, since the loss of answers that are averaged may have several minima.

    Args:
        loss: Computes the mean log loss of held-out images at a temperature.

    Returns:
        The temperature, between 0.2 and 5, to a hundredth; the lowest if several have the same loss.
    """
    losses = [loss(float(temperature)) for temperature in _CANDIDATES]
    return float(_CANDIDATES[int(np.argmin(losses))])
