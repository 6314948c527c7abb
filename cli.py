"""The command line: parses, calls, prints, exits. Nothing is learned or computed here.

Results go to standard output; progress, warnings and errors to standard error. Exit status: 0 done and
good, 1 a check failed, 2 could not be done, in whole or in part.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

try:
    import typer
    from typer.core import TyperGroup

    from garmentlite.edge.errors import (
        GarmentliteError,
        MissingPartError,
        OptionError,
    )
    from garmentlite.edge.labels import FASHION_MNIST_LABELS
    from garmentlite.edge.segmenters.registry import DEFAULT_SEGMENTER, SEGMENTERS
    from garmentlite.edge.version import __version__
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    sys.stderr.write(
        f"Error: '{missing.name}' is not installed for {sys.executable}; run 'make setup' in the checkout, "
        "then use .venv/bin/cli.\n"
    )
    sys.exit(2)

if TYPE_CHECKING:
    from garmentlite.convert.corruptions import CorruptionsReport
    from garmentlite.convert.layers import LayersReport
    from garmentlite.convert.parity import ParityReport
    from garmentlite.convert.photos import Photographs
    from garmentlite.edge.classifier import Classifier
    from garmentlite.edge.segmenters.interface import Segmenter
    from garmentlite.train.adapt import Collection, PhotoSet
    from garmentlite.train.compare import Change, Difference, Measured
    from garmentlite.train.data import FashionMnist
    from garmentlite.train.fit import Epoch
    from garmentlite.train.tiles import Tiles

CHECK_FAILED = 1
COULD_NOT = 2


class _SentenceGroup(TyperGroup):
    """Turns an expected error into its sentence and status 2; other errors keep their traceback."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except GarmentliteError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            _say(f"Error: {error}")
            raise typer.Exit(COULD_NOT) from error
        except KeyboardInterrupt as error:
            _say("Interrupted.")
            raise typer.Exit(COULD_NOT) from error
        except BrokenPipeError as error:
            # The reader (`| head`) has seen enough; what is still buffered must not fail at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error


app = typer.Typer(
    cls=_SentenceGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Garment classifiers: trained, taken to int8, proved class by class, run on a Raspberry Pi.",
    epilog="Exit status: 0 done and good, 1 a check failed, 2 could not be done.",
)

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the four files of Fashion-MNIST; found or downloaded otherwise."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="Use this .tflite file instead of the best shipped one."),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Read the class names from this text file, one on each line, for a model without metadata.",
    ),
]
SegmentOption = Annotated[
    str,
    typer.Option(
        "--segment",
        help=f"Cut the garment out of a photograph with this segmenter: {', '.join(SEGMENTERS)}.",
    ),
]
TopK = Annotated[int, typer.Option(min=1, help="List this number of classes.")]


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if version:
        typer.echo(f"garmentlite {__version__}")
        raise typer.Exit


