"""Finds the source that a text means. A new source is a class in a module of its own, and one line here."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources import camera, moving_pattern, pictures, video
from garmentlite.edge.sources.interface import Source, SourceSettings

# What a user can name, and a function that makes the source if the text names one. The first match wins.
SOURCES: tuple[tuple[str, Callable[[str, SourceSettings], Source | None]], ...] = (
    ("'test-pattern'", moving_pattern.from_text),
    ("a camera by its number (0)", camera.from_text),
    ("an existing picture or folder of pictures", pictures.from_text),
    ("an existing video file", video.from_text),
)


def open_source(
    text: str,
    *,
    resolution_wh: tuple[int, int] = (640, 480),
    warn: Callable[[str], None] = warnings.warn,
) -> Source:
    """Makes the source that a text means; its `with` block opens it.

    Args:
        text: The number of a camera ("0" or "/dev/video0"), a video file, a folder of pictures, a single
            picture, or "test-pattern".
        resolution_wh: Width and height in pixels that a camera is asked for and the test pattern has.
        warn: Called with one sentence for each picture of a folder that cannot be read.

    Raises:
        SourceError: If the text means none of them.
    """
    settings = SourceSettings(resolution_wh, warn)
    for _, from_text in SOURCES:
        source = from_text(text, settings)
        if source is not None:
            return source
    *others, last = (what for what, _ in SOURCES)
    raise SourceError(f"There is no source '{text}'; name {', '.join(others)} or {last}.")
