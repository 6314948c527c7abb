"""Finds the source that a text means. A new source is a class in a module of its own, and one line here."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from garmentlite.edge.callbacks import Say
from garmentlite.edge.errors import SourceError
from garmentlite.edge.redaction import redacted
from garmentlite.edge.sources import (
    camera,
    first_camera,
    moving_pattern,
    network_camera,
    picamera,
    pictures,
    standard_input,
    video,
)
from garmentlite.edge.sources.interface import DEFAULT_RESOLUTION_WH, Source, SourceSettings

# What a user can name, and a function that makes the source if the text names one. The first match wins.
SOURCES: tuple[tuple[str, Callable[[str, SourceSettings], Source | None]], ...] = (
    ("'test-pattern'", moving_pattern.from_text),
    ("'auto' for the first camera", first_camera.from_text),
    ("a camera by its number or file (0, /dev/video0)", camera.from_text),
    ("'picamera'", picamera.from_text),
    ("a URL (rtsp://..., http://...)", network_camera.from_text),
    ("'-' for MJPEG on standard input", standard_input.from_text),
    ("an existing picture, folder of pictures or pattern ('*.jpg')", pictures.from_text),
    ("an existing video file", video.from_text),
)


def open_source(
    text: str,
    *,
    resolution_wh: tuple[int, int] = DEFAULT_RESOLUTION_WH,
    fps: float | None = None,
    allow_static: bool = False,
    warn: Say = warnings.warn,
    note: Say = warnings.warn,
) -> Source:
    """Makes the source that a text means; its `with` block opens it.

    Args:
        text: "auto" for the first camera that is found; a camera by its number ("0"), its file ("/dev/video0"
            or a link in "/dev/v4l/by-id") or its URL; "picamera" for the camera connector of a Raspberry Pi;
            "-" for MJPEG on standard input; a video file, a folder of pictures, a pattern or a single
            picture; or "test-pattern".
        resolution_wh: Width and height in pixels that a camera is asked for and the test pattern has.
        fps: Frames per second that a camera is asked for; None for its default.
        allow_static: Whether a camera may repeat a frame. Without it, a camera that repeats one frame for 3
            seconds counts as frozen and is opened again.
        warn: Called with one sentence for each picture or video that cannot be read as a whole.
        note: Called with one sentence about the files of a folder that are no pictures.

    Raises:
        SourceError: If the text means none of them.
    """
    settings = SourceSettings(warn, note, resolution_wh, fps, allow_static)
    for _, from_text in SOURCES:
        source = from_text(text, settings)
        if source is not None:
            return source
    *others, last = (what for what, _ in SOURCES)
    raise SourceError(f"There is no source '{redacted(text)}'; name {', '.join(others)} or {last}.")
