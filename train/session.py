"""Runs a whole training from a typed request, from the data to the files of the run.

This module itself imports no training backend. A request is checked as far as possible before the backend is
started, and the folder of the run is touched after everything else has been checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.callbacks import OnStageProgress, Say, ignore_stage_progress, say_nothing
from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.opencv import load_opencv, use_one_thread
from garmentlite.edge.segmenters.registry import DEFAULT_SEGMENTER, make_segmenter
from garmentlite.edge.text_table import text_table
from garmentlite.train import (
    backend,
    class_weights,
    collection,
    diagnosis,
    photo_figures,
    photo_set,
    rooms,
    runs,
    target_recall,
    tiles,
)
from garmentlite.train.collection import Collection, Columns
from garmentlite.train.data import MD5, FashionMnist, load, validation_split
from garmentlite.train.held_variants import read_backgrounds
from garmentlite.train.history import Epoch
from garmentlite.train.photo_set import PhotoSet
from garmentlite.train.recipe import Recipe, adapted
from garmentlite.train.stored_photos import write_photos

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter
    from garmentlite.train.config import TrainConfig
    from garmentlite.train.distillation import ConsistentTeacher, Teacher
    from garmentlite.train.distribution import Devices
    from garmentlite.train.fit import TrainResult
    from garmentlite.train.initial_weights import InitialWeights

DEFAULT_NETWORK = "weighted-cnn"


@dataclass(frozen=True, kw_only=True)
class PhotoRequest:
    """The photographs of a training, and how they are used.

    Attributes:
        source: A folder with a subfolder for each class, or a table of files and labels.
        columns: Columns of a table; no contributor is both trained on and held out.
        groups: Labels that stand for several classes, each "NAME=CLASS,CLASS".
        own_classes: Whether every label becomes a class.
        folds: Number of parts that the photographs are split into.
        fold: The part that is held out, from 1; None to hold none out.
        segmenter: Name of the segmenter.
        rooms: A folder of scenes. The network learns to be unsure of its rooms, and garments are held up
            before its scenes. None for none.
    """

    source: Path
    columns: Columns = Columns()  # noqa: RUF009
    groups: tuple[str, ...] = ()
    own_classes: bool = False
    folds: int = 5
    fold: int | None = 1
    segmenter: str = DEFAULT_SEGMENTER
    rooms: Path | None = None


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What is to be trained, as `cli train` states it.

    Attributes:
        network: Name of the network; None for that of `init`, or `DEFAULT_NETWORK`.
        class_weights: "NAME=FACTOR" any number of times, or "balanced" or "none"; empty for the network's
            own weights.
        target_recall: "NAME=RECALL" any number of times; "all=RECALL" is for the other classes.
        teachers: Runs or `.keras` files whose mean answer is learned together with the labels.
        teacher_sees: "clean" if they answer about the training images as they are, "augmented" if about
            those that the network is shown.
        init: Run or `.keras` file with the initial weights.
        photos: Photographs to train on as well.
        images: Number of training images of Fashion-MNIST, drawn at random; None for all.
        mixup: Probability that an image is blended with another; None for the network's own.
        cutmix: Probability that a part of another image is pasted into an image; None for the network's own.
        epochs: Maximum number of epochs; None for the network's own.
        batch_size: Number of images in a step; None for the network's own.
        learning_rate: The highest learning rate; None for the network's own.
        seed: Seed of everything random.
        output: Folder of the run; None for runs/NETWORK, or runs/NETWORK-photo with photographs.
        resume: Whether to continue an unfinished run in the folder.
        force: Whether a run in the folder may be replaced.
        distribute: Whether to split each batch among all GPUs.
        mixed_precision: Whether to compute in bfloat16.
        images_on_device: Whether images stay on the accelerator and are changed there; None to do so
            wherever it is possible.
        tensorboard: Whether to write the history for TensorBoard as well.
        data_dir: Folder with the files of Fashion-MNIST; None to find or download them.
        command: The command line, which config.json states.
    """

    network: str | None = None
    class_weights: tuple[str, ...] = ()
    target_recall: tuple[str, ...] = ()
    teachers: tuple[Path, ...] = ()
    teacher_sees: str = "clean"
    init: Path | None = None
    photos: PhotoRequest | None = None
    images: int | None = None
    mixup: float | None = None
    cutmix: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    output: Path | None = None
    resume: bool = False
    force: bool = False
    distribute: bool = False
    mixed_precision: bool = False
    images_on_device: bool | None = None
    tensorboard: bool = False
    data_dir: Path | None = None
    command: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        names = (self.network, "photo") if self.photos else (self.network or DEFAULT_NETWORK,)
        return self.output or Path("runs") / "-".join(name for name in names if name)


