"""Guards of the parity check: they detect faults that leave the recall of every class unchanged.

A guard is one class with its limit, its measurement and its sentence. `GUARDS` lists those that are used. The
JSON document, the text and the page show the fields of its `GuardResult`.

The limits were chosen on 10,000 validation images with small convolutional networks. Int8 files, compared
with their own float model, had: agreement 99.0 to 99.8%, mean drift 0.003 to 0.006, 99th percentile of the
drift 0.02 to 0.03 (0.09 with logits made three times as sharp), logit offset up to 0.5%. An int8 softmax,
which rounds to 1/256, had a mean drift of 0.015. These faults must be detected: a network of equal accuracy
trained separately (agreement 94%, mean drift 0.05, 99th percentile 0.38, logit offset 17%); temperature 1.5
in place of 1 (mean drift 0.057); a softmax mistaken for logits (mean drift 0.66); a wrong zero point of the
output (logit offset 1.5 to 2.5% for each step, 1.1% where the output range was cut).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from garmentlite.convert.verify.corruptions import CorruptionsReport
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.measurements import (
    Accuracy,
    Calibration,
    ClassPrecision,
    ConfidenceDrift,
)
from garmentlite.convert.verify.statistics import points, smallest_margin, smallest_support


@dataclass(frozen=True)
class Evidence:
    """The measurements that the guards judge.

    Attributes:
        criteria: The criteria of the check.
        images: Number of images.
        precision: Precision of the judged classes.
        accuracy: Accuracy over all images.
        agreement: Share of the images to which both models give the same answer, in [0, 1].
        confidence_drift: How far probabilities and logits moved.
        calibration: Expected calibration error of both models.
        corruptions: The comparison on corrupted images; None if it was not requested.
    """

    criteria: Criteria
    images: int
    precision: tuple[ClassPrecision, ...]
    accuracy: Accuracy
    agreement: float
    confidence_drift: ConfidenceDrift
    calibration: Calibration
    corruptions: CorruptionsReport | None = None


@dataclass(frozen=True)
class GuardResult:
    """The outcome of one guard.

    Attributes:
        name: Name of the guard.
        value: What was measured; None if it is not defined.
        limit: The limit of the value.
        passed: Whether the guard passed; None if there are too few images to judge.
        sentence: The outcome in words.
    """

    name: str
    value: float | None
    limit: float
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class Guard(ABC):
    """A check beside those of recall.

    Attributes:
        limit: The limit of the measured value.
        name: Name of the guard in every report.
    """

    limit: float
    name: ClassVar[str]

    def applies_to(self, evidence: Evidence) -> bool:
        """Whether there is anything to judge; a guard that does not apply is left out of the report."""
        return True

    @abstractmethod
    def measure(self, evidence: Evidence) -> float | None:
        """Returns the value that is compared with the limit; None if it is not defined."""

    @abstractmethod
    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """Whether the guard passes (None: too few images to judge), and the sentence that says so."""

    def check(self, evidence: Evidence) -> GuardResult:
        """Measures and judges."""
        passed, sentence = self.judge(evidence)
        return GuardResult(self.name, self.measure(evidence), self.limit, passed, sentence)


@dataclass(frozen=True)
class PrecisionGuard(Guard):
    """The bound of the loss of precision stays below the limit for every judged class.

    Few answers cannot show so small a loss. The limit of such a class is the smallest bound that its number
    of answers can reach: beyond it the class fails, within it the class is not judged.
    """

    limit: float = 0.02
    name: ClassVar[str] = "precision"

    def measure(self, evidence: Evidence) -> float | None:
        """Returns the largest bound of all judged classes."""
        return max((row.bound for row in evidence.precision if row.bound is not None), default=None)

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        bounds = [(row.bound, row) for row in evidence.precision if row.bound is not None]
        if not bounds:
            return (
                False,
                "No class is ever the answer of both models, so precision cannot be compared.",
            )
        alpha = evidence.criteria.alpha
        needed = smallest_support(self.limit, alpha)
        failed, few, within = [], [], []
        for bound, row in sorted(bounds, key=lambda pair: pair[0], reverse=True):
            fewest = min(row.answers_reference, row.answers_candidate)
            if bound >= max(self.limit, smallest_margin(fewest, alpha)):
                failed.append(f"{row.label} (up to {points(bound, 2)})")
            elif fewest < needed:
                few.append(f"{row.label} ({fewest:,})")
            else:
                within.append(f"{points(bound, 2)} points ({row.label})")
        if failed:
            sentence = (
                "Some answers can be trusted less than before: precision may have fallen by more than "
                f"{points(self.limit)} points for {', '.join(failed)}."
            )
        elif within:
            sentence = (
                f"No {'other ' if few else ''}class lost more than {points(self.limit)} points of precision; "
                f"the largest loss still possible is {within[0]}."
            )
        else:
            sentence = (
                f"Too few answers to detect a loss of {points(self.limit)} points of precision."
            )
        if few:
            sentence += (
                f" These classes have fewer than {needed} answers and are not judged: "
                f"{', '.join(few)}."
            )
        never = [row.label for row in evidence.precision if row.bound is None]
        if never:
            sentence += (
                " Precision is not defined where a model never gives the answer: "
                f"{', '.join(never)}."
            )
        return (not failed if failed or within else None), sentence


@dataclass(frozen=True)
class AccuracyGuard(Guard):
    """The bound of the loss of accuracy over all images stays below the limit."""

    limit: float = 0.005
    name: ClassVar[str] = "accuracy"

    def measure(self, evidence: Evidence) -> float:
        """Returns the bound of the loss of accuracy."""
        return evidence.accuracy.bound

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        needed = smallest_support(self.limit, evidence.criteria.alpha)
        if evidence.images < needed:
            return None, (
                f"There are too few images to show that at most {points(self.limit)} points of accuracy were "
                f"lost: it takes at least {needed}, there are {evidence.images}."
            )
        overall = evidence.accuracy
        passed = overall.bound < self.limit
        return passed, (
            f"Accuracy went from {overall.reference:.2%} to {overall.candidate:.2%}; the loss is at most "
            f"{points(overall.bound, 2)} points, {'below' if passed else 'not below'} {points(self.limit)}."
        )


@dataclass(frozen=True)
class AgreementGuard(Guard):
    """The share of images to which both models give the same answer is at least the limit."""

    limit: float = 0.98
    name: ClassVar[str] = "agreement"

    def measure(self, evidence: Evidence) -> float:
        """Returns the share of equal answers."""
        return evidence.agreement

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        passed = evidence.agreement >= self.limit
        return passed, (
            f"The models give the same answer to {evidence.agreement:.2%} of the images; "
            + (
                f"at least {self.limit:.0%} are required."
                if passed
                else f"{self.limit:.0%} are required. This is another classifier, whatever its accuracy."
            )
        )


@dataclass(frozen=True)
class MeanDriftGuard(Guard):
    """The mean change of confidence stays below the limit."""

    limit: float = 0.02
    name: ClassVar[str] = "confidence drift, mean"

    def measure(self, evidence: Evidence) -> float:
        """Returns the mean change of the probability of the reference's answer."""
        return evidence.confidence_drift.mean

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        passed = evidence.confidence_drift.mean < self.limit
        advice = (
            "" if passed else "; check whether softmax or temperature is applied twice or never"
        )
        return passed, (
            f"The confidence of an answer changed by {evidence.confidence_drift.mean:.4f} on average, "
            f"{'below' if passed else 'not below'} {self.limit:g}{advice}."
        )


