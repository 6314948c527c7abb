"""The state of a run and its checkpoint file: weights, optimizer, history and the best weights so far.

A run that was interrupted and resumed from its checkpoint takes the same steps as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge.errors import DataError
from garmentlite.edge.npz import Archive, read_npz, write_npz
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.config import TrainConfig
from garmentlite.train.history import Epoch
from garmentlite.train.older_files import read_0_1_0

if TYPE_CHECKING:
    import keras

PURPOSE = "checkpoint"
_WAY_OUT = "delete the run's folder or start again with --force"


@dataclass
class PartialEpoch:
    """The steps of the current epoch that are done, and the sums that its figures are computed from."""

    steps: int = 0
    images: int = 0
    loss: float = 0.0
    accuracy: float = 0.0

    def and_then(self, steps: int, images: int, logs: dict[str, Any]) -> PartialEpoch:
        """Adds the steps that follow this part; `logs` holds the means of those."""
        return PartialEpoch(
            self.steps + steps,
            self.images + images,
            self.loss + float(logs["loss"]) * images,
            self.accuracy + float(logs["accuracy"]) * images,
        )


@dataclass
class State:
    """Everything that changes during a run.

    Attributes:
        config: Configuration of the run.
        model: The network in training, compiled.
        history: The epochs that are finished.
        best: The best weights so far; None before the first epoch is finished.
        losses: Loss of every training image, where easy images rest.
        partial: The current epoch as far as it is done.
    """

    config: TrainConfig
    model: keras.Model
    history: list[Epoch] = field(default_factory=list)
    best: list[np.ndarray] | None = None
    losses: np.ndarray | None = None
    partial: PartialEpoch = field(default_factory=PartialEpoch)

    def save(self, path: Path) -> None:
        """Writes the checkpoint."""
        arrays = {f"model_{i}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        for i, variable in enumerate(self.model.optimizer.variables):
            arrays[f"optimizer_{i}"] = np.asarray(variable)
        for i, array in enumerate(self.best or []):
            arrays[f"best_{i}"] = array
        if self.losses is not None:
            arrays["losses"] = self.losses
        # As an array, since the sums of a network that diverges may be NaN, which JSON cannot hold.
        arrays["partial"] = np.array(list(asdict(self.partial).values()), np.float64)
        about = {
            "config": asdict(self.config),
            "history": [asdict(epoch) for epoch in self.history],
        }
        write_npz(path, PURPOSE, about, arrays)

    def restore(self, path: Path) -> None:
        """Sets everything to what a checkpoint holds.

        Raises:
            DataError: If it cannot be read, or was made with another configuration.
        """
        archive = _read(path, self.config)
        arrays = archive.arrays
        try:
            _assign(self.model.variables, arrays, "model")
            _assign(self.model.optimizer.variables, arrays, "optimizer")
            self.history = [Epoch(**epoch) for epoch in archive.about["history"]]
            steps, images, loss, accuracy = arrays["partial"].tolist()
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(_cannot_resume(path, error)) from error
        self.partial = PartialEpoch(int(steps), int(images), loss, accuracy)
        count = sum(name.startswith("best_") for name in arrays)
        self.best = [arrays[f"best_{i}"] for i in range(count)] or None
        self.losses = arrays.get("losses")


def _assign(variables: Iterable[Any], arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    for i, variable in enumerate(variables):
        array = arrays[f"{prefix}_{i}"]
        if array.shape != tuple(variable.shape):
            raise ValueError(
                f"{prefix}_{i} has the shape {array.shape}, not {tuple(variable.shape)}"
            )
        variable.assign(array)


def require_resumable(config: TrainConfig, path: Path) -> None:
    """Raises DataError if a checkpoint cannot be read or was made with another configuration."""
    _read(path, config)


def _read(path: Path, config: TrainConfig) -> Archive:
    older = read_0_1_0(path, "document")
    try:
        archive = read_npz(path, PURPOSE, _WAY_OUT) if older is None else _from_0_1_0(older)
        # A checkpoint of an earlier version lacks the fields that were added since; they had the defaults.
        defaults = {one.name: one.default for one in fields(config) if one.default is not MISSING}
        theirs = defaults | archive.about["config"]
        theirs["augmentation"] = asdict(Augmentation()) | theirs["augmentation"]
        both = theirs, asdict(config)
        theirs, ours = (json.loads(json.dumps(one)) for one in both)
        different = [name for name in ours if ours[name] != theirs.get(name)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(_cannot_resume(path, error)) from error
    # More epochs than before are allowed: that is a way to continue a run.
    for name in different:
        if name != "epochs":
            raise DataError(
                f"{path} was made with {name} = {theirs.get(name)}, now it is {ours[name]}; "
                "resume with the same options, or choose another folder with -o."
            )
    return archive


def _from_0_1_0(arrays: dict[str, np.ndarray]) -> Archive:
    """Reads a checkpoint of version 0.1.0, whose labels are the keys of the class weights."""
    document = json.loads(str(arrays.pop("document")))
    config = {"labels": list(document["config"]["class_weights"])} | document["config"]
    partial = PartialEpoch(**document["partial"])
    arrays["partial"] = np.array(list(asdict(partial).values()), np.float64)
    return Archive({"config": config, "history": document["history"]}, arrays)


def _cannot_resume(path: Path, error: Exception) -> str:
    return f"{path} cannot be read as a {PURPOSE} ({error}); {_WAY_OUT}."
