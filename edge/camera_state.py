"""The state of the camera, as the app's outputs show it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class CameraStatus(StrEnum):
    """What a camera does at the moment. Only frames of a camera that is `OK` are answered."""

    OPENING = "opening"  # it is being opened for the first time
    SETTLING = "settling"  # its exposure has not settled yet
    OK = "ok"
    PAUSED = "paused"  # the user has paused the app
    BLACK = "black"  # its frames are black, as behind a lens cap
    FROZEN = "frozen"  # it repeats one frame
    LOST = "lost"  # it gives no frames, and is opened again after a pause


@dataclass(frozen=True)
class CameraState:
    """What a camera does, and since when.

    Attributes:
        status: What the camera does.
        message: A sentence for people that says what is wrong and what to do; empty for `OK`.
        since: Seconds since the source was opened at which the status began.
        reconnects: How often the camera was opened again.
        bad_frames: Number of frames so far that could not be used.
    """

    status: CameraStatus
    message: str = ""
    since: float = 0.0
    reconnects: int = 0
    bad_frames: int = 0

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON object of the state; `since` is rounded to milliseconds."""
        return {**asdict(self), "status": str(self.status), "since": round(self.since, 3)}
