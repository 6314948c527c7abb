"""Prepares labelled photographs for the parity check, as the device prepares them.

Both models get the same images. A photograph in which no garment is found is left out and counted: the
device does not ask a model about it, so there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.callbacks import OnProgress, Say, ignore_progress, say_nothing
from garmentlite.edge.errors import DataError, PictureError
from garmentlite.edge.labels import nearest
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparer import Preparer
from garmentlite.train import collection, labelling
from garmentlite.train.collection import LabelledPhoto


@dataclass(frozen=True)
class LeftOut:
    """One photograph that no model was asked about.

    Attributes:
        file: Its path below the folder.
        label: Its true label.
        reason: Why it was left out.
    """

    file: str
    label: str
    reason: str


@dataclass(frozen=True)
class PhotographFacts:
    """The photographs that the images were made from.

    Attributes:
        source: Name of the folder or table.
        segmenter: How the garments were cut out; None if the whole pictures were taken.
        preparation: Name and version of the preparation.
        way: How pictures became images: "garment", "resize" or "centre-crop".
        pictures: Number of all photographs.
        no_garment: Those in which no garment was found.
        unreadable: Those that could not be read as pictures.
    """

    source: str
    segmenter: str | None
    preparation: str
    way: str
    pictures: int
    no_garment: tuple[LeftOut, ...]
    unreadable: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Photographs:
    """Photographs brought to the input of the models.

    Attributes:
        images_u8: uint8, shape (N, H, W), or (N, H, W, 3) for models of RGB images.
        y_true: Class numbers, int64, shape (N,).
        files: The photograph of each image, N paths below the folder.
        facts: The facts for the report.
    """

    images_u8: np.ndarray
    y_true: np.ndarray
    files: list[str]
    facts: PhotographFacts


def load_photographs(
    source: Path,
    labels: Sequence[str],
    preparer: Preparer,
    *,
    warn: Say = say_nothing,
    on_progress: OnProgress = ignore_progress,
) -> Photographs:
    """Reads and prepares photographs whose labels are known.

    Args:
        source: A folder with a subfolder for each class, or a table, see `collection.read`.
        labels: The labels of the models, in the order of their numbers. The name of a subfolder, or a label
            in the table, may differ in upper and lower case and in the characters between words
            ("t-shirt-top").
        preparer: Makes the images.
        warn: Called with a sentence for each file that cannot be read as a picture.
        on_progress: Called with the number of photographs done and their total.

    Returns:
        The images of the photographs in which a garment was found, in the order of the files.

    Raises:
        DataError: If there is no such folder or table, it names an unknown class, or no garment was found
            in any photograph.
        MissingPartError: If OpenCV is needed and not installed.
    """
    photos = collection.read(source)
    named = [(photo, _class_of(photo, labels)) for photo in photos]
    images: list[np.ndarray] = []
    y_true: list[int] = []
    files: list[str] = []
    no_garment: list[LeftOut] = []
    unreadable: list[LeftOut] = []
    for number, (photo, class_id) in enumerate(named, start=1):
        name = photo.name
        try:
            prepared = preparer.prepare(read_picture(photo.path, preparer.least_side))
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
        on_progress(number, len(named))
    if not images:
        raise DataError(
            f"No garment was found in any of the {len(named):,} photographs of {source}; try another way of "
            "cutting it out with --segment."
        )
    facts = PhotographFacts(
        source=source.name,
        segmenter=preparer.segmenter.name if preparer.way == "garment" else None,
        preparation=f"{preparer.preparation['name']} {preparer.preparation['version']}",
        way=preparer.way,
        pictures=len(named),
        no_garment=tuple(no_garment),
        unreadable=tuple(unreadable),
    )
    return Photographs(np.stack(images), np.array(y_true, np.int64), files, facts)


def _class_of(photo: LabelledPhoto, labels: Sequence[str]) -> int:
    """Finds the number of a photograph's class."""
    class_id = labelling.class_of(photo.label, labels)
    if class_id is not None:
        return class_id
    guess = nearest(photo.label, labels)
    hint = f"did you mean '{guess}'?" if guess else f"the classes are: {', '.join(labels)}."
    raise DataError(
        f"{photo.where} names the class '{photo.label}', which the models do not know; {hint}"
    )
