"""Makes tiles (28x28 images) of photographs, as the device does, and variants of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge import shipped
from garmentlite.edge.callbacks import OnProgress, Say, ignore_progress, say_nothing
from garmentlite.edge.errors import PictureError
from garmentlite.edge.files import sha256
from garmentlite.edge.npz import read_npz, write_npz
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import (
    PREPARATION,
    TILE,
    fit_to_tile,
    preparations,
    prepare,
    why_no_garment,
)
from garmentlite.edge.segmenters.interface import AlternativeSegmenter
from garmentlite.edge.segmenters.network_file import FILE
from garmentlite.train import empty_scenes, held_variants, photo_variants
from garmentlite.train.collection import LabelledPhoto
from garmentlite.train.held_variants import Backgrounds, held_up_picture, whole_garment
from garmentlite.train.older_files import read_0_1_0

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter

# Number of variants of each photograph, beside the tiles that the device makes, how many of these variants
# are segmented anew, and the number of further variants, with scenes, in which the garment is held up.
VARIANTS, RESEGMENTED, HELD_UP = 14, 6, 6
# Such a mask is used if its intersection over union with the garment is at least this; otherwise the
# segmenter has found something else.
LEAST_OVERLAP = 0.6
# Pieces of the background around each garment. The device finds no garment in most of them.
GROUNDS = 3
GROUNDS_VERSION = 1  # of `empty_scenes.around`; raised whenever it cuts out other pieces

_PURPOSE = "cache of prepared photographs"
_SAVE_EVERY_S = 60


@dataclass(frozen=True)
class Tiles:
    """The tiles of a collection of N photographs.

    Where an array of booleans says that there is no tile, its pixels are 0 and mean nothing.

    Attributes:
        tiles_u8: uint8, shape (N, V, 28, 28); the first of each photograph is the tile that the device
            makes, the others are variants.
        second_u8: uint8, shape (N, 28, 28), the tile that the device makes with the segmenter's second
            mask; the first tile again if the segmenter has only one mask.
        grounds_u8: uint8, shape (N, GROUNDS, 28, 28), the tiles that the device makes of pieces of the
            background around the garment.
        readable: Whether the file is a picture, bool, shape (N,).
        found: Whether a garment was found in the photograph, bool, shape (N,).
        second_found: Whether the second mask shows a garment, bool, shape (N,).
        grounds_found: Whether a garment was found in the piece of background, bool, shape (N, GROUNDS).
    """

    tiles_u8: np.ndarray
    second_u8: np.ndarray
    grounds_u8: np.ndarray
    readable: np.ndarray
    found: np.ndarray
    second_found: np.ndarray
    grounds_found: np.ndarray

    def grounds_taken_for_garments(self, chosen: np.ndarray) -> np.ndarray:
        """Collects tiles of background in which a garment was found by mistake.

        Args:
            chosen: The photographs to use, bool, shape (N,).

        Returns:
            uint8, shape (K, 28, 28).
        """
        return self.grounds_u8[chosen][self.grounds_found[chosen]]


@dataclass(frozen=True)
class _PhotoTiles:
    """The tiles of one photograph in a row: the device's, the variants, the second mask's, the grounds'.

    Attributes:
        tiles_u8: uint8, shape (T, 28, 28).
        is_made: Whether there is such a tile, bool, shape (T,).
    """

    tiles_u8: np.ndarray
    is_made: np.ndarray


def make_tiles(
    photos: Sequence[LabelledPhoto],
    checksums: Sequence[str],
    segmenter: Segmenter,
    seed: int,
    *,
    variants: int = VARIANTS,
    backgrounds: Backgrounds | None = None,
    cache: Path | None = None,
    warn: Say = say_nothing,
    on_progress: OnProgress = ignore_progress,
) -> Tiles:
    """Prepares every photograph, makes variants of it from its mask, and prepares pieces of background.

    The tiles of a photograph depend on its bytes, the segmenter, the backgrounds and the seed alone, whatever
    else is in the collection.

    Args:
        photos: A collection, N photographs.
        checksums: SHA-256 of each file.
        segmenter: The segmenter that the device uses.
        seed: Seed of the variants and of the pieces of background.
        variants: Number of variants of each photograph.
        backgrounds: Scenes before which its garment is held up in `HELD_UP` further variants.
        cache: File in which finished tiles are kept and found again, 784 bytes for each tile.
        warn: Called with a sentence for each file that is not a picture, and for a cache that is out of date.
        on_progress: Called with the number of photographs that are done and their total.

    Raises:
        DataError: If the cache cannot be read.
        MissingPartError: If OpenCV is needed and not installed.
    """
    about = _about(segmenter, seed, variants, backgrounds)
    if backgrounds:
        variants += HELD_UP
    known = _read_cache(cache, about, warn) if cache and cache.exists() else {}
    saved_count, saved = len(known), time.monotonic()
    readable = np.ones(len(photos), bool)
    try:
        for number, (photo, checksum) in enumerate(zip(photos, checksums, strict=True), start=1):
            if checksum not in known:
                rng = np.random.default_rng([seed, int(checksum, 16)])
                try:
                    known[checksum] = _tiles_of(photo.path, segmenter, variants, backgrounds, rng)
                except PictureError as error:
                    warn(str(error))
                    readable[number - 1] = False
            if cache and len(known) > saved_count and time.monotonic() - saved > _SAVE_EVERY_S:
                _write_cache(cache, about, known)
                saved_count, saved = len(known), time.monotonic()
            on_progress(number, len(photos))
    finally:  # Ctrl-C loses nothing
        if cache and len(known) > saved_count:
            _write_cache(cache, about, known)
    rows = [known.get(checksum, _no_tiles(variants)) for checksum in checksums]
    tiles_u8 = np.array([row.tiles_u8 for row in rows], np.uint8)
    tiles_u8 = tiles_u8.reshape(-1, _count(variants), TILE, TILE)
    is_made = np.array([row.is_made for row in rows], bool).reshape(-1, _count(variants))
    second = 1 + variants
    return Tiles(
        tiles_u8=tiles_u8[:, :second],
        second_u8=tiles_u8[:, second],
        grounds_u8=tiles_u8[:, second + 1 :],
        readable=readable,
        found=is_made[:, 0],
        second_found=is_made[:, second],
        grounds_found=is_made[:, second + 1 :],
    )


def _count(variants: int) -> int:
    """Computes the number of tiles of a photograph."""
    return 1 + variants + 1 + GROUNDS


def _no_tiles(variants: int) -> _PhotoTiles:
    shape = (_count(variants), TILE, TILE)
    return _PhotoTiles(np.zeros(shape, np.uint8), np.zeros(shape[0], bool))


def _tiles_of(
    path: Path,
    segmenter: Segmenter,
    variants: int,
    backgrounds: Backgrounds | None,
    rng: np.random.Generator,
) -> _PhotoTiles:
    """Makes the tiles of one photograph."""
    made, second = _no_tiles(variants), 1 + variants

    def put(place: int | slice, image_u8: np.ndarray | None) -> None:
        made.is_made[place] = image_u8 is not None
        made.tiles_u8[place] = 0 if image_u8 is None else image_u8

    picture = read_picture(path)
    ways = preparations(picture, segmenter)
    prepared = next(ways)
    put(slice(0, second + 1), prepared.image_u8)
    if prepared.image_u8 is None or prepared.mask is None:
        # No garment was found, or the picture has the form of the training images already.
        return made
    rgb, mask = picture.rgb, _of_shape(prepared.mask, picture.rgb.shape)
    of_variants = _variants_of(rgb, mask, segmenter, variants, backgrounds, rng)
    for number, variant in enumerate(of_variants, start=1):
        put(number, variant)
    other = next(ways, None)
    if other is not None:
        put(second, other.image_u8)
    grounds = empty_scenes.around(rgb, mask, rng, GROUNDS)
    for number, ground in enumerate(grounds, start=second + 1):
        put(number, prepare(ground, segmenter).image_u8)
    return made


def _variants_of(
    rgb: np.ndarray,
    mask: np.ndarray,
    segmenter: Segmenter,
    count: int,
    backgrounds: Backgrounds | None,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yields the tiles of variants of a photograph; the last `HELD_UP` are held up before the backgrounds."""
    held_up = HELD_UP if backgrounds else 0
    for number in range(1, count - held_up + 1):
        take = None
        if number <= min(RESEGMENTED, (count - held_up) // 2):
            taken = photo_variants.another_picture(rgb, mask, rng)
            take = _resegmented(*taken, segmenter, is_second=number % 2 == 0)
        yield fit_to_tile(*take or photo_variants.another_take(rgb, mask, rng))
    if backgrounds:
        rng = rng.spawn(1)[0]  # so that all other tiles are the same as without backgrounds
        rgba = whole_garment(rgb, mask)
        for number in range(HELD_UP):
            take = None if rgba is None else held_up_picture(rgba, backgrounds, rng)
            if take:
                take = _resegmented(*take, segmenter, is_second=number % 3 == 2)
            yield fit_to_tile(*take or photo_variants.another_take(rgb, mask, rng))


def _of_shape(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Brings a mask, which refers to the picture in its own size, to the size at which it was recognized."""
    size_wh = (shape[1], shape[0])
    levels = mask.astype(np.uint8)
    cv2 = load_opencv()
    resized = cv2.resize(levels, size_wh, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized > 0)


def _resegmented(
    rgb: np.ndarray, garment: np.ndarray, segmenter: Segmenter, *, is_second: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """Segments another picture of a garment; None if another thing is found there.

    Args:
        rgb: uint8, shape (H, W, 3).
        garment: bool, shape (H, W), True on the garment.
        segmenter: The segmenter that the device uses.
        is_second: Whether the segmenter's second mask is used, if it has one.
    """
    masks = iter([segmenter.segment(rgb)])
    if isinstance(segmenter, AlternativeSegmenter):
        masks = segmenter.candidate_masks(rgb)
    found = next(masks)
    if is_second:
        found = next(masks, found)
    union = np.count_nonzero(found | garment)
    overlap = np.count_nonzero(found & garment) / union if union else 0.0
    return None if overlap < LEAST_OVERLAP or why_no_garment(found) else (rgb, found)


def _about(
    segmenter: Segmenter, seed: int, variants: int, backgrounds: Backgrounds | None
) -> dict[str, Any]:
    """States everything that the tiles of a photograph depend on, beside its bytes."""
    model = shipped.FOLDER / FILE
    held_up: dict[str, Any] = {"count": 0}
    if backgrounds:
        held_up = {
            "count": HELD_UP,
            "version": held_variants.VERSION,
            "backgrounds_sha256": backgrounds.sha256,
        }
    return {
        "preparation": PREPARATION,
        "segmenter": {"name": segmenter.name, "version": segmenter.version},
        "segmenter_sha256": sha256(model.read_bytes()) if model.is_file() else "",
        "variants": {
            "count": variants,
            "version": photo_variants.VERSION,
            "resegmented": RESEGMENTED,
            "least_overlap": LEAST_OVERLAP,
        },
        "held_up": held_up,
        "grounds": {"count": GROUNDS, "version": GROUNDS_VERSION},
        "seed": seed,
    }


def _read_cache(path: Path, about: dict[str, Any], warn: Say) -> dict[str, _PhotoTiles]:
    """Reads tiles by the checksum of their photograph; none if they were made in another way."""
    if read_0_1_0(path, "tiles") is None:
        archive = read_npz(path, _PURPOSE, "delete it, and the photographs are prepared again")
        if {name: archive.about.get(name) for name in about} == about:
            rows = map(_PhotoTiles, archive.arrays["tiles"], archive.arrays["is_made"])
            return dict(zip(archive.about["checksums"], rows, strict=True))
    warn(
        f"The images in {path} were prepared with other options or by another version of garmentlite; all "
        "photographs are prepared again."
    )
    return {}


def _write_cache(path: Path, about: dict[str, Any], known: dict[str, _PhotoTiles]) -> None:
    arrays = {
        "tiles": np.stack([one.tiles_u8 for one in known.values()]),
        "is_made": np.stack([one.is_made for one in known.values()]),
    }
    write_npz(path, _PURPOSE, about | {"checksums": list(known)}, arrays)