@app.command()
def data(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Find or obtain Fashion-MNIST, check it, and say what is in it."""
    from dataclasses import asdict

    from garmentlite.train.data import MD5, inspect

    report = inspect(_load_data(data_dir))
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    typer.echo(f"Fashion-MNIST in {report.folder}: {len(MD5)} files, MD5 as released")
    _print_table(
        ["class", "train", "test"],
        [[label, f"{train:,}", f"{test:,}"] for label, (train, test) in report.counts.items()],
    )
    typer.echo(
        f"{report.duplicates_train} duplicates in training, {report.duplicates_test} in test, "
        f"{report.overlap} test images also in training"
    )


@app.command()
def train(
    network: Annotated[
        str | None,
        typer.Option(help="Name in the registry; that of --init, or weighted-cnn otherwise."),
    ] = None,
    class_weight: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FACTOR (repeatable), 'balanced' or 'none'; the network's own otherwise."
        ),
    ] = None,
    target_recall: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=RECALL (repeatable; all=RECALL for the others): reach it on validation images by an "
            "offset of that output."
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run or .keras file whose answers are learned with the labels (repeatable: their mean)."
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Run or .keras file whose weights to begin with: few, small steps."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Labelled photographs to train on too: a folder for each class, or a CSV of file,label. "
            "Where no label is one of Fashion-MNIST's, they are the classes."
        ),
    ] = None,
    label_column: Annotated[
        str, typer.Option(help="With --photos CSV: the column of the labels.")
    ] = "label",
    split_by: Annotated[
        str | None,
        typer.Option(
            help="With --photos CSV: the column of who sent them, so that none is on both sides."
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="NAME=CLASS,CLASS (repeatable): a label that is one of several classes."),
    ] = None,
    own_classes: Annotated[
        bool,
        typer.Option("--own-classes", help="Make every label of the photographs a class."),
    ] = False,
    folds: Annotated[int, typer.Option(help="Parts that photographs are dealt into.")] = 5,
    fold: Annotated[int, typer.Option(help="Part that is held out to validate, from 1.")] = 1,
    all_photos: Annotated[
        bool,
        typer.Option("--all-photos", help="Hold none out; the weights of the last epoch are kept."),
    ] = False,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The largest; the network's own otherwise.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of the run; runs/NETWORK otherwise (NETWORK-photo)."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run that was broken off, if there is one."),
    ] = False,
    distribute: Annotated[
        bool, typer.Option("--distribute", help="Split each batch between all GPUs.")
    ] = False,
    mixed_precision: Annotated[
        bool,
        typer.Option(
            "--mixed-precision",
            help="Compute in bfloat16, for GPUs that have it; most CPUs take longer with it.",
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write RUN/tensorboard, for TensorBoard.")
    ] = False,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Train a network on Fashion-MNIST, photographs or both; Ctrl-C keeps the best weights so far."""
    names = (network, "photo") if photos else (network or "weighted-cnn",)
    folder = output or Path("runs") / "-".join(name for name in names if name)
    if resume and (folder / "metrics.json").exists():
        typer.echo(f"{folder} is finished; nothing to resume.")
        return
    if not photos and (split_by or group or own_classes or all_photos):
        raise OptionError(
            "--split-by, --group, --own-classes and --all-photos belong to --photos; name a folder with it."
        )
    labels: Sequence[str] = FASHION_MNIST_LABELS
    collection = None
    if photos:
        from garmentlite.edge.opencv import load_opencv
        from garmentlite.train import adapt

        load_opencv()  # what is missing, and a wrong name, are said before the work
        segmenter = _segmenter(segment)
        collection = adapt.read_collection(
            photos,
            labels,
            label_column=label_column,
            contributor_column=split_by,
            groups=group or [],
            own_classes=own_classes,
            folds=folds,
            fold=None if all_photos else fold,
            say=lambda sentence: _say(f"Photographs: {sentence}"),
        )
        labels = collection.labelling.classes
    alone = collection is not None and collection.labelling.own
    if alone and (all_photos or teacher):
        raise OptionError(
            "--all-photos and --teacher need Fashion-MNIST, which photographs of other classes are trained "
            "without; leave them away."
        )
    _start_backend(distribute=distribute)
    from dataclasses import asdict, replace

    from garmentlite.train import (
        adapt,
        class_weights,
        diagnosis,
        distillation,
        distribution,
        fit,
        runs,
    )
    from garmentlite.train import target_recall as targets
    from garmentlite.train.data import MD5, validation_split
    from garmentlite.train.networks import network_named
    from garmentlite.train.tensorboard import Log as TensorBoardLog

    start = adapt.start_from(init, network, labels) if init else None
    network = start.network if start else network or "weighted-cnn"
    protocol = network_named(network)
    wanted = targets.parse(target_recall or [], labels)
    found = None if alone else _load_data(data_dir)
    if found:
        training, validation = validation_split(found.y_train)
        x, y = found.x_train[training], found.y_train[training]
        x_validation, y_validation = found.x_train[validation], found.y_train[validation]
    elif collection:
        y = collection.y_training
    asked: dict[str, Any] = {"epochs": epochs, "learning_rate": learning_rate}
    recipe = protocol.recipe
    if start or collection:
        recipe = adapt.recipe_for(recipe, adapts=start is not None, alone=alone)
    recipe = replace(recipe, **{k: v for k, v in asked.items() if v is not None})
    teachers = distillation.load(teacher, len(labels)) if teacher else None
    weights = class_weights.parse(class_weight or [], protocol.class_weights, labels, y)
    runs.prepare_folder(folder, resume=resume, force=force)
    about_photos: dict[str, Any] = {}
    photo_set = None
    if collection:
        tiles = _make_tiles(collection, segmenter, seed, folder / runs.TILES)
        photo_set = adapt.make_set(collection, tiles, len(x) if found else 0)
        about_photos = {
            "source": str(photos),
            "segmenter": segment,
            "split_by": split_by,
            "folds": folds,
            "fold": None if all_photos else fold,
            "alone": alone,
            **adapt.facts(collection, tiles, photo_set),
        }
        if alone:
            x, y = photo_set.clean_u8, photo_set.y
            x_validation, y_validation = photo_set.validation_u8, photo_set.y_validation
    config = fit.TrainConfig(
        network=network,
        class_weights=weights,
        seed=seed,
        teacher=teachers.sha256 if teachers else (),
        mixed_precision=mixed_precision,
        init_sha256=start.sha256 if start else "",
        photos_sha256=photo_set.sha256 if photo_set else "",
        **vars(recipe),
    )
    devices = distribution.all_devices() if distribute else distribution.ONE_DEVICE
    log = TensorBoardLog(folder / runs.TENSORBOARD, labels) if tensorboard else None
    if (folder / runs.CHECKPOINT).exists():  # before config.json is written anew
        fit.require_resumable(config, folder / runs.CHECKPOINT)
    together = f", each batch split in {devices.count}" if distribute else ""
    _say(f"Training {network} on {fit.device_description()}{together}")
    if start and start.sentence:
        _say(start.sentence)
    if photo_set:
        _say(_photos_in_words(about_photos))
    if class_weight == ["balanced"] and not alone:
        _say(
            "Every class has 6,000 images here, so balanced weights are all 1: the same as 'none'."
        )
    surroundings = {
        "target_recall": wanted,
        "command": shlex.join(["cli", *sys.argv[1:]]),
        "images": {"training": len(x), "validation": len(x_validation)},
        "data_md5": {} if alone else MD5,
        "photos": about_photos,
        "device": fit.device_description() + together,
        "versions": fit.versions(),
    }
    runs.write_config(folder, asdict(config) | surroundings)
    if collection:
        runs.write_photos(folder, collection, tiles, variants=alone)
    groups = photo_set.groups if photo_set else ()
    with _progress() as show:

        def on_epoch(history: list[Epoch]) -> None:
            runs.write_history(folder, history, labels, groups)
            epoch = history[-1]
            if log:
                log.write(epoch)
            mark = "  best so far" if epoch.best and config.schedule != "cosine" else ""
            more = ""
            if epoch.photo_loss is not None:
                more = f", photographs {epoch.photo_loss:.4f}, {epoch.photo_accuracy:.2%}"
            _say(
                f"epoch {epoch.epoch:3d}: loss {epoch.loss:.4f}, validation loss {epoch.val_loss:.4f}, "
                f"accuracy {epoch.val_accuracy:.2%}{more}, {epoch.seconds:.0f} s{mark}"
            )

        try:
            soft = None
            if teachers:
                soft = distillation.soft_targets(
                    teachers,
                    x,
                    y,
                    cache=folder / runs.TEACHER,
                    on_progress=lambda done, of: show("asking the teacher", done, of),
                )
            result = fit.train(
                config,
                x,
                y,
                x_validation,
                y_validation,
                teacher=soft,
                photos=photo_set,
                init=start.weights if start else (),
                checkpoint=folder / runs.CHECKPOINT,
                devices=devices,
                on_step=lambda epoch, step, steps: show(
                    f"epoch {epoch} of at most {config.epochs}", step, steps
                ),
                on_epoch=on_epoch,
                on_doubt=lambda sentence: _say(f"Warning: {sentence}"),
            )
        except KeyboardInterrupt:
            _say("Interrupted before the first epoch was done: nothing to keep.")
            raise typer.Exit(COULD_NOT) from None
    validated = (x_validation, y_validation)
    if result.ended == "interrupted":
        _finish_run(folder, result, labels, validated, None, None, photo_set, final=False)
        _say(f"Interrupted: the best weights so far are in {folder}; --resume goes on.")
        raise typer.Exit(COULD_NOT)
    _say(diagnosis.overfitting(result.history).sentence)
    once = "" if alone else " The test set is read once now, with the weights kept."
    _say(f"Ended: {result.ended}.{once}")
    tested = (found.x_test, found.y_test) if found else None
    document = _finish_run(folder, result, labels, validated, tested, wanted, photo_set, final=True)
    _print_metrics(document["test" if tested else "validation"])
    if "photos" in document:
        _print_photos(document["photos"])
    if wanted:
        _print_price(document["target_recall"])
    typer.echo(f"Run written to {folder}; next: cli convert {folder} --int8")


@app.command()
def rebalance(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    target_recall: Annotated[
        list[str],
        typer.Option(
            help="NAME=RECALL (repeatable; all=RECALL for the others), as for 'cli train'."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new run.")],
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Move the borders between the classes of a finished run; trains nothing, takes seconds."""
    _start_backend()
    from garmentlite.train import fit, runs
    from garmentlite.train import target_recall as targets
    from garmentlite.train.data import validation_split

    finished = runs.read_finished(run)
    wanted = targets.parse(target_recall, FASHION_MNIST_LABELS)
    found = _load_data(data_dir)
    _, validation = validation_split(found.y_train)
    runs.prepare_folder(output, resume=False, force=force)
    changed = {
        "target_recall": wanted,
        "weights_of": finished.model_sha256,
        "command": shlex.join(["cli", *sys.argv[1:]]),
    }
    runs.write_config(output, finished.config | changed)
    history = [fit.Epoch(**epoch) for epoch in finished.history]
    runs.write_history(output, history, FASHION_MNIST_LABELS)
    result = fit.TrainResult(finished.model, history, f"weights of {run}")
    _say("The test set is read once now, with the outputs raised.")
    validated = (found.x_train[validation], found.y_train[validation])
    tested = (found.x_test, found.y_test)
    document = _finish_run(
        output, result, FASHION_MNIST_LABELS, validated, tested, wanted, None, final=True
    )
    _print_metrics(document["test"])
    _print_price(document["target_recall"])
    typer.echo(f"Run written to {output}; next: cli convert {output} --int8")


@app.command()
def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of finished runs, or cards; the first is the baseline."
        ),
    ],
    class_name: Annotated[
        str, typer.Option("--class", help="The class whose precision and trade-off are shown.")
    ] = "Shirt",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for pictures, JSON and a page of it all."),
    ] = None,
    as_json: AsJson = False,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Set runs side by side: who gains, who pays, what may be chance; with -o the trade-off curves too."""
    from garmentlite.edge.labels import class_id_of
    from garmentlite.train import compare as comparing

    if len(paths) < 2:
        raise OptionError("cli compare takes two runs or more; the first is the baseline.")
    measured = comparing.read(paths)
    class_id = class_id_of(class_name, measured[0].labels)
    differences = [comparing.compare(measured[0], other) for other in measured[1:]]
    document: dict[str, Any] = {
        "runs": [run.as_document() for run in measured],
        "differences": [difference.as_document() for difference in differences],
    }
    if output:
        _refuse_to_overwrite(output / "compare.html", force)
        document["paired"] = _write_comparison(
            output, measured, differences, document, class_id, data_dir
        )
    if as_json:
        typer.echo(_as_json(document))
        return
    _print_comparison(measured, differences, class_id)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A run's folder or a .keras file.")],
    int8: Annotated[bool, typer.Option("--int8", help="Integers throughout.")] = False,
    int8_weights: Annotated[
        bool, typer.Option("--int8-weights", help="Int8 weights, activations found image by image.")
    ] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Half-precision weights.")] = False,
    float32: Annotated[
        bool, typer.Option("--float32", help="The reference, which is always made.")
    ] = False,
    int16x8: Annotated[
        bool, typer.Option("--int16x8", help="Int16 activations, int8 weights; no fast kernels.")
    ] = False,
    ptq: Annotated[
        bool, typer.Option("--ptq", help="Int8 by calibration alone, without fine-tuning: seconds.")
    ] = False,
    io: Annotated[
        str | None,
        typer.Option(help="Input and output of the int8 file: int8 (default), uint8 or float32."),
    ] = None,
    allow_float: Annotated[
        bool,
        typer.Option(
            "--allow-float", help="Accept operators that have no integer kernel as float."
        ),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of grey pictures of the network's size, one a class if known, in place of "
            "Fashion-MNIST."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="With --calibration: text file with a label a line, as the outputs are."),
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run on another fold of the photographs (repeatable): those it holds out say from what "
            "confidence on an answer holds; the run's own otherwise."
        ),
    ] = None,
    c_array: Annotated[
        bool,
        typer.Option(
            "--c-array",
            help="Write the int8 file as .cc and .h too, for TFLite Micro; a .tflite file: only these.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the files; the run's otherwise."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call them; the network's name otherwise.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of the fine-tuning.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of calibration and fine-tuning.")] = 0,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Make the float32 reference and the formats asked for, and a table to choose one of them by."""
    asked = {
        "int8": int8, "int8-weights": int8_weights, "float16": float16, "float32": float32,
        "int16x8": int16x8,
    }  # fmt: skip
    wanted = tuple(format_name for format_name, is_asked in asked.items() if is_asked)
    if source.suffix == ".tflite":
        if wanted or ptq or not c_array:
            raise OptionError(
                f"{source} is converted already; --c-array alone makes .cc and .h of it."
            )
        _write_c_array(source, output or source.parent, name or source.stem, force)
        return
    if (ptq or io or c_array) and not int8:
        option = "--ptq" if ptq else "--io" if io else "--c-array"
        raise OptionError(f"{option} belongs to the int8 file; say --int8 too.")
    if labels and not calibration:
        raise OptionError("--labels names the classes of --calibration FOLDER; give both.")
    from garmentlite.convert import material, pipeline

    request = pipeline.Request(
        formats=wanted,
        fine_tune=not ptq,
        epochs=epochs,
        seed=seed,
        io=io or "int8",
        allow_float=allow_float,
    )
    found_source = pipeline.find_source(source, name)
    folder = output or found_source.keras_path.parent
    paths = pipeline.output_paths(folder, found_source.name, wanted)
    if found_source.keras_path == paths["keras"]:
        del paths["keras"]  # it stays where it is
    if c_array:
        from garmentlite.convert.c_array import file_names

        paths |= {end: folder / end for end in file_names(paths["int8"].stem)}
    pipeline.require_place_for(paths, force=force)
    if calibration:
        known = found_source.labels or FASHION_MNIST_LABELS
        names = _read_labels(labels) if labels else known
        images = material.from_folder(calibration, names)
    _start_backend("tf_keras", "tensorflow_model_optimization")
    if not calibration and found_source.is_on_own_photos:
        images = material.from_run(source, found_source.labels)
    elif not calibration:
        images = material.from_fashion_mnist(_load_data(data_dir))
    confidence = pipeline.find_confidence(found_source, held_out or [], _say)
    with _progress() as show:
        done = pipeline.convert(
            found_source,
            folder,
            images,
            request,
            confidence=confidence,
            on_progress=show,
            say=_say,
        )
    if done.candidates:
        typer.echo(
            "Ways to int8, on validation images (changed: float and int8 give another class):"
        )
        _print_table(
            ["way", "changed", "accuracy", "class that lost most (lost/gained)"],
            [
                [
                    ("* " if one is done.chosen else "  ") + one.way,
                    f"{one.changed} of {one.images:,}",
                    f"{one.accuracy_change * 100:+.2f} points" if images.is_labelled else "-",
                    _worst_class(one.lost, one.gained, images.labels),
                ]
                for one in done.candidates
            ],
        )
        typer.echo("* chosen.\n")
    _print_formats(done.table, len(images.test.y), images.name)
    if c_array:
        _write_c_array(done.paths["int8"], folder, done.paths["int8"].stem, force=True)
    reference, *others = done.paths.values()
    if others:
        on = f" --photos {source / 'held_out.csv'}" if found_source.is_on_own_photos else ""
        typer.echo(f"Next: cli verify {reference} {done.paths.get('int8', others[0])}{on}")


@app.command()
def verify(
    reference: Annotated[
        Path, typer.Argument(help="The model taken as right; alone with the two options below.")
    ],
    candidate: Annotated[Path | None, typer.Argument(help="The model to be proved.")] = None,
    margin: Annotated[
        float, typer.Option(help="Largest loss of recall that is accepted, as a share.")
    ] = 0.02,
    alpha: Annotated[float, typer.Option(help="One-sided error rate.")] = 0.05,
    classes: Annotated[
        list[str] | None, typer.Option(help="Judge this class and no other (repeatable).")
    ] = None,
    min_support: Annotated[
        int | None, typer.Option(min=1, help="Do not judge classes with fewer images.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only the first LIMIT test images.")
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Photographs in place of test images: a folder for each class, or a CSV of file,label."
        ),
    ] = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Compare with the reference kernels too: slow.")
    ] = False,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show in which layer the error enters: seconds.")
    ] = False,
    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions",
            help="Compare under noise, blur, light, JPEG too: on 2,000 images, or on LIMIT.",
        ),
    ] = False,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder for the report as HTML and JSON.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="File for the report as JUnit XML, for CI systems.")
    ] = None,
    save_reference: Annotated[
        Path | None, typer.Option(help="Store the outputs of one model in this .npz file.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare one model's outputs with those stored elsewhere.")
    ] = None,
    labels: LabelsOption = None,
    data_dir: DataDir = None,
    force: Force = False,
) -> None:
    """Prove class by class that a candidate behaves like its reference; exit status 1 if it does not."""
    from garmentlite.convert import verify as checks

    stored = save_reference or against
    if (candidate is None) == (stored is None) or (save_reference and against):
        raise OptionError(
            "cli verify takes REFERENCE and CANDIDATE, or one MODEL with --save-reference or --against."
        )
    if stored and (layers or corruptions):
        raise OptionError(
            "--layers and --corruptions compare two files; give REFERENCE and CANDIDATE, or leave them out."
        )
    if photos and (limit or data_dir):
        raise OptionError(
            "--photos takes the place of the test images; leave out --limit and --data-dir."
        )
    if report:
        _refuse_to_overwrite(report / "verify.html", force)
    if junit:
        _refuse_to_overwrite(junit, force)
    first = _open_model(reference, labels)
    second = _open_model(candidate, labels) if candidate else first
    photographs = _load_photographs(photos, first.labels, segment) if photos else None
    if photographs:
        images, y_true = photographs.images_u8, photographs.y_true
    else:
        found = _load_data(data_dir)
        images, y_true = found.x_test[:limit], found.y_test[:limit]
    with _progress() as show:

        def on_progress(done: int, of: int) -> None:
            show("Comparing", done, of)

        if save_reference:
            _refuse_to_overwrite(save_reference, force)
            checks.save_reference(first, images, y_true, save_reference, on_progress=on_progress)
            typer.echo(f"Outputs of {len(images):,} images stored in {save_reference}.")
            return
        if against:
            compared = checks.compare_with_stored(
                first, images, y_true, against, on_progress=on_progress
            )
            typer.echo(_as_json(compared.as_document()) if as_json else compared.sentence)
            raise typer.Exit(0 if compared.passed else CHECK_FAILED)
        outcome = checks.verify(
            first,
            second,
            images,
            y_true,
            margin=margin,
            alpha=alpha,
            classes=classes,
            min_support=min_support,
            compare_kernels=kernels,
            on_progress=on_progress,
        )
        by_layer = _compare_layers(first, second, images, show) if layers else None
        corrupted = (
            _compare_corrupted(first, second, images, y_true, outcome, limit, show)
            if corruptions
            else None
        )
    from garmentlite.convert import corruptions_report, layers_report, verify_report
    from garmentlite.edge.files import write_json, write_text

    if corrupted:
        outcome = corruptions_report.with_corruptions(outcome, corrupted)
    if photographs:
        from garmentlite.convert.photos import with_photographs

        outcome = with_photographs(outcome, photographs)
    if junit:
        from garmentlite.convert.junit import to_junit

        write_text(junit, to_junit(outcome))
    document, texts, sections = outcome.as_document(), [verify_report.to_text(outcome)], []
    if by_layer:
        document["layers"] = by_layer.as_document()
        texts.append(layers_report.to_text(by_layer))
        sections.append(layers_report.to_section(by_layer))
    if corrupted:
        document["corruptions"] = corrupted.as_document()
        texts.append(corruptions_report.to_text(corrupted))
        sections.append(corruptions_report.to_section(corrupted))
    if report:
        write_text(report / "verify.html", verify_report.to_html(outcome, images, more=sections))
        write_json(report / "verify.json", document)
        _say(f"Report: {report / 'verify.html'}")
    typer.echo(_as_json(document) if as_json else "\n\n".join(texts))
    if not outcome.passed:
        raise typer.Exit(CHECK_FAILED)
    if photographs and photographs.facts.unreadable:
        raise typer.Exit(COULD_NOT)


