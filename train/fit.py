"""The training loop: selection by weighted validation loss, exact resume, a clean Ctrl-C.

What an epoch sees depends on (seed, epoch, step) alone, and everything that changes (weights, optimizer,
random state of the dropout layers, schedule, best weights so far) is in one checkpoint file. So a run
that was broken off and resumed takes the same steps as one that was not.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.files import write_bytes
from garmentlite.train import adapt, diagnosis
from garmentlite.train.adapt import PhotoFigures, PhotoSet
from garmentlite.train.augmentation import augment
from garmentlite.train.batch_norm import RECALIBRATION_IMAGES, Recalibration
from garmentlite.train.data import as_input
from garmentlite.train.distribution import ONE_DEVICE, Devices
from garmentlite.train.muon import ConvMuon
from garmentlite.train.networks import network_named
from garmentlite.train.recipe import Recipe
from garmentlite.train.training_copy import training_copy

SAVE_EVERY_S = 60  # of training within an epoch
RESTING_IS_CHOSEN_EVERY = 3  # epochs; it costs a look at all training images

# Reported after each batch: epoch (from 1), step (from 1), steps of an epoch.
OnStep = Callable[[int, int, int], None]
OnEpoch = Callable[[list["Epoch"]], None]  # the history so far
OnDoubt = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Recipe):
    """Everything that decides what a run does; the same config and data give the same weights.

    Attributes:
        network: Name in the registry.
        class_weights: Factor of the loss by label, all labels, in the order of their numbers.
        seed: Of initial weights, order of images, augmentation and dropout.
        teacher: SHA-256 of each network whose answers are learned with the labels; see `train`.
        mixed_precision: Whether to compute in bfloat16; the weights, and what is kept of them, stay float32.
        init_sha256: Of the file whose weights it begins with; empty where it begins with random ones.
        photos_sha256: Of the photographs; empty where there are none.
    """

    network: str
    class_weights: dict[str, float]
    seed: int
    teacher: tuple[str, ...] = ()
    mixed_precision: bool = False
    init_sha256: str = ""
    photos_sha256: str = ""


@dataclass(frozen=True)
class Epoch:
    """One line of the history.

    Attributes:
        epoch: Number, from 1.
        learning_rate: During this epoch.
        seconds: Wall time with validation.
        loss: Mean weighted cross entropy over the augmented training images, with dropout, in nats; with
            soft targets the least it can be is their entropy.
        accuracy: On the same, unweighted; an image of none of the classes counts as right.
        train_loss: Weighted mean cross entropy on some clean training images, as `val_loss` is measured.
        train_accuracy: On the same, unweighted.
        val_loss: Weighted mean cross entropy on the validation images: the loss that selects.
        val_accuracy: Unweighted.
        val_recall: Recall per class on the validation images, in the order of the labels; None for a
            class without any.
        best: Whether this epoch's weights were the ones to keep: it has the lowest selection loss so far, or
            the schedule is one whose last epoch is kept.
        photo_loss: As `val_loss`, of the photographs held out, where there are other images beside them.
        photo_accuracy: Share of them that is recognised; one without a garment is not.
        photo_recall: The same by group.
    """

    epoch: int
    learning_rate: float
    seconds: float
    loss: float
    accuracy: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_recall: list[float | None]
    best: bool
    photo_loss: float | None = None
    photo_accuracy: float | None = None
    photo_recall: list[float | None] | None = None

    @property
    def selection_loss(self) -> float:
        """By which the weights are chosen: `val_loss`, or its mean with `photo_loss`."""
        return self.val_loss if self.photo_loss is None else (self.val_loss + self.photo_loss) / 2


@dataclass
class TrainResult:
    """What a run ended with.

    Attributes:
        model: The network with its best weights, not compiled.
        history: One entry per epoch that was finished.
        ended: Why: "all epochs done", "no better for N epochs" or "interrupted".
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
    photos: PhotoSet | None = None,
    init: Sequence[np.ndarray] = (),
    checkpoint: Path | None = None,
    save_every_s: float = SAVE_EVERY_S,
    devices: Devices = ONE_DEVICE,
    on_step: OnStep = lambda epoch, step, steps: None,
    on_epoch: OnEpoch = lambda history: None,
    on_doubt: OnDoubt = lambda sentence: None,
) -> TrainResult:
    """Trains a network, or goes on with it where a checkpoint lies.

    Args:
        config: What to train and how.
        x: uint8 images to train on, shape (N, 28, 28).
        y: Their class numbers, shape (N,).
        x_validation: uint8 images that select, shape (M, 28, 28).
        y_validation: Their class numbers, shape (M,).
        teacher: Probabilities that are learned in place of the labels, float32, shape (N, C); see
            `distillation.soft_targets`.
        photos: Photographs to train on together with the images. Where they are alone, `x` and `y` are
            those to train on, and `x_validation` and `y_validation` those held out, as the device makes
            them. Where none is held out, the last epoch is kept.
        init: Weights to begin with, those of the first layers; the others are random.
        checkpoint: Written after every epoch and, in a long one, every `save_every_s`; if it exists,
            training goes on from it.
        save_every_s: Seconds.
        devices: Where to train.
        on_step: Called after every batch.
        on_epoch: Called after every epoch with the history so far.
        on_doubt: Called with a sentence where images, labels or network look wrong before the first step.

    Returns:
        The network with the weights of the epoch with the lowest selection loss; with the schedule
        "cosine" of the last epoch. Ctrl-C ends training early and returns what would be kept so far.

    Raises:
        DataError: If images and labels do not fit, or the checkpoint belongs to another configuration.
        OptionError: If images are to rest while there are photographs.
        TrainingError: If the loss is no number or the network stays at chance; with the likely cause.
        KeyboardInterrupt: If Ctrl-C comes before the first epoch is done.
    """
    network, classes = network_named(config.network), len(config.class_weights)
    diagnosis.require_trainable(x, y, x_validation, y_validation, classes)
    if photos and config.rest:
        raise OptionError("Easy images rest only where there are no photographs; set rest to 0.")
    alone = photos is not None and photos.alone  # then there are too few images to tell chance by
    make_deterministic(config.seed)
    kept = network.build(classes)  # what is validated and saved
    kept.set_weights([*init, *kept.get_weights()[len(init) :]])
    begun_with = kept.get_weights()
    doubts = ""
    if not alone:
        doubts = diagnosis.doubts_about_labels(x, y, x_validation, y_validation, classes)
    if not doubts:
        some = slice(0, RECALIBRATION_IMAGES)
        loss = diagnosis.start_loss(y[some], predict_logits(kept, x[some]))
        doubts = diagnosis.doubts_about_start(loss, classes)
    if doubts:
        on_doubt(doubts)
    with devices.in_use():
        model = training_copy(kept, devices=devices.count, mixed_precision=config.mixed_precision)
        _compile(model, config, soft=teacher is not None, has_groups=photos is not None)
    weights = np.array(list(config.class_weights.values()), np.float32)
    batches = _Batches(config, x, y, weights, teacher, devices, photos)
    state = _State(config, model)
    if checkpoint and checkpoint.exists():
        state.restore(checkpoint)
    judge = _Judge(config, kept, x, y, x_validation, y_validation, weights, photos)
    steps = _Steps(state, batches, checkpoint, save_every_s, on_step)
    try:
        while not state.ended():
            started = time.perf_counter()
            batches.start_epoch(state.epochs_done, state.partial.steps, state.losses)
            model.optimizer.learning_rate.assign(state.next_rate())
            with devices.in_use():
                model.fit(batches, shuffle=False, callbacks=[steps], verbose=0)
            averaged = model.get_weights()  # where the recipe says so
            kept.set_weights(_with_start(averaged, begun_with, config.start_share))
            model.set_weights(steps.weights)
            judge.finish_epoch(state, steps, started)
            if checkpoint:
                state.save(checkpoint)
            on_epoch(state.history)
            # Of one epoch, only a loss that is no number is refused.
            judged = state.history[-1:] if alone else state.history
            diagnosis.require_progress(judged, classes, len(x_validation), judge.answers, doubts)
        ended = state.ended()
    except KeyboardInterrupt:
        if state.best is None:
            raise
        ended = "interrupted"
    assert state.best is not None  # the first epoch with a finite loss is the best so far
    kept.set_weights(state.best)
    return TrainResult(kept, state.history, ended)


