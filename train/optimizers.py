"""The optimizer that a recipe asks for."""

from __future__ import annotations

import keras

from garmentlite.train.muon import ConvMuon
from garmentlite.train.recipe import Recipe


def make_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """Makes the recipe's optimizer, not yet built for any variables."""
    averaging = {"use_ema": True, "ema_momentum": recipe.averaging} if recipe.averaging else {}
    options = {"weight_decay": recipe.weight_decay or None, **averaging}
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            recipe.learning_rate, momentum=0.9, nesterov=True, **options
        )
    elif recipe.optimizer == "muon":
        optimizer = ConvMuon(recipe.learning_rate, **options)
    else:
        optimizer = keras.optimizers.Adam(recipe.learning_rate, **options)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
