"""Shows how far a long step is, in one line of the terminal that changes in place."""

from __future__ import annotations

import shutil
import sys
import time

_BAR = 30  # characters
_LEAST_SECONDS = 0.1  # between two changes of the line, which a slow terminal would delay


class ProgressLine:
    """A line on standard error, below what was printed; nothing is shown where that is not a terminal."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        self._is_shown = False
        self._step = ""
        self._began_at = self._shown_at = 0.0

    def show(self, what: str, done: int, of: int) -> None:
        """Shows the state of a step in place of the last one.

        Args:
            what: The step.
            done: How much of it is done, such as a number of images; 1 begins anew.
            of: How much there is to do.
        """
        if not sys.stderr.isatty():
            return
        now = time.monotonic()
        if what != self._step or done <= 1:
            self._step, self._began_at = what, now
        elif now - self._shown_at < _LEAST_SECONDS:
            return
        self._shown_at = now
        seconds = (now - self._began_at) * (of - done) / max(done, 1)
        filled = _BAR * done // max(of, 1)
        bar = "#" * filled + "-" * (_BAR - filled)
        self._write(f"{what} {bar} {done}/{of}, {seconds // 60:.0f}:{seconds % 60:02.0f} left")
        self._is_shown = True

    def clear(self) -> None:
        """Removes the line, so that something else can be printed in its place."""
        if self._is_shown:
            self._write("")
            self._is_shown = False

    def _write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1  # a full line would scroll
        sys.stderr.write("\r" + text[:width].ljust(width) + ("" if text else "\r"))
        sys.stderr.flush()
