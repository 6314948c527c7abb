"""Tests of the window: whether it can be opened, and how it is closed. The stream's tests cover JSON."""

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.sinks.window import WindowSink, built_with_windows, why_no_window

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "weighted-cnn_int8.tflite"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  GUI:                           NONE\n", False),
        ("  GUI:                           QT5\n    QT: YES\n", True),
        ("  GUI:                           GTK3\n", True),
        ("  GUI: \n    Win32 UI: YES\n", False),
    ],
)
def test_built_with_windows_reads_opencvs_build_information(text, expected):
    assert built_with_windows(text) is expected


@pytest.fixture
def gui_build(monkeypatch):
    """As if this OpenCV had windows, so that only the display decides."""
    monkeypatch.setattr(load_opencv(), "getBuildInformation", lambda: "GUI: QT5")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are named on Linux only")
def test_why_no_window_without_display(gui_build, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no display" in why_no_window()
    with pytest.raises(MissingPartError, match="no display"), WindowSink():
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are named on Linux only")
def test_why_no_window_with_a_display_that_is_not_there(gui_build, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "cannot use the display" in why_no_window()


def test_why_no_window_with_the_headless_wheel_names_the_other(monkeypatch):
    monkeypatch.setattr(load_opencv(), "getBuildInformation", lambda: "GUI: NONE")
    assert "garmentlite[desktop]" in why_no_window()


@pytest.fixture
def virtual_display():
    """An X server without a screen, and the environment that leads to it."""
    if not built_with_windows(load_opencv().getBuildInformation()):
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
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sinks.window import WindowSink
from garmentlite.edge.sources.registry import open_source
from garmentlite.edge.stream import GarmentStream, run
limit = int(sys.argv[1]) or None
source = open_source("test-pattern", resolution_wh=(320, 240))
stream = GarmentStream(source, Recognizer({str(MODEL)!r}, "plain"))
print(run(stream, [WindowSink()], max_frames=limit))
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
