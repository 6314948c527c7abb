"""The copy that is trained computes what the network computes, but faster or in another precision."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def training_copy(tensorflow):
    from garmentlite.train.training_copy import training_copy

    return training_copy


@pytest.fixture
def network(networks, keras):
    keras.utils.set_random_seed(0)
    return networks.network_named("garment-net").build(10)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((32, 28, 28, 1), np.float32)


def test_training_copy_gives_the_outputs_gradients_and_statistics_of_the_network(
    tensorflow, training_copy, network, images
):
    tf = tensorflow
    copy = training_copy(network)
    gradients, outputs = [], []
    for model in (network, copy):
        with tf.GradientTape() as tape:
            outputs.append(model(images, training=True))
            loss = tf.reduce_mean(tf.square(outputs[-1]))
        gradients.append(tape.gradient(loss, [one.value for one in model.trainable_variables]))
    # float32 sums in another order, through 10 convolutions; a term that batch-norm's gradient lacks would
    # show in the first digit.
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-2 * max(1e-3, np.abs(one).max()))
    count = 32 * 7 * 7  # at the smallest; the operator's variance is of a sample: n / (n - 1)
    for one, other in zip(network.weights, copy.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=2 / count, atol=1e-5)
    np.testing.assert_allclose(network(images), copy(images), atol=1e-3)


def test_training_copy_starts_with_the_weights_and_leaves_them_alone(training_copy, network):
    before = network.get_weights()
    copy = training_copy(network)
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_copy_in_mixed_precision_keeps_weights_and_logits_in_float32(
    training_copy, network, images
):
    copy = training_copy(network, mixed_precision=True)
    assert {layer.compute_dtype for layer in copy.layers[1:-1]} == {"bfloat16"}
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    logits = np.asarray(copy(images))
    assert logits.dtype == np.float32
    # bfloat16 has 8 bits; ten layers of it.
    np.testing.assert_allclose(logits, network(images), atol=10 * 2**-8 * np.abs(logits).max())


def test_training_copy_for_several_devices_takes_statistics_over_all_of_them(
    keras, training_copy, network
):
    copy = training_copy(network, devices=2)
    norms = [one for one in copy.layers if isinstance(one, keras.layers.BatchNormalization)]
    assert norms
    assert all(one.synchronized for one in norms)
