"""Quantizing inputs and dequantizing outputs is compared with integers computed by hand."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garmentlite.edge.quantization import Quantization


def int8(scale=1.0, zero_point=0):
    return Quantization(np.dtype(np.int8), scale, zero_point)


@pytest.mark.parametrize(
    ("quantization", "real", "expected"),
    [
        pytest.param(int8(), [130.7, -130.7, 127.4, 1e9, -1e9], [127, -128, 127, 127, -128], id="saturates"),
        pytest.param(int8(), [0.5, 1.5, 2.5, -0.5, -1.5], [0, 2, 2, 0, -2], id="half-to-even"),
        pytest.param(int8(1 / 255, -128), [0.0, 1.0, 0.5, 2.0], [-128, 127, 0, 127], id="pixels-int8"),
        pytest.param(int8(0.05, 5), [-6.65, 0.0, 0.07, 6.1, 7.0], [-128, 5, 6, 127, 127], id="logits"),
        pytest.param(int8(0.5, -1), [0.25, 0.75], [-1, 1], id="rounds-before-the-zero-point"),
        pytest.param(
            Quantization(np.dtype(np.uint8), 1 / 255, 0), [0, 1, -0.1, 1.1], [0, 255, 0, 255],
            id="pixels-uint8",
        ),
        pytest.param(
            Quantization(np.dtype(np.uint8), 0.5, 128), [-64, 63.5, 130.7, -70], [0, 255, 255, 0],
            id="uint8-about-128",
        ),
        pytest.param(
            Quantization(np.dtype(np.int16), 1 / 32768, 0), [-1, 0.5, 1, 2], [-32768, 16384, 32767, 32767],
            id="int16",
        ),
        pytest.param(
            Quantization(np.dtype(np.float32), 0.0, 0), [130.7, -0.5], [np.float32(130.7), -0.5], id="float32"
        ),
    ],
)  # fmt: skip
def test_quantize_gives_the_integers_computed_by_hand(quantization, real, expected):
    quantized = quantization.quantize(np.array(real))
    assert quantized.dtype == quantization.dtype
    np.testing.assert_array_equal(quantized, expected)


@pytest.mark.parametrize(
    ("quantization", "quantized", "expected"),
    [
        # -128 less a zero point of 127 is -255, which does not fit int8.
        pytest.param(int8(0.5, 127), [-128, 127], [-127.5, 0], id="widens"),
        pytest.param(int8(0.25, -128), [-128, 127], [0, 63.75], id="lowest-zero-point"),
        pytest.param(Quantization(np.dtype(np.uint8), 0.5, 200), [0, 255], [-100, 27.5], id="uint8"),
        pytest.param(Quantization(np.dtype(np.int16), 2, 0), [-32768, 32767], [-65536, 65534], id="int16"),
        pytest.param(Quantization(np.dtype(np.float32), 0.0, 0), [1.5], [1.5], id="float32"),
    ],
)  # fmt: skip
def test_dequantize_gives_the_numbers_computed_by_hand(quantization, quantized, expected):
    real = quantization.dequantize(np.array(quantized, quantization.dtype))
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, np.array(expected, np.float32))


def test_quantize_keeps_the_shape_and_its_input():
    real = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    before = real.copy()
    assert int8(0.01).quantize(real).shape == (2, 3, 4)
    np.testing.assert_array_equal(real, before)


@settings(deadline=None)
@given(
    dtype=st.sampled_from([np.int8, np.uint8, np.int16]),
    scale=st.floats(1e-4, 10),
    share=st.floats(0, 1),
    data=st.data(),
)
def test_round_trip_of_what_the_type_can_show_is_within_half_a_step(dtype, scale, share, data):
    limits = np.iinfo(dtype)
    zero_point = int(limits.min + share * (limits.max - limits.min))
    quantization = Quantization(np.dtype(dtype), scale, zero_point)
    low, high = (limits.min - zero_point) * scale, (limits.max - zero_point) * scale
    real = np.array(data.draw(st.lists(st.floats(low, high), min_size=1, max_size=20)))
    back = quantization.dequantize(quantization.quantize(real))
    # Half a step, and the rounding of the result to float32: 2**-24 of its size, here at most 65,535 steps.
    assert np.abs(back - real).max() <= scale * (0.5 + 65_535 * 2.0**-24)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_round_trip_of_every_integer_is_exact(dtype):
    limits = np.iinfo(dtype)
    every = np.arange(limits.min, limits.max + 1).astype(dtype)
    for scale, zero_point in ((0.1, 0), (1 / 255, int(limits.min)), (0.0123, int(limits.max))):
        quantization = Quantization(np.dtype(dtype), scale, zero_point)
        np.testing.assert_array_equal(quantization.quantize(quantization.dequantize(every)), every)


# --- every type, scale and zero point, against whole numbers and fractions computed without NumPy

INTEGERS = st.sampled_from([np.int8, np.uint8, np.int16])
# Powers of two, so that a real number that lies on a step or half-way between two is exactly there.
EXACT_SCALES = st.integers(-14, 6).map(lambda exponent: 2.0**exponent)


@st.composite
def quantizations(draw, scales):
    dtype = np.dtype(draw(INTEGERS))
    limits = np.iinfo(dtype)
    return Quantization(dtype, draw(scales), draw(st.integers(limits.min, limits.max)))


def by_hand(quantization, real: Fraction) -> int:
    """q = clip(round(x / scale) + zero_point) in exact fractions; Python rounds halves to even."""
    limits = np.iinfo(quantization.dtype)
    steps = round(real / Fraction(quantization.scale)) + quantization.zero_point
    return int(max(limits.min, min(limits.max, steps)))


@settings(deadline=None)
@given(
    quantization=quantizations(EXACT_SCALES),
    halves=st.lists(st.integers(-140_000, 140_000), min_size=1, max_size=20),
    real_type=st.sampled_from([np.float32, np.float64]),
)
def test_quantize_of_every_half_step_is_exact(quantization, halves, real_type):
    """Whole steps, half-way cases of either sign, and far beyond both ends of the type."""
    exact = [Fraction(half, 2) * Fraction(quantization.scale) for half in halves]
    quantized = quantization.quantize(np.array([float(one) for one in exact], real_type))
    assert quantized.dtype == quantization.dtype
    assert quantized.tolist() == [by_hand(quantization, one) for one in exact]


@settings(deadline=None)
@given(
    quantization=quantizations(st.floats(1e-6, 1e3)),
    real=st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=20),
)
def test_quantize_of_any_number_is_the_nearest_step_or_the_end(quantization, real):
    limits = np.iinfo(quantization.dtype)
    for one, quantized in zip(real, quantization.quantize(np.array(real)).tolist(), strict=True):
        steps = Fraction(one) / Fraction(quantization.scale) + quantization.zero_point
        clipped = max(Fraction(int(limits.min)), min(Fraction(int(limits.max)), steps))
        # The division rounds once in float64, which may move a number across a half-way point near it.
        assert abs(quantized - clipped) <= Fraction(1, 2) + abs(steps) * Fraction(2) ** -52


@settings(deadline=None)
@given(quantization=quantizations(EXACT_SCALES), data=st.data())
def test_dequantize_of_any_integer_is_exact(quantization, data):
    limits = np.iinfo(quantization.dtype)
    numbers = data.draw(st.lists(st.integers(limits.min, limits.max), min_size=1, max_size=20))
    real = quantization.dequantize(np.array(numbers, quantization.dtype))
    assert real.dtype == np.float32
    expected = [
        Fraction(one - quantization.zero_point) * Fraction(quantization.scale) for one in numbers
    ]
    assert [Fraction(float(one)) for one in real] == expected


@settings(deadline=None)
@given(real=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_float32_passes_through_both_ways(real):
    quantization = Quantization(np.dtype(np.float32), 0.0, 0)
    values = np.array(real, np.float32)
    np.testing.assert_array_equal(quantization.quantize(values), values)
    np.testing.assert_array_equal(quantization.dequantize(values), values)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "first", "last"),
    [
        pytest.param(np.int8, 1 / 255, -128, -128, 127, id="int8"),
        pytest.param(np.uint8, 1 / 255, 0, 0, 255, id="uint8"),
        pytest.param(np.int16, 1 / 32767, 0, 0, 32767, id="int16"),
    ],
)
def test_quantize_of_every_pixel_is_the_integer_computed_by_hand(
    dtype, scale, zero_point, first, last
):
    quantization = Quantization(np.dtype(dtype), scale, zero_point)
    pixels = np.arange(256, dtype=np.float32) / np.float32(255)
    # 32767 / 255 is no whole number, and a pixel's step nowhere half-way: 255 is odd.
    expected = [first + round(Fraction(pixel * (last - first), 255)) for pixel in range(256)]
    assert quantization.quantize(pixels).tolist() == expected
