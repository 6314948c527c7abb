"""One JSON object on each line, for other programs and for boards without a screen."""

from __future__ import annotations

import json
import os
from types import TracebackType
from typing import Any, Self, TextIO

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.sinks.interface import Sighting


class JsonLinesSink:
    """Writes each answer to a text stream."""

    def __init__(self, stream: TextIO, *, top_k: int = 3) -> None:
        """Chooses the stream.

        Args:
            stream: An open text stream. It is not closed here.
            top_k: Number of classes to list.
        """
        self._stream = stream
        self._top_k = top_k

    def __enter__(self) -> Self:
        """Does nothing, since the caller opened the stream."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Does nothing, since the caller closes the stream."""

    def show(self, sighting: Sighting) -> bool:
        """Writes and flushes a line; returns False if nobody reads the stream any more."""
        frame = sighting.frame
        document: dict[str, Any] = {"time": round(frame.time, 3)}
        if frame.name is not None:
            document["name"] = frame.name
        document |= sighting.recognition.as_document(self._top_k)
        try:
            self._stream.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            _divert_to_nowhere(self._stream)
            return False
        return True

    def show_state(self, camera: CameraState) -> bool:
        """Does nothing, since there is no answer to write."""
        return True


def _divert_to_nowhere(stream: TextIO) -> None:
    """Makes the flush that Python does at exit succeed, since the pipe is broken."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
