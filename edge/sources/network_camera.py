"""A camera on the network, by its URL."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from garmentlite.edge.errors import SourceError
from garmentlite.edge.opencv import load_silent_opencv
from garmentlite.edge.redaction import redacted
from garmentlite.edge.sources.camera import OpenCvCapture
from garmentlite.edge.sources.interface import SourceSettings
from garmentlite.edge.sources.live import LiveSource

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "tcp", "udp")
# Milliseconds. The first is shorter than the time that a camera has for its first frame, and the second is
# longer than the time after which a silent camera is given up.
_OPEN_TIMEOUT, _READ_TIMEOUT = 5000, 4000
_REASON_SECONDS = 4.0  # time limit for finding out why a URL cannot be opened
_WARNINGS = "24"  # level of FFmpeg's messages (AV_LOG_WARNING)
# Tries to open the URL on standard input; a command line would show it to every user.
_TRIAL = "import cv2, sys; cv2.VideoCapture(sys.stdin.read(), cv2.CAP_FFMPEG)"


def from_text(text: str, settings: SourceSettings) -> LiveSource | None:
    """Makes the camera of a URL such as rtsp://camera/stream or http://camera/video.mjpg."""
    if text.partition("://")[0].lower() not in SCHEMES or "://" not in text:
        return None
    return LiveSource(NetworkCamera(text), allow_static=settings.allow_static)


class NetworkCamera:
    """A camera that sends RTSP, MJPEG over HTTP, or anything else that FFmpeg reads."""

    def __init__(self, url: str) -> None:
        """Chooses the address, which may hold user name and password."""
        self.name = f"Camera {redacted(url)}"
        self._url = url
        self._is_http = url.lower().startswith("http")
        self._was_open = False

    def open(self) -> OpenCvCapture:
        """Connects to the camera.

        Raises:
            SourceError: If that fails. If it has never succeeded, the message says why.
        """
        cv2 = load_silent_opencv()
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            _OPEN_TIMEOUT,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            _READ_TIMEOUT,
        ]
        capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, limits)
        if capture.isOpened():
            opened = OpenCvCapture(capture)
            if not self._was_open and self._is_http and _ends_after_one_frame(opened):
                opened.close()
                raise SourceError(
                    f"{self.name} sends a single picture and no stream; give the address of the camera's "
                    "video, or save the picture and name its file."
                )
            self._was_open = True
            return opened
        capture.release()
        reason = "" if self._was_open else why_not_opened(self._url)
        raise SourceError(
            f"{self.name} cannot be opened{f' ({reason})' if reason else ''}; check the address, the user "
            "name and the password."
        )


def _ends_after_one_frame(capture: OpenCvCapture) -> bool:
    """Reads two frames. FFmpeg opens a picture as a video, which would seem to be lost again and again."""
    return capture.read() is not None and capture.read() is None


def why_not_opened(url: str) -> str:
    """Tries a URL in another process, where FFmpeg may write its messages.

    Returns:
        FFmpeg's last message without passwords; empty if it says nothing.
    """
    environment = {**os.environ, "OPENCV_FFMPEG_LOGLEVEL": _WARNINGS, "OPENCV_LOG_LEVEL": "SILENT"}
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL],
            input=url,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_REASON_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it does not answer"
    # OpenCV 5 writes "[OPENCV:FFMPEG:16] Connection to ... failed", and OpenCV 4 "[tcp @ 0x55...] ...".
    said = re.findall(r"^\[[^\]]*(?:FFMPEG| @ 0x)[^\]]*\] (.+)$", trial.stdout, re.MULTILINE)
    return redacted(said[-1].strip()) if said else ""
