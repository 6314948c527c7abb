"""A camera that OpenCV can open, such as a USB webcam."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from garmentlite.edge.errors import SourceError
from garmentlite.edge.opencv import load_silent_opencv
from garmentlite.edge.sources.interface import SourceSettings
from garmentlite.edge.sources.live import LiveSource
from garmentlite.edge.sources.v4l2 import number_of, video_device, why_not_opened

IS_LINUX = sys.platform.startswith("linux")


def from_text(text: str, settings: SourceSettings) -> LiveSource | None:
    """Makes the camera that a text such as "0", "/dev/video0" or "/dev/v4l/by-id/..." names."""
    if not re.fullmatch(r"\d{1,3}|/dev/video\d{1,3}|/dev/v4l/.+", text):
        return None
    return LiveSource(Camera(text, settings), allow_static=settings.allow_static)


class Camera:
    """A camera, read through OpenCV."""

    def __init__(self, text: str, settings: SourceSettings) -> None:
        """Chooses a camera.

        Args:
            text: Its number or, on Linux, its file.
            settings: Resolution and frame rate to ask for; the camera may choose others.
        """
        self.name = f"Camera {text}"
        self._settings = settings
        # A link in /dev/v4l/by-id leads elsewhere after the camera was plugged in again.
        self._path = Path(f"/dev/video{text}" if text.isdecimal() else text)

    def open(self) -> OpenCvCapture:
        """Opens the camera, with frames compressed as JPEG if it can.

        Over USB 2, uncompressed frames of more than 640x480 come at a low rate.

        Raises:
            SourceError: If it cannot be opened; the message says why, as far as that can be found out.
        """
        number, device = number_of(self._path), video_device(self._path)
        is_csi = device is not None and device.is_csi  # OpenCV would open it and wait for ever
        if number is not None and not is_csi:
            for asks_for_jpeg in (True, False):
                capture = self._opened(number, asks_for_jpeg)
                if capture.isOpened() and capture.read()[0]:
                    return OpenCvCapture(capture)
                capture.release()
        reason = why_not_opened(self._path) if IS_LINUX else None
        raise SourceError(
            f"{self.name} cannot be opened: "
            f"{reason or 'it gives no frames; end programs that may use it, and plug it in again'}."
        )

    def _opened(self, number: int, asks_for_jpeg: bool) -> Any:
        cv2 = load_silent_opencv()
        capture = cv2.VideoCapture(number, cv2.CAP_V4L2 if IS_LINUX else cv2.CAP_ANY)
        if asks_for_jpeg:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))
        width, height = self._settings.resolution_wh
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if self._settings.fps is not None:
            capture.set(cv2.CAP_PROP_FPS, self._settings.fps)
        return capture


class OpenCvCapture:
    """A capture of OpenCV that is open."""

    def __init__(self, capture: Any) -> None:
        """Takes over the capture."""
        self._capture = capture

    def read(self) -> object:
        """Waits for the next frame; None if OpenCV could not read it."""
        try:
            was_read, pixels = self._capture.read()
        except load_silent_opencv().error:  # a frame that OpenCV cannot convert
            return None
        return pixels if was_read else None

    def close(self) -> None:
        """Releases the camera."""
        self._capture.release()
