import io
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge import webcam
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import MissingPartError, SourceError
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.recognition import NO_GARMENT, UNKNOWN, recognize
from garmentlite.edge.segmentation import PlainSegmenter, load_opencv
from garmentlite.edge.sources import Frame, open_source
from garmentlite.edge.webcam import (
    FrameRate,
    JsonLinesSink,
    WindowSink,
    has_display,
    run,
    why_no_window,
)

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "weighted-cnn_int8.tflite"


@pytest.fixture(scope="module")
def classifier():
    return Classifier(MODEL)


class ListSource:
    """Frames from a list; an exception in it is raised in its turn."""

    is_live = False

    def __init__(self, items):
        self.items, self.is_open = items, False

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *exception):
        self.is_open = False

    def __iter__(self):
        for item in self.items:
            if isinstance(item, BaseException):
                raise item
            yield item


class ListSink:
    """Keeps what it is shown, and has enough after some."""

    def __init__(self, enough=None):
        self.sightings, self.enough, self.is_open = [], enough, False

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *exception):
        self.is_open = False

    def show(self, sighting):
        assert self.is_open
        self.sightings.append(sighting)
        return len(self.sightings) != self.enough


def blank_frame(time, name=None):
    return Frame(np.full((48, 64, 3), 255, np.uint8), time, name)


def boxed_frame(time, name=None):
    """A dark box on white, which any segmenter finds."""
    frame = blank_frame(time, name)
    frame.bgr[8:40, 20:44] = (90, 60, 40)
    return frame


def test_run_test_pattern_to_json_lines(classifier):
    stream = io.StringIO()
    source = open_source("test-pattern", resolution_wh=(160, 120))
    sink = JsonLinesSink(stream, top_k=2)
    assert run(source, classifier, PlainSegmenter(), sink, max_frames=6) == 6
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["time"] for line in lines] == [0.0, 0.067, 0.133, 0.2, 0.267, 0.333]
    for line in lines:
        assert list(line) == [
            "time", "label", "confidence", "top_k", "latency_ms", "preparation",
        ]  # fmt: skip
        assert line["label"] in (*classifier.labels, UNKNOWN, NO_GARMENT)
        assert list(line["latency_ms"])[:3] == ["capture", "segment", "prepare"]
        assert min(line["latency_ms"].values()) > 0
        if line["label"] == NO_GARMENT:
            assert (line["confidence"], line["top_k"]) == (0, [])
        else:
            assert len(line["top_k"]) == 2
            assert line["confidence"] == line["top_k"][0]["probability"]


def test_run_folder_answers_each_picture_on_its_own(classifier, tmp_path):
    rng = np.random.default_rng(11)
    for number, label in enumerate(("Trouser", "Bag", "Coat")):
        Image.fromarray(draw_scene(label, rng).rgb).save(tmp_path / f"{number}.png")
    (tmp_path / "1b.jpg").write_text("not a picture")
    stream, warnings = io.StringIO(), []
    source = open_source(str(tmp_path), warn=warnings.append)
    segmenter = PlainSegmenter()
    assert run(source, classifier, segmenter, JsonLinesSink(stream)) == 3
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(warnings) == 1
    for number, line in enumerate(lines):
        path = tmp_path / f"{number}.png"
        alone = recognize(read_picture(path), classifier, segmenter).as_document(3)
        assert line["name"] == str(path)
        for key in ("label", "confidence", "top_k", "preparation"):
            assert line[key] == alone[key]


def test_run_smooths_frames_of_one_scene(classifier):
    frames = [boxed_frame(0.0), blank_frame(0.1), blank_frame(0.9)]
    sink = ListSink()
    run(ListSource(frames), classifier, PlainSegmenter(), sink)
    first, bridged, gone = (sighting.recognition for sighting in sink.sightings)
    assert first.label != NO_GARMENT
    assert bridged.label == first.label
    assert bridged.confidence == pytest.approx(first.confidence)
    assert not bridged.prepared.description["found"]
    assert (gone.label, gone.confidence) == (NO_GARMENT, 0)


def test_run_does_not_smooth_over_pictures_of_different_names(classifier):
    sink = ListSink()
    frames = [boxed_frame(0.0, "a.png"), blank_frame(0.1, "b.png")]
    run(ListSource(frames), classifier, PlainSegmenter(), sink)
    assert sink.sightings[1].recognition.label == NO_GARMENT


@pytest.mark.parametrize(("max_frames", "expected"), [(0, 0), (2, 2), (None, 3), (9, 3)])
def test_run_looks_at_no_more_frames_than_asked(classifier, max_frames, expected):
    frames = [blank_frame(number) for number in range(3)]
    sink = ListSink()
    looked_at = run(ListSource(frames), classifier, PlainSegmenter(), sink, max_frames=max_frames)
    assert looked_at == len(sink.sightings) == expected


