"""What a sink is, and what it gets for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.recognition import Recognition
from garmentlite.edge.sources.interface import Frame


@dataclass(frozen=True, eq=False)
class Sighting:
    """The answer to one frame of a stream.

    Attributes:
        frame: The frame as it was captured.
        recognition: The steady answer, with the mask and the 28x28 image of this frame. Its `latency_ms` has
            the stage "capture" too, which is the time spent waiting for the frame.
        answer_to_frame: The answer to this frame alone, before it was made steady.
        frames_per_second: Rate of the whole loop over the last frames; 0 for the first frame.
        clock: When the frame was answered, in seconds since 1970 (`time.time`).
        camera: State of the camera; None for a video file, pictures and the test pattern.
        guide_box: Where a garment is expected; None for a still picture, which has no such place.
    """

    frame: Frame
    recognition: Recognition
    answer_to_frame: Recognition
    frames_per_second: float
    clock: float
    camera: CameraState | None = None
    guide_box: GuideBox | None = None


class Sink(Protocol):
    """A place where answers go. A `with` block holds it open.

    Each method may raise an error of `edge.errors`. Raised while the sink is opened, it ends the app. Raised
    later, it ends this sink alone, unless there is no other. A sink with which a user ends the whole app,
    such as a window, stops the `Controls` of the stream.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def show(self, sighting: Sighting) -> bool:
        """Takes the answer to one frame; returns False if the sink wants no more."""
        ...

    def show_state(self, camera: CameraState) -> bool:
        """Takes the state of a camera whose frames are not answered; returns False if the sink wants no more.

        It is called when the state changes, and about ten times a second for as long as no frame is answered.
        """
        ...
