"""Measures the statistics of batch-norm again on clean images, as in inference."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np

from garmentlite.train.data import as_input

RECALIBRATION_IMAGES = 3000


class Recalibration:
    """Sets the moving statistics of every batch-norm to those of clean images without dropout.

    During training a batch-norm averages over augmented images and through dropout, and both change the
    variance (Li et al. 2019, "Understanding the disharmony between dropout and batch normalization by
    variance shift"). With the same weights this can cost a point of accuracy.
    """

    def __init__(self, model: keras.Model, images_u8: np.ndarray) -> None:
        """Takes the images.

        Args:
            model: A network that uses each of its layers once.
            images_u8: Clean training images, uint8, shape (N, H, W); the first few thousand are used.
        """
        self._model = model
        self._x = as_input(images_u8[:RECALIBRATION_IMAGES])

    def apply(self) -> None:
        """Sets the statistics from the first layer to the last, so that each sees those before it."""
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
                # The outputs of all layers at once would not fit into memory.
                if not uses[id(tensor)]:
                    del values[id(tensor)]


def _inputs(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return layer.input if isinstance(layer.input, list) else [layer.input]
