"""A video file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from garmentlite.edge.callbacks import Say
from garmentlite.edge.errors import SourceError
from garmentlite.edge.opencv import load_opencv, load_silent_opencv
from garmentlite.edge.pictures import is_too_small, too_small
from garmentlite.edge.sources.cut_off import is_avi, is_cut_off
from garmentlite.edge.sources.interface import Frame, SourceSettings
from garmentlite.edge.sources.pixels import as_bgr

FALLBACK_FPS = 25.0  # frames per second, for a video that does not state its own
# This version of OpenCV, which bookworm has, turns videos by 90 degrees where the file says 270, and by 270
# where it says 90.
TURNS_THE_WRONG_WAY = "4.6.0"
# How many frames are skipped, as a trial, after one that cannot be read. If none of the trials finds a frame,
# the video is over. A trial may take a second, so they are few.
_SKIPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def from_text(text: str, settings: SourceSettings) -> VideoFile | None:
    """Makes a video of the path of any file."""
    return VideoFile(Path(text), settings.warn) if os.path.isfile(text) else None


class VideoFile:
    """A video, of which every frame is given that can be read."""

    camera = None

    def __init__(self, path: Path, warn: Say) -> None:
        """Chooses the file.

        Args:
            path: The file.
            warn: Called with one sentence at the end if frames could not be read.
        """
        self.path = path
        self._warn = warn

    def __enter__(self) -> Self:
        """Opens the file; raises `SourceError` if it is not a video."""
        self._capture = load_silent_opencv().VideoCapture(str(self.path))
        if not self._capture.isOpened():
            self._capture.release()
            raise self._not_a_video()
        self._is_upside_down = self._opencv_turns_it_the_wrong_way()
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the file."""
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yields all frames that can be read; raises `SourceError` if there is none."""
        fps = self._frames_per_second()
        index = was_read = skipped = 0
        while True:
            bgr = self._read()
            if bgr is not None:
                yield Frame(bgr, index / fps, duration=1 / fps)
                index, was_read = index + 1, was_read + 1
                continue
            after = self._skip_damage(index)
            if after is None:
                break
            skipped, index = skipped + after - index, after
        if was_read == 0:
            raise self._not_a_video()
        stated = max(self._stated_frames(), was_read + skipped)
        if skipped or is_cut_off(self.path) or (is_avi(self.path) and was_read < stated):
            self._warn(
                f"{self.path} is damaged: {was_read} of {stated} frames could be read; copy the file again "
                "or repair it, for example with 'ffmpeg -i FILE repaired.mp4'."
            )

    def _read(self) -> np.ndarray | None:
        """Reads the next frame: uint8, shape (H, W, 3); None at the end or before damage."""
        try:
            was_read, pixels = self._capture.read()
        except load_opencv().error:  # a frame that OpenCV cannot convert
            return None
        bgr = as_bgr(pixels) if was_read else None
        if bgr is not None and self._is_upside_down:
            return np.ascontiguousarray(bgr[::-1, ::-1])
        return bgr

    def _opencv_turns_it_the_wrong_way(self) -> bool:
        """Tells whether frames come upside down: phones store upright videos lying on their side."""
        cv2 = load_opencv()
        turned = self._capture.get(cv2.CAP_PROP_ORIENTATION_META)
        return cv2.__version__ == TURNS_THE_WRONG_WAY and turned in (90, 270)

    def _skip_damage(self, index: int) -> int | None:
        """Goes to the next frame that can be read after frame `index`; None if there is none."""
        cv2 = load_opencv()
        for after in (index + skip for skip in _SKIPS if index + skip < self._stated_frames()):
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, after)
            # Where nothing can be decoded, OpenCV stays before the damage.
            if self._capture.get(cv2.CAP_PROP_POS_FRAMES) == after and self._capture.grab():
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, after)
                return after
        return None

    def _stated_frames(self) -> int:
        """Returns how many frames the file states; 0 if it states no number."""
        stated = self._capture.get(load_opencv().CAP_PROP_FRAME_COUNT)
        return int(stated) if math.isfinite(stated) and stated > 0 else 0

    def _frames_per_second(self) -> float:
        stated = self._capture.get(load_opencv().CAP_PROP_FPS)
        return stated if math.isfinite(stated) and stated > 0 else FALLBACK_FPS

    def _not_a_video(self) -> SourceError:
        cv2 = load_opencv()
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if min(width, height) > 0 and is_too_small(width, height):
            return SourceError(too_small(self.path, width, height))
        return SourceError(
            f"{self.path} is not a video that OpenCV can read; convert it, for example with "
            "'ffmpeg -i FILE out.mp4', or name a folder of pictures."
        )
