"""What a user can change while the app runs, from the window, the page or a program."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox


@dataclass(frozen=True)
class Settings:
    """The settings of a running stream.

    Attributes:
        box: Where a garment is expected.
        rotation: By how many degrees each frame is turned clockwise: 0, 90, 180 or 270.
        is_mirrored: Whether left and right of each frame are swapped, after it was turned.
        is_paused: Whether no frames are looked at.
        is_stopped: Whether the stream ends before its next frame.
    """

    box: GuideBox = DEFAULT_BOX
    rotation: int = 0
    is_mirrored: bool = False
    is_paused: bool = False
    is_stopped: bool = False


class Controls:
    """Settings that any thread may change and that the stream reads before each frame."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Starts with the default settings, or with those given."""
        self._settings = settings or Settings()
        self._lock = threading.Lock()

    @property
    def settings(self) -> Settings:
        """The present settings."""
        return self._settings

    def change(self, **fields: Any) -> Settings:
        """Changes some fields of the settings, such as `change(is_paused=True)`; returns the new settings.

        Raises:
            TypeError: If `Settings` has no such field.
        """
        with self._lock:
            self._settings = replace(self._settings, **fields)
            return self._settings