@dataclass(frozen=True)
class LargestDriftGuard(Guard):
    """The change of confidence that 99% of the images do not exceed stays below the limit."""

    limit: float = 0.15
    name: ClassVar[str] = "confidence drift, 99th percentile"

    def measure(self, evidence: Evidence) -> float:
        """Returns the 99th percentile of the change."""
        return evidence.confidence_drift.percentile_99

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        passed = evidence.confidence_drift.percentile_99 < self.limit
        return passed, (
            f"For 99 of 100 images the confidence changed by at most "
            f"{evidence.confidence_drift.percentile_99:.3f}, {'below' if passed else 'not below'} "
            f"{self.limit:g}."
        )


@dataclass(frozen=True)
class LogitOffsetGuard(Guard):
    """The median change of the answer's logit stays within the limit, a share of the spread of the logits."""

    limit: float = 0.02
    name: ClassVar[str] = "logit offset"

    def applies_to(self, evidence: Evidence) -> bool:
        """Whether no file ends in a softmax."""
        return evidence.confidence_drift.logit_offset is not None

    def measure(self, evidence: Evidence) -> float | None:
        """Returns the offset, with its sign."""
        return evidence.confidence_drift.logit_offset

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        offset = evidence.confidence_drift.logit_offset or 0.0
        passed = abs(offset) < self.limit
        advice = (
            ""
            if passed
            else "; check the zero point and scale of the output, and whether a softmax was added"
        )
        return passed, (
            f"The outputs as a whole moved by {offset:+.2%} of their spread, "
            f"{'within' if passed else 'not within'} {self.limit:.0%}{advice}."
        )


