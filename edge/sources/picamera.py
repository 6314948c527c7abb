"""A camera at the connector of a Raspberry Pi, read through picamera2."""

from __future__ import annotations

import re
from typing import Any

from garmentlite.edge.errors import MissingPartError, SourceError
from garmentlite.edge.sources.interface import SourceSettings
from garmentlite.edge.sources.live import LiveSource


def from_text(text: str, settings: SourceSettings) -> LiveSource | None:
    """Makes the camera that "picamera" or, for the second one, "picamera:1" names."""
    number = re.fullmatch(r"picamera(?::(\d))?", text)
    if not number:
        return None
    return LiveSource(Picamera(int(number[1] or 0), settings), allow_static=settings.allow_static)


def csi_cameras() -> list[str]:
    """Lists the models of the connected cameras; empty where picamera2 is missing."""
    try:
        return [str(info.get("Model", "")) for info in _load().global_camera_info()]
    except (MissingPartError, RuntimeError):
        return []


class Picamera:
    """A camera that libcamera knows, such as a Raspberry Pi Camera Module."""

    def __init__(self, number: int, settings: SourceSettings) -> None:
        """Chooses a camera.

        Args:
            number: Its place in the list of 'rpicam-hello --list-cameras'.
            settings: Resolution and frame rate.
        """
        self.name = f"Camera picamera:{number}"
        self._number = number
        self._settings = settings

    def open(self) -> PicameraCapture:
        """Opens the camera.

        Raises:
            MissingPartError: If picamera2 is not installed.
            SourceError: If there is no such camera, or another program uses it.
        """
        picamera2 = _load()
        cameras = picamera2.global_camera_info()
        if self._number >= len(cameras):
            raise SourceError(
                f"{self.name} is not there (libcamera finds {len(cameras)} cameras); check the ribbon "
                "cable, and see 'rpicam-hello --list-cameras'."
            )
        try:
            camera = picamera2(self._number)
        except RuntimeError as error:
            raise self._in_use(error) from error
        try:
            # RGB888 lies in memory as B, G, R (table in the manual of picamera2, "Pixel formats").
            controls = {} if self._settings.fps is None else {"FrameRate": self._settings.fps}
            camera.configure(
                camera.create_video_configuration(
                    main={"size": self._settings.resolution_wh, "format": "RGB888"},
                    controls=controls,
                )
            )
            camera.start()
        except RuntimeError as error:
            camera.close()
            raise self._in_use(error) from error
        return PicameraCapture(camera, self.name)

    def _in_use(self, error: RuntimeError) -> SourceError:
        return SourceError(
            f"{self.name} cannot be opened ({error}); end the program that uses it, such as "
            "rpicam-vid."
        )


class PicameraCapture:
    """A camera of picamera2 that runs."""

    def __init__(self, camera: Any, name: str) -> None:
        """Takes over the camera."""
        self._camera = camera
        self._name = name

    def read(self) -> object:
        """Waits for the next frame; raises `SourceError` if picamera2 has lost the camera."""
        try:
            return self._camera.capture_array("main")
        except RuntimeError as error:
            raise SourceError(
                f"{self._name} was lost ({error}); check the ribbon cable."
            ) from error

    def close(self) -> None:
        """Stops and releases the camera."""
        self._camera.stop()
        self._camera.close()


def _load() -> Any:
    """Imports the class `Picamera2`, which comes with Raspberry Pi OS."""
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise MissingPartError(
            f"picamera2 cannot be loaded ({error}); run 'sudo apt install python3-picamera2', and make the "
            "environment with 'python3 -m venv --system-site-packages'."
        ) from error
    return Picamera2
