"""Tests of schedules: the learning rate of an epoch, the epoch that is kept, and early stopping."""

import pytest

from garmentlite.train.history import Epoch
from garmentlite.train.recipe import Recipe
from garmentlite.train.schedule import SCHEDULES


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        pytest.param(20, {0: 1, 12: 1, 13: 0.3, 16: 0.3, 17: 0.09, 20: 0.09}, id="long"),
        pytest.param(2, {0: 1, 1: 1, 2: 0.09}, id="short"),
        pytest.param(1, {0: 1}, id="one"),
    ],
)
def test_rate_of_plateau_falls_after_its_shares_of_the_epochs(epochs, expected):
    recipe = Recipe(epochs=epochs, learning_rate=1.0, reduce_by=0.3)
    assert {epoch: recipe.rates.highest_rate(epoch) for epoch in expected} == pytest.approx(
        expected
    )


def test_rate_of_cosine_warms_up_and_falls_to_nothing():
    recipe = Recipe(epochs=100, learning_rate=1.0, schedule="cosine")
    rates = [recipe.rates.highest_rate(epoch) for epoch in range(100)]
    assert rates[:2] == pytest.approx([1 / 3, 2 / 3], rel=1e-3)
    assert rates[50] == pytest.approx(0.5)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 1e-3


def test_rate_of_constant_stays():
    recipe = Recipe(epochs=9, learning_rate=0.01, schedule="constant")
    assert {recipe.rates.highest_rate(epoch) for epoch in range(9)} == {0.01}


def epoch_of(number, *, best, rate=1.0):
    return Epoch(number, rate, 0.0, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, [], best)


def history_of(*best, rate=1.0):
    return [epoch_of(i, best=is_best, rate=rate) for i, is_best in enumerate(best, start=1)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_begins_ends_and_says_what_is_kept(name):
    recipe = Recipe(epochs=3, learning_rate=1.0, schedule=name, stop_after=9)
    assert 0 < recipe.rates.next_rate([]) <= 1
    assert recipe.rates.why_ended(history_of(True, True)) == ""
    assert recipe.rates.why_ended(history_of(True, True, True)) == "all epochs done"
    assert recipe.rates.keeps_last_epoch == (name == "cosine")


def test_plateau_alone_lowers_the_rate_and_stops_early():
    for name in SCHEDULES:
        schedule = Recipe(epochs=30, learning_rate=1.0, schedule=name, stop_after=2).rates
        worse = history_of(True, False, False)
        assert bool(schedule.why_ended(worse)) == (name == "plateau")
    schedule = Recipe(epochs=30, learning_rate=1.0, reduce_after=2, reduce_by=0.3).rates
    assert schedule.next_rate(history_of(True, False)) == 1.0
    assert schedule.next_rate(history_of(True, False, False)) == pytest.approx(0.3)
    # Never above what the share of the epochs allows.
    assert schedule.next_rate(history_of(*[True] * 20)) == pytest.approx(0.3)