@dataclass(frozen=True)
class Outcome:
    """The result of a training.

    Attributes:
        folder: Folder of the run.
        is_finished: Whether the run is finished; an interrupted one can be resumed.
        metrics: The document of metrics.json; empty if the run is not finished or was finished before.
        text: The result for people.
    """

    folder: Path
    is_finished: bool
    metrics: dict[str, Any]
    text: str


@dataclass(frozen=True)
class TrainingData:
    """The images of a training.

    Attributes:
        x: Training images, uint8, shape (N, 28, 28).
        y: Their class numbers, shape (N,).
        x_validation: Validation images, uint8, shape (M, 28, 28).
        y_validation: Their class numbers, shape (M,).
        x_test: Test images, read only when the run is over; None for photographs of other classes.
        y_test: Their class numbers.
        photos: The photographs; `x` to `y_validation` are taken from them if they are alone.
    """

    x: np.ndarray
    y: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    photos: PhotoSet | None = None


@dataclass(frozen=True)
class _Photographs:
    """The photographs of a request, labelled but not prepared yet."""

    request: PhotoRequest
    collection: Collection
    segmenter: Segmenter


@dataclass(frozen=True)
class _Plan:
    """A request that has been checked, with everything that was read for it."""

    request: TrainRequest
    labels: tuple[str, ...]
    network: str
    recipe: Recipe
    class_weights: dict[str, float]
    target_recall: dict[str, float]
    photographs: _Photographs | None
    fashion_mnist: FashionMnist | None  # None for photographs of other classes
    teacher: Teacher | None
    init: InitialWeights | None
    devices: Devices
    images_on_device: bool

    @property
    def device_description(self) -> str:
        count = self.devices.count
        together = f", each batch split in {count}" if self.request.distribute else ""
        return backend.device_description() + together


def run(
    request: TrainRequest,
    *,
    say: Say = say_nothing,
    on_progress: OnStageProgress = ignore_stage_progress,
) -> Outcome:
    """Trains a network and writes the folder of the run.

    Args:
        request: What is to be trained.
        say: Called with a sentence at each stage and after each epoch.
        on_progress: Called during the long parts.

    Returns:
        The result. After Ctrl-C it has the best weights so far, if an epoch was finished.

    Raises:
        GarmentliteError: If the request cannot be met; a run that was to be replaced is then put back.
        KeyboardInterrupt: If Ctrl-C comes before the first epoch is finished.
    """
    folder = request.folder
    if request.resume and (folder / runs.METRICS).exists():
        return Outcome(folder, True, {}, f"{folder} is finished; nothing to resume.")
    plan = _make_plan(request, say)
    with runs.prepared_folder(folder, resume=request.resume, force=request.force):
        data, facts = _training_data(plan, say, on_progress)
        result = _fit(plan, data, facts, say, on_progress)
        if result.ended == "interrupted":
            finish(folder, result, plan.labels, data, is_finished=False)
            say(
                f"Interrupted: the best weights so far are in {folder}; --resume continues the run."
            )
            if (folder / runs.REPLACED).is_dir():
                say(
                    f"The run that it replaces stays in {folder / runs.REPLACED} until it is finished."
                )
            return Outcome(folder, False, {}, "")
        say(diagnosis.overfitting(result.history).sentence)
        once = (
            " The test set is now read once, to measure the weights that are kept."
            if plan.fashion_mnist
            else ""
        )
        say(f"Ended: {result.ended}.{once}")
        document = finish(folder, result, plan.labels, data, wanted=plan.target_recall)
    return Outcome(folder, True, document, _result_text(folder, document))