def test_run_ends_when_the_sink_has_enough(classifier):
    source, sink = ListSource([blank_frame(number) for number in range(9)]), ListSink(enough=2)
    assert run(source, classifier, PlainSegmenter(), sink) == 2
    assert not source.is_open
    assert not sink.is_open


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceError("lost")])
def test_run_closes_source_and_sink_when_interrupted(classifier, error):
    source, sink = ListSource([blank_frame(0.0), error]), ListSink()
    with pytest.raises(type(error)):
        run(source, classifier, PlainSegmenter(), sink)
    assert len(sink.sightings) == 1
    assert not source.is_open
    assert not sink.is_open


def test_json_lines_sink_broken_pipe_ends_quietly(classifier):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        looked_at = run(
            ListSource([blank_frame(number) for number in range(5)]),
            classifier,
            PlainSegmenter(),
            JsonLinesSink(stream),
        )
        assert looked_at == 1
        stream.flush()  # as Python does at exit; what could not be written is gone


def test_frame_rate_of_n_moments_is_n_minus_1_over_their_span():
    rate = FrameRate()
    assert [rate.tick(seconds) for seconds in (5.0, 6.0, 7.0)] == [0.0, 1.0, 1.0]
    for number in range(100):
        last = rate.tick(8 + number / 10)
    assert last == pytest.approx(10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  GUI:                           NONE\n", False),
        ("  GUI:                           QT5\n    QT: YES\n", True),
        ("  GUI:                           GTK3\n", True),
        ("  GUI: \n    Win32 UI: YES\n", False),
    ],
)
def test_has_gui_reads_opencvs_build_information(text, expected):
    assert webcam._has_gui(text) is expected


@pytest.fixture
def gui_build(monkeypatch):
    """As if this OpenCV had windows, so that only the display decides."""
    monkeypatch.setattr(load_opencv(), "getBuildInformation", lambda: "GUI: QT5")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are named on Linux only")
def test_why_no_window_without_display(gui_build, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no display" in why_no_window()
    assert not has_display()
    with pytest.raises(MissingPartError, match="no display"), WindowSink():
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are named on Linux only")
def test_why_no_window_with_a_display_that_is_not_there(gui_build, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "cannot be used" in why_no_window()


def test_why_no_window_with_the_headless_wheel_names_the_other(monkeypatch):
    monkeypatch.setattr(load_opencv(), "getBuildInformation", lambda: "GUI: NONE")
    assert "garmentlite[desktop]" in why_no_window()


@pytest.fixture
def virtual_display():
    """An X server without a screen, and the environment that leads to it."""
    if not webcam._has_gui(load_opencv().getBuildInformation()):
        pytest.skip("this OpenCV has no windows (garmentlite[desktop] has)")
    if not shutil.which("Xvfb"):
        pytest.skip("Xvfb is not installed (apt install xvfb)")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        assert select.select([reading], [], [], 20)[0], "Xvfb does not start"
        number = os.read(reading, 16).decode().strip()
        yield {**os.environ, "DISPLAY": f":{number}", "WAYLAND_DISPLAY": ""}
    finally:
        os.close(reading)
        server.terminate()
        server.wait(20)


WINDOW_APP = f"""
import sys
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.segmentation import PlainSegmenter
from garmentlite.edge.sources import open_source
from garmentlite.edge.webcam import WindowSink, run
limit = int(sys.argv[1]) or None
source = open_source("test-pattern", resolution_wh=(320, 240))
print(run(source, Classifier({str(MODEL)!r}), PlainSegmenter(), WindowSink(), max_frames=limit))
"""


def start_window_app(environment, limit):
    return subprocess.Popen(
        [sys.executable, "-c", WINDOW_APP, str(limit)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_window_sink_shows_frames_without_chatter(virtual_display):
    app = start_window_app(virtual_display, limit=5)
    assert app.communicate(timeout=60) == ("5\n", "")
    assert app.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("key", ["q", "Escape"])
def test_window_sink_ends_at_a_key(virtual_display, key):
    if not shutil.which("xdotool"):
        pytest.skip("xdotool is not installed (apt install xdotool)")
    app = start_window_app(virtual_display, limit=0)
    try:
        until = time.monotonic() + 60
        while app.poll() is None and time.monotonic() < until:
            time.sleep(0.3)  # until the window is there, nobody hears the key
            subprocess.run(["xdotool", "key", key], env=virtual_display, check=False)
        assert app.poll() == 0
    finally:
        app.kill()
        output, complaints = app.communicate()
    assert int(output) > 0
    assert complaints == ""
