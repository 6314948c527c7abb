"""The program of the process that owns the window; `display.py` starts it and talks to it.

OpenCV's window system ends its process when the display is lost. In a process of its own it takes neither the
camera nor a recording with it. The program needs only OpenCV and NumPy, and imports nothing of garmentlite.

It reads pictures from standard input: a header of the format `HEADER` with a way to show the picture (see
`display.Way`), height and width, and then uint8 BGR values. Of several pictures only the newest one is shown.
It writes events to standard output, one JSON list on each line:

    ["screen", width, height]       once, when the window is there; the size of the screen
    ["view", width, height]         the newest picture does not have the size of the part of the window that
                                    shows it, which is this one; until a picture of this size comes, the
                                    newest one is shown with its proportions kept
    ["key", code]                   a key was pressed; the code is that of `cv2.waitKeyEx`
    ["mouse", action, x, y]         see `display.MouseAction`; x and y are pixels of the shown picture
    ["closed"]                      the user has closed the window

It ends when standard input ends, or when the user closes the window.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np

HEADER = struct.Struct("<BII")
AS_IT_IS, RESIZED, FULL_SCREEN = 0, 1, 2  # ways to show a picture
PRESSED, MOVED, RELEASED = 0, 1, 2  # what the left button of the mouse did
OPENING_ROUNDS = 8  # number of times that events are handled before the window counts as open
FULL_SCREEN_LOOKS = 1.0, 2.0, 4.0, 8.0, 16.0, 32.0  # seconds after asking for the full screen
WAIT_MS = 15  # longest time between two looks at the newest picture


class NewestPicture:
    """Reads pictures in a thread of its own and keeps the newest one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._picture: tuple[int, np.ndarray] | None = None
        self.has_ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def take(self) -> tuple[int, np.ndarray] | None:
        """Returns the way to show the newest picture and the picture; None if there is no new one."""
        with self._lock:
            newest, self._picture = self._picture, None
        return newest

    def _read(self) -> None:
        source = sys.stdin.buffer
        while len(header := source.read(HEADER.size)) == HEADER.size:
            way, height, width = HEADER.unpack(header)
            content = source.read(height * width * 3)
            if len(content) < height * width * 3:
                break
            picture = np.frombuffer(content, np.uint8).reshape(height, width, 3)
            with self._lock:
                if self._picture is not None and self._picture[0] == RESIZED:
                    way = way or RESIZED  # the picture that this one replaces was not shown
                self._picture = (way, picture)
        self.has_ended = True


