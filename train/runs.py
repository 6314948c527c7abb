"""The folder of a run: what was asked for, what happened, what came out.

config.json      network, class weights, seed, data checksums, versions, device
history.csv      one line per epoch; history.json holds the same with recall per class
model.keras      best weights by weighted validation loss, without optimizer or augmentation
metrics.json     accuracy, recall, precision, F1, MCC, log loss, confusion matrix
*.png            learning curves, confusion matrix, recall and precision per class
tensorboard/     on request: the same history for TensorBoard
photos.npz       of a run on photographs: their 28x28 images, for 'cli convert'
held_out.csv     of a run on photographs: those it was not trained on, for 'cli verify --photos'
checkpoint.npz   only while the run is not finished: what --resume needs
teacher.npz      only while the run is not finished: what the teachers say of the training images
tiles.npz        only while the run is not finished: photographs prepared in all variants
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge.errors import DataError, OutputError
from garmentlite.edge.files import (
    replacing,
    require_writable,
    sha256,
    write_bytes,
    write_json,
    write_text,
)
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.keras_file import read_network

if TYPE_CHECKING:
    import keras

    from garmentlite.train.adapt import Collection
    from garmentlite.train.fit import Epoch
    from garmentlite.train.tiles import Tiles

CONFIG, HISTORY, METRICS = "config.json", "history.json", "metrics.json"
MODEL, CHECKPOINT, TEACHER = "model.keras", "checkpoint.npz", "teacher.npz"
PHOTOS, HELD_OUT, TILES = "photos.npz", "held_out.csv", "tiles.npz"
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
    names = (METRICS, MODEL, CHECKPOINT, TEACHER, CONFIG, PHOTOS, HELD_OUT, TILES)
    occupied = [name for name in names if (folder / name).exists()]
    if occupied and not (resume or force):
        unfinished = (folder / CHECKPOINT).exists() or (folder / TILES).exists()
        way_on = "--resume goes on with it, " if unfinished else ""
        raise OutputError(
            f"{folder} already holds a run; {way_on}--force replaces it, -o names another folder."
        )
    require_writable(folder)
    if force and not resume:
        for name in occupied:  # first of all metrics.json, which says that the run is finished
            (folder / name).unlink()


def model_file(path: Path) -> Path:
    """The network of a run's folder; a file is meant itself."""
    return path / MODEL if path.is_dir() else path


def write_config(folder: Path, document: dict[str, Any]) -> None:
    """Writes config.json: the configuration, and what it ran with (data, versions, device)."""
    write_json(folder / CONFIG, document)


def write_history(
    folder: Path, history: Sequence[Epoch], labels: Sequence[str], groups: Sequence[str] = ()
) -> None:
    """Writes history.json and history.csv; called after every epoch, so they can be followed.

    Args:
        folder: Of the run.
        history: Epochs so far.
        labels: Class names, in the order of the recalls.
        groups: Labels of photographs, in the order of theirs.
    """
    # A run without photographs has nothing to say of them.
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
    write_text(folder / "history.csv", text.getvalue())


def write_photos(folder: Path, collection: Collection, tiles: Tiles, *, variants: bool) -> None:
    """Writes photos.npz and held_out.csv.

    Args:
        folder: Of the run.
        collection: N photographs.
        tiles: Theirs.
        variants: Whether all are kept; otherwise one of each photograph, as the device makes it.
    """
    labelling, buffer = collection.labelling, io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        tiles_u8=tiles.tiles_u8 if variants else tiles.tiles_u8[:, :1],
        second_u8=tiles.second_u8,
        y=labelling.y,  # number of the group, -1 where the label is none of them
        grounds_u8=tiles.grounds_u8,
        found=tiles.found,
        is_held_out=collection.is_held_out,
        members=labelling.members,
        groups=np.array(labelling.groups),
        files=np.array([photo.name for photo in collection.photos]),
    )
    write_bytes(folder / PHOTOS, buffer.getvalue())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label"])
    is_class = labelling.members.sum(axis=1) == 1
    for place in np.flatnonzero(collection.is_held_out & tiles.readable & (labelling.y >= 0)):
        if is_class[labelling.y[place]]:
            label = labelling.groups[labelling.y[place]]
            writer.writerow([collection.photos[place].path.resolve(), label])
    write_text(folder / HELD_OUT, text.getvalue())


def read_photos(folder: Path) -> dict[str, np.ndarray]:
    """The arrays that `write_photos` wrote.

    Raises:
        DataError: If they are missing or broken.
    """
    path = folder / PHOTOS
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read ({error}); train the run anew, or name pictures with --calibration."
        ) from error


def write_model(folder: Path, model: keras.Model) -> None:
    """Writes model.keras."""
    with replacing(folder / MODEL) as temporary:
        model.save(temporary)


def write_metrics(folder: Path, document: dict[str, Any]) -> None:
    """Writes metrics.json; its presence says that the run is finished, so the checkpoint goes."""
    write_json(folder / METRICS, document)
    for name in (CHECKPOINT, TEACHER, TILES):
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
        DataError: If it is not finished, its outputs are raised already, or its classes are not
            Fashion-MNIST's.
        ModelError: If its network cannot be read.
    """
    read_json(folder, METRICS)
    config = read_json(folder, CONFIG)
    if config.get("target_recall"):
        raise DataError(
            f"The outputs of {folder} are raised already ({config['command']}); name the run without "
            "--target-recall."
        )
    if tuple(config["class_weights"]) != FASHION_MNIST_LABELS:
        raise DataError(
            f"{folder} knows other classes ({', '.join(config['class_weights'])}) than Fashion-MNIST, on "
            "whose images outputs are raised; name a run on Fashion-MNIST."
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
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} is not a finished run: {name} cannot be read ({error}); make one with "
            "'cli train', or go on with it by 'cli train --resume'."
        ) from error
