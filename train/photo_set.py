"""Labelled photographs: read from folders or a table, named by classes, split by who sent them.

A photograph's label is a class, or a group: a coarser word that stands for several classes ("footwear" for
Sandal, Sneaker or Ankle boot), of which it is not known which one is meant.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.errors import DataError, OptionError, PictureError
from garmentlite.edge.files import is_dir, is_file, read_bytes, sha256
from garmentlite.edge.labels import class_id_of, folder_name_of, is_reserved, nearest
from garmentlite.edge.pictures import find_pictures

TABLES = ("labels.csv", "images.csv")  # looked for in a folder; 'cli draw' writes the first
LABEL_COLUMN = "label"
FEWEST_TO_VALIDATE = 5  # photographs of a label: with as many folds, one is held out
LARGEST_PHOTO = 512 << 20  # bytes; 64 million pixels of 16-bit RGB, not compressed, have 384 MB
LARGEST_TABLE = 64 << 20  # bytes; a line has about 100

_FILE_COLUMNS = ("file", "image", "path")
_PICTURES = "images"  # beside a table: where its files may be instead
_SPLIT_SEED = 20170825  # as that of Fashion-MNIST's validation split; any fixed number serves
_NONE = -1  # in place of a label's number

Say = Callable[[str], None]


@dataclass(frozen=True)
class LabelledPhoto:
    """One photograph of a collection.

    Attributes:
        path: The file, which may be missing or broken.
        name: The same below the folder or beside the table.
        label: As it is written there.
        where: Where that is, the beginning of a sentence.
        contributor: Who sent it; empty where it is not known.
    """

    path: Path
    name: str
    label: str
    where: str
    contributor: str = ""


def read(
    source: Path,
    *,
    label_column: str = LABEL_COLUMN,
    contributor_column: str | None = None,
    warn: Say | None = None,
) -> list[LabelledPhoto]:
    """Lists the photographs of a collection, in a fixed order; no picture is opened.

    Args:
        source: A folder with a subfolder for each label, a folder with a `labels.csv` or `images.csv`, or
            such a table itself: columns `file` (or `image`, or `path`; relative to the table, or to the
            folder `images` beside it) and that of the label.
        label_column: Name of the label's column in a table.
        contributor_column: Name of the column that says who sent a photograph; None for none.
        warn: Called with a sentence for a subfolder without pictures, and for a line without file or label;
            without it, that is an error.

    Raises:
        DataError: If there is no such folder or table, or it names no photograph.
        OptionError: If a table has no column for the contributor, or there is no table.
    """
    tables = [source / name for name in TABLES] if is_dir(source) else [source]
    table = next((path for path in tables if is_file(path)), None)
    if table:
        return _from_table(table, label_column, contributor_column, warn)
    if not is_dir(source):
        raise DataError(
            f"There is no folder or table {source}; name a folder with a subfolder for each class, or a "
            f"CSV file with the columns file and {label_column}."
        )
    if contributor_column:
        raise OptionError(
            f"--split-by {contributor_column} names a column of a table, but {source} has none "
            f"({' or '.join(TABLES)}); leave it away."
        )
    return _from_folders(source, warn)


def class_of(name: str, labels: Sequence[str]) -> int | None:
    """The number of a class from the name of a folder, which can hold no "/"; None if it is none."""
    folders = [folder_name_of(label) for label in labels]
    wanted = folder_name_of(name)
    return folders.index(wanted) if wanted in folders else None


def with_files(photos: Sequence[LabelledPhoto], warn: Say) -> tuple[list[LabelledPhoto], list[str]]:
    """Those whose file can be read, and the SHA-256 of each file; the others are named to `warn`."""
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


@dataclass(frozen=True)
class Labelling:
    """What the labels of photographs mean to a network.

    Attributes:
        classes: Class names in the order of the outputs.
        groups: What photographs are labelled with, G names: classes, and words for several of them.
        members: bool, shape (G, C), the classes that each may be.
        y: int64, shape (N,), number of each photograph's group; -1 where its label is none of them.
        own: Whether the classes are the labels themselves.
    """

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    members: np.ndarray
    y: np.ndarray
    own: bool


def label(
    photos: Sequence[LabelledPhoto],
    classes: Sequence[str],
    *,
    groups: Sequence[str] = (),
    own_classes: bool = False,
    say: Say = lambda sentence: None,
) -> Labelling:
    """Finds the class or group that each photograph's label means.

    Where no label is one of the classes, the labels become the classes.

    Args:
        photos: A collection.
        classes: Class names in the order of the outputs.
        groups: Values of `--group`: "NAME=CLASS,CLASS" any number of times.
        own_classes: Whether the labels are the classes, whatever they are called.
        say: Called with a sentence on what is used and what is left out.

    Raises:
        OptionError: If a group names no classes, or is called like one.
        DataError: If the labels are to be the classes and there are fewer than two.
    """
    known: dict[str, tuple[int, ...]] = {name: (i,) for i, name in enumerate(classes)}
    known |= dict(_parse_group(option, classes) for option in groups)
    names = list(known)
    found = {photo.label: class_of(photo.label, names) for photo in photos}
    if own_classes or (not groups and all(number is None for number in found.values())):
        return _own_classes(photos, forced=own_classes, say=say)
    if all(number is None for number in found.values()):
        raise DataError(
            f"No photograph is labelled {' or '.join(option.partition('=')[0] for option in groups)} or as "
            f"one of the classes, but for example '{next(iter(found))}'; check --group and --label-column."
        )
    used = [name for number, name in enumerate(names) if number in found.values()]
    members = np.zeros((len(used), len(classes)), bool)
    for row, name in enumerate(used):
        members[row, list(known[name])] = True
    numbers = [found[photo.label] for photo in photos]
    y = [_NONE if number is None else used.index(names[number]) for number in numbers]
    others = Counter(photo.label for photo in photos if found[photo.label] is None)
    if others:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(others.items()))
        say(
            f"{others.total():,} photographs have a label that is none of the classes ({listed}); of them "
            "the network learns to be unsure. (--own-classes makes every label a class; --group "
            "NAME=CLASS,CLASS makes one stand for several.)"
        )
    return Labelling(tuple(classes), tuple(used), members, np.array(y, np.int64), own=False)


def assign_folds(
    y: np.ndarray,
    contributors: Sequence[str],
    checksums: Sequence[str],
    count: int,
) -> np.ndarray:
    """Deals photographs to folds: what belongs together stays together, every label is spread evenly.

    Together belong the photographs of a contributor, and files with the same bytes. The split is the same
    for every run, so that runs with different seeds are compared on the same photographs.

    Args:
        y: Label of each photograph, shape (N,); any integers.
        contributors: Who sent each; empty where it is not known.
        checksums: Of each file.
        count: Of folds, at least 2.

    Returns:
        Fold of each photograph, int64, shape (N,), in [0, count); -1 for those of unknown contributors
        whose label has fewer than `FEWEST_TO_VALIDATE`: they are always trained on.
    """
    units = _units(contributors, checksums)
    strata = np.unique(y, return_inverse=True)[1]
    shares = np.zeros((units.max(initial=-1) + 1, strata.max(initial=-1) + 1))
    np.add.at(shares, (units, strata), 1)
    sizes = shares.sum(axis=1)
    shares /= shares.sum(axis=0)
    # The largest first, so that small ones can even out what they leave; those of one size shuffled.
    shuffled = np.random.default_rng(_SPLIT_SEED).permutation(len(sizes))
    filled, fold_of_unit = np.zeros((count, shares.shape[1])), np.zeros(len(sizes), np.int64)
    for unit in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        # The fold whose share of these labels is least: the sum of squares then grows least.
        fullness = filled @ shares[unit]
        fold = min(range(count), key=lambda i: (fullness[i], filled[i].sum()))
        fold_of_unit[unit] = fold
        filled[fold] += shares[unit]
    folds = fold_of_unit[units]
    is_rare = np.bincount(strata)[strata] < FEWEST_TO_VALIDATE
    folds[is_rare & np.array([not one for one in contributors], bool)] = -1
    return folds


def _units(contributors: Sequence[str], checksums: Sequence[str]) -> np.ndarray:
    """Number of what each photograph belongs together with, int64, shape (N,)."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    keys = []
    for contributor, checksum in zip(contributors, checksums, strict=True):
        own = f"contributor {contributor}" if contributor else f"file {checksum}"
        parent[root(f"file {checksum}")] = root(own)
        keys.append(own)
    return np.unique([root(key) for key in keys], return_inverse=True)[1]


