"""One JSON object on each line, for other programs and for boards without a screen."""

from __future__ import annotations

import json
import time
from typing import Any, Self, TextIO

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import OutputError
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.standard_streams import discard


class JsonLinesSink:
    """Writes each answer, and each change of the camera's state, to a text stream."""

    def __init__(self, stream: TextIO, *, top_k: int = 3) -> None:
        """Chooses the stream.

        Args:
            stream: An open text stream. It is not closed here.
            top_k: Number of classes to list.
        """
        self._stream = stream
        self._top_k = top_k
        self._status: CameraStatus | None = None

    def __enter__(self) -> Self:
        """Does nothing, since the caller opened the stream."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Does nothing, since the caller closes the stream."""

    def show(self, sighting: Sighting) -> bool:
        """Writes and flushes a line; returns False if nobody reads the stream any more.

        Raises:
            OutputError: If it cannot be written, as on a full disk.
        """
        self._status = sighting.camera.status if sighting.camera else None
        return self._write(sighting_document(sighting, self._top_k))

    def show_state(self, camera: CameraState) -> bool:
        """Writes a line if the status has changed; otherwise as `show`."""
        if camera.status is self._status:
            return True
        self._status = camera.status
        return self._write(state_document(camera))

    def _write(self, document: dict[str, Any]) -> bool:
        try:
            self._stream.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            discard(self._stream)
            return False
        except OSError as error:
            discard(self._stream)
            raise OutputError(
                f"The answers cannot be written to standard output ({error.strerror}); make room, or send "
                "them to another file."
            ) from error
        return True


def sighting_document(sighting: Sighting, top_k: int) -> dict[str, Any]:
    """Makes the JSON object of an answer, with the `top_k` most probable classes."""
    frame, raw = sighting.frame, sighting.answer_to_frame
    document: dict[str, Any] = {"time": round(frame.time, 3)}
    if frame.name is not None:
        document["name"] = frame.name
    height, width = frame.bgr.shape[:2]
    return {
        **document,
        **sighting.recognition.as_document(top_k),
        "answer_to_frame": {
            key: raw.as_document(top_k)[key] for key in ("label", "confidence", "top_k")
        },
        "frame_size": [width, height],
        "frames_per_second": round(sighting.frames_per_second, 2),
        "clock": round(sighting.clock, 3),
        "camera": sighting.camera.as_document() if sighting.camera else None,
    }


def state_document(camera: CameraState) -> dict[str, Any]:
    """Makes the JSON object of a camera whose frames are not answered."""
    return {"label": None, "clock": round(time.time(), 3), "camera": camera.as_document()}
