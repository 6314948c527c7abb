"""Tests of trained weights that a run begins with."""

import json

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.config import TrainConfig


@pytest.fixture
def start_from(tensorflow):
    from garmentlite.train import start

    return start.start_from


@pytest.fixture(scope="module")
def named(networks, tiny, tmp_path_factory):
    """Saves the small network with so many outputs under its name; returns path and network."""

    def save(classes, name=tiny):
        built = networks.NETWORKS[tiny].build(classes)
        built.name = name
        path = tmp_path_factory.mktemp("init") / "start.keras"
        built.save(path)
        return path, built

    return save


def test_start_from_a_network_of_the_same_classes_keeps_all_its_weights(
    start_from, fit, named, tiny, images
):
    path, model = named(10)
    start = start_from(path, None, FASHION_MNIST_LABELS)
    assert (start.network, start.sentence) == ("tiny", "")
    for one, other in zip(start.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # With steps of nothing, what comes out is what went in.
    still = TrainConfig(
        network=tiny,
        labels=FASHION_MNIST_LABELS,
        epochs=1,
        batch_size=64,
        learning_rate=1e-12,
        seed=7,
    )
    result = fit.train(still, *images, init=start.weights)
    kernel = result.model.get_weights()[0]
    np.testing.assert_allclose(kernel, start.weights[0], atol=1e-9)


def test_start_from_a_network_of_other_classes_leaves_out_its_last_layer(start_from, named):
    path, model = named(10)
    start = start_from(path, None, ("hats", "socks", "scarves"))
    assert len(start.weights) == len(model.get_weights()) - 2
    assert (
        "was trained on 10 other classes: its last layer is replaced by one for hats, socks"
        in start.sentence
    )
    # As many outputs, but the card beside the file names others.
    path, _ = named(3)
    assert start_from(path, None, ("hats", "socks", "scarves")).sentence
    path.with_suffix(".json").write_text('{"labels": ["hats", "socks", "scarves"]}')
    assert not start_from(path, None, ("hats", "socks", "scarves")).sentence
    assert start_from(path, None, ("hats", "scarves", "socks")).sentence


def test_start_from_what_does_not_fit_is_one_sentence(start_from, named, tmp_path):
    path, _ = named(10, name="somebody-s")
    with pytest.raises(OptionError, match=r"called 'somebody-s'.*name its network with --network"):
        start_from(path, None, FASHION_MNIST_LABELS)
    assert start_from(path, "tiny", FASHION_MNIST_LABELS).network == "tiny"
    with pytest.raises(ModelError, match="does not have the layers of compact-cnn"):
        start_from(path, "compact-cnn", FASHION_MNIST_LABELS)
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(ModelError, match="cannot be read as a Keras network"):
        start_from(tmp_path / "text.keras", None, FASHION_MNIST_LABELS)


def test_start_from_a_run_takes_its_list_of_labels(start_from, named, tmp_path):
    path, _ = named(3)
    (tmp_path / "model.keras").write_bytes(path.read_bytes())
    weights = {"hats": 1.0, "scarves": 1.0, "socks": 1.0}
    config = {"class_weights": weights, "labels": ["socks", "hats", "scarves"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert not start_from(tmp_path, None, ("socks", "hats", "scarves")).sentence
    assert start_from(tmp_path, None, ("hats", "scarves", "socks")).sentence
