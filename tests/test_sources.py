import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources import live
from garmentlite.edge.sources.camera import Camera
from garmentlite.edge.sources.moving_pattern import MovingPattern
from garmentlite.edge.sources.pictures import Pictures
from garmentlite.edge.sources.registry import open_source
from garmentlite.edge.sources.video import VideoFile


class FakeCapture:
    """Stands for cv2.VideoCapture: a camera of numbered frames that ends or breaks after some."""

    def __init__(self, frames, error=None, seconds=0.001):
        self.left, self.error, self.seconds = frames, error, seconds
        self.number = 0
        self.released = threading.Event()

    def isOpened(self):  # noqa: N802
        return True

    def set(self, name, value):
        return True

    def read(self):
        time.sleep(self.seconds)
        assert not self.released.is_set(), "read after release"
        if self.number == self.left:
            if self.error:
                raise self.error
            return False, None
        self.number += 1
        return True, np.full((4, 6, 3), self.number % 256, np.uint8)

    def release(self):
        self.released.set()


def no_camera_thread_runs():
    return all(thread.name != "camera" for thread in threading.enumerate())


@pytest.fixture
def camera_of(monkeypatch):
    def make(capture):
        monkeypatch.setattr(cv2, "VideoCapture", lambda number: capture)
        return open_source("0")

    return make


@pytest.fixture
def video(tmp_path):
    """Ten frames of 64x48 at 12.5 frames per second, each a brighter grey."""
    path = tmp_path / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (64, 48))
    assert writer.isOpened()
    for number in range(10):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path):
    """Three drawn pictures and a text file that is called .jpg."""
    rng = np.random.default_rng(5)
    for name, label in (("a.png", "Coat"), ("c.png", "Bag"), ("d.png", "Dress")):
        Image.fromarray(draw_scene(label, rng, (96, 64)).rgb).save(tmp_path / name)
    (tmp_path / "b.jpg").write_text("not a picture")
    return tmp_path


def test_open_source_finds_what_a_word_means(video, folder):
    kinds = {
        "0": Camera,
        "12": Camera,
        "/dev/video2": Camera,
        str(video): VideoFile,
        str(folder): Pictures,
        str(folder / "a.png"): Pictures,
        "test-pattern": MovingPattern,
    }
    assert {word: type(open_source(word)) for word in kinds} == kinds


@pytest.mark.parametrize("word", ["", "no-such-file.avi", "-1", "testpattern"])
def test_open_source_unknown_word_says_what_there_is(word):
    with pytest.raises(SourceError, match="test-pattern"):
        open_source(word)


def test_moving_pattern_gives_moving_frames_without_end():
    with open_source("test-pattern", resolution_wh=(160, 120)) as source:
        frames = [frame for frame, _ in zip(source, range(20), strict=False)]
    assert all(frame.bgr.shape == (120, 160, 3) for frame in frames)
    assert all(frame.bgr.dtype == np.uint8 for frame in frames)
    assert [frame.time for frame in frames] == [number / 15 for number in range(20)]
    assert not np.array_equal(frames[0].bgr, frames[19].bgr)
    assert not source.is_live


def test_video_gives_every_frame_then_ends(video):
    with open_source(str(video)) as source:
        frames = list(source)
    assert [round(float(frame.bgr.mean()) / 20) for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == [number / 12.5 for number in range(10)]
    assert frames[0].bgr.shape == (48, 64, 3)
    assert {frame.duration for frame in frames} == {1 / 12.5}


def test_video_is_closed_when_the_loop_breaks(video, monkeypatch):
    opened = []
    make = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: opened.append(make(path)) or opened[-1])
    with open_source(str(video)) as source:
        next(iter(source))
        assert opened[0].isOpened()
    assert not opened[0].isOpened()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"hello " * 100, id="text"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(2000), id="broken mp4"),
    ],
)
def test_video_that_is_none_is_refused_by_name(tmp_path, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"film\.mp4 is not a video"), open_source(str(path)):
        pass


