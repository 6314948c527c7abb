"""Where frames come from: a camera, a video, a folder of pictures, or a drawn test pattern.

`open_source` finds the source that a word from the command line means. Another kind of source is one
class, a `LiveSource` where it is a camera, and one line there.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from garmentlite.edge.drawing import draw_moving_frame
from garmentlite.edge.errors import PictureError, SourceError
from garmentlite.edge.pictures import PICTURE_SUFFIXES, Picture, find_pictures, read_picture
from garmentlite.edge.segmentation import load_opencv

TEST_PATTERN = "test-pattern"

TEST_PATTERN_FPS = 15.0  # frames per second
FALLBACK_VIDEO_FPS = 25.0  # frames per second, for a video that does not state its own
PICTURE_SECONDS = 2.0  # for which a window shows each picture of a folder

SILENCE_SECONDS = 12.0  # without a frame; OpenCV itself gives a silent camera up after 10
CLOSING_SECONDS = 2.0  # for which closing waits for a read that is under way


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    Attributes:
        bgr: uint8, shape (H, W, 3), in OpenCV's order of colours.
        time: Seconds since the source began: by the clock for a camera, in the recording otherwise.
        name: Of the still picture it is; None for a moving one. Frames of another name are another scene.
        duration: Seconds for which a viewer should see it; 0 for a live frame, until the next one.
        alpha: uint8, shape (H, W), 0 = transparent; None where the picture is opaque.
    """

    bgr: np.ndarray
    time: float
    name: str | None = None
    duration: float = 0.0
    alpha: np.ndarray | None = None

    def picture(self) -> Picture:
        """A copy in the form that is recognized."""
        return replace(Picture.from_bgr(self.bgr), alpha=self.alpha)


class Source(Protocol):
    """A stream of frames, held open by a `with` block and read by a `for` loop inside it.

    Entering raises `SourceError` where it cannot be opened, and so does the loop where it is lost; the
    loop ends where the stream ends. Leaving the block closes it, whatever happened.

    Attributes:
        is_live: Whether frames not taken in time are dropped, as a camera's are.
    """

    is_live: bool

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]: ...


def open_source(
    spec: str,
    *,
    resolution_wh: tuple[int, int] = (640, 480),
    warn: Callable[[str], None] = lambda message: None,
) -> Source:
    """The source that a word means; nothing is opened before its `with` block is entered.

    Args:
        spec: The number of a camera ("0", or "/dev/video0"), a video file, a folder of pictures or a
            single one, or "test-pattern".
        resolution_wh: Width and height in pixels, asked of a camera and drawn by the test pattern.
        warn: Called with one sentence for every picture of a folder that cannot be read.

    Returns:
        The source.

    Raises:
        SourceError: If the word means none of them.
    """
    if spec == TEST_PATTERN:
        return MovingPattern(resolution_wh)
    if camera := re.fullmatch(r"(?:/dev/video)?(\d{1,3})", spec):
        return Camera(int(camera[1]), resolution_wh)
    if os.path.isdir(spec) or Path(spec).suffix.lower() in PICTURE_SUFFIXES:
        return Pictures(Path(spec), warn)
    if os.path.isfile(spec):
        return VideoFile(Path(spec))
    raise SourceError(
        f"There is no source '{spec}'; name a camera by its number (0), an existing video file or "
        f"folder of pictures, or '{TEST_PATTERN}'."
    )


