"""Lists the cameras of this computer with their formats, for `cli webcam --list`."""

from __future__ import annotations

import sys

from garmentlite.edge.sources.picamera import csi_cameras
from garmentlite.edge.sources.v4l2 import JOIN_GROUP, VideoDevice, video_devices


def camera_list() -> str:
    """Describes each camera: how to name it, what it is called, and the formats that it has.

    Where there is none, the text says what was looked for.
    """
    lines = [line for device in video_devices() for line in _describe(device)]
    for number, model in enumerate(csi_cameras()):
        lines.append(f"--source picamera{f':{number}' if number else ''}: {model}")
    if lines:
        return "\n".join(lines)
    if not sys.platform.startswith("linux"):
        return "Cameras can be listed on Linux only; try --source 0, --source 1 and so on."
    return (
        "No camera was found: there is no capture device in /sys/class/video4linux, and picamera2 is not "
        "installed or knows no camera. Check the cable, or use a camera on the network with --source URL."
    )


def _describe(device: VideoDevice) -> list[str]:
    if not device.is_permitted:
        return [f"{device.path}: {device.name} - this user may not use it; {JOIN_GROUP}"]
    if device.is_csi:
        return [f"{device.path}: the camera connector of a Raspberry Pi; use --source picamera"]
    lines = [f"--source {device.path}: {device.name}"]
    if device.by_id:
        lines.append(f"    --source {device.by_id} names it wherever it is plugged in")
    for one in device.formats:
        sizes = " ".join(f"{width}x{height}" for width, height in one.sizes_wh)
        lines.append(f"    {one.fourcc}: {sizes or 'any size'}")
    return lines
