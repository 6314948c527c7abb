"""Photographs to train on: which, how often, and beside what.

They train a network together with Fashion-MNIST, or alone where their labels are other classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge import preparation
from garmentlite.edge.errors import DataError, ModelError, OptionError
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metrics import defined
from garmentlite.edge.preparation import TILE
from garmentlite.edge.probabilities import log_sum_exp
from garmentlite.train import camera, photo_set
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.class_weights import balanced
from garmentlite.train.photo_set import LabelledPhoto, Labelling, Say
from garmentlite.train.recipe import Recipe
from garmentlite.train.tiles import Tiles

# Together with Fashion-MNIST: how many of its images, others every time, an epoch shows at most, and the
# share of the photographs beside them, as far as none is repeated more often than so many times.
MOST_BESIDE, PHOTO_SHARE, MOST_REPEATS = 27_000, 1 / 3, 30

# Alone, photographs are repeated to so many images an epoch, some thirty steps; weights are averaged over no
# more than that. They are few, and not all labels are right: so much of a label is spread over all classes.
IMAGES_ALONE, AVERAGING_ALONE, SMOOTHING = 4000, 0.97, 0.1
PHOTO_AUGMENTATION = Augmentation(shift=0.05, flip=0.5, erase=0.25)  # for networks that have none

# Images of what is none of the classes, as a share of the photographs of an epoch, and the factor of their
# loss: the network learns to be unsure of them (outlier exposure, Hendrycks et al. 2019, arXiv 1812.04606).
OUTLIER_SHARE, OUTLIER_FACTOR = 0.25, 0.5

# Of weights that were trained before; the rate as a share of the network's own, and the averaging of the
# weights, over some steps of a short run.
ADAPTATION_EPOCHS, ADAPTATION_EPOCHS_ALONE, ADAPTATION_RATE = 5, 20, 0.2
ADAPTATION_AVERAGING = 0.995
START_SHARE = (
    0.05  # of the weights kept: costs nothing on photographs and keeps Fashion-MNIST better
)


@dataclass(frozen=True)
class Collection:
    """Labelled photographs whose files are there, before they are prepared.

    Attributes:
        photos: N photographs.
        checksums: SHA-256 of each file.
        labelling: What their labels mean.
        is_held_out: bool, shape (N,), which validate and are not trained on.
    """

    photos: list[LabelledPhoto]
    checksums: list[str]
    labelling: Labelling
    is_held_out: np.ndarray

    @property
    def y_training(self) -> np.ndarray:
        """Number of the group of each that is trained on, if a garment is found; int64."""
        return self.labelling.y[~self.is_held_out & (self.labelling.y >= 0)]


def read_collection(
    source: Path,
    classes: Sequence[str],
    *,
    label_column: str = photo_set.LABEL_COLUMN,
    contributor_column: str | None = None,
    groups: Sequence[str] = (),
    own_classes: bool = False,
    folds: int = 5,
    fold: int | None = 1,
    say: Say = lambda sentence: None,
) -> Collection:
    """Reads the labels of photographs, and holds a part of the photographs out.

    Args:
        source: Folder or table, see `photo_set.read`.
        classes: Class names that the labels may be.
        label_column: Of a table.
        contributor_column: Of a table; all photographs of one are held out, or none.
        groups: Values of `--group`, see `photo_set.label`.
        own_classes: Whether the labels are the classes, whatever they are called.
        folds: Into how many parts the photographs are dealt.
        fold: Which of them is held out, from 1; None for none.
        say: Called with a sentence on what is used and what is left out.

    Raises:
        DataError: If there are no photographs, or none to train or to validate on.
        OptionError: If an option does not fit the collection.
    """
    if folds < 2 or (fold is not None and not 1 <= fold <= folds):
        raise OptionError(
            f"--fold {fold} of --folds {folds} does not exist; of two folds or more, name one from 1 on."
        )
    photos = photo_set.read(
        source, label_column=label_column, contributor_column=contributor_column, warn=say
    )
    photos, checksums = photo_set.with_files(photos, say)
    if not photos:
        raise DataError(f"None of the photographs that {source} names is there; check the paths.")
    labelling = photo_set.label(photos, classes, groups=groups, own_classes=own_classes, say=say)
    for group, count in enumerate(np.bincount(labelling.y[labelling.y >= 0])):
        if count < photo_set.FEWEST_TO_VALIDATE:
            say(
                f"'{labelling.groups[group]}' has {count} of the photographs: too few to validate (at least "
                f"{photo_set.FEWEST_TO_VALIDATE}); what is measured of it says nothing."
            )
    contributors = [photo.contributor for photo in photos]
    fold_of = photo_set.assign_folds(labelling.y, contributors, checksums, folds)
    is_held_out = np.zeros(len(photos), bool) if fold is None else fold_of == fold - 1
    if fold is not None and not (is_held_out & (labelling.y >= 0)).any():
        raise DataError(
            f"No photograph is held out in fold {fold} of {folds}; take more photographs, fewer --folds, or "
            "--all-photos."
        )
    return Collection(photos, checksums, labelling, is_held_out)


@dataclass(frozen=True)
class PhotoSet:
    """Photographs to train and validate on.

    Attributes:
        tiles_u8: uint8, shape (P, V, 28, 28), to train on; the first of each as the device makes it.
        y: int64, shape (P,), number of each one's group.
        validation_u8: uint8, shape (M, 28, 28), those held out, as the device makes them; M may be 0.
        y_validation: int64, shape (M,).
        missed: int64, shape (G,), how many of each group are held out in which no garment was found: each
            is a wrong answer.
        groups: What photographs are labelled with, G names.
        members: bool, shape (G, C), the classes that each group may be.
        factors: Factor of the loss by group, float32, shape (G,).
        outliers_u8: uint8, shape (O, 28, 28), of what is none of the classes; O may be 0.
        repeats: How often each photograph is seen in an epoch.
        beside: How many images of another data set are, at most.
        alone: Whether there is no other data set.
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
        """Those to train on as the device makes them, uint8, shape (P, 28, 28)."""
        return self.tiles_u8[:, 0]

    @property
    def outliers_shown(self) -> int:
        """How many outliers an epoch shows."""
        shown = round(OUTLIER_SHARE * self.repeats * len(self.y))
        return shown if len(self.outliers_u8) else 0

    @property
    def sha256(self) -> str:
        """Checksum of all that training sees of them."""
        arrays = [self.tiles_u8, self.y, self.validation_u8, self.y_validation, self.members]
        arrays.append(self.outliers_u8)
        digest = hashlib.sha256(f"{self.repeats} {self.beside}".encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Tiles to train on, uint8, shape (at most `count`, 28, 28): clean ones first, then variants."""
        rng = np.random.default_rng(seed)
        some = [
            rng.permutation(self.clean_u8),
            rng.permutation(np.concatenate(self.tiles_u8[:, 1:])),
        ]
        return np.concatenate(some)[:count]


@dataclass(frozen=True)
class PhotoFigures:
    """What a network makes of the photographs held out.

    Attributes:
        loss: Weighted mean of -log of the probability of the group, in nats, where a garment was found.
        accuracy: Share whose answer is a class of the group; where no garment was found, it is not.
        recall: The same by group; None for one without photographs.
        answers: Counts, shape (G, C + 1): row = group, column = class answered, last = no garment.
    """

    loss: float
    accuracy: float
    recall: list[float | None]
    answers: np.ndarray

    def as_document(self, groups: Sequence[str]) -> dict[str, Any]:
        """The same as JSON can hold it."""
        support = self.answers.sum(axis=1)
        known = [recall for recall in self.recall if recall is not None]
        return {
            "images": int(support.sum()),
            "no_garment": int(self.answers[:, -1].sum()),
            "accuracy": self.accuracy,
            "macro_recall": float(np.mean(known)),
            "log_loss": self.loss,
            "per_group": [
                {"label": group, "support": int(support[i]), "recall": self.recall[i]}
                for i, group in enumerate(groups)
            ],
            "answers": self.answers.tolist(),
        }


def measure(
    photos: PhotoSet, logits: np.ndarray, class_weights: np.ndarray | None = None
) -> PhotoFigures:
    """What logits of the photographs held out are worth.

    Args:
        photos: With at least one held out in which a garment was found.
        logits: float32, shape (M, C).
        class_weights: Factors of the loss, shape (C,), beside those of the groups; all 1 where it is None.
    """
    of_class, y = photos.members[photos.y_validation], photos.y_validation
    answers = np.zeros((len(photos.groups), logits.shape[1] + 1), np.int64)
    np.add.at(answers, (y, logits.argmax(axis=1)), 1)
    answers[:, -1] = photos.missed
    right = (answers[:, :-1] * photos.members).sum(axis=1)
    support = answers.sum(axis=1)
    factors = np.ones(logits.shape[1]) if class_weights is None else class_weights
    weights = group_weights(photos, factors)[y]
    return PhotoFigures(
        loss=float(np.average(losses(logits, of_class), weights=weights)),
        accuracy=float(right.sum() / support.sum()),
        recall=[
            defined(hits / count if count else np.nan)
            for hits, count in zip(right.tolist(), support.tolist(), strict=True)
        ],
        answers=answers,
    )


def losses(logits: np.ndarray, members: np.ndarray) -> np.ndarray:
    """-log of the summed probability of some classes; cross entropy where it is one.

    Args:
        logits: Shape (N, C).
        members: bool, shape (N, C), at least one class each.

    Returns:
        float64, shape (N,), in nats.
    """
    logits = logits.astype(np.float64)
    every, some = (
        log_sum_exp(np.where(chosen, logits, -np.inf))
        for chosen in (np.ones_like(members), members)
    )
    return every - some


def group_weights(photos: PhotoSet, class_weights: np.ndarray) -> np.ndarray:
    """Factor of the loss by group, its own times the mean of its classes': float32, shape (G,)."""
    means = (photos.members * class_weights).sum(axis=1) / photos.members.sum(axis=1)
    return (photos.factors * means).astype(np.float32)


def make_set(collection: Collection, tiles: Tiles, other_images: int) -> PhotoSet:
    """Photographs to train and validate on.

    Args:
        collection: N photographs.
        tiles: Theirs.
        other_images: Of another data set; 0 for none.

    Raises:
        DataError: If none is left to train on.
    """
    labelling, is_held_out = collection.labelling, collection.is_held_out
    is_labelled = (labelling.y >= 0) & tiles.readable
    trains = is_labelled & tiles.found & ~is_held_out
    validates = is_labelled & tiles.found & is_held_out
    missed = is_labelled & ~tiles.found & is_held_out
    count = int(trains.sum())
    if not count:
        raise DataError(
            f"Of {int(is_labelled.sum()):,} photographs that have a label and can be read, none is left to "
            f"train on: {int((is_labelled & is_held_out).sum()):,} are held out, and in "
            f"{int((is_labelled & ~is_held_out & ~tiles.found).sum()):,} others no garment was found; take "
            "more photographs, or another way to cut garments out with --segment."
        )
    beside, repeats = min(other_images, MOST_BESIDE), IMAGES_ALONE / count
    factors = np.ones(len(labelling.groups))
    if other_images:
        # What a collection has many of says nothing of what a camera will see: as in Fashion-MNIST, all
        # labels count alike. (Alone, that is left to the weights of the classes.)
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
    """What is none of the classes, of photographs not held out: uint8, shape (O, 28, 28)."""
    trains = tiles.readable & ~collection.is_held_out
    others = tiles.tiles_u8[trains & tiles.found & (collection.labelling.y < 0)]
    return np.concatenate([others.reshape(-1, TILE, TILE), tiles.empty_u8(trains)])


def facts(collection: Collection, tiles: Tiles, photos: PhotoSet) -> dict[str, Any]:
    """What a run says of its photographs, as JSON can hold it."""
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
        "camera": camera.VERSION,
        "preparation": preparation.PREPARATION,
    }


