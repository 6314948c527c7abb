"""Tests of the initial weights that a training takes from a run or a file."""

import json

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.config import TrainConfig


@pytest.fixture
def read_initial_weights(tensorflow):
    from garmentlite.train import initial_weights

    return initial_weights.read_initial_weights


@pytest.fixture(scope="module")
def named(networks, tiny, tmp_path_factory):
    """Saves the small network with so many outputs under its name; returns path and network."""

    def save(classes, name=tiny):
        built = networks.NETWORKS[tiny].build(classes)
        built.name = name
        path = tmp_path_factory.mktemp("init") / "init.keras"
        built.save(path)
        return path, built

    return save


def test_read_initial_weights_of_the_same_classes_keeps_all_its_weights(
    read_initial_weights, fit, named, tiny, images
):
    path, model = named(10)
    init = read_initial_weights(path, None, FASHION_MNIST_LABELS)
    assert (init.network, init.sentence) == ("tiny", "")
    for one, other in zip(init.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # With a learning rate of almost 0, training keeps the weights that it begins with.
    still = TrainConfig(
        network=tiny,
        labels=FASHION_MNIST_LABELS,
        epochs=1,
        batch_size=64,
        learning_rate=1e-12,
        seed=7,
    )
    result = fit.train(still, *images, init=init.weights)
    kernel = result.model.get_weights()[0]
    np.testing.assert_allclose(kernel, init.weights[0], atol=1e-9)


def test_read_initial_weights_of_other_classes_leaves_out_its_last_layer(
    read_initial_weights, named
):
    path, model = named(10)
    init = read_initial_weights(path, None, ("hats", "socks", "scarves"))
    assert len(init.weights) == len(model.get_weights()) - 2
    assert (
        "was trained on 10 other classes: its last layer is replaced by one for hats, socks"
        in init.sentence
    )
    # As many outputs, but the card beside the file names others.
    path, _ = named(3)
    assert read_initial_weights(path, None, ("hats", "socks", "scarves")).sentence
    path.with_suffix(".json").write_text('{"labels": ["hats", "socks", "scarves"]}')
    assert not read_initial_weights(path, None, ("hats", "socks", "scarves")).sentence
    assert read_initial_weights(path, None, ("hats", "scarves", "socks")).sentence


def test_read_initial_weights_that_do_not_fit_is_one_sentence(
    read_initial_weights, named, tmp_path
):
    path, _ = named(10, name="somebody-s")
    with pytest.raises(OptionError, match=r"called 'somebody-s'.*name its network with --network"):
        read_initial_weights(path, None, FASHION_MNIST_LABELS)
    assert read_initial_weights(path, "tiny", FASHION_MNIST_LABELS).network == "tiny"
    with pytest.raises(ModelError, match="does not have the layers of compact-cnn"):
        read_initial_weights(path, "compact-cnn", FASHION_MNIST_LABELS)
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(ModelError, match="cannot be read as a Keras network"):
        read_initial_weights(tmp_path / "text.keras", None, FASHION_MNIST_LABELS)


def test_read_initial_weights_of_a_run_takes_its_list_of_labels(
    read_initial_weights, named, tmp_path
):
    path, _ = named(3)
    (tmp_path / "model.keras").write_bytes(path.read_bytes())
    weights = {"hats": 1.0, "scarves": 1.0, "socks": 1.0}
    config = {"class_weights": weights, "labels": ["socks", "hats", "scarves"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert not read_initial_weights(tmp_path, None, ("socks", "hats", "scarves")).sentence
    assert read_initial_weights(tmp_path, None, ("hats", "scarves", "socks")).sentence
