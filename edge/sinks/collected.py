"""Keeps pictures that are worth learning from: those of which the model is not sure."""

from __future__ import annotations

from typing import Self

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.collected import CollectedPictures, Kept
from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.recognition import SURE
from garmentlite.edge.sinks.interface import Sighting

PAUSE_S = 1.0  # shortest time between two pictures of one garment


class CollectedSink:
    """Keeps a picture, without a label, when the answer is uncertain or has just changed.

    Attributes:
        collected: The pictures.
    """

    def __init__(self, collected: CollectedPictures) -> None:
        """Chooses where the pictures are kept."""
        self.collected = collected
        self._latest: Sighting | None = None

    def keep(self, label: str | None) -> str:
        """Keeps the garment that is in view now, for a key or a button; any thread may call this.

        Args:
            label: What a person says it shows; None if nobody has said it.

        Returns:
            A sentence that says what became of it.

        Raises:
            OptionError: If the label cannot be that of a class.
            OutputError: If a file cannot be written.
        """
        latest = self._latest
        return str(self.collected.keep(latest, label) if latest else Kept.NO_GARMENT)

    def __enter__(self) -> Self:
        """Begins without an answer."""
        self._label = NO_GARMENT
        self._still: str | None = None
        self._tried_at: float | None = None
        return self

    def __exit__(self, *exception: object) -> None:
        """Does nothing, since every picture is complete."""

    def show(self, sighting: Sighting) -> bool:
        """Keeps the picture if the answer is uncertain or has changed from one garment to another.

        Raises:
            OutputError: If a file cannot be written.
        """
        self._latest = sighting
        answer, frame = sighting.recognition, sighting.frame
        is_over = frame.name != self._still or answer.label == NO_GARMENT
        if is_over:  # what follows is another garment
            if self._label != NO_GARMENT:
                self.collected.begin_hold_up()
            self._still, self._label, self._tried_at = frame.name, NO_GARMENT, None
        previous, self._label = self._label, answer.label
        if answer.label == NO_GARMENT or self._is_too_soon(frame.time):
            return True
        has_changed = previous not in (NO_GARMENT, answer.label)
        if has_changed or answer.label == UNKNOWN or answer.confidence < SURE:
            self._tried_at = frame.time
            self.collected.keep(sighting)
        return True

    def show_state(self, camera: CameraState) -> bool:
        """Forgets the last frame, since nothing is in view."""
        self._latest = None
        return True

    def _is_too_soon(self, seconds: float) -> bool:
        # The time begins anew if the source is opened again.
        return self._tried_at is not None and 0 <= seconds - self._tried_at < PAUSE_S
