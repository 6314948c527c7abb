"""Tests of a model that is changed while the app runs, with real files and the real stream."""

import io
import json
import shutil
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import PATIENCE_S, wait_until

from garmentlite.edge import camera_app, model_swap
from garmentlite.edge.camera_app import CameraRequest, run_camera_app
from garmentlite.edge.camera_recognizer import open_camera_model
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.model_comparison import ModelComparison, Progress
from garmentlite.edge.model_swap import ModelSwap
from garmentlite.edge.page.address import Address
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sources.registry import open_source
from garmentlite.edge.stream import GarmentStream, run

MODELS = Path(__file__).parent.parent / "models"
OLD, NEW = MODELS / "weighted-cnn_int8.tflite", MODELS / "garment-net_int8.tflite"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(model_swap, "LOOK_S", 0.02)


@pytest.fixture
def path(tmp_path):
    """The watched file, which is the old model."""
    shutil.copy(OLD, tmp_path / "model.tflite")
    return tmp_path / "model.tflite"


@pytest.fixture
def watched(path):
    """Makes a swap of the watched file; what it hands over and says is kept in `taken` and `said`."""

    def make(in_use=None, **options):
        taken, said = [], []
        swap = ModelSwap(path, in_use or Classifier(path), taken.append, said.append, **options)
        return swap, taken, said

    return make


def previous(path):
    return path.with_name("model.previous.tflite")


def test_swap_hands_a_new_file_over_and_keeps_the_old_one(path, watched):
    swap, taken, said = watched()
    with swap:
        shutil.copy(NEW, path)
        wait_until(lambda: said, "the new model")
    assert [one.name for one in taken] == ["garment-net"]
    assert said == ["The app answers with the new model garment-net now."]
    assert previous(path).read_bytes() == OLD.read_bytes()
    assert (swap.state.name, swap.state.has_previous) == ("garment-net", True)


def test_swap_takes_a_file_that_was_missing(tmp_path):
    taken, said = [], []
    path = tmp_path / "later.tflite"
    with ModelSwap(path, Classifier(OLD), taken.append, said.append):
        shutil.copy(NEW, path)
        wait_until(lambda: said, "the new model")
    assert taken[0].sha256 == Classifier(NEW).sha256


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda content: content[:50_000], "not a model", id="cut off"),
        pytest.param(
            lambda content: content[:3000] + b"\xff" * 9 + content[3009:], "checksum", id="changed"
        ),
        pytest.param(lambda content: b"", "not a model", id="empty"),
    ],
)
def test_swap_with_a_damaged_file_says_so_once_and_the_old_model_stays(
    path, watched, spoil, reason
):
    swap, taken, said = watched()
    with swap:
        path.write_bytes(spoil(NEW.read_bytes()))
        wait_until(lambda: said, "the sentence")
        time.sleep(0.2)  # about ten more looks
        assert len(said) == 1
        shutil.copy(NEW, path)
        wait_until(lambda: len(said) == 2, "the mended file")
    assert reason in said[0]
    assert said[0].endswith("The model in use stays.")
    assert len(taken) == 1


def test_pictures_are_named_by_the_model_in_use(path, watched):
    swap, taken, said = watched()
    with swap:
        assert swap.for_pictures.name == "weighted-cnn"
        shutil.copy(NEW, path)
        wait_until(lambda: said, "the new model")
        second = swap.for_pictures
        assert second.name == "garment-net"
        assert second is not taken[0]  # two threads must not use one classifier
        path.write_bytes(b"TFL3 nothing")
        wait_until(lambda: len(said) == 2, "the sentence about the damaged file")
        assert swap.for_pictures is second
        swap.step_back()
        assert swap.for_pictures.name == "weighted-cnn"


def test_swap_with_a_model_of_another_size_says_so(path, watched, make_classifier):
    small = make_classifier("small", io="int8", card={})
    swap, taken, said = watched()
    with swap:
        shutil.copy(small.path, path)
        wait_until(lambda: said, "the sentence")
    assert "takes images of 6x6 pixels, expected 28x28" in said[0]
    assert taken == []


def test_swap_of_a_file_with_the_same_content_does_nothing(path, watched):
    swap, taken, said = watched()
    with swap:
        shutil.copy(OLD, path)
        time.sleep(0.3)  # several looks
    assert (taken, said) == ([], [])


def test_step_back_returns_to_the_old_model_and_a_second_one_to_the_new(path, watched):
    swap, taken, said = watched()
    with swap:
        with pytest.raises(ModelError, match="no previous model"):
            swap.step_back()
        shutil.copy(NEW, path)
        wait_until(lambda: said, "the new model")
        assert swap.step_back().name == "weighted-cnn"
        assert path.read_bytes() == OLD.read_bytes()
        assert previous(path).read_bytes() == NEW.read_bytes()
        time.sleep(0.2)  # several looks at the file, which is the one in use
        assert swap.step_back().name == "garment-net"
    assert [one.name for one in taken] == ["garment-net", "weighted-cnn", "garment-net"]
    assert len(said) == 3


