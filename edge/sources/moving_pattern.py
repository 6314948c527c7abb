"""The test pattern: drawn garments over a moving background, to try the app without a camera."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Self

import numpy as np

from garmentlite.edge.drawing import draw_moving_frame
from garmentlite.edge.sources.interface import Frame, SourceSettings

TEST_PATTERN = "test-pattern"
FPS = 15.0  # frames per second


def from_text(text: str, settings: SourceSettings) -> MovingPattern | None:
    """Makes the pattern if the text names it."""
    return MovingPattern(settings.resolution_wh) if text == TEST_PATTERN else None


class MovingPattern:
    """A stream without end, with the same frames each time."""

    camera = None

    def __init__(self, resolution_wh: tuple[int, int]) -> None:
        """Chooses width and height in pixels."""
        self.resolution_wh = resolution_wh

    def __enter__(self) -> Self:
        """Does nothing, since there is nothing to open."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Does nothing, since nothing is held open."""

    def __iter__(self) -> Iterator[Frame]:
        """Draws frame after frame."""
        for index in count():
            seconds = index / FPS
            rgb, _ = draw_moving_frame(seconds, self.resolution_wh)
            bgr = np.ascontiguousarray(rgb[..., ::-1])
            yield Frame(bgr, seconds, duration=1 / FPS)
