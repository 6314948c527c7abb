"""Photographs with known labels as images for the parity check, prepared as the device prepares them.

Both models get the same 28x28 images. Where no garment is found, the device asks no model, so there is
nothing to compare; those photographs are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.convert.parity import LeftOut, ParityReport, PhotographFacts
from garmentlite.edge.errors import DataError, PictureError
from garmentlite.edge.labels import nearest
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import PREPARATION, prepare
from garmentlite.train import photo_set
from garmentlite.train.photo_set import LabelledPhoto

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter

# Called with the number of photographs done and of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Photographs:
    """Photographs brought to the form of the training images.

    Attributes:
        images_u8: uint8, shape (N, 28, 28).
        y_true: int64, shape (N,), numbers of the labels that were given.
        files: Where each image came from, N paths below the folder.
        facts: For the report.
    """

    images_u8: np.ndarray
    y_true: np.ndarray
    files: list[str]
    facts: PhotographFacts


def load_photographs(
    source: Path,
    labels: Sequence[str],
    segmenter: Segmenter,
    *,
    warn: Callable[[str], None] = lambda sentence: None,
    on_progress: Progress | None = None,
) -> Photographs:
    """Reads and prepares photographs whose labels are known.

    Args:
        source: A folder with a subfolder for each class, or a table, see `photo_set.read`.
        labels: The labels of the models, in the order of their numbers. A subfolder, or a label in the table,
            may differ in upper and lower case and in what stands between words ("t-shirt-top").
        segmenter: How the garment is told from its background.
        warn: Called with a sentence for each file that is no picture.
        on_progress: Called with photographs done and all photographs.

    Returns:
        The images of those in which a garment was found, in the order of the files.

    Raises:
        DataError: If there is no such folder or table, it names an unknown class, or no garment was found
            in any photograph.
        MissingPartError: If OpenCV is needed and not installed.
    """
    photos = photo_set.read(source)
    named = [(photo, _class_of(photo, labels)) for photo in photos]
    images: list[np.ndarray] = []
    y_true: list[int] = []
    files: list[str] = []
    no_garment: list[LeftOut] = []
    unreadable: list[LeftOut] = []
    for number, (photo, class_id) in enumerate(named, start=1):
        name = photo.name
        try:
            prepared = prepare(read_picture(photo.path), segmenter)
        except PictureError as error:
            warn(str(error))
            unreadable.append(LeftOut(name, labels[class_id], str(error)))
        else:
            if prepared.image_u8 is None:
                reason = str(prepared.reason)
                no_garment.append(LeftOut(name, labels[class_id], reason))
            else:
                images.append(prepared.image_u8)
                y_true.append(class_id)
                files.append(name)
        if on_progress:
            on_progress(number, len(named))
    if not images:
        raise DataError(
            f"In none of the {len(named):,} photographs of {source} a garment was found; try another way to "
            "cut it out with --segment."
        )
    facts = PhotographFacts(
        source=source.name,
        segmenter=segmenter.name,
        preparation=f"{PREPARATION['name']} {PREPARATION['version']}",
        pictures=len(named),
        no_garment=tuple(no_garment),
        unreadable=tuple(unreadable),
    )
    return Photographs(np.stack(images), np.array(y_true, np.int64), files, facts)


def with_photographs(report: ParityReport, photographs: Photographs) -> ParityReport:
    """A report on these photographs, with what they were and the file of every changed answer."""
    changed = tuple(
        replace(image, file=photographs.files[image.index]) for image in report.changed_images
    )
    return replace(report, changed_images=changed, photographs=photographs.facts)


def _class_of(photo: LabelledPhoto, labels: Sequence[str]) -> int:
    """The number of a photograph's class."""
    class_id = photo_set.class_of(photo.label, labels)
    if class_id is not None:
        return class_id
    guess = nearest(photo.label, labels)
    hint = f"did you mean '{guess}'?" if guess else f"the classes are: {', '.join(labels)}."
    raise DataError(
        f"{photo.where} names the class '{photo.label}', which the models do not know; {hint}"
    )
