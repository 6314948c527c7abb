"""Reads and writes the folder of a run, which has these files.

config.json      network, labels, class weights, seed, data checksums, versions, device
history.csv      one line for each epoch; history.json holds the same with the recall of each class
model.keras      the weights that are kept, without optimizer or augmentation
metrics.json     accuracy, recall, precision, F1, MCC, log loss, confusion matrix
*.png            learning curves, confusion matrix, recall and precision of each class
tensorboard/     on request: the same history for TensorBoard
photos.npz       only in a run on photographs: their tiles, for 'cli convert'
held_out.csv     only in a run on photographs: those it was not trained on, for 'cli verify --photos'
checkpoint.npz   only while the run is not finished: the state that --resume continues from
teacher.npz      only while the run is not finished: the teachers' answers to the training images
tiles.npz        only while the run is not finished: the photographs, prepared in all variants
replaced/        only while the run is not finished: the run that --force replaces

`stored_photos` writes photos.npz and held_out.csv, and reads photos.npz.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from garmentlite.edge.documents import LARGEST_BYTES, DocumentError, parse_value
from garmentlite.edge.errors import DataError, OutputError, TrainingError
from garmentlite.edge.files import (
    read_bytes,
    replacing,
    require_writable,
    sha256,
    write_json,
    write_text,
)
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.history import Epoch
from garmentlite.train.keras_file import read_network

if TYPE_CHECKING:
    import keras

CONFIG, HISTORY, HISTORY_TABLE, METRICS = (
    "config.json", "history.json", "history.csv", "metrics.json",
)  # fmt: skip
MODEL, CHECKPOINT, TEACHER = "model.keras", "checkpoint.npz", "teacher.npz"
PHOTOS, HELD_OUT, TILES = "photos.npz", "held_out.csv", "tiles.npz"
LEARNING_CURVES, CONFUSION_MATRIX, PER_CLASS = (
    "learning_curves.png", "confusion_matrix.png", "per_class.png",
)  # fmt: skip
TENSORBOARD = "tensorboard"
REPLACED = "replaced"

# Files by which a folder is known to hold a run; metrics.json comes first, since it says that it is finished.
_OF_A_RUN = (METRICS, MODEL, CHECKPOINT, TEACHER, CONFIG, PHOTOS, HELD_OUT, TILES)
_WITH_A_RUN = (
    HISTORY, HISTORY_TABLE, LEARNING_CURVES, CONFUSION_MATRIX, PER_CLASS, TENSORBOARD,
)  # fmt: skip
_WHILE_UNFINISHED = (CHECKPOINT, TEACHER, TILES)


def prepare_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Makes sure that a run can be written to a folder before hours are spent on it.

    Args:
        folder: Folder of the run.
        resume: Whether an unfinished run in it is to be continued.
        force: Whether a run in it may be replaced. Its files are moved into the folder `replaced`, where
            they stay until the new run is finished.

    Raises:
        OutputError: If it holds a run that may not be replaced, or cannot be written.
    """
    occupied = [name for name in _OF_A_RUN if (folder / name).exists()]
    if occupied and not (resume or force):
        unfinished = (folder / CHECKPOINT).exists() or (folder / TILES).exists()
        way_on = "--resume continues it, " if unfinished else ""
        raise OutputError(
            f"{folder} already holds a run; {way_on}--force replaces it, -o names another folder."
        )
    require_writable(folder)
    if occupied and force and not resume:
        if (folder / REPLACED).is_dir():
            # An unfinished run, which was itself going to replace the one in there.
            _remove_run(folder)
        else:
            (folder / REPLACED).mkdir()
            _move_run(folder, folder / REPLACED, (*_OF_A_RUN, *_WITH_A_RUN))


@contextmanager
def prepared_folder(folder: Path, *, resume: bool, force: bool) -> Iterator[None]:
    """Prepares the folder of a run; if the block fails, a run that was going to be replaced is put back.

    It fails if an error or Ctrl-C ends it before the new run can be resumed, or if the training
    itself fails. Otherwise the new run stays, and the older one stays in the folder `replaced` until the new
    one is finished.

    Args:
        folder: Folder of the run.
        resume: See `prepare_folder`.
        force: See `prepare_folder`.

    Raises:
        OutputError: See `prepare_folder`.
    """
    prepare_folder(folder, resume=resume, force=force)
    try:
        yield
    except BaseException as error:
        can_be_resumed = all((folder / name).exists() for name in (CHECKPOINT, HISTORY))
        is_lost = isinstance(error, TrainingError) or not can_be_resumed
        if is_lost and not resume and (folder / REPLACED).is_dir():
            _remove_run(folder)
            _move_run(folder / REPLACED, folder, reversed((*_OF_A_RUN, *_WITH_A_RUN)))
            (folder / REPLACED).rmdir()
        raise