def recipe_for(recipe: Recipe, *, adapts: bool, alone: bool) -> Recipe:
    """A network's recipe, changed to what photographs need.

    Args:
        recipe: The network's own.
        adapts: Whether the weights were trained before: then it is short, with small steps.
        alone: Whether there is no other data set: then an epoch has few steps, labels are smoothed, and
            images changed at random where the recipe does not.
    """
    changes: dict[str, Any] = {"rest": 0.0}
    if adapts:
        changes |= {
            "epochs": ADAPTATION_EPOCHS_ALONE if alone else ADAPTATION_EPOCHS,
            "learning_rate": recipe.learning_rate * ADAPTATION_RATE,
            "averaging": min(ADAPTATION_AVERAGING, recipe.averaging),
            "schedule": "cosine",
            "start_share": 0.0 if alone else START_SHARE,
        }
    if alone:
        changes["averaging"] = min(AVERAGING_ALONE, recipe.averaging)
        changes["label_smoothing"] = max(SMOOTHING, recipe.label_smoothing)
        if not any(asdict(recipe.augmentation).values()):
            changes["augmentation"] = PHOTO_AUGMENTATION
    return replace(recipe, **changes)


@dataclass(frozen=True)
class Start:
    """Weights to begin with.

    Attributes:
        network: Name in the registry.
        weights: Of all layers, or of all but the last, in the order of the network's own.
        sha256: Checksum of the file they are from.
        sentence: What is done with the last layer where it is not kept; otherwise empty.
    """

    network: str
    weights: list[np.ndarray]
    sha256: str
    sentence: str


