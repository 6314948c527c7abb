"""The parity check: what may be said, class by class, about a candidate beside its reference.

Pure functions of arrays; NumPy and the standard library only, so that the device can run it. Two models
answer the same images in the same order, so every number here is paired. Of a class with `support` images,
`lost` were recognised by the reference and not by the candidate, `gained` the other way round. The loss of
recall is (lost - gained) / support; shares are in [0, 1] everywhere, "points" are hundredths of 1 in text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import class_id_of
from garmentlite.edge.metrics import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    precision_per_class,
    recall_per_class,
)

# shown: the upper bound of the loss is below the margin.
# lost: not shown, and the loss is more than chance after Holm's correction over the judged classes.
# unresolved: neither; more images would decide.
# not judged: it was not asked for, or has fewer images than were asked for.
Verdict = Literal["shown", "lost", "unresolved", "not judged"]

FORMAT_VERSION = 1  # of the JSON document, see docs/verify-json.md
BOOTSTRAP_REPLICATES = (
    4000  # the 95% quantile is then good to about 3% of its distance from the mean
)
CALIBRATION_IMAGES = 1000  # fewer say too little of the calibration error, see Limits
_BISECTIONS = 50  # halves an interval no longer than 2 down to 2e-15
_NEGLIGIBLE = 1e-17  # share of a sum of probabilities that cannot change it

# A whole number, or an array of them; what is computed has the shape of the arguments.
_Counts = Any


@dataclass(frozen=True)
class Limits:
    """What the guards allow, each a share in [0, 1].

    Measured on 10,000 validation images with small convolutional networks. Int8 files beside their own float
    model: agreement 99.0 to 99.8%, mean drift 0.003 to 0.006, 99th percentile 0.02 to 0.03 (0.09 with the
    logits made three times as sharp), logit offset up to 0.5%; an int8 softmax, which rounds to 1/256, has
    mean drift 0.015. What must be seen: a network of equal accuracy trained apart has 94%, 0.05, 0.38 and
    17%; temperature 1.5 in place of 1 a mean of 0.057; a softmax taken for logits 0.66; a zero point of the
    output that is wrong an offset of about 1.5 to 2.5% a step, 1.1% where the output's range was cut.

    The calibration error (ECE) of sound int8 files differs by at most 0.0010 from the float file's. With N
    of those images the change deviates by 0.085 / sqrt(N): 0.0028 with 1,000, where its limit is more than
    three deviations; with fewer images it is not judged. A temperature 1.25 times too high raises it by 0.014
    to 0.023, with a mean drift of 0.019 to 0.028: drift all in one direction is what this guard adds.

    Attributes:
        precision: Bound of the loss of precision of any class.
        accuracy: Bound of the loss of accuracy over all images.
        agreement: Least share of images with the same answer.
        drift_mean: Mean change of the probability of the reference's answer.
        drift_percentile_99: The change that 99% of the images do not exceed.
        logit_offset: Median change of the answer's logit, as a share of the logits' standard deviation.
        calibration: Rise of the expected calibration error.
    """

    precision: float = 0.02
    accuracy: float = 0.005
    agreement: float = 0.98
    drift_mean: float = 0.02
    drift_percentile_99: float = 0.15
    logit_offset: float = 0.02
    calibration: float = 0.01


@dataclass(frozen=True)
class Answers:
    """What one model says to N images of C classes.

    Attributes:
        logits: float32, shape (N, C).
        probabilities: float32, shape (N, C), after temperature and softmax, as the device computes them.
        from_softmax: Whether the file itself ends in a softmax; its logits then lack a constant per image.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    from_softmax: bool = False

    @property
    def class_ids(self) -> np.ndarray:
        """Class numbers of the answers, int64, shape (N,); the lowest where several are equal."""
        return self.probabilities.argmax(axis=1)


@dataclass(frozen=True)
class ClassParity:
    """One class under both models.

    Attributes:
        label: Name of the class.
        support: Its images.
        recall_reference: In [0, 1]; NaN without images.
        recall_candidate: Likewise.
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        p_value: Exact one-sided McNemar p of "as many gained as lost".
        p_holm: The same after Holm's correction over the judged classes; NaN for a class that is not judged.
        bound: Upper confidence bound of the loss of recall, see `loss_bound`; NaN without images.
        verdict: What may be said.
        reason: Why it is not judged; None where it is.
        detectable: Whether the loss is more than chance; with the verdict "shown" it is within the margin.
        images_to_decide: Images of the class that would decide if its rates stay as they are; None where
            it is decided.
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
class ClassPrecision:
    """Precision of one class under both models; None where a model never gives this answer.

    Attributes:
        label: Name of the class.
        reference: In [0, 1].
        candidate: In [0, 1].
        bound: Upper confidence bound of the loss, by a paired bootstrap, one-sided at alpha.
        answers_reference: How often the reference gives this answer.
        answers_candidate: How often the candidate does.
    """

    label: str
    reference: float | None
    candidate: float | None
    bound: float | None
    answers_reference: int
    answers_candidate: int


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over all images under both models, with the paired counts and the bound of its loss."""

    reference: float
    candidate: float
    lost: int
    gained: int
    bound: float


