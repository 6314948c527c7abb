"""Tests of the window on a real X server (Xvfb) with a window manager, with keys and mouse from xdotool."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.panel import NAMED
from garmentlite.edge.sinks.box_drawing import BoxDrawing
from garmentlite.edge.sinks.display import Display, MouseAction, built_with_windows
from garmentlite.edge.sinks.window_process import look_at_x11

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "weighted-cnn_int8.tflite"
PATIENCE_S = 60  # a loaded machine with two cores starts the app in some seconds
PRESS, MOVE, RELEASE = MouseAction


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
def test_display_without_a_display_says_so(gui_build, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingPartError, match="there is no display"):
        Display()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are named on Linux only")
def test_display_that_is_not_there_is_an_error(gui_build, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingPartError, match="cannot use the display"):
        Display()


def test_display_with_the_headless_wheel_names_the_other(monkeypatch):
    monkeypatch.setattr(load_opencv(), "getBuildInformation", lambda: "GUI: NONE")
    with pytest.raises(MissingPartError, match=r"garmentlite\[desktop\]"):
        Display()


def test_box_drawing_by_dragging_gives_the_box_in_any_direction():
    drawing = BoxDrawing()
    assert drawing.box is None
    assert drawing.mouse(MOVE, 0.5, 0.5) is None
    assert drawing.box is None
    assert drawing.mouse(PRESS, 0.75, 0.5) is None
    assert drawing.mouse(MOVE, 0.5, 1.0) is None
    assert drawing.box == GuideBox(0.5, 0.5, 0.25, 0.5)
    assert drawing.mouse(RELEASE, 0.25, 1.5) == GuideBox(0.25, 0.5, 0.5, 0.5)


def test_box_drawing_by_two_clicks_gives_the_box():
    drawing = BoxDrawing()
    for action in (PRESS, RELEASE):
        assert drawing.mouse(action, 0.25, 0.25) is None
    assert drawing.mouse(PRESS, 0.75, 0.5) is None
    assert drawing.mouse(RELEASE, 0.75, 0.5) == GuideBox(0.25, 0.25, 0.5, 0.25)


@dataclass
class Screen:
    """A running X server.

    Attributes:
        environment: Leads programs to the server.
        server: Its process.
        image: File in which it keeps its screen.
    """

    environment: dict[str, str]
    server: subprocess.Popen
    image: Path

    def pixels(self) -> np.ndarray:
        """Reads the screen, uint8, shape (H, W, 3), BGR, from the XWD file of the server."""
        content = self.image.read_bytes()
        header = np.frombuffer(content[:100], ">u4")
        start = header[0] + header[19] * 12  # after the header and the table of colours
        rows = np.frombuffer(content[start:], np.uint8)[: header[5] * header[12]]
        return rows.reshape(header[5], header[12] // 4, 4)[:, : header[4], :3]

    def xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.environment, check=True)

    def wait_for(self, seen) -> np.ndarray:
        """Waits until the screen satisfies a condition."""
        until = time.monotonic() + PATIENCE_S
        while not (self.image.exists() and seen(pixels := self.pixels())):
            assert time.monotonic() < until, "the screen does not show what was expected"
            time.sleep(0.05)
        return pixels


@pytest.fixture
def screen(request, tmp_path, monkeypatch):
    """An X server with a screen of the size that the test's parameter gives, by default 800x480."""
    if not built_with_windows(load_opencv().getBuildInformation()):
        pytest.skip("this OpenCV has no windows (garmentlite[desktop] has)")
    for program, package in (("Xvfb", "xvfb"), ("xdotool", "xdotool"), ("openbox", "openbox")):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (apt install {package})")
    size = getattr(request, "param", "800x480")
    reading, writing = os.pipe()
    folder = tmp_path / "screen"
    folder.mkdir()
    arguments = ["-displayfd", str(writing), "-screen", "0", f"{size}x24", "-fbdir", str(folder)]
    arguments.append("-noreset")  # else it begins anew when its last client leaves
    server = subprocess.Popen(["Xvfb", *arguments], pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    manager = None
    try:
        assert select.select([reading], [], [], 20)[0], "Xvfb does not start"
        number = os.read(reading, 16).decode().strip()
        monkeypatch.setenv("DISPLAY", f":{number}")
        environment = {**os.environ, "WAYLAND_DISPLAY": ""}
        manager = subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL)
        opened = Screen(environment, server, folder / "Xvfb_screen0")
        opened.wait_for(lambda _: look_at_x11()[1])  # until the window manager is there
        yield opened
    finally:
        os.close(reading)
        if manager:
            manager.kill()
            manager.wait()
        server.terminate()
        server.wait(20)


@pytest.fixture
def start(screen, tmp_path):
    """Starts `cli webcam` on the screen and ends it with the test."""
    apps = []

    def start_app(*arguments):
        command = [
            sys.executable,
            ROOT / "cli.py",
            "webcam",
            "--model",
            MODEL,
            "--segment",
            "plain",
        ]
        app = subprocess.Popen(
            [*map(str, command), *map(str, arguments)],
            cwd=tmp_path,
            env=screen.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        apps.append(app)
        return app

    yield start_app
    for app in apps:
        app.kill()
        app.communicate()


def named_pixels(pixels):
    """Counts the pixels in the colour of a named garment."""
    return int((pixels == NAMED).all(axis=2).sum())


def children_of(process):
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in listed.split()]


def red_rows_and_columns(pixels):
    """Measures how many rows and columns have pure red."""
    red = (pixels == (0, 0, 255)).all(axis=2)
    return int(red.any(axis=1).sum()), int(red.any(axis=0).sum())


