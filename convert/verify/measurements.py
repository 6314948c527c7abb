"""Measures the answers of two models, before anything is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.convert.verify.statistics import (
    count_flips,
    loss_bound,
    precision_loss_bounds,
)
from garmentlite.edge import metrics


@dataclass(frozen=True)
class Answers:
    """The answers of one model to N images of C classes.

    Attributes:
        logits: float32, shape (N, C).
        probabilities: float32, shape (N, C), after temperature and softmax, as the device computes them.
        from_softmax: Whether the file itself ends in a softmax. Its logits are then known only up to a
            constant for each image.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    from_softmax: bool = False

    @property
    def class_ids(self) -> np.ndarray:
        """Class numbers of the answers, int64, shape (N,); the lowest number wins a tie."""
        return self.probabilities.argmax(axis=1)


@dataclass(frozen=True)
class ClassPrecision:
    """Precision of one class under both models; None if a model never gives this answer.

    Attributes:
        label: Name of the class.
        reference: Precision of the reference, in [0, 1].
        candidate: Precision of the candidate, in [0, 1].
        bound: Upper confidence bound of the loss, by a paired bootstrap, one-sided at alpha.
        answers_reference: How often the reference gives this answer.
        answers_candidate: How often the candidate gives it.
    """

    label: str
    reference: float | None
    candidate: float | None
    bound: float | None
    answers_reference: int
    answers_candidate: int


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over all images under both models.

    Attributes:
        reference: Accuracy of the reference, in [0, 1].
        candidate: Accuracy of the candidate, in [0, 1].
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        bound: Upper confidence bound of the loss of accuracy, one-sided at alpha.
    """

    reference: float
    candidate: float
    lost: int
    gained: int
    bound: float


@dataclass(frozen=True)
class ConfidenceDrift:
    """How far the candidate's confidence moved, also where its answer stayed.

    Attributes:
        mean: Mean over the images of the change of the probability of the reference's answer.
        percentile_99: Its 99th percentile.
        logit_offset: Median over the images of how far the logit of the reference's answer moved, divided by
            the standard deviation of the reference's logits. Softmax hides an offset that all logits share,
            but other programs that read the file see it. None if one of the two files ends in a softmax,
            after which no offset is left.
    """

    mean: float
    percentile_99: float
    logit_offset: float | None


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error of both models: how far confidence differs from accuracy, in 15 bins."""

    reference: float
    candidate: float


def measure_accuracy(
    y_true: np.ndarray, y_reference: np.ndarray, y_candidate: np.ndarray, alpha: float
) -> Accuracy:
    """Computes the accuracy of both models and the bound of its loss.

    Args:
        y_true: True class numbers, shape (N,).
        y_reference: The reference's answers, shape (N,).
        y_candidate: The candidate's answers, shape (N,).
        alpha: One-sided error rate of the bound.
    """
    flips = count_flips(y_true, y_reference, y_candidate, int(y_true.max()) + 1)
    return Accuracy(
        reference=float(np.mean(y_reference == y_true)),
        candidate=float(np.mean(y_candidate == y_true)),
        lost=flips.all_lost,
        gained=flips.all_gained,
        bound=loss_bound(flips.all_lost, flips.all_gained, len(y_true), alpha),
    )


def measure_precision(
    y_true: np.ndarray,
    y_reference: np.ndarray,
    y_candidate: np.ndarray,
    labels: Sequence[str],
    alpha: float,
) -> tuple[ClassPrecision, ...]:
    """Computes each class's precision under both models, and the bound of its loss.

    Args:
        y_true: True class numbers, shape (N,).
        y_reference: The reference's answers, shape (N,).
        y_candidate: The candidate's answers, shape (N,).
        labels: The C class names.
        alpha: One-sided error rate of the bound.

    Returns:
        One entry for each class, in the order of the labels.
    """
    confusions = [
        metrics.confusion_matrix(y_true, y_pred, len(labels))
        for y_pred in (y_reference, y_candidate)
    ]
    precisions = [metrics.precision_per_class(confusion) for confusion in confusions]
    answers = [confusion.sum(axis=0).tolist() for confusion in confusions]
    bounds = precision_loss_bounds(y_true, y_reference, y_candidate, len(labels), alpha=alpha)
    return tuple(
        ClassPrecision(
            label=label,
            reference=metrics.defined(precisions[0][i]),
            candidate=metrics.defined(precisions[1][i]),
            bound=bounds[i],
            answers_reference=answers[0][i],
            answers_candidate=answers[1][i],
        )
        for i, label in enumerate(labels)
    )


def measure_drift(reference: Answers, candidate: Answers) -> ConfidenceDrift:
    """Measures how far probabilities and logits moved from the reference to the candidate."""
    rows = np.arange(len(reference.probabilities))
    answers = reference.class_ids
    changes = np.abs(
        reference.probabilities[rows, answers] - candidate.probabilities[rows, answers]
    )
    spread = float(np.std(reference.logits, dtype=np.float64))
    offset = None
    if reference.from_softmax == candidate.from_softmax and spread > 0:
        # The median of the answer's logit alone: an int8 output may saturate where nothing is decided (far
        # below the answer, or far above every rival), and that is no offset.
        difference = candidate.logits[rows, answers] - reference.logits[rows, answers]
        offset = float(np.median(difference)) / spread
    return ConfidenceDrift(float(changes.mean()), float(np.quantile(changes, 0.99)), offset)


def measure_calibration(y_true: np.ndarray, reference: Answers, candidate: Answers) -> Calibration:
    """Computes the expected calibration error of both models."""
    return Calibration(
        *(
            metrics.expected_calibration_error(y_true, one.probabilities)
            for one in (reference, candidate)
        )
    )
