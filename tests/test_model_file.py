"""A model file is checked before anything in it is run."""

import os
import subprocess
import sys

import numpy as np
import pytest

from garmentlite.edge import foreign_model, model_file, shipped, trial
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.foreign_model import is_made_here, require_runnable, trust
from garmentlite.edge.metadata import attach, split
from garmentlite.edge.model_file import open_model_file, read_model_file
from garmentlite.edge.runtime import pack, unpack
from garmentlite.edge.segmenters.network_file import FILE, SegmentationNetwork, with_checksum


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache; its folder of the models that held."""
    monkeypatch.setattr(foreign_model, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "checked-models"


@pytest.fixture(scope="module")
def flatbuffer(dense_model):
    rng = np.random.default_rng(0)
    return dense_model(rng.normal(size=(4, 784)), rng.normal(size=4), io="int8")


@pytest.fixture
def write(tmp_path):
    def make(content):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return path

    return make


@pytest.fixture
def count_trials(monkeypatch):
    """Counts the child processes that are started."""
    started = []
    run = subprocess.run
    monkeypatch.setattr(
        foreign_model.subprocess, "run", lambda *one, **more: started.append(1) or run(*one, **more)
    )
    return started


def changed(flatbuffer, change):
    model = unpack(flatbuffer)
    change(model)
    return pack(model)


# --- our own files


@pytest.mark.parametrize(
    "path", sorted(shipped.FOLDER.glob("*.tflite")), ids=lambda path: path.name
)
def test_a_shipped_file_is_opened_without_a_trial(path, count_trials, cache):
    file = open_model_file(path)
    assert file.is_unchanged
    assert (file.path, file.size) == (path, path.stat().st_size)
    assert count_trials == []
    assert not cache.exists()


@pytest.mark.parametrize("make", [Classifier, SegmentationNetwork])
def test_a_file_of_ours_that_was_changed_is_not_run(make, write, count_trials):
    name = FILE if make is SegmentationNetwork else "weighted-cnn_int8.tflite"
    content = bytearray((shipped.FOLDER / name).read_bytes())
    content[len(content) // 2] ^= 1
    path = write(content)
    with pytest.raises(ModelError, match=rf"{path} was changed after it was made .* not run; "):
        make(path)
    assert count_trials == []
    assert read_model_file(path).is_unchanged is False


def test_a_file_of_ours_that_is_packed_again_is_run(flatbuffer, write, metadata_of):
    path = write(attach(flatbuffer, metadata_of()))
    assert Classifier(path).labels == ["Bag", "Coat", "Dress", "Shirt"]


def test_with_checksum_leaves_the_flatbuffer_as_it_is(flatbuffer):
    content = with_checksum(flatbuffer)
    assert split(content)[0] == flatbuffer
    assert content.startswith(flatbuffer)


# --- files of others


def test_a_foreign_file_is_tried_once_and_remembered(flatbuffer, write, count_trials, cache):
    path = write(flatbuffer)
    for _ in range(3):
        assert open_model_file(path).is_unchanged is None
    assert len(count_trials) == 1
    assert len(os.listdir(cache)) == 1


def test_a_foreign_file_is_tried_where_the_cache_cannot_be_written(
    flatbuffer, write, count_trials, monkeypatch, tmp_path
):
    monkeypatch.setattr(foreign_model, "_checked_here", set())
    monkeypatch.setattr(foreign_model, "cache_root", lambda: tmp_path / "model.tflite" / "cache")
    path = write(flatbuffer)
    open_model_file(path)
    open_model_file(path)
    assert len(count_trials) == 1  # once in each process


def test_a_flatbuffer_that_this_process_made_is_not_tried(flatbuffer, count_trials, monkeypatch):
    monkeypatch.setattr(foreign_model, "_made_here", set())
    assert not is_made_here(flatbuffer)
    trust(flatbuffer)
    require_runnable(flatbuffer)
    assert count_trials == []
    assert is_made_here(flatbuffer)


def test_a_foreign_file_that_kills_the_runtime_is_a_sentence(write, cache):
    def scale_beyond_reason(model):
        graph = model.subgraphs[0]
        graph.tensors[int(graph.operators[2].outputs[0])].quantization.scale = [1e38]

    flatbuffer, _ = split((shipped.FOLDER / "garment-net-photo_int8.tflite").read_bytes())
    path = write(changed(flatbuffer, scale_beyond_reason))
    # The runtime of x86 aborts; another may find a sentence.
    with pytest.raises(ModelError, match=rf"^{path} is not a model .*(SIGABRT|refuses).*\.$"):
        Classifier(path)
    assert not cache.exists()


def test_a_trial_that_dies_names_its_end_and_its_last_words(flatbuffer, monkeypatch):
    monkeypatch.setattr(foreign_model.trial, "__name__", "garmentlite_of_tests_that_is_nowhere")
    with pytest.raises(ModelError, match=r"ended the process .*status 1: .*No module named"):
        require_runnable(changed(flatbuffer, lambda model: None))


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("os.abort()", "SIGABRT, with 1 GB of memory allowed: the last words"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV, with 1 GB of memory allowed: the last words"),
        ("time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_the_end_of_a_trial_is_told(flatbuffer, tmp_path, monkeypatch, ending, message):
    (tmp_path / "dying.py").write_text(
        "import os, sys, time\nsys.stderr.write('INFO: hello\\nthe last words\\n')\n"
        f"sys.stderr.flush()\n{ending}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(foreign_model.trial, "__name__", "dying")
    monkeypatch.setattr(foreign_model, "TRIAL_LIMIT_S", 1 if "sleep" in ending else 60)
    with pytest.raises(ModelError, match=message):
        require_runnable(changed(flatbuffer, lambda model: None))


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="address space is limited on Linux"
)
def test_a_trial_takes_no_more_than_its_limit():
    code = (
        "from garmentlite.edge import trial\ntrial.limit_resources()\n"
        "try:\n    bytearray(trial.MEMORY_LIMIT)\n"
        "except MemoryError:\n    print('refused')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "refused\n"
    assert trial.MEMORY_LIMIT == 1 << 30


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x1c\x00\x00\x00TFL3", b"\xff" * 4 + b"TFL3" + bytes(90)]
)
def test_what_is_no_model_is_a_sentence(write, content):
    with pytest.raises(ModelError, match="is not a model that can be used here"):
        open_model_file(write(content))


def test_a_file_that_is_too_large_or_no_file_is_a_sentence(write, monkeypatch, tmp_path):
    monkeypatch.setattr(model_file, "LARGEST_BYTES", 10)
    with pytest.raises(ModelError, match=r"Cannot read the model .*larger than 10 bytes"):
        open_model_file(write(bytes(11)))
    for path in (tmp_path, tmp_path / "none", tmp_path / ("x" * 300)):
        with pytest.raises(ModelError, match="Cannot read the model"):
            open_model_file(path)
