"""Finds kept pictures that look nearly the same as a new one, by their 28x28 images."""

from __future__ import annotations

import numpy as np

# Mean difference in grey levels of two 28x28 images. Of 3,000 test images of Fashion-MNIST, 1.5% have another
# one of the same class that is closer. A drawn garment that sways differs by 3 from frame to frame (median).
LARGEST_DIFFERENCE = 8.0
MOST_COMPARED = 2000  # newest pictures that a new one is compared with; each takes 1.6 kB of memory


class NearDuplicates:
    """The 28x28 images of the newest pictures, by the ids of the pictures."""

    def __init__(self) -> None:
        """Starts without a picture."""
        self._tiles: dict[str, np.ndarray] = {}  # int16, so that differences fit; the oldest first

    def add(self, picture_id: str, tile: np.ndarray) -> None:
        """Adds the newest picture; the oldest is forgotten if there are too many.

        Args:
            picture_id: Id of the picture.
            tile: uint8, shape (28, 28).
        """
        self._tiles[picture_id] = tile.astype(np.int16)
        while len(self._tiles) > MOST_COMPARED:
            del self._tiles[next(iter(self._tiles))]

    def remove(self, picture_id: str) -> None:
        """Forgets a picture; does nothing if it is not known."""
        self._tiles.pop(picture_id, None)

    def of(self, tile: np.ndarray) -> set[str]:
        """Finds the pictures that look nearly the same.

        Args:
            tile: uint8, shape (28, 28).

        Returns:
            Their ids.
        """
        if not self._tiles:
            return set()
        known = np.stack(list(self._tiles.values()))
        is_near = np.abs(known - tile.astype(np.int16)).mean(axis=(1, 2)) < LARGEST_DIFFERENCE
        return {one for one, near in zip(self._tiles, is_near, strict=True) if near}