def _with_start(
    weights: list[np.ndarray], begun_with: list[np.ndarray], share: float
) -> list[np.ndarray]:
    """Weights with a share of those that the run began with; batch-norm is settled afterwards."""
    if not share:
        return weights
    pairs = zip(weights, begun_with, strict=True)
    return [(1 - share) * after + share * before for after, before in pairs]


def _compile(model: keras.Model, config: TrainConfig, *, soft: bool, has_groups: bool) -> None:
    """Gives the model its optimizer and loss.

    Args:
        model: Untrained.
        config: Of the run.
        soft: Whether the targets are probabilities by their kind.
        has_groups: Whether a target may be several classes, of which one is right; see `_loss_of_groups`.
    """
    averaging = {"use_ema": True, "ema_momentum": config.averaging} if config.averaging else {}
    decay = config.weight_decay or None
    options = {"weight_decay": decay, **averaging}
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            config.learning_rate, momentum=0.9, nesterov=True, **options
        )
    elif config.optimizer == "muon":
        optimizer = ConvMuon(config.learning_rate, **options)
    else:
        optimizer = keras.optimizers.Adam(config.learning_rate, **options)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    accuracy: Any = "accuracy"
    if has_groups:
        loss: Any = _loss_of_groups
        accuracy = keras.metrics.MeanMetricWrapper(_hits_of_groups, name="accuracy")
    elif soft or config.label_smoothing:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=[accuracy],
        # Keras' "auto" would choose XLA, whose convolutions are several times slower on a CPU.
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)


