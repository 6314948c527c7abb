"""Judges the answers of two models class by class; NumPy and the standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from garmentlite.convert.verify.corruptions import CorruptionsReport
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.guards import GUARDS, Evidence, Guard, check_all
from garmentlite.convert.verify.measurements import (
    Answers,
    measure_accuracy,
    measure_calibration,
    measure_drift,
    measure_precision,
)
from garmentlite.convert.verify.parity_report import (
    ChangedImage,
    ClassParity,
    ParityReport,
    Verdict,
)
from garmentlite.convert.verify.statistics import (
    Flips,
    count_flips,
    holm,
    images_to_decide,
    loss_bound,
    mcnemar_p,
)
from garmentlite.edge.metrics import confusion_matrix, recall_per_class


def judge(
    y_true: np.ndarray,
    reference: Answers,
    candidate: Answers,
    labels: Sequence[str],
    criteria: Criteria | None = None,
    *,
    guards: tuple[Guard, ...] = GUARDS,
    corruptions: CorruptionsReport | None = None,
    files: Sequence[str] | None = None,
) -> ParityReport:
    """Compares the answers of two models to the same images.

    Args:
        y_true: True class numbers, integer, shape (N,), each in [0, C).
        reference: Answers of the model that is taken as right.
        candidate: Answers of the model that is checked.
        labels: The C class names.
        criteria: Margin, error rate and the classes to judge; None for the defaults.
        guards: The checks beside those of recall.
        corruptions: The same models on corrupted images, for the guard that judges them.
        files: The photographs that the images were made from, N names; None for images of a data set.

    Returns:
        The report, without provenance.

    Raises:
        OptionError: If a name in the criteria is not a label.
        DataError: If no class can be judged, or one has too few images for the margin; see
            `Criteria.require_resolvable`.
    """
    criteria = criteria or Criteria()
    criteria.require_resolvable(y_true, labels)
    reasons = criteria.reasons_not_judged(y_true, labels)
    before, after = reference.class_ids, candidate.class_ids
    confusions = [confusion_matrix(y_true, y_pred, len(labels)) for y_pred in (before, after)]
    flips = count_flips(y_true, before, after, len(labels))
    precision = measure_precision(y_true, before, after, labels, criteria.alpha)
    evidence = Evidence(
        criteria=criteria,
        images=len(y_true),
        precision=tuple(
            row for row, reason in zip(precision, reasons, strict=True) if reason is None
        ),
        accuracy=measure_accuracy(y_true, before, after, criteria.alpha),
        agreement=float(np.mean(before == after)),
        confidence_drift=measure_drift(reference, candidate),
        calibration=measure_calibration(y_true, reference, candidate),
        corruptions=corruptions,
    )
    return ParityReport(
        criteria=criteria,
        images=len(y_true),
        classes=_judge_classes(labels, reasons, confusions, flips, criteria),
        accuracy=evidence.accuracy,
        precision=precision,
        agreement=evidence.agreement,
        confidence_drift=evidence.confidence_drift,
        calibration=evidence.calibration,
        guards=check_all(evidence, guards),
        changed_images=_changed_images(y_true, reference, candidate, labels, files),
        confusion_reference=_as_rows(confusions[0]),
        confusion_candidate=_as_rows(confusions[1]),
        corruptions=corruptions,
    )


def verdict_of(bound: float, p_holm: float, criteria: Criteria) -> Verdict:
    """Returns the verdict on a class from the bound of its loss and its corrected p value."""
    if bound < criteria.margin:
        return "shown"
    return "lost" if p_holm < criteria.alpha else "unresolved"


def _judge_classes(
    labels: Sequence[str],
    reasons: Sequence[str | None],
    confusions: Sequence[np.ndarray],
    flips: Flips,
    criteria: Criteria,
) -> tuple[ClassParity, ...]:
    supports = confusions[0].sum(axis=1).tolist()
    recalls = [recall_per_class(confusion).tolist() for confusion in confusions]
    lost, gained = flips.lost.tolist(), flips.gained.tolist()
    p_values = [mcnemar_p(b, c) for b, c in zip(lost, gained, strict=True)]
    judged = [class_id for class_id, reason in enumerate(reasons) if reason is None]
    corrected = dict(zip(judged, holm([p_values[i] for i in judged]), strict=True))
    rows = []
    for class_id, (label, reason, support, b, c) in enumerate(
        zip(labels, reasons, supports, lost, gained, strict=True)
    ):
        bound = loss_bound(b, c, support, criteria.alpha) if support else math.nan
        p_holm = corrected.get(class_id, math.nan)
        verdict = "not judged" if reason else verdict_of(bound, p_holm, criteria)
        more = None
        if verdict == "unresolved":
            more = images_to_decide(
                b, c, support,
                margin=criteria.margin, alpha=criteria.alpha, num_classes=len(judged),
            )  # fmt: skip
        rows.append(
            ClassParity(
                label=label,
                support=support,
                recall_reference=recalls[0][class_id],
                recall_candidate=recalls[1][class_id],
                lost=b,
                gained=c,
                p_value=p_values[class_id],
                p_holm=p_holm,
                bound=bound,
                verdict=verdict,
                reason=reason,
                detectable=p_holm < criteria.alpha,
                images_to_decide=more,
            )
        )
    return tuple(rows)


def _changed_images(
    y_true: np.ndarray,
    reference: Answers,
    candidate: Answers,
    labels: Sequence[str],
    files: Sequence[str] | None,
) -> tuple[ChangedImage, ...]:
    before, after = reference.class_ids, candidate.class_ids
    return tuple(
        ChangedImage(
            index=i,
            label=labels[y_true[i]],
            label_reference=labels[before[i]],
            label_candidate=labels[after[i]],
            confidence_reference=float(reference.probabilities[i, before[i]]),
            confidence_candidate=float(candidate.probabilities[i, after[i]]),
            file=files[i] if files else None,
        )
        for i in np.flatnonzero(before != after).tolist()
    )


def _as_rows(confusion: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in confusion.tolist())