def start_from(path: Path, network: str | None, classes: Sequence[str]) -> Start:
    """Reads weights to begin with.

    Args:
        path: A run's folder or a `.keras` file.
        network: Name in the registry; None for the one that the file is of.
        classes: Class names of the new network. Where the file's are others, its last layer is left out.

    Raises:
        ModelError: If it cannot be read, or is not of that network.
        OptionError: If it is not known which network it is of.
    """
    from garmentlite.train import runs
    from garmentlite.train.keras_file import read_network
    from garmentlite.train.networks import NETWORKS, network_named

    file = runs.model_file(path)
    model = read_network(file, "--init takes a run's folder or a .keras file")
    name = network or model.name
    if name not in NETWORKS and network is None:
        raise OptionError(
            f"--init {path} holds a network called '{name}', which is none of the registry; say with "
            "--network which one it is."
        )
    weights = model.get_weights()
    of_last = len(model.layers[-1].weights)
    expected = network_named(name).build(len(classes)).get_weights()
    body = slice(len(weights) - of_last)
    if not of_last or [one.shape for one in weights[body]] != [
        one.shape for one in expected[: len(expected) - of_last]
    ]:
        raise ModelError(
            f"--init {path} does not have the layers of {name}; name the network it is of with --network, "
            "or leave --init away to train from the beginning."
        )
    known = _classes_of(file)
    if known is None and len(FASHION_MNIST_LABELS) == model.output_shape[-1]:
        known = FASHION_MNIST_LABELS
    if known == tuple(classes):
        return Start(name, weights, sha256(file.read_bytes()), "")
    sentence = (
        f"{path} knows {model.output_shape[-1]} other classes: its last layer is replaced by one for "
        f"{', '.join(classes)}."
    )
    return Start(name, weights[body], sha256(file.read_bytes()), sentence)


def _classes_of(file: Path) -> tuple[str, ...] | None:
    """The classes of a `.keras` file as the run or the card beside it has them; None without either."""
    from garmentlite.train import runs

    card = file.with_suffix(".json")
    if (file.parent / runs.CONFIG).is_file():
        return tuple(runs.read_json(file.parent, runs.CONFIG)["class_weights"])
    if card.is_file():
        return tuple(runs.read_json(card.parent, card.name)["labels"])
    return None
