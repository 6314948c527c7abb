"""Decides which frames of a camera are answered, and when the camera is opened again.

It starts no thread and reads no clock: the caller says what happened and when.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from garmentlite.edge.camera_state import CameraState, CameraStatus

OPENING_SECONDS = 10.0  # time limit for the first frame after a camera is opened
STALL_SECONDS = 3.0  # a camera that gives no new frame for so long is opened again
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before a camera is opened again; doubled each time
SETTLING_SECONDS = 1.5  # longest time for which a camera may adjust its exposure
# The exposure has settled when mean and standard deviation of the pixels, which are in [0, 255], have stayed
# within this range for this many seconds.
_STEADY_LEVELS, _STEADY_SECONDS = 4.0, 0.4
# A frame is black if 99% of its values are below this. Video that does not use the full range has black at
# 16, and the sensor adds some noise.
_BLACK_LEVEL = 24
# Mean and blackness are measured in a grid of about so many rows and columns of pixels.
_SAMPLE_SIDE = 64


class CameraWatch:
    """Follows one camera through its frames, its silences and its failures.

    Attributes:
        state: What the camera does, as of the last call.
        retry_at: When the camera is to be opened again; meaningful while it is not open.
    """

    def __init__(
        self, name: str, *, allow_static: bool = False, first_pause: float = FIRST_PAUSE
    ) -> None:
        """Starts with a camera that is not open.

        Args:
            name: What the camera is called in messages.
            allow_static: Whether a frame that equals the one before is answered like any other.
            first_pause: Seconds before a lost camera is opened again for the first time.
        """
        self.state = CameraState(CameraStatus.OPENING, f"{name} is being opened.")
        self.retry_at = 0.0
        self._name = name
        self._allow_static = allow_static
        self._first_pause = self._pause = first_pause
        self._last: np.ndarray | None = None
        self._is_new = True  # whether the camera has given no frame since it was opened
        self._repeats = False  # whether the last frame was equal to the one before
        # When it was opened, gave its first frame or gave its last new one.
        self._waiting_since = 0.0
        self._levels: deque[tuple[float, float, float]] = deque()  # time, mean, standard deviation

    def opening(self, seconds: float) -> None:
        """Notes that the camera is being opened."""
        self._is_new = True
        self._waiting_since = seconds

    def frame(self, bgr: np.ndarray, seconds: float) -> bool:
        """Notes a frame; returns whether it is answered.

        Args:
            bgr: uint8, shape (H, W, 3). It is kept until the next one and must not be changed.
            seconds: When it came; at least the time of the last call.
        """
        if self._is_new:
            if self.state.status is not CameraStatus.OPENING:
                self.state = replace(self.state, reconnects=self.state.reconnects + 1)
            self._is_new = False
            self._waiting_since = seconds
        is_repeat = not self._allow_static and self._last is not None and _same(bgr, self._last)
        self._last = bgr
        if is_black(bgr):  # a covered camera may repeat one frame
            self._waiting_since = seconds
            message = f"{self._name} gives black frames; uncover the lens or switch on a light."
            self._become(CameraStatus.BLACK, message, seconds)
            return False
        self._repeats = is_repeat
        if is_repeat:
            return False
        self._waiting_since = seconds
        if self.state.status is not CameraStatus.OK and not self._has_settled(bgr, seconds):
            return False
        self._become(CameraStatus.OK, "", seconds)
        self._pause = self._first_pause
        return True

    def bad_frames(self, count: int) -> None:
        """Notes that so many frames more could not be used."""
        self.state = replace(self.state, bad_frames=self.state.bad_frames + count)

    def has_stalled(self, seconds: float) -> bool:
        """Whether the camera must be closed and opened again since it gives nothing new."""
        limit = OPENING_SECONDS if self._is_new else STALL_SECONDS
        return seconds - self._waiting_since >= limit

    def lost(self, seconds: float, reason: str | None = None) -> None:
        """Notes that the camera was closed, and when it is to be opened again.

        Args:
            seconds: The present time.
            reason: A sentence that says why; None if the camera has stalled.
        """
        status = CameraStatus.LOST
        if reason is None and not self._is_new and self._repeats:
            status = CameraStatus.FROZEN
            reason = (
                f"{self._name} repeats one frame; if that is right, for example because it shows a still "
                "picture, use --allow-static."
            )
        elif reason is None:
            reason = f"{self._name} gives no frames; check its cable or address."
        self._become(status, f"{reason} The app opens it again until it gives new frames.", seconds)
        self.retry_at = seconds + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _become(self, status: CameraStatus, message: str, seconds: float) -> None:
        since = self.state.since if status is self.state.status else seconds
        self.state = replace(self.state, status=status, message=message, since=since)

    def _has_settled(self, bgr: np.ndarray, seconds: float) -> bool:
        """Adds a frame to those that show whether the exposure still moves."""
        if self.state.status is not CameraStatus.SETTLING:
            self._become(CameraStatus.SETTLING, f"{self._name} adjusts its exposure.", seconds)
            self._levels.clear()
        sample = _sample(bgr)
        self._levels.append((seconds, float(sample.mean()), float(sample.std())))
        steady_since = seconds - _STEADY_SECONDS
        while len(self._levels) > 1 and self._levels[1][0] <= steady_since:
            self._levels.popleft()
        times, means, deviations = zip(*self._levels, strict=True)
        is_steady = times[0] <= steady_since and all(
            max(levels) - min(levels) <= _STEADY_LEVELS for levels in (means, deviations)
        )
        return is_steady or seconds - self.state.since >= SETTLING_SECONDS


def is_black(bgr: np.ndarray) -> bool:
    """Tells whether a frame, uint8 of shape (H, W, 3), is black, as behind a lens cap."""
    sample = _sample(bgr)
    return bool(np.count_nonzero(sample >= _BLACK_LEVEL) < 0.01 * sample.size)


def _sample(bgr: np.ndarray) -> np.ndarray:
    """Takes pixels in a grid over the whole frame."""
    step = max(1, min(bgr.shape[:2]) // _SAMPLE_SIDE)
    return bgr[::step, ::step]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Tells whether two frames are equal in every byte; frames of a live sensor differ in the first rows."""
    if one.shape != other.shape or not np.array_equal(one[:8], other[:8]):
        return False
    return np.array_equal(one, other)
