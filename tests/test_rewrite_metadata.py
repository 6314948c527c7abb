"""Tests of the script that rewrites metadata, on copies of the shipped files."""

import io
import json
import shutil
import zipfile

import pytest

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.files import sha256
from garmentlite.edge.metadata import FORMAT_VERSION, split
from garmentlite.edge.shipped import FOLDER

VIEWS = {"garment-net-photo": ("plain", "mirrored"), "weighted-cnn": ("plain",)}


@pytest.fixture(params=VIEWS)
def name(request) -> str:
    return request.param


@pytest.fixture
def copies(tmp_path, name):
    """The shipped files of one network, with the metadata of its int8 file in format 1."""
    for path in FOLDER.glob(f"{name}*"):
        if path.suffix in (".tflite", ".json", ".keras"):
            shutil.copy(path, tmp_path)
    int8 = tmp_path / f"{name}_int8.tflite"
    content = int8.read_bytes()
    flatbuffer, _ = split(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        document = json.loads(archive.read("metadata.json"))
    document |= {"format_version": 1}
    document.pop("views", None)
    buffer = io.BytesIO(flatbuffer)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("metadata.json", json.dumps(document))
    int8.write_bytes(buffer.getvalue())
    return tmp_path


def test_rewrite_metadata_keeps_the_models_and_states_the_views(copies, name, run_python):
    before = {path.name: split(path.read_bytes()) for path in copies.glob("*.tflite")}
    assert before[f"{name}_int8.tflite"][1].format_version == 1
    result = run_python("benchmarks/rewrite_metadata.py", str(copies))
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{name}_int8.tflite" in result.stdout
    for path in copies.glob("*.tflite"):
        flatbuffer, metadata = split(path.read_bytes())
        assert flatbuffer == before[path.name][0]
        assert metadata.format_version == FORMAT_VERSION
        assert metadata.views == VIEWS[name]
        assert Classifier(path).views == VIEWS[name]  # it opens: its checksum is right
    card = json.loads((copies / f"{name}.json").read_text(encoding="utf-8"))
    assert card["views"] == list(VIEWS[name])
    for one in card["files"].values():
        content = (copies / one["file"]).read_bytes()
        assert (one["bytes"], one["sha256"]) == (len(content), sha256(content))
    rows = {row["file"]: row["bytes"] for row in card["formats"]}
    assert rows[f"{name}_int8.tflite"] == (copies / f"{name}_int8.tflite").stat().st_size


def test_rewrite_metadata_twice_changes_nothing_more(copies, run_python):
    run_python("benchmarks/rewrite_metadata.py", str(copies))
    before = {path.name: path.read_bytes() for path in copies.iterdir()}
    assert run_python("benchmarks/rewrite_metadata.py", str(copies)).stdout == ""
    assert {path.name: path.read_bytes() for path in copies.iterdir()} == before
