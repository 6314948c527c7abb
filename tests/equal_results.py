"""Compares the results of two trainings."""

from dataclasses import replace

import numpy as np


def assert_equal_results(one, other):
    """Fails if the weights differ in a bit, or a figure of an epoch other than its time differs."""
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    without_time = [[replace(epoch, seconds=0) for epoch in run.history] for run in (one, other)]
    assert without_time[0] == without_time[1]
