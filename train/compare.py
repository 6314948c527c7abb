"""Runs side by side: what one does better, who pays for it, and what may be chance.

The stored figures are of the test set, which is not read again here. Two runs differ in a figure where the
difference is above two standard errors. Those are of two independent samples: the runs saw the same images,
so the error is smaller than that and the rule a cautious one. Where both networks are at hand, the images on
which one is right and the other wrong are counted on validation images, which decides more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.train import runs

STANDARD_ERRORS = 2.0  # chance alone goes beyond about once in twenty


@dataclass(frozen=True)
class Measured:
    """What is stored of one run.

    Attributes:
        name: What it is called beside the others.
        path: Where it was read.
        labels: Class names in the order of their numbers.
        confusion: Of the test images, int64, shape (C, C), row = true class.
        model: The network, where the run keeps it.
    """

    name: str
    path: Path
    labels: tuple[str, ...]
    confusion: np.ndarray
    model: Path | None

    @property
    def images(self) -> int:
        """How many test images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Of the test images, in [0, 1]."""
        return metrics.accuracy(self.confusion)

    @property
    def recall(self) -> np.ndarray:
        """Of every class, float64, shape (C,); NaN for one without images."""
        return metrics.recall_per_class(self.confusion)

    @property
    def macro_recall(self) -> float:
        """Mean recall of the classes with images."""
        return float(np.nanmean(self.recall))

    @property
    def precision(self) -> np.ndarray:
        """Of every class, float64, shape (C,); NaN for one that is never answered."""
        return metrics.precision_per_class(self.confusion)

    @property
    def hardest(self) -> int:
        """Number of the class with the lowest recall."""
        return int(np.nanargmin(self.recall))

    def as_document(self) -> dict[str, Any]:
        """The figures as JSON can hold them."""
        return {
            "run": self.name,
            "path": str(self.path),
            "images": self.images,
            "accuracy": self.accuracy,
            "macro_recall": self.macro_recall,
            "lowest_recall": {
                "label": self.labels[self.hardest],
                "recall": float(self.recall[self.hardest]),
            },
            "recall": self._by_label(self.recall),
            "precision": self._by_label(self.precision),
        }

    def _by_label(self, figures: np.ndarray) -> dict[str, float | None]:
        return dict(zip(self.labels, map(metrics.defined, figures), strict=True))


@dataclass(frozen=True)
class Change:
    """A share of images in two runs.

    Attributes:
        before: In the first, in [0, 1].
        after: In the other.
        standard_error: Of the difference, as of independent samples.
    """

    before: float
    after: float
    standard_error: float

    @property
    def difference(self) -> float:
        """What the other has more."""
        return self.after - self.before

    @property
    def may_be_chance(self) -> bool:
        """Whether chance alone may have made it; also where a share is not defined."""
        return not abs(self.difference) > STANDARD_ERRORS * self.standard_error

    @property
    def text(self) -> str:
        """Such as "74.2% -> 86.6%"."""
        return f"{self.before:.1%} -> {self.after:.1%}"

    def as_document(self) -> dict[str, Any]:
        """The change as JSON can hold it."""
        figures = {name: metrics.defined(value) for name, value in asdict(self).items()}
        return figures | {
            "difference": metrics.defined(self.difference),
            "may_be_chance": self.may_be_chance,
        }


@dataclass(frozen=True)
class Difference:
    """One run against the first.

    Attributes:
        first: What it is compared with.
        other: What is compared.
        accuracy: Of all images.
        recall: Of every class.
        precision: Of every class.
    """

    first: Measured
    other: Measured
    accuracy: Change
    recall: tuple[Change, ...]
    precision: tuple[Change, ...]

    @property
    def gains(self) -> list[int]:
        """Classes with more recall, beyond chance; the largest gain first."""
        gained = [i for i, change in enumerate(self.recall) if not change.may_be_chance]
        order = sorted(gained, key=lambda i: -self.recall[i].difference)
        return [i for i in order if self.recall[i].difference > 0]

    @property
    def losses(self) -> list[int]:
        """Classes with less recall, beyond chance; the largest loss first."""
        lost = [i for i, change in enumerate(self.recall) if not change.may_be_chance]
        order = sorted(lost, key=lambda i: self.recall[i].difference)
        return [i for i in order if self.recall[i].difference < 0]

    def sentences(self) -> list[str]:
        """Who gains, who pays for it, what it does to accuracy, and what may be chance."""
        labels = self.first.labels
        said = [
            f"{labels[i]} gains {100 * self.recall[i].difference:.1f} points of recall "
            f"({self.recall[i].text})."
            for i in self.gains
        ]
        paid = [self._payment(i) for i in self.losses]
        if paid and self.gains:
            said.append(f"It is paid for in other classes: {'; '.join(paid)}.")
        elif paid:
            said.append(f"Without a gain elsewhere there is less of {'; '.join(paid)}.")
        elif self.gains:
            said.append("No class pays for it more than chance may take.")
        said += [
            f"Of the answers {labels[i]} fewer are right: {self.precision[i].text}."
            for i in self.gains
            if not self.precision[i].may_be_chance and self.precision[i].difference < 0
        ]
        if self.accuracy.may_be_chance:
            verdict = "within two standard errors, may be chance"
        else:
            verdict = "more" if self.accuracy.difference > 0 else "less"
            verdict += ", by more than two standard errors"
        said.append(f"Accuracy {self.accuracy.text}: {verdict}.")
        same = [
            label for label, change in zip(labels, self.recall, strict=True) if change.may_be_chance
        ]
        if same:
            which = "of every class" if len(same) == len(labels) else f"of {', '.join(same)}"
            said.append(f"Within two standard errors, may be chance: the recall {which}.")
        return said

    def _payment(self, class_id: int) -> str:
        """What a class lost, and to which."""
        labels = self.first.labels
        moved = self.other.confusion[class_id] - self.first.confusion[class_id]
        moved[class_id] = 0
        to = int(moved.argmax())
        change = self.recall[class_id]
        name = f"{labels[class_id]} {100 * change.difference:+.1f} points ({change.text})"
        if self.first.confusion[class_id].sum() != self.other.confusion[class_id].sum():
            return name  # other images: their counts do not subtract
        return f"{name}, {moved[to]} more of its images taken for {labels[to]}"

    def as_document(self) -> dict[str, Any]:
        """The comparison as JSON can hold it."""
        labels = self.first.labels
        return {
            "first": self.first.name,
            "run": self.other.name,
            "accuracy": self.accuracy.as_document(),
            "recall": {label: self.recall[i].as_document() for i, label in enumerate(labels)},
            "precision": {label: self.precision[i].as_document() for i, label in enumerate(labels)},
            "in_words": self.sentences(),
        }


@dataclass(frozen=True)
class Paired:
    """Images on which two networks differ.

    Attributes:
        label: Their class, or "all classes".
        images: How many there are of it.
        lost: Recognised by the first alone.
        gained: Recognised by the other alone.
    """

    label: str
    images: int
    lost: int
    gained: int

    @property
    def may_be_chance(self) -> bool:
        """Whether chance alone may have made it (McNemar's test as two standard errors)."""
        error = math.sqrt(self.lost + self.gained)
        return not abs(self.gained - self.lost) > STANDARD_ERRORS * error

    def as_document(self) -> dict[str, Any]:
        """The counts as JSON can hold them."""
        return asdict(self) | {"may_be_chance": self.may_be_chance}


@dataclass(frozen=True)
class TradeOff:
    """What a class's recall costs in accuracy when its output alone is moved.

    Attributes:
        recall: Of the class, float64, shape (M,), rising; every value that it can have.
        accuracy: Of all images, the highest with that recall, float64, shape (M,).
        here: Recall and accuracy of the network as it is.
    """

    recall: np.ndarray
    accuracy: np.ndarray
    here: tuple[float, float]


def read(paths: Sequence[Path]) -> list[Measured]:
    """What is stored of finished runs and of cards.

    Args:
        paths: Folders of runs, or cards of converted models (`models/NAME.json`), of which the int8 file is
            taken. Named by their last part, by all of it where two would have the same name.

    Raises:
        DataError: If one is not finished, or no such file.
        OptionError: If they do not have the same classes.
    """
    short = [
        f"{path.stem} (int8)" if path.suffix == ".json" else path.name or str(path)
        for path in paths
    ]
    found = []
    for path, name in zip(paths, short, strict=True):
        document = _document_of(path)
        try:
            labels = tuple(row["label"] for row in document["per_class"])
            confusion = np.array(document["confusion_matrix"], np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} lacks the confusion matrix of the test images ({error!r}); train the run again, "
                "or name another."
            ) from error
        model = path / runs.MODEL
        found.append(
            Measured(
                name if short.count(name) == 1 else str(path),
                path,
                labels,
                confusion,
                model if model.is_file() else None,
            )
        )
    for other in found[1:]:
        if other.labels != found[0].labels:
            raise OptionError(
                f"{other.path} has other classes than {found[0].path}; compare runs on the same data."
            )
    return found


