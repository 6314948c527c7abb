"""Batch-norm while a network is trained: computed in one step, and its statistics as inference meets them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np

from train.data import as_input

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
            model: The network in training; each layer is used once.
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


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """The same arithmetic as one TensorFlow operator each way.

    Keras 3 spells batch-norm out in a dozen elementwise operators, which on a CPU is a third of the step of
    a network with small convolutions; `benchmarks/training_speed.py` measures both.
    """

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:  # a backend's tensors
        """The normalised images; while training, by their own mean and variance."""
        if not training or mask is not None or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        return outputs


def with_fused_batch_norm(model: keras.Model) -> keras.Model:
    """The same network with the same weights, faster to train; as it is on another backend than TensorFlow.

    Args:
        model: A network of Keras' own layers.

    Returns:
        A network for training only: what is saved should have Keras' own layers.
    """
    if keras.backend.backend() != "tensorflow":
        return model
    faster = keras.models.clone_model(model, clone_function=_fused)
    faster.set_weights(model.get_weights())
    return faster


def _fused(layer: keras.layers.Layer) -> keras.layers.Layer:
    fused = type(layer) is keras.layers.BatchNormalization
    kind = FusedBatchNormalization if fused else type(layer)
    return kind.from_config(layer.get_config())


def _inputs(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return layer.input if isinstance(layer.input, list) else [layer.input]
