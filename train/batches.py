"""Makes the batches of an epoch: shuffles, augments and weights the images."""

from __future__ import annotations

import math

import keras
import numpy as np

from garmentlite.train.augmentation import augment
from garmentlite.train.config import TrainConfig
from garmentlite.train.data import as_input
from garmentlite.train.distribution import ONE_DEVICE, Devices
from garmentlite.train.photo_figures import group_weights
from garmentlite.train.photo_set import OUTLIER_FACTOR, PhotoSet


class Batches(keras.utils.PyDataset):
    """The batches of one epoch after another; batch i depends on (seed, epoch, i) alone.

    Attributes:
        order: Numbers of the images of this epoch in the order in which they are shown; photographs are
            numbered after the images.
        images: Number of images that the epoch counts for, including easy images that rest.
        targets: Target of every image: class numbers, int32, shape (N,), or float32, shape (N, C).
        counts_for: Factor of each image's loss that makes up for easy images that rest, shape (N,).
    """

    def __init__(
        self,
        config: TrainConfig,
        x: np.ndarray,
        y: np.ndarray,
        *,
        teacher: np.ndarray | None = None,
        devices: Devices = ONE_DEVICE,
        photos: PhotoSet | None = None,
    ) -> None:
        """Prepares the targets and begins epoch 0.

        Args:
            config: Configuration of the run.
            x: Training images, uint8, shape (N, H, W).
            y: Their class numbers, shape (N,).
            teacher: Soft targets in place of the labels, float32, shape (N, C).
            devices: The devices that share a batch.
            photos: Photographs to show together with the images, or in their place if they are alone.
        """
        super().__init__()
        self.config, self.x, self.devices = config, x, devices
        self.weights = config.loss_weights
        self.factors = self.weights[y]
        self.targets = y.astype(np.int32)
        self.rows = np.arange(len(x))
        self.photos = photos
        if teacher is not None or config.label_smoothing or photos:
            classes = len(self.weights)
            soft = np.eye(classes, dtype=np.float32)[y] if teacher is None else teacher
            share = config.label_smoothing
            self.targets = (soft * (1 - share) + share / classes).astype(np.float32)
        if photos:
            self._add(photos)
        self.start_epoch(0)

    def _add(self, photos: PhotoSet) -> None:
        """Puts photographs after the images, or in their place if they are alone."""
        if photos.alone:
            self.x, self.rows = self.x[:0], self.rows[:0]
            self.factors, self.targets = self.factors[:0], self.targets[:0]
        factors = group_weights(photos, self.weights)
        more = np.repeat(np.arange(len(photos.y)) + len(self.x), photos.repeats)
        self.rows = np.concatenate([self.rows, more])
        members = photos.members.astype(np.float32)
        is_class, share = members.sum(axis=1) == 1, self.config.label_smoothing
        members[is_class] = members[is_class] * (1 - share) + np.float32(share / members.shape[1])
        self.targets = np.concatenate([self.targets, members[photos.y]])
        self.factors = np.concatenate([self.factors, factors[photos.y] * photos.photo_factors])
        kinds = photos.outlier_kinds
        self.outliers_of_kind = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
        if photos.outliers_shown:  # one number stands for all outliers; no class is their target
            rows = np.full(photos.outliers_shown, len(self.targets))
            nothing = np.full((1, len(self.weights)), 1 / len(self.weights), np.float32)
            self.rows = np.concatenate([self.rows, rows])
            self.targets = np.concatenate([self.targets, nothing])
            self.factors = np.append(self.factors, np.float32(OUTLIER_FACTOR))

    def start_epoch(
        self, epoch: int, first_step: int = 0, losses: np.ndarray | None = None
    ) -> None:
        """Shuffles the images for an epoch.

        Args:
            epoch: Number of the epoch, counted from 0.
            first_step: Number of steps of the epoch that are done already; they are skipped.
            losses: Loss of every image, shape (N,), by which easy images are chosen to rest; None while
                it is not known.
        """
        self.epoch, self.first_step = epoch, first_step
        rng = np.random.default_rng([self.config.seed, epoch])
        self.order = rng.permutation(self.rows)
        if self.photos:
            is_image = self.order < len(self.x)
            self.order = self.order[~is_image | (np.cumsum(is_image) <= self.photos.beside)]
        self.images = len(self.order)
        self.counts_for = np.ones(len(self.factors), np.float32)
        if losses is not None and self.config.rests_in(epoch):
            easy = losses < losses.mean()
            rests = easy & (rng.random(len(self.x)) < self.config.rest)
            self.counts_for[easy] = 1 / (1 - self.config.rest)
            self.order = self.order[~rests[self.order]]
        # The last batch must divide evenly among the devices as well.
        if left_over := len(self.order) % self.devices.count:
            self.order = self.order[:-left_over]

    @property
    def steps(self) -> int:
        """Number of steps of the whole epoch."""
        return math.ceil(len(self.order) / self.config.batch_size)

    def __len__(self) -> int:
        return self.steps - self.first_step

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        step, size = self.first_step + index, self.config.batch_size
        chosen = self.order[step * size : (step + 1) * size]
        rng = np.random.default_rng([self.config.seed, self.epoch, step])
        images = augment(self._images(chosen, rng), self.config.augmentation, rng)
        factors = self.factors[chosen] * self.counts_for[chosen]
        share = self.devices.share_of
        return as_input(share(images)), share(self.targets[chosen]), share(factors)

    def _images(self, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Takes the images with these numbers: one variant of each photograph, and any of the outliers."""
        if self.photos is None:
            return self.x[chosen]
        tiles, outliers = self.photos.tiles_u8, self.photos.outliers_u8
        numbers = chosen - len(self.x)
        is_photo = (numbers >= 0) & (numbers < len(tiles))
        is_outlier = numbers == len(tiles)
        images = np.empty((len(chosen), *tiles.shape[2:]), np.uint8)
        images[numbers < 0] = self.x[chosen[numbers < 0]]
        variant = rng.integers(tiles.shape[1], size=int(is_photo.sum()))
        images[is_photo] = tiles[numbers[is_photo], variant]
        if is_outlier.any():
            kinds = rng.integers(len(self.outliers_of_kind), size=int(is_outlier.sum()))
            places = [rng.choice(self.outliers_of_kind[kind]) for kind in kinds]
            images[is_outlier] = outliers[places]
        return images
