"""Chooses the photographs that a network is trained and validated on, and how often each is shown.

They are used together with Fashion-MNIST, or alone where their labels are other classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from garmentlite.edge import preparation
from garmentlite.edge.errors import DataError
from garmentlite.edge.preparation import TILE
from garmentlite.train import photo_variants
from garmentlite.train.class_weights import balanced
from garmentlite.train.collection import Collection
from garmentlite.train.rooms import Rooms, no_rooms
from garmentlite.train.tiles import Tiles

# Together with Fashion-MNIST: an epoch shows at most `MOST_BESIDE` of its images, other ones in every epoch;
# photographs are repeated until they are `PHOTO_SHARE` of the epoch, but at most `MOST_REPEATS` times.
MOST_BESIDE, PHOTO_SHARE, MOST_REPEATS = 18_000, 0.45, 30

# Alone, photographs are repeated to about this many images an epoch, which makes thirty steps.
IMAGES_ALONE = 4000

# Images that belong to no class, as a share of the photographs of an epoch, and the factor of their loss:
# the network learns to be unsure of them (outlier exposure, Hendrycks et al. 2019, arXiv 1812.04606).
OUTLIER_SHARE, OUTLIER_FACTOR = 0.375, 0.5


@dataclass(frozen=True)
class PhotoSet:
    """Photographs to train and validate on.

    Attributes:
        tiles_u8: Tiles of the training photographs, uint8, shape (P, V, 28, 28); the first of each is the
            one that the device makes, the last is that of the segmenter's second mask (the first again if
            it shows no garment), the others are variants.
        y: Number of the group of each training photograph, int64, shape (P,).
        photo_factors: Factor of the loss of each training photograph by its flags, float32, shape (P,); its
            mean over the photographs of a group is 1.
        validation_u8: Tiles of the held-out photographs as the device makes them, uint8, shape
            (M, 28, 28); M may be 0.
        y_validation: Number of the group of each, int64, shape (M,).
        accepted_validation: The classes that a careful person accepts for each, bool, shape (M, C).
        missed: Number of held-out photographs of each group in which no garment was found, int64,
            shape (G,); each counts as a wrong answer.
        groups: The labels of the photographs, G names.
        members: The classes that each group stands for, bool, shape (G, C).
        factors: Factor of the loss by group, float32, shape (G,).
        outliers_u8: Tiles of things that belong to no class, uint8, shape (O, 28, 28); O may be 0.
        outlier_kinds: What each of them is made from, shape (O,); every kind is shown as often.
        repeats: How often each photograph is shown in an epoch.
        beside: Maximum number of images of Fashion-MNIST in an epoch.
        alone: Whether the run uses no Fashion-MNIST.
    """

    tiles_u8: np.ndarray
    y: np.ndarray
    photo_factors: np.ndarray
    validation_u8: np.ndarray
    y_validation: np.ndarray
    accepted_validation: np.ndarray
    missed: np.ndarray
    groups: tuple[str, ...]
    members: np.ndarray
    factors: np.ndarray
    outliers_u8: np.ndarray
    outlier_kinds: np.ndarray
    repeats: int
    beside: int
    alone: bool

    @property
    def clean_u8(self) -> np.ndarray:
        """The training photographs as the device makes their tiles, uint8, shape (P, 28, 28)."""
        return self.tiles_u8[:, 0]

    @property
    def outliers_shown(self) -> int:
        """How many outliers an epoch shows."""
        shown = round(OUTLIER_SHARE * self.repeats * len(self.y))
        return shown if len(self.outliers_u8) else 0

    @property
    def sha256(self) -> str:
        """Checksum of everything that training sees of the photographs."""
        arrays = [self.tiles_u8, self.y, self.photo_factors, self.validation_u8]
        arrays += [self.y_validation, self.accepted_validation, self.members, self.outliers_u8]
        arrays.append(self.outlier_kinds)
        digest = hashlib.sha256(f"{self.repeats} {self.beside}".encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Takes `count` training tiles at most, uint8, shape (K, 28, 28): clean ones first, then variants."""
        rng = np.random.default_rng(seed)
        some = [
            rng.permutation(self.clean_u8),
            rng.permutation(np.concatenate(self.tiles_u8[:, 1:])),
        ]
        return np.concatenate(some)[:count]