@app.command()
def plan(
    margin: Annotated[
        float, typer.Option(help="Largest loss of recall that is accepted, as a share.")
    ] = 0.02,
    changed: Annotated[
        list[float] | None,
        typer.Option(
            help="Share of a class's images that only one of the models recognises (repeatable); "
            "0, 0.005, 0.01 and 0.02 otherwise."
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="One-sided error rate.")] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Say how many images of a class 'cli verify' takes to show a margin; no models are needed."""
    from garmentlite.convert.planning import PROBABILITIES
    from garmentlite.convert.planning import plan as plan_images

    plans = [plan_images(margin, alpha, share) for share in changed or (0, 0.005, 0.01, 0.02)]
    if as_json:
        typer.echo(_as_json([one.as_document() for one in plans]))
        return
    typer.echo(
        f"Images of a class that show a margin of {100 * margin:g} points at alpha {alpha:g}, if as many "
        "change for the better as for the worse:"
    )
    _print_table(
        ["images changed", *(f"shown in {p:.0%} of cases" for p in PROBABILITIES)],
        [
            [
                f"{one.changed:.2%}",
                *("over a million" if n is None else f"{n:,}" for n in one.images.values()),
            ]
            for one in plans
        ],
    )
    likely = max(PROBABILITIES)
    typer.echo(
        f"For one class; ten such classes are all shown in {likely:.0%} to the power of ten, "
        f"{likely**10:.0%} of cases."
    )


@app.command()
def classify(
    paths: Annotated[
        list[str], typer.Argument(help="Look at these files, folders or patterns such as '*.jpg'.")
    ],
    model: ModelOption = None,
    labels: LabelsOption = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    top_k: TopK = 3,
    as_json: AsJson = False,
    save_inputs: Annotated[
        Path | None,
        typer.Option(
            help="Save the 28x28 image that the network saw of each picture in this folder."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Name the garment in each picture."""
    from garmentlite.edge.batch import recognize_files
    from garmentlite.edge.recognizer import Recognizer

    recognizer = Recognizer(_open_model(model, labels), segment)
    failed = False
    for answer in recognize_files(paths, recognizer, save_inputs=save_inputs, force=force):
        if isinstance(answer.result, GarmentliteError):
            failed = True
            _say(f"Error: {answer.result}")
        elif as_json:
            document = {"path": str(answer.path), **answer.result.as_document(top_k)}
            typer.echo(json.dumps(document, ensure_ascii=False))
        else:
            typer.echo(f"{answer.path}: {answer.result.in_words(top_k)}")
    if failed:
        raise typer.Exit(COULD_NOT)


@app.command()
def webcam(
    source: Annotated[
        str,
        typer.Option(
            help="Take frames from this source: the number of a camera, a video file, a folder of pictures, "
            "or test-pattern."
        ),
    ] = "0",
    model: ModelOption = None,
    labels: LabelsOption = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    headless: Annotated[
        bool, typer.Option("--headless", help="Print JSON lines instead of opening a window.")
    ] = False,
    box: Annotated[
        str,
        typer.Option(
            metavar="X,Y,WIDTH,HEIGHT",
            help="Expect the garment in this part of the frame, in shares of its width and height; the "
            "window shows its corners.",
        ),
    ] = "0.2,0.1,0.6,0.8",
    top_k: TopK = 3,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after this number of frames.")
    ] = None,
) -> None:
    """Name what a camera sees, in a window or as JSON lines; press q or Ctrl-C to stop."""
    from garmentlite.edge.guide_box import parse_box
    from garmentlite.edge.recognizer import Recognizer
    from garmentlite.edge.sinks.json_lines import JsonLinesSink
    from garmentlite.edge.sinks.window import WindowSink, why_no_window
    from garmentlite.edge.sources.registry import open_source
    from garmentlite.edge.stream import GarmentStream, run

    broken: list[str] = []

    def warn(sentence: str) -> None:
        broken.append(sentence)
        _say(f"Error: {sentence}")

    guide_box = parse_box(box)
    frames = open_source(source, warn=warn)
    recognizer = Recognizer(_open_model(model, labels), segment)
    obstacle = None if headless else why_no_window()
    if obstacle:
        _say(f"No window: {obstacle} Printing JSON lines.")
    sink = JsonLinesSink(sys.stdout, top_k=top_k) if headless or obstacle else WindowSink()
    try:
        looked_at = run(
            GarmentStream(frames, recognizer, box=guide_box), [sink], max_frames=max_frames
        )
    except KeyboardInterrupt:
        return  # the usual way to stop; the camera and the window are closed by now
    if broken or not looked_at:
        raise typer.Exit(COULD_NOT)


