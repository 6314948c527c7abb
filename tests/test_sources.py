import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources.live import LiveSource
from garmentlite.edge.sources.moving_pattern import MovingPattern
from garmentlite.edge.sources.pictures import Pictures
from garmentlite.edge.sources.registry import open_source
from garmentlite.edge.sources.video import VideoFile


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
        "0": LiveSource,
        "12": LiveSource,
        "/dev/video2": LiveSource,
        "/dev/v4l/by-id/usb-046d_C920-video-index0": LiveSource,
        "picamera": LiveSource,
        "picamera:1": LiveSource,
        "rtsp://camera/stream": LiveSource,
        "http://user:secret@camera:8080/video.mjpg": LiveSource,
        "-": LiveSource,
        f"{folder}/*.png": Pictures,
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
    assert source.camera is None


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
