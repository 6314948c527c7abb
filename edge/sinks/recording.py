"""Records what the app shows as video files, one for each stretch of time."""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.errors import OptionError, OutputError
from garmentlite.edge.files import require_writable
from garmentlite.edge.native_log import held_back
from garmentlite.edge.opencv import load_silent_opencv
from garmentlite.edge.overlay import Layout, annotate, layout_around, layout_within
from garmentlite.edge.sinks.interface import Sighting

# Codec of each suffix. MJPG in AVI needs no other library, and a file that was cut off can be read.
CODECS = {".avi": "MJPG", ".mp4": "mp4v", ".webm": "VP80"}
LIVE_RATE = 10.0  # frames a second in the recording of a camera; enough to see what was answered
RATES = (1.0, 30.0)  # smallest and largest number of frames a second in the recording of a file
LONGEST_GAP_S = 1.0  # a longer gap between two frames, such as a lost camera, is left out
CHECK_S = 0.5  # time between two looks at the files
# OpenCV does not report errors of writing: the file just stops growing. It may also stop for a while without
# an error, since FFmpeg collects blocks of this many bytes, which the frames of a still scene fill slowly.
BLOCK_BYTES = 256 << 10
# While the file does not grow, a block is written as a trial each time that so many seconds have passed.
QUIET_S = 2.0
# After so many seconds without growth another segment is begun, although the trials succeed: FFmpeg writes
# nothing more to a file after an error, even if its cause is gone. A dark, still scene fills a block of WebM
# in 90 seconds.
STALLED_S = 300.0
# The recording ends when less than this is free on the disk, so that the disk never becomes full.
FREE_MB = 50
LARGEST_SHARE = 0.25  # of the quota, for one segment
_MB = 1_000_000


@dataclass(frozen=True)
class RecordingRequest:
    """What is recorded.

    Attributes:
        path: Name of the recording. Each segment gets the time of its start before the suffix, which chooses
            the format (see `CODECS`).
        segment_minutes: Length of a segment.
        quota_mb: Largest size of all segments together. The oldest are removed, those of earlier recordings
            of the same name included.
    """

    path: Path
    segment_minutes: float = 10.0
    quota_mb: int = 1000

    def __post_init__(self) -> None:
        """Raises `OptionError` if the suffix names no format."""
        if self.path.suffix.lower() not in CODECS:
            raise OptionError(
                f"--record {self.path} must end with one of {', '.join(CODECS)}; .avi works everywhere."
            )