@app.command()
def card(
    model: Annotated[
        Path | None, typer.Argument(help="A .tflite file; the best shipped one otherwise.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print what a model file holds and says of itself; exit status 1 if the two do not fit."""
    from garmentlite.convert.card import read_card
    from garmentlite.edge.shipped import default_model

    found = read_card(model or default_model(), data_dir)
    for warning in found.warnings:
        _say(f"Warning: {warning}")
    typer.echo(_as_json(found.as_document()) if as_json else found.as_text())
    if found.warnings:
        raise typer.Exit(CHECK_FAILED)


@app.command()
def draw(
    output: Annotated[Path, typer.Argument(help="Save the pictures in this folder.")],
    count: Annotated[
        int, typer.Option(min=1, help="Draw this number of pictures of each of the ten classes.")
    ] = 3,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Seed the random generator; the same seed draws the same pictures."
        ),
    ] = 0,
    force: Force = False,
) -> None:
    """Draw pictures of garments on textured backgrounds, to try the commands without photographs."""
    from garmentlite.edge.drawn_folder import draw_folder

    drawn = draw_folder(output, count, seed, force=force)
    typer.echo(f"{drawn} pictures drawn in {output}.")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished, converted run.")],
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of photographs, or of pictures from 'cli draw'.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The HTML file; RUN/report.html otherwise."),
    ] = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    margin: Annotated[float, typer.Option(help="Of the parity check, as a share.")] = 0.02,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Put a whole run on one HTML page: training, int8, parity, mistakes, pictures."""
    from garmentlite.convert.report import build
    from garmentlite.edge.files import write_text

    path = output or run / "report.html"
    _refuse_to_overwrite(path, force)
    found = _load_data(data_dir)
    segmenter = _segmenter(segment)
    with _progress() as show:
        page = build(
            run,
            found,
            pictures,
            segmenter,
            margin=margin,
            on_progress=lambda done, of: show("Comparing", done, of),
            warn=_say,
        )
    write_text(path, page)
    typer.echo(f"Report: {path}")


def main() -> None:
    """The installed command; ends the process with the exit status."""
    for stream in (sys.stdout, sys.stderr):  # the name of a file need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="cli")


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _as_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _load_data(data_dir: Path | None) -> FashionMnist:
    from garmentlite.train.data import load

    return load(data_dir, _say)


def _open_model(path: Path | None, labels_file: Path | None) -> Classifier:
    from garmentlite.edge.classifier import Classifier
    from garmentlite.edge.shipped import default_model

    labels = _read_labels(labels_file) if labels_file else None
    classifier = Classifier(path or default_model(), labels=labels)
    for warning in classifier.warnings:
        _say(f"Warning: {warning}")
    return classifier


def _compare_layers(
    first: Classifier, second: Classifier, images: Any, show: Callable[[str, int, int], None]
) -> LayersReport:
    from garmentlite.convert.layers import compare_layers

    return compare_layers(
        first, second, images, on_progress=lambda done, of: show("Layer by layer", done, of)
    )


def _compare_corrupted(
    first: Classifier,
    second: Classifier,
    images: Any,
    y_true: Any,
    outcome: ParityReport,
    limit: int | None,
    show: Callable[[str, int, int], None],
) -> CorruptionsReport:
    from garmentlite.convert.corruptions import CORRUPTION_IMAGES, compare_corrupted

    return compare_corrupted(
        first,
        second,
        images,
        y_true,
        margin=outcome.margin,
        alpha=outcome.alpha,
        classes=[row.label for row in outcome.classes if row.verdict != "not judged"],
        most=limit or CORRUPTION_IMAGES,
        on_progress=lambda done, of: show("Corrupted images", done, of),
    )


def _write_c_array(model: Path, folder: Path, name: str, force: bool) -> None:
    from garmentlite.convert.c_array import file_names, to_c_array
    from garmentlite.edge.files import write_text
    from garmentlite.edge.metadata import split

    classifier = _open_model(model, None)
    source, header = (folder / one for one in file_names(name))
    for path in (source, header):
        _refuse_to_overwrite(path, force)
    flatbuffer, _ = split(model.read_bytes())
    array = to_c_array(name, flatbuffer, classifier.labels)
    write_text(source, array.source)
    write_text(header, array.header)
    typer.echo(f"For TFLite Micro: {source} and {header}")


def _load_photographs(source: Path, labels: list[str], segment: str) -> Photographs:
    from garmentlite.convert.photos import load_photographs

    with _progress() as show:
        return load_photographs(
            source,
            labels,
            _segmenter(segment),
            warn=lambda sentence: _say(f"Error: {sentence}"),
            on_progress=lambda done, of: show("Preparing photographs", done, of),
        )


def _make_tiles(collection: Collection, segmenter: Segmenter, seed: int, cache: Path) -> Tiles:
    from garmentlite.train import tiles

    with _progress() as show:
        return tiles.make_tiles(
            collection.photos,
            collection.checksums,
            segmenter,
            seed,
            cache=cache,
            warn=lambda sentence: _say(f"Photographs: {sentence}"),
            on_progress=lambda done, of: show("Preparing photographs", done, of),
        )


def _read_labels(path: Path) -> list[str]:
    try:
        labels = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"--labels {path} cannot be read ({error}); name a text file with a label a line."
        ) from error
    if not labels:
        raise OptionError(f"--labels {path} is empty; write a label a line into it.")
    return labels


def _segmenter(name: str) -> Segmenter:
    from garmentlite.edge.opencv import use_one_thread
    from garmentlite.edge.segmenters.registry import make_segmenter

    use_one_thread()
    return make_segmenter(name)


def _start_backend(*more: str, distribute: bool = False) -> None:
    """Imports what training and converting need, without its start-up chatter.

    What is missing, of those and of the modules named in `more`, is said before the work begins. Other
    machines are joined before a device is looked for, where the training is to be distributed.
    """
    from importlib.util import find_spec

    from garmentlite.edge import native_log

    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    missing = [name for name in ("keras", "matplotlib", backend, *more) if find_spec(name) is None]
    if missing:
        raise MissingPartError(
            f"Training and converting need {', '.join(missing)}, which is not installed; "
            "run: pip install 'garmentlite[train]'"
        )
    _say("Starting the training backend ...")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with native_log.held_back():
        if distribute:
            from garmentlite.train.distribution import join_machines

            join_machines()
        from garmentlite.train.fit import device_description

        device_description()  # looks for accelerators, and says so
    # TensorFlow warns of what is compiled again and again, as every further network is.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _finish_run(
    folder: Path,
    result: Any,
    labels: Sequence[str],
    validated: tuple[Any, Any],
    tested: tuple[Any, Any] | None,
    wanted: dict[str, float] | None,
    photos: PhotoSet | None,
    *,
    final: bool,
) -> dict[str, Any]:
    """Writes a run's results; the test images, if there are any, are read only when the run is over."""
    from garmentlite.edge import metrics
    from garmentlite.train import adapt, diagnosis, plots, runs, target_recall
    from garmentlite.train.fit import predict_logits

    x, y = validated
    document: dict[str, Any] = {
        "ended": result.ended,
        "overfitting": diagnosis.overfitting(result.history).as_document(),
    }
    logits = predict_logits(result.model, x)
    if wanted:
        outcome = target_recall.apply(wanted, result.model, y, logits, labels)
        document["target_recall"] = outcome.as_document()
        logits = predict_logits(result.model, x)
    document["validation"] = metrics.summary(y, logits, labels)
    if photos and len(photos.y_validation):
        logits = predict_logits(result.model, photos.validation_u8)
        document["photos"] = adapt.measure(photos, logits).as_document(photos.groups)
    runs.write_model(folder, result.model)
    plots.learning_curves(result.history, folder / "learning_curves.png")
    if final:
        if tested:
            logits = predict_logits(result.model, tested[0])
            document["test"] = metrics.summary(tested[1], logits, labels)
        plots.of_metrics(document["test" if tested else "validation"], folder)
        runs.write_metrics(folder, document)
    return document


