"""Reads class weights, the factor of each class in the loss, from options or from the network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import class_id_of


def parse(
    options: Sequence[str], defaults: Mapping[str, float], labels: Sequence[str], y: np.ndarray
) -> dict[str, float]:
    """Reads the factor of every class.

    Args:
        options: Values of `--class-weight`: "NAME=FACTOR" any number of times, or "none", or "balanced".
            Empty to use the network's own factors.
        defaults: The network's own factors by label.
        labels: All labels in the order of their numbers.
        y: Class numbers of the training images, shape (N,); "balanced" counts them.

    Returns:
        Factor by label, for all labels.

    Raises:
        OptionError: If an option has another form, a class is unknown, or a factor is not above 0.
    """
    if list(options) == ["none"]:
        given: Mapping[str, float] = {}
    elif list(options) == ["balanced"]:
        given = dict(zip(labels, balanced(y, len(labels)).tolist(), strict=True))
    elif options:
        given = dict(_parse_pair(option, labels) for option in options)
    else:
        given = defaults
    return {label: float(given.get(label, 1.0)) for label in labels}


def balanced(y: np.ndarray, num_classes: int) -> np.ndarray:
    """Computes the factors that give every class the same total weight: N / (C * count), as in scikit-learn.

    Args:
        y: Class numbers, shape (N,).
        num_classes: C.

    Returns:
        float64, shape (C,); 1 for a class without images. If every class has images, the weights of all
        images sum to N.
    """
    counts = np.bincount(y, minlength=num_classes)
    return np.where(counts > 0, len(y) / (num_classes * np.maximum(counts, 1)), 1.0)


def _parse_pair(option: str, labels: Sequence[str]) -> tuple[str, float]:
    name, _, factor = option.rpartition("=")
    try:
        value = float(factor)
    except ValueError:
        value = math.nan
    if not name or not math.isfinite(value) or value <= 0:
        raise OptionError(
            f"--class-weight takes NAME=FACTOR with a factor above 0, 'none' or 'balanced', got "
            f"'{option}'; write for example --class-weight Shirt=2.0."
        )
    return labels[class_id_of(name, labels)], value