def test_step_back_works_after_a_restart(path, watched):
    swap, _, said = watched()
    with swap:
        shutil.copy(NEW, path)
        wait_until(lambda: said, "the new model")
    again, taken, _ = watched()
    assert again.state.has_previous
    assert again.step_back().name == "weighted-cnn"
    assert len(taken) == 1


def test_swap_compares_on_held_out_pictures_and_says_the_verdict(path, watched):
    class Collected:
        labels = ()

        def held_out_tiles(self, labels):
            assert labels == Classifier(OLD).labels
            return np.zeros((2, 28, 28), np.uint8), np.array([0, 1])

    def compare(old, new, images_u8, y_true):
        assert (old.name, new.name) == ("weighted-cnn", "garment-net")
        assert (images_u8.shape, y_true.tolist()) == ((2, 28, 28), [0, 1])
        return ModelComparison(())

    swap, _, said = watched(collected=Collected(), compare=compare)
    with swap:
        shutil.copy(NEW, path)
        wait_until(lambda: said, "the new model")
    assert said[0].startswith(
        "The app answers with the new model garment-net now. No held-out picture"
    )
    assert swap.state.comparison.verdict is Progress.TOO_FEW


def answers_of(recognizer, change_after=None, new=None):
    """The answers to five frames of the test pattern; the model is changed after some of them."""
    source = open_source("test-pattern", resolution_wh=(160, 120))
    answers = []
    with GarmentStream(source, recognizer) as stream:
        for sighting in stream:
            answers.append(sighting.answer_to_frame.probabilities)
            if len(answers) == change_after:
                stream.change_model(new)
            if len(answers) == 5:
                return answers


def test_stream_takes_the_new_model_between_two_frames(path):
    recognizer, new = Recognizer(Classifier(path), "plain"), open_camera_model(NEW)
    mixed = answers_of(recognizer, change_after=3, new=new)
    assert recognizer.classifier is new
    before = answers_of(Recognizer(Classifier(path), "plain"))
    after = answers_of(Recognizer(Classifier(NEW), "plain"))
    assert np.array_equal(mixed[2], before[2])
    assert np.array_equal(mixed[3], after[3])
    assert not np.array_equal(before[3], after[3])


def test_camera_app_changes_its_model_while_it_runs(path, capsys, monkeypatch):
    said = []

    def run_after_the_change(*arguments, **options):
        shutil.copy(NEW, path)
        wait_until(lambda: said, "the new model")
        return run(*arguments, **options)

    monkeypatch.setattr(camera_app, "run", run_after_the_change)
    request = CameraRequest(
        source="test-pattern", segmenter="plain", has_window=False, prints_json=True,
        watch_model=path, max_frames=4,
    )  # fmt: skip
    assert run_camera_app(request, said.append).answered == 4
    assert said == ["The app answers with the new model garment-net now."]


def test_picture_that_is_sent_to_the_page_is_named_by_the_model_in_use(path, capsys, monkeypatch):
    said, answers = [], []
    tile = np.zeros((90, 90, 3), np.uint8)
    tile[20:70, 30:60] = 200
    body = io.BytesIO()
    Image.fromarray(tile).save(body, "PNG")

    def send_pictures(stream, sinks, **options):
        lines, page = sinks

        def send():
            address = said[0].removeprefix("The page: ") + "classify"
            request = urllib.request.Request(address, body.getvalue(), method="POST")
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                answers.append(json.load(answer)["confidence"])

        with page:
            send()
            shutil.copy(NEW, path)
            wait_until(lambda: len(said) == 2, "the new model")
            send()
            path.write_bytes(b"TFL3 nothing")
            send()
        return run(stream, [lines], **options)

    monkeypatch.setattr(camera_app, "run", send_pictures)
    request = CameraRequest(
        source="test-pattern", segmenter="plain", has_window=False, prints_json=True,
        serve=Address(port=0), watch_model=path, max_frames=1,
    )  # fmt: skip
    run_camera_app(request, said.append)
    expected = [
        Recognizer(model, "plain").recognize(tile).as_document(1)["confidence"]
        for model in (OLD, NEW, NEW)
    ]
    assert expected[0] != expected[1]
    assert answers == expected


def test_camera_app_with_a_damaged_watched_model_begins_with_another(path, capsys):
    path.write_bytes(b"TFL3 nothing")
    said = []
    request = CameraRequest(
        source="test-pattern", segmenter="plain", has_window=False, prints_json=True, model=OLD,
        watch_model=path, max_frames=2,
    )  # fmt: skip
    assert run_camera_app(request, said.append).answered == 2
    assert len(said) == 1
    assert "Another model is used until the file has changed." in said[0]
