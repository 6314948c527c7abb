"""Shows frames and answers in a window, and does what its keys say."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.collected import CollectedPictures
from garmentlite.edge.controls import Controls
from garmentlite.edge.errors import GarmentliteError, OutputError
from garmentlite.edge.files import write_bytes
from garmentlite.edge.lettering import write_box
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.overlay import (
    Layout,
    annotate,
    draw_frame,
    draw_guide_box,
    layout_around,
    layout_within,
)
from garmentlite.edge.panel import PAPER, TEXT
from garmentlite.edge.sinks.box_drawing import BoxDrawing
from garmentlite.edge.sinks.display import Display, Event, MouseAction, Way
from garmentlite.edge.sinks.interface import Sighting

KEYS = (
    "h  show or hide these keys",
    "space  pause and go on",
    "s  save a snapshot in the present folder",
    "m  mirror",
    "b  draw the guide box with the mouse",
    "f  full screen",
    "q or Esc  quit",
    "any other key: the next picture of a folder",
)
CLASS_KEYS = "1234567890"  # keep the picture as one of the first ten classes
LARGEST_WH = (1280, 800)  # pixels, the largest window that opens
SHARE_OF_SCREEN = 0.9  # the rest is for the title of the window and the bars of the desktop
# On a screen of at most this size, as a Raspberry Pi's display has, the window opens in full screen.
SMALL_SCREEN_WH = (1024, 600)
BEFORE_FIRST_FRAME_WH = (640, 480)
MESSAGE_SECONDS = 4.0
LOOK_SECONDS = 0.1  # longest time between two looks at messages that expire
LATE_SECONDS = 1.0  # a recording that is later than this does not hurry to catch up
_KEY_BITS = 0xFFFF  # above them are the states of Shift and NumLock
_ESCAPE, _F11 = 27, 0xFFC8
_MODIFIERS = range(0xFFE1, 0xFFEF)  # Shift, Ctrl and the like, pressed alone


class WindowSink:
    """Shows the frame and the answer in a window; `KEYS` lists its keys."""

    def __init__(
        self,
        display: Display,
        controls: Controls,
        folder: Path = Path(),
        collected: CollectedPictures | None = None,
    ) -> None:
        """Takes over an open display, and closes it at the end.

        Args:
            display: The window.
            controls: Changed by the keys.
            folder: Where snapshots are saved.
            collected: Where the keys 1 to 0 keep pictures for training; None if none are collected.
        """
        self._display = display
        self._collected = collected
        self._controls = controls
        self._folder = folder
        self._canvas_wh: tuple[int, int] | None = None
        self._is_full = all(
            side <= small for side, small in zip(display.screen_wh, SMALL_SCREEN_WH, strict=True)
        )
        self._opened_with_frame: bool | None = None  # None before it opened
        self._sighting: Sighting | None = None
        self._camera: CameraState | None = None  # the state that is shown in place of an answer
        self._layout: Layout | None = None
        self._drawing: BoxDrawing | None = None
        self._shows_keys = False
        self._message, self._message_until = "", 0.0
        self._due: float | None = None  # time.monotonic() at which the next recorded frame is due
        self._draw_ms: float | None = None  # time to draw the last frame; shown in the next one
        self._say("The app is starting.")
        self._draw()

    def __enter__(self) -> Self:
        """Does nothing, since the display is open."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the window."""
        self._display.close()

    def show(self, sighting: Sighting) -> bool:
        """Shows a frame for as long as its source says; returns False if the user has ended the app.

        Raises:
            OutputError: If the display is lost.
        """
        if self._sighting is None:
            self._say("h shows the keys")
        self._sighting, self._camera = sighting, None
        self._draw()
        return self._wait(self._until(sighting), is_still=sighting.frame.name is not None)

    def show_state(self, camera: CameraState) -> bool:
        """Shows the state in place of an answer; returns False if the user has ended the app.

        Raises:
            OutputError: If the display is lost.
        """
        self._camera, self._due = camera, None
        self._draw()
        return self._wait(0.0, is_still=False)

    def _until(self, sighting: Sighting) -> float:
        """Finds when the next frame is due. A live frame stays until the next one is there."""
        now, duration = time.monotonic(), sighting.frame.duration
        if duration == 0:
            return 0.0
        if self._due is None or now - self._due > LATE_SECONDS:
            self._due = now
        self._due += duration
        return self._due

    def _wait(self, until: float, *, is_still: bool) -> bool:
        """Does what the user wants until a value of time.monotonic(); returns False if the user ends it."""
        while True:
            left = min(until - time.monotonic(), LOOK_SECONDS)
            has_changed = self._has_expired()
            for event in self._display.events(left):
                has_changed = True
                match event:
                    case ["closed"]:
                        self._controls.change(is_stopped=True)
                        return False
                    case ["key", code]:
                        key = code & _KEY_BITS
                        if self._quits(key):
                            self._controls.change(is_stopped=True)
                        elif not self._obey(key) and is_still and key not in _MODIFIERS:
                            self._due = None
                            return True
                    case _:
                        self._follow(event)
            if self._controls.settings.is_stopped:
                return False
            if has_changed:
                self._draw()
            if is_still and self._controls.settings.is_paused:
                until = self._due = max(until, time.monotonic() + LOOK_SECONDS)
            elif time.monotonic() >= until or self._controls.settings.is_paused:
                return True

    def _quits(self, key: int) -> bool:
        if key == _ESCAPE and (self._drawing or self._shows_keys):
            self._drawing, self._shows_keys, self._message = None, False, ""
            return False
        return key in (ord("q"), ord("Q"), _ESCAPE)

    def _obey(self, key: int) -> bool:
        """Does what a key says; returns whether it means anything."""
        settings = self._controls.settings
        match chr(key).lower():
            case digit if digit in CLASS_KEYS and self._collected is not None:
                self._keep(self._collected, CLASS_KEYS.index(digit))
            case "h":
                self._shows_keys = not self._shows_keys
            case " ":
                self._controls.change(is_paused=not settings.is_paused)
            case "s":
                self._save_snapshot()
            case "m":
                self._controls.change(is_mirrored=not settings.is_mirrored)
                self._say("mirrored" if not settings.is_mirrored else "not mirrored")
            case "b":
                self._begin_box()
            case "f":
                self._is_full = not self._is_full
            case _:
                if key == _F11:
                    self._is_full = not self._is_full
                return key in (_F11, _ESCAPE)
        return True

    def _follow(self, event: Event) -> None:
        """Follows the size of the window and the mouse."""
        match event:
            case ["view", width, height]:
                self._canvas_wh = max(width, 1), max(height, 1)
            case ["mouse", action, x, y] if self._drawing and self._layout:
                place = self._layout.picture
                box = self._drawing.mouse(
                    MouseAction(action),
                    (x - place.left) / place.width,
                    (y - place.top) / place.height,
                )
                if box is not None:
                    self._drawing = None
                    self._controls.change(box=box)
                    self._say("This is the new guide box.")

    def _begin_box(self) -> None:
        if self._sighting is not None and self._sighting.guide_box is None:
            self._say("A picture of a folder has no guide box.")
            return
        self._drawing = BoxDrawing()
        self._say("Drag the mouse from corner to corner; Esc keeps the old box.", math.inf)

    def _save_snapshot(self) -> None:
        """Saves the last answer with its frame at its own size."""
        if self._sighting is None:
            self._say("There is no frame yet.")
            return
        path = self._folder / time.strftime("garmentlite-%Y-%m-%d-%H%M%S.png")
        drawn = _drawn(self._sighting, None)
        try:
            write_bytes(path, load_opencv().imencode(".png", drawn)[1].tobytes())
        except OutputError as error:
            self._say(str(error))
        else:
            self._say(f"Saved as {path}")

    def _keep(self, collected: CollectedPictures, class_id: int) -> None:
        """Keeps the picture that is shown under a class, for training."""
        if class_id >= len(collected.labels):
            self._say(f"The model has only {len(collected.labels)} classes.")
            return
        label = collected.labels[class_id]
        if self._sighting is None or self._camera is not None:
            self._say("There is no picture to keep.")
            return
        try:
            outcome: str = collected.keep(self._sighting, label)
        except GarmentliteError as error:
            outcome = str(error)
        self._say(f"{label}: {outcome}")

    def _key_lines(self) -> list[str]:
        """Lists the keys, and the classes if pictures are collected."""
        if self._collected is None:
            return list(KEYS)
        classes = [
            f"{key}  keep as {label}"
            for key, label in zip(CLASS_KEYS, self._collected.labels, strict=False)
        ]
        return [*KEYS, *classes]

    def _say(self, message: str, seconds: float = MESSAGE_SECONDS) -> None:
        self._message, self._message_until = message, time.monotonic() + seconds

    def _has_expired(self) -> bool:
        """Takes a message away whose time is over; returns whether one was taken away."""
        if not self._message or time.monotonic() < self._message_until:
            return False
        self._message = ""
        return True

    def _draw(self) -> None:
        """Draws what there is to see, and shows it."""
        start = time.perf_counter()
        frame_wh = BEFORE_FIRST_FRAME_WH
        if self._sighting is not None:
            height, width = self._sighting.frame.bgr.shape[:2]
            frame_wh = (width, height)
        way = Way.FULL_SCREEN if self._is_full else Way.AS_IT_IS
        has_frame = self._sighting is not None
        if self._opened_with_frame is None or (has_frame and not self._opened_with_frame):
            self._opened_with_frame = has_frame
            self._canvas_wh = self._opening_wh(frame_wh)
            way = way or Way.RESIZED
        assert self._canvas_wh is not None
        self._layout = layout_within(self._canvas_wh, frame_wh)
        drawn = self._draw_sighting(self._layout)
        self._draw_words(self._layout.picture.of(drawn))
        self._draw_ms = (time.perf_counter() - start) * 1000
        self._display.show(drawn, way)

    def _opening_wh(self, frame_wh: tuple[int, int]) -> tuple[int, int]:
        if self._is_full:
            return self._display.screen_wh
        natural = layout_around(frame_wh)
        largest = [
            min(most, side * SHARE_OF_SCREEN)
            for most, side in zip(LARGEST_WH, self._display.screen_wh, strict=True)
        ]
        factor = min(1.0, largest[0] / natural.width, largest[1] / natural.height)
        return round(natural.width * factor), round(natural.height * factor)

    def _draw_sighting(self, layout: Layout) -> np.ndarray:
        """Draws the answer; only the frame, dimmed, if it was not answered."""
        sighting = self._sighting
        if sighting is None:
            return np.full((layout.height, layout.width, 3), PAPER, np.uint8)
        if self._camera is not None and self._camera.status is not CameraStatus.PAUSED:
            return draw_frame(sighting.frame.bgr // 3, layout)
        return _drawn(sighting, layout, self._draw_ms)

    def _draw_words(self, picture: np.ndarray) -> None:
        """Writes the state, the keys or a message into the picture."""
        assert self._layout is not None
        sizes = self._layout.sizes
        height, width = picture.shape[:2]
        middle = width // 2, height // 2
        if self._drawing is not None and self._drawing.box is not None:
            draw_guide_box(picture, self._drawing.box, sizes, invites=False)
        if self._shows_keys:
            write_box(picture, self._key_lines(), middle, sizes.text, TEXT, PAPER)
        elif self._camera is not None:
            message = self._camera.message or f"The camera is {self._camera.status}."
            write_box(picture, [message], middle, sizes.text, TEXT, PAPER)
        elif self._controls.settings.is_paused:
            write_box(picture, ["The app is paused."], middle, sizes.text, TEXT, PAPER)
        if self._message:
            bottom = width // 2, height - 2 * sizes.text
            write_box(picture, [self._message], bottom, sizes.text, TEXT, PAPER)


def _drawn(sighting: Sighting, layout: Layout | None, draw_ms: float | None = None) -> np.ndarray:
    recognition = sighting.recognition
    if draw_ms is not None:
        recognition = replace(recognition, latency_ms={**recognition.latency_ms, "draw": draw_ms})
    return annotate(
        sighting.frame.bgr,
        recognition,
        frames_per_second=sighting.frames_per_second,
        guide_box=sighting.guide_box,
        layout=layout,
    )