@dataclass(frozen=True)
class ConfidenceDrift:
    """How far the candidate's confidence moved where its answer may have stayed.

    Attributes:
        mean: Mean over the images of the change of the probability of the reference's answer.
        percentile_99: Its 99th percentile.
        logit_offset: Median over the images of how far the logit of the reference's answer moved, over the
            standard deviation of the reference's logits. Softmax does not see a common offset, other
            readers of the file do. None where one of the two ends in a softmax, which has no offset.
    """

    mean: float
    percentile_99: float
    logit_offset: float | None


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error under both models: how far confidence is from being right, 15 bins."""

    reference: float
    candidate: float


@dataclass(frozen=True)
class Guard:
    """One check beside the recalls.

    Attributes:
        name: What is guarded.
        value: What was measured; None where it is not defined.
        limit: What is allowed.
        passed: None where the images are too few to judge.
        sentence: Both in words.
    """

    name: str
    value: float | None
    limit: float
    passed: bool | None
    sentence: str


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
class ModelFacts:
    """Which file a model was.

    Attributes:
        file: Name of the file, without its folder.
        sha256: Checksum of the whole file.
        input_type: Type of its input tensor, such as "int8".
        output_type: Type of its output tensor.
        reference_sha256: Checksum of the float model it says to come from; None where it says nothing.
        logit_ties: Images whose largest output is shared by several classes (the first one wins).
        changed_on_ties: Those of them to which the two models give different answers.
    """

    file: str
    sha256: str
    input_type: str
    output_type: str
    reference_sha256: str | None
    logit_ties: int
    changed_on_ties: int


@dataclass(frozen=True)
class Provenance:
    """On what and by what a report was made.

    Attributes:
        reference: The one file.
        candidate: The other file.
        data_sha256: Checksum of the bytes of images and labels.
        runtime: Name and version of the runtime.
        kernels: "default" (XNNPACK) or "reference".
        machine: Processor, architecture and system.
    """

    reference: ModelFacts
    candidate: ModelFacts
    data_sha256: str
    runtime: str
    kernels: str
    machine: str


@dataclass(frozen=True)
class KernelComparison:
    """The candidate's outputs with the runtime's default kernels beside those of its reference kernels.

    Attributes:
        images: Number of images.
        differing_images: Images with any difference in their outputs.
        changed_answers: Images whose largest output is of another class.
        largest_step: Largest difference of an output: whole steps of an integer type; for a float type in
            units of 1e-4 of the largest output.
    """

    images: int
    differing_images: int
    changed_answers: int
    largest_step: float


@dataclass(frozen=True)
class LeftOut:
    """One photograph that no model was asked about.

    Attributes:
        file: Its path below the folder.
        label: Its true label.
        reason: Why.
    """

    file: str
    label: str
    reason: str


@dataclass(frozen=True)
class PhotographFacts:
    """Which photographs the images were made from.

    Attributes:
        source: Name of the folder or table.
        segmenter: How the garments were cut out.
        preparation: Name and version of the preparation.
        pictures: All that were named.
        no_garment: Those in which no garment was found.
        unreadable: Those that are no pictures.
    """

    source: str
    segmenter: str
    preparation: str
    pictures: int
    no_garment: tuple[LeftOut, ...]
    unreadable: tuple[LeftOut, ...]


@dataclass(frozen=True)
class ParityReport:
    """All that was found.

    Attributes:
        passed: Every judged class is shown and no guard failed.
        margin: Largest loss of recall that is accepted, in (0, 1).
        alpha: One-sided error rate of every bound, and of all "lost" together.
        images: Number of images.
        classes: In the order of the labels.
        accuracy: Over all images.
        precision: In the order of the labels.
        agreement: Share of images with the same answer, in [0, 1].
        confidence_drift: Of the probabilities and logits.
        calibration: Expected calibration error of both.
        guards: The checks beside the recalls.
        changed_images: All images with different answers, in their order.
        confusion_reference: Counts, C rows (true) of C columns (predicted).
        confusion_candidate: Likewise.
        notes: Sentences a reader should know, such as that the files do not share their origin.
        kernel_comparison: Default beside reference kernels; None where it was not asked for.
        photographs: What the images were made from; None for those of a data set.
        provenance: Which files, data and machine; None for a report on bare arrays.
    """

    passed: bool
    margin: float
    alpha: float
    images: int
    classes: tuple[ClassParity, ...]
    accuracy: Accuracy
    precision: tuple[ClassPrecision, ...]
    agreement: float
    confidence_drift: ConfidenceDrift
    calibration: Calibration
    guards: tuple[Guard, ...]
    changed_images: tuple[ChangedImage, ...]
    confusion_reference: tuple[tuple[int, ...], ...]
    confusion_candidate: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...] = ()
    kernel_comparison: KernelComparison | None = None
    photographs: PhotographFacts | None = None
    provenance: Provenance | None = None

    @property
    def labels(self) -> list[str]:
        """The class names in the order of their numbers."""
        return [row.label for row in self.classes]

    def with_verdict(self, verdict: Verdict) -> list[ClassParity]:
        """The classes that got this verdict, the largest loss first."""
        rows = [row for row in self.classes if row.verdict == verdict]
        return sorted(rows, key=lambda row: row.loss, reverse=True)

    def as_document(self) -> dict[str, Any]:
        """The report as JSON can hold it: no NaN, what is not defined is null; see docs/verify-json.md."""
        document = {"format_version": FORMAT_VERSION} | asdict(self)
        for row in document["classes"]:
            row.update({key: None for key, value in row.items() if value != value})  # NaN
        provenance = document.pop("provenance") or {}
        if provenance:
            provenance["models"] = {
                role: provenance.pop(role) for role in ("reference", "candidate")
            }
        return document | provenance


def judge(
    y_true: np.ndarray,
    reference: Answers,
    candidate: Answers,
    labels: Sequence[str],
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
    classes: Sequence[str] | None = None,
    min_support: int | None = None,
    limits: Limits | None = None,
) -> ParityReport:
    """Compares the answers of two models to the same images.

    Args:
        y_true: True class numbers, integer, shape (N,), each in [0, C).
        reference: Answers of the model that is taken as right.
        candidate: Answers of the model that is to be proved.
        labels: The C class names.
        margin: Largest loss of recall that is accepted, in (0, 1).
        alpha: One-sided error rate, in (0, 0.5).
        classes: Labels of the classes that are judged; None for all. Recall and precision of the others are
            stated, and count for nothing.
        min_support: Classes with fewer images are not judged either; None judges, or refuses, all.
        limits: Of the guards; those of `Limits` where it is None.

    Returns:
        The report, without provenance.

    Raises:
        OptionError: If margin or alpha is out of its range, or a name is no class.
        DataError: If no class can be judged, or one has too few images for the margin, see
            `require_resolvable`.
    """
    require_resolvable(
        y_true, labels, margin=margin, alpha=alpha, classes=classes, min_support=min_support
    )
    reasons = _reasons_not_judged(y_true, labels, classes, min_support)
    limits = limits or Limits()
    predicted_reference, predicted_candidate = reference.class_ids, candidate.class_ids
    confusions = [
        confusion_matrix(y_true, predicted, len(labels))
        for predicted in (predicted_reference, predicted_candidate)
    ]
    right_reference = predicted_reference == y_true
    right_candidate = predicted_candidate == y_true
    lost = right_reference & ~right_candidate
    gained = right_candidate & ~right_reference

    rows = _judge_classes(
        labels,
        reasons,
        confusions,
        np.bincount(y_true[lost], minlength=len(labels)).tolist(),
        np.bincount(y_true[gained], minlength=len(labels)).tolist(),
        margin=margin,
        alpha=alpha,
    )
    bounds = precision_loss_bounds(
        y_true, predicted_reference, predicted_candidate, len(labels), alpha=alpha
    )
    precision = tuple(
        ClassPrecision(label, _defined(before), _defined(after), bound, *answers)
        for label, before, after, bound, answers in zip(
            labels,
            *map(precision_per_class, confusions),
            bounds,
            zip(*(confusion.sum(axis=0).tolist() for confusion in confusions), strict=True),
            strict=True,
        )
    )
    num_lost, num_gained = int(lost.sum()), int(gained.sum())
    overall = Accuracy(
        reference=accuracy(confusions[0]),
        candidate=accuracy(confusions[1]),
        lost=num_lost,
        gained=num_gained,
        bound=loss_bound(num_lost, num_gained, len(y_true), alpha),
    )
    agreement = float(np.mean(predicted_reference == predicted_candidate))
    drift = confidence_drift(reference, candidate)
    calibration = Calibration(
        *(expected_calibration_error(y_true, one.probabilities) for one in (reference, candidate))
    )
    judged_precision = [
        row for row, reason in zip(precision, reasons, strict=True) if reason is None
    ]
    guards = (
        _guard_precision(judged_precision, limits.precision, alpha),
        _guard_accuracy(overall, len(y_true), limits.accuracy, alpha),
        _guard_agreement(agreement, limits.agreement),
        *_guard_confidence(drift, limits),
        _guard_calibration(calibration, len(y_true), limits.calibration),
    )
    return ParityReport(
        passed=all(row.verdict in ("shown", "not judged") for row in rows)
        and not any(guard.passed is False for guard in guards),
        margin=margin,
        alpha=alpha,
        images=len(y_true),
        classes=rows,
        accuracy=overall,
        precision=precision,
        agreement=agreement,
        confidence_drift=drift,
        calibration=calibration,
        guards=guards,
        changed_images=_changed_images(y_true, reference, candidate, labels),
        confusion_reference=_as_rows(confusions[0]),
        confusion_candidate=_as_rows(confusions[1]),
    )


# --- one class: is there a loss, how large may it be, how many images tell


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact one-sided McNemar test: the binomial P(X >= lost) of lost + gained trials at 1/2.

    Where a model neither loses nor gains, every image that changed sides is as likely lost as gained.

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.

    Returns:
        The p value in [0, 1]; 1.0 where no image changed sides. Computed in whole numbers, rounded once.
    """
    changed = lost + gained
    return sum(math.comb(changed, k) for k in range(lost, changed + 1)) / 2**changed


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number by Holm's step-down method (Holm 1979).

    Calling those below alpha significant then errs anywhere among them with probability at most alpha.

    Args:
        p_values: Each in [0, 1], in any order.

    Returns:
        The corrected values in the same order, each at most 1.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def z_of(alpha: float) -> float:
    """The value that a standard normal variable exceeds with probability `alpha`."""
    return NormalDist().inv_cdf(1 - alpha)


