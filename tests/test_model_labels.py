"""Labels are read from text files of every origin, and from the zip archives that other programs append."""

import io
import json
import zipfile

import pytest

from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.model_labels import (
    LARGEST_BYTES,
    ModelLabels,
    distinct,
    labels_in,
    read_label_file,
)


@pytest.fixture
def write(tmp_path):
    def write_labels(content):
        path = tmp_path / "labels.txt"
        path.write_bytes(content)
        return path

    return write_labels


def with_zip(**entries):
    """A model file of another program, with a zip archive behind it."""
    buffer = io.BytesIO(b"model")
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


# --- text files


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"cat\ndog\nbird\n", id="lines"),
        pytest.param(b"cat\r\ndog\r\nbird", id="crlf"),
        pytest.param(b"cat\rdog\rbird\r", id="cr"),
        pytest.param(b"\xef\xbb\xbfcat\ndog\nbird\n", id="byte-order-mark"),
        pytest.param(b"\n  cat \ndog\t\n\nbird\n\n", id="blank-lines"),
        pytest.param(b"0 cat\n1 dog\n2 bird\n", id="teachable-machine"),
        pytest.param(b"0 cat\r\n1 dog\r\n2 bird\r\n", id="teachable-machine-crlf"),
        pytest.param(b"0: cat\n1: dog\n2: bird\n", id="colon"),
        pytest.param(b"1,dog\n0,cat\n2,bird\n", id="another-order"),
    ],
)
def test_read_label_file_of_any_form_gives_the_labels(write, content):
    assert read_label_file(write(content)) == ["cat", "dog", "bird"]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(["1 Euro", "2 Euro"], id="from-one"),
        pytest.param(["0 degrees", "90 degrees"], id="gap"),
        pytest.param(["0 cat", "dog"], id="one-without"),
        pytest.param(["0", "1"], id="digits-alone"),
        pytest.param(["0 a", "0 b"], id="repeated"),
        pytest.param(["Größe", "T-shirt/top"], id="letters"),
    ],
)
def test_read_label_file_keeps_numbers_that_do_not_count_the_lines(write, labels):
    assert read_label_file(write("\n".join(labels).encode())) == labels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b" \n\r\n", "it is empty", id="blank"),
        pytest.param("cat\ndog".encode("utf-16"), "it is not UTF-8", id="utf-16"),
        pytest.param(b"cat\nd\x1bog\n", "control characters", id="control"),
        pytest.param(b"cat\n" * (LARGEST_BYTES // 4 + 1), "larger than 1 MiB", id="large"),
    ],
)
def test_read_label_file_that_cannot_be_used_says_why(write, content, message):
    with pytest.raises(OptionError, match=f"--labels .*labels.txt cannot be used .*{message}"):
        read_label_file(write(content))


def test_read_label_file_that_is_missing_says_so(tmp_path):
    with pytest.raises(OptionError, match="No such file"):
        read_label_file(tmp_path / "none.txt")


def test_distinct_adds_the_number_to_repeated_labels_alone():
    labels = ["crane", "cat", "crane"]
    assert distinct(labels) == ["crane (class 0)", "cat", "crane (class 2)"]
    assert distinct(distinct(labels)) == distinct(labels)


def test_doubt_names_five_repeated_labels_and_counts_the_others():
    twice = ModelLabels(tuple("abcdefg" * 2), "given")
    assert "('a', 'b', 'c', 'd', 'e' and 2 more)" in twice.doubt("model.tflite")
    assert ModelLabels(("crane", "cat"), "given").doubt("model.tflite") is None


# --- zip archives in model files


def test_labels_in_takes_the_text_file_of_tflite_metadata():
    found = labels_in(with_zip(labels_txt="cat\ndog\n"))
    assert (found.names, found.source) == (("cat", "dog"), "labels.txt in the file")


def test_labels_in_takes_the_file_that_the_metadata_records():
    file = with_zip(labels_txt="Katze\nHund\n", english_txt="cat\ndog\n")
    assert labels_in(file, "english.txt").names == ("cat", "dog")
    assert labels_in(file, "missing.txt").names == ("Katze", "Hund")


@pytest.mark.parametrize(
    "names", [{"0": "cat", "1": "dog"}, {"1": "dog", "0": "cat"}, ["cat", "dog"]]
)
def test_labels_in_takes_the_names_of_ultralytics(names):
    found = labels_in(with_zip(metadata_json=json.dumps({"task": "classify", "names": names})))
    assert (found.names, found.source) == (("cat", "dog"), "metadata.json in the file")


@pytest.mark.parametrize(
    "file", [b"model", b"", with_zip(readme_txt="cat"), with_zip(metadata_json="{}")]
)
def test_labels_in_of_a_file_without_labels_is_none(file):
    assert labels_in(file) is None


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param({"labels_txt": b"\xff\xfe\xfd"}, id="not-utf-8"),
        pytest.param({"labels_txt": ""}, id="empty"),
        pytest.param({"labels_txt": "a\x1b[2J\nb"}, id="control"),
        pytest.param({"labels_txt": "a\n" * LARGEST_BYTES}, id="large"),
        pytest.param({"metadata_json": "{"}, id="half"),
        pytest.param({"metadata_json": '{"names": {"1": "a", "2": "b"}}'}, id="from-one"),
        pytest.param({"metadata_json": '{"names": {"0": 1}}'}, id="number"),
        pytest.param({"metadata_json": '{"names": "cat"}'}, id="text"),
    ],
)
def test_labels_in_of_an_entry_that_cannot_be_read_is_a_model_error(entries):
    with pytest.raises(ModelError, match=r"the labels in its .* cannot be read"):
        labels_in(with_zip(**entries))


def test_labels_in_of_a_compressed_entry_beyond_the_limit_is_not_unpacked():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"a\n" * (64 << 20))
    assert len(buffer.getvalue()) < LARGEST_BYTES
    with pytest.raises(ModelError, match="unpacks to more than 1 MiB"):
        labels_in(buffer.getvalue())
