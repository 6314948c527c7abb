"""Compares runs: which classes gain, which lose, and which differences may be chance.

The stored figures are those of the test set, which is not read again here. Two runs differ in a figure if
the difference is above two standard errors. These are the standard errors of two independent samples. Since
the runs were measured on the same images, the true error is smaller, and the rule is cautious. If the
networks themselves are at hand, `compare_networks` shows smaller differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.documents import LARGEST_BYTES, DocumentError, parse
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.files import read_bytes
from garmentlite.edge.labels import class_id_of
from garmentlite.edge.text_table import text_table
from garmentlite.train import runs

STANDARD_ERRORS = 2.0  # chance alone exceeds this about once in twenty times


@dataclass(frozen=True)
class Measured:
    """The stored figures of one run.

    Attributes:
        name: Name of the run in the comparison.
        path: The folder or card that it was read from.
        labels: Class names in the order of their numbers.
        confusion: Confusion matrix of the test images, int64, shape (C, C), row = true class.
        model: File of the network; None if there is none beside the figures.
    """

    name: str
    path: Path
    labels: tuple[str, ...]
    confusion: np.ndarray
    model: Path | None

    @property
    def images(self) -> int:
        """Number of test images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Accuracy on the test images, in [0, 1]."""
        return metrics.accuracy(self.confusion)

    @property
    def recall(self) -> np.ndarray:
        """Recall of each class, float64, shape (C,); NaN for a class without images."""
        return metrics.recall_per_class(self.confusion)

    @property
    def macro_recall(self) -> float:
        """Mean recall of the classes with images."""
        return float(np.nanmean(self.recall))

    @property
    def precision(self) -> np.ndarray:
        """Precision of each class, float64, shape (C,); NaN for a class that is never answered."""
        return metrics.precision_per_class(self.confusion)

    @property
    def hardest(self) -> int:
        """Number of the class with the lowest recall."""
        return int(np.nanargmin(self.recall))

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the figures."""
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
        before: The share in the first run, in [0, 1]; NaN if it is undefined.
        after: The share in the other run.
        standard_error: Standard error of the difference of independent samples.
    """

    before: float
    after: float
    standard_error: float

    @property
    def difference(self) -> float:
        """How much higher the share of the other run is."""
        return self.after - self.before

    @property
    def may_be_chance(self) -> bool:
        """Whether chance alone may explain the change; also true if a share is undefined."""
        return not abs(self.difference) > STANDARD_ERRORS * self.standard_error

    @property
    def text(self) -> str:
        """The change as text, such as "74.2% -> 86.6%"."""
        return f"{self.before:.1%} -> {self.after:.1%}"

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the change."""
        figures = {name: metrics.defined(value) for name, value in asdict(self).items()}
        return figures | {
            "difference": metrics.defined(self.difference),
            "may_be_chance": self.may_be_chance,
        }


@dataclass(frozen=True)
class Difference:
    """The difference between one run and the first.

    Attributes:
        first: The baseline.
        other: The run that is compared with it.
        accuracy: Change of the accuracy.
        recall: Change of the recall of each class.
        precision: Change of the precision of each class.
    """

    first: Measured
    other: Measured
    accuracy: Change
    recall: tuple[Change, ...]
    precision: tuple[Change, ...]

    @property
    def gains(self) -> list[int]:
        """Classes whose recall rose by more than chance; the largest gain first."""
        gained = [i for i, change in enumerate(self.recall) if not change.may_be_chance]
        order = sorted(gained, key=lambda i: -self.recall[i].difference)
        return [i for i in order if self.recall[i].difference > 0]

    @property
    def losses(self) -> list[int]:
        """Classes whose recall fell by more than chance; the largest loss first."""
        lost = [i for i, change in enumerate(self.recall) if not change.may_be_chance]
        order = sorted(lost, key=lambda i: self.recall[i].difference)
        return [i for i in order if self.recall[i].difference < 0]

    def sentences(self) -> list[str]:
        """Says which classes gain, which lose, how accuracy changes, and what may be chance."""
        labels = self.first.labels
        said = [
            f"{labels[i]} gains {100 * self.recall[i].difference:.1f} points of recall "
            f"({self.recall[i].text})."
            for i in self.gains
        ]
        paid = [self._payment(i) for i in self.losses]
        if paid and self.gains:
            said.append(f"Other classes lose recall: {'; '.join(paid)}.")
        elif paid:
            said.append(f"No class gains recall, and these lose it: {'; '.join(paid)}.")
        elif self.gains:
            said.append("No class loses more recall than chance may explain.")
        said += [
            f"The precision of {labels[i]} falls: {self.precision[i].text}."
            for i in self.gains
            if not self.precision[i].may_be_chance and self.precision[i].difference < 0
        ]
        if self.accuracy.may_be_chance:
            verdict = "the difference is within two standard errors and may be chance"
        else:
            verdict = "higher" if self.accuracy.difference > 0 else "lower"
            verdict += " by more than two standard errors"
        said.append(f"Accuracy {self.accuracy.text}: {verdict}.")
        same = [
            label for label, change in zip(labels, self.recall, strict=True) if change.may_be_chance
        ]
        if same:
            which = "of every class" if len(same) == len(labels) else f"of {', '.join(same)}"
            said.append(
                f"The recall {which} differs by less than two standard errors, which may be chance."
            )
        return said

    def _payment(self, class_id: int) -> str:
        """Says how much recall a class lost, and to which class."""
        labels = self.first.labels
        moved = self.other.confusion[class_id] - self.first.confusion[class_id]
        moved[class_id] = 0
        to = int(moved.argmax())
        change = self.recall[class_id]
        name = f"{labels[class_id]} {100 * change.difference:+.1f} points ({change.text})"
        if self.first.confusion[class_id].sum() != self.other.confusion[class_id].sum():
            # The runs were measured on other images, so their counts cannot be subtracted.
            return name
        return f"{name}, {moved[to]} more of its images taken for {labels[to]}"

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the comparison."""
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
class Comparison:
    """Runs compared with the first of them.

    Attributes:
        runs: The figures of each run; the first is the baseline.
        differences: The difference of every other run from the first, in their order.
        class_id: Number of the class whose precision and trade-off are shown.
    """

    runs: list[Measured]
    differences: list[Difference]
    class_id: int

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the comparison."""
        return {
            "runs": [run.as_document() for run in self.runs],
            "differences": [difference.as_document() for difference in self.differences],
        }

    def as_text(self) -> str:
        """Writes a table, in which * marks a difference that is more than chance, and sentences about it."""
        first, differences = self.runs[0], self.differences
        head = ["", first.name]
        macro = ["macro recall", _percent(first.macro_recall)]
        lowest = ["lowest recall", _lowest_recall(first)]
        for run in self.runs[1:]:
            head += [run.name, "points "]
            macro += [_percent(run.macro_recall), ""]
            lowest += [_lowest_recall(run), ""]
        rows = [_row("accuracy", first.accuracy, [one.accuracy for one in differences])]
        rows += [macro, lowest]
        for i, label in enumerate(first.labels):
            rows.append(_row(label, first.recall[i], [one.recall[i] for one in differences]))
        chosen = self.class_id
        precision = [one.precision[chosen] for one in differences]
        rows.append(_row(f"precision {first.labels[chosen]}", first.precision[chosen], precision))
        lines = [
            text_table(head, rows),
            "Recall on the test images, as stored; * differs from "
            f"{first.name} by more than two standard errors.",
        ]
        for difference in differences:
            lines.append(f"{difference.other.name}:")
            lines += [f"  {sentence}" for sentence in difference.sentences()]
        return "\n".join(lines)


