"""Tests of `cli card`: the content of a file, its metadata, and every way in which the two can differ."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from garmentlite import cli
from garmentlite.convert.card import read_card
from garmentlite.convert.material import from_fashion_mnist
from garmentlite.convert.range_images import check_alone, check_manifest
from garmentlite.edge import shipped
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import attach, split
from garmentlite.train import data

CARD_FIELDS = {
    "name", "labels", "preparation", "temperature", "unknown_threshold", "reference_sha256",
    "flatbuffer_sha256", "training", "quantization", "measured", "views", "format_version",
    "file", "flatbuffer", "unchanged", "warnings", "contents", "calibration_check",
    "classifier", "not_a_classifier",
}  # fmt: skip


def manifest_of(x_train, indices):
    """A manifest of calibration images as `cli convert` writes it, without the indices themselves."""
    return {
        "source": "training images", "count": len(indices), "seed": 0,
        "indices_sha256": sha256(np.asarray(indices, "<i8").tobytes()),
        "images_sha256": sha256(np.ascontiguousarray(x_train[indices]).tobytes()),
    }  # fmt: skip


def drawn(y_train, count, seed=0):
    training, _ = data.validation_split(y_train)
    return training[np.random.default_rng(seed).permutation(len(training))[:count]]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a command; by default no data set is to be found."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "none")

    def invoke(*arguments, expect=0):
        result = CliRunner().invoke(cli.app, [str(one) for one in arguments], prog_name="cli")
        assert result.exit_code == expect, result.stdout + result.stderr
        return result

    return invoke


@pytest.fixture
def write_model(dense_model, metadata_of, tmp_path):
    """Writes a model of four classes with the given metadata; its path."""

    def write(**fields) -> Path:
        flatbuffer = dense_model(np.ones((4, 784)), np.zeros(4), io="int8")
        path = tmp_path / "made_int8.tflite"
        path.write_bytes(attach(flatbuffer, metadata_of(**fields)))
        return path

    return write


# --- the shipped files


def test_card_of_the_shipped_model_shows_everything(run, shipped_int8):
    text = run("card", shipped_int8).stdout
    flatbuffer, metadata = split(shipped_int8.read_bytes())
    for shown in (
        "unchanged since it was made",
        f"flatbuffer of {len(flatbuffer):,} bytes",
        "input   1x28x28x1 int8, scale 0.00392156886, zero point -128",
        "output  1x10 int8, scale 0.",
        "1,682,954 parameters, 16,510,464 MACs",
        "float islands: none",
        "at least 62,720 bytes of activations",
        ", ".join(FASHION_MNIST_LABELS),
        metadata.reference_sha256,
        metadata.training["command"],
        metadata.quantization["calibration"]["indices_sha256"],
        f"temperature  {metadata.temperature}",
    ):
        assert shown in text
    for label in FASHION_MNIST_LABELS:
        row = next(line for line in text.splitlines() if line.startswith(f"{label} "))
        for part in ("test", "validation"):
            figures = metadata.measured[part]
            for column in ("recall_per_class", "precision_per_class"):
                assert f"{figures[column][label]:.1%}" in row


def test_card_without_a_name_is_that_of_the_default_model(run):
    assert run("card").stdout == run("card", shipped.default_model()).stdout


def test_card_as_json_has_every_field_with_and_without_metadata(run, shipped_int8, tmp_path):
    flatbuffer, metadata = split(shipped_int8.read_bytes())
    document = json.loads(run("card", shipped_int8, "--json").stdout)
    assert set(document) == CARD_FIELDS
    assert document["labels"] == list(FASHION_MNIST_LABELS)
    assert document["training"] == metadata.training
    assert document["flatbuffer"]["sha256"] == document["flatbuffer_sha256"] == sha256(flatbuffer)
    assert document["file"]["sha256"] == sha256(shipped_int8.read_bytes())
    assert document["contents"]["arena_bytes"] == 62_720
    assert (document["unchanged"], document["warnings"]) == (True, [])

    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(flatbuffer)
    document = json.loads(run("card", foreign, "--json").stdout)
    assert set(document) == CARD_FIELDS
    assert (document["labels"], document["unchanged"]) == (None, None)
    assert document["contents"]["parameters"] == 1_682_954


def test_card_of_a_foreign_file_says_what_can_be_said(run, dense_model, tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(dense_model(np.ones((4, 784)), np.zeros(4), io="uint8", softmax=True))
    text = run("card", path).stdout
    assert "no metadata of garmentlite" in text
    assert "input   1x28x28x1 uint8, scale 0.00392156886, zero point 0" in text
    assert "SOFTMAX" in text
    assert "3,140 parameters, 3,136 MACs" in text
    assert "changed" not in text.casefold()


def test_card_of_a_float_model_speaks_of_no_islands(run):
    text = run("card", shipped.FOLDER / "weighted-cnn_float32.tflite").stdout
    assert "activations: float" in text
    assert "island" not in text


# --- files that are not what they say


def test_card_of_a_tampered_model_warns_and_exits_1(run, write_model):
    path = write_model(labels=["a", "b", "c", "d"])
    assert run("card", path).stderr == ""
    content = bytearray(path.read_bytes())
    flatbuffer, _ = split(bytes(content))
    content[len(flatbuffer) // 2] ^= 1  # within the kernel of ones
    path.write_bytes(bytes(content))
    result = run("card", path, expect=1)
    assert f"Warning: {path} was changed after it was made" in result.stderr
    assert "CHANGED after it was made" in result.stdout
    document = json.loads(run("card", path, "--json", expect=1).stdout)
    assert document["unchanged"] is False
    assert len(document["warnings"]) == 1


def test_card_of_a_model_exchanged_under_its_metadata_warns(run, write_model, dense_model):
    path = write_model()
    before, _ = split(path.read_bytes())
    behind = path.read_bytes()[len(before) :]
    other = dense_model(np.full((4, 784), -1.0), np.zeros(4), io="int8")
    assert len(other) == len(before)  # so that the zip is found where it says it is
    path.write_bytes(other + behind)
    assert "was changed after it was made" in run("card", path, expect=1).stderr


def test_card_of_more_labels_than_outputs_warns(run, write_model):
    result = run("card", write_model(labels=["a", "b", "c"]), expect=1)
    assert "has 3 labels, but its output has shape (1, 4)" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is not a model that can be used here", id="empty"),
        pytest.param(b"a text of some length", "no 'TFL3' identifier", id="text"),
    ],
)
def test_card_of_what_is_no_model_is_one_sentence(run, tmp_path, content, message):
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    result = run("card", path, expect=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_card_finds_a_shipped_file_by_its_name(tmp_path, monkeypatch, shipped_int8):
    monkeypatch.chdir(tmp_path)
    assert read_card(Path(shipped_int8.name)).path == shipped_int8


def test_card_of_a_shipped_file_that_is_not_installed_says_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "installed" / "models")
    with pytest.raises(ModelError, match="repository"):
        read_card(Path("garment-net_float32.tflite"))


def test_card_of_a_missing_file_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match=r"Cannot read the model .*none\.tflite"):
        read_card(tmp_path / "none.tflite")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"measured": {"test": 0.9}}, id="measured-number"),
        pytest.param({"measured": {"test": {"accuracy": 0.9}}}, id="measured-without-classes"),
        pytest.param({"quantization": {"candidates": 7}}, id="candidates-number"),
        pytest.param({"quantization": {"candidates": [{"way": 1}]}}, id="candidates-incomplete"),
        pytest.param({"training": {"notes": ["long", {"a": None}]}}, id="nested"),
    ],
)
def test_card_shows_what_another_program_wrote_as_it_is(run, write_model, fields):
    assert "made" in run("card", write_model(**fields)).stdout


def test_card_of_a_hostile_text_does_not_steer_the_terminal(run, write_model):
    text = run("card", write_model(training={"command": "\x1b[2J a\rb"})).stdout
    assert "\x1b" not in text
    assert "\r" not in text
    assert "?[2J" in text


# --- the calibration manifest


def test_manifest_of_training_images_passes(made_data):
    indices = drawn(made_data.y_train, 50)
    manifest = manifest_of(made_data.x_train, indices)
    check = check_manifest(manifest, made_data)
    assert check.passed is True
    assert check.sentence == "checked: none of the 50 images is a test or a validation image"
    # With the indices in it, nothing has to be drawn again.
    listed = manifest | {"indices": indices.tolist(), "seed": None}
    assert check_manifest(listed, made_data).passed is True


def test_manifest_with_a_test_image_among_the_training_images_fails(made_data):
    indices = drawn(made_data.y_train, 50)
    manifest = manifest_of(made_data.x_train, indices)
    x_test = made_data.x_test.copy()
    x_test[[3, 7]] = made_data.x_train[indices[[0, 49]]]
    check = check_manifest(manifest, replace(made_data, x_test=x_test))
    assert (check.passed, check.sentence) == (False, "2 of the images are test images too")


def test_manifest_with_validation_images_fails(made_data):
    _, validation = data.validation_split(made_data.y_train)
    indices = np.concatenate([drawn(made_data.y_train, 20), validation[:5]])
    manifest = manifest_of(made_data.x_train, indices) | {"indices": indices.tolist()}
    check = check_manifest(manifest, made_data)
    assert (check.passed, check.sentence) == (False, "5 of the images are validation images too")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param({"seed": 1}, "the indices do not match their checksum", id="other-seed"),
        pytest.param({"count": 49}, "the indices do not match their checksum", id="other-count"),
        pytest.param({"images_sha256": "0" * 64}, "the images at these indices", id="other-images"),
        pytest.param({"indices": [5_000_000]}, "the record is broken", id="index-too-large"),
        pytest.param({"indices": ["a"]}, "the record is broken", id="index-text"),
        pytest.param({"seed": "x"}, "the record is broken", id="seed-text"),
        pytest.param({"seed": -1}, "the record is broken", id="seed-negative"),
        pytest.param({"count": None}, "the indices do not", id="count-missing"),
    ],
)
def test_manifest_that_is_not_what_it_says_fails(made_data, fields, sentence):
    manifest = manifest_of(made_data.x_train, drawn(made_data.y_train, 50)) | fields
    check = check_manifest(manifest, made_data)
    assert check.passed is False
    assert sentence in check.sentence


@pytest.mark.parametrize(
    ("manifest", "passed", "sentence"),
    [
        pytest.param({"count": 9}, None, "", id="older-file"),
        pytest.param({"also_in_test": 0, "data": "Fashion-MNIST"}, None, "", id="fashion-mnist"),
        pytest.param({"also_in_test": 0, "data": "pictures in mine"}, None, "none was a test image",
                     id="own-pictures"),
        pytest.param({"also_in_test": 0}, None, "not checked here", id="unnamed"),
        pytest.param({"data": "pictures in mine"}, None, "nothing is known", id="not-counted"),
        pytest.param({"also_in_test": 3}, False, "3 of the images were test images", id="shared"),
        pytest.param([], False, "broken", id="list"),
    ],
)  # fmt: skip
def test_manifest_alone_says_whether_its_images_have_to_be_looked_at(manifest, passed, sentence):
    check = check_alone(manifest)
    if sentence:
        assert check.passed is passed
        assert sentence in check.sentence
    else:
        assert check is None


def test_manifest_that_convert_writes_passes_and_one_of_test_images_fails(made_data):
    training = from_fashion_mnist(made_data).training
    written = training.sample(64, seed=3).manifest("training images", seed=3)
    assert check_manifest(written, made_data).passed is True
    swapped = replace(made_data, x_test=made_data.x_train)
    assert check_manifest(written, swapped).sentence == "64 of the images are test images too"


def test_card_checks_the_manifest_against_the_data_it_finds(
    run, write_model, made_data, made_data_dir, tmp_path
):
    manifest = manifest_of(made_data.x_train, drawn(made_data.y_train, 50))
    path = write_model(quantization={"way": "post-training", "calibration": manifest})
    assert "not checked, because Fashion-MNIST is not on this machine" in run("card", path).stdout

    found = run("card", path, "--data-dir", made_data_dir).stdout
    assert "checked: none of the 50 images is a test or a validation image" in found
    cache = data.cache_folder()
    cache.parent.mkdir(parents=True)
    made_data_dir.rename(cache)
    assert "checked: none of the 50" in run("card", path).stdout

    wrong = write_model(quantization={"calibration": manifest | {"seed": 9}})
    result = run("card", wrong, expect=1)
    assert "set the quantization ranges: the indices do not match their checksum" in result.stderr
    broken = write_model(quantization={"calibration": [1, 2]})
    assert "the record is broken" in run("card", broken, expect=1).stderr


def test_card_with_a_data_dir_that_is_none_says_so(run, write_model, made_data, tmp_path):
    manifest = manifest_of(made_data.x_train, drawn(made_data.y_train, 5))
    path = write_model(quantization={"calibration": manifest})
    assert "lacks" in run("card", path, "--data-dir", tmp_path, expect=2).stderr
    with pytest.raises(DataError):
        read_card(path, tmp_path)


def test_card_with_a_damaged_data_set_in_the_cache_is_not_checked(run, write_model, made_data):
    manifest = manifest_of(made_data.x_train, drawn(made_data.y_train, 5))
    data.cache_folder().mkdir(parents=True)
    text = run("card", write_model(quantization={"calibration": manifest})).stdout
    assert "not checked: " in " ".join(text.split())


def test_card_of_the_shipped_model_against_the_real_data_passes(run, shipped_int8, real_data_dir):
    document = json.loads(run("card", shipped_int8, "--json", "--data-dir", real_data_dir).stdout)
    assert document["calibration_check"] == {
        "passed": True,
        "sentence": "checked: none of the 2,000 images is a test or a validation image",
    }
