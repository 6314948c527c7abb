"""A camera of any kind, read in a thread so that the caller always gets the newest frame."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources.interface import Frame

SILENCE_SECONDS = (
    12.0  # a camera without a frame for so long is given up; OpenCV gives it up after 10
)
CLOSING_SECONDS = 2.0  # how long closing waits for a read that is in progress


class LiveSource(ABC):
    """A camera whose frames are dropped if nobody takes them in time.

    Each kind of camera implements how it is opened, read and closed. The thread calls `_read` and `_close`
    one after the other, so a camera is never closed during a read.
    """

    is_live = True

    @abstractmethod
    def _open(self) -> None:
        """Opens the camera; if that fails, raises `SourceError` and leaves nothing open."""

    @abstractmethod
    def _read(self) -> np.ndarray:
        """Waits for the next frame, uint8 of shape (H, W, 3) in BGR; raises `SourceError` if it is lost."""

    @abstractmethod
    def _close(self) -> None:
        """Releases the camera."""

    def __enter__(self) -> Self:
        """Opens the camera and starts to read it; raises `SourceError` if it cannot be opened."""
        self._open()
        self._newest = _NewestFrame()
        self._stop = threading.Event()
        # A daemon, because a driver that never returns from a read must not keep the program alive.
        self._reader = threading.Thread(target=self._keep_reading, name="camera", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the thread, which releases the camera."""
        self._stop.set()
        self._reader.join(CLOSING_SECONDS)

    def __iter__(self) -> Iterator[Frame]:
        """Yields the newest frame until the camera is lost; no frame is given twice."""
        while True:
            yield self._newest.take()

    def _keep_reading(self) -> None:
        start = time.monotonic()  # a Pi sets its wall clock when it gets the time from the network
        try:
            while not self._stop.is_set():
                bgr = self._read()
                self._newest.put(Frame(bgr, time.monotonic() - start))
        except BaseException as error:  # raised again in the caller's thread, whatever it is
            self._newest.fail(error)
        finally:
            self._close()


class _NewestFrame:
    """Passes frames from one thread to another; a new frame replaces one that was not taken."""

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
            self._changed.wait_for(
                lambda: self._frame is not None or self._error is not None, SILENCE_SECONDS
            )
            frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            raise self._error or SourceError(
                f"The camera gave no frame for {SILENCE_SECONDS:.0f} seconds; check its cable, close other "
                "programs that use it, and start again."
            )
