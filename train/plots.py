"""Draws the diagrams of a run, and of several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from garmentlite.edge.files import replacing
from garmentlite.train.compare import Measured
from garmentlite.train.compare_networks import TradeOff
from garmentlite.train.history import Epoch

_MARKERS = "osD^vPX*"  # one for each run, so that they can be told apart without colour


def learning_curves(history: Sequence[Epoch], path: Path) -> None:
    """Draws loss and accuracy over the epochs and marks the epoch whose weights are kept."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [epoch.epoch for epoch in history]
    kept = max((epoch.epoch for epoch in history if epoch.best), default=0)
    for place, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.plot(epochs, [getattr(epoch, name) for epoch in history], label="training (augmented)")
        axes.plot(
            epochs, [getattr(epoch, f"train_{name}") for epoch in history], label="training (clean)"
        )
        axes.plot(epochs, [getattr(epoch, f"val_{name}") for epoch in history], label="validation")
        axes.axvline(kept, color="grey", linestyle=":", label=f"kept: epoch {kept}")
        axes.set(xlabel="epoch", ylabel=f"weighted {name}" if name == "loss" else name)
        axes.grid(alpha=0.3)
        axes.legend()
    _write(figure, path)


def of_metrics(document: dict[str, Any], matrix_path: Path, per_class_path: Path) -> None:
    """Draws the confusion matrix, and recall and precision of each class.

    Args:
        document: Figures by `metrics.summary`.
        matrix_path: PNG file of the confusion matrix.
        per_class_path: PNG file of recall and precision.
    """
    rows = document["per_class"]
    labels = [row["label"] for row in rows]
    title = f"accuracy {document['accuracy']:.2%} on {document['images']:,} images"
    confusion_matrix(np.array(document["confusion_matrix"]), labels, title, matrix_path)
    recall, precision = ([row[name] for row in rows] for name in ("recall", "precision"))
    per_class(recall, precision, labels, per_class_path)


def confusion_matrix(matrix: np.ndarray, labels: Sequence[str], title: str, path: Path) -> None:
    """Draws a confusion matrix; the shade of a cell is its share of the row.

    Args:
        matrix: Counts, shape (C, C), row = true class.
        labels: The C class names.
        title: Title above it.
        path: PNG file.
    """
    figure = Figure(figsize=(8, 7), layout="constrained")
    _draw_matrix(figure.add_subplot(), matrix, labels, title)
    _write(figure, path)


def before_and_after(
    before: np.ndarray, after: np.ndarray, names: Sequence[str], labels: Sequence[str], path: Path
) -> None:
    """Draws two confusion matrices of the same images side by side, and their difference.

    Args:
        before: Counts of the first run, shape (C, C), row = true class.
        after: Counts of the other run.
        names: Names of the two runs.
        labels: The C class names.
        path: PNG file.
    """
    figure = Figure(figsize=(22, 7.5), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    _draw_matrix(first, before, labels, f"before: {names[0]}")
    _draw_matrix(second, after, labels, f"after: {names[1]}")
    difference = after - before
    most = max(1, int(np.abs(difference).max()))
    title = "difference: orange more often, violet less often"
    _name_axes(third, labels, title)
    third.imshow(difference, cmap="PuOr_r", norm=TwoSlopeNorm(0, -most, most))
    for (row, column), count in np.ndenumerate(difference):
        shade = "white" if abs(count) > 0.7 * most else "black"
        text = f"{count:+d}" if count else "\N{MIDDLE DOT}"
        third.text(column, row, text, ha="center", va="center", color=shade, fontsize=8)
    _write(figure, path)


def trade_off(
    runs: Sequence[Measured], curves: Mapping[str, TradeOff], class_id: int, path: Path
) -> None:
    """Draws the recall of one class against the accuracy, and what an offset of its output would give.

    Args:
        runs: The runs; their figures on the test images are drawn as hollow marks.
        curves: The trade-off of each run on validation images, by its name: drawn as a line, with a full
            mark at the network as it is. A run that does not keep its network has none.
        class_id: Number of the class whose output is raised or lowered.
        path: PNG file.
    """
    label = runs[0].labels[class_id]
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    axes = figure.add_subplot()
    points = [(float(run.recall[class_id]), run.accuracy) for run in runs]
    points += [curve.here for curve in curves.values()]
    recalls, accuracies = zip(*points, strict=True)
    for number, run in enumerate(runs):
        colour, mark = f"C{number % 10}", _MARKERS[number % len(_MARKERS)]
        if run.name in curves:
            curve = curves[run.name]
            # The gaps grow from run to run, so that lines in the same place can be seen through each other.
            dashes = (0, (6, 4 * number)) if number else "-"
            axes.plot(curve.recall, curve.accuracy, color=colour, linewidth=1.8, linestyle=dashes)
            axes.plot(
                *curve.here, mark, color=colour, markersize=9, label=f"{run.name}, validation"
            )
        axes.plot(
            *points[number], mark, markeredgecolor=colour, markerfacecolor="none", markersize=9,
            linestyle="none", markeredgewidth=1.8, label=f"{run.name}, test",
        )  # fmt: skip
    axes.set_xlim(max(0.0, min(recalls) - 0.08), min(1.0, max(recalls) + 0.06))
    axes.set_ylim(min(accuracies) - 0.03, min(1.0, max(accuracies) + 0.01))
    axes.set(
        xlabel=f"recall of {label}",
        ylabel="accuracy over all classes",
        title=f"What recall of {label} costs (lines: an offset of its output, on validation images)",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    _write(figure, path)


def per_class(
    recall: Sequence[float | None],
    precision: Sequence[float | None],
    labels: Sequence[str],
    path: Path,
) -> None:
    """Draws recall and precision of every class as bars.

    Args:
        recall: Recall of each class, in [0, 1]; None where it is undefined, which gets no bar.
        precision: Precision of each class, likewise.
        labels: The C class names.
        path: PNG file.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(labels))
    for offset, name, values in ((-0.2, "recall", recall), (0.2, "precision", precision)):
        heights = [np.nan if value is None else value for value in values]
        axes.bar(places + offset, heights, 0.4, label=name)
    axes.set_xticks(places, labels, rotation=30, ha="right")
    axes.set_ylim(
        0.5 if min((v for v in [*recall, *precision] if v is not None), default=0) > 0.5 else 0, 1
    )
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="lower right")
    _write(figure, path)


def _draw_matrix(axes: Axes, matrix: np.ndarray, labels: Sequence[str], title: str) -> None:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    _name_axes(axes, labels, title)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=8)


def _name_axes(axes: Axes, labels: Sequence[str], title: str) -> None:
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true", title=title)


def _write(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        # Matplotlib's version is left out of the file, so that the same run gives the same bytes.
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
