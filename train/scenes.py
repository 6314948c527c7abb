"""Reads scenes in which nobody holds a garment up: rooms and people, used as backgrounds."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.errors import DataError
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.picture_formats import PICTURE_SUFFIXES
from garmentlite.edge.segmenters.masks import reduced
from garmentlite.train.table_text import read_table_text

INDEX = "index.csv"
PEOPLE_STEP = 5  # only every fifth frame of a clip is used
MOST_FRAMES = 200  # that are used of a clip; at 30 frames a second these are 33 seconds
# Places and people that are left out of training, so that figures can be measured on them.
KEPT_OUT = frozenset({"lebombo", "workshop", "aws_00", "aws_02", "aws_28", "person A"})


@dataclass(frozen=True)
class Scene:
    """What a fixed camera sees while nobody holds a garment up.

    Attributes:
        place: Name of the room, or "person" and a letter; all views of it share the name.
        frames: Frames in the order of time, each uint8 of shape (H, W, 3); a still picture has one.
    """

    place: str
    frames: list[np.ndarray]

    @property
    def has_person(self) -> bool:
        """Whether a person is in the scene."""
        return self.place.startswith("person ")

    @property
    def is_photograph(self) -> bool:
        """Whether it is a photograph, and not a view of a panorama."""
        return self.place.startswith("aws_")


def read_scenes(
    folder: Path, side: int, kept_out: Iterable[str] = (), *, with_people: bool = True
) -> list[Scene]:
    """Reads the scenes of a folder.

    Args:
        folder: A folder with index.csv and the files that it names: pictures called place_number.jpg and
            videos of people. The column `file` names the file, and the column `note` the person.
        side: Pixels of the longest side to which frames are reduced.
        kept_out: Places that are not read.
        with_people: Whether clips of people are read.

    Returns:
        The scenes in the order of the index.

    Raises:
        DataError: If the index cannot be read or lacks a column, or names a file that cannot be read.
    """
    kept_out, index = set(kept_out), folder / INDEX
    scenes = []
    for name, note in _listed(index):
        path = folder / name
        place = _place_of(path, note)
        is_clip = path.suffix.lower() not in PICTURE_SUFFIXES
        if place in kept_out or (is_clip and not with_people):
            continue
        bgr_frames = _frames_of(path, side) if is_clip else _picture_of(path, side)
        if not bgr_frames:
            raise DataError(
                f"{path}, which {index} names, is missing or cannot be read; put the file there, or remove "
                "its line."
            )
        scenes.append(
            Scene(place, [np.ascontiguousarray(frame[..., ::-1]) for frame in bgr_frames])
        )
    return scenes


def _listed(index: Path) -> list[tuple[str, str]]:
    """Reads the name and the note of each file that a list of scenes names."""
    try:
        text, delimiter = read_table_text(index)
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{index} cannot be read as a table ({error}); write it as CSV in UTF-8 with the columns file "
            "and note."
        ) from error
    if missing := {"file", "note"} - set(table.fieldnames or ()):
        raise DataError(f"{index} has no column '{min(missing)}'; name it so in the first line.")
    return [(row["file"], row["note"] or "") for row in rows if row["file"]]


def _place_of(path: Path, note: str) -> str:
    """Finds the place of a picture: each photograph is its own, and all views of a room share one."""
    if person := re.search(r"person (\w)", note):
        return f"person {person[1]}"
    is_alone = path.stem.startswith("aws_") or "_" not in path.stem
    return path.stem if is_alone else path.stem.rpartition("_")[0]


def _picture_of(path: Path, side: int) -> list[np.ndarray]:
    """Reads a picture as a list of one frame; the list is empty if it cannot be read."""
    bgr = load_opencv().imread(str(path))
    return [] if bgr is None else [reduced(bgr, side)]


def _frames_of(path: Path, side: int) -> list[np.ndarray]:
    """Reads every `PEOPLE_STEP`-th frame of a video, at most `MOST_FRAMES`; none if it cannot be read."""
    capture = load_opencv().VideoCapture(str(path))
    frames: list[np.ndarray] = []
    number = 0
    while len(frames) < MOST_FRAMES and capture.grab():
        if number % PEOPLE_STEP == 0:
            is_read, bgr = capture.retrieve()
            if not is_read:
                break
            frames.append(reduced(bgr, side))
        number += 1
    capture.release()
    return frames
