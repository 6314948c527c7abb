"""The result of a parity check."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from garmentlite.convert.verify.corruptions import CorruptionsReport
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.guards import GuardResult
from garmentlite.convert.verify.layers import LayersReport
from garmentlite.convert.verify.measurements import (
    Accuracy,
    Calibration,
    ClassPrecision,
    ConfidenceDrift,
)
from garmentlite.convert.verify.output_comparison import OutputComparison
from garmentlite.convert.verify.photographs import PhotographFacts
from garmentlite.convert.verify.provenance import Provenance

FORMAT_VERSION = 1  # of the JSON document, see docs/verify-json.md

# "shown": the upper bound of the loss is below the margin.
# "lost": not shown, and the loss is more than chance after Holm's correction over the judged classes.
# "unresolved": neither of the two; more images would decide.
# "not judged": the criteria leave the class out, or it has fewer images than they require.
Verdict = Literal["shown", "lost", "unresolved", "not judged"]


@dataclass(frozen=True)
class ClassParity:
    """One class under both models.

    Attributes:
        label: Name of the class.
        support: Number of its images.
        recall_reference: Recall of the reference, in [0, 1]; NaN without images.
        recall_candidate: Recall of the candidate, in [0, 1]; NaN without images.
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        p_value: Exact one-sided McNemar p of "as many gained as lost".
        p_holm: The same after Holm's correction over the judged classes; NaN for a class that is not judged.
        bound: Upper confidence bound of the loss of recall, see `loss_bound`; NaN without images.
        verdict: The verdict.
        reason: Why the class is not judged; None if it is.
        detectable: Whether the loss is more than chance. With the verdict "shown" it is within the margin.
        images_to_decide: Images of the class that would decide if its rates stay as they are; None if the
            class is decided or not judged.
    """

    label: str
    support: int
    recall_reference: float
    recall_candidate: float
    lost: int
    gained: int
    p_value: float
    p_holm: float
    bound: float
    verdict: Verdict
    reason: str | None
    detectable: bool
    images_to_decide: int | None

    @property
    def loss(self) -> float:
        """Observed loss of recall, in [-1, 1]; below 0 where the candidate is better, NaN without images."""
        return (self.lost - self.gained) / self.support if self.support else math.nan


@dataclass(frozen=True)
class ChangedImage:
    """One image to which the two models give different answers.

    Attributes:
        index: Its place among the images.
        label: Its true label.
        label_reference: The reference's answer.
        label_candidate: The candidate's answer.
        confidence_reference: The reference's probability of its own answer.
        confidence_candidate: The candidate's probability of its own answer.
        file: The photograph it was made from; None for an image of a data set.
    """

    index: int
    label: str
    label_reference: str
    label_candidate: str
    confidence_reference: float
    confidence_candidate: float
    file: str | None = None


@dataclass(frozen=True)
class ParityReport:
    """The result of comparing a candidate with its reference.

    Attributes:
        criteria: Margin, error rate and classes of the check.
        images: Number of images.
        classes: The classes in the order of the labels.
        accuracy: Accuracy over all images.
        precision: Precision of each class in the order of the labels.
        agreement: Share of images with the same answer, in [0, 1].
        confidence_drift: Change of the probabilities and logits.
        calibration: Expected calibration error of both models.
        guards: The outcome of the checks beside those of recall.
        changed_images: All images with different answers, in their order.
        confusion_reference: Counts, C rows (true classes) of C columns (answers).
        confusion_candidate: The same counts of the candidate.
        notes: Sentences that a reader should know, such as that the files do not share their origin.
        kernel_comparison: Default kernels compared with reference kernels; None if it was not requested.
        layers: The error of each layer; None if it was not requested.
        corruptions: The comparison on corrupted images; None if it was not requested.
        photographs: The photographs that the images were made from; None for images of a data set.
        provenance: Files, data and machine; None for a report on bare arrays.
    """

    criteria: Criteria
    images: int
    classes: tuple[ClassParity, ...]
    accuracy: Accuracy
    precision: tuple[ClassPrecision, ...]
    agreement: float
    confidence_drift: ConfidenceDrift
    calibration: Calibration
    guards: tuple[GuardResult, ...]
    changed_images: tuple[ChangedImage, ...]
    confusion_reference: tuple[tuple[int, ...], ...]
    confusion_candidate: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...] = ()
    kernel_comparison: OutputComparison | None = None
    layers: LayersReport | None = None
    corruptions: CorruptionsReport | None = None
    photographs: PhotographFacts | None = None
    provenance: Provenance | None = None

    @property
    def passed(self) -> bool:
        """Whether each judged class is shown and no guard failed."""
        return all(row.verdict in ("shown", "not judged") for row in self.classes) and not any(
            guard.passed is False for guard in self.guards
        )

    @property
    def margin(self) -> float:
        """Largest loss of recall that is accepted."""
        return self.criteria.margin

    @property
    def alpha(self) -> float:
        """One-sided error rate of each bound, and of all classes called "lost" together."""
        return self.criteria.alpha

    @property
    def labels(self) -> list[str]:
        """The class names in the order of their numbers."""
        return [row.label for row in self.classes]

    def with_verdict(self, verdict: Verdict) -> list[ClassParity]:
        """Returns the classes that got this verdict, the largest loss first."""
        rows = [row for row in self.classes if row.verdict == verdict]
        return sorted(rows, key=lambda row: row.loss, reverse=True)

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the report, with null for undefined values; see docs/verify-json.md."""
        facts = asdict(self)
        head = {
            "format_version": FORMAT_VERSION,
            "passed": self.passed,
            "margin": self.margin,
            "alpha": self.alpha,
        }
        for row in facts["classes"]:
            row.update({key: None for key, value in row.items() if value != value})  # NaN
        del facts["criteria"]
        provenance = facts.pop("provenance") or {}
        if provenance:
            provenance["models"] = {
                role: provenance.pop(role) for role in ("reference", "candidate")
            }
        parts = {"layers": self.layers, "corruptions": self.corruptions}
        for name in parts:
            del facts[name]
        asked_for = {name: part.as_document() for name, part in parts.items() if part}
        return head | facts | provenance | asked_for
