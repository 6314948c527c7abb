"""What a segmenter is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


class Segmenter(Protocol):
    """Finds the garment in a picture.

    Attributes:
        name: The name in the registry, on the command line and in reports.
        version: Raised by one whenever the same picture gives another mask, so that prepared photographs
            kept by an earlier version are prepared again.
    """

    name: str
    version: int

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """Finds the pixels of the garment.

        Args:
            rgb: uint8, shape (H, W, 3). It is not changed.

        Returns:
            bool, shape (H, W), True on the garment; False everywhere if no garment was found.
        """
        ...


@runtime_checkable
class AlternativeSegmenter(Protocol):
    """A segmenter that can also segment the picture in another way, for answers that are not confident."""

    def candidate_masks(self, rgb: np.ndarray) -> Iterator[np.ndarray]:
        """Segments the picture in one way after the other, each when the caller asks for it.

        Args:
            rgb: uint8, shape (H, W, 3). It is not changed.

        Yields:
            bool, shape (H, W): first what `Segmenter.segment` returns, then the mask of another way, if
            there is one.
        """
        ...


@dataclass(frozen=True)
class Found:
    """What a segmenter found in a part of a frame.

    Attributes:
        mask: bool, shape (H, W), True on the garment; False everywhere if no garment was found.
        certainty: Mean logit of the probability that a pixel of the mask is garment; -inf if no garment was
            found.
    """

    mask: np.ndarray
    certainty: float


@runtime_checkable
class GuidedSegmenter(Protocol):
    """A segmenter that weighs evidence from elsewhere together with what it sees."""

    name: str
    version: int

    def guided(self, rgb: np.ndarray, evidence: np.ndarray | None) -> Found:
        """Segments a part of a frame, given evidence of where something new was put.

        Args:
            rgb: uint8, shape (H, W, 3). It is not changed.
            evidence: float32, shape (h, w), of the same part: logit of the probability that something is
                there that does not belong to the scene, 0 where nothing is known; None if nothing is known.
        """
        ...
