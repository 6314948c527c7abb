"""The training loop: best weights by weighted validation loss, exact resume, a clean Ctrl-C.

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
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge import metrics
from edge.errors import DataError, OptionError
from edge.files import write_bytes
from train.augmentation import Augmentation, augment
from train.batch_norm import Recalibration
from train.data import as_input
from train.networks import network_named

FALLS_AT = (0.65, 0.85)  # shares of a run's epochs after which the learning rate has fallen

# Reported after each batch: epoch (from 1), step (from 1), steps of an epoch.
OnStep = Callable[[int, int, int], None]
OnEpoch = Callable[[list["Epoch"]], None]  # the history so far


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a run does; the same config and data give the same weights.

    Attributes:
        network: Name in the registry.
        class_weights: Factor of the loss by label, all labels, in the order of their numbers.
        augmentation: Random changes of the training images.
        epochs: At most.
        batch_size: Images a step.
        learning_rate: Of Adam at the start.
        seed: Of initial weights, order of images, augmentation and dropout.
        reduce_after: Epochs without a better validation loss before the learning rate falls; at the latest
            it falls after the shares `FALLS_AT` of the epochs, so that a run of any length ends on small
            steps.
        reduce_by: Factor of the learning rate then.
        stop_after: Epochs without a better validation loss before training stops.
    """

    network: str
    class_weights: dict[str, float]
    augmentation: Augmentation
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    reduce_after: int = 2
    reduce_by: float = 0.3
    stop_after: int = 5

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be trained with."""
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                option = "--" + name.replace("_", "-")
                raise OptionError(f"{option} must be above 0, got {getattr(self, name)}.")

    def highest_rate(self, epochs_done: int) -> float:
        """The largest learning rate that is still allowed after so many epochs."""
        falls = sum(epochs_done >= share * self.epochs for share in FALLS_AT)
        return self.learning_rate * self.reduce_by**falls


@dataclass(frozen=True)
class Epoch:
    """One line of the history.

    Attributes:
        epoch: Number, from 1.
        learning_rate: During this epoch.
        seconds: Wall time with validation.
        loss: Mean weighted cross entropy over the augmented training images, with dropout, in nats.
        accuracy: On the same, unweighted.
        val_loss: Weighted mean cross entropy on the validation images: the loss that selects.
        val_accuracy: Unweighted.
        val_recall: Recall per class on the validation images, in the order of the labels; None for a
            class without any.
        best: Whether this epoch has the lowest val_loss so far.
    """

    epoch: int
    learning_rate: float
    seconds: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_recall: list[float | None]
    best: bool


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
    checkpoint: Path | None = None,
    on_step: OnStep = lambda epoch, step, steps: None,
    on_epoch: OnEpoch = lambda history: None,
) -> TrainResult:
    """Trains a network, or goes on with it where a checkpoint lies.

    Args:
        config: What to train and how.
        x: uint8 images to train on, shape (N, 28, 28).
        y: Their class numbers, shape (N,).
        x_validation: uint8 images that select, shape (M, 28, 28).
        y_validation: Their class numbers, shape (M,).
        checkpoint: Written after every epoch; if it exists, training goes on from it.
        on_step: Called after every batch.
        on_epoch: Called after every epoch with the history so far.

    Returns:
        The network with the weights of the epoch with the lowest weighted validation loss. Ctrl-C ends
        training early and returns the best so far.

    Raises:
        DataError: If the checkpoint belongs to another configuration.
        OptionError: If no epoch had a finite loss.
        KeyboardInterrupt: If Ctrl-C comes before the first epoch is done.
    """
    network = network_named(config.network)
    make_deterministic(config.seed)
    model = network.build(len(config.class_weights))
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # Keras' "auto" would choose XLA, whose convolutions are several times slower on a CPU.
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)
    weights = np.array(list(config.class_weights.values()), np.float32)
    batches = _Batches(config, x, y, weights)
    state = _State(config, model)
    if checkpoint and checkpoint.exists():
        state.restore(checkpoint)
    keeper = _Keeper(
        state,
        batches,
        Recalibration(model, x),
        x_validation,
        y_validation,
        weights,
        checkpoint,
        on_epoch,
    )
    progress = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: on_step(
            state.epochs_done + 1, batch + 1, len(batches)
        )
    )
    ended = state.ended(config)
    try:
        if not ended:
            model.fit(
                batches,
                initial_epoch=state.epochs_done,
                epochs=config.epochs,
                shuffle=False,  # the batches come in the order of their epoch
                callbacks=[keeper, progress],
                verbose=0,
            )
        ended = state.ended(config)
    except KeyboardInterrupt:
        if state.best is None:
            raise
        ended = "interrupted"
    if state.best is None:
        raise OptionError(
            f"The loss of {config.network} was never a finite number; try a smaller --learning-rate than "
            f"{config.learning_rate:g}."
        )
    finished = network.build(len(config.class_weights))
    finished.set_weights(state.best)
    return TrainResult(finished, state.history, ended)


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
        self, config: TrainConfig, x: np.ndarray, y: np.ndarray, weights: np.ndarray
    ) -> None:
        super().__init__()
        self.config, self.x, self.y, self.weights = config, x, y, weights
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Shuffles for an epoch, counted from 0."""
        self.epoch = epoch
        self.order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.x))

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.config.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = self.config.batch_size
        chosen = self.order[step * size : (step + 1) * size]
        rng = np.random.default_rng([self.config.seed, self.epoch, step])
        images = augment(self.x[chosen], self.config.augmentation, rng)
        y = self.y[chosen].astype(np.int32)
        return as_input(images), y, self.weights[y]


