"""What a source is, and the frames that it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from garmentlite.edge.pictures import Picture


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
            next one.
        alpha: uint8, shape (H, W), 0 = transparent; None if the picture is opaque.
    """

    bgr: np.ndarray
    time: float
    name: str | None = None
    duration: float = 0.0
    alpha: np.ndarray | None = None

    def mirrored(self) -> Frame:
        """Swaps left and right."""
        alpha = None if self.alpha is None else np.ascontiguousarray(self.alpha[:, ::-1])
        return replace(self, bgr=np.ascontiguousarray(self.bgr[:, ::-1]), alpha=alpha)

    def picture(self) -> Picture:
        """Copies the frame into the form that is recognized."""
        return Picture.from_bgr(self.bgr, self.alpha)


class Source(Protocol):
    """A stream of frames. A `with` block holds it open, and a `for` loop inside the block reads it.

    Entering the block raises `SourceError` if the source cannot be opened, and the loop raises it if the
    source is lost. The loop ends when the stream ends. Leaving the block always closes the source.

    Attributes:
        is_live: Whether frames that are not taken in time are dropped, as a camera's are.
    """

    is_live: bool

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class SourceSettings:
    """What a source needs to know beside the text that names it.

    Attributes:
        resolution_wh: Width and height in pixels that a camera is asked for and a drawn pattern has.
        warn: Called with one sentence for each picture of a folder that cannot be read.
    """

    resolution_wh: tuple[int, int]
    warn: Callable[[str], None]
