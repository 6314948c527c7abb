"""A few hundred damaged files of every kind give an answer or an error; `make fuzz` opens many more."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garmentlite.edge.documents import Document, DocumentError, parse, printable
from garmentlite.edge.errors import ModelError
from garmentlite.edge.metadata import attach, split

ROOT = Path(__file__).resolve().parent.parent
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("model", 300),
        ("metadata", 300),
        ("picture", 300),
        ("idx", 200),
        ("table", 300),
        ("npz", 300),
        ("checkpoint", 200),
    ],
)
def test_damaged_files_end_in_an_answer_or_a_sentence(kind, count):
    """In a worker process, so that a death is counted and does not end the tests."""
    ended = subprocess.run(
        [sys.executable, "-P", "benchmarks/fuzz.py", kind, "--count", str(count), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ended.stdout, ended.stderr
    (counts,) = json.loads(ended.stdout)
    assert (counts["deaths"], counts["hangs"], counts["unexpected"]) == ([], [], [])
    assert counts["opened"] + counts["refused"] == count
    assert counts["refused"] > count / 10  # the files are damaged indeed
    assert counts["peak_mb"] < 400


def sentence_of(kind, call, *arguments):
    """What a call says when it raises an error of a kind; None where it does not."""
    try:
        call(*arguments)
    except kind as error:
        return str(error)
    return None


@given(st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=100)
def test_parse_of_anything_is_a_document_or_its_error(content):
    assert sentence_of(DocumentError, parse, content) != ""


@given(JSON)
@settings(max_examples=100)
def test_every_field_is_what_was_asked_for_or_an_error_that_names_it(value):
    document = Document({"a": value})
    for take in (
        document.text, document.line, document.texts, document.number, document.positive_number,
        document.object,
    ):  # fmt: skip
        sentence = sentence_of(DocumentError, take, "a")
        assert sentence is None or sentence.startswith("a must be")


@given(
    st.sampled_from(["labels", "temperature", "unknown_threshold", "views", "name", "training"]),
    JSON,
)
@settings(max_examples=100)
def test_metadata_with_any_value_is_read_or_refused(name, value):
    fields = {
        "name": "made", "labels": ["a", "b"], "preparation": {}, "temperature": 1.0,
        "unknown_threshold": None, "reference_sha256": "", "flatbuffer_sha256": "", "views": ["plain"],
        "format_version": 2,
    }  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps(fields | {name: value}))
    sentence = sentence_of(ModelError, split, buffer.getvalue())
    if sentence is None:
        _, metadata = split(buffer.getvalue())
        assert attach(b"flatbuffer", metadata).startswith(b"flatbuffer")
    else:
        assert sentence.isprintable()


@given(st.text())
def test_printable_text_is_one_line_that_cannot_steer_a_terminal(text):
    assert "\x1b" not in printable(text)
    assert len(printable(text).splitlines()) <= 1