def loss_score(lost: _Counts, gained: _Counts, support: _Counts, loss: Any) -> Any:
    """Tango's score statistic of the hypothesis that the true loss of recall is `loss`.

    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17. The variance is taken under the hypothesis, with
    the most likely share of gained images there, so that it also holds where few or no images changed.
    At loss 0 it is McNemar's (lost - gained) / sqrt(lost + gained).

    Args:
        lost: Images that only the reference recognised; a number or an array, like all arguments.
        gained: Images that only the candidate recognised.
        support: All images of the class, at least lost + gained and above 0.
        loss: In (-1, 1).

    Returns:
        About standard normal if the hypothesis holds; above 0 where the observed loss is larger.
    """
    linear = (2 * support - lost + gained) * loss - lost - gained
    square = linear**2 + 8 * support * gained * loss * (1 - loss)
    # The square is 0 at the ends of the range: rounding may leave it below 0 there.
    share_gained = ((square * (square > 0)) ** 0.5 - linear) / (4 * support)
    variance = support * (2 * share_gained + loss * (1 - loss))
    difference = lost - gained - support * loss
    # Without variance there is no difference either.
    return difference * (variance > 0) / (variance * (variance > 0) + (variance <= 0)) ** 0.5


def binomial_tail(count: int, trials: int, share: float) -> float:
    """P(X <= count) of a binomial variable, exact to rounding.

    Args:
        count: In [0, trials].
        trials: Above 0.
        share: Probability of one, in (0, 1).

    Returns:
        The probability, in [0, 1].
    """
    log_term = (
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(share)
        + (trials - count) * math.log1p(-share)
    )
    term, total, odds = 1.0, 1.0, (1 - share) / share  # in units of the last term
    for k in range(count, 0, -1):
        term *= k / (trials - k + 1) * odds
        total += term
        if term < _NEGLIGIBLE * total and k < trials * share:
            break
    return min(1.0, math.exp(log_term + math.log(total)))


