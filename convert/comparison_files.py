"""Writes the pictures, the JSON document and the page of `cli compare -o`.

The stored figures are those of the test set, which is not read again. Here the networks of the runs classify
the validation images. This shows the trade-off of a class and the images on which two networks differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from garmentlite.convert.report import compare_report
from garmentlite.edge.callbacks import OnStageProgress, Say, ignore_stage_progress, say_nothing
from garmentlite.edge.files import refuse_to_overwrite, write_json, write_text
from garmentlite.train import backend, compare_networks
from garmentlite.train.compare import Comparison
from garmentlite.train.data import load, validation_split
from garmentlite.train.keras_file import read_network
from garmentlite.train.prediction import predict_logits

PAGE, DOCUMENT = "compare.html", "compare.json"
MATRICES, TRADE_OFF = "confusion_matrices.png", "trade_off.png"


def write_comparison(
    comparison: Comparison,
    folder: Path,
    *,
    data_dir: Path | None = None,
    force: bool = False,
    say: Say = say_nothing,
    on_progress: OnStageProgress = ignore_stage_progress,
) -> dict[str, Any]:
    """Writes the comparison of runs.

    Args:
        comparison: The runs, compared by their stored figures.
        folder: Folder for the files.
        data_dir: Folder with the files of Fashion-MNIST; None to find or download them.
        force: Whether an older comparison in the folder may be replaced.
        say: Called with a sentence at each stage.
        on_progress: Called after each network.

    Returns:
        The document of compare.json: that of the comparison, with the paired counts on validation images
        for each run that keeps its network.

    Raises:
        OutputError: If there is a comparison that may not be replaced.
        DataError: If Fashion-MNIST cannot be obtained.
        ModelError: If a network cannot be read.
    """
    refuse_to_overwrite(folder / PAGE, force)
    backend.start(say=say)
    from garmentlite.train import plots

    found = load(data_dir, say)
    _, validation = validation_split(found.y_train)
    x, y = found.x_train[validation], found.y_train[validation]
    first, last, class_id = comparison.runs[0], comparison.runs[-1], comparison.class_id
    kept = {run.name: run.model for run in comparison.runs if run.model}
    logits = {}
    for number, (name, path) in enumerate(kept.items(), start=1):
        on_progress("Networks on validation images", number, len(kept))
        network = read_network(path, "remove it to compare the run's stored figures alone")
        logits[name] = predict_logits(network, x)
    curves = {
        name: compare_networks.trade_off(y, given, class_id) for name, given in logits.items()
    }
    paired = {
        name: compare_networks.paired(y, logits[first.name], given, first.labels)
        for name, given in logits.items()
        if first.name in logits and name != first.name
    }
    counts = {name: [row.as_document() for row in rows] for name, rows in paired.items()}
    document = comparison.as_document() | {"paired": counts}
    names = [first.name, last.name]
    plots.before_and_after(first.confusion, last.confusion, names, first.labels, folder / MATRICES)
    plots.trade_off(comparison.runs, curves, class_id, folder / TRADE_OFF)
    write_json(folder / DOCUMENT, document)
    picture = (folder / TRADE_OFF).read_bytes()
    page = compare_report.to_html(
        comparison.runs, comparison.differences, paired, class_id, picture
    )
    write_text(folder / PAGE, page)
    say(f"Report: {folder / PAGE}")
    return document
