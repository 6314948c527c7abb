"""Ends an epoch: recalibrates batch-norm, validates, and keeps the weights if they are the best."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import keras
import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.probabilities import cross_entropy
from garmentlite.train.batch_norm import RECALIBRATION_IMAGES, Recalibration
from garmentlite.train.checkpoint import PartialEpoch, State
from garmentlite.train.config import TrainConfig
from garmentlite.train.history import Epoch
from garmentlite.train.photo_figures import PhotoFigures, measure
from garmentlite.train.photo_set import PhotoSet
from garmentlite.train.prediction import predict_logits

# Share of photographs among the images that recalibrate batch-norm. A large share is good for photographs,
# and costs hardly any accuracy on Fashion-MNIST (docs/photographs.md).
SETTLING_PHOTO_SHARE = 2 / 3
RESTING_IS_CHOSEN_EVERY = 3  # epochs; choosing takes a pass over all training images


class Validation:
    """Validates the network after each epoch.

    Attributes:
        answers: Number of different classes that the network named on the validation images.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: keras.Model,
        x: np.ndarray,
        y: np.ndarray,
        x_validation: np.ndarray,
        y_validation: np.ndarray,
        photos: PhotoSet | None = None,
    ) -> None:
        """Takes the images.

        Args:
            config: Configuration of the run.
            model: The network that is validated and kept.
            x: Training images, uint8, shape (N, H, W).
            y: Their class numbers, shape (N,).
            x_validation: Validation images, uint8, shape (M, H, W).
            y_validation: Their class numbers, shape (M,).
            photos: The photographs, if the run has any.
        """
        self.config, self.model, self.class_weights = config, model, config.loss_weights
        self.x, self.y, self.photos = x, y, photos
        self.x_validation, self.y_validation = x_validation, y_validation
        self.recalibration = Recalibration(model, _settling_images(config, x, photos))
        self.answers = 0

    def finish_epoch(self, state: State, whole: PartialEpoch, images: int, started: float) -> None:
        """Validates the weights that the network now has and adds the epoch to the history.

        Args:
            state: State of the run; its history, best weights and losses are updated.
            whole: The sums over all steps of the epoch.
            images: Number of images that the epoch counts for, including those that rested.
            started: When the epoch began, by `time.perf_counter`.
        """
        some = slice(0, RECALIBRATION_IMAGES)
        # A network that diverged needs no warning: it is never the best one.
        with np.errstate(over="ignore", invalid="ignore"):
            self.recalibration.apply()
            train_loss, train_matrix = self._measure(self.x[some], self.y[some])
            val_loss, matrix = self._measure(self.x_validation, self.y_validation)
            figures = self._measure_photos()
        self.answers = int(np.count_nonzero(matrix.sum(axis=0)))
        done = len(state.history) + 1
        if self.config.rests_in(done) and done % RESTING_IS_CHOSEN_EVERY == 0:
            logits = predict_logits(self.model, self.x)
            state.losses = cross_entropy(self.y, logits).astype(np.float32)
        epoch = Epoch(
            epoch=done,
            learning_rate=float(np.asarray(state.model.optimizer.learning_rate)),
            seconds=time.perf_counter() - started,
            loss=whole.loss / images,
            accuracy=whole.accuracy / whole.images,
            train_loss=train_loss,
            train_accuracy=metrics.accuracy(train_matrix),
            val_loss=val_loss,
            val_accuracy=metrics.accuracy(matrix),
            val_recall=[metrics.defined(recall) for recall in metrics.recall_per_class(matrix)],
            best=False,
        )
        if figures and self.photos and self.photos.alone:
            # Photographs in which no garment was found count here too.
            epoch = replace(epoch, val_accuracy=figures.accuracy, val_recall=figures.recall)
        elif figures:
            epoch = replace(
                epoch,
                photo_loss=figures.loss,
                photo_accuracy=figures.accuracy,
                photo_recall=figures.recall,
            )
        if epoch.selection_loss < self._loss_to_beat(state, figures):  # False for NaN
            epoch = replace(epoch, best=True)
            state.best = self.model.get_weights()
        state.history.append(epoch)
        state.partial = PartialEpoch()

    def _loss_to_beat(self, state: State, figures: PhotoFigures | None) -> float:
        """Returns the selection loss below which an epoch is kept; infinite if the last epoch is kept."""
        # Without held-out photographs nothing measures how well photographs are recognised.
        if self.config.rates.keeps_last_epoch or (self.photos and not figures):
            return math.inf
        return min((past.selection_loss for past in state.history if past.best), default=math.inf)

    def _measure(self, images_u8: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        logits = predict_logits(self.model, images_u8)
        loss = metrics.log_loss(y, logits, self.class_weights[y])
        return loss, metrics.confusion_matrix(y, logits.argmax(axis=1), len(self.class_weights))

    def _measure_photos(self) -> PhotoFigures | None:
        """Computes the figures on the held-out photographs; None if there are none."""
        if self.photos is None or not len(self.photos.y_validation):
            return None
        logits = predict_logits(self.model, self.photos.validation_u8)
        return measure(self.photos, logits, self.class_weights)


def _settling_images(config: TrainConfig, x: np.ndarray, photos: PhotoSet | None) -> np.ndarray:
    """Takes clean training images that recalibrate batch-norm, uint8; photographs have their share."""
    if photos is None:
        return x
    if photos.alone:
        return photos.sample(RECALIBRATION_IMAGES, config.seed)
    some = photos.sample(round(RECALIBRATION_IMAGES * SETTLING_PHOTO_SHARE), config.seed)
    return np.concatenate([some, x[: RECALIBRATION_IMAGES - len(some)]])
