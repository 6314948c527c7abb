"""One opening of a camera, in a thread of its own, so that the caller always gets the newest frame."""

from __future__ import annotations

import atexit
import threading
import time
from typing import Protocol

import numpy as np

from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources.pixels import as_bgr

BAD_FRAMES = 5  # so many bad frames in a row are tolerated
THREAD_NAME = "camera"
ENDING_SECONDS = 5.0  # how long a program that ends waits for drivers that have not returned yet


class Capture(Protocol):
    """A camera that is open. All its methods are called in one thread."""

    def read(self) -> object:
        """Waits for the next frame: an array, or anything else for a frame that cannot be used.

        Raises:
            SourceError: If the camera was lost.
            EOFError: If there will be no more frames.
        """
        ...

    def close(self) -> None:
        """Releases the camera."""
        ...


class Device(Protocol):
    """A camera that can be opened any number of times.

    Attributes:
        name: What it is called in messages, without any password.
    """

    name: str

    def open(self) -> Capture:
        """Opens the camera; raises `SourceError` if that fails, and leaves nothing open then."""
        ...


class Connection:
    """Opens a device and reads it until it fails or nobody wants its frames any more.

    The device is opened, read and closed in a thread. A driver that hangs can therefore neither block the
    caller nor keep the program alive.
    """

    def __init__(self, device: Device) -> None:
        """Starts the thread."""
        self._device = device
        self._changed = threading.Condition()
        self._newest: tuple[np.ndarray, float] | None = None
        self._error: BaseException | None = None
        self._bad_frames = 0
        self._is_left = False
        # A daemon, because a driver that never returns from a call must not keep the program alive.
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Waits for a frame that was not taken yet.

        Args:
            seconds: Longest time to wait.

        Returns:
            Whether there is one.

        Raises:
            SourceError: If the device could not be opened or was lost, and no frame is left.
            EOFError: If the stream is over, and no frame is left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._error, seconds)
            if self._newest is None and self._error:
                raise self._error
            return self._newest is not None

    def take(self, seconds: float) -> tuple[np.ndarray, float] | None:
        """Waits like `wait`, and takes the newest frame.

        Returns:
            The frame, uint8 of shape (H, W, 3) in BGR, and the value of `time.monotonic` at which it came;
            None if there was none in time.

        Raises:
            SourceError, EOFError: As `wait` does.
        """
        if not self.wait(seconds):
            return None
        with self._changed:
            taken, self._newest = self._newest, None
            return taken

    def take_bad_frames(self) -> int:
        """Returns how many frames could not be used since the last call."""
        with self._changed:
            count, self._bad_frames = self._bad_frames, 0
            return count

    def leave(self) -> None:
        """Makes the thread release the camera after the call to the driver that is in progress."""
        self._is_left = True

    def join(self, seconds: float) -> bool:
        """Waits for the thread; returns whether it has ended and so has released the camera."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            capture = self._device.open()
            try:
                self._read(capture)
            finally:
                capture.close()
        except BaseException as error:  # raised again in the caller's thread, whatever it is
            with self._changed:
                self._error = error
                self._changed.notify()

    def _read(self, capture: Capture) -> None:
        bad_in_a_row = 0
        while not self._is_left:
            frame = as_bgr(capture.read())
            bad_in_a_row = bad_in_a_row + 1 if frame is None else 0
            with self._changed:
                if frame is None:
                    self._bad_frames += 1
                else:
                    self._newest = frame, time.monotonic()
                    self._changed.notify()
            if bad_in_a_row > BAD_FRAMES:
                raise SourceError(
                    f"{self._device.name} gives no usable frames; check its cable or address."
                )


@atexit.register
def _wait_for_drivers() -> None:
    """Waits for threads that are still in a driver: one that returns while Python ends would crash."""
    until = time.monotonic() + ENDING_SECONDS
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(max(0.0, until - time.monotonic()))
