"""The cameras: which there are, whether this user may open them, and which program uses them.

The function with a leading underscore runs in a child process.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import find_spec

from garmentlite.edge.doctor.child import found_by_child
from garmentlite.edge.doctor.finding import Finding, ok, problem
from garmentlite.edge.sources.v4l2 import (
    JOIN_GROUP,
    VideoDevice,
    processes_that_use,
    video_devices,
)

_GROUP = "video"


def find_cameras() -> Finding:
    """Lists the cameras with their formats and the programs that use them."""
    if not sys.platform.startswith("linux"):
        return ok(
            "not listed, because this is not Linux; 'cli webcam --source 0' tries the first one"
        )
    devices = video_devices()
    found = [_in_words(device) for device in devices]
    # picamera2 is asked in a child process, because it imports NumPy.
    by_libcamera = found_by_child(__name__, "_csi_cameras") if find_spec("picamera2") else ok("")
    if by_libcamera.sentence:
        found.append(by_libcamera.sentence)
    if (
        by_libcamera.passed
        and all(device.is_csi for device in devices)
        and not by_libcamera.sentence
    ):
        found.append(
            "there is no camera that can be used; plug in a USB camera, which 'lsusb' must list, or run "
            "'sudo apt install python3-picamera2' for one at the board's connector; 'cli webcam --source "
            "test-pattern' needs no camera."
        )
        return problem("; ".join(found))
    return Finding(by_libcamera.passed, "; ".join(found))


def find_groups() -> Finding:
    """Looks whether this user may open the cameras that there are."""
    locked = [str(device.path) for device in video_devices() if not device.is_permitted]
    if locked:
        return problem(f"this user may not open {', '.join(locked)}; {JOIN_GROUP}.")
    return ok(f"this user {'is' if _is_member() else 'need not be'} in the group {_GROUP}")


def _in_words(device: VideoDevice) -> str:
    formats = ", ".join(one.fourcc for one in device.formats)
    holders = ", ".join(processes_that_use(device.path))
    return (
        f"{device.path} {device.name}"
        + (f" ({formats})" if formats else "")
        + (f", in use by {holders}" if holders else "")
    )


def _is_member() -> bool:
    if sys.platform == "win32":
        return False
    import grp

    with suppress(KeyError):  # a system without the group
        return grp.getgrnam(_GROUP).gr_gid in os.getgroups()
    return False


def _csi_cameras() -> str:
    from garmentlite.edge.sources.picamera import csi_cameras

    return ", ".join(f"--source picamera:{n} {name}" for n, name in enumerate(csi_cameras()))
