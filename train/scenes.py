"""Reads scenes in which nobody holds a garment up: rooms and people, used as backgrounds."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.errors import DataError
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.masks import reduced

INDEX = "index.csv"
PEOPLE_STEP = 5  # only every fifth frame of a clip is used
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
            clips of people. The column `file` names the file, and the column `note` the person.
        side: Pixels of the longest side to which frames are reduced.
        kept_out: Places that are not read.
        with_people: Whether clips of people are read.

    Returns:
        The scenes in the order of the index.

    Raises:
        DataError: If the index lacks a column, or names a file that cannot be read.
    """
    kept_out = set(kept_out)
    scenes = []
    with (folder / INDEX).open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if missing := {"file", "note"} - set(table.fieldnames or ()):
            raise DataError(f"{folder / INDEX} has no column '{min(missing)}'; add it.")
        rows = list(table)
    for row in rows:
        path = folder / row["file"]
        place = _place_of(path, row["note"])
        is_clip = path.suffix != ".jpg"
        if place in kept_out or (is_clip and not with_people):
            continue
        bgr_frames = _frames_of(path)[::PEOPLE_STEP] if is_clip else _picture_of(path)
        if not bgr_frames:
            raise DataError(
                f"{path}, which {folder / INDEX} names, is missing or cannot be read; put the file "
                "there, or remove its line."
            )
        frames = [np.ascontiguousarray(reduced(bgr, side)[..., ::-1]) for bgr in bgr_frames]
        scenes.append(Scene(place, frames))
    return scenes


def _place_of(path: Path, note: str) -> str:
    """Finds the place of a picture: each photograph is its own, and all views of a room share one."""
    if person := re.search(r"person (\w)", note):
        return f"person {person[1]}"
    return path.stem if path.stem.startswith("aws_") else path.stem.rpartition("_")[0]


def _picture_of(path: Path) -> list[np.ndarray]:
    """Reads a picture as a list of one frame; the list is empty if it cannot be read."""
    bgr = load_opencv().imread(str(path))
    return [] if bgr is None else [bgr]


def _frames_of(path: Path) -> list[np.ndarray]:
    """Reads the frames of a video; the list is empty if it cannot be read."""
    capture = load_opencv().VideoCapture(str(path))
    frames: list[np.ndarray] = []
    while True:
        is_read, bgr = capture.read()
        if not is_read:
            capture.release()
            return frames
        frames.append(bgr)
