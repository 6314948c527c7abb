"""A `.keras` file is read in safe mode; what is none is one sentence."""

import zipfile

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError
from garmentlite.train.keras_file import read_network


def test_read_network_reads_what_was_saved(trained, trained_keras):
    found = read_network(trained_keras, "train it")
    for one, other in zip(trained.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_read_network_runs_no_code_from_the_file(keras, tmp_path):
    inputs = keras.Input((28, 28, 1))
    outputs = keras.layers.Flatten()(keras.layers.Lambda(lambda x: x + 1)(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "code.keras")
    with pytest.raises(ModelError, match=r"cannot be read as a Keras network .*; train it\."):
        read_network(tmp_path / "code.keras", "train it")


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "cut-off", "no-weights"])
def test_read_network_of_what_is_none_is_one_sentence(trained_keras, tmp_path, damage):
    path = tmp_path / "network.keras"
    content = trained_keras.read_bytes()
    if damage == "no-weights":
        with zipfile.ZipFile(trained_keras) as whole, zipfile.ZipFile(path, "w") as part:
            part.writestr("config.json", whole.read("config.json"))
            part.writestr("metadata.json", whole.read("metadata.json"))
    elif damage != "missing":
        path.write_bytes({"empty": b"", "text": b"text", "cut-off": content[:-500]}[damage])
    with pytest.raises(ModelError, match=r"cannot be read as a Keras network .*; train it\."):
        read_network(path, "train it")
