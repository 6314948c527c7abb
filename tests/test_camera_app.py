"""Tests of the camera app: the sinks that are made of a request, and what it says of its work."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge import camera_app
from garmentlite.edge.camera_app import CameraRequest, run_camera_app
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import MissingPartError, ModelError, SourceError
from garmentlite.edge.metadata import split

MODEL = Path(__file__).parent.parent / "models" / "weighted-cnn_int8.tflite"


def request_of(source, **fields):
    fields = {"has_window": False, "prints_json": True, "model": MODEL} | fields
    return CameraRequest(source=str(source), segmenter="plain", **fields)


def test_camera_app_prints_a_line_for_each_frame(capsys):
    outcome = run_camera_app(request_of("test-pattern", max_frames=3), pytest.fail)
    assert (outcome.answered, outcome.unreadable, outcome.is_complete) == (3, 0, True)
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 3


def test_camera_app_without_a_window_says_why_and_prints(capsys, monkeypatch):
    def no_display():
        raise MissingPartError("there is no display.")

    monkeypatch.setattr(camera_app, "Display", no_display)
    said = []
    request = request_of("test-pattern", max_frames=1, has_window=True, prints_json=False)
    assert run_camera_app(request, said.append).is_complete
    assert said == ["No window: there is no display. Printing JSON lines."]
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_camera_app_says_which_picture_it_cannot_read_and_is_not_complete(capsys, tmp_path):
    Image.fromarray(draw_scene("Coat", np.random.default_rng(1)).rgb).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("image,label")
    said = []
    outcome = run_camera_app(request_of(tmp_path), said.append)
    assert (outcome.answered, outcome.unreadable, outcome.is_complete) == (1, 0, True)
    assert len(said) == 1
    assert "labels.csv" in said.pop()
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "b.png").write_text("not a picture")
    outcome = run_camera_app(request_of(tmp_path), said.append)
    assert (outcome.answered, outcome.unreadable, outcome.is_complete) == (1, 1, False)
    assert len(said) == 1
    assert said[0].startswith("Error: ")
    assert "b.png" in said[0]


@pytest.mark.parametrize(
    ("source", "model", "error"),
    [("nothing", MODEL, SourceError), ("test-pattern", Path("none.tflite"), ModelError)],
)
def test_camera_app_that_cannot_begin_raises(capsys, source, model, error):
    with pytest.raises(error):
        run_camera_app(request_of(source, model=model), pytest.fail)
    assert capsys.readouterr().out == ""


def test_camera_app_says_what_to_check_in_a_model_of_another_program(capsys, tmp_path):
    flatbuffer, _ = split(MODEL.with_name("weighted-cnn_float32.tflite").read_bytes())
    (tmp_path / "foreign.tflite").write_bytes(flatbuffer)
    request = request_of(
        "test-pattern", model=tmp_path / "foreign.tflite", labels=["a"] * 10, max_frames=1
    )
    said = []
    run_camera_app(request, said.append)
    assert any("takes 0..1 for the pixels" in sentence for sentence in said)
    assert any("have one name for several classes ('a')" in sentence for sentence in said)