def rebalance(
    source: Path,
    wanted: Sequence[str],
    output: Path,
    *,
    force: bool = False,
    data_dir: Path | None = None,
    command: str = "",
    say: Say = say_nothing,
) -> Outcome:
    """Shifts the decision boundaries of a finished run so that recall targets are met; trains nothing.

    Args:
        source: Folder of the finished run, which is not changed.
        wanted: "NAME=RECALL" any number of times; "all=RECALL" is for the other classes.
        output: Folder of the new run.
        force: Whether a run in it may be replaced.
        data_dir: Folder with the files of Fashion-MNIST; None to find or download them.
        command: The command line, which config.json states.
        say: Called with a sentence at each stage.

    Raises:
        OptionError: If the new run would take the place of the finished one, or a target is wrong.
        DataError: If the run is not finished, or its decision boundaries were shifted already.
    """
    if source.resolve() == output.resolve():
        raise OptionError(
            f"The new run cannot be written to {output}, since it is made from the run that is there; name "
            "another folder with -o."
        )
    backend.start(say=say)
    from garmentlite.train.fit import TrainResult

    finished = runs.read_finished(source)
    targets = target_recall.parse(wanted, FASHION_MNIST_LABELS)
    data = _fashion_mnist_data(load(data_dir, say))
    with runs.prepared_folder(output, resume=False, force=force):
        changed = {
            "labels": list(FASHION_MNIST_LABELS),
            "views": list(runs.views_of(finished.config)),
            "target_recall": targets,
            "weights_of": finished.model_sha256,
            "command": command,
        }
        runs.write_config(output, finished.config | changed)
        runs.write_history(output, finished.history, FASHION_MNIST_LABELS)
        result = TrainResult(finished.model, finished.history, f"weights of {source}")
        say("The test set is now read once, to measure the shifted decision boundaries.")
        document = finish(output, result, FASHION_MNIST_LABELS, data, wanted=targets)
    return Outcome(output, True, document, _result_text(output, document))


def finish(
    folder: Path,
    result: TrainResult,
    labels: Sequence[str],
    data: TrainingData,
    *,
    wanted: dict[str, float] | None = None,
    is_finished: bool = True,
) -> dict[str, Any]:
    """Measures a network and writes the results of its run.

    Args:
        folder: Folder of the run.
        result: The network and its history.
        labels: Class names in the order of the outputs.
        data: The images; the test images are read here, and only if the run is finished.
        wanted: Recall targets by label, which are reached by shifting the decision boundaries.
        is_finished: Whether the run is over; otherwise only the network and the curves are written.

    Returns:
        The document of metrics.json.
    """
    from garmentlite.train import plots
    from garmentlite.train.prediction import predict_logits

    document: dict[str, Any] = {
        "ended": result.ended,
        "overfitting": diagnosis.overfitting(result.history).as_document(),
    }
    logits = predict_logits(result.model, data.x_validation)
    if wanted:
        outcome = target_recall.apply(wanted, result.model, data.y_validation, logits, labels)
        document["target_recall"] = outcome.as_document()
        logits = predict_logits(result.model, data.x_validation)
    document["validation"] = metrics.summary(data.y_validation, logits, labels)
    if data.photos and len(data.photos.y_validation):
        logits = predict_logits(result.model, data.photos.validation_u8)
        document["photos"] = photo_figures.measure(data.photos, logits).as_document()
    runs.write_model(folder, result.model)
    plots.learning_curves(result.history, folder / runs.LEARNING_CURVES)
    if is_finished:
        if data.x_test is not None and data.y_test is not None:
            logits = predict_logits(result.model, data.x_test)
            document["test"] = metrics.summary(data.y_test, logits, labels)
        shown = document.get("test", document["validation"])
        plots.of_metrics(shown, folder / runs.CONFUSION_MATRIX, folder / runs.PER_CLASS)
        runs.write_metrics(folder, document)
    return document


# --- the plan


