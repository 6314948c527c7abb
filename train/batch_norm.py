"""Batch-norm statistics as inference will meet them."""

from __future__ import annotations

import keras
import numpy as np

from train.data import as_input

RECALIBRATION_IMAGES = 3000
_BATCH_SIZE = 500


class Recalibration:
    """Sets the moving statistics of every batch-norm to those of clean images without dropout.

    What a batch-norm averages during training comes from augmented images and through dropout, both of
    which change the variance (Li et al. 2019, "Understanding the disharmony between dropout and batch
    normalization by variance shift"): the same weights can be a point of accuracy apart.
    """

    def __init__(self, model: keras.Model, images_u8: np.ndarray) -> None:
        """Prepares the way to each batch-norm.

        Args:
            model: The network in training.
            images_u8: Clean training images, uint8, shape (N, H, W); the first few thousand are used.
        """
        self._x = as_input(images_u8[:RECALIBRATION_IMAGES])
        # Each layer with the part of the network in front of it; the parts share the layers.
        self._fronts = [
            (layer, keras.Model(model.input, layer.input))
            for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        ]

    def apply(self) -> None:
        """Sets the statistics, front to back, each with those before it already set."""
        for layer, front in self._fronts:
            mean, mean_of_squares = 0.0, 0.0
            for start in range(0, len(self._x), _BATCH_SIZE):
                batch = self._x[start : start + _BATCH_SIZE]
                results = np.asarray(front.predict_on_batch(batch)).astype(np.float64)
                results = results.reshape(-1, results.shape[-1])
                share = len(batch) / len(self._x)
                mean = mean + share * results.mean(axis=0)
                mean_of_squares = mean_of_squares + share * (results**2).mean(axis=0)
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(mean_of_squares - np.square(mean))
