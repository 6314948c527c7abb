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
from garmentlite.train.tiles import Tiles

# Together with Fashion-MNIST: an epoch shows at most `MOST_BESIDE` of its images, other ones in every epoch;
# photographs are repeated until they are `PHOTO_SHARE` of the epoch, but at most `MOST_REPEATS` times.
MOST_BESIDE, PHOTO_SHARE, MOST_REPEATS = 27_000, 1 / 3, 30

IMAGES_ALONE = (
    4000  # alone, photographs are repeated to about this many images an epoch: thirty steps
)

# Images that belong to no class, as a share of the photographs of an epoch, and the factor of their loss:
# the network learns to be unsure of them (outlier exposure, Hendrycks et al. 2019, arXiv 1812.04606).
OUTLIER_SHARE, OUTLIER_FACTOR = 0.25, 0.5


@dataclass(frozen=True)
class PhotoSet:
    """Photographs to train and validate on.

    Attributes:
        tiles_u8: Tiles of the training photographs, uint8, shape (P, V, 28, 28); the first of each is the
            one that the device makes, the others are variants.
        y: Number of the group of each training photograph, int64, shape (P,).
        validation_u8: Tiles of the held-out photographs as the device makes them, uint8, shape
            (M, 28, 28); M may be 0.
        y_validation: Number of the group of each, int64, shape (M,).
        missed: Number of held-out photographs of each group in which no garment was found, int64,
            shape (G,); each counts as a wrong answer.
        groups: The labels of the photographs, G names.
        members: The classes that each group stands for, bool, shape (G, C).
        factors: Factor of the loss by group, float32, shape (G,).
        outliers_u8: Tiles of things that belong to no class, uint8, shape (O, 28, 28); O may be 0.
        repeats: How often each photograph is shown in an epoch.
        beside: Maximum number of images of Fashion-MNIST in an epoch.
        alone: Whether the run uses no Fashion-MNIST.
    """

    tiles_u8: np.ndarray
    y: np.ndarray
    validation_u8: np.ndarray
    y_validation: np.ndarray
    missed: np.ndarray
    groups: tuple[str, ...]
    members: np.ndarray
    factors: np.ndarray
    outliers_u8: np.ndarray
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
        arrays = [self.tiles_u8, self.y, self.validation_u8, self.y_validation, self.members]
        arrays.append(self.outliers_u8)
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


def make_set(collection: Collection, tiles: Tiles, other_images: int) -> PhotoSet:
    """Chooses what a network is trained and validated on.

    Args:
        collection: N photographs.
        tiles: Their tiles.
        other_images: Number of training images of Fashion-MNIST; 0 for a run without it.

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
    return PhotoSet(
        tiles_u8=tiles.tiles_u8[trains],
        y=labelling.y[trains],
        validation_u8=tiles.tiles_u8[validates, 0],
        y_validation=labelling.y[validates],
        missed=np.bincount(labelling.y[missed], minlength=len(labelling.groups)),
        groups=labelling.groups,
        members=labelling.members,
        factors=factors.astype(np.float32),
        outliers_u8=_outliers(collection, tiles),
        repeats=max(1, round(repeats)),
        beside=beside,
        alone=labelling.own,
    )


def _outliers(collection: Collection, tiles: Tiles) -> np.ndarray:
    """Collects tiles of training photographs that show none of the classes: uint8, shape (O, 28, 28)."""
    trains = tiles.readable & ~collection.is_held_out
    others = tiles.tiles_u8[trains & tiles.found & (collection.labelling.y < 0)]
    return np.concatenate(
        [others.reshape(-1, TILE, TILE), tiles.grounds_taken_for_garments(trains)]
    )


def facts(collection: Collection, tiles: Tiles, photos: PhotoSet) -> dict[str, Any]:
    """Collects what config.json states about the photographs of a run."""
    labelling = collection.labelling
    is_labelled = (labelling.y >= 0) & tiles.readable
    return {
        "photographs": len(collection.photos),
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
    unseen = [group for group, count in about["training_by_group"].items() if not count]
    warning = f" No training photograph shows {', '.join(unseen)}!" if unseen else ""
    return (
        f"{about['training']:,} photographs are trained on in {about['variants'] + 1} variants, each "
        f"{about['repeats']} times an epoch; {about['held_out']:,} are held out ({where}). In {none:,} no "
        f"garment was found: these are not trained on, and count as wrong if they are held out.{warning}"
    )
