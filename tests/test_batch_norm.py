from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def network(keras):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(3, 3, use_bias=False)(inputs)
    x = keras.layers.BatchNormalization(name="first")(x)
    x = keras.layers.Dropout(0.5)(keras.layers.ReLU()(x))
    x = keras.layers.Dense(4, use_bias=False)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.BatchNormalization(name="second")(x))


def test_recalibration_sets_statistics_of_clean_images_front_to_back(network, keras):
    from garmentlite.train.batch_norm import Recalibration
    from garmentlite.train.data import as_input

    images = np.random.default_rng(0).integers(0, 256, (700, 6, 6), dtype=np.uint8)
    network.get_layer("first").moving_variance.assign([9.0, 9.0, 9.0])  # as dropout might leave it

    Recalibration(network, images).apply()

    for name in ("first", "second"):
        layer = network.get_layer(name)
        front = keras.Model(network.input, layer.input)
        results = np.asarray(front(as_input(images), training=False)).astype(np.float64)
        results = results.reshape(-1, results.shape[-1])
        # float32 sums of 700 x 16 values: relative error far below 1e-4
        np.testing.assert_allclose(layer.moving_mean, results.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, results.var(axis=0), rtol=1e-4)


def test_recalibration_leaves_weights_alone(network):
    from garmentlite.train.batch_norm import Recalibration

    before = [np.asarray(weight) for weight in network.trainable_weights]
    images = np.random.default_rng(1).integers(0, 256, (50, 6, 6), dtype=np.uint8)
    Recalibration(network, images).apply()
    for old, weight in zip(before, network.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, weight)
