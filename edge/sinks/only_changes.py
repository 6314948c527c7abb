"""Passes on only what is new, for logs that grow for months."""

from __future__ import annotations

import time
from typing import Self

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.sinks.interface import Sighting, Sink

LONGEST_SILENCE_S = 60.0


class OnlyChangesSink:
    """Gives another sink each answer that differs from the one before, and one a minute if none does."""

    def __init__(self, sink: Sink) -> None:
        """Takes the sink that gets the answers."""
        self._sink = sink
        self._label: str | None = None
        self._passed_on = float("-inf")  # when the last answer was passed on, by time.monotonic

    def __enter__(self) -> Self:
        """Opens the sink."""
        self._sink.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the sink."""
        self._sink.__exit__(*exception)

    def show(self, sighting: Sighting) -> bool:
        """Passes the answer on if its label is new or a minute is over."""
        now, label = time.monotonic(), sighting.recognition.label
        if label == self._label and now - self._passed_on < LONGEST_SILENCE_S:
            return True
        self._label, self._passed_on = label, now
        return self._sink.show(sighting)

    def show_state(self, camera: CameraState) -> bool:
        """Passes the state on; the sink decides which states it shows."""
        return self._sink.show_state(camera)
