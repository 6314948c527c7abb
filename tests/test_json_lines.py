"""Tests of the JSON lines: their keys, the lines of a camera's state, and output that nobody reads."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import OutputError
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sinks.json_lines import JsonLinesSink
from garmentlite.edge.sources.interface import Frame

MODEL = Path(__file__).parent.parent / "models" / "weighted-cnn_int8.tflite"


@pytest.fixture(scope="module")
def sighting():
    bgr = np.full((48, 64, 3), 255, np.uint8)
    bgr[8:40, 20:44] = (90, 60, 40)
    raw = Recognizer(MODEL, "plain").recognize(bgr)
    steady = replace(raw, label="Bag", confidence=0.25)
    return Sighting(
        frame=Frame(bgr, 1.23456),
        recognition=steady,
        answer_to_frame=raw,
        frames_per_second=14.98765,
        clock=1795709882.9114,
        camera=CameraState(CameraStatus.OK, since=0.51234, reconnects=2, bad_frames=7),
    )


def lines_of(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_line_has_the_steady_answer_the_raw_one_and_the_camera(sighting):
    stream = io.StringIO()
    assert JsonLinesSink(stream, top_k=2).show(sighting)
    (line,) = lines_of(stream)
    assert list(line) == [
        "time", "label", "confidence", "top_k", "latency_ms", "preparation", "answer_to_frame",
        "frame_size", "frames_per_second", "clock", "camera",
    ]  # fmt: skip
    assert (line["time"], line["label"], line["confidence"]) == (1.235, "Bag", 0.25)
    raw = sighting.answer_to_frame
    assert line["answer_to_frame"]["label"] == raw.label
    assert line["answer_to_frame"]["confidence"] == pytest.approx(raw.confidence, abs=1e-5)
    assert len(line["answer_to_frame"]["top_k"]) == 2
    assert line["frame_size"] == [64, 48]
    assert (line["frames_per_second"], line["clock"]) == (14.99, 1795709882.911)
    assert line["camera"] == {
        "status": "ok", "message": "", "since": 0.512, "reconnects": 2, "bad_frames": 7,
    }  # fmt: skip


def test_json_line_without_a_camera_says_null(sighting):
    stream = io.StringIO()
    JsonLinesSink(stream).show(replace(sighting, camera=None))
    assert lines_of(stream)[0]["camera"] is None


def test_state_is_one_line_when_it_changes(sighting):
    stream = io.StringIO()
    sink = JsonLinesSink(stream)
    lost = CameraState(CameraStatus.LOST, "It is unplugged.", since=4.0)
    for state in (
        lost,
        lost,
        replace(lost, bad_frames=3),
        CameraState(CameraStatus.BLACK, "Dark."),
    ):
        assert sink.show_state(state)
    assert sink.show(sighting)
    assert sink.show_state(lost)
    lines = lines_of(stream)
    assert [line["camera"]["status"] for line in lines] == ["lost", "black", "ok", "lost"]
    assert list(lines[0]) == ["label", "clock", "camera"]
    assert lines[0]["label"] is None
    assert lines[0]["camera"]["message"] == "It is unplugged."
    assert lines[0]["clock"] > 1.7e9


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_full_disk_is_an_error_of_the_sink(sighting):
    with open("/dev/full", "w", encoding="utf-8") as stream:
        with pytest.raises(OutputError, match="No space left on device"):
            JsonLinesSink(stream).show(sighting)
        stream.flush()  # as Python does at exit; what could not be written is gone


def test_broken_pipe_ends_the_stream_quietly(sighting):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        assert not JsonLinesSink(stream).show(sighting)
        stream.flush()