@dataclass(frozen=True)
class CalibrationGuard(Guard):
    """The rise of the expected calibration error stays below the limit.

    This error of sound int8 files differs by at most 0.0010 from that of the float file. On N of the images
    named above the change has a standard deviation of 0.085 / sqrt(N): 0.0028 for 1,000, where the limit is
    more than three deviations; with fewer images it is not judged. A temperature that is 1.25 times too high
    raises the error by 0.014 to 0.023 at a mean drift of only 0.019 to 0.028: this guard sees a drift in one
    direction that the guard of the mean drift may pass.
    """

    limit: float = 0.01
    name: ClassVar[str] = "calibration"
    fewest_images: ClassVar[int] = 1000

    def measure(self, evidence: Evidence) -> float:
        """Returns the rise of the error from the reference to the candidate."""
        return evidence.calibration.candidate - evidence.calibration.reference

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        rise, both = self.measure(evidence), evidence.calibration
        went = (
            f"The expected calibration error went from {both.reference:.4f} to {both.candidate:.4f}"
        )
        if evidence.images < self.fewest_images:
            return None, (
                f"{went}, but there are too few images to judge it: it takes {self.fewest_images:,}, there "
                f"are {evidence.images:,}."
            )
        passed = rise < self.limit
        advice = "" if passed else "; check the temperature and the scale of the output"
        return passed, (
            f"{went}, a change of {rise:+.4f}, {'below' if passed else 'not below'} {self.limit:g}{advice}."
        )


@dataclass(frozen=True)
class CorruptionsGuard(Guard):
    """On no set of corrupted images does the candidate lose what the reference keeps."""

    limit: float = 0.0
    name: ClassVar[str] = "corrupted images"

    def applies_to(self, evidence: Evidence) -> bool:
        """Whether corrupted images were compared."""
        return evidence.corruptions is not None

    def measure(self, evidence: Evidence) -> float | None:
        """Returns the number of sets on which the candidate loses."""
        if evidence.corruptions is None:
            return None
        return float(len(evidence.corruptions.with_verdict("apart")))

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        """See `Guard.judge`."""
        if evidence.corruptions is None:
            return None, "No corrupted images were compared."
        return evidence.corruptions.passed, evidence.corruptions.finding


# In the order of the reports.
GUARDS: tuple[Guard, ...] = (
    PrecisionGuard(),
    AccuracyGuard(),
    AgreementGuard(),
    MeanDriftGuard(),
    LargestDriftGuard(),
    LogitOffsetGuard(),
    CalibrationGuard(),
    CorruptionsGuard(),
)


def check_all(evidence: Evidence, guards: tuple[Guard, ...] = GUARDS) -> tuple[GuardResult, ...]:
    """Checks each guard that applies, in their order."""
    return tuple(guard.check(evidence) for guard in guards if guard.applies_to(evidence))
