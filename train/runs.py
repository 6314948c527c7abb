"""The folder of a run: what was asked for, what happened, what came out.

config.json      network, class weights, seed, data checksums, versions, device
history.csv      one line per epoch; history.json holds the same with recall per class
model.keras      best weights by weighted validation loss, without optimizer or augmentation
metrics.json     accuracy, recall, precision, F1, MCC, log loss, confusion matrix
*.png            learning curves, confusion matrix, recall and precision per class
tensorboard/     on request: the same history for TensorBoard
checkpoint.npz   only while the run is not finished: what --resume needs
teacher.npz      only while the run is not finished: what the teachers say of the training images
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import DataError, OutputError
from edge.files import replacing, require_writable, sha256, write_json, write_text
from train.keras_file import read_network

if TYPE_CHECKING:
    import keras

    from train.fit import Epoch

CONFIG, HISTORY, METRICS = "config.json", "history.json", "metrics.json"
MODEL, CHECKPOINT, TEACHER = "model.keras", "checkpoint.npz", "teacher.npz"
TENSORBOARD = "tensorboard"


def prepare_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Makes sure a run can be written to `folder` before hours are spent on it.

    Args:
        folder: Of the run.
        resume: Whether an unfinished run in it is to be gone on with.
        force: Whether what is in it may be replaced.

    Raises:
        OutputError: If it holds a run that was not to be touched, or cannot be written.
    """
    names = (METRICS, MODEL, CHECKPOINT, TEACHER, CONFIG)
    occupied = [name for name in names if (folder / name).exists()]
    if occupied and not (resume or force):
        unfinished = (folder / CHECKPOINT).exists()
        way_on = "--resume goes on with it, " if unfinished else ""
        raise OutputError(
            f"{folder} already holds a run; {way_on}--force replaces it, -o names another folder."
        )
    require_writable(folder)
    if force and not resume:
        for name in occupied:  # first of all metrics.json, which says that the run is finished
            (folder / name).unlink()


def write_config(folder: Path, document: dict[str, Any]) -> None:
    """Writes config.json: the configuration, and what it ran with (data, versions, device)."""
    write_json(folder / CONFIG, document)


def write_history(folder: Path, history: Sequence[Epoch], labels: Sequence[str]) -> None:
    """Writes history.json and history.csv; called after every epoch, so they can be followed."""
    rows = [asdict(epoch) for epoch in history]
    write_json(folder / HISTORY, rows)
    text = io.StringIO()
    plain = [name for name in rows[0] if name != "val_recall"] if rows else []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(plain + [f"val_recall {label}" for label in labels])
    for row in rows:
        writer.writerow([row[name] for name in plain] + row["val_recall"])
    write_text(folder / "history.csv", text.getvalue())


def write_model(folder: Path, model: keras.Model) -> None:
    """Writes model.keras."""
    with replacing(folder / MODEL) as temporary:
        model.save(temporary)


def write_metrics(folder: Path, document: dict[str, Any]) -> None:
    """Writes metrics.json; its presence says that the run is finished, so the checkpoint goes."""
    write_json(folder / METRICS, document)
    for name in (CHECKPOINT, TEACHER):
        (folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class FinishedRun:
    """What a run left behind.

    Attributes:
        config: config.json.
        history: history.json.
        model: The network with the weights kept.
        model_sha256: Checksum of its file.
    """

    config: dict[str, Any]
    history: list[dict[str, Any]]
    model: keras.Model
    model_sha256: str


def read_finished(folder: Path) -> FinishedRun:
    """Reads a run whose outputs are to be raised.

    Raises:
        DataError: If it is not finished, or its outputs are raised already.
        ModelError: If its network cannot be read.
    """
    read_json(folder, METRICS)
    config = read_json(folder, CONFIG)
    if config.get("target_recall"):
        raise DataError(
            f"The outputs of {folder} are raised already ({config['command']}); name the run without "
            "--target-recall."
        )
    model = read_network(folder / MODEL, "train it anew")
    checksum = sha256((folder / MODEL).read_bytes())
    return FinishedRun(config, read_json(folder, HISTORY), model, checksum)


def read_json(folder: Path, name: str) -> Any:
    """A JSON file of a run.

    Raises:
        DataError: If it is missing or broken.
    """
    try:
        return json.loads((folder / name).read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} is not a finished run: {name} cannot be read ({error}); make one with "
            "'cli train', or go on with it by 'cli train --resume'."
        ) from error