def _write_comparison(
    folder: Path,
    measured: list[Measured],
    differences: list[Difference],
    document: dict[str, Any],
    class_id: int,
    data_dir: Path | None,
) -> dict[str, Any]:
    """Writes pictures, JSON and page; returns the paired counts by run, made on validation images."""
    _start_backend()
    from garmentlite.convert import compare_report
    from garmentlite.edge.files import write_json, write_text
    from garmentlite.train import compare as comparing
    from garmentlite.train import plots
    from garmentlite.train.data import validation_split
    from garmentlite.train.fit import predict_logits
    from garmentlite.train.keras_file import read_network

    found = _load_data(data_dir)
    _, validation = validation_split(found.y_train)
    x, y = found.x_train[validation], found.y_train[validation]
    first, last = measured[0], measured[-1]
    kept = {run.name: run.model for run in measured if run.model}
    logits = {}
    with _progress() as show:
        for number, (name, path) in enumerate(kept.items(), start=1):
            show("Networks on validation images", number, len(kept))
            network = read_network(path, "remove it to compare the run's stored figures alone")
            logits[name] = predict_logits(network, x)
    curves = {name: comparing.trade_off(y, given, class_id) for name, given in logits.items()}
    paired = {
        name: comparing.paired(y, logits[first.name], given, first.labels)
        for name, given in logits.items()
        if first.name in logits and name != first.name
    }
    counts = {name: [row.as_document() for row in rows] for name, rows in paired.items()}
    names = [first.name, last.name]
    plots.before_and_after(
        first.confusion, last.confusion, names, first.labels, folder / "confusion_matrices.png"
    )
    plots.trade_off(measured, curves, class_id, folder / "trade_off.png")
    write_json(folder / "compare.json", document | {"paired": counts})
    picture = (folder / "trade_off.png").read_bytes()
    page = compare_report.to_html(measured, differences, paired, class_id, picture)
    write_text(folder / "compare.html", page)
    _say(f"Report: {folder / 'compare.html'}")
    return counts