def _make_plan(request: TrainRequest, say: Say) -> _Plan:
    """Reads and checks everything that can be checked before the folder of the run is touched."""
    photographs = _read_photographs(request.photos, say) if request.photos else None
    labels: tuple[str, ...] = FASHION_MNIST_LABELS
    alone = False
    if photographs:
        labels = photographs.collection.labelling.classes
        alone = photographs.collection.labelling.own
    if alone and request.photos and (request.photos.fold is None or request.teachers):
        raise OptionError(
            "--all-photos and --teacher need Fashion-MNIST, but photographs of other classes are trained on "
            "without it; leave these options out."
        )
    if alone and request.images is not None:
        raise OptionError(
            "--images is the number of Fashion-MNIST images, but photographs of other classes are trained on "
            "without Fashion-MNIST; leave --images out, and give fewer photographs for a shorter training."
        )
    if alone and request.data_dir:
        raise OptionError(
            "--data-dir is the folder of Fashion-MNIST, but photographs of other classes are trained on "
            "without Fashion-MNIST; leave --data-dir out."
        )
    backend.start(distribute=request.distribute, say=say)
    from garmentlite.train import distillation, distribution
    from garmentlite.train.initial_weights import read_initial_weights
    from garmentlite.train.networks import network_named

    init = read_initial_weights(request.init, request.network, labels) if request.init else None
    name = init.network if init else request.network or DEFAULT_NETWORK
    protocol = network_named(name)
    targets = target_recall.parse(request.target_recall, labels)
    found = None if alone else load(request.data_dir, say)
    recipe = protocol.recipe
    if init or photographs:
        recipe = adapted(
            recipe,
            photographs=photographs is not None,
            is_pretrained=init is not None,
            alone=alone,
        )
    recipe = _with_options(recipe, request)
    if request.teacher_sees != "clean" and not request.teachers:
        raise OptionError("--teacher-sees belongs to --teacher; give both.")
    teacher = distillation.load(request.teachers, len(labels)) if request.teachers else None
    y = found.y_train[validation_split(found.y_train)[0]] if found else _y_training(photographs)
    weights = class_weights.parse(request.class_weights, protocol.class_weights, labels, y)
    devices = distribution.all_devices() if request.distribute else distribution.ONE_DEVICE
    return _Plan(
        request=request,
        labels=labels,
        network=name,
        recipe=recipe,
        class_weights=weights,
        target_recall=targets,
        photographs=photographs,
        fashion_mnist=found,
        teacher=teacher,
        init=init,
        devices=devices,
        images_on_device=_images_on_device(request),
    )


def _with_options(recipe: Recipe, request: TrainRequest) -> Recipe:
    """Changes a recipe by the options that were given."""

    def given(*options: str) -> dict[str, Any]:
        values = {option: getattr(request, option) for option in options}
        return {option: value for option, value in values.items() if value is not None}

    augmentation = replace(recipe.augmentation, **given("mixup", "cutmix"))
    changes = given("epochs", "batch_size", "learning_rate")
    return replace(recipe, augmentation=augmentation, **changes)


def _images_on_device(request: TrainRequest) -> bool:
    from garmentlite.train import distribution

    if request.images_on_device is None:
        return distribution.has_accelerator() and not request.distribute
    if request.images_on_device and (request.distribute or not backend.is_jax()):
        raise OptionError(
            "--images-on-device works on JAX with one device; set KERAS_BACKEND=jax and leave --distribute "
            "out, or leave --images-on-device out."
        )
    return request.images_on_device


def _read_photographs(request: PhotoRequest, say: Say) -> _Photographs:
    load_opencv()  # a missing package and a wrong name are reported before the work
    use_one_thread()
    segmenter = make_segmenter(request.segmenter)
    if request.rooms:
        rooms.require_scenes(request.rooms)
    found = collection.read_collection(
        request.source,
        FASHION_MNIST_LABELS,
        columns=request.columns,
        groups=request.groups,
        own_classes=request.own_classes,
        folds=request.folds,
        fold=request.fold,
        say=lambda sentence: say(f"Photographs: {sentence}"),
    )
    return _Photographs(request, found, segmenter)


