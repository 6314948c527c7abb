"""A video file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from garmentlite.edge.errors import SourceError
from garmentlite.edge.opencv import load_opencv, load_silent_opencv
from garmentlite.edge.sources.interface import Frame, SourceSettings

FALLBACK_FPS = 25.0  # frames per second, for a video that does not state its own


def from_text(text: str, settings: SourceSettings) -> VideoFile | None:
    """Makes a video of the path of any file."""
    return VideoFile(Path(text)) if os.path.isfile(text) else None


class VideoFile:
    """A video, of which every frame is given."""

    is_live = False

    def __init__(self, path: Path) -> None:
        """Chooses the file."""
        self.path = path

    def __enter__(self) -> Self:
        """Opens the file; raises `SourceError` if it is not a video."""
        self._capture = load_silent_opencv().VideoCapture(str(self.path))
        if not self._capture.isOpened():
            self._capture.release()
            raise self._not_a_video()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yields all frames; raises `SourceError` if the first one cannot be read."""
        fps = self._frames_per_second()
        for index in count():
            was_read, bgr = self._capture.read()
            if not was_read and index == 0:
                raise self._not_a_video()
            if not was_read:
                return
            yield Frame(bgr, index / fps, duration=1 / fps)

    def _frames_per_second(self) -> float:
        stated = self._capture.get(load_opencv().CAP_PROP_FPS)
        return stated if math.isfinite(stated) and stated > 0 else FALLBACK_FPS

    def _not_a_video(self) -> SourceError:
        return SourceError(
            f"{self.path} is not a video that OpenCV can read; convert it, for example with "
            "'ffmpeg -i FILE out.mp4', or name a folder of pictures."
        )