class Window:
    """OpenCV's window."""

    def __init__(self, title: str) -> None:
        import cv2

        self._cv2: Any = cv2
        self._title = title
        # FREERATIO: pictures are made for the size of the window. GUI_NORMAL leaves out Qt's buttons.
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL
        # On an X server without a window manager, Qt never paints the first window of a process in about one
        # of ten starts. So the first one is tiny and is closed when the real one is there.
        first = title + " is starting"
        for name, size in ((first, 1), (title, 400)):
            cv2.namedWindow(name, flags)
            cv2.resizeWindow(name, size, size)
            for _ in range(OPENING_ROUNDS):
                cv2.waitKeyEx(WAIT_MS)
        cv2.destroyWindow(first)
        self._screen_wh, self._is_managed = self._find_screen()
        self._is_full, self._before = False, self._size()
        self._looks_again: list[float] = []  # values of time.monotonic() for looks at a full screen
        self._picture: np.ndarray | None = None
        self._view_wh = self._size()  # the size for which the picture was shown
        self._place = 0, 0, 1.0  # left, top and enlargement of the picture within the view
        cv2.setMouseCallback(title, self._on_mouse)
        say("screen", *self._screen_wh)

    def show(self, way: int, picture: np.ndarray) -> None:
        """Shows a picture and changes the window if the way says so."""
        cv2 = self._cv2
        if (way == FULL_SCREEN) != self._is_full:
            self._is_full = way == FULL_SCREEN
            if self._is_full:
                self._before = self._size()
            if self._is_managed:
                cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, float(self._is_full))
                self._looks_again = [time.monotonic() + after for after in FULL_SCREEN_LOOKS]
            elif self._is_full:
                cv2.moveWindow(self._title, 0, 0)
                cv2.resizeWindow(self._title, *self._screen_wh)
            else:
                cv2.resizeWindow(self._title, *self._before)
        if way == RESIZED:
            height, width = picture.shape[:2]
            cv2.resizeWindow(self._title, width, height)
            self._keep_on_screen(width, height)
        self._picture = picture
        self._present()

    def pump(self) -> bool:
        """Handles what the user did; returns False if the window is closed."""
        key = self._cv2.waitKeyEx(WAIT_MS)
        if not self._is_visible():
            return False
        if key != -1:
            say("key", key)
        self._insist_on_full_screen()
        if self._picture is not None and self._size() != self._view_wh:
            self._present()
        return True

    def _insist_on_full_screen(self) -> None:
        """Asks for the full screen again if the window has not grown.

        If the window manager is still busy with the new window at the first time, the window on the screen
        grows, but sometimes Qt does not notice, and paints only the old part of it.
        """
        cv2 = self._cv2
        if not self._is_full or not self._looks_again or time.monotonic() < self._looks_again[0]:
            return
        del self._looks_again[0]
        if self._size() == self._before != self._screen_wh:
            cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, 0.0)
            cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, 1.0)

    def _present(self) -> None:
        """Shows the picture in the window at its present size, and reports a size that has changed.

        Window managers change the size when they like, and OpenCV would stretch the picture to it.
        """
        assert self._picture is not None
        self._view_wh = self._size()
        picture, left, top, factor = fitted(self._picture, self._view_wh, self._cv2)
        self._place = left, top, factor
        self._cv2.imshow(self._title, picture)
        if picture is not self._picture:
            say("view", *self._view_wh)

    def _size(self) -> tuple[int, int]:
        _, _, width, height = self._cv2.getWindowImageRect(self._title)
        return int(width), int(height)

    def _keep_on_screen(self, width: int, height: int) -> None:
        """Moves a window that would stick out to the middle of the screen."""
        left, top, _, _ = self._cv2.getWindowImageRect(self._title)
        screen_width, screen_height = self._screen_wh
        if left + width > screen_width or top + height > screen_height:
            middle = (screen_width - width) // 2, (screen_height - height) // 2
            self._cv2.moveWindow(self._title, max(0, middle[0]), max(0, middle[1]))

    def _is_visible(self) -> bool:
        try:
            return bool(self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) > 0)
        except self._cv2.error:  # some of OpenCV's window systems raise if the window is gone
            return False

    def _find_screen(self) -> tuple[tuple[int, int], bool]:
        """Finds the size of the screen, and whether the system makes windows full: all but bare X11 do."""
        if os.environ.get("DISPLAY"):
            with suppress(OSError):
                return look_at_x11()
        cv2 = self._cv2
        cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, 1.0)
        cv2.waitKeyEx(100)
        found = self._size()
        cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, 0.0)
        cv2.waitKeyEx(1)
        return found, True

    def _on_mouse(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        cv2 = self._cv2
        actions = {cv2.EVENT_LBUTTONDOWN: PRESSED, cv2.EVENT_LBUTTONUP: RELEASED}
        if event in actions or event == cv2.EVENT_MOUSEMOVE:
            left, top, factor = self._place
            place = round((x - left) / factor), round((y - top) / factor)
            say("mouse", actions.get(event, MOVED), *place)


def fitted(
    picture: np.ndarray, view_wh: tuple[int, int], cv2: Any
) -> tuple[np.ndarray, int, int, float]:
    """Enlarges or reduces a picture to a size, with black bars where its proportions are others.

    Returns:
        The picture, which is the given one if it has the size; its left and top in it; the enlargement.
    """
    height, width = picture.shape[:2]
    view_width, view_height = (max(1, side) for side in view_wh)
    if (width, height) == (view_width, view_height):
        return picture, 0, 0, 1.0
    factor = min(view_width / width, view_height / height)
    inner = max(1, round(width * factor)), max(1, round(height * factor))
    left, top = (view_width - inner[0]) // 2, (view_height - inner[1]) // 2
    canvas = np.zeros((view_height, view_width, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner)
    return canvas, left, top, factor


def look_at_x11() -> tuple[tuple[int, int], bool]:
    """Asks the X server of $DISPLAY for the size of its screen and whether a window manager runs.

    Raises:
        OSError: If that is not possible.
    """
    x11 = ctypes.CDLL("libX11.so.6")
    for name in ("XOpenDisplay", "XDefaultRootWindow", "XInternAtom"):
        getattr(x11, name).restype = ctypes.c_void_p
    opened = x11.XOpenDisplay(None)
    if not opened:
        raise OSError("no display")
    display = ctypes.c_void_p(opened)
    screen = x11.XDefaultScreen(display)
    size = x11.XDisplayWidth(display, screen), x11.XDisplayHeight(display, screen)
    # A window manager names its own window in this property of the root window.
    root = ctypes.c_void_p(x11.XDefaultRootWindow(display))
    check = ctypes.c_void_p(x11.XInternAtom(display, b"_NET_SUPPORTING_WM_CHECK", False))
    kind, count, rest, value = (ctypes.c_ulong() for _ in range(4))
    width = ctypes.c_int()
    x11.XGetWindowProperty(
        display, root, check, ctypes.c_long(0), ctypes.c_long(1), False, ctypes.c_ulong(0),
        *map(ctypes.byref, (kind, width, count, rest, value)),
    )  # fmt: skip
    x11.XCloseDisplay(display)
    return size, count.value > 0


def say(*event: str | int) -> None:
    """Writes an event."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Shows pictures until standard input ends or the user closes the window."""
    window, pictures = Window(sys.argv[1]), NewestPicture()
    while not pictures.has_ended:
        newest = pictures.take()
        if newest is not None:
            window.show(*newest)
        if not window.pump():
            say("closed")
            return


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the app has ended
        main()
    os._exit(0)  # the reading thread may wait in a lock of standard input
