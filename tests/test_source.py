"""Tests of what is known about a network before conversion: from its run, its card, or its int8 file."""

import json

import pytest

from garmentlite.convert.held_out_confidence import find_confidence
from garmentlite.convert.source import find_source
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import attach

LABELS = ["Bag", "Coat", "Dress", "Shirt"]
TRAINING = {"network": "some", "class_weights": {"Shirt": 2.0}, "augmentation": {"flip": 0.5}}


@pytest.fixture
def keras_file(tmp_path):
    """A `.keras` file; its content does not matter before it is loaded."""
    path = tmp_path / "net.keras"
    path.write_bytes(b"some network")
    return path


def write_card(keras_file, **changes):
    card = {
        "labels": LABELS, "training": TRAINING, "temperature": 0.9, "unknown_threshold": 0.3,
        "photographs": {"runs": 5}, "files": {"keras": {"sha256": sha256(keras_file.read_bytes())}},
    }  # fmt: skip
    keras_file.with_suffix(".json").write_text(json.dumps(card | changes))


def write_int8(keras_file, dense_model, metadata_of, **changes):
    import numpy as np

    flatbuffer = dense_model(np.ones((4, 16)), np.zeros(4), io="int8")
    fields = {
        "reference_sha256": sha256(keras_file.read_bytes()), "views": ("plain", "mirrored"),
        "training": {"network": "some"}, "unknown_threshold": 0.25, "temperature": 0.8,
    }  # fmt: skip
    content = attach(flatbuffer, metadata_of(**(fields | changes)))
    keras_file.with_name("net_int8.tflite").write_bytes(content)


def test_keras_file_with_its_card_keeps_labels_views_and_threshold(keras_file):
    write_card(keras_file)
    source = find_source(keras_file, None)
    assert source.labels == tuple(LABELS)
    assert source.views == ("plain", "mirrored")  # a card of version 0.1.0: from the augmentation
    assert source.class_weights(LABELS).tolist() == [1, 1, 1, 2]
    said = []
    found = find_confidence(source, say=said.append)
    assert (found.temperature, found.unknown_threshold) == (0.9, 0.3)
    assert found.measured == {"runs": 5}
    assert said == []


def test_views_of_a_card_go_before_the_augmentation(keras_file):
    write_card(keras_file, views=["plain"])
    assert find_source(keras_file, None).views == ("plain",)


def test_keras_file_without_card_uses_the_metadata_of_its_int8_file(
    keras_file, dense_model, metadata_of
):
    write_int8(keras_file, dense_model, metadata_of)
    source = find_source(keras_file, None)
    assert source.labels == tuple(LABELS)
    assert source.views == ("plain", "mirrored")
    assert source.training == {"network": "some"}
    assert source.confidence.unknown_threshold == 0.25


@pytest.mark.parametrize(
    "card",
    [
        pytest.param({"files": {"keras": {"sha256": "0" * 64}}}, id="of-another-file"),
        pytest.param({"files": {}}, id="without-checksum"),
        pytest.param({"files": None}, id="broken"),
    ],
)
def test_card_of_another_file_is_not_used(keras_file, dense_model, metadata_of, card):
    write_card(keras_file, **card)
    write_int8(keras_file, dense_model, metadata_of, reference_sha256="0" * 64)
    source = find_source(keras_file, None)
    assert (source.training, source.labels, source.views) == ({}, (), ("plain",))
    said = []
    assert find_confidence(source, say=said.append) is None
    assert said[0].startswith("No 'unknown' threshold is known for net")


def test_file_that_is_not_json_is_not_used_as_card(keras_file):
    keras_file.with_suffix(".json").write_text("text")
    assert find_source(keras_file, None).training == {}


@pytest.mark.parametrize(
    ("config", "labels", "views"),
    [
        pytest.param(
            {"class_weights": {"b": 1, "a": 2}, "augmentation": {"flip": 0.5}},
            ("b", "a"), ("plain", "mirrored"), id="0.1.0",
        ),
        pytest.param(
            {"class_weights": {"a": 2, "b": 1}, "labels": ["b", "a"], "views": ["plain"],
             "augmentation": {"flip": 0.5}},
            ("b", "a"), ("plain",), id="now",
        ),
    ],
)  # fmt: skip
def test_run_states_labels_and_views(tmp_path, config, labels, views):
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps({"network": "some"} | config))
    source = find_source(tmp_path, None)
    assert (source.labels, source.views) == (labels, views)
    assert source.run == tmp_path


def test_find_source_of_a_run_knows_its_protocol(run_folder):
    source = find_source(run_folder, None)
    assert source.name == "tiny"
    assert source.path == run_folder / "model.keras"
    assert source.class_weights(FASHION_MNIST_LABELS).tolist() == [1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert (source.augmentation.rotation, source.augmentation.shift) == (5, 0.05)
    assert find_source(run_folder, "mine").name == "mine"


def test_find_source_of_a_keras_file_alone_knows_nothing_more(trained_keras):
    source = find_source(trained_keras, None)
    assert (source.name, source.training) == ("tiny", {})
    assert source.class_weights(FASHION_MNIST_LABELS).tolist() == [1] * 10
    assert source.augmentation == type(source.augmentation)()


@pytest.mark.parametrize("missing", ["metrics.json", "config.json"])
def test_find_source_of_an_unfinished_run_says_how_to_finish_it(run_folder, missing):
    (run_folder / missing).unlink()
    with pytest.raises(DataError, match=f"not a finished run: {missing} .*--resume"):
        find_source(run_folder, None)


@pytest.mark.parametrize("name", ["none.keras", "model.pt", "model.tflite"])
def test_find_source_of_another_file_is_refused(tmp_path, name):
    if not name.startswith("none"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"neither a run's folder nor a network \(a \.keras"):
        find_source(tmp_path / name, None)