def _move_run(source: Path, target: Path, names: Iterable[str]) -> None:
    # metrics.json goes first and comes back last, so that no part of a run looks finished.
    for name in names:
        if (source / name).exists():
            (source / name).replace(target / name)


def _remove_run(folder: Path) -> None:
    for name in (*_OF_A_RUN, *_WITH_A_RUN):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def model_file(path: Path) -> Path:
    """Finds the network in a run's folder; the path of a file is returned as it is."""
    return path / MODEL if path.is_dir() else path


def write_config(folder: Path, document: dict[str, Any]) -> None:
    """Writes config.json: the configuration, and the data, versions and device that were used."""
    write_json(folder / CONFIG, document)


def labels_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the labels of a run in the order of the outputs; empty for an empty document.

    Args:
        config: The document of config.json. Version 0.1.0 wrote no list of labels; they are then the keys
            of the class weights, in their order.
    """
    return tuple(config["labels"] if "labels" in config else config.get("class_weights", ()))


def views_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the views of an image that the network is asked about: ("plain",) or ("plain", "mirrored").

    Args:
        config: The document of config.json. Version 0.1.0 wrote no views; they then follow from the
            augmentation, see `Augmentation.views`.
    """
    if "views" in config:
        return tuple(config["views"])
    return Augmentation(**config.get("augmentation", {})).views


def write_history(
    folder: Path, history: Sequence[Epoch], labels: Sequence[str], groups: Sequence[str] = ()
) -> None:
    """Writes history.json and history.csv; they are written after every epoch, so they can be followed.

    Args:
        folder: Folder of the run.
        history: The epochs so far.
        labels: Class names in the order of the recalls.
        groups: Labels of the photographs in the order of their recalls.
    """
    # A run without photographs has no figures of them.
    rows = [
        {
            name: value
            for name, value in asdict(epoch).items()
            if value is not None or not name.startswith("photo_")
        }
        for epoch in history
    ]
    write_json(folder / HISTORY, rows)
    text = io.StringIO()
    lists = {"val_recall": labels, "photo_recall": groups}
    plain = [name for name in rows[0] if name not in lists] if rows else []
    lists = {name: names for name, names in lists.items() if rows and name in rows[0]}
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{name} {one}" for name, names in lists.items() for one in names]
    writer.writerow(plain + heads)
    for row in rows:
        writer.writerow([row[name] for name in plain] + [v for name in lists for v in row[name]])
    write_text(folder / HISTORY_TABLE, text.getvalue())


def write_model(folder: Path, model: keras.Model) -> None:
    """Writes model.keras."""
    with replacing(folder / MODEL) as temporary:
        model.save(temporary)


def write_metrics(folder: Path, document: dict[str, Any]) -> None:
    """Writes metrics.json, which marks the run as finished, and removes the files of an unfinished run."""
    write_json(folder / METRICS, document)
    for name in _WHILE_UNFINISHED:
        (folder / name).unlink(missing_ok=True)
    if (folder / REPLACED).is_dir():
        shutil.rmtree(folder / REPLACED)


@dataclass(frozen=True)
class FinishedRun:
    """A run that is finished.

    Attributes:
        config: The document of config.json.
        history: Its epochs.
        model: The network with the weights that were kept.
        model_sha256: Checksum of its file.
    """

    config: dict[str, Any]
    history: list[Epoch]
    model: keras.Model
    model_sha256: str


def read_finished(folder: Path) -> FinishedRun:
    """Reads a run whose decision boundaries are to be shifted.

    Raises:
        DataError: If it is not finished, its boundaries were shifted already, or its classes are not those of
            Fashion-MNIST.
        ModelError: If its network cannot be read.
    """
    read_json(folder, METRICS)
    config = read_json(folder, CONFIG)
    if config.get("target_recall"):
        raise DataError(
            f"The outputs of {folder} are raised already ({config['command']}); name the run without "
            "--target-recall."
        )
    labels = labels_of(config)
    if labels != FASHION_MNIST_LABELS:
        raise DataError(
            f"{folder} was trained on other classes ({', '.join(labels)}) than those of Fashion-MNIST, on "
            "whose images recall targets are reached; name a run on Fashion-MNIST."
        )
    model = read_network(folder / MODEL, "train it again")
    checksum = sha256((folder / MODEL).read_bytes())
    history = [Epoch(**epoch) for epoch in read_json(folder, HISTORY)]
    return FinishedRun(config, history, model, checksum)


def read_json(folder: Path, name: str) -> Any:
    """Reads a JSON file of a run.

    Raises:
        DataError: If it is missing or broken.
    """
    try:
        return parse_value(read_bytes(folder / name, LARGEST_BYTES))
    except (OSError, DocumentError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{folder} is not a finished run: {name} cannot be read ({reason}); make one with "
            "'cli train', or continue it with 'cli train --resume'."
        ) from error