def make_set(
    collection: Collection, tiles: Tiles, other_images: int, rooms: Rooms | None = None
) -> PhotoSet:
    """Chooses what a network is trained and validated on.

    Args:
        collection: N photographs.
        tiles: Their tiles.
        other_images: Number of training images of Fashion-MNIST; 0 for a run without it.
        rooms: Pictures of rooms without a garment.

    Raises:
        DataError: If no photograph is left to train on.
    """
    labelling, is_held_out = collection.labelling, collection.is_held_out
    is_labelled = (labelling.y >= 0) & tiles.readable
    trains = is_labelled & tiles.found & ~is_held_out
    validates = is_labelled & tiles.found & is_held_out
    missed = is_labelled & ~tiles.found & is_held_out
    count = int(trains.sum())
    if not count:
        raise DataError(
            f"No photograph is left to train on: of {int(is_labelled.sum()):,} that can be read and have a "
            f"label, {int((is_labelled & is_held_out).sum()):,} are held out, and in "
            f"{int((is_labelled & ~is_held_out & ~tiles.found).sum()):,} others no garment was found; take "
            "more photographs, or try another segmenter with --segment."
        )
    beside, repeats = min(other_images, MOST_BESIDE), IMAGES_ALONE / count
    factors = np.ones(len(labelling.groups))
    if other_images:
        # How many photographs of a class there are does not tell how often the camera will see it: as in
        # Fashion-MNIST, all labels count alike. (Alone, that is left to the weights of the classes.)
        factors = balanced(labelling.y[trains], len(labelling.groups))
        repeats = min(MOST_REPEATS, beside * PHOTO_SHARE / (1 - PHOTO_SHARE) / count)
    outliers = _outliers(collection, tiles, rooms or no_rooms())
    return PhotoSet(
        tiles_u8=_all_tiles(tiles)[trains],
        y=labelling.y[trains],
        photo_factors=_photo_factors(collection, trains),
        validation_u8=tiles.tiles_u8[validates, 0],
        y_validation=labelling.y[validates],
        accepted_validation=labelling.accepted[validates],
        missed=np.bincount(labelling.y[missed], minlength=len(labelling.groups)),
        groups=labelling.groups,
        members=labelling.members,
        factors=factors.astype(np.float32),
        outliers_u8=np.concatenate(outliers),
        outlier_kinds=np.repeat(np.arange(len(outliers)), [len(one) for one in outliers]),
        repeats=max(1, round(repeats)),
        beside=beside,
        alone=labelling.own,
    )


def _all_tiles(tiles: Tiles) -> np.ndarray:
    """Puts the tile of the second mask after the variants: uint8, shape (N, V + 1, 28, 28)."""
    is_found = tiles.second_found[:, np.newaxis, np.newaxis]
    last = np.where(is_found, tiles.second_u8, tiles.tiles_u8[:, 0])
    return np.concatenate([tiles.tiles_u8, last[:, np.newaxis]], axis=1)


def _photo_factors(collection: Collection, trains: np.ndarray) -> np.ndarray:
    """Computes the factor of each training photograph by its flags, float32, shape (P,).

    Args:
        collection: N photographs.
        trains: Whether a photograph is trained on, bool, shape (N,).
    """
    factors, y = collection.factors[trains], collection.labelling.y[trains]
    means = np.bincount(y, factors) / np.maximum(np.bincount(y), 1)
    return (factors / means[y]).astype(np.float32)


def _outliers(collection: Collection, tiles: Tiles, rooms: Rooms) -> list[np.ndarray]:
    """Collects tiles that show none of the classes: of photographs, background and rooms.

    Returns:
        Three arrays, uint8, shape (O, 28, 28).
    """
    trains, labelling = tiles.readable & ~collection.is_held_out, collection.labelling
    is_other = (labelling.y < 0) & ~labelling.accepted.any(axis=1)
    others = tiles.tiles_u8[trains & tiles.found & is_other]
    of_photographs = others.reshape(-1, TILE, TILE)
    return [of_photographs, tiles.grounds_taken_for_garments(trains), rooms.training_u8]


def facts(collection: Collection, tiles: Tiles, photos: PhotoSet) -> dict[str, Any]:
    """Collects what config.json states about the photographs of a run."""
    labelling = collection.labelling
    is_labelled = (labelling.y >= 0) & tiles.readable
    return {
        "photographs": len(collection.photos),
        "contributors": len({photo.contributor for photo in collection.photos} - {""}),
        "unreadable": int((~tiles.readable).sum()),
        "other_labels": int((labelling.y < 0).sum()),
        "training": len(photos.y),
        "training_without_garment": int(
            (is_labelled & ~tiles.found & ~collection.is_held_out).sum()
        ),
        "held_out": len(photos.y_validation) + int(photos.missed.sum()),
        "held_out_without_garment": int(photos.missed.sum()),
        "groups": {
            group: [labelling.classes[i] for i in np.flatnonzero(labelling.members[row])]
            for row, group in enumerate(labelling.groups)
        },
        "training_by_group": {
            group: int((photos.y == row).sum()) for row, group in enumerate(photos.groups)
        },
        "repeats": photos.repeats,
        "outliers": len(photos.outliers_u8),
        "outliers_an_epoch": photos.outliers_shown,
        "variants": tiles.tiles_u8.shape[1] - 1,
        "camera": photo_variants.VERSION,
        "preparation": preparation.PREPARATION,
    }


def facts_in_words(about: dict[str, Any]) -> str:
    """Says the same in sentences.

    Args:
        about: The document of `facts`, with the `folds`, the `fold` and the `split_by` of the request.
    """
    none = about["training_without_garment"] + about["held_out_without_garment"]
    where = "no fold" if about["fold"] is None else f"fold {about['fold']} of {about['folds']}"
    if about["split_by"] and about["fold"] is not None:
        where += f", no {about['split_by']} is both trained on and held out"
    elif about["fold"] is not None:
        where += (
            ", split at random: if somebody took several photographs, some are trained on and some held out, "
            "and the figures are too good; --split-by names the column of contributors"
        )
    unseen = [group for group, count in about["training_by_group"].items() if not count]
    unreadable = about["unreadable"]
    not_read = f" {unreadable:,} could not be read and are left out." if unreadable else ""
    warning = f" No training photograph shows {', '.join(unseen)}!" if unseen else ""
    return (
        f"{about['training']:,} photographs are trained on in {about['variants'] + 1} variants, each "
        f"{about['repeats']} times an epoch; {about['held_out']:,} are held out ({where}). In {none:,} no "
        f"garment was found: these are not trained on, and count as wrong if they are held out.{not_read}"
        f"{warning}"
    )
