"""Tests of the metadata behind the flatbuffer of a model file."""

import io
import json
import subprocess
import zipfile

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError
from garmentlite.edge.metadata import FORMAT_VERSION, attach, is_unchanged, split


@pytest.fixture(scope="module")
def flatbuffer(dense_model):
    rng = np.random.default_rng(0)
    return dense_model(rng.normal(size=(4, 36)), rng.normal(size=4), io="int8")


@pytest.fixture
def model_file(flatbuffer, metadata_of):
    return attach(flatbuffer, metadata_of())


def with_document(flatbuffer, text, name="metadata.json"):
    """A model file with any text as its metadata."""
    buffer = io.BytesIO(flatbuffer)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def document_of(model_file):
    with zipfile.ZipFile(io.BytesIO(model_file)) as archive:
        return json.loads(archive.read("metadata.json"))


def test_attach_twice_gives_the_same_bytes(flatbuffer, metadata_of, model_file):
    assert attach(flatbuffer, metadata_of()) == model_file
    assert model_file.startswith(flatbuffer)


def test_attach_is_read_by_zipfile_and_unzip(model_file, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model_file)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["metadata.json", "labels.txt"]
        assert archive.read("labels.txt") == b"Bag\nCoat\nDress\nShirt\n"
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    try:
        listing = subprocess.run(
            ["unzip", "-p", path, "labels.txt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return  # no unzip here: Python's reader has read it
    assert listing.stdout == b"Bag\nCoat\nDress\nShirt\n"


def test_split_gives_back_what_was_attached(flatbuffer, metadata_of):
    metadata = metadata_of(
        labels=["Größe", "b"], temperature=1.37, unknown_threshold=0.4,
        training={"seed": 3}, measured={"test": {"accuracy": None}},
    )  # fmt: skip
    back, found = split(attach(flatbuffer, metadata))
    assert back == flatbuffer
    assert found.labels == ["Größe", "b"]
    assert (found.temperature, found.unknown_threshold) == (1.37, 0.4)
    assert (found.training, found.measured) == (metadata.training, metadata.measured)
    assert found.format_version == FORMAT_VERSION
    assert is_unchanged(back, found)


@pytest.mark.parametrize("views", [("plain",), ("plain", "mirrored")])
def test_split_gives_back_the_views(flatbuffer, metadata_of, views):
    _, found = split(attach(flatbuffer, metadata_of(views=views)))
    assert found.views == views


@pytest.mark.parametrize(
    ("training", "views"),
    [
        pytest.param({}, ("plain",), id="no-augmentation"),
        pytest.param({"augmentation": {"rotation": 5}}, ("plain",), id="no-flip"),
        pytest.param({"augmentation": {"flip": 0.0}}, ("plain",), id="flip-zero"),
        pytest.param({"augmentation": {"flip": 0.5}}, ("plain", "mirrored"), id="flip"),
    ],
)
def test_split_of_format_1_takes_the_views_from_the_augmentation(
    flatbuffer, model_file, training, views
):
    document = document_of(model_file) | {"format_version": 1, "training": training}
    del document["views"]
    _, found = split(with_document(flatbuffer, json.dumps(document)))
    assert (found.views, found.format_version) == (views, 1)
    _, written_again = split(attach(flatbuffer, found))
    assert (written_again.views, written_again.format_version) == (views, FORMAT_VERSION)


def test_split_of_format_1_with_a_broken_augmentation_is_a_model_error(flatbuffer, model_file):
    document = document_of(model_file) | {"format_version": 1, "training": {"augmentation": None}}
    del document["views"]
    with pytest.raises(ModelError, match="augmentation must be an object, got None"):
        split(with_document(flatbuffer, json.dumps(document)))


@pytest.mark.parametrize("name", ["labels", "temperature", "views"])
def test_split_of_a_document_without_a_field_names_it(flatbuffer, model_file, name):
    document = document_of(model_file)
    del document[name]
    with pytest.raises(ModelError, match=f"'{name}' is missing"):
        split(with_document(flatbuffer, json.dumps(document)))


def test_split_of_deeply_nested_metadata_is_a_model_error(flatbuffer, model_file):
    nested = {}
    for _ in range(100):
        nested = {"a": nested}
    text = json.dumps(document_of(model_file) | {"training": nested})
    with pytest.raises(ModelError, match="nested deeper"):
        split(with_document(flatbuffer, text))


def test_attach_of_nan_is_refused(flatbuffer, metadata_of):
    with pytest.raises(ValueError, match="JSON"):
        attach(flatbuffer, metadata_of(temperature=float("nan")))


def test_split_of_a_foreign_file_has_no_metadata(flatbuffer):
    assert split(flatbuffer) == (flatbuffer, None)
    foreign = with_document(flatbuffer, "cat\ndog\n", "labels.txt")  # as MediaPipe's files carry
    assert split(foreign) == (foreign, None)


@pytest.mark.parametrize("text", ["{}", '{"task": "classify", "names": {"0": "cat", "1": "dog"}}'])
def test_split_of_the_metadata_of_another_program_has_none_of_ours(flatbuffer, text):
    foreign = with_document(flatbuffer, text)  # as Ultralytics' files carry
    assert split(foreign) == (foreign, None)


def test_split_of_a_newer_format_says_to_update(flatbuffer, model_file):
    newer = json.dumps(document_of(model_file) | {"format_version": FORMAT_VERSION + 1, "more": 1})
    with pytest.raises(
        ModelError,
        match=rf"of format {FORMAT_VERSION + 1}, this program reads up to {FORMAT_VERSION}; update",
    ):
        split(with_document(flatbuffer, newer))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="half"),
        pytest.param("\xff\xfe", id="other-encoding"),
        pytest.param("[]", id="list"),
        pytest.param('{"format_version": "one"}', id="version-text"),
        pytest.param('{"format_version": 1}', id="fields-missing"),
        pytest.param('{"format_version": 1, "measured": NaN}', id="not-a-number"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_split_of_broken_json_is_a_model_error(flatbuffer, text):
    with pytest.raises(ModelError, match="metadata"):
        split(with_document(flatbuffer, text))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"labels": "Shirt"}, "labels must be", id="labels-text"),
        pytest.param({"labels": [1, 2, 3, 4]}, "labels must be", id="labels-numbers"),
        pytest.param({"labels": []}, "at least one class", id="labels-none"),
        pytest.param({"labels": ["a", "b", "a", "c"]}, "different, got 'a' twice", id="labels-twice"),
        pytest.param({"labels": ["a", "b", "Unknown", "c"]}, "no class may be called", id="unknown"),
        pytest.param({"labels": ["a", "b", "no  garment", "c"]}, "no class may be", id="no-garment"),
        pytest.param({"labels": ["a", "b\x1b[2J", "c", "d"]}, "control characters", id="label-escape"),
        pytest.param({"labels": ["a", "b\nc", "c", "d"]}, "control characters", id="label-newline"),
        pytest.param({"views": []}, "views must be", id="views-none"),
        pytest.param({"views": "plain"}, "views must be", id="views-text"),
        pytest.param({"views": ["mirrored"]}, "views must be", id="views-without-plain"),
        pytest.param({"views": ["plain", "turned"]}, "views must be", id="views-unknown"),
        pytest.param({"views": ["plain", "plain"]}, "views must be", id="views-twice"),
        pytest.param({"temperature": 10**400}, "temperature must be", id="temperature-huge"),
        pytest.param({"temperature": True}, "temperature must be", id="temperature-true"),
        pytest.param({"unknown_threshold": 1.5}, "unknown_threshold must be", id="threshold-above-1"),
        pytest.param({"unknown_threshold": -0.1}, "unknown_threshold must be", id="threshold-below-0"),
        pytest.param({"temperature": 0}, "temperature must be", id="temperature-zero"),
        pytest.param({"temperature": "1"}, "temperature must be", id="temperature-text"),
        pytest.param({"unknown_threshold": "low"}, "unknown_threshold must be", id="threshold-text"),
        pytest.param({"name": 7}, "name must be a text, got 7", id="name-number"),
        pytest.param({"flatbuffer_sha256": None}, "flatbuffer_sha256 must be", id="checksum-null"),
        pytest.param({"measured": []}, r"measured must be an object, got \[\]", id="measured-list"),
        pytest.param({"training": "long"}, "training must be an object", id="training-text"),
        pytest.param({"quantization": 8}, "quantization must be", id="quantization-number"),
        pytest.param({"surplus": 1}, "surplus", id="unknown-field"),
    ],
)  # fmt: skip
def test_split_of_fields_that_cannot_be_used_names_them(flatbuffer, model_file, fields, message):
    text = json.dumps(document_of(model_file) | fields)
    with pytest.raises(ModelError, match=message):
        split(with_document(flatbuffer, text))


def test_split_of_metadata_beyond_a_mebibyte_is_refused_unread(flatbuffer):
    with pytest.raises(ModelError, match="more than 1 MiB"):
        split(with_document(flatbuffer, " " * (1 << 20) + "{}"))


def test_split_of_damaged_compressed_bytes_is_a_model_error(model_file):
    start = model_file.index(b"metadata.json") + len(b"metadata.json")
    for place in (start, start + 10, start + 40):
        damaged = bytearray(model_file)
        damaged[place] ^= 0xFF
        with pytest.raises(ModelError, match="metadata cannot be read"):
            split(bytes(damaged))


def test_split_of_a_file_cut_off_within_its_metadata_is_refused_at_every_length(
    flatbuffer, model_file
):
    for length in range(len(flatbuffer) + 20, len(model_file)):
        with pytest.raises(ModelError, match="its end is missing"):
            split(model_file[:length])
