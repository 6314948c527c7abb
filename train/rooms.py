"""Makes tiles of pictures of rooms without a garment, from which the network learns to be unsure.

The segmenter finds no garment in most of these pictures, and the device then asks no network. Where it finds
one by mistake, the answer should be "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.edge.callbacks import OnProgress, ignore_progress
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.files import is_file
from garmentlite.edge.pictures import MAX_SIDE, Picture
from garmentlite.edge.preparation import TILE, preparations
from garmentlite.train import held_up, photo_variants
from garmentlite.train.data import SPLIT_SEED
from garmentlite.train.scenes import INDEX, read_scenes

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter

VIEWS = 40  # random parts of each picture, in another light, beside the picture itself
_PART_SIZES_WH = ((320, 240), (240, 240), (240, 320))  # pixels
_LARGEST_ZOOM = 2.5


@dataclass(frozen=True)
class Rooms:
    """Pictures of rooms and parts of them in which the segmenter finds a garment by mistake, K of them.

    Attributes:
        tiles_u8: uint8, shape (K, 28, 28), the tiles that the device makes.
        second_u8: uint8, shape (K, 28, 28), the tiles that the device makes with the segmenter's second mask.
        second_found: Whether the second mask shows a garment too, bool, shape (K,).
        is_whole: Whether it is a whole picture, and not a part of one in another light, bool, shape (K,).
        is_held_out: Whether the room is held out, bool, shape (K,).
        pictures_held_out: Number of whole pictures of the rooms that are held out, with those in which no
            garment is found.
    """

    tiles_u8: np.ndarray
    second_u8: np.ndarray
    second_found: np.ndarray
    is_whole: np.ndarray
    is_held_out: np.ndarray
    pictures_held_out: int

    @property
    def training_u8(self) -> np.ndarray:
        """The tiles of both masks of the rooms that are trained on, uint8, shape (O, 28, 28)."""
        trains = ~self.is_held_out
        return np.concatenate([self.tiles_u8[trains], self.second_u8[trains & self.second_found]])


def no_rooms() -> Rooms:
    """Makes an empty set."""
    tiles, nothing = np.zeros((0, TILE, TILE), np.uint8), np.zeros(0, bool)
    return Rooms(tiles, tiles, nothing, nothing, nothing, 0)


def require_scenes(folder: Path) -> None:
    """Raises OptionError if a folder has no list of scenes."""
    if not is_file(folder / INDEX):
        raise OptionError(
            f"--rooms {folder} has no {INDEX}; name a folder with {INDEX} (columns file and note) and the "
            "pictures that it lists."
        )


def make_rooms(
    folder: Path,
    segmenter: Segmenter,
    seed: int,
    *,
    folds: int = 5,
    fold: int | None = 1,
    on_progress: OnProgress = ignore_progress,
) -> Rooms:
    """Prepares pictures of rooms as the device does, and random parts of them in another light.

    Args:
        folder: A folder of scenes, see `scenes.read_scenes`; scenes with people are left out.
        segmenter: The segmenter that the device uses.
        seed: Seed of the parts.
        folds: Number of parts that the rooms are split into; all pictures of a room stay together.
        fold: The part that is held out, from 1; None to hold none out.
        on_progress: Called with the number of pictures that are done and their total.

    Raises:
        DataError: If the folder shows no room.
    """
    scenes = read_scenes(folder, MAX_SIDE, with_people=False)
    if not scenes:
        raise DataError(f"{folder / INDEX} names no picture of a room; leave --rooms out.")
    fold_of = folds_of_places({scene.place for scene in scenes}, folds)
    tiles, second, second_found, is_whole, is_held_out = [], [], [], [], []
    pictures_held_out = 0
    for number, scene in enumerate(scenes, start=1):
        is_out = fold is not None and fold_of[scene.place] == fold - 1
        for rgb in scene.frames:
            pictures_held_out += is_out
            rng = np.random.default_rng([seed, number])
            parts = [_part(rgb, rng) for _ in range(VIEWS)]
            for place, part in enumerate([rgb, *parts]):
                ways = preparations(Picture.from_bgr(part[..., ::-1]), segmenter)
                first = next(ways)
                if first.image_u8 is None:
                    continue
                other = next(ways, first)
                tiles.append(first.image_u8)
                second.append(
                    np.zeros_like(first.image_u8) if other.image_u8 is None else other.image_u8
                )
                second_found.append(other.image_u8 is not None)
                is_whole.append(place == 0)
                is_held_out.append(is_out)
        on_progress(number, len(scenes))
    return Rooms(
        tiles_u8=np.array(tiles, np.uint8).reshape(-1, TILE, TILE),
        second_u8=np.array(second, np.uint8).reshape(-1, TILE, TILE),
        second_found=np.array(second_found, bool),
        is_whole=np.array(is_whole, bool),
        is_held_out=np.array(is_held_out, bool),
        pictures_held_out=pictures_held_out,
    )


def folds_of_places(places: Iterable[str], folds: int) -> dict[str, int]:
    """Assigns each room to a fold, in [0, folds); the same for every run."""
    ordered = sorted(places)
    shuffled = np.random.default_rng(SPLIT_SEED).permutation(len(ordered))
    return {ordered[place]: number % folds for number, place in enumerate(shuffled)}


def _part(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cuts a random part out of a picture and changes its light; uint8, shape (H, W, 3)."""
    size_wh = _PART_SIZES_WH[rng.integers(len(_PART_SIZES_WH))]
    part = held_up.crop(rgb, size_wh, rng, _LARGEST_ZOOM)
    return photo_variants.exposed(np.rint(part).astype(np.uint8), rng)