def compare(first: Measured, other: Measured) -> Difference:
    """One run against the first, on the stored figures of the test set."""
    return Difference(
        first,
        other,
        _change(
            (np.trace(first.confusion), first.images), (np.trace(other.confusion), other.images)
        ),
        tuple(_changes(first.confusion, other.confusion, axis=1)),
        tuple(_changes(first.confusion, other.confusion, axis=0)),
    )


def paired(
    y_true: np.ndarray, logits: np.ndarray, other: np.ndarray, labels: Sequence[str]
) -> list[Paired]:
    """The images on which one of two networks is right and the other wrong.

    Args:
        y_true: Class numbers, shape (N,).
        logits: Of the first network, shape (N, C).
        other: Of the other on the same images, shape (N, C).
        labels: The C class names.

    Returns:
        One entry per class, then one for all of them.
    """
    right, right_other = (answers.argmax(axis=1) == y_true for answers in (logits, other))
    counts = [
        np.bincount(y_true[chosen], minlength=len(labels)).tolist()
        for chosen in (slice(None), right & ~right_other, right_other & ~right)
    ]
    rows = [Paired(*row) for row in zip(labels, *counts, strict=True)]
    return [*rows, Paired("all classes", *map(sum, counts))]


def trade_off(y_true: np.ndarray, logits: np.ndarray, class_id: int) -> TradeOff:
    """Moves the output of one class over all offsets at which an answer changes.

    Args:
        y_true: Class numbers, shape (N,); at least one of the class.
        logits: Shape (N, C).
        class_id: The class.
    """
    own = logits[:, class_id].astype(np.float64)
    rivals = logits.astype(np.float64)
    rivals[:, class_id] = -np.inf
    of_class = y_true == class_id
    right_without = rivals.argmax(axis=1) == y_true  # never one of the class
    order = np.argsort(rivals.max(axis=1) - own, kind="stable")
    # After step i the i nearest images are answered with the class, all others with their best rival.
    recognised = np.concatenate(([0], np.cumsum(of_class[order])))
    change = of_class[order].astype(np.int64) - right_without[order]
    right = right_without.sum() + np.concatenate(([0], np.cumsum(change)))
    best = np.zeros(int(of_class.sum()) + 1, np.int64)
    np.maximum.at(best, recognised, right)
    predicted = logits.argmax(axis=1)
    return TradeOff(
        recall=np.arange(len(best)) / of_class.sum(),
        accuracy=best / len(y_true),
        here=(float((predicted[of_class] == class_id).mean()), float((predicted == y_true).mean())),
    )


