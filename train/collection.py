"""Reads collections of labelled photographs from folders or a table, and holds a part of them out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import DataError, OptionError, PictureError
from garmentlite.edge.files import is_dir, is_file, read_bytes, sha256
from garmentlite.edge.labels import UNLABELLED, nearest
from garmentlite.edge.picture_files import find_pictures
from garmentlite.train.data import refuse_pixel_table
from garmentlite.train.folds import FEWEST_TO_VALIDATE, assign_folds
from garmentlite.train.labelling import Labelling, find_labelling
from garmentlite.train.table_text import read_table_text

TABLES = ("labels.csv", "images.csv")  # names of the table in a folder; 'cli draw' writes the first
LABEL_COLUMN = "label"
LARGEST_PHOTO = 512 << 20  # bytes; 64 million pixels of 16-bit RGB, not compressed, have 384 MB
MOST_FOLDS = 1000

_FILE_COLUMNS = ("file", "image", "path")
_PICTURES = "images"  # a folder beside the table that may hold its files


# Factor of the loss of a photograph by its flag. Several garments, a garment that the frame cuts off, and one
# so crumpled that its form is hardly seen teach less about the form of their class.
FLAG_FACTORS = {
    "worn": 1.0, "hanging": 1.0, "child": 1.0, "back": 1.0, "several": 0.5, "cut": 0.5, "crumpled": 0.5,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table of photographs, beside the one that names the file.

    Attributes:
        label: Columns of the label; the first one that is filled in counts.
        contributor: Column that says who took the photograph; None if there is none.
        also: Column of further classes that a careful person could also give, joined by "|"; None if there
            is none.
        flags: Column of `FLAG_FACTORS`, joined by "|"; None if there is none.
    """

    label: tuple[str, ...] = (LABEL_COLUMN,)
    contributor: str | None = None
    also: str | None = None
    flags: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """The columns that are not always there, by the option that names each."""
        named = {
            "--split-by": self.contributor,
            "--also-column": self.also,
            "--flags-column": self.flags,
        }
        return {option: column for option, column in named.items() if column}


@dataclass(frozen=True)
class LabelledPhoto:
    """One photograph of a collection.

    Attributes:
        path: The file, which may be missing or broken.
        name: Its path below the folder or beside the table.
        label: The label as it is written.
        where: Where the label is written; the beginning of a sentence.
        contributor: Who took the photograph; empty if it is not known.
        also: Further labels that a careful person could also give, as they are written.
        flags: See `FLAG_FACTORS`, as they are written.
    """

    path: Path
    name: str
    label: str
    where: str
    contributor: str = ""
    also: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Collection:
    """Labelled photographs whose files exist, before they are prepared.

    Attributes:
        photos: N photographs.
        checksums: SHA-256 of each file.
        labelling: What their labels mean.
        factors: Factor of each photograph's loss by its flags, float32, shape (N,).
        is_held_out: Whether a photograph validates and is not trained on, bool, shape (N,).
    """

    photos: list[LabelledPhoto]
    checksums: list[str]
    labelling: Labelling
    factors: np.ndarray
    is_held_out: np.ndarray

    @property
    def y_training(self) -> np.ndarray:
        """Number of the group of each labelled training photograph, int64."""
        return self.labelling.y[~self.is_held_out & (self.labelling.y >= 0)]


