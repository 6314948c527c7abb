"""Makes the batches of an epoch: shuffles, augments and weights the images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from garmentlite.train.augmentation import Changes, changed, draw
from garmentlite.train.config import TrainConfig
from garmentlite.train.data import as_input
from garmentlite.train.distillation import SHARE
from garmentlite.train.distribution import ONE_DEVICE, Devices
from garmentlite.train.photo_figures import group_weights
from garmentlite.train.photo_set import OUTLIER_FACTOR, PhotoSet

# Computes the probabilities that teachers give to images: (N, H, W, 1) in [0, 1] to (N, C).
Answers = Callable[[Any], Any]


class Batches(keras.utils.PyDataset):
    """The batches of one epoch after another; batch i depends on (seed, epoch, i) alone.

    Attributes:
        order: Numbers of the images of this epoch in the order in which they are shown; photographs are
            numbered after the images.
        steps_per_call: Number of steps that the training takes with one item.
        images: Number of images that the epoch counts for, including easy images that rest.
        targets: Target of every image: class numbers, int32, shape (N,), or float32, shape (N, C).
        counts_for: Factor of each image's loss that makes up for easy images that rest, shape (N,).
    """

    steps_per_call = 1

    def __init__(
        self,
        config: TrainConfig,
        x: np.ndarray,
        y: np.ndarray,
        *,
        teacher: np.ndarray | None = None,
        devices: Devices = ONE_DEVICE,
        photos: PhotoSet | None = None,
        answers: Answers | None = None,
    ) -> None:
        """Prepares the targets and begins epoch 0.

        Args:
            config: Configuration of the run.
            x: Training images, uint8, shape (N, H, W).
            y: Their class numbers, shape (N,).
            teacher: Soft targets in place of the labels, float32, shape (N, C).
            devices: The devices that share a batch.
            photos: Photographs to show together with the images, or in their place if they are alone.
            answers: Asks teachers about the changed images of every batch, photographs excepted.
        """
        super().__init__()
        self.config, self.x, self.devices, self.answers = config, x, devices, answers
        self.weights = config.loss_weights
        self.factors = self.weights[y] * np.float32(config.beside_factor)
        self.targets = y.astype(np.int32)
        self.rows = np.arange(len(x))
        self.photos = photos
        are_soft = teacher is not None or answers is not None or config.augmentation.mixes
        if are_soft or config.label_smoothing or photos:
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
        chosen, places, changes = self.drawn(self.first_step + index)
        x = as_input(changed(self._images(places), changes))
        targets, factors = self.mixed_targets(chosen, changes)
        if self.answers:
            targets = self.taught(chosen, targets, np.asarray(self.answers(x)))
        share = self.devices.share_of
        return share(x), share(targets), share(factors)

    def drawn(self, step: int) -> tuple[np.ndarray, np.ndarray, Changes]:
        """Draws a step of the epoch.

        Returns:
            The numbers of the images, the places of their pixels in `parts`, and how they are changed.
        """
        size = self.config.batch_size
        chosen = self.order[step * size : (step + 1) * size]
        rng = np.random.default_rng([self.config.seed, self.epoch, step])
        places = self._places(chosen, rng)
        height, width = self.x.shape[1:]
        changes = draw(len(chosen), height, width, self.config.augmentation, rng)
        return chosen, places, changes

    def mixed_targets(self, chosen: np.ndarray, changes: Changes) -> tuple[np.ndarray, np.ndarray]:
        """Computes targets and factors of images; a mixed image has a share of each of both images'."""
        targets, factors = self.targets[chosen], self.factors[chosen] * self.counts_for[chosen]
        if not self.config.augmentation.mixes:
            return targets, factors
        share = changes.own_share(*self.x.shape[1:])
        own, others = factors * share, factors[changes.partner] * (1 - share)
        share = (own / (own + others))[:, np.newaxis]
        return share * targets + (1 - share) * targets[changes.partner], own + others

    def taught(self, chosen: np.ndarray, targets: Any, answers: Any) -> Any:
        """Mixes targets with the teachers' answers, except those of photographs; shape (N, C)."""
        share = np.where(chosen < len(self.x), np.float32(SHARE), np.float32(0))
        return targets + share[..., np.newaxis] * (answers - targets)

    @property
    def parts(self) -> list[np.ndarray]:
        """All images that can be shown, uint8, shape (N, H, W) each: images, tiles and outliers."""
        if self.photos is None:
            return [self.x]
        tiles = self.photos.tiles_u8
        return [self.x, tiles.reshape(-1, *tiles.shape[2:]), self.photos.outliers_u8]

    def _places(self, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Finds the places of images in `parts`: one variant of each photograph, and any of the outliers."""
        if self.photos is None:
            return chosen
        photos, variants = self.photos.tiles_u8.shape[:2]
        numbers = chosen - len(self.x)
        is_photo = (numbers >= 0) & (numbers < photos)
        is_outlier = numbers == photos
        places = chosen.copy()
        variant = rng.integers(variants, size=int(is_photo.sum()))
        places[is_photo] = len(self.x) + numbers[is_photo] * variants + variant
        if is_outlier.any():
            kinds = rng.integers(len(self.outliers_of_kind), size=int(is_outlier.sum()))
            rows = [rng.choice(self.outliers_of_kind[kind]) for kind in kinds]
            places[is_outlier] = len(self.x) + photos * variants + np.array(rows)
        return places

    def _images(self, places: np.ndarray) -> np.ndarray:
        """Takes the images at these places, without putting all of them into one array first."""
        images = np.empty((len(places), *self.x.shape[1:]), np.uint8)
        start = 0
        for part in self.parts:
            is_here = (places >= start) & (places < start + len(part))
            images[is_here] = part[places[is_here] - start]
            start += len(part)
        return images