def tango_bound(lost: int, gained: int, support: int, alpha: float) -> float:
    """Upper end of Tango's score interval of the loss of recall, one-sided at `alpha`.

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        support: All images of the class, at least lost + gained and above 0.
        alpha: One-sided error rate, in (0, 0.5).

    Returns:
        The largest loss, in (-1, 1], whose score the counts do not contradict.
    """
    # The score falls as the loss grows, from 0 at the observed loss.
    below, above = (lost - gained) / support, 1.0
    for _ in range(_BISECTIONS):
        middle = (below + above) / 2
        if loss_score(lost, gained, support, middle) > -z_of(alpha):
            below = middle
        else:
            above = middle
    return above


def loss_bound(lost: int, gained: int, support: int, alpha: float) -> float:
    """Upper confidence bound of the loss of recall.

    It is Tango's; where no image was gained, it is also at least the exact binomial bound of the share lost
    (Clopper and Pearson 1934). Without that, a class whose true loss is the margin would be shown too often
    where a handful of images decides: in up to 7.2% of cases at alpha 0.05; with it in at most 5.5%, for
    margins up to 10 points (benchmarks/parity_simulation.py computes both, from the fewest images upwards).

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        support: All images of the class, at least lost + gained and above 0.
        alpha: One-sided error rate, in (0, 0.5).

    Returns:
        The largest loss, in (-1, 1], that the counts do not contradict at `alpha`.
    """
    bound = tango_bound(lost, gained, support, alpha)
    if gained or lost == support:
        return bound
    below, above = lost / support, 1.0
    for _ in range(_BISECTIONS):
        middle = (below + above) / 2
        if middle < 1 and (middle == 0 or binomial_tail(lost, support, middle) >= alpha):
            below = middle
        else:
            above = middle
    return max(bound, above)


