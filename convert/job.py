"""Prepares a conversion from the options of `cli convert`, and runs it.

`prepare` checks everything that can be checked before TensorFlow is started, and `run` loads the images and
converts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from garmentlite.convert import c_array, material, pipeline
from garmentlite.convert.held_out_confidence import find_confidence
from garmentlite.convert.material import Material
from garmentlite.convert.output_files import (
    folder_beside,
    is_same_file,
    paths_for,
    require_place_for,
)
from garmentlite.convert.source import Source, find_source
from garmentlite.edge.callbacks import OnStageProgress, Say, ignore_stage_progress, say_nothing
from garmentlite.edge.documents import LARGEST_BYTES, DocumentError, parse
from garmentlite.edge.errors import OptionError
from garmentlite.edge.files import read_bytes
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import data


@dataclass(frozen=True)
class Job:
    """A conversion whose options were checked, so that the work can begin.

    Attributes:
        source: The network.
        folder: The folder of the files.
        request: What is to be made.
        pictures: The user's own images; None to use those that the network was trained on, or Fashion-MNIST.
        labels: The classes in the order of the outputs, as the user gives them; None for those that are
            known.
        held_out: Runs whose held-out photographs fit the "unknown" threshold; empty for the source's own.
        data_dir: Folder of Fashion-MNIST; None to find or download it.
        about: What the card states beside what is known and measured, such as the purpose and the limits.
    """

    source: Source
    folder: Path
    request: pipeline.Request
    pictures: Material | None = None
    labels: tuple[str, ...] | None = None
    held_out: tuple[Path, ...] = ()
    data_dir: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """What a conversion needs beside the network.

    Attributes:
        pictures: Folder of pictures in place of Fashion-MNIST.
        labels: The classes in the order of the outputs; None for the network's own.
        held_out: See `Job`.
        data_dir: See `Job`.
        about: JSON file of the statements that `Job` describes.
    """

    pictures: Path | None = None
    labels: Sequence[str] | None = None
    held_out: tuple[Path, ...] = field(default=())
    data_dir: Path | None = None
    about: Path | None = None


def prepare(
    path: Path,
    request: pipeline.Request,
    inputs: Inputs,
    *,
    folder: Path | None,
    name: str | None,
    force: bool,
) -> Job:
    """Checks everything that can be checked before the training backend is started.

    Args:
        path: A run's folder, a `.keras` or `.h5` file, or the folder of a SavedModel.
        request: What is to be made.
        inputs: What it is made with.
        folder: Folder for the files; None for that of the network.
        name: What to call the files; None for the network's name.
        force: Whether existing files may be replaced.

    Raises:
        GarmentliteError: If the network, the pictures or the folder cannot be used; nothing was written then.
    """
    source = find_source(path, name)
    if source.run and inputs.labels and not inputs.pictures:
        raise OptionError(
            f"{path} is a run and knows its classes; leave --labels out, or give --calibration too."
        )
    folder = folder or folder_beside(source.path)
    paths = paths_for(source, folder, request.formats)
    if "keras" in paths and is_same_file(source.path, paths["keras"]):
        del paths["keras"]  # it stays where it is
    if request.c_array:
        paths |= {one.name: one for one in c_array.paths_in(folder, paths["int8"].stem)}
    if inputs.about and any(is_same_file(inputs.about, one) for one in paths.values()):
        raise OptionError(
            f"--about {inputs.about} is a file that the conversion writes; give the statements another file."
        )
    require_place_for(paths, force=force)
    pictures = None
    if inputs.pictures:
        pictures = material.from_folder(
            inputs.pictures, inputs.labels or source.labels or FASHION_MNIST_LABELS
        )
    about = _read_about(inputs.about) if inputs.about else {}
    labels = tuple(inputs.labels) if inputs.labels else None
    if labels:
        material.require_class_names(labels)
    return Job(source, folder, request, pictures, labels, inputs.held_out, inputs.data_dir, about)


def _read_about(path: Path) -> dict[str, Any]:
    """Reads the JSON object of statements for the card."""
    try:
        return dict(parse(read_bytes(path, LARGEST_BYTES)).fields)
    except (OSError, DocumentError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(
            f"--about {path} cannot be read as a JSON object ({reason}); name a file with one."
        ) from error


def run(
    job: Job, *, on_progress: OnStageProgress = ignore_stage_progress, say: Say = say_nothing
) -> pipeline.Converted:
    """Loads the images, finds the confidence and converts; see `convert`."""
    if job.pictures:
        images = job.pictures
    elif job.source.run and job.source.is_on_own_photos:
        images = material.from_run(job.source.run, job.source.labels)
    else:
        labels = job.labels or job.source.labels or FASHION_MNIST_LABELS
        images = material.from_fashion_mnist(data.load(job.data_dir, say), labels)
        if not images.is_labelled:
            say(
                "The classes are not those of Fashion-MNIST, so its images only set quantization ranges "
                "and count the answers that a format changes; --calibration FOLDER names pictures of "
                "the classes."
            )
        elif job.labels:
            say(f"The outputs stand for {', '.join(job.labels)}, in this order.")
    confidence = find_confidence(job.source, job.held_out, say)
    return pipeline.convert(
        job.source,
        job.folder,
        images,
        job.request,
        confidence=confidence,
        about=job.about,
        on_progress=on_progress,
        say=say,
    )