def _refuse_to_overwrite(path: Path, force: bool) -> None:
    from garmentlite.edge.files import refuse_to_overwrite

    refuse_to_overwrite(path, force)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error: call it with (what, done, of); nothing where it is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(what: str, done: int, of: int) -> None:
            if done == 1:
                bar.reset(task)
            bar.update(task, description=what, completed=done, total=of, visible=True)

        yield show


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    from garmentlite.edge.text_table import text_table

    typer.echo(text_table(head, rows))


def _print_metrics(document: dict[str, Any]) -> None:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    _print_table(
        ["class", "recall", "precision", "F1"],
        [
            [row["label"], percent(row["recall"]), percent(row["precision"]), percent(row["f1"])]
            for row in document["per_class"]
        ],
    )
    typer.echo(
        f"accuracy {document['accuracy']:.2%}, macro F1 {document['macro_f1']:.4f}, MCC "
        f"{document['mcc']:.4f}, log loss {document['log_loss']:.4f} on {document['images']:,} images"
    )


def _photos_in_words(about: dict[str, Any]) -> str:
    """What a run says of its photographs before it trains, from `adapt.facts`."""
    none = about["training_without_garment"] + about["held_out_without_garment"]
    where = "none" if about["fold"] is None else f"fold {about['fold']} of {about['folds']}"
    if about["split_by"] and about["fold"] is not None:
        where += f", no {about['split_by']} on both sides"
    unseen = [group for group, count in about["training_by_group"].items() if not count]
    warning = f" None of {', '.join(unseen)} is trained on!" if unseen else ""
    return (
        f"{about['training']:,} photographs train in {about['variants'] + 1} variants, each "
        f"{about['repeats']} times an epoch; {about['held_out']:,} are held out ({where}); in {none:,} no "
        f"garment was found: not trained on, and wrong where held out.{warning}"
    )


