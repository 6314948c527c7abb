"""Follows the garment that was found, and tells whether somebody holds it or has left it."""

from __future__ import annotations

import math

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.scene_model import mean

# Seconds after which a garment counts as a part of the room. The first value holds for one that has never
# moved, and the second for one that somebody has moved and then left, for example on a chair.
NEVER_MOVED_SECONDS, LEFT_SECONDS = 1.0, 60.0
MOVED_SECONDS = 1.0  # what has changed counts as moving for so long
MOVED_SHARE = 0.01  # a region counts as moving if at least this share of its pixels moves
_FORGIVEN_SECONDS = 2.0  # a garment that is seen again within this time counts as the same one
# The camera itself counts as moving if at least this share of the edges around a garment moves. It is far
# below 1, since edges that are parallel to the motion do not change.
_ROOM_MOVES = 0.25


class HeldGarment:
    """The garment that was found in the last frames.

    Attributes:
        region: bool, shape (h, w), a little larger than the mask of the garment; None if there is none.
    """

    def __init__(self) -> None:
        """Starts without a garment."""
        self.forget()

    def forget(self) -> None:
        """Forgets the garment."""
        self.region: np.ndarray | None = None
        # Times in seconds when the garment was last seen, first seen, and last seen to move.
        self._seen_at = self._since = -math.inf
        self._moved_at: float | None = None
        self._camera_moved_at = -math.inf

    def follow(
        self, mask: np.ndarray | None, time: float, moving: np.ndarray, edges: np.ndarray
    ) -> None:
        """Adds what was found in a frame.

        Args:
            mask: bool, shape (h, w), True on the garment; None if none was found.
            time: When the frame was taken, in seconds.
            moving: bool, shape (h, w), the pixels that changed a moment ago.
            edges: bool, shape (h, w), the edges in the frame.
        """
        if mask is not None:
            if self.region is None:
                self._since = time
            kernel = np.ones((7, 7), np.uint8)
            self.region = load_opencv().dilate(mask.astype(np.uint8), kernel) > 0
            self._seen_at = time
        elif time - self._seen_at > _FORGIVEN_SECONDS:
            self.forget()
        if self.region is None:
            return
        if mean(moving[edges & ~self.region]) >= _ROOM_MOVES:
            self._camera_moved_at = self._since = time
            self._moved_at = None
        elif moving[self.region].mean() >= MOVED_SHARE:
            self._moved_at = time

    def has_moved(self, time: float) -> bool:
        """Whether the garment has moved since it was first seen.

        While the camera itself moves, nobody can tell, and every garment counts as moved.
        """
        camera_moves = time - self._camera_moved_at < MOVED_SECONDS
        return self._moved_at is not None or camera_moves

    def is_left(self, time: float) -> bool:
        """Whether the garment, if there is one, has been still for so long that it belongs to the room."""
        if self._moved_at is None:
            return time - self._since >= NEVER_MOVED_SECONDS
        return time - self._moved_at >= LEFT_SECONDS