def _loss_of_groups(y_true: Any, logits: Any) -> Any:
    """Cross entropy; where several classes are right, of the sum of their probabilities.

    Args:
        y_true: Tensor, shape (N, C). A row is a distribution, or has a 1 for every class of a group.
        logits: Tensor, shape (N, C).

    Returns:
        Tensor, shape (N,), in nats.
    """
    ops = keras.ops
    logits = ops.cast(logits, y_true.dtype)
    of_group = ops.logsumexp(ops.where(y_true > 0, logits, -1e9), axis=-1)
    expected = ops.sum(y_true * logits, axis=-1)
    is_group = ops.sum(y_true, axis=-1) > 1.5  # a distribution sums to 1, a group to 2 or more
    return ops.logsumexp(logits, axis=-1) - ops.where(is_group, of_group, expected)


def _hits_of_groups(y_true: Any, logits: Any) -> Any:
    """Whether the answer is the likeliest class, or one of a group: tensor of 0 and 1, shape (N,)."""
    ops = keras.ops
    answer = ops.one_hot(ops.argmax(logits, axis=-1), y_true.shape[-1], dtype=y_true.dtype)
    return ops.cast(ops.sum(answer * y_true, axis=-1) >= ops.max(y_true, axis=-1), y_true.dtype)


def make_deterministic(seed: int) -> None:
    """Seeds Python, NumPy and the backend, and asks TensorFlow for repeatable operators."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def device_description() -> str:
    """What training runs on, for people: backend, its version, and the processors it found."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        devices = jax.devices()
        kinds = sorted({device.device_kind for device in devices})
        return f"JAX {version('jax')} on {len(devices)} x {', '.join(kinds)}"
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
        where = ", ".join(gpus) if gpus else f"the CPU ({os.cpu_count()} cores)"
        return f"TensorFlow {tf.__version__} on {where}"
    return f"Keras backend {backend}"


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {"python": platform.python_version(), "keras": keras.__version__}
    found["numpy"] = np.__version__
    backend = keras.backend.backend()
    return found | {"backend": backend, backend: version(backend)}