def _print_photos(document: dict[str, Any]) -> None:
    """Recall on the photographs held out, from `adapt.PhotoFigures.as_document`."""
    rows = [
        [
            row["label"],
            f"{row['support']:,}",
            "-" if row["recall"] is None else f"{row['recall']:.1%}",
        ]
        for row in document["per_group"]
    ]
    _print_table(["photographs held out", "count", "recall"], rows)
    typer.echo(
        f"accuracy {document['accuracy']:.2%}, macro recall {document['macro_recall']:.2%} on "
        f"{document['images']:,} photographs; in {document['no_garment']:,} no garment was found"
    )


def _print_comparison(
    measured: list[Measured], differences: list[Difference], class_id: int
) -> None:
    """The table, with * at a difference beyond chance, and what it says in words."""

    def percent(share: float) -> str:
        return "-" if share != share else f"{share:.1%}"

    def row_of(name: str, before: float, changes: list[Change]) -> list[str]:
        cells = [name, percent(before)]
        for change in changes:
            mark = " " if change.may_be_chance else "*"
            cells += [percent(change.after), f"{100 * change.difference:+.1f}{mark}"]
        return cells

    def lowest_of(run: Measured) -> str:
        return f"{run.labels[run.hardest]} {percent(run.recall[run.hardest])}"

    first = measured[0]
    head = ["", first.name]
    macro = ["macro recall", percent(first.macro_recall)]
    lowest = ["lowest recall", lowest_of(first)]
    for run in measured[1:]:
        head += [run.name, "points "]
        macro += [percent(run.macro_recall), ""]
        lowest += [lowest_of(run), ""]
    accuracy = row_of("accuracy", first.accuracy, [one.accuracy for one in differences])
    rows = [accuracy, macro, lowest]
    for i, label in enumerate(first.labels):
        rows.append(row_of(label, first.recall[i], [one.recall[i] for one in differences]))
    precision = [one.precision[class_id] for one in differences]
    rows.append(row_of(f"precision {first.labels[class_id]}", first.precision[class_id], precision))
    _print_table(head, rows)
    typer.echo(
        f"Recall on the test images, as stored; * more than two standard errors from {first.name}."
    )
    for difference in differences:
        typer.echo(f"{difference.other.name}:")
        for sentence in difference.sentences():
            typer.echo(f"  {sentence}")