def _own_classes(photos: Sequence[LabelledPhoto], *, forced: bool, say: Say) -> Labelling:
    names: dict[str, str] = {}  # the first spelling of each
    for photo in photos:
        names.setdefault(folder_name_of(photo.label), photo.label)
    classes = tuple(sorted(names.values()))
    listed = ", ".join(classes) or "none"
    if len(classes) < 2:
        raise DataError(
            f"The photographs have {len(classes)} label ({listed}), and a classifier needs two classes or "
            "more; add a folder of photographs of something else."
        )
    reserved = next((name for name in classes if is_reserved(name)), None)
    if reserved:
        raise DataError(
            f"No class may be called '{reserved}', which is what an answer without a class is called; name "
            "that folder or label otherwise."
        )
    reason = "" if forced else "No label is one of Fashion-MNIST's, so "
    say(
        f"{reason}{'the' if reason else 'The'} labels are the classes ({listed}); Fashion-MNIST is not used."
    )
    y = np.array([class_of(photo.label, classes) for photo in photos], np.int64)
    return Labelling(classes, classes, np.eye(len(classes), dtype=bool), y, own=True)


def _parse_group(option: str, classes: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    name, _, members = option.partition("=")
    named = [one.strip() for one in members.split(",") if one.strip()]
    if not name.strip() or not named:
        raise OptionError(
            f"--group takes NAME=CLASS,CLASS, got '{option}'; write for example --group "
            '"footwear=Sandal,Sneaker,Ankle boot".'
        )
    if class_of(name, classes) is not None:
        raise OptionError(
            f"--group {option}: '{name.strip()}' is a class itself; name the group otherwise."
        )
    return name.strip(), tuple(class_id_of(one, classes) for one in named)


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
        try:
            paths = find_pictures([folder], warn)
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


def _from_table(
    table: Path, label_column: str, contributor_column: str | None, warn: Say | None
) -> list[LabelledPhoto]:
    try:
        text = read_bytes(table, LARGEST_TABLE).decode("utf-8-sig")
        with io.StringIO(text, newline="") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            file_column = next((name for name in _FILE_COLUMNS if name in columns), None)
            if file_column is None or label_column not in columns:
                raise DataError(
                    f"{table} has the columns {', '.join(columns) or 'none'}, expected file and "
                    f"{label_column}; name them so in its first line."
                )
            if contributor_column and contributor_column not in columns:
                guess = nearest(contributor_column, columns)
                hint = f"did you mean '{guess}'?" if guess else f"it has {', '.join(columns)}."
                raise OptionError(
                    f"--split-by {contributor_column} is no column of {table}; {hint}"
                )
            found = [
                LabelledPhoto(
                    _beside(table, row[file_column] or ""),
                    row[file_column] or "",
                    (row[label_column] or "").strip(),
                    f"Line {rows.line_num} of {table}",
                    (row[contributor_column] or "").strip() if contributor_column else "",
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


def _beside(table: Path, name: str) -> Path:
    """The file that a table means; where there is none, the path at which it was looked for first."""
    path, other = table.parent / name, table.parent / _PICTURES / name
    return other if is_file(other) and not is_file(path) else path