class RecordingSink:
    """Records the frames with the answers beside them, as `annotate` draws them.

    The first frame fixes the size; a frame of another size is fitted into it. Frames are repeated or left out
    so that the recording runs as fast as the source.
    """

    def __init__(self, request: RecordingRequest) -> None:
        """Chooses what is recorded."""
        self._request = request

    def __enter__(self) -> Self:
        """Makes sure that the folder can be written to; raises `OutputError` if it cannot."""
        require_writable(self._request.path.parent)
        self._writer: Any = None
        self._segment: Path | None = None
        self._layout: Layout | None = None
        self._last_time = 0.0  # of the last frame, in seconds of the source
        self._longest_gap = LONGEST_GAP_S
        return self

    def __exit__(self, *exception: object) -> None:
        """Finishes the last segment."""
        self._finish()

    def show(self, sighting: Sighting) -> bool:
        """Records a frame; always returns True.

        Raises:
            OutputError: If the disk is nearly full, or the segment cannot be written.
        """
        seconds = sighting.frame.time
        if self._writer and not 0 <= seconds - self._last_time <= self._longest_gap:
            self._start_time = seconds - self._written / self._rate  # as if nothing were missing
            self._grown_at = time.monotonic()  # the file could not grow meanwhile
        if self._writer is None or self._is_over(seconds):
            self._begin(sighting)
        self._last_time = seconds
        self._longest_gap = max(LONGEST_GAP_S, 2 * sighting.frame.duration)
        picture = self._draw(sighting)
        # The number of frames that a recording of this length has.
        due = math.floor((seconds - self._start_time) * self._rate + 1e-6) + 1
        for _ in range(self._written, due):
            self._writer.write(picture)
            self._written += 1
        self._check()
        return True

    def show_state(self, camera: CameraState) -> bool:
        """Records nothing while frames are not answered; always returns True."""
        return True

    def _begin(self, sighting: Sighting) -> None:
        """Begins a segment with a frame."""
        self._finish()
        self._rate = _rate_of(sighting.frame.duration)
        height, width = sighting.frame.bgr.shape[:2]
        if self._layout is None:
            self._layout = layout_around((width, height))
        size_wh = (self._layout.width // 2 * 2, self._layout.height // 2 * 2)
        self._segment = self._new_name()
        cv2 = load_silent_opencv()
        codec = cv2.VideoWriter_fourcc(*CODECS[self._segment.suffix.lower()])
        with held_back():  # FFmpeg prints a line about the codec of WebM, which it then uses
            self._writer = cv2.VideoWriter(str(self._segment), codec, self._rate, size_wh)
        if not self._writer.isOpened():
            raise OutputError(
                f"{self._segment} cannot be written; name another place, or .avi if this OpenCV has no "
                f"encoder for {self._segment.suffix}."
            )
        self._written = 0
        self._start_time = sighting.frame.time
        self._size = 0
        self._grown_at = time.monotonic()  # when the file was last seen to grow
        self._proved_at = self._grown_at  # when it grew or a trial showed that it can
        self._checked_at = -math.inf

    def _draw(self, sighting: Sighting) -> np.ndarray:
        assert self._layout is not None
        whole = self._layout
        height, width = sighting.frame.bgr.shape[:2]
        layout = layout_around((width, height))
        if (layout.width, layout.height) != (whole.width, whole.height):
            layout = layout_within((whole.width, whole.height), (width, height))
        drawn = annotate(
            sighting.frame.bgr,
            sighting.recognition,
            frames_per_second=sighting.frames_per_second,
            guide_box=sighting.guide_box,
            layout=layout,
        )
        return np.ascontiguousarray(drawn[: whole.height // 2 * 2, : whole.width // 2 * 2])

    def _is_over(self, seconds: float) -> bool:
        return (
            seconds - self._start_time >= self._request.segment_minutes * 60
            or self._size > LARGEST_SHARE * self._request.quota_mb * _MB
            or time.monotonic() - self._grown_at > STALLED_S
        )

    def _check(self) -> None:
        """Checks the room on the disk, whether the file can be written and grows, and the quota."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_S:
            return
        self._checked_at = now
        assert self._segment is not None
        try:
            free_mb = shutil.disk_usage(self._segment.parent).free / _MB
            size = self._segment.stat().st_size
        except OSError as error:
            raise self._ended(
                f"it cannot be found any more ({error.strerror})", "record to another place"
            ) from error
        if not os.access(self._segment.parent, os.W_OK):
            raise self._ended("its folder can no longer be written to", "record to another place")
        if free_mb < FREE_MB:
            raise self._ended(
                f"only {free_mb:.0f} MB are free on its disk",
                "free some space, or record to another disk",
            )
        if size >= _largest_file():
            raise self._ended_at_largest_size()
        if size > self._size:
            self._size = size
            self._grown_at = self._proved_at = now
        elif now - self._proved_at > QUIET_S and self._writer.getBackendName() == "FFMPEG":
            self._try_to_write(self._segment)
            self._proved_at = now
        self._keep_quota()

    def _try_to_write(self, segment: Path) -> None:
        """Writes a block at the end of the file and removes it again, to meet the error that OpenCV hides.

        FFmpeg writes only while OpenCV is called, and keeps its own position, so the block is not in its way.
        Beside other libraries this is not safe: GStreamer writes in a thread of its own.

        Raises:
            OutputError: If the block cannot be written.
        """
        try:
            with segment.open("ab", buffering=0) as file:
                # A network disk may still give an older size for the name, which would cut off frames.
                size = os.fstat(file.fileno()).st_size
                try:
                    left = BLOCK_BYTES
                    while left:
                        left -= file.write(bytes(left))
                finally:
                    if left < BLOCK_BYTES:
                        file.truncate(size)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise self._ended_at_largest_size() from error
            raise self._ended(
                f"its file cannot grow any more ({error.strerror})", "record to another disk"
            ) from error

    def _ended_at_largest_size(self) -> OutputError:
        return self._ended(
            "its file has the largest size that the system allows",
            "raise the limit ('ulimit -f'), or make --record-minutes smaller",
        )

    def _ended(self, reason: str, way_out: str) -> OutputError:
        return OutputError(f"The recording {self._segment} ends because {reason}; {way_out}.")

    def _keep_quota(self) -> None:
        """Removes the oldest segments until the rest is within the quota."""
        sizes = {path: _size_of(path) for path in self._segments() if path != self._segment}
        total = sum(sizes.values()) + self._size
        for path, size in sizes.items():
            if total <= self._request.quota_mb * _MB:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _segments(self) -> list[Path]:
        """Lists the segments of this recording, the oldest first."""
        path = self._request.path
        stem = path.stem.translate({ord(letter): f"[{letter}]" for letter in "[*?"})
        number = "[0-9]" * 4 + "-[0-9][0-9]" * 2 + "T" + "[0-9][0-9]-" * 3 + "[0-9]" * 3
        return sorted(path.parent.glob(f"{stem}-{number}{path.suffix}"))

    def _new_name(self) -> Path:
        """Names a segment after the present time, to the millisecond."""
        path, now = self._request.path, time.time()
        moment = time.strftime("%Y-%m-%dT%H-%M-%S", time.localtime(now))
        return path.with_name(f"{path.stem}-{moment}-{int(now * 1000) % 1000:03d}{path.suffix}")

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None


def _rate_of(duration: float) -> float:
    """Chooses the frames a second for a source whose frames last for `duration` seconds."""
    if duration == 0:
        return LIVE_RATE
    return min(max(1 / duration, RATES[0]), RATES[1])


def _largest_file() -> float:
    """Returns the limit of the size of a file in bytes."""
    with suppress(ImportError):  # Windows has no such limit
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY:
            return limit
    return math.inf


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it was removed
        return 0
