"""A `.keras` file is read in safe mode; any other file gives an error of one sentence."""

import io
import json
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
    with pytest.raises(ModelError, match=r"code\.keras holds Python code in its layer 'lambda"):
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


def rewritten(source, path, **changed):
    """A copy of a `.keras` file with other bytes for some entries, deflated."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in whole.namelist():
            key = name.replace(".", "_")
            copy.writestr(name, changed[key] if key in changed else whole.read(name))
    return path


def test_read_network_reads_a_deflated_copy(trained_keras, tmp_path):
    assert read_network(rewritten(trained_keras, tmp_path / "a.keras"), "train it")


def test_read_network_of_a_zip_bomb_is_refused(trained_keras, tmp_path, monkeypatch):
    monkeypatch.setattr("garmentlite.train.keras_file.LARGEST_BYTES", 32 << 20)
    path = rewritten(trained_keras, tmp_path / "a.keras", model_weights_h5=bytes(64 << 20))
    with pytest.raises(ModelError, match=r"unpacks to more than 32 MiB\); train it"):
        read_network(path, "train it")


def test_read_network_of_weights_that_state_a_huge_array_is_refused(trained_keras, tmp_path):
    h5py = pytest.importorskip("h5py")
    with zipfile.ZipFile(trained_keras) as archive:
        buffer = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(buffer, "r+") as weights:
        weights.create_dataset("huge", (1 << 40,), "f4", chunks=(1024,))
    path = rewritten(trained_keras, tmp_path / "a.keras", model_weights_h5=buffer.getvalue())
    with pytest.raises(ModelError, match="its weights have more than"):
        read_network(path, "train it")


def test_read_network_of_a_layer_wider_than_its_weights_is_refused(trained_keras, tmp_path):
    with zipfile.ZipFile(trained_keras) as archive:
        config = json.loads(archive.read("config.json"))
    last = next(one for one in config["config"]["layers"][::-1] if "units" in one["config"])
    last["config"]["units"] = 1_000_000_000
    path = rewritten(trained_keras, tmp_path / "a.keras", config_json=json.dumps(config))
    with pytest.raises(ModelError, match="a layer in it has 1,000,000,000 units"):
        read_network(path, "train it")
