"""Makes the table that helps to choose a format: what each file costs, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.convert.formats import FORMATS, REFERENCE
from garmentlite.convert.verify.judge import judge
from garmentlite.convert.verify.measurements import Answers
from garmentlite.edge import footprint, metrics
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError
from garmentlite.edge.probabilities import softmax


@dataclass(frozen=True)
class Row:
    """One file in the table.

    Attributes:
        format: Name of the format.
        file: Name of the file.
        bytes: Its size, with metadata.
        changed: Test images to which it and the reference give different answers; None for the reference.
        accuracy: Accuracy on the test images, in [0, 1]; None if their classes are not known.
        lowest_recall: The lowest recall of a class; None if the classes are not known.
        lowest_recall_label: The class that has it.
        largest_loss: The largest loss of recall of a class against the reference; None for the reference, and
            if the classes are not known.
        largest_loss_label: The class that has it.
        latency_ms: Median time of one answer on one thread of this machine.
        peak_memory_bytes: See `footprint.peak_memory_bytes`.
        kernels: See `footprint.kernels_used`.
        passed: Outcome of the parity check; None if it could not be judged, and for the reference.
        verdict: The same in words.
    """

    format: str
    file: str
    bytes: int
    changed: int | None
    accuracy: float | None
    lowest_recall: float | None
    lowest_recall_label: str | None
    largest_loss: float | None
    largest_loss_label: str | None
    latency_ms: float
    peak_memory_bytes: int | None
    kernels: footprint.KernelsUsed
    passed: bool | None
    verdict: str

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document; figures that differ between machines and runs are in a separate object."""
        document = asdict(self)
        on_this_machine = ("latency_ms", "peak_memory_bytes", "kernels")
        return document | {"machine": {name: document.pop(name) for name in on_this_machine}}


def table(
    paths: Mapping[str, Path],
    logits: Mapping[str, np.ndarray],
    y_true: np.ndarray | None,
    labels: Sequence[str],
    temperature: float,
) -> list[Row]:
    """Makes a row for each file.

    Args:
        paths: The files by format; the reference is among them.
        logits: The logits of the same test images by format, each of shape (N, C).
        y_true: Class numbers of these images, shape (N,); None if they are not known.
        labels: The C class names.
        temperature: The temperature in the metadata of the files.

    Returns:
        The rows in the order of `FORMATS`.
    """
    in_order = [name for name in FORMATS if name in paths]
    latencies = np.median(
        footprint.latency_ms([Classifier(paths[name]) for name in in_order]), axis=1
    )
    reference = logits[REFERENCE]
    rows = []
    for name, latency in zip(in_order, latencies, strict=True):
        path, candidate = paths[name], logits[name]
        changed, passed, verdict = None, None, "reference"
        if name != REFERENCE:
            changed = int((reference.argmax(axis=1) != candidate.argmax(axis=1)).sum())
            passed, verdict = _judged(y_true, reference, candidate, labels, temperature)
        rows.append(
            Row(
                format=name,
                file=path.name,
                bytes=path.stat().st_size,
                changed=changed,
                **_class_figures(y_true, reference, candidate, labels),
                latency_ms=float(latency),
                peak_memory_bytes=footprint.peak_memory_bytes(path),
                kernels=footprint.kernels_used(path.read_bytes()),
                passed=passed,
                verdict=verdict,
            )
        )
    return rows


def _class_figures(
    y_true: np.ndarray | None, reference: np.ndarray, candidate: np.ndarray, labels: Sequence[str]
) -> dict[str, Any]:
    """Computes the fields of a row that need the true classes."""
    figures: dict[str, Any] = {
        "accuracy": None,
        "lowest_recall": None,
        "lowest_recall_label": None,
        "largest_loss": None,
        "largest_loss_label": None,
    }
    if y_true is None:
        return figures
    before, after = (
        metrics.confusion_matrix(y_true, logits.argmax(axis=1), len(labels))
        for logits in (reference, candidate)
    )
    recalls = metrics.recall_per_class(after)
    lowest = int(np.nanargmin(recalls))  # a class without images has none
    figures |= {
        "accuracy": metrics.accuracy(after),
        "lowest_recall": float(recalls[lowest]),
        "lowest_recall_label": labels[lowest],
    }
    if candidate is not reference:
        losses = metrics.recall_per_class(before) - recalls
        worst = int(np.nanargmax(losses))
        figures |= {"largest_loss": float(losses[worst]), "largest_loss_label": labels[worst]}
    return figures


def _judged(
    y_true: np.ndarray | None,
    reference: np.ndarray,
    candidate: np.ndarray,
    labels: Sequence[str],
    temperature: float,
) -> tuple[bool | None, str]:
    """Returns the outcome of the parity check, and names the classes and guards that failed."""
    if y_true is None:
        return None, "not judged: no labels"
    before, after = (
        Answers(logits, softmax(logits, temperature)) for logits in (reference, candidate)
    )
    try:
        report = judge(y_true, before, after, labels)
    except DataError:
        return None, "not judged: too few images"
    if report.passed:
        return True, "passed"
    faults = [
        f"{row.label} {row.verdict}"
        for verdict in ("lost", "unresolved")
        for row in report.with_verdict(verdict)
    ]
    faults += [guard.name for guard in report.guards if guard.passed is False]
    return False, f"failed: {', '.join(faults)}"
