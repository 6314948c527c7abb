"""What a source is, and the frames that it gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from garmentlite.edge.callbacks import Say
from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.errors import OptionError
from garmentlite.edge.pictures import MIN_SIDE, Picture

DEFAULT_RESOLUTION_WH = (640, 480)  # pixels
_LONGEST_SIDE = 10_000  # pixels; a longer one is refused as a typing mistake


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a stream.

    Attributes:
        bgr: uint8, shape (H, W, 3), in OpenCV's order of channels.
        time: Seconds since the source was opened: real time for a camera, the time in the recording for
            any other source.
        name: Name of a still picture; None for a frame of a moving one. When the name changes, a new scene
            begins.
        duration: Seconds for which a viewer should see the frame; 0 for a live frame, which stays until the
            next one; infinite for a single picture, which stays until the viewer leaves it.
        alpha: uint8, shape (H, W), 0 = transparent; None if the picture is opaque.
    """

    bgr: np.ndarray
    time: float
    name: str | None = None
    duration: float = 0.0
    alpha: np.ndarray | None = None

    def turned(self, degrees: int) -> Frame:
        """Turns the frame clockwise by 0, 90, 180 or 270 degrees."""
        if degrees == 0:
            return self
        turns = -degrees // 90  # np.rot90 turns the other way
        alpha = None if self.alpha is None else np.ascontiguousarray(np.rot90(self.alpha, turns))
        return replace(self, bgr=np.ascontiguousarray(np.rot90(self.bgr, turns)), alpha=alpha)

    def mirrored(self) -> Frame:
        """Swaps left and right."""
        alpha = None if self.alpha is None else np.ascontiguousarray(self.alpha[:, ::-1])
        return replace(self, bgr=np.ascontiguousarray(self.bgr[:, ::-1]), alpha=alpha)

    def picture(self) -> Picture:
        """Copies the frame into the form that is recognized."""
        return Picture.from_bgr(self.bgr, self.alpha)


class Source(Protocol):
    """A stream of frames. A `with` block holds it open, and a `for` loop inside the block reads it.

    Entering the block raises `SourceError` if the source cannot be opened. The loop ends when the stream
    ends. A camera gives its state between the frames, about ten times a second for as long as it has no frame
    to answer, and is opened again when it is lost. Leaving the block always closes the source.
    """

    @property
    def camera(self) -> CameraState | None:
        """What the camera does at the moment; None for a source that is no camera."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def __iter__(self) -> Iterator[Frame | CameraState]: ...


def parse_resolution(text: str) -> tuple[int, int]:
    """Reads width and height in pixels from a command-line option such as "640x480".

    Raises:
        OptionError: If the text is no such size, or a side is below 28 or above 10,000 pixels.
    """
    sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.lower())
    if sides and all(MIN_SIDE <= int(side) <= _LONGEST_SIDE for side in sides.groups()):
        return int(sides[1]), int(sides[2])
    raise OptionError(
        f"--resolution needs width x height in pixels, such as 1280x720, with sides from {MIN_SIDE} to "
        f"{_LONGEST_SIDE}; it was '{text}'."
    )


@dataclass(frozen=True)
class SourceSettings:
    """What a source needs to know beside the text that names it.

    Attributes:
        warn: Called with one sentence for each picture or video that cannot be read as a whole.
        note: Called with one sentence about the files of a folder that are no pictures.
        resolution_wh: Width and height in pixels that a camera is asked for and a drawn pattern has.
        fps: Frames per second that a camera is asked for; None for its default.
        allow_static: Whether a camera may repeat a frame. Without it, a camera that repeats one frame for 3
            seconds counts as frozen.
    """

    warn: Say
    note: Say
    resolution_wh: tuple[int, int] = DEFAULT_RESOLUTION_WH
    fps: float | None = None
    allow_static: bool = False
