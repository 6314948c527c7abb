"""Trains a network: early stopping by weighted validation loss, exact resume, and a clean end by Ctrl-C.

The images of an epoch depend on (seed, epoch, step) alone, and everything that changes during a run is in one
checkpoint file. So a run that was interrupted and resumed takes the same steps as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import OptionError
from garmentlite.train import diagnosis
from garmentlite.train.backend import make_deterministic
from garmentlite.train.batch_norm import RECALIBRATION_IMAGES
from garmentlite.train.batches import Answers, Batches
from garmentlite.train.checkpoint import State
from garmentlite.train.config import TrainConfig
from garmentlite.train.data import as_input
from garmentlite.train.device_batches import DeviceBatches
from garmentlite.train.distribution import ONE_DEVICE, Devices
from garmentlite.train.history import Epoch
from garmentlite.train.losses import loss_and_accuracy
from garmentlite.train.networks import network_named
from garmentlite.train.optimizers import make_optimizer
from garmentlite.train.photo_set import PhotoSet
from garmentlite.train.prediction import predict_logits
from garmentlite.train.training_copy import training_copy
from garmentlite.train.validation import Validation

SAVE_EVERY_S = 60  # between two checkpoints within an epoch

# Called after each batch with the epoch (from 1), the step (from 1) and the number of steps of an epoch.
OnStep = Callable[[int, int, int], None]
OnEpoch = Callable[[list[Epoch]], None]  # called with the history so far


@dataclass
class TrainResult:
    """The outcome of a run.

    Attributes:
        model: The network with the weights that are kept, not compiled.
        history: One entry for each epoch that was finished.
        ended: Why the run ended: "all epochs done", "no better for N epochs" or "interrupted".
    """

    model: keras.Model
    history: list[Epoch]
    ended: str


def train(
    config: TrainConfig,
    x: np.ndarray,
    y: np.ndarray,
    x_validation: np.ndarray,
    y_validation: np.ndarray,
    *,
    teacher: np.ndarray | None = None,
    answers: Answers | None = None,
    photos: PhotoSet | None = None,
    init: Sequence[np.ndarray] = (),
    checkpoint: Path | None = None,
    save_every_s: float = SAVE_EVERY_S,
    devices: Devices = ONE_DEVICE,
    images_on_device: bool = False,
    on_step: OnStep = lambda epoch, step, steps: None,
    on_epoch: OnEpoch = lambda history: None,
    on_doubt: Say = say_nothing,
) -> TrainResult:
    """Trains a network, or continues a run that has a checkpoint.

    Args:
        config: Configuration of the run.
        x: Training images, uint8, shape (N, 28, 28).
        y: Their class numbers, shape (N,).
        x_validation: Validation images, uint8, shape (M, 28, 28); they decide which weights are kept.
        y_validation: Their class numbers, shape (M,).
        teacher: Probabilities that are learned in place of the labels, float32, shape (N, C); see
            `distillation.soft_targets`.
        answers: Asks teachers about the changed images of every batch; see `distillation.ConsistentTeacher`.
        photos: Photographs to train on together with the images. If they are alone, `x` and `y` are
            the training photographs themselves, and `x_validation` and `y_validation` the held-out ones, as
            the device prepares them. Without held-out photographs the last epoch is kept.
        init: Weights to begin with, those of the first layers; the other weights are random.
        checkpoint: File that is written after every epoch and, in a long one, every `save_every_s`
            seconds; if it exists, training continues from it.
        save_every_s: Time between two checkpoints within an epoch, in seconds.
        devices: The devices to train on.
        images_on_device: Whether images stay on the accelerator and are changed there, several steps a call;
            this takes JAX and one device. The images are the same, see `device_batches.DeviceBatches`.
        on_step: Called after every batch.
        on_epoch: Called after every epoch with the history so far.
        on_doubt: Called with a sentence if images, labels or network look wrong before the first step.

    Returns:
        The network with the weights of the epoch with the lowest selection loss, or, if the schedule keeps
        the last epoch, with those of the last. Ctrl-C ends training early and returns the weights that
        would be kept so far.

    Raises:
        DataError: If images and labels do not match, or the checkpoint belongs to another configuration.
        OptionError: If easy images should rest, or images be mixed, although there are photographs.
        TrainingError: If the loss is NaN or the accuracy stays at chance; with the likely cause.
        KeyboardInterrupt: If Ctrl-C comes before the first epoch is finished.
    """
    classes = len(config.labels)
    diagnosis.require_trainable(x, y, x_validation, y_validation, classes)
    if photos:
        _require_plain_images(config)
    alone = photos is not None and photos.alone  # then there are too few images to detect chance
    make_deterministic(config.seed)
    kept = network_named(config.network).build(classes)  # the network that is validated and saved
    kept.set_weights([*init, *kept.get_weights()[len(init) :]])
    initial = kept.get_weights()
    doubts = ""
    if not alone:
        doubts = diagnosis.doubts_about_labels(x, y, x_validation, y_validation, classes)
    doubts = doubts or _doubts_about_start(kept, x, y)
    if doubts:
        on_doubt(doubts)
    kind = DeviceBatches if images_on_device else Batches
    batches = kind(config, x, y, teacher=teacher, devices=devices, photos=photos, answers=answers)
    with devices.in_use():
        model = _compiled_copy(kept, config, batches, devices, x[:1])
    state = State(config, model)
    if checkpoint and checkpoint.exists():
        state.restore(checkpoint)
    validation = Validation(config, kept, x, y, x_validation, y_validation, photos)
    steps = _Steps(state, batches, checkpoint, save_every_s, on_step)
    schedule = config.rates
    try:
        while not schedule.why_ended(state.history):
            started = time.perf_counter()
            batches.start_epoch(len(state.history), state.partial.steps, state.losses)
            model.optimizer.learning_rate.assign(schedule.next_rate(state.history))
            with devices.in_use():
                model.fit(batches, shuffle=False, callbacks=[steps], verbose=0)
            averaged = model.get_weights()  # the moving average, if the recipe asks for one
            kept.set_weights(_mixed(averaged, initial, config.start_share))
            model.set_weights(steps.weights)
            validation.finish_epoch(state, steps.whole, batches.images, started)
            # With photographs alone, only a loss that is NaN is refused.
            judged = state.history[-1:] if alone else state.history
            diagnosis.require_progress(
                judged, classes, len(x_validation), validation.answers, doubts
            )
            if checkpoint:
                state.save(checkpoint)
            on_epoch(state.history)
        ended = schedule.why_ended(state.history)
    except KeyboardInterrupt:
        if state.best is None:
            raise
        ended = "interrupted"
    assert state.best is not None  # the first epoch with a finite loss is the best so far
    kept.set_weights(state.best)
    return TrainResult(kept, state.history, ended)


def _require_plain_images(config: TrainConfig) -> None:
    """Refuses recipes that cannot be used with photographs.

    Raises:
        OptionError: If easy images rest, or images are mixed.
    """
    if config.rest:
        raise OptionError("Easy images cannot rest while there are photographs; set rest to 0.")
    if config.augmentation.mixes:
        raise OptionError(
            "Images cannot be mixed while there are photographs; set mixup and cutmix to 0."
        )


def _doubts_about_start(network: keras.Model, x: np.ndarray, y: np.ndarray) -> str:
    """Describes why the loss of the untrained network is too high; an empty string if it is not."""
    some = slice(0, RECALIBRATION_IMAGES)
    loss = diagnosis.start_loss(y[some], predict_logits(network, x[some]))
    return diagnosis.doubts_about_start(loss, network.output_shape[-1])


def _compiled_copy(
    network: keras.Model,
    config: TrainConfig,
    batches: Batches,
    devices: Devices,
    image_u8: np.ndarray,
) -> keras.Model:
    """Copies the network that is kept, with its weights, and compiles the copy for the batches.

    Args:
        network: The network that is kept.
        config: Configuration of the run.
        batches: What the copy is trained on.
        devices: The devices to train on.
        image_u8: Any training image, uint8, shape (1, H, W).
    """
    on_device = isinstance(batches, DeviceBatches)
    model = training_copy(
        network,
        devices=devices.count,
        mixed_precision=config.mixed_precision,
        several_steps=on_device,
    )
    has_groups = batches.photos is not None
    _compile(model, config, soft=batches.targets.ndim > 1, has_groups=has_groups)
    if on_device:  # builds the metrics, which Keras would do with the steps of a call
        model.test_on_batch(as_input(image_u8), batches.targets[:1], batches.factors[:1])
    if keras.backend.backend() == "jax" and devices.count == 1:
        _wait_for_each_call(model)
    return model


def _mixed(weights: list[np.ndarray], initial: list[np.ndarray], share: float) -> list[np.ndarray]:
    """Mixes the weights with a share of the initial ones; batch-norm is recalibrated afterwards."""
    if not share:
        return weights
    pairs = zip(weights, initial, strict=True)
    return [(1 - share) * after + share * before for after, before in pairs]


def _compile(model: keras.Model, config: TrainConfig, *, soft: bool, has_groups: bool) -> None:
    """Gives the network its optimizer and its loss; see `losses.loss_and_accuracy`."""
    loss, accuracy = loss_and_accuracy(soft=soft, has_groups=has_groups)
    model.compile(
        optimizer=make_optimizer(config),
        loss=loss,
        metrics=[accuracy],
        # Keras' "auto" would choose XLA, whose convolutions are several times slower on a CPU.
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)


def _wait_for_each_call(model: keras.Model) -> None:
    """Lets Ctrl-C arrive while JAX computes.

    Keras would wait for the results in NumPy's conversion, in which an exception of a signal can get lost.
    """
    import jax

    model.make_train_function()
    take_steps = model.train_function
    model.train_function = lambda state, data: jax.block_until_ready(take_steps(state, data))


class _Steps(keras.callbacks.Callback):
    """Follows the steps of an epoch: reports them, saves now and then, and keeps the sums and weights.

    Attributes:
        whole: The sums over all steps of the last epoch.
        weights: The weights at its end, before Keras puts the moving average in their place.
    """

    def __init__(
        self,
        state: State,
        batches: Batches,
        checkpoint: Path | None,
        save_every_s: float,
        on_step: OnStep,
    ) -> None:
        super().__init__()
        self.state, self.batches = state, batches
        self.checkpoint, self.save_every_s, self.report = checkpoint, save_every_s, on_step

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.saved = time.perf_counter()
        self.so_far = self.state.partial

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        of = self.batches.steps
        done = min(of, self.batches.first_step + (batch + 1) * self.batches.steps_per_call)
        if self.checkpoint and time.perf_counter() - self.saved > self.save_every_s and done < of:
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()  # until then the variables hold the epoch's first values
            steps = done - self.batches.first_step
            images = steps * self.state.config.batch_size
            self.state.partial = self.so_far.and_then(steps, images, logs)
            self.state.save(self.checkpoint)
            self.saved = time.perf_counter()
        self.report(len(self.state.history) + 1, done, of)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        images = len(self.batches.order) - self.so_far.images
        steps = self.batches.steps - self.batches.first_step
        self.whole = self.so_far.and_then(steps, images, logs)
        self.weights = self.model.get_weights()