def _document_of(path: Path) -> Any:
    """The figures on the test images, as `metrics.summary` made them."""
    keys: tuple[str, ...] = ("test",)
    if path.is_dir():
        document = runs.read_json(path, runs.METRICS)
    else:
        try:
            document, keys = (
                json.loads(path.read_text(encoding="utf-8")),
                ("measured", "int8", *keys),
            )
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} is neither the folder of a run nor a model's card ({error}); name a folder made "
                "by 'cli train' or a file such as models/weighted-cnn.json."
            ) from error
    try:
        for key in keys:
            document = document[key]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} holds no figures of the test images ({' / '.join(keys)} is missing); finish the run "
            "with 'cli train --resume', or name another."
        ) from error
    return document


def _changes(first: np.ndarray, other: np.ndarray, *, axis: int) -> list[Change]:
    """Diagonal over the sums along an axis, class by class."""
    return [
        _change(before, after)
        for before, after in zip(
            zip(np.diagonal(first), first.sum(axis=axis), strict=True),
            zip(np.diagonal(other), other.sum(axis=axis), strict=True),
            strict=True,
        )
    ]


def _change(before: tuple[int, int], after: tuple[int, int]) -> Change:
    """From (part, whole) to (part, whole)."""
    shares = [part / whole if whole else math.nan for part, whole in (before, after)]
    variances = [
        share * (1 - share) / whole if whole else math.nan
        for share, (_, whole) in zip(shares, (before, after), strict=True)
    ]
    return Change(float(shares[0]), float(shares[1]), math.sqrt(sum(variances)))