def test_pictures_broken_one_is_reported_and_the_others_given(folder):
    warnings = []
    with open_source(str(folder), warn=warnings.append) as source:
        frames = list(source)
    assert [frame.name for frame in frames] == [str(folder / f"{name}.png") for name in "acd"]
    assert [frame.time for frame in frames] == [0.0, 2.0, 4.0]
    assert len(warnings) == 1
    assert "b.jpg" in warnings[0]


def test_pictures_colours_and_transparency_survive(tmp_path):
    rgba = np.zeros((40, 50, 4), np.uint8)
    rgba[10:30, 10:40] = (200, 100, 50, 255)
    Image.fromarray(rgba).save(tmp_path / "cut-out.png")
    with open_source(str(tmp_path)) as source:
        (frame,) = source
    assert frame.bgr[20, 20].tolist() == [50, 100, 200]
    picture = frame.picture()
    assert picture.rgb[20, 20].tolist() == [200, 100, 50]
    np.testing.assert_array_equal(picture.alpha, rgba[..., 3])


def test_pictures_folder_without_any_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no picture"), open_source(str(tmp_path)):
        pass


def test_camera_that_is_not_there_says_what_to_do():
    with (
        pytest.raises(SourceError, match=r"Camera 99 .*ls /dev/video.*picamera2"),
        open_source("99"),
    ):
        pass


def test_sources_that_cannot_be_opened_leave_standard_error_clean(tmp_path):
    broken = tmp_path / "film.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(2000))
    # FFmpeg's level is read once in a process, so this needs one of its own.
    script = f"""
from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources.registry import open_source
for word in ("99", {str(broken)!r}):
    try:
        with open_source(word):
            print("opened")
    except SourceError:
        print("refused")
"""
    root = Path(__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("refused\nrefused\n", "")


def test_camera_lost_gives_its_last_frame_then_an_error(camera_of):
    capture = FakeCapture(frames=3)
    seen = []

    def look(source):
        for frame in source:
            seen.append(int(frame.bgr[0, 0, 0]))

    with camera_of(capture) as source, pytest.raises(SourceError, match="Camera 0 was lost"):
        look(source)
    assert seen[-1] == 3
    assert capture.released.is_set()
    assert no_camera_thread_runs()


def test_camera_gives_the_newest_frame_only(camera_of):
    capture = FakeCapture(frames=-1)
    with camera_of(capture) as source:
        frames = iter(source)
        numbers, times = [], []
        for _ in range(4):
            frame = next(frames)
            numbers.append(int(frame.bgr[0, 0, 0]))
            times.append(frame.time)
            time.sleep(0.05)  # a slow loop: dozens of frames go by
    assert source.is_live
    assert all(later - earlier > 3 for earlier, later in pairwise(numbers))
    assert times == sorted(times)


def test_camera_left_early_is_released_and_its_thread_ended(camera_of):
    capture = FakeCapture(frames=-1)
    with camera_of(capture) as source:
        next(iter(source))
    assert capture.released.is_set()
    assert no_camera_thread_runs()


def test_camera_exception_in_the_thread_reaches_the_loop(camera_of):
    capture = FakeCapture(frames=0, error=RuntimeError("driver bug"))
    with camera_of(capture) as source, pytest.raises(RuntimeError, match="driver bug"):
        next(iter(source))
    assert capture.released.is_set()


def test_camera_that_falls_silent_is_given_up(camera_of, monkeypatch):
    monkeypatch.setattr(live, "SILENCE_SECONDS", 0.05)
    with (
        camera_of(FakeCapture(frames=0, seconds=0.3)) as source,
        pytest.raises(SourceError, match="gave no frame"),
    ):
        next(iter(source))


def test_camera_can_be_opened_again(camera_of):
    first = FakeCapture(frames=-1)
    source = camera_of(first)
    with source:
        next(iter(source))
    source = camera_of(FakeCapture(frames=-1))
    with source:
        assert next(iter(source)).bgr.shape == (4, 6, 3)
