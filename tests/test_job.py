"""Tests of what `cli convert` checks before the work, and of the images and labels that it then takes."""

import json
from pathlib import Path

import pytest

from garmentlite.convert import job
from garmentlite.convert.pipeline import Request
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError, OptionError, OutputError
from garmentlite.edge.labels import FASHION_MNIST_LABELS


def prepared(path, folder, **inputs):
    return job.prepare(
        path, Request(("float32",)), job.Inputs(**inputs), folder=folder, name=None, force=False
    )


# --- before the work


@pytest.fixture
def own_keras(tmp_path, monkeypatch):
    """A network's file in the working folder, which has a second name; nothing reads the network."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "own.keras"
    path.write_bytes(b"a network")
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path / "folder")
    return path


@pytest.mark.parametrize("named", ["own.keras", "../folder/own.keras", "../link/own.keras", "/"])
@pytest.mark.parametrize("folder", [".", "../folder", "../link", "/"])
def test_prepare_with_another_spelling_of_the_folder_does_not_take_the_network_for_a_result(
    own_keras, named, folder
):
    """Without --force, a network that is already there would be refused as a file to be replaced."""
    named = own_keras if named == "/" else Path(named)
    folder = own_keras.parent if folder == "/" else Path(folder)
    made = prepared(named, folder)
    assert (made.source.path, made.folder) == (named, folder)
    folder.joinpath("own.json").touch()
    with pytest.raises(OutputError, match=r"own\.json already there"):
        prepared(named, folder)


def test_prepare_refuses_to_replace_another_network_of_the_same_name(own_keras, tmp_path):
    (tmp_path / "own.keras").touch()
    with pytest.raises(OutputError, match=r"own\.keras already there"):
        prepared(own_keras, tmp_path)


@pytest.mark.parametrize("named", [".", "../inner", "../inner/.", "variables/.."])
def test_prepare_of_a_saved_model_writes_beside_its_folder_however_it_is_named(
    tmp_path, monkeypatch, named
):
    (tmp_path / "inner" / "variables").mkdir(parents=True)
    (tmp_path / "inner" / "saved_model.pb").touch()
    monkeypatch.chdir(tmp_path / "inner")
    made = prepared(Path(named), None)
    assert (made.source.name, made.folder.resolve()) == ("inner", tmp_path)


@pytest.mark.parametrize("content", [None, "[1]", "{"])
def test_prepare_with_statements_that_are_no_object_is_one_sentence(own_keras, tmp_path, content):
    if content is not None:
        (tmp_path / "about.json").write_text(content)
    with pytest.raises(OptionError, match=r"--about .*about\.json cannot be read as a JSON object"):
        prepared(own_keras, tmp_path, about=tmp_path / "about.json")


def test_prepare_with_statements_that_the_card_would_replace_is_refused(own_keras):
    own_keras.with_suffix(".json").write_text("{}")
    with pytest.raises(
        OptionError, match=r"--about .*own\.json is a file that the conversion writes"
    ):
        prepared(own_keras, Path(), about=own_keras.with_suffix(".json"))


def test_labels_of_a_run_or_twice_the_same_are_refused(own_keras, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"network": "tiny"}')
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(OptionError, match="is a run and knows its classes; leave --labels out"):
        prepared(folder, tmp_path / "out", labels=["a", "b"])
    with pytest.raises(OptionError, match="The label 'a' occurs twice"):
        prepared(own_keras, tmp_path / "out", labels=["a", "b", "a"])


# --- the work


@pytest.fixture
def loads_made_data(made_data, monkeypatch):
    monkeypatch.setattr(job.data, "load", lambda folder, say: made_data)


def test_run_writes_the_statements_into_the_card(trained_keras, loads_made_data, tmp_path):
    statements = {"purpose": "tests", "not_for": ["judging people"]}
    (tmp_path / "about.json").write_text(json.dumps(statements))
    made = prepared(trained_keras, tmp_path / "out", about=tmp_path / "about.json")
    assert job.run(made).card["about"] == statements


def test_labels_without_pictures_name_the_outputs(trained_keras, loads_made_data, tmp_path):
    upper = [label.upper() for label in FASHION_MNIST_LABELS]
    said = []
    done = job.run(prepared(trained_keras, tmp_path / "out", labels=upper), say=said.append)
    assert Classifier(done.paths["float32"]).labels == upper
    assert done.card["measured"]["float32"]["test"]["accuracy"] > 0.5
    assert any(one.startswith("The outputs stand for T-SHIRT/TOP, TROUSER") for one in said)


def test_labels_of_other_things_leave_the_images_without_classes(
    trained_keras, loads_made_data, tmp_path
):
    letters = list("ABCDEFGHIJ")
    said = []
    done = job.run(prepared(trained_keras, tmp_path / "out", labels=letters), say=said.append)
    assert Classifier(done.paths["float32"]).labels == letters
    assert done.card["measured"]["float32"] == {}
    assert any("only set quantization ranges" in one for one in said)


def test_labels_in_another_number_than_outputs_are_refused(
    trained_keras, loads_made_data, tmp_path
):
    made = prepared(trained_keras, tmp_path / "out", labels=["a", "b"])
    with pytest.raises(ModelError, match=r"has 10 outputs, but 2 classes are known \(a, b"):
        job.run(made)