class LiveSource(ABC):
    """A camera, read in a thread of its own, of which the loop gets the newest frame only.

    A kind of camera says how it is opened, read and closed. `_read` and `_close` are called in the
    thread, one after the other, so a camera is never closed under a read.
    """

    is_live = True

    @abstractmethod
    def _open(self) -> None:
        """Opens the camera; raises `SourceError` and leaves nothing open where that fails."""

    @abstractmethod
    def _read(self) -> np.ndarray:
        """Waits for the next frame, uint8 of shape (H, W, 3) in BGR; `SourceError` if it is lost."""

    @abstractmethod
    def _close(self) -> None:
        """Gives the camera back."""

    def __enter__(self) -> Self:
        """Opens the camera and begins to read it; raises `SourceError` where that fails."""
        self._open()
        self._newest = _NewestFrame()
        self._stop = threading.Event()
        # A daemon: a driver that never returns from a read must not keep the program alive.
        self._reader = threading.Thread(target=self._keep_reading, name="camera", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the thread, which gives the camera back."""
        self._stop.set()
        self._reader.join(CLOSING_SECONDS)

    def __iter__(self) -> Iterator[Frame]:
        """Yields the newest frame each time, never one twice, until the camera is lost."""
        while True:
            yield self._newest.take()

    def _keep_reading(self) -> None:
        start = time.monotonic()  # the clock of a Pi jumps when it learns the time from the network
        try:
            while not self._stop.is_set():
                bgr = self._read()
                self._newest.put(Frame(bgr, time.monotonic() - start))
        except BaseException as error:  # every kind: raised again where the loop waits
            self._newest.fail(error)
        finally:
            self._close()


class _NewestFrame:
    """Hands frames from a thread to a loop; a frame not taken is replaced, so nobody waits to put one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._error: BaseException | None = None

    def put(self, frame: Frame) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._changed.notify()

    def take(self) -> Frame:
        with self._changed:
            self._changed.wait_for(lambda: self._frame or self._error, SILENCE_SECONDS)
            frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            raise self._error or SourceError(
                f"The camera gave no frame for {SILENCE_SECONDS:.0f} seconds; check its cable, or that "
                "no other program uses it, and start again."
            )


class Camera(LiveSource):
    """A camera that OpenCV can open, such as a USB webcam."""

    def __init__(self, number: int, resolution_wh: tuple[int, int]) -> None:
        """Remembers which camera, by its number, and the width and height to ask it for."""
        self.number = number
        self.resolution_wh = resolution_wh

    def _open(self) -> None:
        cv2 = _load_silent_opencv()
        self._capture = cv2.VideoCapture(self.number)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"Camera {self.number} cannot be opened; see which there are with 'ls /dev/video*' and "
                "close programs that use it (a Raspberry Pi's CSI camera is not reached in this way, "
                "it needs picamera2)."
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


class VideoFile:
    """A video, every frame of it."""

    is_live = False

    def __init__(self, path: Path) -> None:
        """Remembers the file."""
        self.path = path

    def __enter__(self) -> Self:
        """Opens the file; raises `SourceError` where it is no video."""
        self._capture = _load_silent_opencv().VideoCapture(str(self.path))
        if not self._capture.isOpened():
            self._capture.release()
            raise self._no_video()
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
        """Yields frame after frame; raises `SourceError` where not even the first can be read."""
        fps = self._frames_per_second()
        for index in count():
            was_read, bgr = self._capture.read()
            if not was_read and index == 0:
                raise self._no_video()
            if not was_read:
                return
            yield Frame(bgr, index / fps, duration=1 / fps)

    def _frames_per_second(self) -> float:
        stated = self._capture.get(load_opencv().CAP_PROP_FPS)
        return stated if math.isfinite(stated) and stated > 0 else FALLBACK_VIDEO_FPS

    def _no_video(self) -> SourceError:
        return SourceError(
            f"{self.path} is not a video that OpenCV can read; convert it, for example with "
            "'ffmpeg -i FILE out.mp4', or name a folder to look at pictures."
        )


class Pictures:
    """The pictures of a folder, one after the other; one that cannot be read is reported and left out."""

    is_live = False

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        """Remembers the folder (or a single picture), and whom to tell of a broken picture."""
        self.path = path
        self._warn = warn

    def __enter__(self) -> Self:
        """Lists the folder; raises `SourceError` where it holds no picture."""
        try:
            self._files = find_pictures([self.path])
        except PictureError as error:
            raise SourceError(str(error)) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is held open."""

    def __iter__(self) -> Iterator[Frame]:
        """Yields the pictures in the order of their names."""
        shown = count()
        for file in self._files:
            try:
                picture = read_picture(file)
            except PictureError as error:
                self._warn(str(error))
                continue
            yield Frame(
                bgr=np.ascontiguousarray(picture.rgb[..., ::-1]),
                time=next(shown) * PICTURE_SECONDS,
                name=str(file),
                duration=PICTURE_SECONDS,
                alpha=picture.alpha,
            )


class MovingPattern:
    """Garments drawn over a moving ground, without end: a stream for trying things without a camera."""

    is_live = False

    def __init__(self, resolution_wh: tuple[int, int]) -> None:
        """Remembers width and height in pixels."""
        self.resolution_wh = resolution_wh

    def __enter__(self) -> Self:
        """Nothing is to be opened."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is held open."""

    def __iter__(self) -> Iterator[Frame]:
        """Draws frame after frame, the same ones each time."""
        for index in count():
            seconds = index / TEST_PATTERN_FPS
            rgb, _ = draw_moving_frame(seconds, self.resolution_wh)
            bgr = np.ascontiguousarray(rgb[..., ::-1])
            yield Frame(bgr, seconds, duration=1 / TEST_PATTERN_FPS)


def _load_silent_opencv() -> Any:
    """The module `cv2`, told to keep its warnings: what a user should know is in our own errors.

    A camera that is not there costs five lines on standard error otherwise.
    """
    cv2 = load_opencv()
    # OpenCV 4 has the first of them, OpenCV 5 the second; 0 is "silent" in both.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    set_log_level(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET, for FFmpeg's own lines
    return cv2