def _print_price(outcome: dict[str, Any]) -> None:
    """What the recall targets cost, from `target_recall.Outcome.as_document`."""
    typer.echo("Outputs were moved for the recall targets. On validation images:")
    rows = []
    for label, (before, after) in outcome["recall"].items():
        target = outcome["targets"].get(label)
        cells = ["-" if value is None else f"{value:.1%}" for value in (target, before, after)]
        change = None if before is None or after is None else 100 * (after - before)
        rows.append([label, *cells, f"{change:+.1f}" if change else ""])
    _print_table(["class", "target", "before", "after", "change"], rows)
    for sentence in outcome["in_words"]:
        typer.echo(sentence)


def _print_formats(rows: list[Any], images: int, data: str) -> None:
    """The files side by side; a class is named where a figure is that of one class."""

    def of_class(share: float | None, label: str | None, sign: str = "") -> str:
        return "-" if share is None else f"{label} {share * 100:{sign}.1f}"

    typer.echo(f"Files side by side, on {images:,} test images ({data}):")
    _print_table(
        ["format", "kB", "changed", "accuracy", "lowest recall", "largest loss", "ms", "MB", "kernels",
         "parity"],
        [
            [
                row.format,
                f"{row.bytes / 1000:,.0f}",
                "-" if row.changed is None else str(row.changed),
                "-" if row.accuracy is None else f"{row.accuracy:.2%}",
                of_class(row.lowest_recall, row.lowest_recall_label),
                of_class(row.largest_loss, row.largest_loss_label, "+"),
                f"{row.latency_ms:.3f}",
                "-" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:.1f}",
                row.kernels,
                row.verdict,
            ]
            for row in rows
        ],
    )  # fmt: skip
    typer.echo(
        "changed: answers unlike float32's; recall in %, loss in points; ms: median of one answer on one "
        "thread of\nthis machine; MB: memory of a process from before the file is read to its worst "
        "moment."
    )


def _worst_class(lost: Any, gained: Any, labels: Sequence[str]) -> str:
    worst = int((lost - gained).argmax())
    return f"{labels[worst]} ({lost[worst]}/{gained[worst]})"


if __name__ == "__main__":
    main()
