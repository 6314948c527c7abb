"""The cameras that Linux knows, with their names and formats, and why one of them cannot be opened."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/class/video4linux")
DEV = Path("/dev")
PROC = Path("/proc")
# Drivers of a Raspberry Pi's camera connector; only libcamera can use what they deliver.
CSI_DRIVERS = ("unicam", "rp1-cfe")
# What a user does who may not open a camera; it ends a sentence.
JOIN_GROUP = "run 'sudo usermod -aG video \"$USER\"', then log out and in again"
# Parts of a Raspberry Pi that capture video but are no cameras.
_NO_CAMERAS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc-dec", "rpivid")

# Requests and structures of linux/videodev2.h.
_QUERYCAP = 0x80685600  # struct v4l2_capability, 104 bytes
_ENUM_FMT = 0xC0405602  # struct v4l2_fmtdesc, 64 bytes
_ENUM_FRAMESIZES = 0xC02C564A  # struct v4l2_frmsizeenum, 44 bytes
_CAPTURE, _CAPTURE_MPLANE = 0x1, 0x1000  # capabilities
_BUFFER_TYPES = {_CAPTURE: 1, _CAPTURE_MPLANE: 9}  # type of the buffers for a capability
_DEVICE_CAPS = 0x80000000  # whether the capabilities of this node are stated by themselves
_DISCRETE = 1  # type of a frame size that is one size and no range


@dataclass(frozen=True)
class PixelFormat:
    """A form in which a camera can deliver frames.

    Attributes:
        fourcc: Its four letters, such as "MJPG" or "YUYV".
        sizes_wh: Widths and heights in pixels; empty if the camera states a range.
    """

    fourcc: str
    sizes_wh: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class VideoDevice:
    """A capture device of Linux.

    Attributes:
        path: Its file, such as /dev/video0.
        by_id: The name in /dev/v4l/by-id that stays the same when it is plugged in elsewhere; None without.
        name: What the driver calls it.
        driver: Name of the driver; empty if the device cannot be opened.
        formats: What it can deliver.
        is_permitted: Whether this user may open it.
    """

    path: Path
    by_id: Path | None
    name: str
    driver: str
    formats: tuple[PixelFormat, ...]
    is_permitted: bool = True

    @property
    def is_csi(self) -> bool:
        """Whether it is the camera connector of a Raspberry Pi, which OpenCV cannot read."""
        return self.driver in CSI_DRIVERS


def video_devices() -> list[VideoDevice]:
    """Lists the capture devices in the order of their numbers; codecs and metadata nodes are left out."""
    names = sorted(path.name for path in SYSFS.glob("video*") if path.name[5:].isdecimal())
    found = (video_device(DEV / name) for name in sorted(names, key=lambda name: int(name[5:])))
    return [one for one in found if one is not None]


def video_device(path: Path) -> VideoDevice | None:
    """Asks a device what it is; None if it is no camera or does not exist."""
    path = Path(os.path.realpath(path))
    if not path.exists():
        return None
    by_id = next(
        (link for link in sorted((DEV / "v4l/by-id").glob("*")) if link.resolve() == path), None
    )
    try:
        with _opened(path) as descriptor:
            answer = _ask(descriptor, _QUERYCAP, bytes(104))
            driver, card = (_text(answer[at : at + size]) for at, size in ((0, 16), (16, 32)))
            all_capabilities, own = struct.unpack_from("=II", answer, 84)
            capabilities = own if all_capabilities & _DEVICE_CAPS else all_capabilities
            kind = next((one for one in _BUFFER_TYPES if capabilities & one), None)
            if kind is None or driver in _NO_CAMERAS:
                return None
            formats = tuple(_formats(descriptor, _BUFFER_TYPES[kind]))
            return VideoDevice(path, by_id, card, driver, formats)
    except PermissionError:
        name = path.name
        with suppress(OSError):
            stored = (SYSFS / path.name / "name").read_text(encoding="utf-8", errors="replace")
            name = stored.strip()
        return VideoDevice(path, by_id, name, "", (), is_permitted=False)
    except OSError:
        return None


def why_not_opened(path: Path) -> str | None:
    """Finds out why OpenCV could not open or read a camera.

    Args:
        path: Its file, such as /dev/video0.

    Returns:
        Half a sentence with the reason and what to do; None if there is no reason to be seen.
    """
    if not path.exists():
        others = [str(one.path) for one in video_devices()]
        there = f"there are {', '.join(others)}" if others else "no camera is connected"
        return f"{path} does not exist ({there}); check the cable, and see 'cli webcam --list'"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"this user may not use it; {JOIN_GROUP}"
    device = video_device(path)
    if device is None:
        return "it is no camera; see 'cli webcam --list'"
    if device.is_csi:
        return "it is the camera connector of a Raspberry Pi; use --source picamera"
    holders = processes_that_use(path)
    if holders:
        return f"it is in use by {', '.join(holders)}; end that program first"
    return None


def processes_that_use(path: Path) -> list[str]:
    """Lists other processes that have a file open, as far as this user may see them."""
    target = os.path.realpath(path)
    found = []
    for folder in sorted(PROC.glob("[0-9]*"), key=lambda folder: int(folder.name)):
        if folder.name == str(os.getpid()):
            continue
        with suppress(OSError):  # another user's process, or one that has just ended
            if any(os.readlink(link) == target for link in (folder / "fd").iterdir()):
                command = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.append(f"process {folder.name} ({command})")
    return found


def number_of(path: Path) -> int | None:
    """Returns N if a path is /dev/videoN or a link to it; None otherwise."""
    number = re.fullmatch(r"video(\d+)", Path(os.path.realpath(path)).name)
    return int(number[1]) if number else None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _ask(descriptor: int, request: int, structure: bytes) -> bytes:
    """Sends a request to a driver, which fills in the structure."""
    if sys.platform == "win32":
        raise OSError("There is no V4L2 on this system.")
    from fcntl import ioctl

    return ioctl(descriptor, request, structure)


def _formats(descriptor: int, buffer_type: int) -> Iterator[PixelFormat]:
    for index in range(64):
        try:
            asked = struct.pack("=II", index, buffer_type).ljust(64, b"\0")
            answer = _ask(descriptor, _ENUM_FMT, asked)
        except OSError:  # there are no more
            return
        code = answer[44:48]
        yield PixelFormat(_text(code), tuple(_sizes(descriptor, code)))


def _sizes(descriptor: int, code: bytes) -> Iterator[tuple[int, int]]:
    for index in range(64):
        try:
            asked = (struct.pack("=I", index) + code).ljust(44, b"\0")
            answer = _ask(descriptor, _ENUM_FRAMESIZES, asked)
        except OSError:  # there are no more
            return
        kind, width, height = struct.unpack_from("=III", answer, 8)
        if kind != _DISCRETE:
            return
        yield width, height


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace").strip()
