"""Compares int8 models of one network with the float network, and chooses between them.

The choice counts validation images to which float and int8 give different answers. Accuracy would be the
wrong measure: fine-tuning that shifts decision boundaries can raise the accuracy while one class is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from garmentlite.convert.material import Images
from garmentlite.convert.measure import logits_of
from garmentlite.convert.verify.statistics import count_flips


@dataclass(frozen=True)
class Candidate:
    """One int8 model, compared with the float network on validation images.

    Attributes:
        way: How it was made.
        flatbuffer: The model's bytes.
        lost: Images of each class that only the float network recognised, int64, shape (C,).
        gained: Images of each class that only the int8 model recognised, int64, shape (C,).
        changed: Images to which the two give different answers, right or wrong.
        accuracy_change: Accuracy of the int8 model minus that of the float network.
        images: Number of images.
    """

    way: str
    flatbuffer: bytes
    lost: np.ndarray
    gained: np.ndarray
    changed: int
    accuracy_change: float
    images: int

    def as_document(self, labels: Sequence[str]) -> dict[str, Any]:
        """Makes a JSON document of the counts by label, for a card."""
        return {
            "way": self.way,
            "validation_images": self.images,
            "changed": self.changed,
            "agreement": 1 - self.changed / self.images,
            "accuracy_change": self.accuracy_change,
            "lost": dict(zip(labels, self.lost.tolist(), strict=True)),
            "gained": dict(zip(labels, self.gained.tolist(), strict=True)),
        }


def compare(way: str, flatbuffer: bytes, float_logits: np.ndarray, validation: Images) -> Candidate:
    """Counts the answers that an int8 model changes, with the kernels that a device uses.

    Args:
        way: How it was made.
        flatbuffer: The int8 model.
        float_logits: The float network's logits of the validation images, shape (N, C).
        validation: Images that no weight, range or bias was taken from.
    """
    before = float_logits.argmax(axis=1)
    after = logits_of(flatbuffer, validation.images_u8).argmax(axis=1)
    flips = count_flips(validation.y, before, after, float_logits.shape[1])
    return Candidate(
        way=way,
        flatbuffer=flatbuffer,
        lost=flips.lost,
        gained=flips.gained,
        changed=int((before != after).sum()),
        accuracy_change=float(flips.all_gained - flips.all_lost) / len(validation.y),
        images=len(validation.y),
    )


def closest(candidates: Sequence[Candidate]) -> Candidate:
    """Chooses the candidate that changes the fewest images; among equals, whose worst class lost least."""
    return min(candidates, key=lambda one: (one.changed, int((one.lost - one.gained).max())))