def is_shown(lost: int, gained: int, support: int, *, margin: float, alpha: float) -> bool:
    """Whether `loss_bound` of these counts is below the margin, without searching for the bound."""
    if loss_score(lost, gained, support, margin) >= -z_of(alpha):
        return False
    return bool(gained) or binomial_tail(lost, support, margin) < alpha


def smallest_support(margin: float, alpha: float) -> int:
    """Images of a class below which the margin cannot be shown even if none of them is lost.

    With no image changed Tango's bound is z^2 / (support + z^2), z the normal quantile of 1 - alpha, and
    the binomial one is the share that leaves none of `support` images with probability alpha.
    """
    by_tango = z_of(alpha) ** 2 * (1 - margin) / margin
    return math.floor(max(by_tango, math.log(alpha) / math.log1p(-margin))) + 1


def smallest_margin(support: int, alpha: float) -> float:
    """The margin that `support` images reach if none of them is lost; only larger ones can be shown."""
    z_squared = z_of(alpha) ** 2
    return max(z_squared / (support + z_squared), -math.expm1(math.log(alpha) / support))


def images_to_decide(
    lost: int, gained: int, support: int, *, margin: float, alpha: float, num_classes: int
) -> int:
    """Images of a class with which its verdict would be "shown" or "lost", if its rates stay as they are.

    Both scores grow with the square root of the number of images. If the observed loss is below the margin,
    the images are counted that show it; else those that make it significant under Holm's strictest
    factor, the number of classes.

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        support: All images of the class.
        margin: Largest loss that is accepted.
        alpha: One-sided error rate.
        num_classes: Classes judged together.

    Returns:
        Number of images of this class, above `support`.
    """
    if (lost - gained) / support >= margin:
        score = loss_score(lost, gained, support, 0.0)
        needed = math.ceil(support * (z_of(alpha / num_classes) / score) ** 2)
        return max(needed, support + 1)
    score = loss_score(lost, gained, support, margin)
    needed = max(math.ceil(support * (z_of(alpha) / score) ** 2), support + 1)
    # The exact bound, where it counts, asks for a few more.
    while not gained and binomial_tail(math.ceil(lost * needed / support), needed, margin) >= alpha:
        needed += max(1, needed // 100)
    return needed


def require_ranges(margin: float, alpha: float) -> None:
    """Raises OptionError if the margin is not in (0, 1) or alpha not in (0, 0.5)."""
    if not 0 < margin < 1:
        raise OptionError(f"The margin must lie between 0 and 1, got {margin}; 0.02 is two points.")
    if not 0 < alpha < 0.5:
        raise OptionError(f"Alpha must lie between 0 and 0.5, got {alpha}; 0.05 is usual.")


def require_resolvable(
    y_true: np.ndarray,
    labels: Sequence[str],
    *,
    margin: float,
    alpha: float,
    classes: Sequence[str] | None = None,
    min_support: int | None = None,
) -> None:
    """Refuses a comparison that could not show the margin even if no image were lost.

    Args:
        y_true: True class numbers, shape (N,).
        labels: The class names; a class without images cannot be judged either.
        margin: Largest loss of recall that is accepted.
        alpha: One-sided error rate.
        classes: Labels of the classes that are judged; None for all.
        min_support: Classes with fewer images are not judged; None for no such limit.

    Raises:
        OptionError: If margin or alpha is out of its range, or a name is no class.
        DataError: If a label is no class, no class is left to be judged, or some judged class has too few
            images; it is named with the number it takes.
    """
    require_ranges(margin, alpha)
    if y_true.size and not 0 <= y_true.min() <= y_true.max() < len(labels):
        raise DataError(
            f"The images are labelled {y_true.min()} to {y_true.max()} but the models know "
            f"{len(labels)} classes; verify with the data set the models were made for."
        )
    supports = np.bincount(y_true, minlength=len(labels)).tolist()
    judged = [
        (label, support)
        for label, support, reason in zip(
            labels, supports, _reasons_not_judged(y_true, labels, classes, min_support), strict=True
        )
        if reason is None
    ]
    if not judged:
        raise DataError(
            f"No class can be judged: none has the {min_support:,} images that --min-support asks for (the "
            f"most is {max(supports):,}); give more images or ask for fewer."
        )
    needed = smallest_support(margin, alpha)
    short = [f"{label} ({support:,})" for label, support in judged if support < needed]
    if short:
        fewest = min(support for _, support in judged)
        reachable = math.ceil(1000 * smallest_margin(fewest, alpha)) / 1000 if fewest else 1.0
        wider = f", or a margin of at least {reachable:g}" if reachable < 1 else ""
        leave_out = (
            f", or leave such classes out with --min-support {needed}"
            if len(short) < len(judged)
            else ""
        )
        raise DataError(
            f"A margin of {points(margin)} points cannot be shown for {', '.join(short)} even if no image "
            f"were lost: it takes at least {needed} images of each class ('cli plan' says how many if some "
            f"change); give more images{wider}{leave_out}."
        )


def _reasons_not_judged(
    y_true: np.ndarray,
    labels: Sequence[str],
    classes: Sequence[str] | None,
    min_support: int | None,
) -> list[str | None]:
    """For each class why it is not judged, None where it is."""
    asked = None if classes is None else {class_id_of(name, labels) for name in classes}
    reasons: list[str | None] = []
    for class_id, support in enumerate(np.bincount(y_true, minlength=len(labels)).tolist()):
        if asked is not None and class_id not in asked:
            reasons.append("not asked for")
        elif min_support is not None and support < min_support:
            reasons.append(f"{support:,} images, fewer than {min_support:,}")
        else:
            reasons.append(None)
    return reasons


def _judge_classes(
    labels: Sequence[str],
    reasons: Sequence[str | None],
    confusions: Sequence[np.ndarray],
    lost: Sequence[int],
    gained: Sequence[int],
    *,
    margin: float,
    alpha: float,
) -> tuple[ClassParity, ...]:
    supports = confusions[0].sum(axis=1).tolist()
    recalls = [recall_per_class(confusion).tolist() for confusion in confusions]
    p_values = [mcnemar_p(b, c) for b, c in zip(lost, gained, strict=True)]
    judged = [class_id for class_id, reason in enumerate(reasons) if reason is None]
    corrected = dict(zip(judged, holm([p_values[i] for i in judged]), strict=True))
    rows = []
    for class_id, (label, reason, support, before, after, b, c, p_value) in enumerate(
        zip(labels, reasons, supports, *recalls, lost, gained, p_values, strict=True)
    ):
        bound = loss_bound(b, c, support, alpha) if support else math.nan
        p_holm = corrected.get(class_id, math.nan)
        verdict: Verdict = "not judged"
        if reason is None:
            verdict = verdict_of(bound, p_holm, margin=margin, alpha=alpha)
        more = None
        if verdict == "unresolved":
            more = images_to_decide(
                b, c, support, margin=margin, alpha=alpha, num_classes=len(judged)
            )
        rows.append(
            ClassParity(
                label=label,
                support=support,
                recall_reference=before,
                recall_candidate=after,
                lost=b,
                gained=c,
                p_value=p_value,
                p_holm=p_holm,
                bound=bound,
                verdict=verdict,
                reason=reason,
                detectable=p_holm < alpha,
                images_to_decide=more,
            )
        )
    return tuple(rows)


def verdict_of(bound: float, p_holm: float, *, margin: float, alpha: float) -> Verdict:
    """The verdict on a class from the bound of its loss and its corrected p value."""
    if bound < margin:
        return "shown"
    return "lost" if p_holm < alpha else "unresolved"


# --- the guards


def precision_loss_bounds(
    y_true: np.ndarray,
    predicted_reference: np.ndarray,
    predicted_candidate: np.ndarray,
    num_classes: int,
    *,
    alpha: float,
    seed: int = 0,
) -> list[float | None]:
    """Upper confidence bounds of the loss of precision of every class, by a paired bootstrap.

    Drawing N images with replacement changes only how often each of eight kinds of image occurs (of the
    class or not, given this answer by one model or not, by the other or not). So eight counts are drawn
    from a multinomial distribution, which is the same bootstrap at a thousandth of the work.

    Args:
        y_true: True class numbers, shape (N,).
        predicted_reference: The reference's answers, shape (N,).
        predicted_candidate: The candidate's answers, shape (N,).
        num_classes: C.
        alpha: One-sided error rate.
        seed: Of the draws; the same seed gives the same bounds.

    Returns:
        C bounds, each in [-1, 1]; None where one of the models never gives this answer. A class on whose
        answer the models never differ has bound 0.
    """
    rng = np.random.default_rng(seed)
    bounds: list[float | None] = []
    for class_id in range(num_classes):
        kinds = (
            4 * (y_true == class_id)
            + 2 * (predicted_reference == class_id)
            + (predicted_candidate == class_id)
        )
        shares = np.bincount(kinds, minlength=8) / len(y_true)
        draws = rng.multinomial(len(y_true), shares, size=BOOTSTRAP_REPLICATES).reshape(-1, 2, 2, 2)
        # Axes: replicate, of the class, answered by the reference, answered by the candidate.
        answered_reference = draws[:, :, 1, :].sum(axis=2)
        answered_candidate = draws[:, :, :, 1].sum(axis=2)
        given = (answered_reference.sum(axis=1) > 0) & (answered_candidate.sum(axis=1) > 0)
        if not given.any():
            bounds.append(None)
            continue
        precision_reference, precision_candidate = (
            answered[given, 1] / answered[given].sum(axis=1)
            for answered in (answered_reference, answered_candidate)
        )
        bounds.append(float(np.quantile(precision_reference - precision_candidate, 1 - alpha)))
    return bounds


def confidence_drift(reference: Answers, candidate: Answers) -> ConfidenceDrift:
    """How far probabilities and logits moved from the reference to the candidate."""
    rows = np.arange(len(reference.probabilities))
    answers = reference.class_ids
    changes = np.abs(
        reference.probabilities[rows, answers] - candidate.probabilities[rows, answers]
    )
    spread = float(np.std(reference.logits, dtype=np.float64))
    offset = None
    if reference.from_softmax == candidate.from_softmax and spread > 0:
        # Of the answer's logit and by the median: an int8 output may well saturate where nothing is
        # decided (far below the answer, or far above every rival), and that is no offset.
        difference = candidate.logits[rows, answers] - reference.logits[rows, answers]
        offset = float(np.median(difference)) / spread
    return ConfidenceDrift(float(changes.mean()), float(np.quantile(changes, 0.99)), offset)


def points(share: float, digits: int = 1) -> str:
    """A share as points, such as "2" for 0.02 and "-0.31" for -0.0031 with two digits."""
    text = f"{100 * share:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits == 1 else text


def _guard_precision(precision: Sequence[ClassPrecision], limit: float, alpha: float) -> Guard:
    """Judges the given rows; those of classes that are not judged are left out by the caller.

    Few answers cannot show so small a loss. Then the limit is what they could show at best: beyond it they
    fail, within it nothing is said of them.
    """
    judged = [(row.bound, row) for row in precision if row.bound is not None]
    if not judged:
        sentence = "No class is answered by both models, so that no precision can be compared."
        return Guard("precision", None, limit, False, sentence)
    needed = smallest_support(limit, alpha)
    failed, few, within = [], [], []
    for bound, row in sorted(judged, key=lambda pair: pair[0], reverse=True):
        fewest = min(row.answers_reference, row.answers_candidate)
        if bound >= max(limit, smallest_margin(fewest, alpha)):
            failed.append(f"{row.label} (up to {points(bound, 2)})")
        elif fewest < needed:
            few.append(f"{row.label} ({fewest:,})")
        else:
            within.append(f"{points(bound, 2)} points ({row.label})")
    if failed:
        sentence = (
            f"Answers that can be trusted less: precision may have fallen by more than "
            f"{points(limit)} points for {', '.join(failed)}."
        )
    elif within:
        sentence = (
            f"No {'other ' if few else ''}class lost more than {points(limit)} points of precision; the "
            f"largest possible loss is {within[0]}."
        )
    else:
        sentence = f"A loss of {points(limit)} points of precision could not be seen."
    if few:
        sentence += f" Too few answers, below {needed}, to say anything of {', '.join(few)}."
    never = [row.label for row in precision if row.bound is None]
    if never:
        sentence += f" Not defined where a model never gives the answer: {', '.join(never)}."
    passed = not failed if failed or within else None
    return Guard("precision", max(bound for bound, _ in judged), limit, passed, sentence)


def _guard_accuracy(overall: Accuracy, images: int, limit: float, alpha: float) -> Guard:
    if images < smallest_support(limit, alpha):
        sentence = (
            f"Too few images to say that at most {points(limit)} points of accuracy were lost: it takes "
            f"at least {smallest_support(limit, alpha)}, there are {images}."
        )
        return Guard("accuracy", overall.bound, limit, None, sentence)
    passed = overall.bound < limit
    sentence = (
        f"Accuracy went from {overall.reference:.2%} to {overall.candidate:.2%}; the loss is at most "
        f"{points(overall.bound, 2)} points, {'below' if passed else 'not below'} {points(limit)}."
    )
    return Guard("accuracy", overall.bound, limit, passed, sentence)


def _guard_agreement(agreement: float, limit: float) -> Guard:
    passed = agreement >= limit
    sentence = f"The models give the same answer to {agreement:.2%} of the images, "
    sentence += (
        f"at least {limit:.0%} are asked for."
        if passed
        else f"fewer than {limit:.0%}: this is another classifier, whatever its accuracy."
    )
    return Guard("agreement", agreement, limit, passed, sentence)


def _guard_confidence(drift: ConfidenceDrift, limits: Limits) -> list[Guard]:
    mean_passed = drift.mean < limits.drift_mean
    tail_passed = drift.percentile_99 < limits.drift_percentile_99
    guards = [
        Guard(
            "confidence drift, mean",
            drift.mean,
            limits.drift_mean,
            mean_passed,
            f"The confidence in an answer changed by {drift.mean:.4f} on average, "
            f"{'below' if mean_passed else 'not below'} {limits.drift_mean:g}"
            + (
                "."
                if mean_passed
                else ": look for a softmax or temperature applied twice or never."
            ),
        ),
        Guard(
            "confidence drift, 99th percentile",
            drift.percentile_99,
            limits.drift_percentile_99,
            tail_passed,
            f"For 99 of 100 images it changed by at most {drift.percentile_99:.3f}, "
            f"{'below' if tail_passed else 'not below'} {limits.drift_percentile_99:g}.",
        ),
    ]
    if drift.logit_offset is None:
        return guards
    offset_passed = abs(drift.logit_offset) < limits.logit_offset
    guards.append(
        Guard(
            "logit offset",
            drift.logit_offset,
            limits.logit_offset,
            offset_passed,
            f"The outputs as a whole moved by {drift.logit_offset:+.2%} of their spread, "
            f"{'within' if offset_passed else 'not within'} {limits.logit_offset:.0%}"
            + (
                "."
                if offset_passed
                else ": look for a wrong zero point or scale of the output, or an added softmax."
            ),
        )
    )
    return guards


def _guard_calibration(calibration: Calibration, images: int, limit: float) -> Guard:
    rise = calibration.candidate - calibration.reference
    went = f"from {calibration.reference:.4f} to {calibration.candidate:.4f} (expected calibration error)"
    if images < CALIBRATION_IMAGES:
        sentence = (
            f"Too few images to say how right the confidence is: it takes {CALIBRATION_IMAGES:,}, there are "
            f"{images:,}; it went {went}."
        )
        return Guard("calibration", rise, limit, None, sentence)
    passed = rise < limit
    sentence = f"How far confidence is from being right went {went}, a rise of {rise:+.4f}, " + (
        f"below {limit:g}."
        if passed
        else f"not below {limit:g}: look for another temperature or scale of the output."
    )
    return Guard("calibration", rise, limit, passed, sentence)


def _changed_images(
    y_true: np.ndarray, reference: Answers, candidate: Answers, labels: Sequence[str]
) -> tuple[ChangedImage, ...]:
    before, after = reference.class_ids, candidate.class_ids
    return tuple(
        ChangedImage(
            index=int(i),
            label=labels[y_true[i]],
            label_reference=labels[before[i]],
            label_candidate=labels[after[i]],
            confidence_reference=float(reference.probabilities[i, before[i]]),
            confidence_candidate=float(candidate.probabilities[i, after[i]]),
        )
        for i in np.flatnonzero(before != after)
    )


def _as_rows(confusion: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in confusion.tolist())


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
