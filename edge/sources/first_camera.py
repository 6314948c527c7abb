"""The first camera that is found, for a user who does not know what it is called."""

from __future__ import annotations

from garmentlite.edge.sources import camera, picamera
from garmentlite.edge.sources.interface import SourceSettings
from garmentlite.edge.sources.live import LiveSource
from garmentlite.edge.sources.v4l2 import video_devices

FIRST_CAMERA = "auto"


def from_text(text: str, settings: SourceSettings) -> LiveSource | None:
    """Makes the first camera of OpenCV or, if there is none, that at the connector of a Raspberry Pi.

    On a Raspberry Pi, the connector has the first numbers even if nothing is connected, so that a USB camera
    is not always number 0.
    """
    if text != FIRST_CAMERA:
        return None
    for device in video_devices():
        if not device.is_csi:
            return camera.from_text(str(device.path), settings)
    if picamera.csi_cameras():
        return picamera.from_text("picamera", settings)
    return camera.from_text("0", settings)
