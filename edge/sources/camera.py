"""A camera that OpenCV can open, such as a USB webcam."""

from __future__ import annotations

import re

import numpy as np

from garmentlite.edge.errors import SourceError
from garmentlite.edge.opencv import load_silent_opencv
from garmentlite.edge.sources.interface import SourceSettings
from garmentlite.edge.sources.live import LiveSource


def from_text(text: str, settings: SourceSettings) -> Camera | None:
    """Makes the camera that a text such as "0" or "/dev/video0" names."""
    number = re.fullmatch(r"(?:/dev/video)?(\d{1,3})", text)
    return Camera(int(number[1]), settings.resolution_wh) if number else None


class Camera(LiveSource):
    """A camera, read through OpenCV."""

    def __init__(self, number: int, resolution_wh: tuple[int, int]) -> None:
        """Chooses a camera.

        Args:
            number: OpenCV's number of the camera; on Linux that of /dev/video.
            resolution_wh: Width and height in pixels to ask for; the camera may choose others.
        """
        self.number = number
        self.resolution_wh = resolution_wh

    def _open(self) -> None:
        cv2 = load_silent_opencv()
        self._capture = cv2.VideoCapture(self.number)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"Camera {self.number} cannot be opened; list the cameras with 'ls /dev/video*' and close "
                "other programs that use it (a Raspberry Pi's CSI camera needs picamera2 and cannot be "
                "opened in this way)."
            )
        width, height = self.resolution_wh
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)

    def _read(self) -> np.ndarray:
        was_read, bgr = self._capture.read()
        if not was_read:
            raise SourceError(f"Camera {self.number} was lost; check its cable and start again.")
        return bgr

    def _close(self) -> None:
        self._capture.release()
