"""Writes and reads photos.npz, the tiles of a run's photographs, and writes held_out.csv, a list of files.

`cli convert` takes the images from photos.npz with which it chooses between int8 files and calibrates the
confidence. held_out.csv lists, for `cli verify --photos`, the photographs that were not trained on, could be
read and have a single class as their label.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.errors import DataError
from garmentlite.edge.files import write_text
from garmentlite.edge.npz import read_npz, write_npz
from garmentlite.train import runs
from garmentlite.train.collection import Collection
from garmentlite.train.older_files import read_0_1_0
from garmentlite.train.rooms import Rooms, no_rooms
from garmentlite.train.tiles import Tiles

_PURPOSE = "set of photographs"
_ROOM = "room_"  # begins the names of the arrays of rooms


@dataclass(frozen=True)
class StoredPhotos:
    """The photographs of a run as photos.npz holds them.

    Attributes:
        tiles: Their tiles; only the first of each where the variants are not needed again.
        rooms: Pictures of rooms without a garment; empty if the run has none.
        y: Number of each photograph's group, int64, shape (N,); -1 if its label is not a group.
        accepted: The classes that a careful person accepts for each photograph, bool, shape (N, C).
        is_held_out: Whether a photograph was not trained on, bool, shape (N,).
        members: The classes that each group stands for, bool, shape (G, C).
        groups: Names of the groups.
        files: Name of each photograph below the folder or beside the table.
    """

    tiles: Tiles
    rooms: Rooms
    y: np.ndarray
    accepted: np.ndarray
    is_held_out: np.ndarray
    members: np.ndarray
    groups: tuple[str, ...]
    files: tuple[str, ...]


def write_photos(
    folder: Path,
    collection: Collection,
    tiles: Tiles,
    rooms: Rooms | None = None,
    *,
    variants: bool,
) -> None:
    """Writes photos.npz and held_out.csv.

    Args:
        folder: Folder of the run.
        collection: N photographs.
        tiles: Their tiles.
        rooms: Pictures of rooms without a garment.
        variants: Whether all variants are kept, or only the tile that the device makes.
    """
    labelling = collection.labelling
    arrays = {
        **vars(tiles),
        "tiles_u8": tiles.tiles_u8 if variants else tiles.tiles_u8[:, :1],
        "y": labelling.y,
        "accepted": labelling.accepted,
        "is_held_out": collection.is_held_out,
        "members": labelling.members,
    }
    rooms = rooms or no_rooms()
    arrays |= {f"{_ROOM}{name}": np.asarray(value) for name, value in vars(rooms).items()}
    about = {"groups": labelling.groups, "files": [photo.name for photo in collection.photos]}
    write_npz(folder / runs.PHOTOS, _PURPOSE, about, arrays, compress=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label"])
    is_class = labelling.members.sum(axis=1) == 1
    for place in np.flatnonzero(collection.is_held_out & tiles.readable & (labelling.y >= 0)):
        if is_class[labelling.y[place]]:
            label = labelling.groups[labelling.y[place]]
            writer.writerow([collection.photos[place].path.resolve(), label])
    write_text(folder / runs.HELD_OUT, text.getvalue())


def read_photos(folder: Path) -> StoredPhotos:
    """Reads photos.npz.

    Raises:
        DataError: If it is missing or broken.
    """
    path, way_out = folder / runs.PHOTOS, "train the run again, or name pictures with --calibration"
    older = read_0_1_0(path, "tiles_u8")
    try:
        if older is not None:
            return _photos_of_0_1_0(older)
        archive = read_npz(path, _PURPOSE, way_out)
        arrays, about = dict(archive.arrays), archive.about
        of_rooms = {
            name.removeprefix(_ROOM): arrays.pop(name)
            for name in list(arrays)
            if name.startswith(_ROOM)
        }
        pictures_held_out = int(of_rooms.pop("pictures_held_out"))
        return StoredPhotos(
            y=arrays.pop("y"),
            accepted=arrays.pop("accepted"),
            is_held_out=arrays.pop("is_held_out"),
            members=arrays.pop("members"),
            groups=tuple(about["groups"]),
            files=tuple(about["files"]),
            rooms=Rooms(**of_rooms, pictures_held_out=pictures_held_out),
            tiles=Tiles(**arrays),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path} cannot be read ({error!r}); {way_out}.") from error


def _photos_of_0_1_0(stored: dict[str, np.ndarray]) -> StoredPhotos:
    """Reads photographs that version 0.1.0 wrote, in which a tile of zeros means that there is none."""
    tiles_u8 = stored["tiles_u8"]
    # The first runs of that version had no second masks and no pieces of background.
    second_u8 = stored.get("second_u8", tiles_u8[:, 0])
    grounds_u8 = stored.get("grounds_u8", tiles_u8[:, :0])
    found, y, members = stored["found"], stored["y"], stored["members"]
    tiles = Tiles(
        tiles_u8=tiles_u8,
        second_u8=second_u8,
        grounds_u8=grounds_u8,
        readable=np.ones(len(tiles_u8), bool),  # not stored, and not needed after training
        found=found,
        second_found=np.asarray(second_u8.any(axis=(1, 2))),
        grounds_found=np.asarray(grounds_u8.any(axis=(2, 3))),
    )
    return StoredPhotos(
        tiles=tiles,
        rooms=no_rooms(),
        y=y,
        accepted=np.where(y[:, np.newaxis] >= 0, members[y], False),
        is_held_out=stored["is_held_out"],
        members=members,
        groups=tuple(stored["groups"].tolist()),
        files=tuple(stored["files"].tolist()),
    )
