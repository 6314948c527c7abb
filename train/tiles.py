"""Photographs as 28x28 images: each prepared as the device does, and as other takes would have come out."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.edge import preparation, shipped
from garmentlite.edge.errors import DataError, PictureError
from garmentlite.edge.files import write_bytes
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import TILE, fit_to_tile, preparations, prepare
from garmentlite.train import camera, empty_scenes
from garmentlite.train.photo_set import LabelledPhoto, Say

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter

VARIANTS = 8  # of each photograph, beside the tile that the device makes
# Pieces of the ground around each garment; of most, the device says that there is no garment.
GROUNDS = 3

_SAVE_EVERY_S = 60

# Called with the number of photographs done and of all.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Tiles:
    """Every photograph of a collection as 28x28 images.

    Attributes:
        tiles_u8: uint8, shape (N, V, 28, 28); the first of each as the device makes it, the others as of
            other takes. All 0 where there is none.
        second_u8: uint8, shape (N, 28, 28), what the device makes of each by the mask of its second
            opinion, or once more by the first where it has no other; all 0 where that finds no garment.
        grounds_u8: uint8, shape (N, GROUNDS, 28, 28), what the device makes of pieces of the ground; all 0
            where it says that there is no garment.
        readable: bool, shape (N,), whether the file is a picture.
    """

    tiles_u8: np.ndarray
    second_u8: np.ndarray
    grounds_u8: np.ndarray
    readable: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """Whether a garment was found: bool, shape (N,)."""
        return np.any(self.tiles_u8, axis=(1, 2, 3))

    def empty_u8(self, chosen: np.ndarray) -> np.ndarray:
        """What is taken for a garment where there is none, of some photographs: uint8, shape (K, 28, 28)."""
        grounds = self.grounds_u8[chosen].reshape(-1, TILE, TILE)
        return grounds[np.any(grounds, axis=(1, 2))]


def make_tiles(
    photos: Sequence[LabelledPhoto],
    checksums: Sequence[str],
    segmenter: Segmenter,
    seed: int,
    *,
    variants: int = VARIANTS,
    cache: Path | None = None,
    warn: Say = lambda sentence: None,
    on_progress: OnProgress = lambda done, of: None,
) -> Tiles:
    """Prepares every photograph once, `variants` more times from its mask, and pieces of its ground.

    A photograph's tiles depend on its bytes, the segmenter and the seed alone, whatever else is in the
    collection.

    Args:
        photos: A collection, N photographs.
        checksums: SHA-256 of each file.
        segmenter: The device's.
        seed: Of the variants and pieces.
        variants: How many, beside the tile that the device makes.
        cache: File in which finished tiles are kept and found again, 784 bytes for each tile.
        warn: Called with a sentence for each file that is no picture.
        on_progress: Called with photographs done and all.

    Raises:
        DataError: If the cache cannot be read.
        MissingPartError: If OpenCV is needed and not installed.
    """
    about = _about(segmenter, seed, variants)
    known = _read_cache(cache, about) if cache and cache.exists() else {}
    at_hand, saved = len(known), time.monotonic()
    readable = np.ones(len(photos), bool)
    try:
        for number, (photo, checksum) in enumerate(zip(photos, checksums, strict=True), start=1):
            if checksum not in known:
                rng = np.random.default_rng([seed, int(checksum, 16)])
                try:
                    known[checksum] = _tiles_of(photo.path, segmenter, variants, rng)
                except PictureError as error:
                    warn(str(error))
                    readable[number - 1] = False
            if cache and len(known) > at_hand and time.monotonic() - saved > _SAVE_EVERY_S:
                _write_cache(cache, about, known)
                at_hand, saved = len(known), time.monotonic()
            on_progress(number, len(photos))
    finally:  # Ctrl-C loses nothing
        if cache and len(known) > at_hand:
            _write_cache(cache, about, known)
    none = np.zeros((1 + variants + 1 + GROUNDS, TILE, TILE), np.uint8)
    rows = [known.get(checksum, none) for checksum in checksums]
    stacked = np.stack(rows) if rows else none[:0].reshape(0, *none.shape)
    tiles_u8, rest = stacked[:, : 1 + variants], stacked[:, 1 + variants :]
    return Tiles(tiles_u8, rest[:, 0], rest[:, 1:], readable)


def _tiles_of(
    path: Path, segmenter: Segmenter, variants: int, rng: np.random.Generator
) -> np.ndarray:
    """A photograph's tiles, that of the second opinion, its grounds': uint8, shape (T, 28, 28)."""
    picture = read_picture(path)
    opinions = preparations(picture, segmenter)
    prepared = next(opinions)
    tiles = np.zeros((1 + variants + 1 + GROUNDS, TILE, TILE), np.uint8)
    if prepared.image_u8 is None:
        return tiles
    tiles[: 1 + variants + 1] = prepared.image_u8
    if prepared.mask is None:  # it has the form of the training images already
        return tiles
    for number in range(1, 1 + variants):
        tiles[number] = fit_to_tile(*camera.photographed(picture.rgb, prepared.mask, rng))
    second = next(opinions, None)
    if second is not None:
        tiles[1 + variants] = 0 if second.image_u8 is None else second.image_u8
    grounds = empty_scenes.around(picture.rgb, prepared.mask, rng, GROUNDS)
    for number, ground in enumerate(grounds, start=1 + variants + 1):
        image_u8 = prepare(ground, segmenter).image_u8
        tiles[number] = 0 if image_u8 is None else image_u8
    return tiles


def _about(segmenter: Segmenter, seed: int, variants: int) -> str:
    """What a photograph's tiles depend on, beside its bytes."""
    sources = [Path(str(module.__file__)) for module in (preparation, camera, empty_scenes)]
    sources += sorted(Path(str(preparation.__file__)).parent.glob("segmenters/*.py"))
    digest = hashlib.sha256()
    for path in [*sources, *sorted(shipped.FOLDER.glob("segmenter*.tflite"))]:
        digest.update(path.read_bytes())
    counts = f"{variants} variants, {GROUNDS} grounds"
    return f"{segmenter.name}, seed {seed}, {counts}, code {digest.hexdigest()}"


def _read_cache(path: Path, about: str) -> dict[str, np.ndarray]:
    """Tiles by the checksum of their photograph; none where they were made in another way."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            if str(stored["about"]) != about:
                return {}
            return dict(zip(stored["checksums"].tolist(), stored["tiles"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not what prepared photographs are kept in ({error}); delete it."
        ) from error


def _write_cache(path: Path, about: str, known: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        about=np.array(about),
        checksums=np.array(list(known)),
        tiles=np.stack(list(known.values())),
    )
    write_bytes(path, buffer.getvalue())
