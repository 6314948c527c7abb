"""The pictures in a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from edge.files import replacing

if TYPE_CHECKING:
    from train.fit import Epoch


def learning_curves(history: Sequence[Epoch], path: Path) -> None:
    """Loss and accuracy over the epochs; the epoch whose weights are kept is marked."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [epoch.epoch for epoch in history]
    kept = max((epoch.epoch for epoch in history if epoch.best), default=0)
    for place, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.plot(epochs, [getattr(epoch, name) for epoch in history], label="training (augmented)")
        axes.plot(epochs, [getattr(epoch, f"val_{name}") for epoch in history], label="validation")
        axes.axvline(kept, color="grey", linestyle=":", label=f"kept: epoch {kept}")
        axes.set(xlabel="epoch", ylabel=f"weighted {name}" if name == "loss" else name)
        axes.grid(alpha=0.3)
        axes.legend()
    _write(figure, path)


def of_metrics(document: dict[str, Any], folder: Path) -> None:
    """Confusion matrix, and recall and precision per class, of a document by `metrics.summary`."""
    rows = document["per_class"]
    labels = [row["label"] for row in rows]
    title = f"accuracy {document['accuracy']:.2%} on {document['images']:,} images"
    matrix = np.array(document["confusion_matrix"])
    confusion_matrix(matrix, labels, title, folder / "confusion_matrix.png")
    per_class(
        [row["recall"] for row in rows],
        [row["precision"] for row in rows],
        labels,
        folder / "per_class.png",
    )


def confusion_matrix(matrix: np.ndarray, labels: Sequence[str], title: str, path: Path) -> None:
    """Counts, rows = true classes; the shade is the share of the row."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for (row, column), count in np.ndenumerate(matrix):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=8)
    _write(figure, path)


def per_class(
    recall: Sequence[float | None],
    precision: Sequence[float | None],
    labels: Sequence[str],
    path: Path,
) -> None:
    """Recall and precision of every class as bars; an undefined one has no bar."""
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


def _write(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        # Without the software's version in the file, the same run gives the same bytes.
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
