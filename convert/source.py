"""Finds the network that is to be converted, and what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge.documents import LARGEST_BYTES, parse
from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import read_bytes, sha256
from garmentlite.edge.metadata import PLAIN, Metadata, split
from garmentlite.train import runs
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.confidence import Confidence
from garmentlite.train.keras_file import HDF5_SUFFIXES

KERAS_SUFFIX = ".keras"
ADAPTED = "adapted"  # what was adapted in a network, among what is known about its training
SAVED_MODEL_FILE = "saved_model.pb"  # it makes a folder a SavedModel of TensorFlow


@dataclass(frozen=True)
class Source:
    """A network that is to be converted.

    Attributes:
        path: Its file: `.keras` or `.h5`, or the folder of a SavedModel.
        name: The name of the files made from it.
        run: The folder of its run; None for a network alone.
        training: How it was trained, from the run or from the card of a `.keras` file; empty if it is not
            known.
        labels: Its classes in the order of the outputs; empty if they are not known.
        views: The versions of an image that a device asks it about: ("plain",) or ("plain", "mirrored").
        confidence: Temperature and "unknown" threshold from the card of a `.keras` file; None if it
            has none.
    """

    path: Path
    name: str
    run: Path | None = None
    training: dict[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    views: tuple[str, ...] = (PLAIN,)
    confidence: Confidence | None = None

    def class_weights(self, labels: Sequence[str]) -> np.ndarray:
        """Returns the factors of the training loss, float32, shape (C,); 1 if the factor is not known."""
        known = self.training.get("class_weights", {})
        return np.array([known.get(label, 1.0) for label in labels], np.float32)

    def checksum(self) -> str:
        """Computes the SHA-256 of the network's file, or of all names and files of its folder."""
        if not self.path.is_dir():
            return sha256(self.path.read_bytes())
        names = sorted(one.relative_to(self.path).as_posix() for one in self.path.rglob("*"))
        files = [name for name in names if (self.path / name).is_file()]
        sums = (f"{sha256((self.path / name).read_bytes())}  {name}" for name in files)
        return sha256("\n".join(sums).encode())

    @property
    def is_on_own_photos(self) -> bool:
        """Whether it was trained on photographs alone, whose labels are its classes."""
        return bool(self.training.get("photos", {}).get("alone"))

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation of its training; none where it is not known."""
        return Augmentation(**self.training.get("augmentation", {}))


def find_source(path: Path, name: str | None) -> Source:
    """Reads what is known about a network.

    Args:
        path: The folder of a run; a `.keras` or `.h5` file; or the folder of a SavedModel. The card of a
            `.keras` file, a `.json` of the same name beside it, or else the metadata of its int8 file,
            is used if it names the checksum of the file.
        name: The name of the result; None for the network's name, or the file's stem.

    Raises:
        DataError: If the folder does not hold a finished run.
        ModelError: If the file is missing, or of another kind.
    """
    if path.is_dir() and (path / SAVED_MODEL_FILE).is_file():
        return Source(path, name or path.resolve().name)
    if path.is_dir():
        runs.read_json(path, runs.METRICS)  # it exists if the run is finished
        config = runs.read_json(path, runs.CONFIG)
        return Source(
            path / runs.MODEL,
            name or config["network"],
            run=path,
            training=config,
            labels=runs.labels_of(config),
            views=runs.views_of(config),
        )
    if not path.is_file() or path.suffix not in (KERAS_SUFFIX, *HDF5_SUFFIXES):
        raise ModelError(
            f"{path} is neither a run's folder nor a network (a .keras or .h5 file, or a SavedModel folder); "
            "save it with model.save('network.keras'), or make one with 'cli train'."
        )
    if path.suffix != KERAS_SUFFIX:
        return Source(path, name or path.stem)
    checksum = sha256(path.read_bytes())
    card = _card_of(path, checksum) or _metadata_of(path, checksum)
    if not card:
        return Source(path, name or path.stem)
    threshold = card.get("unknown_threshold")
    confidence = None
    if threshold is not None:
        confidence = Confidence(card["temperature"], threshold, card.get("photographs", {}))
    return Source(
        path,
        name or path.stem,
        training={key: value for key, value in card["training"].items() if key != ADAPTED},
        labels=tuple(card["labels"]),
        views=tuple(card["views"]) if "views" in card else runs.views_of(card["training"]),
        confidence=confidence,
    )


def _card_of(path: Path, checksum: str) -> dict[str, Any] | None:
    """Finds the card beside a `.keras` file, if it names the checksum of this file."""
    try:
        card = parse(read_bytes(path.with_suffix(".json"), LARGEST_BYTES)).fields
        if card["files"]["keras"]["sha256"] != checksum:
            return None
        # These parts of a card are used; a file that lacks one is not a card of garmentlite.
        known = {one: card[one] for one in ("labels", "training", "temperature")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    optional = ("views", "unknown_threshold", "photographs")
    return known | {one: card[one] for one in optional if one in card}


def _metadata_of(path: Path, checksum: str) -> dict[str, Any] | None:
    """Finds the metadata of the int8 file beside a `.keras` file, if it was made from this file."""
    try:
        _, metadata = split(path.with_name(f"{path.stem}_int8.tflite").read_bytes())
    except (OSError, ModelError):
        return None
    if not isinstance(metadata, Metadata) or metadata.reference_sha256 != checksum:
        return None
    return {
        "labels": metadata.labels,
        "training": metadata.training,
        "temperature": metadata.temperature,
        "unknown_threshold": metadata.unknown_threshold,
        "views": metadata.views,
    }
