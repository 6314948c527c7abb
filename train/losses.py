"""The losses and the accuracy of training, as tensor functions for Keras."""

from __future__ import annotations

from typing import Any

import keras


def group_cross_entropy(y_true: Any, logits: Any) -> Any:
    """Cross entropy; where several classes are right, of the sum of their probabilities.

    `photo_figures.group_cross_entropy` is the same in NumPy.

    Args:
        y_true: Tensor, shape (N, C). A row is a distribution, or has a 1 for every class of a group.
        logits: Tensor, shape (N, C).

    Returns:
        Tensor, shape (N,), in nats.
    """
    ops = keras.ops
    logits = ops.cast(logits, y_true.dtype)
    of_group = ops.logsumexp(ops.where(y_true > 0, logits, -1e9), axis=-1)
    expected = ops.sum(y_true * logits, axis=-1)
    is_group = ops.sum(y_true, axis=-1) > 1.5  # a distribution sums to 1, a group to 2 or more
    return ops.logsumexp(logits, axis=-1) - ops.where(is_group, of_group, expected)


def group_hits(y_true: Any, logits: Any) -> Any:
    """Whether the answer is the most probable class of the target, or one of its group.

    Args:
        y_true: Tensor, shape (N, C), see `group_cross_entropy`.
        logits: Tensor, shape (N, C).

    Returns:
        Tensor of 0 and 1, shape (N,).
    """
    ops = keras.ops
    answer = ops.one_hot(ops.argmax(logits, axis=-1), y_true.shape[-1], dtype=y_true.dtype)
    return ops.cast(ops.sum(answer * y_true, axis=-1) >= ops.max(y_true, axis=-1), y_true.dtype)


def loss_and_accuracy(*, soft: bool, has_groups: bool) -> tuple[Any, Any]:
    """Chooses the loss and the accuracy that fit the targets, for `keras.Model.compile`.

    Args:
        soft: Whether the targets are probabilities, shape (N, C), in place of class numbers, shape (N,).
        has_groups: Whether a target may be a group of several classes; see `group_cross_entropy`.
    """
    if has_groups:
        return group_cross_entropy, keras.metrics.MeanMetricWrapper(group_hits, name="accuracy")
    if soft:
        return keras.losses.CategoricalCrossentropy(from_logits=True), "accuracy"
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy"