def read(paths: Sequence[Path]) -> list[Measured]:
    """Reads the stored figures of finished runs and of cards.

    Args:
        paths: Folders of runs, or cards of converted models (`models/NAME.json`), whose int8 file is
            taken. Runs are named by the last part of the path, or by all of it if two names were alike.

    Raises:
        DataError: If a run is not finished, or a file is not a card.
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


def compare_runs(paths: Sequence[Path], class_name: str) -> Comparison:
    """Compares finished runs with the first of them.

    Args:
        paths: Two runs or more, see `read`.
        class_name: Name of the class whose precision and trade-off are shown.

    Raises:
        OptionError: If there are fewer than two runs, their classes differ, or no class has this name.
        DataError: If one is not finished.
    """
    if len(paths) < 2:
        raise OptionError("cli compare takes two runs or more; the first is the baseline.")
    measured = read(paths)
    class_id = class_id_of(class_name, measured[0].labels)
    return Comparison(measured, [compare(measured[0], other) for other in measured[1:]], class_id)


def compare(first: Measured, other: Measured) -> Difference:
    """Compares one run with the first by their stored figures on the test set."""
    return Difference(
        first,
        other,
        change_of_share(
            (np.trace(first.confusion), first.images), (np.trace(other.confusion), other.images)
        ),
        tuple(_changes(first.confusion, other.confusion, axis=1)),
        tuple(_changes(first.confusion, other.confusion, axis=0)),
    )


def _document_of(path: Path) -> Any:
    """Finds the figures on the test images, a document by `metrics.summary`."""
    keys: tuple[str, ...] = ("test",)
    if path.is_dir():
        document = runs.read_json(path, runs.METRICS)
    else:
        try:
            document = parse(read_bytes(path, LARGEST_BYTES)).fields
            keys = ("measured", "int8", *keys)
        except (OSError, DocumentError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"{path} is neither the folder of a run nor a model's card ({reason}); name a folder made "
                "by 'cli train' or a file such as models/weighted-cnn.json."
            ) from error
    try:
        for key in keys:
            document = document[key]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} holds no figures on the test images ({' / '.join(keys)} is missing); finish the run "
            "with 'cli train --resume', or name another."
        ) from error
    return document


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def _lowest_recall(run: Measured) -> str:
    return f"{run.labels[run.hardest]} {_percent(run.recall[run.hardest])}"


def _row(name: str, before: float, changes: Sequence[Change]) -> list[str]:
    """Makes the cells of one figure: of the first run, then of each other run with the difference."""
    cells = [name, _percent(before)]
    for change in changes:
        mark = " " if change.may_be_chance else "*"
        cells += [_percent(change.after), f"{100 * change.difference:+.1f}{mark}"]
    return cells


def _changes(first: np.ndarray, other: np.ndarray, *, axis: int) -> list[Change]:
    """Computes the diagonal over the sums along an axis, for each class."""
    return [
        change_of_share(before, after)
        for before, after in zip(
            zip(np.diagonal(first), first.sum(axis=axis), strict=True),
            zip(np.diagonal(other), other.sum(axis=axis), strict=True),
            strict=True,
        )
    ]


def change_of_share(before: tuple[int, int], after: tuple[int, int]) -> Change:
    """Computes the change from one share to another, each given as (part, whole)."""
    shares = [part / whole if whole else math.nan for part, whole in (before, after)]
    variances = [
        share * (1 - share) / whole if whole else math.nan
        for share, (_, whole) in zip(shares, (before, after), strict=True)
    ]
    return Change(float(shares[0]), float(shares[1]), math.sqrt(sum(variances)))
