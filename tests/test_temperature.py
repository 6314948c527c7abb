"""Tests of the search for the temperature."""

import pytest

from garmentlite.train.temperature import temperature_of_least_loss


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(1.0, 1.0), (2.344, 2.34), (0.2, 0.2), (0.01, 0.2), (5.0, 5.0), (90.0, 5.0)],
)
def test_temperature_of_least_loss_is_the_nearest_hundredth_between_the_limits(wanted, found):
    assert temperature_of_least_loss(lambda temperature: (temperature - wanted) ** 2) == found


def test_temperature_of_least_loss_is_the_lower_one_of_two_that_are_equally_good():
    assert temperature_of_least_loss(lambda temperature: -float(temperature in (0.75, 3.0))) == 0.75


def test_temperature_of_least_loss_finds_the_deeper_of_two_minima():
    def loss(temperature):
        return min((temperature - 0.5) ** 2, (temperature - 4) ** 2 - 0.1)

    assert temperature_of_least_loss(loss) == 4.0
