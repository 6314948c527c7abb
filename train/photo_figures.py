"""Measures how well a network recognises held-out photographs, whose labels may be groups of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from garmentlite.edge.metrics import defined
from garmentlite.edge.probabilities import log_sum_exp
from garmentlite.edge.text_table import text_table
from garmentlite.train.photo_set import PhotoSet


@dataclass(frozen=True)
class PhotoFigures:
    """Figures on the held-out photographs.

    Attributes:
        groups: Names of the groups, G of them.
        loss: Weighted mean of -log of the probability of the group, in nats, over the photographs in which
            a garment was found.
        accuracy: Share of photographs whose answer is their label, or a class of it if it is a group; a
            photograph in which no garment was found counts as wrong.
        recall: The same share by group; None for a group without photographs.
        accepted: Share of photographs whose answer is a class that a careful person accepts.
        accepted_by_group: The same share by group; None for a group without photographs.
        answers: Counts, int64, shape (G, C + 1): row = group, column = class answered, last column = no
            garment found.
    """

    groups: tuple[str, ...]
    loss: float
    accuracy: float
    recall: list[float | None]
    accepted: float
    accepted_by_group: list[float | None]
    answers: np.ndarray

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the figures."""
        support = self.answers.sum(axis=1)
        known = [recall for recall in self.recall if recall is not None]
        return {
            "images": int(support.sum()),
            "no_garment": int(self.answers[:, -1].sum()),
            "accuracy": self.accuracy,
            "accepted": self.accepted,
            "macro_recall": float(np.mean(known)),
            "log_loss": self.loss,
            "per_group": [
                {
                    "label": group,
                    "support": int(support[i]),
                    "recall": self.recall[i],
                    "accepted": self.accepted_by_group[i],
                }
                for i, group in enumerate(self.groups)
            ],
            "answers": self.answers.tolist(),
        }


def measure(
    photos: PhotoSet, logits: np.ndarray, class_weights: np.ndarray | None = None
) -> PhotoFigures:
    """Computes the figures from the logits of the held-out photographs.

    Args:
        photos: At least one held-out photograph must have a garment.
        logits: float32, shape (M, C).
        class_weights: Factors of the loss by class, shape (C,), beside those of the groups; all 1 if None.
    """
    of_class, y = photos.members[photos.y_validation], photos.y_validation
    answers = np.zeros((len(photos.groups), logits.shape[1] + 1), np.int64)
    answer = logits.argmax(axis=1)
    np.add.at(answers, (y, answer), 1)
    answers[:, -1] = photos.missed
    right = (answers[:, :-1] * photos.members).sum(axis=1)
    is_accepted = photos.accepted_validation[np.arange(len(y)), answer]
    accepted = np.bincount(y[is_accepted], minlength=len(photos.groups))
    support = answers.sum(axis=1)
    factors = np.ones(logits.shape[1]) if class_weights is None else class_weights
    weights = group_weights(photos, factors)[y]
    return PhotoFigures(
        groups=photos.groups,
        loss=float(np.average(group_cross_entropy(logits, of_class), weights=weights)),
        accuracy=float(right.sum() / support.sum()),
        recall=_shares(right, support),
        accepted=float(accepted.sum() / support.sum()),
        accepted_by_group=_shares(accepted, support),
        answers=answers,
    )


def _shares(counts: np.ndarray, support: np.ndarray) -> list[float | None]:
    """Divides counts by the number of photographs of each group; None for a group without any."""
    pairs = zip(counts.tolist(), support.tolist(), strict=True)
    return [defined(count / of if of else np.nan) for count, of in pairs]


def group_cross_entropy(logits: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Computes -log of the summed probability of several classes, the cross entropy if it is one class.

    Args:
        logits: Float, shape (N, C).
        members: bool, shape (N, C), the right classes of each image, at least one.

    Returns:
        float64, shape (N,), in nats.
    """
    logits = logits.astype(np.float64)
    return log_sum_exp(logits) - log_sum_exp(np.where(members, logits, -np.inf))


def group_weights(photos: PhotoSet, class_weights: np.ndarray) -> np.ndarray:
    """Computes each group's factor of the loss: its own times its classes' mean; float32, shape (G,)."""
    means = (photos.members * class_weights).sum(axis=1) / photos.members.sum(axis=1)
    return (photos.factors * means).astype(np.float32)


def photographs_table(document: dict[str, Any]) -> str:
    """Writes the figures as text, from `PhotoFigures.as_document` as a run keeps it in metrics.json."""
    rows = [
        [
            row["label"],
            f"{row['support']:,}",
            *(
                "-" if row[share] is None else f"{row[share]:.1%}"
                for share in ("recall", "accepted")
            ),
        ]
        for row in document["per_group"]
    ]
    table = text_table(["photographs held out", "count", "recall", "accepted"], rows)
    return (
        f"{table}\naccuracy {document['accuracy']:.2%}, accepted {document['accepted']:.2%}, macro recall "
        f"{document['macro_recall']:.2%} on {document['images']:,} photographs; in "
        f"{document['no_garment']:,} no garment was found"
    )
