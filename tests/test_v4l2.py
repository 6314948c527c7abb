"""Tests of the list of cameras, with a driver that answers as the kernel's documentation says."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from garmentlite.edge.sources import camera_list, v4l2
from garmentlite.edge.sources.camera_list import camera_list as listed
from garmentlite.edge.sources.v4l2 import (
    number_of,
    processes_that_use,
    video_device,
    video_devices,
    why_not_opened,
)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="there is no V4L2 on this system"
)

CAPTURE, META, MEMORY_TO_MEMORY = 0x1, 0x0080_0000, 0x8000
FORMATS = {b"MJPG": [(1920, 1080), (640, 480)], b"YUYV": [(640, 480)]}


class FakeDriver:
    """Fills in the structures of VIDIOC_QUERYCAP, VIDIOC_ENUM_FMT and VIDIOC_ENUM_FRAMESIZES."""

    def __init__(self, name, driver="uvcvideo", capabilities=CAPTURE, formats=FORMATS):
        self.name, self.driver, self.capabilities = name, driver, capabilities
        self.formats = list(formats.items())

    def __call__(self, request, structure):
        kind, size = request & 0xFF, request >> 16 & 0x3FFF
        assert len(structure) == size
        if kind == 0:  # struct v4l2_capability
            # The whole device can also do something else; this node has capabilities of its own.
            return struct.pack(
                "=16s32s32sIII12x", self.driver.encode(), self.name.encode(), b"usb-1", 0x60C00,
                0x80000000 | CAPTURE | META, self.capabilities,
            )  # fmt: skip
        index = struct.unpack_from("=I", structure)[0]
        if kind == 2:  # struct v4l2_fmtdesc
            assert struct.unpack_from("=I", structure, 4)[0] == 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
            code = self.formats[index][0] if index < len(self.formats) else self._no_more()
            return struct.pack("=III32s4sI12x", index, 1, 0, b"a format", code, 0)
        assert kind == 74  # struct v4l2_frmsizeenum
        sizes = dict(self.formats)[structure[4:8]]
        width, height = sizes[index] if index < len(sizes) else self._no_more()
        return struct.pack("=I4sIII24x", index, structure[4:8], 1, width, height)

    @staticmethod
    def _no_more():
        raise OSError(22, "Invalid argument")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without cameras, and a function that connects one."""
    for name in ("dev/v4l/by-id", "sys", "proc"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(v4l2, "DEV", tmp_path / "dev")
    monkeypatch.setattr(v4l2, "SYSFS", tmp_path / "sys")
    drivers = {}

    def ioctl(descriptor, request, structure):
        return drivers[os.readlink(f"/proc/self/fd/{descriptor}")](request, structure)

    monkeypatch.setattr("fcntl.ioctl", ioctl)

    def connect(number, *arguments, **options):
        driver = FakeDriver(*arguments, **options)
        path = tmp_path / "dev" / f"video{number}"
        path.touch()
        (tmp_path / "sys" / path.name).mkdir()
        (tmp_path / "sys" / path.name / "name").write_text(driver.name + "\n")
        drivers[str(path)] = driver
        return path

    return connect


def test_video_devices_have_name_formats_and_lasting_name(machine):
    path = machine(2, "HD Pro Webcam C920")
    link = path.parent / "v4l/by-id/usb-046d_C920-video-index0"
    link.symlink_to(path)
    (device,) = video_devices()
    assert (device.path, device.by_id, device.name) == (path, link, "HD Pro Webcam C920")
    assert {one.fourcc: list(one.sizes_wh) for one in device.formats} == {
        "MJPG": [(1920, 1080), (640, 480)],
        "YUYV": [(640, 480)],
    }
    assert number_of(link) == 2


def test_video_devices_leaves_out_what_is_no_camera_and_sorts_by_number(machine):
    machine(10, "Second")
    machine(2, "First")
    machine(3, "First", capabilities=META)
    machine(4, "bcm2835-codec-decode", driver="bcm2835-codec")
    machine(5, "codec", capabilities=MEMORY_TO_MEMORY)
    assert [one.name for one in video_devices()] == ["First", "Second"]


def test_camera_list_says_how_to_name_each_camera(machine, monkeypatch):
    monkeypatch.setattr(camera_list, "csi_cameras", lambda: ["imx708", "ov5647"])
    path = machine(0, "C920")
    (path.parent / "v4l/by-id/usb-C920").symlink_to(path)
    connector = machine(1, "unicam-image", driver="unicam")
    assert listed().splitlines() == [
        f"--source {path}: C920",
        f"    --source {path.parent / 'v4l/by-id/usb-C920'} names it wherever it is plugged in",
        "    MJPG: 1920x1080 640x480",
        "    YUYV: 640x480",
        f"{connector}: the camera connector of a Raspberry Pi; use --source picamera",
        "--source picamera: imx708",
        "--source picamera:1: ov5647",
    ]


def test_camera_list_without_cameras_says_what_was_looked_for(machine):
    assert "no capture device in /sys/class/video4linux" in listed()
    assert "picamera2" in listed()


def test_camera_list_of_a_device_that_may_not_be_opened_says_how_to_get_the_right(
    machine, monkeypatch
):
    machine(0, "C920")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(v4l2.os, "open", refuse)
    assert "C920 - this user may not use it; run 'sudo usermod -aG video" in listed()


def test_why_not_opened_tells_the_reasons_apart(machine, monkeypatch, tmp_path):
    there = machine(0, "C920")
    assert why_not_opened(there) is None
    gone = why_not_opened(there.parent / "video7")
    assert "video7 does not exist" in gone
    assert f"there are {there}" in gone
    connector = machine(1, "unicam-image", driver="unicam")
    assert "--source picamera" in why_not_opened(connector)
    codec = machine(2, "codec", capabilities=META)
    assert "no camera" in why_not_opened(codec)
    monkeypatch.setattr(v4l2.os, "access", lambda *_: False)
    assert "usermod -aG video" in why_not_opened(there)


def test_why_not_opened_names_the_process_that_uses_the_camera(machine):
    there = machine(0, "C920")
    code = "import sys; file = open(sys.argv[1]); print('open', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(there)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout.readline() == b"open\n"
        assert f"in use by process {other.pid} (python" in why_not_opened(there)
        other.stdin.close()
    assert why_not_opened(there) is None


def test_processes_that_use_leaves_this_process_out(tmp_path):
    path = tmp_path / "file"
    with path.open("w"):
        assert processes_that_use(path) == []


def test_video_device_of_what_is_no_camera_is_none(tmp_path):
    assert video_device(tmp_path / "video9") is None
    assert video_device(Path("/dev/null")) is None
    assert number_of(Path("/dev/null")) is None
