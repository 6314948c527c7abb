"""The result of comparing a new model with the one in use, on pictures that neither was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from garmentlite.edge.classifier import Classifier

FEWEST_PICTURES = 30  # of a class; with fewer of them, nothing is said about it


class Progress(StrEnum):
    """How a new model differs from the one in use, for one class or for all of them."""

    BETTER = "better"  # it recognises more, and this is more than chance
    WORSE = "worse"  # it recognises fewer, and this is more than chance
    AS_GOOD = "as good"  # whatever it loses is surely less than the margin
    UNDECIDED = "undecided"  # more pictures would tell
    TOO_FEW = "not enough pictures"


@dataclass(frozen=True)
class ClassProgress:
    """One class under both models.

    Attributes:
        label: Name of the class.
        support: Number of its pictures.
        recall_old: Recall of the model in use, in [0, 1]; None without pictures.
        recall_new: Recall of the new model, in [0, 1]; None without pictures.
        verdict: How the new model differs.
    """

    label: str
    support: int
    recall_old: float | None
    recall_new: float | None
    verdict: Progress


@dataclass(frozen=True)
class ModelComparison:
    """The comparison of a new model with the one in use.

    Attributes:
        classes: The classes in the order of the labels; empty if the models cannot be compared.
        obstacle: Why the models cannot be compared; a sentence, empty if they can.
    """

    classes: tuple[ClassProgress, ...]
    obstacle: str = ""

    @property
    def verdict(self) -> Progress:
        """Worse if any class is; otherwise better if any class is; otherwise undecided if any class is."""
        verdicts = {row.verdict for row in self.classes if row.verdict is not Progress.TOO_FEW}
        for verdict in (Progress.WORSE, Progress.BETTER, Progress.UNDECIDED, Progress.AS_GOOD):
            if verdict in verdicts:
                return verdict
        return Progress.TOO_FEW

    def in_words(self) -> str:
        """Says the verdict and the recall by class in one sentence."""
        if self.obstacle:
            return self.obstacle
        rows = [
            f"{row.label} {row.recall_old:.0%} -> {row.recall_new:.0%} of {row.support} ({row.verdict})"
            for row in self.classes
            if row.recall_old is not None and row.recall_new is not None
        ]
        if not rows:
            return "No held-out picture of any class was collected yet, so the models cannot be compared."
        return (
            f"On held-out pictures the new model is {_IN_WORDS[self.verdict]}: {'; '.join(rows)}."
        )

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document."""
        return {"verdict": self.verdict, "sentence": self.in_words(), **asdict(self)}


_IN_WORDS = {
    Progress.BETTER: "better",
    Progress.WORSE: "worse",
    Progress.AS_GOOD: "as good as the old one",
    Progress.UNDECIDED: "neither surely better nor surely worse",
    Progress.TOO_FEW: f"not judged, as no class has {FEWEST_PICTURES} pictures",
}

# Compares the model in use with a new one: called with both, the images, uint8 of shape (N, 28, 28), and the
# true class numbers, int64 of shape (N,). The two are used by nobody else.
Compare = Callable[["Classifier", "Classifier", np.ndarray, np.ndarray], ModelComparison]
