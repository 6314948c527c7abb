"""JPEG pictures one after the other (MJPEG) on standard input, from a program such as rpicam-vid."""

from __future__ import annotations

import io
import os
import select

import numpy as np

from garmentlite.edge.errors import SourceError
from garmentlite.edge.pictures import MAX_PIXELS
from garmentlite.edge.read_errors import READ_ERRORS
from garmentlite.edge.sources.interface import SourceSettings
from garmentlite.edge.sources.live import LiveSource

STANDARD_INPUT = "-"
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"  # of a JPEG picture
_MOST_BYTES = 32 << 20  # of a picture; if its end is not found by then, it is dropped
_SILENT_SECONDS = 2.0  # after so long without a byte, the input counts as lost


def from_text(text: str, settings: SourceSettings) -> LiveSource | None:
    """Makes the source if the text names it."""
    if text != STANDARD_INPUT:
        return None
    return LiveSource(StandardInput(), allow_static=settings.allow_static)


class StandardInput:
    """Reads pictures from standard input; "opening" it again goes on where it was."""

    name = "Standard input"

    def __init__(self, descriptor: int = 0) -> None:
        """Chooses the descriptor of the file to read."""
        self._descriptor = descriptor
        self._buffer = bytearray()

    def open(self) -> StandardInput:
        """Checks that something is connected; raises `SourceError` if a person would have to type it."""
        if os.isatty(self._descriptor):
            raise SourceError(
                "Standard input is a terminal; connect a program that writes MJPEG, such as "
                "'rpicam-vid -t 0 --codec mjpeg -o - | cli webcam --source -'."
            )
        return self

    def close(self) -> None:
        """Does nothing, since standard input stays open."""

    def read(self) -> object:
        """Waits for the next picture.

        Returns:
            uint8, shape (H, W, 3), BGR; None if the picture is damaged.

        Raises:
            SourceError: If nothing comes for 2 seconds.
            EOFError: If the program that writes has ended.
        """
        while True:
            start = self._buffer.find(_START)
            end = self._buffer.find(_END, start) + len(_END) if start >= 0 else 0
            if end > len(_END):
                later = self._buffer.rfind(_START, start + 1, end)
                if later >= 0:  # the first picture broke off
                    del self._buffer[:later]
                    return None
                picture = bytes(self._buffer[start:end])
                del self._buffer[:end]
                return _decoded(picture)
            if len(self._buffer) > _MOST_BYTES:
                self._buffer.clear()
                return None
            self._fill()

    def _fill(self) -> None:
        if not select.select([self._descriptor], [], [], _SILENT_SECONDS)[0]:
            raise SourceError("Standard input gives no data; check the program that writes to it.")
        data = os.read(self._descriptor, 1 << 20)
        if not data:
            raise EOFError
        self._buffer += data


def _decoded(picture: bytes) -> np.ndarray | None:
    """Decodes a JPEG picture; None if it is damaged."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture), formats=["JPEG"]) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return None
            return np.ascontiguousarray(np.asarray(opened.convert("RGB"))[..., ::-1])
    except (*READ_ERRORS, Image.DecompressionBombError):
        return None
