"""Recipes that cannot be trained with are refused, and recipes are adapted to photographs."""

from dataclasses import replace

import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.train import recipe
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.recipe import OPTIMIZERS, Recipe
from garmentlite.train.schedule import SCHEDULES


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_recipe_with_a_number_not_above_0_is_refused(name):
    with pytest.raises(OptionError, match=f"--{name.replace('_', '-')} must be above 0, got 0"):
        Recipe(**{name: 0})


@pytest.mark.parametrize(
    ("name", "known"), [("optimizer", OPTIMIZERS), ("schedule", tuple(SCHEDULES))]
)
def test_recipe_with_an_unknown_word_names_those_there_are(name, known):
    with pytest.raises(OptionError, match=f"{name} is one of {known[0]}.*got 'best'"):
        Recipe(**{name: "best"})


def test_images_rest_in_all_but_the_last_eighth_of_the_epochs():
    resting = Recipe(epochs=16, rest=0.5)
    assert [epoch for epoch in range(16) if not resting.rests_in(epoch)] == [14, 15]
    assert not any(Recipe(epochs=16).rests_in(epoch) for epoch in range(16))


def test_recipe_for_adaptation_is_short_and_small_and_never_lets_images_rest():
    own = Recipe(epochs=80, learning_rate=0.01, rest=0.5, augmentation=Augmentation(flip=0.5))
    adapted = recipe.adapted(own, photographs=True, is_pretrained=True, alone=False)
    assert (adapted.epochs, adapted.schedule, adapted.rest) == (
        recipe.ADAPTATION_EPOCHS,
        "cosine",
        0,
    )
    assert adapted.learning_rate == pytest.approx(0.01 * recipe.ADAPTATION_RATE)
    assert adapted.augmentation == own.augmentation
    assert adapted.label_smoothing == 0
    assert adapted.start_share == recipe.START_SHARE
    assert adapted.beside_factor == recipe.BESIDE_FACTOR
    assert recipe.adapted(own, photographs=False, is_pretrained=False, alone=False) == replace(
        own, rest=0.0
    )


def test_recipe_for_trained_weights_without_photographs_keeps_the_loss():
    adapted = recipe.adapted(Recipe(), photographs=False, is_pretrained=True, alone=False)
    assert adapted.epochs == recipe.ADAPTATION_EPOCHS
    assert adapted.beside_factor == 1


def test_recipe_for_photographs_alone_regularises():
    plain = recipe.adapted(Recipe(), photographs=True, is_pretrained=False, alone=True)
    assert plain.label_smoothing == recipe.SMOOTHING_ALONE
    assert plain.augmentation == recipe.AUGMENTATION_ALONE
    assert plain.averaging == 0
    averaged = recipe.adapted(
        Recipe(averaging=0.998), photographs=True, is_pretrained=True, alone=True
    )
    assert averaged.averaging == recipe.AVERAGING_ALONE
    assert averaged.epochs == recipe.ADAPTATION_EPOCHS_ALONE
    assert averaged.start_share == 0  # of other classes nothing is to be kept
    assert averaged.beside_factor == 1  # there are no images beside the photographs
    own = Recipe(label_smoothing=0.2, augmentation=Augmentation(shift=0.1))
    assert recipe.adapted(own, photographs=True, is_pretrained=False, alone=True) == own
