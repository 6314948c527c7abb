import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import OptionError, SourceError
from garmentlite.edge.sources.interface import Frame, parse_resolution
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
from garmentlite.edge.errors import OptionError, SourceError
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


def test_pattern_gives_the_pictures_that_match(folder):
    with open_source(f"{folder}/[ac].png") as source:
        assert [Path(frame.name).name for frame in source] == ["a.png", "c.png"]


def test_pattern_without_a_match_is_refused(tmp_path):
    with pytest.raises(SourceError, match="Nothing matches"), open_source(f"{tmp_path}/*.png"):
        pass


def read_all(path):
    """Reads a video to its end; returns the times of its frames and what was said."""
    said = []
    with open_source(str(path), warn=said.append) as source:
        return [frame.time for frame in source], said


@pytest.fixture
def long_video(tmp_path):
    """A function that writes 75 frames of a moving box in a container."""

    def write(name, fourcc):
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), 25, (160, 120))
        if not writer.isOpened():
            pytest.skip(f"this OpenCV cannot write {fourcc} into {path.suffix}")
        rng = np.random.default_rng(0)
        for number in range(75):
            frame = np.full((120, 160, 3), 60, np.uint8)
            frame[30:90, number : number + 40] = (90, 200, 40)
            writer.write(frame + rng.integers(0, 20, frame.shape, np.uint8))
        writer.release()
        return path

    return write


@pytest.mark.parametrize(
    ("name", "fourcc"), [("film.avi", "MJPG"), ("film.mp4", "mp4v"), ("film.mkv", "MJPG")]
)
def test_video_without_damage_is_read_without_a_word(long_video, name, fourcc):
    times, said = read_all(long_video(name, fourcc))
    assert len(times) == 75
    assert said == []


@pytest.mark.parametrize(("name", "fourcc"), [("film.avi", "MJPG"), ("film.mkv", "MJPG")])
def test_video_that_was_cut_off_says_how_many_frames_could_be_read(long_video, name, fourcc):
    path = long_video(name, fourcc)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    times, said = read_all(path)
    assert 40 < len(times) < 60
    assert len(said) == 1
    assert f"film{path.suffix} is damaged: {len(times)} of 75 frames could be read" in said[0]


def test_video_with_damage_in_the_middle_goes_on_behind_it(long_video):
    path = long_video("film.avi", "MJPG")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    times, said = read_all(path)
    assert 60 < len(times) < 75
    assert times[-1] == 74 / 25
    assert times == sorted(set(times))
    assert f"{len(times)} of 75 frames could be read" in said[0]


def test_video_whose_size_is_smaller_than_a_garment_is_refused(tmp_path):
    path = tmp_path / "tiny.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (16, 16))
    writer.write(np.zeros((16, 16, 3), np.uint8))
    writer.release()
    sentence = r"tiny\.avi is too small \(16 x 16 pixels, expected at least 28 x 28\)"
    with open_source(str(path)) as source, pytest.raises(SourceError, match=sentence):
        list(source)


@pytest.mark.parametrize("text", ["640", "0x0", "640x", "20x480", "640x99999", "axb", ""])
def test_parse_resolution_refuses_what_is_no_size(text):
    with pytest.raises(OptionError, match="--resolution"):
        parse_resolution(text)


def test_parse_resolution_reads_width_and_height():
    assert parse_resolution("1280x720") == (1280, 720)
    assert parse_resolution("1920X1080") == (1920, 1080)


@pytest.mark.parametrize(
    ("degrees", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))]
)
def test_turned_frame_has_its_first_pixel_clockwise_further_on(degrees, corner):
    bgr = np.zeros((48, 64, 3), np.uint8)
    bgr[0, 0] = 255
    turned = Frame(bgr, 0.0, alpha=bgr[..., 0]).turned(degrees)
    assert turned.bgr[corner].tolist() == [255] * 3
    assert turned.alpha[corner] == 255
    assert turned.bgr.shape == ((48, 64, 3) if degrees % 180 == 0 else (64, 48, 3))
