"""Batch-norm statistics as inference will meet them."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np

from garmentlite.train.data import as_input

RECALIBRATION_IMAGES = 3000


class Recalibration:
    """Sets the moving statistics of every batch-norm to those of clean images without dropout.

    What a batch-norm averages during training comes from augmented images and through dropout, both of
    which change the variance (Li et al. 2019, "Understanding the disharmony between dropout and batch
    normalization by variance shift"): the same weights can be a point of accuracy apart.
    """

    def __init__(self, model: keras.Model, images_u8: np.ndarray) -> None:
        """Takes the images.

        Args:
            model: Each of its layers is used once.
            images_u8: Clean training images, uint8, shape (N, H, W); the first few thousand are used.
        """
        self._model = model
        self._x = as_input(images_u8[:RECALIBRATION_IMAGES])

    def apply(self) -> None:
        """Sets the statistics, front to back, each with those before it already set."""
        values = {id(self._model.input): keras.ops.convert_to_tensor(self._x)}
        uses = Counter(id(tensor) for layer in self._model.layers for tensor in _inputs(layer))
        for layer in self._model.layers:
            inputs = _inputs(layer)
            if not inputs:
                continue
            given = [values[id(tensor)] for tensor in inputs]
            if isinstance(layer, keras.layers.BatchNormalization):
                axes = tuple(range(given[0].ndim - 1))
                layer.moving_mean.assign(keras.ops.mean(given[0], axes))
                layer.moving_variance.assign(keras.ops.var(given[0], axes))
            called_with = given if isinstance(layer.input, list) else given[0]
            values[id(layer.output)] = layer(called_with, training=False)
            for tensor in inputs:
                uses[id(tensor)] -= 1
                if not uses[id(tensor)]:
                    del values[id(tensor)]  # thousands of images in every layer would not fit


def _inputs(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return layer.input if isinstance(layer.input, list) else [layer.input]
