"""Photographs with known labels as images for the parity check, prepared as the device prepares them.

Both models get the same 28x28 images. Where no garment is found, the device asks no model, so there is
nothing to compare; those photographs are left out and counted.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.parity import LeftOut, ParityReport, PhotographFacts
from edge.errors import DataError, PictureError
from edge.labels import folder_name_of, nearest
from edge.pictures import find_pictures, read_picture
from edge.preparation import PREPARATION, prepare

if TYPE_CHECKING:
    from edge.segmentation import Segmenter

TABLE = "labels.csv"  # looked for in a folder; 'cli draw' writes it
_FILE_COLUMNS = ("file", "image", "path")
_LABEL_COLUMN = "label"

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
        source: A folder with a subfolder for each class, a folder with a `labels.csv`, or such a table
            itself: columns `file` (or `image`, or `path`; relative to the table) and `label`.
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
    named = _named_photographs(source, labels)
    root = source if source.is_dir() else source.parent
    images: list[np.ndarray] = []
    y_true: list[int] = []
    files: list[str] = []
    no_garment: list[LeftOut] = []
    unreadable: list[LeftOut] = []
    for number, (path, class_id) in enumerate(named, start=1):
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        try:
            prepared = prepare(read_picture(path), segmenter)
        except PictureError as error:
            warn(str(error))
            unreadable.append(LeftOut(name, labels[class_id], str(error)))
        else:
            if prepared.image_u8 is None:
                reason = str(prepared.description["reason"])
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


def _named_photographs(source: Path, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Every photograph with the number of its class, in a fixed order."""
    table = source / TABLE if source.is_dir() else source
    if table.is_file():
        return _from_table(table, labels)
    if not source.is_dir():
        raise DataError(
            f"There is no folder or table {source}; name a folder with a subfolder for each class, or a "
            "CSV file with the columns file and label."
        )
    folders = sorted(
        folder for folder in source.iterdir() if folder.is_dir() and not folder.name.startswith(".")
    )
    if not folders:
        raise DataError(
            f"{source} has neither subfolders nor a {TABLE}; put the photographs of each class into a "
            "subfolder of its name."
        )
    found: list[tuple[Path, int]] = []
    for folder in folders:
        class_id = _class_of(folder.name, labels, f"The subfolder {folder}")
        try:
            found += [(path, class_id) for path in find_pictures([folder])]
        except PictureError as error:
            raise DataError(f"{error} Or remove that subfolder.") from error
    return found


def _from_table(table: Path, labels: Sequence[str]) -> list[tuple[Path, int]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            file_column = next((name for name in _FILE_COLUMNS if name in columns), None)
            if file_column is None or _LABEL_COLUMN not in columns:
                raise DataError(
                    f"{table} has the columns {', '.join(columns) or 'none'}, expected file and label; name "
                    "them so in its first line."
                )
            found = [
                (
                    table.parent / (row[file_column] or ""),
                    _class_of(row[_LABEL_COLUMN] or "", labels, f"Line {rows.line_num} of {table}"),
                )
                for row in rows
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{table} cannot be read as a table ({error}); write it as CSV in UTF-8 with the columns file "
            "and label."
        ) from error
    if not found:
        raise DataError(f"{table} names no photograph; write a line for each under its first one.")
    return found


def _class_of(name: str, labels: Sequence[str], where: str) -> int:
    """The number of a class from the name of a folder, which can hold no "/"."""
    folders = [folder_name_of(label) for label in labels]
    if folder_name_of(name) in folders:
        return folders.index(folder_name_of(name))
    guess = nearest(name, labels)
    hint = f"did you mean '{guess}'?" if guess else f"the classes are: {', '.join(labels)}."
    raise DataError(f"{where} names the class '{name}', which the models do not know; {hint}")