def read_collection(
    source: Path,
    classes: Sequence[str],
    *,
    columns: Columns = Columns(),
    groups: Sequence[str] = (),
    own_classes: bool = False,
    folds: int = 5,
    fold: int | None = 1,
    say: Say = say_nothing,
) -> Collection:
    """Reads the labels of photographs and holds a part of the photographs out.

    Args:
        source: Folder or table, see `read`.
        classes: Class names that the labels may be.
        columns: Columns of a table. The photographs of one contributor are all held out, or none of them.
        groups: Values of `--group`, see `labelling.find_labelling`.
        own_classes: Whether the labels become the classes in any case.
        folds: Number of parts that the photographs are split into.
        fold: The part that is held out, from 1; None to hold none out.
        say: Called with a sentence about photographs that are used or left out.

    Raises:
        DataError: If there are no photographs, or none to train or to validate on.
        OptionError: If an option does not fit the collection.
    """
    if folds > MOST_FOLDS:
        raise OptionError(f"--folds {folds} is too many; take at most {MOST_FOLDS:,}.")
    if folds < 2 or (fold is not None and not 1 <= fold <= folds):
        raise OptionError(
            f"--fold {fold} of --folds {folds} does not exist; take at least two folds and a fold from 1 to "
            "their number."
        )
    photos = read(source, columns, warn=say)
    photos, checksums = with_files(photos, say)
    if not photos:
        raise DataError(f"None of the photographs that {source} names exists; check the paths.")
    labelling = find_labelling(
        [photo.label for photo in photos],
        classes,
        also=[photo.also for photo in photos],
        groups=groups,
        own_classes=own_classes,
        say=say,
    )
    for group, count in enumerate(np.bincount(labelling.y[labelling.y >= 0])):
        if count < FEWEST_TO_VALIDATE:
            say(
                f"Only {count} photographs show '{labelling.groups[group]}', at least "
                f"{FEWEST_TO_VALIDATE} are needed to validate: figures for this label mean nothing."
            )
    factors = _factors(photos, say)
    contributors = [photo.contributor for photo in photos]
    fold_of = assign_folds(labelling.y, contributors, checksums, folds)
    is_held_out = np.zeros(len(photos), bool) if fold is None else fold_of == fold - 1
    if fold is not None and not (is_held_out & (labelling.y >= 0)).any():
        raise DataError(
            f"No photograph is held out in fold {fold} of {folds}; take more photographs, fewer --folds, or "
            "--all-photos."
        )
    return Collection(photos, checksums, labelling, factors, is_held_out)


def _factors(photos: Sequence[LabelledPhoto], say: Say) -> np.ndarray:
    """Computes the factor of each photograph's loss by its flags, float32, shape (N,)."""
    unknown = sorted({flag for photo in photos for flag in photo.flags} - set(FLAG_FACTORS))
    if unknown:
        say(
            f"The flags {', '.join(unknown)} are unknown and change nothing; the flags are "
            f"{', '.join(FLAG_FACTORS)}."
        )
    smallest = [min((FLAG_FACTORS.get(f, 1.0) for f in one.flags), default=1.0) for one in photos]
    return np.array(smallest, np.float32)


def read(
    source: Path,
    columns: Columns = Columns(),
    *,
    warn: Say | None = None,
) -> list[LabelledPhoto]:
    """Lists the photographs of a collection in a fixed order; no picture is opened.

    Args:
        source: A folder with a subfolder for each label, a folder with a `labels.csv` or `images.csv`, or
            such a table itself. Subfolders that are hidden or called `unlabelled` are left out. A table is
            separated by commas, semicolons or tabs, and written in UTF-8 or UTF-16. It has a column `file`
            (or `image`, or `path`; relative to the table, or to the folder `images` beside it) and a column
            of the label.
        columns: Columns of a table.
        warn: Called with a sentence for a subfolder without pictures and for a line without file or label;
            if it is None, these are errors.

    Raises:
        DataError: If there is no such folder or table, or it names no photograph.
        OptionError: If a table lacks a column that an option names, or there is no table.
    """
    tables = [source / name for name in TABLES] if is_dir(source) else [source]
    table = next((path for path in tables if is_file(path)), None)
    if table:
        return _from_table(table, columns, warn)
    if not is_dir(source):
        raise DataError(
            f"There is no folder or table {source}; name a folder with a subfolder for each class, or a "
            f"CSV file with the columns file and {columns.label[0]}."
        )
    for option, column in columns.options.items():
        raise OptionError(
            f"{option} {column} names a column of a table, but {source} has no table "
            f"({' or '.join(TABLES)}); leave {option} out."
        )
    return _from_folders(source, warn)


def with_files(photos: Sequence[LabelledPhoto], warn: Say) -> tuple[list[LabelledPhoto], list[str]]:
    """Keeps the photographs whose file can be read.

    Args:
        photos: A collection.
        warn: Called with a sentence for each photograph that is left out.

    Returns:
        The other photographs, and the SHA-256 of the file of each.
    """
    there, checksums = [], []
    for photo in photos:
        try:
            checksums.append(sha256(read_bytes(photo.path, LARGEST_PHOTO)))
        except OSError as error:
            warn(
                f"{photo.where} names {photo.name}, which cannot be read ({error.strerror}); it is left "
                "out."
            )
        else:
            there.append(photo)
    return there, checksums


