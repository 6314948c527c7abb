"""Recall, precision and other measures of a classifier; NumPy only, so that a device computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from garmentlite.edge.probabilities import cross_entropy


def summary(y_true: np.ndarray, logits: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Computes all measures that a run or a card lists, as a JSON document.

    Args:
        y_true: True class numbers, shape (N,).
        logits: Before softmax, shape (N, C); among equal logits the first class is predicted.
        labels: Class names in the order of the outputs.

    Returns:
        accuracy, macro_recall, macro_precision, macro_f1, mcc, log_loss, per_class (label, support,
        recall, precision, f1; None if undefined) and confusion_matrix (rows = true classes). Averages
        leave out the classes for which the measure is undefined.
    """
    matrix = confusion_matrix(y_true, logits.argmax(axis=1), len(labels))
    recall, precision, f1 = (
        recall_per_class(matrix),
        precision_per_class(matrix),
        f1_per_class(matrix),
    )
    return {
        "images": len(y_true),
        "accuracy": accuracy(matrix),
        "macro_recall": float(np.nanmean(recall)),
        "macro_precision": float(np.nanmean(precision)),
        "macro_f1": float(np.nanmean(f1)),
        "mcc": matthews_correlation(matrix),
        "log_loss": log_loss(y_true, logits),
        "per_class": [
            {
                "label": label,
                "support": int(matrix[i].sum()),
                "recall": defined(recall[i]),
                "precision": defined(precision[i]),
                "f1": defined(f1[i]),
            }
            for i, label in enumerate(labels)
        ],
        "confusion_matrix": matrix.tolist(),
    }


def defined(value: float) -> float | None:
    """Replaces NaN by None, because JSON cannot hold NaN."""
    return None if np.isnan(value) else float(value)


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts how often each true class was predicted as each class.

    Args:
        y_true: True class numbers, integer, shape (N,), each in [0, num_classes).
        y_pred: Predicted class numbers, in the same form.
        num_classes: C.

    Returns:
        int64, shape (C, C). Row = true class, column = predicted class.

    Raises:
        ValueError: If the two differ in shape, or a number is not in this range.
    """
    if y_true.shape != y_pred.shape or y_true.ndim != 1:
        raise ValueError(
            f"y_true and y_pred must have the same shape (N,), got {y_true.shape} and {y_pred.shape}"
        )
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        if values.size and not (values.min() >= 0 and values.max() < num_classes):
            raise ValueError(
                f"{name} must lie in [0, {num_classes}), got {values.min()} to {values.max()}"
            )
    cells = y_true.astype(np.int64) * num_classes + y_pred.astype(np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(matrix: np.ndarray) -> float:
    """Computes the share of right answers, in [0, 1]; NaN if there is no answer.

    Args:
        matrix: Counts, shape (C, C), row = true class.
    """
    total = int(matrix.sum())
    return float(np.trace(matrix)) / total if total else float("nan")


def recall_per_class(matrix: np.ndarray) -> np.ndarray:
    """Computes the recall of every class, the diagonal over the row sums.

    Args:
        matrix: Counts, shape (C, C). Row = true class, column = predicted class.

    Returns:
        float64, shape (C,), each in [0, 1]. NaN if a class has no true sample: such a recall is
        unknown and must not be read as zero.
    """
    return _shares(np.diagonal(matrix), matrix.sum(axis=1))


def precision_per_class(matrix: np.ndarray) -> np.ndarray:
    """Computes the precision of every class, the diagonal over the column sums.

    Args:
        matrix: Counts, shape (C, C). Row = true class, column = predicted class.

    Returns:
        float64, shape (C,), each in [0, 1]. NaN if a class was never predicted.
    """
    return _shares(np.diagonal(matrix), matrix.sum(axis=0))


def f1_per_class(matrix: np.ndarray) -> np.ndarray:
    """Computes the harmonic mean of precision and recall of every class.

    Args:
        matrix: Counts, shape (C, C). Row = true class, column = predicted class.

    Returns:
        float64, shape (C,), each in [0, 1]. NaN if a class has neither a sample nor a prediction.
    """
    return _shares(2 * np.diagonal(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def matthews_correlation(matrix: np.ndarray) -> float:
    """Matthews correlation coefficient of several classes (Gorodkin 2004), in [-1, 1]; 0 is chance.

    Args:
        matrix: Counts, shape (C, C). Row = true class, column = predicted class.

    Returns:
        The coefficient; 0.0 if only one class occurs or is predicted, as in scikit-learn.
    """
    counts = matrix.astype(np.float64)
    true_sums, predicted_sums, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    covariance = np.trace(counts) * total - true_sums @ predicted_sums
    spread_true = total**2 - true_sums @ true_sums
    spread_predicted = total**2 - predicted_sums @ predicted_sums
    spread = np.sqrt(spread_true * spread_predicted)
    return float(covariance / spread) if spread > 0 else 0.0


def log_loss(y_true: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Computes the mean negative logarithm of the probability given to the true class, in nats.

    Args:
        y_true: True class numbers, shape (N,).
        logits: Before softmax, shape (N, C).
        weights: Weight of every sample, shape (N,); None gives each the weight 1.

    Returns:
        sum(w * loss) / sum(w).
    """
    return float(np.average(cross_entropy(y_true, logits), weights=weights))


def expected_calibration_error(
    y_true: np.ndarray, probabilities: np.ndarray, bins: int = 15
) -> float:
    """Computes the mean distance between confidence and accuracy over bins of equal width (Guo et al. 2017).

    Args:
        y_true: True class numbers, shape (N,).
        probabilities: Shape (N, C).
        bins: Number of bins over [0, 1].

    Returns:
        The error, in [0, 1].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == y_true
    return calibration_error(confidence, right, confidence_bins(confidence, bins))


def confidence_bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Assigns each confidence to a bin of equal width over [0, 1].

    A confidence on the edge of two bins belongs to the upper one, and 1 belongs to the last bin.

    Args:
        confidence: Shape (N,), each in [0, 1].
        bins: Number of bins.

    Returns:
        Bin numbers, integer, shape (N,), each in [0, bins).
    """
    return np.minimum((confidence * bins).astype(int), bins - 1)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bin_of: np.ndarray) -> float:
    """Computes `expected_calibration_error` for a confidence that is not the probability of one class.

    Args:
        confidence: Shape (N,), each in [0, 1].
        right: bool, shape (N,), whether the answer was right.
        bin_of: Bin number of each answer, shape (N,), see `confidence_bins`.

    Returns:
        The error, in [0, 1].
    """
    gaps = np.bincount(bin_of, weights=right - confidence)
    return float(np.abs(gaps).sum() / len(right))


def _shares(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    result = np.full(len(wholes), np.nan)
    np.divide(parts, wholes, out=result, where=wholes > 0)
    return result
