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
from waiting import PATIENCE_S, wait_until

from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.panel import NAMED, PAPER
from garmentlite.edge.sinks.box_drawing import BoxDrawing
from garmentlite.edge.sinks.display import TITLE, Display, MouseAction, built_with_windows
from garmentlite.edge.sinks.window_process import fitted, look_at_x11

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "weighted-cnn_int8.tflite"
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


@pytest.mark.parametrize(
    ("view_wh", "place"),
    [((40, 20), (0, 0, 1.0)), ((80, 80), (0, 20, 2.0)), ((40, 10), (10, 0, 0.5))],
)
def test_fitted_keeps_the_proportions_of_a_picture_in_a_window_of_another_size(view_wh, place):
    cv2 = load_opencv()
    shown, *found = fitted(np.full((20, 40, 3), 200, np.uint8), view_wh, cv2)
    left, top, factor = place
    assert tuple(found) == place
    assert shown.shape == (view_wh[1], view_wh[0], 3)
    rows, columns = (np.flatnonzero(shown.any(axis=(side, 2))) for side in (1, 0))
    assert (rows[0], columns[0]) == (top, left)
    assert (len(rows), len(columns)) == (20 * factor, 40 * factor)


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

    def focused(self) -> str:
        """Returns the title of the window that gets the keys."""
        command = ["xdotool", "getwindowfocus", "getwindowname"]
        asked = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return asked.stdout.strip()

    def place_of_window(self) -> list[int]:
        """Returns left, top, width and height of the window; all are 0 before it is there."""
        command = ["xdotool", "search", "--name", f"^{TITLE}$", "getwindowgeometry", "--shell"]
        asked = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        told = dict(line.split("=") for line in asked.stdout.splitlines())
        return [int(told.get(name, 0)) for name in ("X", "Y", "WIDTH", "HEIGHT")]

    def shows(self, is_seen, what: str) -> None:
        """Waits until the screen satisfies a condition."""
        wait_until(lambda: self.image.exists() and is_seen(self.pixels()), what)

    def shows_an_answer(self) -> None:
        """Waits until the window shows that a garment was named, and gets the keys."""
        self.shows(lambda pixels: named_pixels(pixels) > 500, "the answer in the window")
        wait_until(lambda: self.focused() == TITLE, "the focus of the window")


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
        wait_until(lambda: look_at_x11()[1], "the start of the window manager")
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

    def start_app(*arguments, stdout=subprocess.PIPE):
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
            stdout=stdout,
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

    def is_laid_out(pixels):
        # The label and a bar are in the panel on the right, the outline is in the picture left of it.
        left, top, width, height = screen.place_of_window()
        label = (pixels[top : top + height, left : left + width] == NAMED).all(axis=2)
        is_full = (height, width) == pixels.shape[:2]
        return (
            label[:, max(0, width - 165) :].sum() > 100
            and label[:, : max(0, width - 200)].sum() > 100
            and (is_full or pixels.shape[1] > 800)  # on a small screen the window fills it
        )

    screen.shows(is_laid_out, "the window with picture and panel")
    screen.shows_an_answer()
    screen.xdotool("key", "q")
    assert app.wait(PATIENCE_S) == 0
    assert app.communicate() == ("", "")


@pytest.mark.slow
def test_window_keys_pause_save_show_help_and_quit(screen, start, tmp_path):
    app = start("--source", "test-pattern")
    screen.shows_an_answer()
    # None of these may end the app: Left is 'Q' in 8 bits.
    screen.xdotool("key", "Left", "Up", "shift")
    screen.xdotool("key", "space")
    screen.shows(is_paused, "the pause")
    paused = screen.pixels().copy()

    def changed(pixels):
        return (pixels != paused).any(axis=2).sum()

    screen.xdotool("key", "h")
    screen.shows(lambda pixels: changed(pixels) > 20_000, "the list of keys")
    screen.xdotool("key", "Escape")  # only the list of keys goes away
    screen.shows(lambda pixels: changed(pixels) < 10_000, "the picture without the list of keys")
    screen.xdotool("key", "s")
    wait_until(lambda: list(tmp_path.glob("garmentlite-*.png")), "the snapshot")
    screen.xdotool("key", "space")
    screen.shows(lambda pixels: not is_paused(pixels), "the end of the pause")
    assert app.poll() is None
    screen.xdotool("key", "Escape")
    assert app.wait(PATIENCE_S) == 0
    assert app.communicate() == ("", "")
    (snapshot,) = tmp_path.glob("garmentlite-*.png")
    with Image.open(snapshot) as saved:
        assert saved.size == (640 + 200, 480)


