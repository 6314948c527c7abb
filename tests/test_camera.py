"""Tests of cameras of OpenCV, with a `cv2.VideoCapture` that answers as V4L2 cameras do."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources import camera, first_camera, picamera
from garmentlite.edge.sources.camera import Camera
from garmentlite.edge.sources.first_camera import from_text as first
from garmentlite.edge.sources.interface import SourceSettings
from garmentlite.edge.sources.v4l2 import VideoDevice

JPEG = cv2.VideoWriter_fourcc(*"MJPG")
SETTINGS = SourceSettings(print, print, (1280, 720), 15.0)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no V4L2 here")


class FakeCapture:
    """A camera whose frames can be read in some formats only."""

    made: tuple = ()

    def __init__(self, number, backend):
        self.number, self.asked, self.is_released = number, {}, False
        FakeCapture.made = (*FakeCapture.made, self)

    reads_jpeg = reads_other = opens = True
    error = None

    def isOpened(self):  # noqa: N802
        return self.opens

    def set(self, name, value):
        self.asked[name] = value
        return True

    def read(self):
        if self.error:
            raise self.error
        reads = self.reads_jpeg if self.asked.get(cv2.CAP_PROP_FOURCC) == JPEG else self.reads_other
        return (True, np.zeros((720, 1280, 3), np.uint8)) if reads else (False, None)

    def release(self):
        self.is_released = True


@pytest.fixture
def opencv(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    for name in ("reads_jpeg", "reads_other", "opens", "error"):
        monkeypatch.setattr(FakeCapture, name, getattr(FakeCapture, name))
    monkeypatch.setattr(FakeCapture, "made", ())
    monkeypatch.setattr(camera, "video_device", lambda path: None)
    monkeypatch.setattr(camera, "why_not_opened", lambda path: None)
    return FakeCapture


def test_camera_asks_for_jpeg_first_then_for_size_and_rate(opencv):
    Camera("3", SETTINGS).open()
    (made,) = opencv.made
    assert made.number == 3
    assert list(made.asked.items()) == [
        (cv2.CAP_PROP_FOURCC, JPEG),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 15.0),
    ]


def test_camera_whose_jpeg_cannot_be_read_is_asked_again_without(opencv):
    opencv.reads_jpeg = False
    Camera("0", SETTINGS).open()
    first_made, second = opencv.made
    assert first_made.is_released
    assert cv2.CAP_PROP_FOURCC not in second.asked
    assert not second.is_released


def test_camera_that_gives_no_frames_is_released_and_says_what_to_do(opencv):
    opencv.reads_jpeg = opencv.reads_other = False
    with pytest.raises(
        SourceError, match="Camera 0 cannot be opened: it gives no frames; end programs"
    ):
        Camera("0", SETTINGS).open()
    assert all(made.is_released for made in opencv.made)


@linux
def test_camera_that_does_not_open_says_why(opencv, monkeypatch):
    opencv.opens = False
    monkeypatch.setattr(
        camera, "why_not_opened", lambda path: f"{path} is in use by process 7 (cheese)"
    )
    with pytest.raises(SourceError, match=r"/dev/video0 is in use by process 7 \(cheese\)\.$"):
        Camera("0", SETTINGS).open()


@linux
def test_camera_at_the_connector_of_a_raspberry_pi_is_not_opened_by_opencv(
    opencv, monkeypatch, tmp_path
):
    connector = VideoDevice(tmp_path / "video0", None, "unicam", "unicam", ())
    monkeypatch.setattr(camera, "video_device", lambda path: connector)
    monkeypatch.setattr(camera, "why_not_opened", lambda path: "use --source picamera")
    with pytest.raises(SourceError, match="use --source picamera"):
        Camera("0", SETTINGS).open()
    assert opencv.made == ()


@linux
def test_camera_by_a_link_that_is_gone_says_so():
    with pytest.raises(SourceError, match="/dev/v4l/by-id/usb-gone does not exist"):
        Camera("/dev/v4l/by-id/usb-gone", SETTINGS).open()


def test_camera_frame_that_opencv_cannot_convert_is_a_bad_frame(opencv):
    capture = Camera("0", SETTINGS).open()
    opencv.error = cv2.error("conversion failed")
    assert capture.read() is None
    opencv.error = None
    assert capture.read().shape == (720, 1280, 3)
    capture.close()
    assert opencv.made[0].is_released


@pytest.mark.parametrize(
    ("devices", "connected", "expected"),
    [
        pytest.param([("/dev/video8", "uvcvideo")], ["imx708"], "Camera /dev/video8", id="USB"),
        pytest.param(
            [("/dev/video0", "rp1-cfe"), ("/dev/video9", "uvcvideo")], [], "Camera /dev/video9",
            id="USB on a Pi",
        ),
        pytest.param([("/dev/video0", "unicam")], ["imx708"], "Camera picamera:0", id="connector"),
        pytest.param([], [], "Camera 0", id="none"),
    ],
)  # fmt: skip
def test_auto_takes_the_first_camera_that_opencv_or_picamera2_can_read(
    monkeypatch, devices, connected, expected
):
    found = [VideoDevice(Path(path), None, "", driver, ()) for path, driver in devices]
    monkeypatch.setattr(first_camera, "video_devices", lambda: found)
    monkeypatch.setattr(picamera, "csi_cameras", lambda: connected)
    assert expected in first("auto", SETTINGS).camera.message
