"""Muon makes orthogonal steps of convolution kernels, and its runs can be resumed."""

import numpy as np
import pytest

from garmentlite.train.augmentation import Augmentation
from garmentlite.train.config import TrainConfig

RATE = 0.01


@pytest.fixture(scope="module")
def muon(tensorflow):
    from garmentlite.train import muon

    return muon


@pytest.fixture
def kernels(keras):
    """A first and a second convolution, a last layer and a bias, with the values before any step."""
    rng = np.random.default_rng(5)
    shapes = {"first": (3, 3, 1, 8), "second": (3, 3, 8, 16), "last": (16, 10), "bias": (10,)}
    return {
        name: keras.Variable(rng.normal(size=shape).astype(np.float32), name=name)
        for name, shape in shapes.items()
    }


def step(optimizer, variables, seed):
    """The change of each variable by one step on random gradients."""
    rng = np.random.default_rng(seed)
    before = {name: np.array(variable) for name, variable in variables.items()}
    gradients = [rng.normal(size=one.shape).astype(np.float32) for one in variables.values()]
    optimizer.apply(gradients, list(variables.values()))
    return {name: np.array(variables[name]) - before[name] for name in variables}


def test_step_of_a_kernel_has_singular_values_alike(muon, kernels):
    change = step(muon.ConvMuon(RATE), kernels, seed=1)["second"]
    singular = np.linalg.svd(change.reshape(72, 16), compute_uv=False)
    # Five steps of the quintic iteration end between 0.7 and 1.2; the rest is the size of a step.
    size = RATE * 0.2 * np.sqrt(72)
    assert singular.min() > 0.6 * size
    assert singular.max() < 1.3 * size


def test_other_variables_take_the_first_step_of_adam_at_half_the_rate(muon, kernels):
    changes = step(muon.ConvMuon(RATE), kernels, seed=1)
    for name in ("first", "last", "bias"):
        # Adam's first step is the rate times the gradient's sign, but for its epsilon beside the smallest.
        np.testing.assert_allclose(np.abs(changes[name]), RATE / 2, rtol=0.02)


def test_weight_decay_shrinks_kernels_alone_where_the_rest_is_excluded(muon, kernels):
    decayed = muon.ConvMuon(RATE, weight_decay=1.0)
    decayed.exclude_from_weight_decay(var_names=["bias"])
    before = np.array(kernels["second"])
    bias = np.array(kernels["bias"])
    with_decay = step(decayed, kernels, seed=1)
    for name, value in (("second", before), ("bias", bias)):
        kernels[name].assign(value)
    without = step(muon.ConvMuon(RATE), kernels, seed=1)
    shrunk = with_decay["second"] - without["second"]
    np.testing.assert_allclose(shrunk, -RATE * before, atol=1e-6)
    np.testing.assert_allclose(with_decay["bias"], without["bias"], atol=1e-6)


def test_run_with_muon_broken_off_within_an_epoch_ends_with_the_same_weights(
    fit, made_data, tmp_path
):
    recipe = TrainConfig(
        network="garment-net", labels=tuple("ABCDEFGHIJ"), epochs=1,
        batch_size=50, learning_rate=RATE, optimizer="muon", weight_decay=0.05, schedule="cosine",
        averaging=0.9, seed=3, augmentation=Augmentation(flip=0.5),
    )  # fmt: skip
    x, y = made_data.x_train[::4], made_data.y_train[::4]
    images = (x, y, made_data.x_test, made_data.y_test)
    whole = fit.train(recipe, *images).model.get_weights()
    path = tmp_path / "checkpoint.npz"

    def breaks(epoch, done, of):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.train(recipe, *images, checkpoint=path, save_every_s=0, on_step=breaks)
    again = fit.train(recipe, *images, checkpoint=path).model.get_weights()
    for first, second in zip(whole, again, strict=True):
        np.testing.assert_array_equal(first, second)
