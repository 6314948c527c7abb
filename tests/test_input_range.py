"""Tests of the range that a Rescaling at the start of a network expects."""

import pytest

from garmentlite.convert.input_range import range_before


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1 / 255, 0, "0..255"), (1 / 127.5, -1, "0..255"), (1 / 128, -1, "0..255"),
        (2, -1, "0..1"), (0.5, 0.5, "-1..1"), (1 / 1000, 0, None), (3, 0, None),
    ],
)  # fmt: skip
def test_range_before_a_rescaling_is_the_one_that_leads_to_a_usual_range(scale, offset, expected):
    assert range_before(scale, offset) == expected