def _y_training(photographs: _Photographs | None) -> np.ndarray:
    assert photographs is not None  # without Fashion-MNIST there are photographs
    return photographs.collection.y_training


# --- the images


def _fashion_mnist_data(
    found: FashionMnist, images: int | None = None, seed: int = 0
) -> TrainingData:
    """Splits Fashion-MNIST; `images` limits the number of training images."""
    training, validation = validation_split(found.y_train)
    if images is not None:
        training = np.random.default_rng(seed).permutation(training)[:images]
    return TrainingData(
        x=found.x_train[training],
        y=found.y_train[training],
        x_validation=found.x_train[validation],
        y_validation=found.y_train[validation],
        x_test=found.x_test,
        y_test=found.y_test,
    )


def _training_data(
    plan: _Plan, say: Say, on_progress: OnStageProgress
) -> tuple[TrainingData, dict[str, Any]]:
    """Collects the images of a run, and what config.json states about its photographs."""
    data = None
    if plan.fashion_mnist:
        data = _fashion_mnist_data(plan.fashion_mnist, plan.request.images, plan.request.seed)
    photographs = plan.photographs
    if photographs is None:
        assert data is not None  # without photographs there is Fashion-MNIST
        return data, {}
    request, chosen = photographs.request, photographs.collection
    backgrounds = None
    if request.rooms:
        backgrounds = read_backgrounds(request.rooms, lambda text: say(f"Photographs: {text}"))
    made = tiles.make_tiles(
        chosen.photos,
        chosen.checksums,
        photographs.segmenter,
        plan.request.seed,
        backgrounds=backgrounds,
        cache=plan.request.folder / runs.TILES,
        warn=lambda sentence: say(f"Photographs: {sentence}"),
        on_progress=partial(on_progress, "Preparing photographs"),
    )
    found = rooms.no_rooms()
    if request.rooms:
        found = rooms.make_rooms(
            request.rooms,
            photographs.segmenter,
            plan.request.seed,
            folds=request.folds,
            fold=request.fold,
            on_progress=partial(on_progress, "Preparing pictures of rooms"),
        )
    photos = photo_set.make_set(chosen, made, len(data.x) if data else 0, found)
    facts = {
        "source": str(request.source),
        "segmenter": request.segmenter,
        "segmenter_version": photographs.segmenter.version,
        "columns": {"label": list(request.columns.label), **request.columns.options},
        "split_by": request.columns.contributor,
        "folds": request.folds,
        "fold": request.fold,
        "alone": photos.alone,
        **photo_set.facts(chosen, made, photos),
        "held_up": tiles.HELD_UP if backgrounds else 0,
        "rooms": len(found.training_u8),
    }
    write_photos(plan.request.folder, chosen, made, found, variants=photos.alone)
    if data:
        return replace(data, photos=photos), facts
    of_photos = photos.clean_u8, photos.y, photos.validation_u8, photos.y_validation
    return TrainingData(*of_photos, photos=photos), facts


# --- the training


def _fit(
    plan: _Plan, data: TrainingData, facts: dict[str, Any], say: Say, on_progress: OnStageProgress
) -> TrainResult:
    from garmentlite.train import checkpoint, fit
    from garmentlite.train.tensorboard import Log

    folder, config = plan.request.folder, _config(plan, data)
    log = Log(folder / runs.TENSORBOARD, plan.labels) if plan.request.tensorboard else None
    if (folder / runs.CHECKPOINT).exists():  # checked before config.json is written again
        checkpoint.require_resumable(config, folder / runs.CHECKPOINT)
    _announce(plan, facts, say)
    runs.write_config(folder, asdict(config) | _surroundings(plan, data, facts))
    groups = data.photos.groups if data.photos else ()

    def on_epoch(history: list[Epoch]) -> None:
        runs.write_history(folder, history, plan.labels, groups)
        if log:
            log.write(history[-1])
        is_chosen = history[-1].best and not config.rates.keeps_last_epoch
        say(history[-1].in_words() + ("  best so far" if is_chosen else ""))

    try:
        return fit.train(
            config,
            data.x,
            data.y,
            data.x_validation,
            data.y_validation,
            teacher=_soft_targets(plan, data, on_progress),
            answers=_answers(plan),
            photos=data.photos,
            init=plan.init.weights if plan.init else (),
            checkpoint=folder / runs.CHECKPOINT,
            devices=plan.devices,
            images_on_device=plan.images_on_device,
            on_step=lambda epoch, step, steps: on_progress(
                f"epoch {epoch} of at most {config.epochs}", step, steps
            ),
            on_epoch=on_epoch,
            on_doubt=lambda sentence: say(f"Warning: {sentence}"),
        )
    except KeyboardInterrupt:
        say("No epoch was finished, so there is nothing to keep.")
        raise