def _from_folders(source: Path, warn: Say | None) -> list[LabelledPhoto]:
    try:
        entries = list(source.iterdir())
    except OSError as error:
        raise DataError(
            f"The folder {source} cannot be read ({error.strerror}); allow it with 'chmod +rx'."
        ) from error
    folders = sorted(
        folder for folder in entries if is_dir(folder) and not folder.name.startswith(".")
    )
    if not folders:
        raise DataError(
            f"{source} has neither subfolders nor a {TABLES[0]}; put the photographs of each class into a "
            "subfolder of its name."
        )
    found: list[LabelledPhoto] = []
    for folder in folders:
        if folder.name == UNLABELLED:
            if warn:
                warn(
                    f"The pictures in {folder} have no label and are left out; move them to the subfolders "
                    "of their classes."
                )
            continue
        try:
            paths = find_pictures([folder], warn, warn or say_nothing)
        except PictureError as error:
            if warn is None:
                raise DataError(f"{error} Or remove that subfolder.") from error
            warn(f"{error} The subfolder is left out.")
            continue
        found += [
            LabelledPhoto(
                path, path.relative_to(source).as_posix(), folder.name, f"The subfolder {folder}"
            )
            for path in paths
        ]
    if not found:
        raise DataError(
            f"{source} holds no photograph; put those of each class into its subfolder."
        )
    return found


def _from_table(table: Path, columns: Columns, warn: Say | None) -> list[LabelledPhoto]:
    label_column = " or ".join(columns.label)
    try:
        refuse_pixel_table(table)
        text, delimiter = read_table_text(table)
        with io.StringIO(text, newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter)
            file_column = _require_columns(table, rows.fieldnames or [], columns)
            found = [
                LabelledPhoto(
                    _beside(table, row[file_column] or ""),
                    row[file_column] or "",
                    next(filter(None, (_cell(row, name) for name in columns.label)), ""),
                    f"Line {rows.line_num} of {table}",
                    _cell(row, columns.contributor),
                    _parts(_cell(row, columns.also)),
                    _parts(_cell(row, columns.flags)),
                )
                for row in rows
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{table} cannot be read as a table ({error}); write it as CSV in UTF-8 with the columns file "
            f"and {label_column}."
        ) from error
    for photo in found:
        if photo.name and photo.label:
            continue
        lacking = f"{photo.where} has no {label_column if photo.name else file_column}"
        if warn is None:
            raise DataError(f"{lacking}; write it there, or remove the line.")
        warn(f"{lacking}; it is left out.")
    found = [photo for photo in found if photo.name and photo.label]
    if not found:
        raise DataError(f"{table} names no photograph; write a line for each under its first one.")
    return found


def _require_columns(table: Path, known: Sequence[str], columns: Columns) -> str:
    """Refuses a table that lacks a column, and returns the name of the one that names the files.

    Args:
        table: The table, for the message.
        known: Its columns.
        columns: The columns that are to be read.

    Raises:
        DataError: If no column names the files, or that of the label is missing.
        OptionError: If a column that an option names is missing.
    """
    file_column = next((name for name in _FILE_COLUMNS if name in known), None)
    lacking = next((name for name in columns.label if name not in known), None)
    if file_column is None or lacking:
        raise DataError(
            f"{table} has the columns {', '.join(known) or 'none'}, expected file and "
            f"{lacking or ' or '.join(columns.label)}; name them so in its first line."
        )
    for option, column in columns.options.items():
        if column not in known:
            guess = nearest(column, known)
            hint = f"did you mean '{guess}'?" if guess else f"it has {', '.join(known)}."
            raise OptionError(f"{option} {column} is not a column of {table}; {hint}")
    return file_column


def _cell(row: dict[str, str | None], column: str | None) -> str:
    """Returns what a row has in a column without spaces around it; empty if there is nothing."""
    return (row[column] or "").strip() if column else ""


def _parts(cell: str) -> tuple[str, ...]:
    """Splits a cell at "|"."""
    return tuple(part.strip() for part in cell.split("|") if part.strip())


def _beside(table: Path, name: str) -> Path:
    """Finds the file that a table names; if none exists, returns the first path that was tried.

    A table that was written on Windows separates folders with a backslash.
    """
    names = [name, name.replace("\\", "/")]
    paths = [folder / one for one in names for folder in (table.parent, table.parent / _PICTURES)]
    return next(filter(is_file, paths), paths[0])
