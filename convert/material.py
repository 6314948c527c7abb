"""Divides the images of a conversion: one part sets quantization ranges, one chooses, and one measures.

No image is in two parts, with one exception. A run on the user's own photographs has no third part, so the
photographs held out from its training both choose and measure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import FASHION_MNIST_LABELS, is_reserved, label_key
from garmentlite.edge.picture_files import find_pictures
from garmentlite.edge.pictures import read_picture
from garmentlite.train.data import SPLIT_SEED, FashionMnist, validation_split
from garmentlite.train.stored_photos import read_photos

FASHION_MNIST = "Fashion-MNIST"

FEWEST_PER_CLASS = 4  # pictures: two set the quantization ranges, one chooses, one measures
_AS_THE_NETWORK_SEES = (
    "--calibration takes grey pictures of the size of the network's input; 'cli classify ... --save-inputs "
    "DIR' writes such pictures"
)


@dataclass(frozen=True)
class Images:
    """Images of a data set with their places in it, which a manifest lists.

    Attributes:
        images_u8: uint8, shape (N, H, W).
        y: Class numbers, shape (N,).
        indices: Places in the data set, shape (N,).
    """

    images_u8: np.ndarray
    y: np.ndarray
    indices: np.ndarray

    def take(self, places: np.ndarray) -> Images:
        """Takes the images at the given places, in that order."""
        return Images(self.images_u8[places], self.y[places], self.indices[places])

    def sample(self, count: int, seed: int) -> Images:
        """Draws `count` of the images without repetition, or takes all if there are fewer."""
        return self.take(np.random.default_rng(seed).permutation(len(self.y))[:count])

    def manifest(self, source: str, seed: int) -> dict[str, Any]:
        """Records which images set the quantization ranges: their source, number and places."""
        return {
            "source": source,
            "count": len(self.y),
            "seed": seed,
            "indices": self.indices.tolist(),
            "indices_sha256": sha256(np.ascontiguousarray(self.indices, "<i8").tobytes()),
            "images_sha256": sha256(np.ascontiguousarray(self.images_u8).tobytes()),
            "preprocessing": "pixel / 255",
        }


@dataclass(frozen=True)
class Material:
    """All images of a conversion.

    Attributes:
        name: Name of the data.
        labels: Class names in the order of the outputs.
        training: Images that set quantization ranges and that are fine-tuned on.
        validation: Images that choose between the ways to int8, and fit the temperature.
        test: Images for the last measurement.
        is_labelled: Whether the classes of the images are known; otherwise their class numbers mean nothing.
    """

    name: str
    labels: tuple[str, ...]
    training: Images
    validation: Images
    test: Images
    is_labelled: bool = True

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.test.images_u8.shape[1:3]
        return height, width

    def missing_classes(self) -> list[str]:
        """Names the classes that none of the images shows from which quantization ranges are set."""
        shown = set(self.training.y.tolist())
        return [label for class_id, label in enumerate(self.labels) if class_id not in shown]

    def answered(self, predict: Callable[[np.ndarray], np.ndarray]) -> Material:
        """Returns the same images with the answers of a network as their classes.

        Args:
            predict: Computes logits (N, C) of uint8 images (N, H, W).
        """

        def answered(images: Images) -> Images:
            return replace(images, y=predict(images.images_u8).argmax(axis=1))

        return replace(
            self,
            training=answered(self.training),
            validation=answered(self.validation),
            test=answered(self.test),
        )


def from_fashion_mnist(
    data: FashionMnist, labels: Sequence[str] = FASHION_MNIST_LABELS
) -> Material:
    """Divides Fashion-MNIST: training images, validation images (none of the former), and test images.

    Args:
        data: The data set.
        labels: Class names in the order of the network's outputs. They may be those of the data set in
            another order. With other names, the classes of the images are not known.
    """
    require_class_names(labels)
    number_of = {label_key(label): class_id for class_id, label in enumerate(labels)}
    names = [label_key(label) for label in FASHION_MNIST_LABELS]
    is_labelled = set(number_of) == set(names)
    numbers = np.array([number_of.get(name, -1) for name in names])
    train_at, validate_at = validation_split(data.y_train)
    y_train, y_test = numbers[data.y_train], numbers[data.y_test]
    return Material(
        name=FASHION_MNIST,
        labels=tuple(labels),
        training=Images(data.x_train[train_at], y_train[train_at], train_at),
        validation=Images(data.x_train[validate_at], y_train[validate_at], validate_at),
        test=Images(data.x_test, y_test, np.arange(len(y_test))),
        is_labelled=is_labelled,
    )


def from_run(run: Path, labels: Sequence[str]) -> Material:
    """Reads the photographs of a run whose labels are its classes, as the network was trained on them.

    Photographs are few, so there is no third part: those held out from training choose and measure.

    Args:
        run: Folder of a run on photographs alone.
        labels: Class names in the order of the network's outputs.

    Returns:
        The images; the `indices` of the training images count all variants of all photographs.

    Raises:
        DataError: If the run does not hold its photographs, or none is held out.
    """
    stored = read_photos(run)
    tiles, y = stored.tiles.tiles_u8, stored.y
    is_used, is_held_out = stored.tiles.found & (y >= 0), stored.is_held_out
    variants = tiles.shape[1]
    first = np.flatnonzero(is_used & ~is_held_out) * variants
    places = (first[:, np.newaxis] + np.arange(variants)).ravel()
    held_out = np.flatnonzero(is_used & is_held_out)
    kept = Images(tiles[held_out, 0], y[held_out], held_out * variants)
    return Material(
        name=f"photographs of {run.name}",
        labels=tuple(labels),
        training=Images(tiles.reshape(-1, *tiles.shape[2:])[places], y[places // variants], places),
        validation=kept,
        test=kept,
    )


def from_folder(folder: Path, labels: Sequence[str]) -> Material:
    """Reads the user's own pictures in the form of the network's input: grey, of its size, on background 0.

    A quarter of each class measures, a quarter chooses and the rest sets the quantization ranges; the
    division is always the same. A picture that occurs twice is used once, so that no two parts share a
    picture.

    Args:
        folder: A folder with a subfolder of pictures for each class, called like its label; or a folder of
            pictures alone, whose classes are then not known.
        labels: Class names in the order of the network's outputs.

    Returns:
        The images; `indices` are places in the sorted list of files.

    Raises:
        OptionError: See `require_class_names`.
        PictureError: If there are no pictures, or one cannot be read.
        DataError: If they are not grey, differ in size, or are too few, or if a subfolder is not a class.
    """
    require_class_names(labels)
    paths = find_pictures([folder])
    class_ids = _class_ids(folder, paths, labels)
    first_with: dict[bytes, int] = {}
    images: list[np.ndarray] = []
    for place, path in enumerate(paths):
        image = _read_grey(path)
        if images and image.shape != images[0].shape:
            raise DataError(
                f"{path} has {_size(image)} pixels, {paths[0]} {_size(images[0])}; "
                f"{_AS_THE_NETWORK_SEES}."
            )
        images.append(image)
        first_with.setdefault(image.tobytes(), place)
    places = np.array(list(first_with.values()))
    every = Images(np.stack(images), np.array(class_ids), np.arange(len(paths))).take(places)
    parts: list[list[np.ndarray]] = [[], [], []]
    rng = np.random.default_rng(SPLIT_SEED)
    for class_id in np.unique(every.y):
        members = rng.permutation(np.flatnonzero(every.y == class_id))
        if len(members) < FEWEST_PER_CLASS:
            of_class = f" of '{labels[class_id]}'" if class_id >= 0 else ""
            raise DataError(
                f"{folder} holds {len(members)} different pictures{of_class}, at least "
                f"{FEWEST_PER_CLASS} are needed; add some (a hundred of a class set the ranges well)."
            )
        quarter = len(members) // 4
        split = np.split(members, [quarter, 2 * quarter])
        for part, chosen in zip(parts, split, strict=True):
            part.append(chosen)
    test, validation, training = (every.take(np.sort(np.concatenate(part))) for part in parts)
    return Material(
        name=f"pictures in {folder.name}",
        labels=tuple(labels),
        training=training,
        validation=validation,
        test=test,
        is_labelled=bool((every.y >= 0).all()),
    )


def require_class_names(labels: Sequence[str]) -> None:
    """Raises OptionError if two classes have one name, or one has a name that is reserved for an answer."""
    for place, label in enumerate(labels):
        if is_reserved(label):
            raise OptionError(
                f"A class cannot be called '{label}', because this name is reserved for an answer; give "
                "the class another name with --labels."
            )
        if label in labels[:place]:
            raise OptionError(
                f"The label '{label}' occurs twice; give each class a name of its own with --labels."
            )


def _class_ids(folder: Path, paths: Sequence[Path], labels: Sequence[str]) -> list[int]:
    """Finds each picture's class number by its subfolder; -1 for all pictures if there are no subfolders."""
    if all(path.parent == folder for path in paths):
        return [-1] * len(paths)
    known = {label_key(label): class_id for class_id, label in enumerate(labels)}
    class_ids = []
    for path in paths:
        name = path.relative_to(folder).parts[0]
        if is_reserved(name):
            raise DataError(
                f"{path} is in the folder '{name}', but no class can be called so; move its pictures out of "
                f"{folder}."
            )
        if path.parent == folder or label_key(name) not in known:
            raise DataError(
                f"{path} is not in the folder of a class; make a folder for each label "
                f"({', '.join(labels)}; --labels gives others), or put all pictures into one folder."
            )
        class_ids.append(known[label_key(name)])
    return class_ids


def _read_grey(path: Path) -> np.ndarray:
    picture = read_picture(path)
    if picture.alpha is not None or (picture.rgb != picture.rgb[..., :1]).any():
        raise DataError(f"{path} is not grey; {_AS_THE_NETWORK_SEES}.")
    return np.ascontiguousarray(picture.rgb[..., 0])


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"
