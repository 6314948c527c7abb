"""A window on the screen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import cache
from types import TracebackType
from typing import Self

import numpy as np

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.overlay import annotate
from garmentlite.edge.sinks.interface import Sighting

WINDOW_TITLE = "garmentlite"
WINDOW_WH = (960, 720)  # pixels, the largest size with which the window opens
QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 is Esc
WAIT_MS = 50  # longest time between two checks whether the window was closed
TRIAL_SECONDS = (
    20.0  # time limit for opening a window as a trial; a Raspberry Pi takes a few seconds
)


class WindowSink:
    """Shows the frame and the answer in a window; q, Esc or closing the window ends the stream."""

    def __init__(self, title: str = WINDOW_TITLE) -> None:
        """Chooses the title. Call `why_no_window` first to learn whether a window can be opened."""
        self._title = title

    def __enter__(self) -> Self:
        """Checks that a window can be opened; it opens at the first frame, whose size it takes.

        Raises:
            MissingPartError: If no window can be opened. OpenCV would end the process at the attempt.
        """
        obstacle = why_no_window()
        if obstacle:
            raise MissingPartError(f"No window can be opened: {obstacle}")
        # The Qt in OpenCV's wheel prints warnings about fonts that it does not need here.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        self._cv2 = load_opencv()
        # The value of time.monotonic at which a frame of time 0 was shown, or would have been.
        self._time_zero: float | None = None
        self._draw_ms: float | None = None  # time to draw the last frame; shown in the next one
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the window."""
        # OpenCV raises an error if the user has closed it.
        with suppress(self._cv2.error):
            self._cv2.destroyWindow(self._title)

    def show(self, sighting: Sighting) -> bool:
        """Draws a frame and waits for as long as its source says; returns False to end the stream."""
        start = time.perf_counter()
        recognition = sighting.recognition
        if self._draw_ms is not None:
            recognition = replace(
                recognition, latency_ms={**recognition.latency_ms, "draw": self._draw_ms}
            )
        picture = annotate(
            sighting.frame.bgr,
            recognition,
            frames_per_second=sighting.frames_per_second,
            guide_box=sighting.guide_box,
        )
        self._draw_ms = (time.perf_counter() - start) * 1000
        frame = sighting.frame
        if self._time_zero is None:
            self._open(picture)
            self._time_zero = time.monotonic() - frame.time
        self._cv2.imshow(self._title, picture)
        # A recording runs at its own speed; a live frame stays until the next one is there.
        is_recorded = frame.duration > 0
        return self._wait(self._time_zero + frame.time + frame.duration if is_recorded else 0.0)

    def show_state(self, camera: CameraState) -> bool:
        """Keeps the last picture and handles the window's events; returns False to end the stream."""
        return self._time_zero is None or self._wait(0.0)

    def _open(self, picture: np.ndarray) -> None:
        cv2 = self._cv2
        height, width = picture.shape[:2]
        scale = min(WINDOW_WH[0] / width, WINDOW_WH[1] / height)
        # GUI_NORMAL leaves out the buttons that Qt shows above the picture.
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(self._title, flags)
        cv2.resizeWindow(self._title, round(width * scale), round(height * scale))

    def _wait(self, until: float) -> bool:
        """Handles the window's events until a value of time.monotonic; False if the user wants to end."""
        while True:
            left_ms = round((until - time.monotonic()) * 1000)
            # In short steps, so that a window that was closed with its button is noticed soon.
            key = self._cv2.waitKey(min(max(left_ms, 1), WAIT_MS))
            if key & 0xFF in QUIT_KEYS or not self._is_visible():
                return False
            if left_ms <= WAIT_MS:
                return True

    def _is_visible(self) -> bool:
        try:
            return self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) > 0
        except self._cv2.error:  # some of OpenCV's window systems raise if the window is gone
            return False


def why_no_window() -> str | None:
    """Finds out whether a window can be opened, without opening one in this process.

    OpenCV ends the process if it cannot reach the display. So on Linux a window is opened in another process
    first, which takes half a second on a PC.

    Returns:
        None if a window can be opened; otherwise half a sentence that gives the reason and what to do.

    Raises:
        MissingPartError: If OpenCV is not installed.
    """
    if not built_with_windows(load_opencv().getBuildInformation()):
        return (
            "this OpenCV was built without windows; in a fresh environment install "
            "'garmentlite[desktop]' in place of 'garmentlite[headless]'."
        )
    if not sys.platform.startswith("linux"):
        return None
    displays = [os.environ.get(name, "") for name in ("DISPLAY", "WAYLAND_DISPLAY")]
    if not any(displays):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)."
    if not _opens_in_trial(*displays):
        return "this OpenCV cannot use the display that DISPLAY or WAYLAND_DISPLAY names."
    return None


def built_with_windows(build_information: str) -> bool:
    """Reads in the text of `cv2.getBuildInformation` whether OpenCV has a window system."""
    for line in build_information.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "GUI":
            return value.strip() not in ("", "NONE")
    return True  # if the text has another form, the trial decides


@cache
def _opens_in_trial(display: str, wayland_display: str) -> bool:
    """Opens a window in another process; the result is kept for these two values of the environment."""
    trial = "import cv2; cv2.namedWindow('garmentlite'); cv2.destroyAllWindows()"
    try:
        result = subprocess.run(
            [sys.executable, "-c", trial], capture_output=True, timeout=TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0
