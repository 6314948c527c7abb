"""Stores the outputs of a file on one machine, and compares them with those on another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.convert.verify.answers import require_fitting_data
from garmentlite.convert.verify.output_comparison import OutputComparison, compare_outputs
from garmentlite.convert.verify.provenance import computed_on, data_sha256
from garmentlite.edge.all_cores import raw_outputs
from garmentlite.edge.callbacks import OnProgress, ignore_progress
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.documents import DocumentError, parse
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.npz import Archive, read_arrays, read_npz, write_npz

_PURPOSE = "set of stored outputs"
_WAY_OUT = "make it again with 'cli verify MODEL --save-reference FILE'"
_OUTPUTS = "outputs"  # name of the array in the file
_FACTS = ("model", "model_sha256", "data_sha256", "computed_on")


@dataclass(frozen=True)
class StoredComparison:
    """A model's outputs on this machine beside those stored on another.

    Attributes:
        outputs: How far they differ.
        stored_on: Machine, runtime and kernels that computed the stored outputs.
        computed_on: The same of this machine.
    """

    outputs: OutputComparison
    stored_on: str
    computed_on: str

    @property
    def passed(self) -> bool:
        """Whether no answer changed and no output differs by more than one step."""
        return self.outputs.changed_answers == 0 and self.outputs.largest_step <= 1

    @property
    def equal(self) -> bool:
        """Whether every output is the same, bit for bit."""
        return self.outputs.differing_images == 0

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        found = self.outputs
        if self.equal:
            return (
                f"All outputs of {found.images:,} images are equal to the stored ones, bit for bit."
            )
        verdict = "this is allowed" if self.passed else "allowed are one step and no changed answer"
        return (
            f"{found.differing_images:,} of {found.images:,} images have outputs that differ, by at most "
            f"{found.largest_step:g} steps; {found.changed_answers:,} answers changed ({verdict})."
        )

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the comparison, see docs/verify-json.md."""
        return {
            "passed": self.passed,
            "equal": self.equal,
            "images": self.outputs.images,
            "changed_answers": self.outputs.changed_answers,
            "differing_images": self.outputs.differing_images,
            "largest_step": self.outputs.largest_step,
            "stored_on": self.stored_on,
            "computed_on": self.computed_on,
        }


def save_outputs(
    classifier: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    path: Path,
    *,
    on_progress: OnProgress = ignore_progress,
) -> None:
    """Stores a model's raw outputs, to be compared with on another machine.

    Args:
        classifier: The model.
        images_u8: uint8, shape (N, H, W) or (N, H, W, 1).
        y_true: True class numbers, shape (N,); they are part of the checksum of the data.
        path: The `.npz` file to write.
        on_progress: Called with the number of images done and their total.

    Raises:
        DataError: If the images do not fit the model.
        OutputError: If the file cannot be written.
    """
    require_fitting_data(classifier, images_u8, y_true)
    (raw,) = raw_outputs([classifier], images_u8, on_progress)
    about = {
        "model": classifier.path.name,
        "model_sha256": classifier.sha256,
        "data_sha256": data_sha256(images_u8, y_true),
        "computed_on": computed_on(classifier),
    }
    write_npz(path, _PURPOSE, about, {_OUTPUTS: raw}, compress=True)


def compare_with_stored(
    classifier: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    path: Path,
    *,
    on_progress: OnProgress = ignore_progress,
) -> StoredComparison:
    """Computes a model's outputs again and compares them with stored ones.

    Args:
        classifier: The same model file.
        images_u8: The same images.
        y_true: The same class numbers.
        path: The file that `save_outputs` wrote.
        on_progress: Called with the number of images done and their total.

    Raises:
        ModelError: If the stored outputs are of another model file.
        DataError: If the stored file cannot be read, or was made from other images.
    """
    stored, about = _read(path)
    if about["model_sha256"] != classifier.sha256:
        raise ModelError(
            f"{path} holds outputs of another model ({about['model']}, SHA-256 "
            f"{about['model_sha256'][:12]}) than {classifier.path} ({classifier.sha256[:12]}); "
            "store them again from the file that is on the device."
        )
    require_fitting_data(classifier, images_u8, y_true)
    if about["data_sha256"] != data_sha256(images_u8, y_true):
        raise DataError(
            f"{path} was made from other images or labels than these; give the same data set and the "
            "same limit as when it was stored."
        )
    (raw,) = raw_outputs([classifier], images_u8, on_progress)
    if stored.shape != raw.shape or stored.dtype != raw.dtype:
        raise DataError(
            f"{path} holds {stored.dtype} outputs of shape {stored.shape}, this model gives {raw.dtype} of "
            f"shape {raw.shape}; {_WAY_OUT}."
        )
    return StoredComparison(
        compare_outputs(stored, raw), about["computed_on"], computed_on(classifier)
    )


def _read(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    archive = _read_format_1(path) or read_npz(path, _PURPOSE, _WAY_OUT)
    missing = [name for name in _FACTS if not isinstance(archive.about.get(name), str)]
    if missing or _OUTPUTS not in archive.arrays:
        lacking = ", ".join(missing or [_OUTPUTS])
        raise DataError(f"{path} lacks {lacking} of stored outputs; {_WAY_OUT}.")
    return archive.arrays[_OUTPUTS], {name: archive.about[name] for name in _FACTS}


def _read_format_1(path: Path) -> Archive | None:
    """Outputs as version 0.1.0 stored them, with other facts and no checksum; None for any other file."""
    try:
        arrays = read_arrays(path, _PURPOSE, _WAY_OUT)
        about = parse(str(arrays["about"])).fields
        if about["format_version"] != 1:
            return None
        return Archive(about, {_OUTPUTS: arrays[_OUTPUTS]})
    except (DataError, DocumentError, KeyError):
        return None  # a file of this version, or not an archive at all; `read_npz` tells which
