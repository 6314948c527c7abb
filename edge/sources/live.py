"""A camera of any kind as a source: it is watched, and opened again whenever it is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Self

import numpy as np

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources.connection import Connection, Device
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.sources.watch import (
    FIRST_PAUSE,
    OPENING_SECONDS,
    STALL_SECONDS,
    CameraWatch,
)

TICK_SECONDS = 0.1  # longest time without a frame or a state
CLOSING_SECONDS = 1.0  # how long closing waits for a call to the driver that is in progress
# Connections that were given up and whose driver has not returned yet. With so many of them, the camera is
# not opened again, so that a driver that hangs for ever does not collect threads.
MOST_HANGING = 2


class LiveSource:
    """Gives the newest frames of a camera for ever, and the state of the camera while there are none.

    Only the first opening may fail. After that, a camera that is lost is opened again until it is there.
    """

    def __init__(
        self, device: Device, *, allow_static: bool = False, first_pause: float = FIRST_PAUSE
    ) -> None:
        """Chooses the camera; the `with` block opens it.

        Args:
            device: The camera.
            allow_static: Whether a frame that equals the one before is answered like any other. Without it,
                a camera that repeats one frame for 3 seconds is opened again.
            first_pause: Seconds before a lost camera is opened again for the first time. The pause is doubled
                each time, up to 30 seconds.
        """
        self._device = device
        self._allow_static = allow_static
        self._first_pause = first_pause
        self._watch = self._new_watch()
        self._connection: Connection | None = None
        self._hanging: list[Connection] = []
        self._start = time.monotonic()  # a Pi may set its wall clock while the app runs

    @property
    def camera(self) -> CameraState:
        """What the camera does at the moment."""
        return self._watch.state

    def __enter__(self) -> Self:
        """Opens the camera and waits for its first frame.

        Raises:
            SourceError: If it cannot be opened, or gives no frame within 10 seconds.
        """
        self._watch = self._new_watch()
        self._start = time.monotonic()
        self._connection = Connection(self._device)
        try:
            if not self._connection.wait(OPENING_SECONDS):
                raise SourceError(
                    f"{self._device.name} gave no frame within {OPENING_SECONDS:.0f} seconds; close other "
                    "programs that use it, or unplug it and plug it in again."
                )
        except EOFError as error:
            raise SourceError(
                f"{self._device.name} ended before its first frame; check the program that sends it, which "
                "must write JPEG pictures one after the other (MJPEG)."
            ) from error
        except BaseException:
            self._connection.leave()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Releases the camera; waits at most a second for a driver that hangs."""
        if self._connection is not None:
            self._connection.leave()
            self._connection.join(CLOSING_SECONDS)
            self._connection = None

    def __iter__(self) -> Iterator[Frame | CameraState]:
        """Yields frames to answer, and the state about ten times a second for as long as there are none."""
        told, told_at = None, 0.0  # the last status that was yielded, and when
        while True:
            try:
                taken = self._take()
            except EOFError:
                return
            except SourceError as error:
                self._give_up(str(error))
                taken = None
            now, is_old = self._seconds(time.monotonic()), False
            if taken is not None:
                bgr, seconds = taken[0], self._seconds(taken[1])
                # An old frame has waited while the app was paused or suspended.
                is_old = now - seconds >= STALL_SECONDS
                if not is_old and self._watch.frame(bgr, seconds):
                    told = None
                    yield Frame(bgr, seconds)
                    continue
            if self._connection is not None and not is_old and self._watch.has_stalled(now):
                self._give_up(None)
            state = self._watch.state
            if state.status is not told or now - told_at >= TICK_SECONDS:
                told, told_at = state.status, now
                yield state

    def _take(self) -> tuple[np.ndarray, float] | None:
        """Takes the newest frame, or waits for a moment; opens a lost camera again when it is time."""
        now = self._seconds(time.monotonic())
        self._hanging = [one for one in self._hanging if not one.join(0)]
        if self._connection is None:
            if now < self._watch.retry_at or len(self._hanging) >= MOST_HANGING:
                time.sleep(TICK_SECONDS)
                return None
            self._connection = Connection(self._device)
            self._watch.opening(now)
        self._watch.bad_frames(self._connection.take_bad_frames())
        return self._connection.take(TICK_SECONDS)

    def _give_up(self, reason: str | None) -> None:
        """Closes the connection; the camera is opened again later."""
        if self._connection is not None:
            self._watch.bad_frames(self._connection.take_bad_frames())
            self._connection.leave()
            self._hanging.append(self._connection)
            self._connection = None
        self._watch.lost(self._seconds(time.monotonic()), reason)

    def _seconds(self, moment: float) -> float:
        """Converts a value of `time.monotonic` to seconds since the source was opened."""
        return moment - self._start

    def _new_watch(self) -> CameraWatch:
        return CameraWatch(
            self._device.name, allow_static=self._allow_static, first_pause=self._first_pause
        )
