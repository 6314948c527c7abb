"""Tests of the shipped models: where they are found, and which one is the default."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge import shipped
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import is_unchanged, split
from garmentlite.edge.preparation import PREPARATION

PAIRS = sorted(
    path.name.removesuffix("_int8.tflite") for path in shipped.FOLDER.glob("*_int8.tflite")
)


def test_default_model_is_the_first_of_the_preference_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(ModelError, match=r"There is no model in .*'cli train'"):
        shipped.default_model()
    for name in reversed(("garment-net-photo", "garment-net", "weighted-cnn")):
        (tmp_path / f"{name}_int8.tflite").touch()
        assert shipped.default_model() == tmp_path / f"{name}_int8.tflite"


def test_default_model_of_this_checkout_is_a_classifier():
    classifier = Classifier(shipped.default_model())
    assert classifier.labels == list(FASHION_MNIST_LABELS)


def test_models_folder_holds_at_least_one_pair():
    assert PAIRS


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_shipped_file_keeps_the_contract(name, kind):
    path = shipped.FOLDER / f"{name}_{kind}.tflite"
    classifier = Classifier(path)
    assert classifier.input.dtype == classifier.output.dtype == np.dtype(kind)
    assert (classifier.image_size, classifier.num_outputs) == ((28, 28), 10)
    if kind == "int8":  # pixel / 255 on all 256 steps
        assert classifier.input.scale == pytest.approx(1 / 255)
        assert classifier.input.zero_point == -128
    flatbuffer, metadata = split(path.read_bytes())
    assert is_unchanged(flatbuffer, metadata)
    assert not classifier.outputs_probabilities
    assert classifier.probabilities(np.zeros((1, 28, 28), np.uint8)).sum() == pytest.approx(
        1, abs=1e-5
    )
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().split("\n")[:-1] == list(FASHION_MNIST_LABELS)


@pytest.mark.parametrize("name", ["garment-net", "garment-net-balanced"])
def test_shipped_garment_net_has_at_most_300_000_parameters(name):
    flatbuffer, _ = split((shipped.FOLDER / f"{name}_int8.tflite").read_bytes())
    assert 250_000 < read_contents(flatbuffer).parameters <= 300_000


@pytest.mark.parametrize("name", PAIRS)
def test_shipped_pair_comes_from_one_float_model(name):
    pair = [Classifier(shipped.FOLDER / f"{name}_{kind}.tflite") for kind in ("float32", "int8")]
    checksums = {classifier.metadata.reference_sha256 for classifier in pair}
    assert len(checksums) == 1
    assert pair[0].metadata.preparation == pair[1].metadata.preparation == PREPARATION


def test_shipped_file_copied_elsewhere_needs_nothing_beside_it(shipped_int8, tmp_path):
    shutil.copy(shipped_int8, tmp_path / "alone.tflite")
    assert Classifier(tmp_path / "alone.tflite").labels == list(FASHION_MNIST_LABELS)


def test_files_are_those_of_the_folder():
    """In a checkout the folder is complete, so that the list of names cannot go out of date."""
    folder = {path.name for path in shipped.FOLDER.iterdir() if path.is_file()}
    assert folder - {"__init__.py"} == shipped.FILES


def test_find_file_finds_a_shipped_one_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "garment-net_int8.tflite"
    assert shipped.find_file(name) == shipped.FOLDER / name
    assert shipped.find_file(f"models/{name}") == shipped.FOLDER / name
    assert Classifier(name).path == shipped.FOLDER / name
    for other in (f"elsewhere/{name}", "mine_int8.tflite"):
        assert shipped.find_file(other) == Path(other)
    (tmp_path / name).touch()
    assert shipped.find_file(name) == Path(name)  # the user's own file comes first


def test_find_file_that_the_installed_package_lacks_says_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "installed" / "models")
    with pytest.raises(ModelError, match=r"from the folder models/ of the garmentlite repository"):
        Classifier("models/garment-net_float32.tflite")