@pytest.mark.slow
@pytest.mark.parametrize("screen", ["640x480", "800x480", "1280x1024"], indirect=True)
def test_window_fits_the_screen_with_picture_and_panel(screen, start):
    app = start("--source", "test-pattern")
    pixels = screen.wait_for(lambda pixels: named_pixels(pixels) > 500)
    label = (pixels == NAMED).all(axis=2)
    width = label.shape[1]
    # The label and a bar are in the panel on the right, the outline is in the picture left of it.
    is_small = width <= 800
    right = width if is_small else int(np.flatnonzero(pixels.any(axis=(0, 2)))[-1]) + 1
    assert label[:, right - 165 : right].sum() > 100
    assert label[:, : right - 200].sum() > 100
    assert right <= width
    if is_small:  # the window fills the screen
        assert pixels[[0, 0, -1, -1], [0, -1, 0, -1]].any(axis=1).all()
    screen.xdotool("mousemove", "100", "100", "key", "q")  # keys go to the window below the mouse
    assert app.wait(PATIENCE_S) == 0
    assert app.communicate() == ("", "")


@pytest.mark.slow
def test_window_keys_pause_save_show_help_and_quit(screen, start, tmp_path):
    app = start("--source", "test-pattern")
    screen.wait_for(lambda pixels: named_pixels(pixels) > 500)
    screen.xdotool(
        "key", "Left", "Up", "shift"
    )  # none of them may end the app: Left is 'Q' in 8 bits
    screen.xdotool("key", "space")
    screen.wait_for(lambda _: is_still(screen))
    paused = screen.pixels()
    screen.xdotool("key", "h")
    screen.wait_for(lambda pixels: (pixels != paused).any(axis=2).sum() > 20_000)
    screen.xdotool("key", "Escape")  # only the list of keys goes away
    screen.wait_for(lambda pixels: (pixels != paused).any(axis=2).sum() < 10_000)
    screen.xdotool("key", "s")
    screen.wait_for(lambda _: list(tmp_path.glob("garmentlite-*.png")))
    screen.xdotool("key", "space")
    screen.wait_for(lambda _: not is_still(screen))
    assert app.poll() is None
    screen.xdotool("key", "Escape")
    assert app.wait(PATIENCE_S) == 0
    assert app.communicate() == ("", "")
    (snapshot,) = tmp_path.glob("garmentlite-*.png")
    with Image.open(snapshot) as saved:
        assert saved.size == (640 + 200, 480)


def is_still(screen):
    before = screen.pixels().copy()
    time.sleep(0.5)
    return (screen.pixels() == before).mean() > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("size", [(200, 50), (50, 200), (1500, 500)])
def test_window_keeps_a_single_picture_unstretched_until_a_key(screen, start, tmp_path, size):
    Image.new("RGB", size, (255, 0, 0)).save(tmp_path / "red.png")
    app = start("--source", "red.png")
    screen.wait_for(lambda pixels: red_rows_and_columns(pixels)[0] > 0)
    time.sleep(3)  # longer than a picture of a folder stays
    assert app.poll() is None
    height, width = red_rows_and_columns(screen.pixels())
    assert width / height == pytest.approx(size[0] / size[1], rel=0.02)
    if max(size) < 640:  # it is enlarged by a whole number
        assert width % size[0] == height % size[1] == 0
    screen.xdotool("key", "Right")
    assert app.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_window_mouse_draws_the_guide_box(screen, start):
    app = start("--source", "test-pattern")
    screen.wait_for(lambda pixels: named_pixels(pixels) > 500)
    screen.xdotool("key", "space")
    screen.wait_for(lambda _: is_still(screen))
    before = screen.pixels()
    screen.xdotool("key", "b")
    screen.xdotool("mousemove", "100", "100", "mousedown", "1", "mousemove", "150", "180")
    screen.xdotool("mousemove", "200", "220", "mouseup", "1")
    screen.xdotool("key", "space")
    # The corner of the new box is in a place where nothing was drawn before.
    screen.wait_for(
        lambda pixels: (pixels[97:104, 97:104].astype(int) - before[97:104, 97:104]).max() > 60
    )
    screen.xdotool("key", "q")
    assert app.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_window_that_is_closed_ends_the_app(screen, start):
    app = start("--source", "test-pattern")
    screen.wait_for(lambda pixels: named_pixels(pixels) > 500)
    screen.xdotool("key", "alt+F4")
    assert app.wait(PATIENCE_S) == 0
    assert app.communicate() == ("", "")


@pytest.mark.slow
def test_window_whose_display_ends_is_one_sentence_and_exit_2(screen, start):
    app = start("--source", "test-pattern")
    screen.wait_for(lambda pixels: named_pixels(pixels) > 500)
    screen.server.kill()
    assert app.wait(PATIENCE_S) == 2
    output, complaints = app.communicate()
    assert output == ""
    assert complaints.startswith("Error: The window is gone because the display :")
    assert complaints.count("\n") == 1


@pytest.mark.slow
def test_window_whose_display_ends_leaves_the_json_lines(screen, start):
    app = start("--source", "test-pattern", "--json", "--max-frames", "60")
    screen.wait_for(lambda pixels: named_pixels(pixels) > 500)
    screen.server.kill()
    output, complaints = app.communicate(timeout=PATIENCE_S)
    assert app.returncode == 0
    assert len(output.splitlines()) == 60
    assert "The window is gone" in complaints
    assert complaints.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_window_closes_with_the_app(screen, start, way):
    app = start("--source", "test-pattern")
    screen.wait_for(lambda pixels: named_pixels(pixels) > 500)
    (window,) = children_of(app)
    app.send_signal(way)
    app.wait(PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{window}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    if way == signal.SIGINT:
        assert app.communicate() == ("", "")