def is_paused(pixels):
    """Looks for the box that says so in the middle of the picture, on the screen of 800x480."""
    middle = pixels[230:250, 240:360]
    return (middle == PAPER).all(axis=2).mean() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("size", [(200, 50), (50, 200), (1500, 500)])
def test_window_keeps_a_single_picture_unstretched_until_a_key(screen, start, tmp_path, size):
    Image.new("RGB", size, (255, 0, 0)).save(tmp_path / "red.png")
    app = start("--source", "red.png")

    def is_settled(pixels):
        height, width = red_rows_and_columns(pixels)
        is_whole = max(size) >= 640 or (height and width % size[0] == height % size[1] == 0)
        is_full = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].any(axis=1).all()
        return height and is_full and is_whole and is_unstretched(pixels)

    def is_unstretched(pixels):
        height, width = red_rows_and_columns(pixels)
        return width / height == pytest.approx(size[0] / size[1], rel=0.02)

    screen.shows(is_settled, "the whole picture")  # a small one is enlarged by a whole number
    time.sleep(3)  # longer than a picture of a folder stays
    screen.shows(is_settled, "the same picture")
    assert app.poll() is None
    wait_until(lambda: screen.focused() == TITLE, "the focus of the window")
    screen.xdotool("key", "Right")
    assert app.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_window_mouse_draws_the_guide_box(screen, start):
    app = start("--source", "test-pattern")
    screen.shows_an_answer()
    screen.xdotool("key", "space")
    screen.shows(is_paused, "the pause")
    before = screen.pixels()[97:104, 97:104].astype(int)
    screen.xdotool("key", "b")
    screen.xdotool("mousemove", "100", "100", "mousedown", "1", "mousemove", "150", "180")
    screen.xdotool("mousemove", "200", "220", "mouseup", "1")
    screen.xdotool("key", "space")
    # The corner of the new box is in a place where nothing was drawn before.
    screen.shows(lambda pixels: (pixels[97:104, 97:104] - before).max() > 60, "the new box")
    screen.xdotool("key", "q")
    assert app.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_window_that_is_closed_ends_the_app(screen, start):
    app = start("--source", "test-pattern")
    screen.shows_an_answer()
    screen.xdotool("key", "alt+F4")
    assert app.wait(PATIENCE_S) == 0
    assert app.communicate() == ("", "")


@pytest.mark.slow
def test_window_whose_display_ends_is_one_sentence_and_exit_2(screen, start):
    app = start("--source", "test-pattern")
    screen.shows_an_answer()
    screen.server.kill()
    assert app.wait(PATIENCE_S) == 2
    output, complaints = app.communicate()
    assert output == ""
    assert complaints.startswith("Error: The window is gone because the display :")
    assert complaints.count("\n") == 1


@pytest.mark.slow
def test_window_whose_display_ends_leaves_the_json_lines(screen, start, tmp_path):
    written = tmp_path / "lines.jsonl"

    def count():
        return written.read_text().count("\n")

    with written.open("w") as file:
        app = start("--source", "test-pattern", "--json", stdout=file)
    screen.shows_an_answer()
    screen.server.kill()
    assert "The window is gone" in app.stderr.readline()
    before = count()
    wait_until(lambda: count() > before + 10, "more JSON lines")
    app.send_signal(signal.SIGINT)
    assert app.wait(PATIENCE_S) == 0
    assert app.stderr.read() == ""


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_window_closes_with_the_app(screen, start, way):
    app = start("--source", "test-pattern")
    screen.shows_an_answer()
    (window,) = children_of(app)
    app.send_signal(way)
    app.wait(PATIENCE_S)
    wait_until(lambda: not Path(f"/proc/{window}").exists(), "the end of the window")
    if way == signal.SIGINT:
        assert app.communicate() == ("", "")
