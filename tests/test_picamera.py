"""Tests of the camera connector of a Raspberry Pi, with a picamera2 that behaves as its manual says."""

import sys
import threading
import time
import types

import numpy as np
import pytest

from garmentlite.edge.errors import MissingPartError, SourceError
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.sources.picamera import csi_cameras
from garmentlite.edge.sources.registry import open_source

RED_RGB = (200, 30, 20)


class FakePicamera2:
    """picamera2.Picamera2: its "RGB888" lies in memory as B, G, R."""

    cameras = ({"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/soc/i2c0mux"},)
    in_use = False
    made = None
    frames_until_lost = None

    @staticmethod
    def global_camera_info():
        return FakePicamera2.cameras

    def __init__(self, camera_num=0):
        if FakePicamera2.in_use:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.camera_num, self.calls, self.config = camera_num, [], None
        self.left = FakePicamera2.frames_until_lost
        FakePicamera2.made.append(self)

    def create_video_configuration(self, main, controls):
        return {"main": main, "controls": controls}

    def configure(self, config):
        self.config = config
        self.calls.append("configure")

    def start(self):
        self.calls.append("start")

    def capture_array(self, name="main"):
        time.sleep(0.01)
        assert self.calls == ["configure", "start"], "read while it does not run"
        if self.left == 0:
            raise RuntimeError("Camera frontend has timed out")
        self.left = None if self.left is None else self.left - 1
        assert self.config["main"]["format"] == "RGB888"
        width, height = self.config[name]["size"]
        noise = np.random.default_rng().integers(0, 4, (height, width, 1))
        return (np.array(RED_RGB[::-1]) + noise).astype(np.uint8)

    def stop(self):
        self.calls.append("stop")

    def close(self):
        self.calls.append("close")


@pytest.fixture
def picamera2(monkeypatch):
    module = types.ModuleType("picamera2")
    module.Picamera2 = FakePicamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)
    for name in ("cameras", "in_use", "frames_until_lost"):
        monkeypatch.setattr(FakePicamera2, name, getattr(FakePicamera2, name))
    monkeypatch.setattr(FakePicamera2, "made", [])
    return FakePicamera2


def wait_for_camera_threads():
    """Waits for the threads that read cameras; closing a source does not wait for a busy machine."""
    for thread in threading.enumerate():
        if thread.name == "camera":
            thread.join(30)


def first_frame(source):
    return next(item for item in source if isinstance(item, Frame))


def test_picamera_frames_are_bgr_of_the_size_that_was_asked_for(picamera2):
    with open_source("picamera", resolution_wh=(320, 240), fps=20) as source:
        frame = first_frame(source)
    assert frame.bgr.shape == (240, 320, 3)
    blue, green, red = frame.bgr[100, 100]
    assert red > 150 > 60 > green > blue
    (camera,) = picamera2.made
    wait_for_camera_threads()
    assert camera.config["controls"] == {"FrameRate": 20}
    assert camera.calls == ["configure", "start", "stop", "close"]


def test_picamera_number_chooses_the_camera(picamera2):
    picamera2.cameras = [{"Model": "imx708"}, {"Model": "ov5647"}]
    assert csi_cameras() == ["imx708", "ov5647"]
    with open_source("picamera:1"):
        assert picamera2.made[0].camera_num == 1


def test_picamera_without_a_camera_says_to_check_the_cable(picamera2):
    picamera2.cameras = []
    with pytest.raises(SourceError, match="ribbon cable"), open_source("picamera"):
        pass


def test_picamera_in_use_says_so(picamera2):
    picamera2.in_use = True
    with pytest.raises(SourceError, match="end the program that uses it"), open_source("picamera"):
        pass


def test_picamera_that_times_out_is_opened_again(picamera2):
    picamera2.frames_until_lost = 100
    with open_source("picamera", resolution_wh=(64, 48)) as source:
        first_frame(source)
        next(item for item in source if source.camera.reconnects == 1)
    assert len(picamera2.made) == 2
    wait_for_camera_threads()
    assert all(one.calls[-2:] == ["stop", "close"] for one in picamera2.made)


def test_picamera_without_picamera2_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    assert csi_cameras() == []
    with (
        pytest.raises(MissingPartError, match="apt install python3-picamera2"),
        open_source("picamera"),
    ):
        pass
