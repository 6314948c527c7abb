"""The learning rate of an epoch, and what a recipe refuses."""

import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.train.recipe import OPTIMIZERS, SCHEDULES, Recipe


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
    assert {epoch: recipe.rate_at(epoch) for epoch in expected} == pytest.approx(expected)


def test_rate_of_cosine_warms_up_and_falls_to_nothing():
    recipe = Recipe(epochs=100, learning_rate=1.0, schedule="cosine")
    rates = [recipe.rate_at(epoch) for epoch in range(100)]
    assert rates[:2] == pytest.approx([1 / 3, 2 / 3], rel=1e-3)
    assert rates[50] == pytest.approx(0.5)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 1e-3


def test_rate_of_constant_stays():
    recipe = Recipe(epochs=9, learning_rate=0.01, schedule="constant")
    assert {recipe.rate_at(epoch) for epoch in range(9)} == {0.01}


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_recipe_with_a_number_not_above_0_is_refused(name):
    with pytest.raises(OptionError, match=f"--{name.replace('_', '-')} must be above 0, got 0"):
        Recipe(**{name: 0})


@pytest.mark.parametrize(("name", "known"), [("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)])
def test_recipe_with_an_unknown_word_names_those_there_are(name, known):
    with pytest.raises(OptionError, match=f"{name} is one of {known[0]}.*got 'best'"):
        Recipe(**{name: "best"})


def test_images_rest_in_all_but_the_last_eighth_of_the_epochs():
    recipe = Recipe(epochs=16, rest=0.5)
    assert [epoch for epoch in range(16) if not recipe.rests_in(epoch)] == [14, 15]
    assert not any(Recipe(epochs=16).rests_in(epoch) for epoch in range(16))
