"""Asks of a new model whether it is better than the one in use, by the statistics of the parity check."""

from __future__ import annotations

import numpy as np

from garmentlite.convert.verify.criteria import ALPHA
from garmentlite.convert.verify.statistics import count_flips, holm, loss_bound, mcnemar_p
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.model_comparison import (
    FEWEST_PICTURES,
    ClassProgress,
    ModelComparison,
    Progress,
)
from garmentlite.edge.recognition import mean_over_views, views

# The smallest round margin that `FEWEST_PICTURES` pictures can show at this error rate.
MARGIN = 0.10


def compare_models(
    old: Classifier, new: Classifier, images_u8: np.ndarray, y_true: np.ndarray
) -> ModelComparison:
    """Compares a new model with the one in use on the same images, class by class.

    A class is worse if the new model loses more of its images than it gains, by an exact one-sided McNemar
    test with Holm's correction over the classes, and better if it gains more than it loses. Otherwise it is
    as good if the upper bound of its loss is below the margin.

    Args:
        old: The model in use.
        new: The new model.
        images_u8: uint8, shape (N, 28, 28); neither model was trained on them.
        y_true: True class numbers, int64, shape (N,).

    Returns:
        The verdict by class. A class with fewer than `FEWEST_PICTURES` images gets none. Models with other
        classes, or with the classes in another order, are not compared.

    Raises:
        ModelError: If an output of a model is not finite.
    """
    if old.labels != new.labels:
        return ModelComparison(
            (), "The new model has other classes than the old one, so the two are not compared."
        )
    before, after = (_answers(model, images_u8) for model in (old, new))
    flips = count_flips(y_true, before, after, len(old.labels))
    lost, gained = flips.lost.tolist(), flips.gained.tolist()
    supports = np.bincount(y_true, minlength=len(old.labels)).tolist()
    judged = [i for i, support in enumerate(supports) if support >= FEWEST_PICTURES]
    p_worse = dict(zip(judged, holm([mcnemar_p(lost[i], gained[i]) for i in judged]), strict=True))
    p_better = dict(zip(judged, holm([mcnemar_p(gained[i], lost[i]) for i in judged]), strict=True))

    def verdict(i: int) -> Progress:
        if i not in p_worse:
            return Progress.TOO_FEW
        if p_worse[i] < ALPHA:
            return Progress.WORSE
        if p_better[i] < ALPHA:
            return Progress.BETTER
        is_close = loss_bound(lost[i], gained[i], supports[i], ALPHA) < MARGIN
        return Progress.AS_GOOD if is_close else Progress.UNDECIDED

    def recall(answers: np.ndarray, i: int) -> float | None:
        return float((answers[y_true == i] == i).mean()) if supports[i] else None

    return ModelComparison(
        tuple(
            ClassProgress(label, supports[i], recall(before, i), recall(after, i), verdict(i))
            for i, label in enumerate(old.labels)
        )
    )


def _answers(model: Classifier, images_u8: np.ndarray) -> np.ndarray:
    """Computes the class numbers that the device would answer, shape (N,)."""
    if not len(images_u8):
        return np.empty(0, np.int64)
    seen = np.stack([model.probabilities(view) for view in views(images_u8, model.views)])
    return mean_over_views(seen).argmax(axis=1)
