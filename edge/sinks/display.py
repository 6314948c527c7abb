"""A window on the screen, in a process of its own: shows pictures, and tells what the user does."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge.errors import MissingPartError, OutputError
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.sinks import window_process

TITLE = "garmentlite"
# Seconds; an OpenCV on a slow memory card takes some of them until the window is there.
OPENING_SECONDS = 30.0
CLOSING_SECONDS = 2.0
_PIPE_BYTES = 1 << 20  # the largest pipe that Linux gives to every user

Event = list[Any]  # see `window_process`


class Way(IntEnum):
    """How a picture is shown."""

    AS_IT_IS = window_process.AS_IT_IS  # in the window as it is
    RESIZED = window_process.RESIZED  # in a window of the size of the picture
    FULL_SCREEN = window_process.FULL_SCREEN


class MouseAction(IntEnum):
    """What the user did with the left button of the mouse."""

    PRESSED = window_process.PRESSED
    MOVED = window_process.MOVED
    RELEASED = window_process.RELEASED


class Display:
    """A window in a process of its own.

    Attributes:
        screen_wh: Width and height of the screen in pixels.
    """

    def __init__(self) -> None:
        """Opens the window, which takes half a second on a PC.

        Raises:
            MissingPartError: If no window can be opened.
        """
        _require_display()
        # -P: Python does not look for modules in the folder of the program or in the present one.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(window_process.__file__)), TITLE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # Qt's warnings about fonts that are not needed here
            **_own_group(),
        )
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            opened = self._events.get(timeout=OPENING_SECONDS)
        except queue.Empty:
            opened = None
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if opened is None:
            self.close()
            raise MissingPartError(
                "this OpenCV cannot use the display that DISPLAY or WAYLAND_DISPLAY names."
            )
        self.screen_wh: tuple[int, int] = (opened[1], opened[2])

    def show(self, picture_bgr: np.ndarray, way: Way) -> None:
        """Shows a picture.

        Args:
            picture_bgr: uint8, shape (H, W, 3), C-contiguous.
            way: How it is shown.

        Raises:
            OutputError: If the display is lost.
        """
        pipe = self._process.stdin
        assert pipe is not None
        height, width = picture_bgr.shape[:2]
        try:
            pipe.write(window_process.HEADER.pack(way, height, width))
            pipe.write(picture_bgr.data)
            pipe.flush()
        except BrokenPipeError as error:
            # The user may have closed the window; if so, the next event says it.
            if self._process.wait() != 0:
                raise _lost() from error

    def events(self, seconds: float) -> Iterator[Event]:
        """Yields what the user did, as `window_process` describes it.

        Args:
            seconds: Time to wait for the first event; the others have to be there.

        Raises:
            OutputError: If the display is lost.
        """
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            try:
                event = self._events.get(timeout=left) if left > 0 else self._events.get_nowait()
            except queue.Empty:
                return
            if event is None:
                self._events.put(None)  # for the next call
                raise _lost()
            yield event
            until = 0.0

    def close(self) -> None:
        """Closes the window."""
        with suppress(OSError):  # the rest of a picture cannot be written any more
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(CLOSING_SECONDS)
        except subprocess.TimeoutExpired:  # the display does not answer
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        """Puts the events into the queue, and None when the process has ended."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._events.put(json.loads(line))
        self._events.put(None)


def built_with_windows(build_information: str) -> bool:
    """Reads in the text of `cv2.getBuildInformation` whether OpenCV has a window system."""
    for line in build_information.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "GUI":
            return value.strip() not in ("", "NONE")
    return True  # if the text has another form, the attempt decides


def _require_display() -> None:
    if not built_with_windows(load_opencv().getBuildInformation()):
        raise MissingPartError(
            "this OpenCV was built without windows; in a fresh environment install "
            "'garmentlite[desktop]' in place of 'garmentlite[headless]'."
        )
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in names):
        raise MissingPartError("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set).")


def _lost() -> OutputError:
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "the screen"
    return OutputError(
        f"The window is gone because the display {display} ended; start the app again when the display is "
        "back, or with --headless."
    )


def _own_group() -> dict[str, Any]:
    """Keeps Ctrl-C in the terminal from the process of the window; the app closes it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    own: dict[str, Any] = {"process_group": 0}
    if sys.platform.startswith("linux"):
        own["pipesize"] = _PIPE_BYTES
    return own