def predict_logits(model: keras.Model, images_u8: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Float32 logits of uint8 images, shape (N, C).

    Args:
        model: A network by the contract: input pixel / 255, output logits.
        images_u8: Shape (N, H, W).
        batch_size: Images a step.
    """
    steps = [
        np.asarray(model.predict_on_batch(as_input(images_u8[start : start + batch_size])))
        for start in range(0, len(images_u8), batch_size)
    ]
    return np.concatenate(steps).astype(np.float32)


class _Batches(keras.utils.PyDataset):
    """Augmented, weighted batches; batch i of an epoch depends on (seed, epoch, i) alone."""

    def __init__(
        self,
        config: TrainConfig,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        teacher: np.ndarray | None = None,
        devices: Devices = ONE_DEVICE,
        photos: PhotoSet | None = None,
    ) -> None:
        super().__init__()
        self.config, self.x, self.weights, self.devices = config, x, weights, devices
        self.factors = weights[y]
        self.targets = y.astype(np.int32)
        self.rows = np.arange(len(x))  # of an epoch, in order; photographs come after the images
        self.photos = photos
        if teacher is not None or config.label_smoothing or photos:
            classes = len(weights)
            soft = np.eye(classes, dtype=np.float32)[y] if teacher is None else teacher
            share = config.label_smoothing
            self.targets = (soft * (1 - share) + share / classes).astype(np.float32)
        if photos:
            self._add(photos)
        self.start_epoch(0)

    def _add(self, photos: PhotoSet) -> None:
        """Puts photographs after the images, or, where they are alone, in their place."""
        if photos.alone:
            self.x, self.rows = self.x[:0], self.rows[:0]
            self.factors, self.targets = self.factors[:0], self.targets[:0]
        members = photos.members.astype(np.float32)
        is_class, share = members.sum(axis=1) == 1, self.config.label_smoothing
        members[is_class] = members[is_class] * (1 - share) + np.float32(share / members.shape[1])
        factors = adapt.group_weights(photos, self.weights)
        more = np.repeat(np.arange(len(photos.y)) + len(self.x), photos.repeats)
        self.rows = np.concatenate([self.rows, more])
        self.targets = np.concatenate([self.targets, members[photos.y]])
        self.factors = np.concatenate([self.factors, factors[photos.y]])
        if photos.outliers_shown:  # one number stands for all of them, and no class is their target
            rows = np.full(photos.outliers_shown, len(self.targets))
            nothing = np.full((1, len(self.weights)), 1 / len(self.weights), np.float32)
            self.rows = np.concatenate([self.rows, rows])
            self.targets = np.concatenate([self.targets, nothing])
            self.factors = np.append(self.factors, np.float32(adapt.OUTLIER_FACTOR))

    def start_epoch(
        self, epoch: int, first_step: int = 0, losses: np.ndarray | None = None
    ) -> None:
        """Shuffles for an epoch, counted from 0; the first steps may be skipped.

        Args:
            epoch: Counted from 0.
            first_step: How many steps of the epoch are already done.
            losses: Of every image, shape (N,): where easy images rest, by which they are called easy.
        """
        self.epoch, self.first_step = epoch, first_step
        rng = np.random.default_rng([self.config.seed, epoch])
        self.order = rng.permutation(self.rows)
        if self.photos:
            is_image = self.order < len(self.x)
            self.order = self.order[~is_image | (np.cumsum(is_image) <= self.photos.beside)]
        self.images = len(self.order)  # that the losses of the epoch count for
        self.counts_for = np.ones(len(self.factors), np.float32)
        if losses is not None and self.config.rests_in(epoch):
            easy = losses < losses.mean()
            rests = easy & (rng.random(len(self.x)) < self.config.rest)
            self.counts_for[easy] = 1 / (1 - self.config.rest)
            self.order = self.order[~rests[self.order]]
        if (
            left_over := len(self.order) % self.devices.count
        ):  # the last batch is split evenly as well
            self.order = self.order[:-left_over]

    @property
    def steps(self) -> int:
        """Of the whole epoch."""
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
        """The images with these numbers; of each photograph one of its variants, of outliers any."""
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
            images[is_outlier] = outliers[rng.integers(len(outliers), size=int(is_outlier.sum()))]
        return images


@dataclass
class _Partial:
    """How far the current epoch is, and the sums of what it will be reported with."""

    steps: int = 0
    images: int = 0
    loss: float = 0.0
    accuracy: float = 0.0

    def and_then(self, steps: int, images: int, logs: dict[str, Any]) -> _Partial:
        """This part and the steps after it, whose means are in `logs`."""
        return _Partial(
            self.steps + steps,
            self.images + images,
            self.loss + float(logs["loss"]) * images,
            self.accuracy + float(logs["accuracy"]) * images,
        )


@dataclass
class _State:
    """Everything that changes during a run, and its way to a checkpoint and back."""

    config: TrainConfig
    model: keras.Model
    history: list[Epoch] = field(default_factory=list)
    best: list[np.ndarray] | None = None
    losses: np.ndarray | None = None  # of every training image, where easy ones rest
    partial: _Partial = field(default_factory=_Partial)

    @property
    def epochs_done(self) -> int:
        return len(self.history)

    @property
    def epochs_since_best(self) -> int:
        return next((i for i, epoch in enumerate(reversed(self.history)) if epoch.best), 0)

    @property
    def epochs_since_change(self) -> int:
        """Epochs since the best one or since the learning rate fell, whichever is later."""
        rates = [epoch.learning_rate for epoch in self.history]
        same_rate = next(
            (i for i, rate in enumerate(reversed(rates)) if rate != rates[-1]), len(rates)
        )
        return min(self.epochs_since_best, same_rate)

    def next_rate(self) -> float:
        """Learning rate of the epoch that comes."""
        highest = self.config.rate_at(self.epochs_done)
        if self.config.schedule != "plateau" or not self.history:
            return highest
        rate = self.history[-1].learning_rate
        if self.epochs_since_change >= self.config.reduce_after:
            rate *= self.config.reduce_by
        return min(rate, highest)

    def ended(self) -> str:
        """Why training is over, or an empty string while it is not."""
        stop_after = self.config.stop_after
        if self.config.schedule == "plateau" and self.epochs_since_best >= stop_after:
            return f"no better for {stop_after} epochs"
        return "all epochs done" if self.epochs_done >= self.config.epochs else ""

    def save(self, path: Path) -> None:
        arrays = {f"model_{i}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        for i, variable in enumerate(self.model.optimizer.variables):
            arrays[f"optimizer_{i}"] = np.asarray(variable)
        for i, array in enumerate(self.best or []):
            arrays[f"best_{i}"] = array
        if self.losses is not None:
            arrays["losses"] = self.losses
        document = {
            "config": asdict(self.config),
            "history": [asdict(epoch) for epoch in self.history],
            "partial": asdict(self.partial),
        }
        arrays["document"] = np.array(json.dumps(document))
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_bytes(path, buffer.getvalue())

    def restore(self, path: Path) -> None:
        arrays, document = _read_checkpoint(path, self.config)
        try:
            for i, variable in enumerate(self.model.variables):
                variable.assign(arrays[f"model_{i}"])
            for i, variable in enumerate(self.model.optimizer.variables):
                variable.assign(arrays[f"optimizer_{i}"])
            self.history = [Epoch(**epoch) for epoch in document["history"]]
            self.partial = _Partial(**document["partial"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(_cannot_resume(path, error)) from error
        count = sum(name.startswith("best_") for name in arrays)
        self.best = [arrays[f"best_{i}"] for i in range(count)] or None
        self.losses = arrays.get("losses")


def require_resumable(config: TrainConfig, checkpoint: Path) -> None:
    """Raises DataError if a checkpoint cannot be read or was made with another configuration."""
    _read_checkpoint(checkpoint, config)


def _read_checkpoint(
    path: Path, config: TrainConfig
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        document = json.loads(str(arrays["document"]))
        # What a checkpoint of an earlier version does not name was as it is by default.
        defaults = {one.name: one.default for one in fields(config) if one.default is not MISSING}
        both = defaults | document["config"], asdict(config)
        theirs, ours = (json.loads(json.dumps(one)) for one in both)
        different = [name for name in ours if name != "epochs" and ours[name] != theirs.get(name)]
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise DataError(_cannot_resume(path, error)) from error
    # More epochs than before are welcome: that is a way to go on with a run.
    for name in different:
        raise DataError(
            f"{path} was made with {name} = {theirs.get(name)}, now it is {ours[name]}; "
            "resume with the same options, or choose another folder with -o."
        )
    return arrays, document


def _cannot_resume(path: Path, error: Exception) -> str:
    return (
        f"{path} is not a checkpoint that can be resumed ({error}); delete the run's folder or start "
        "anew with --force."
    )


class _Steps(keras.callbacks.Callback):
    """What follows every step: report, and save now and then; and what an epoch leaves behind."""

    def __init__(
        self,
        state: _State,
        batches: _Batches,
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
        done, of = self.batches.first_step + batch + 1, self.batches.steps
        if self.checkpoint and time.perf_counter() - self.saved > self.save_every_s and done < of:
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()  # until then the variables hold the epoch's first values
            images = (batch + 1) * self.state.config.batch_size
            self.state.partial = self.so_far.and_then(batch + 1, images, logs)
            self.state.save(self.checkpoint)
            self.saved = time.perf_counter()
        self.report(self.state.epochs_done + 1, done, of)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        images = len(self.batches.order) - self.so_far.images
        self.whole = self.so_far.and_then(len(self.batches), images, logs)
        # After this, Keras puts the averaged weights, if there are any, in place of these.
        self.weights = self.model.get_weights()


class _Judge:
    """What follows every epoch: settle batch-norm, validate, keep the best."""

    def __init__(
        self,
        config: TrainConfig,
        model: keras.Model,
        x: np.ndarray,
        y: np.ndarray,
        x_validation: np.ndarray,
        y_validation: np.ndarray,
        weights: np.ndarray,
        photos: PhotoSet | None = None,
    ) -> None:
        self.config, self.model, self.class_weights = config, model, weights
        self.x, self.y, self.photos = x, y, photos
        self.x_validation, self.y_validation = x_validation, y_validation
        self.recalibration = Recalibration(model, _settling_images(config, x, photos))
        self.answers = 0  # how many different classes the network named on the validation images

    def finish_epoch(self, state: _State, steps: _Steps, started: float) -> None:
        """Adds the epoch, whose weights the network to be judged has, to the history."""
        some = slice(0, RECALIBRATION_IMAGES)
        # A network that diverged needs no warning: it is never the best one.
        with np.errstate(over="ignore", invalid="ignore"):
            self.recalibration.apply()
            train_loss, train_matrix = self._measure(self.x[some], self.y[some])
            val_loss, matrix = self._measure(self.x_validation, self.y_validation)
            figures = self._measure_photos()
        self.answers = int(np.count_nonzero(matrix.sum(axis=0)))
        done = state.epochs_done + 1
        if self.config.rests_in(done) and done % RESTING_IS_CHOSEN_EVERY == 0:
            state.losses = _losses(self.y, predict_logits(self.model, self.x))
        epoch = Epoch(
            epoch=done,
            learning_rate=float(np.asarray(state.model.optimizer.learning_rate)),
            seconds=time.perf_counter() - started,
            # Over all images: those that were seen count for those that rested.
            loss=steps.whole.loss / steps.batches.images,
            accuracy=steps.whole.accuracy / steps.whole.images,
            train_loss=train_loss,
            train_accuracy=metrics.accuracy(train_matrix),
            val_loss=val_loss,
            val_accuracy=metrics.accuracy(matrix),
            val_recall=[metrics.defined(recall) for recall in metrics.recall_per_class(matrix)],
            best=False,
        )
        if figures and self.photos and self.photos.alone:  # those without a garment count here too
            epoch = replace(epoch, val_accuracy=figures.accuracy, val_recall=figures.recall)
        elif figures:
            epoch = replace(
                epoch,
                photo_loss=figures.loss,
                photo_accuracy=figures.accuracy,
                photo_recall=figures.recall,
            )
        lowest = min((past.selection_loss for past in state.history if past.best), default=math.inf)
        # The last epoch is kept where the schedule ends in it, and where nothing tells how photographs fare.
        if self.config.schedule == "cosine" or (self.photos and not figures):
            lowest = math.inf
        # Written so that a loss that is no number is never the best one.
        if epoch.selection_loss < lowest:
            epoch = replace(epoch, best=True)
            state.best = self.model.get_weights()
        state.history.append(epoch)
        state.partial = _Partial()

    def _measure(self, images_u8: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        logits = predict_logits(self.model, images_u8)
        loss = metrics.log_loss(y, logits, self.class_weights[y])
        return loss, metrics.confusion_matrix(y, logits.argmax(axis=1), len(self.class_weights))

    def _measure_photos(self) -> PhotoFigures | None:
        """What the photographs held out say; None where there are none."""
        if self.photos is None or not len(self.photos.y_validation):
            return None
        logits = predict_logits(self.model, self.photos.validation_u8)
        return adapt.measure(self.photos, logits, self.class_weights)


def _settling_images(config: TrainConfig, x: np.ndarray, photos: PhotoSet | None) -> np.ndarray:
    """Clean training images that batch-norm is settled by, uint8; with photographs in their share."""
    if photos is None:
        return x
    if photos.alone:
        return photos.sample(RECALIBRATION_IMAGES, config.seed)
    some = photos.sample(round(RECALIBRATION_IMAGES * adapt.PHOTO_SHARE), config.seed)
    return np.concatenate([some, x[: RECALIBRATION_IMAGES - len(some)]])


def _losses(y: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Cross entropy of every image, float32, shape (N,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(y)), y]
    return (np.log(np.exp(shifted).sum(axis=1)) - own).astype(np.float32)