@dataclass
class _State:
    """Everything that changes during a run, and its way to a checkpoint and back."""

    config: TrainConfig
    model: keras.Model
    history: list[Epoch] = field(default_factory=list)
    best: list[np.ndarray] | None = None

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

    def ended(self, config: TrainConfig) -> str:
        """Why training is over, or an empty string while it is not."""
        if self.epochs_since_best >= config.stop_after:
            return f"no better for {config.stop_after} epochs"
        return "all epochs done" if self.epochs_done >= config.epochs else ""

    def save(self, path: Path) -> None:
        arrays = {f"model_{i}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        for i, variable in enumerate(self.model.optimizer.variables):
            arrays[f"optimizer_{i}"] = np.asarray(variable)
        for i, array in enumerate(self.best or []):
            arrays[f"best_{i}"] = array
        document = {
            "config": asdict(self.config),
            "history": [asdict(epoch) for epoch in self.history],
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
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(_cannot_resume(path, error)) from error
        count = sum(name.startswith("best_") for name in arrays)
        self.best = [arrays[f"best_{i}"] for i in range(count)]


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
        theirs, ours = document["config"], json.loads(json.dumps(asdict(config)))
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


class _Keeper(keras.callbacks.Callback):
    """What follows every epoch: settle batch-norm, validate, keep the best, lower the rate, save, stop."""

    def __init__(
        self,
        state: _State,
        batches: _Batches,
        recalibration: Recalibration,
        x_validation: np.ndarray,
        y_validation: np.ndarray,
        weights: np.ndarray,
        checkpoint: Path | None,
        on_epoch: OnEpoch,
    ) -> None:
        super().__init__()
        self.state, self.batches, self.weights = state, batches, weights
        self.x_validation, self.y_validation = x_validation, y_validation
        self.recalibration = recalibration
        self.checkpoint, self.report = checkpoint, on_epoch

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.batches.start_epoch(epoch)
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        config, optimizer = self.state.config, self.model.optimizer
        y = self.y_validation
        # A network that diverged needs no warning: it is never the best one.
        with np.errstate(over="ignore", invalid="ignore"):
            self.recalibration.apply()
            logits = predict_logits(self.model, self.x_validation)
            val_loss = metrics.log_loss(y, logits, self.weights[y])
        matrix = metrics.confusion_matrix(y, logits.argmax(axis=1), len(self.weights))
        # Written so that a loss that is no number is never the best one.
        best = val_loss < min(
            (past.val_loss for past in self.state.history if past.best), default=math.inf
        )
        if best:
            self.state.best = self.model.get_weights()
        done = Epoch(
            epoch=epoch + 1,
            learning_rate=float(np.asarray(optimizer.learning_rate)),
            seconds=time.perf_counter() - self.started,
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            val_loss=val_loss,
            val_accuracy=metrics.accuracy(matrix),
            val_recall=[metrics.defined(recall) for recall in metrics.recall_per_class(matrix)],
            best=best,
        )
        self.state.history.append(done)
        rate = done.learning_rate
        if self.state.epochs_since_change >= config.reduce_after:
            rate *= config.reduce_by
        optimizer.learning_rate.assign(min(rate, config.highest_rate(done.epoch)))
        if self.checkpoint:
            self.state.save(self.checkpoint)
        if self.state.ended(config):
            self.model.stop_training = True
        self.report(self.state.history)