def _soft_targets(
    plan: _Plan, data: TrainingData, on_progress: OnStageProgress
) -> np.ndarray | None:
    if plan.teacher is None or plan.request.teacher_sees != "clean":
        return None
    from garmentlite.train import distillation

    return distillation.soft_targets(
        plan.teacher,
        data.x,
        data.y,
        cache=plan.request.folder / runs.TEACHER,
        on_progress=partial(on_progress, "asking the teacher"),
    )


def _answers(plan: _Plan) -> ConsistentTeacher | None:
    if plan.teacher is None or plan.request.teacher_sees == "clean":
        return None
    from garmentlite.train.distillation import ConsistentTeacher

    return ConsistentTeacher(plan.teacher, mixed_precision=plan.request.mixed_precision)


def _config(plan: _Plan, data: TrainingData) -> TrainConfig:
    from garmentlite.train.config import TrainConfig

    return TrainConfig(
        network=plan.network,
        labels=plan.labels,
        class_weights=plan.class_weights,
        seed=plan.request.seed,
        teacher=plan.teacher.sha256 if plan.teacher else (),
        teacher_sees=plan.request.teacher_sees,
        images=plan.request.images,
        mixed_precision=plan.request.mixed_precision,
        init_sha256=plan.init.sha256 if plan.init else "",
        photos_sha256=data.photos.sha256 if data.photos else "",
        **vars(plan.recipe),
    )


def _surroundings(plan: _Plan, data: TrainingData, facts: dict[str, Any]) -> dict[str, Any]:
    """Collects what config.json states beside the configuration."""
    return {
        "views": list(plan.recipe.augmentation.views),
        "target_recall": plan.target_recall,
        "command": plan.request.command,
        "images": {"training": len(data.x), "validation": len(data.x_validation)},
        "data_md5": MD5 if plan.fashion_mnist else {},
        "photos": facts,
        "device": plan.device_description,
        "versions": backend.versions(),
    }


def _announce(plan: _Plan, facts: dict[str, Any], say: Say) -> None:
    """Says what is trained, on what, and what may surprise."""
    say(f"Training {plan.network} on {plan.device_description}")
    if plan.init and plan.init.sentence:
        say(plan.init.sentence)
    if facts:
        say(photo_set.facts_in_words(facts))
    if plan.request.class_weights == ("balanced",) and plan.fashion_mnist:
        say("Every class has 6,000 images here, so balanced weights are all 1: the same as 'none'.")


# --- the result


def _result_text(folder: Path, document: dict[str, Any]) -> str:
    parts = [metrics_table(document.get("test", document["validation"]))]
    if "photos" in document:
        parts.append(photo_figures.photographs_table(document["photos"]))
    if "target_recall" in document:
        parts.append(target_recall.price_table(document["target_recall"]))
    parts.append(f"Run written to {folder}; next: cli convert {folder} --int8")
    return "\n".join(parts)


def metrics_table(document: dict[str, Any]) -> str:
    """Writes recall, precision and F1 of each class as text, from a document by `edge.metrics.summary`."""

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    table = text_table(
        ["class", "recall", "precision", "F1"],
        [
            [row["label"], percent(row["recall"]), percent(row["precision"]), percent(row["f1"])]
            for row in document["per_class"]
        ],
    )
    return (
        f"{table}\naccuracy {document['accuracy']:.2%}, macro F1 {document['macro_f1']:.4f}, MCC "
        f"{document['mcc']:.4f}, log loss {document['log_loss']:.4f} on {document['images']:,} images"
    )
