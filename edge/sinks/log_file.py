"""Writes the JSON lines of the app to a log file, which is renamed when it has grown large."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self, TextIO, cast

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.errors import OutputError
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sinks.json_lines import JsonLinesSink


@dataclass(frozen=True)
class LogRequest:
    """What is logged.

    Attributes:
        path: The file that is written. When it is full, it is renamed to `path` with ".1", the older ".1" to
            ".2" and so on.
        largest_mb: Size at which a file is full, in MB.
        old_files: Number of renamed files that are kept.
    """

    path: Path
    largest_mb: float = 10.0
    old_files: int = 5


class LogSink:
    """Writes each answer to a log file."""

    def __init__(self, request: LogRequest, *, top_k: int = 3) -> None:
        """Chooses what is logged.

        Args:
            request: The file, its largest size and the number of old files.
            top_k: Number of classes to list.
        """
        self._file = RotatingFile(request)
        self._lines = JsonLinesSink(cast(TextIO, self._file), top_k=top_k)

    def __enter__(self) -> Self:
        """Opens the file, whose old lines are kept; raises `OutputError` if it cannot be opened."""
        self._file.open()
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the file."""
        self._file.close()

    def show(self, sighting: Sighting) -> bool:
        """Writes a line; always returns True; raises `OutputError` if it cannot be written."""
        return self._lines.show(sighting)

    def show_state(self, camera: CameraState) -> bool:
        """Writes a line if the state has changed, as `show` does."""
        return self._lines.show_state(camera)


class RotatingFile:
    """A text file that is renamed when it is full, and begun anew."""

    def __init__(self, request: LogRequest) -> None:
        """Chooses the file, which `open` opens."""
        self._request = request
        self._handle = -1

    def open(self) -> None:
        """Opens the file for appending, and makes its folder; raises `OutputError` if that fails."""
        path = self._request.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except (OSError, ValueError) as error:
            raise _cannot_write(path, error) from error
        status = os.fstat(self._handle)
        self._size = status.st_size
        self._identity = status.st_dev, status.st_ino
        self._is_regular = stat.S_ISREG(status.st_mode)  # a device or a pipe is never renamed

    def close(self) -> None:
        """Closes the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def write(self, text: str) -> None:
        """Writes whole lines at once; of a line that does not fit on the disk nothing is left.

        If somebody has deleted or renamed the file, a new one is made.

        Raises:
            OutputError: If they cannot be written.
        """
        content = text.encode(errors="backslashreplace")
        if self._is_regular and not self._is_in_place():
            self.close()
            self.open()
        try:
            if self._is_regular and 0 < self._size > self._request.largest_mb * 1e6 - len(content):
                self._rotate()
            written = os.write(self._handle, content)
            if written < len(content):  # a full disk takes the beginning of a line
                os.write(self._handle, content[written:])
        except OSError as error:
            if self._is_regular:
                with suppress(OSError):
                    os.ftruncate(self._handle, self._size)
            raise _cannot_write(self._request.path, error) from error
        self._size += len(content)

    def flush(self) -> None:
        """Does nothing, since `write` gives every line to the system at once."""

    def _is_in_place(self) -> bool:
        """Whether the path still leads to the open file."""
        try:
            status = os.stat(self._request.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _rotate(self) -> None:
        path = self._request.path
        names = [path, *(Path(f"{path}.{n + 1}") for n in range(self._request.old_files))]
        for newer, older in reversed(list(pairwise(names))):
            with suppress(FileNotFoundError):
                newer.replace(older)
        self.close()
        self.open()


def _cannot_write(path: Path, error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(
        f"The log {path} cannot be written: {reason}; name another place or free this one."
    )
