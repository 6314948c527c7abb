"""Softmax and cross entropy are compared with values worked out by hand."""

import numpy as np
import pytest

from garmentlite.edge.probabilities import cross_entropy, log_sum_exp, softmax


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_logarithms_gives_their_numbers_as_shares(dtype):
    probabilities = softmax(np.log(np.array([[1, 2, 5]], dtype)))
    assert probabilities.dtype == dtype
    # Three roundings of numbers below 1.
    np.testing.assert_allclose(probabilities, [[1 / 8, 2 / 8, 5 / 8]], atol=3 * np.finfo(dtype).eps)


def test_softmax_with_temperature_2_takes_square_roots_before_the_shares():
    np.testing.assert_allclose(
        softmax(np.log([[1.0, 4.0, 25.0]]), 2), [[1 / 8, 2 / 8, 5 / 8]], atol=1e-15
    )


def test_softmax_of_large_logits_does_not_overflow():
    np.testing.assert_array_equal(softmax(np.array([[1e30, 0.0]])), [[1.0, 0.0]])


def test_cross_entropy_is_minus_the_logarithm_of_the_true_class():
    logits = np.log(np.array([[1, 2, 5], [4, 3, 1]], np.float32))
    # float32 logits are off by at most half an ulp, 2**-24 of their size below 2.
    np.testing.assert_allclose(
        cross_entropy(np.array([2, 0]), logits), [np.log(8 / 5), np.log(2)], atol=2**-22
    )


def test_log_sum_exp_of_large_logits_does_not_overflow():
    np.testing.assert_allclose(log_sum_exp(np.array([[1e4, 1e4]])), [1e4 + np.log(2)])
