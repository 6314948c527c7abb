"""The command line: parses, calls, prints, exits. Nothing is learned or computed here.

Results go to standard output; progress, warnings and errors to standard error. Exit status: 0 done and
good, 1 a check failed, 2 could not be done, in whole or in part.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from edge.errors import (
    DataError,
    GarmentliteError,
    ModelError,
    OptionError,
    OutputError,
    PictureError,
)
from edge.version import __version__

if TYPE_CHECKING:
    from edge.classifier import Classifier
    from edge.segmentation import Segmenter
    from train.data import FashionMnist
    from train.fit import Epoch

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
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="A .tflite file; the best shipped one otherwise.")
]
LabelsOption = Annotated[
    Path | None,
    typer.Option("--labels", help="Text file with a label a line, for a model that carries none."),
]
SegmentOption = Annotated[
    str, typer.Option("--segment", help="How the garment is cut out: grabcut, border or plain.")
]
TopK = Annotated[int, typer.Option(min=1, help="How many classes to list.")]


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

    from train.data import MD5, inspect

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
    network: Annotated[str, typer.Option(help="Name in the registry.")] = "weighted-cnn",
    class_weight: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FACTOR (repeatable), 'balanced' or 'none'; the network's own otherwise."
        ),
    ] = None,
    target_recall: Annotated[
        str | None,
        typer.Option(
            help="NAME=RECALL: reach it on validation images by an offset of that output."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of Adam at the start; the network's own otherwise.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run; runs/NETWORK otherwise."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run that was broken off, if there is one."),
    ] = False,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Train a network on Fashion-MNIST; Ctrl-C keeps the best weights so far."""
    folder = output or Path("runs") / network
    if resume and (folder / "metrics.json").exists():
        typer.echo(f"{folder} is finished; nothing to resume.")
        return
    _start_backend()
    from edge.labels import FASHION_MNIST_LABELS
    from train import class_weights, fit, runs
    from train import target_recall as targets
    from train.data import MD5, validation_split
    from train.networks import network_named

    protocol = network_named(network)
    target = targets.parse(target_recall, FASHION_MNIST_LABELS) if target_recall else None
    found = _load_data(data_dir)
    training, validation = validation_split(found.y_train)
    config = fit.TrainConfig(
        network=network,
        class_weights=class_weights.parse(
            class_weight or [],
            protocol.class_weights,
            FASHION_MNIST_LABELS,
            found.y_train[training],
        ),
        augmentation=protocol.augmentation,
        epochs=epochs or protocol.epochs,
        batch_size=protocol.batch_size,
        learning_rate=learning_rate or protocol.learning_rate,
        seed=seed,
    )
    runs.prepare_folder(folder, resume=resume, force=force)
    if (folder / runs.CHECKPOINT).exists():  # before config.json is written anew
        fit.require_resumable(config, folder / runs.CHECKPOINT)
    _say(f"Training {network} on {fit.device_description()}")
    if class_weight == ["balanced"]:
        _say(
            "Every class has 6,000 images here, so balanced weights are all 1: the same as 'none'."
        )
    surroundings = {
        "target_recall": {target.label: target.recall} if target else {},
        "command": shlex.join(["cli", *sys.argv[1:]]),
        "images": {"training": len(training), "validation": len(validation)},
        "data_md5": MD5,
        "device": fit.device_description(),
        "versions": fit.versions(),
    }
    runs.write_config(folder, config, surroundings)
    with _progress() as show:

        def on_epoch(history: list[Epoch]) -> None:
            runs.write_history(folder, history, FASHION_MNIST_LABELS)
            epoch = history[-1]
            mark = "  best so far" if epoch.best else ""
            _say(
                f"epoch {epoch.epoch:3d}: loss {epoch.loss:.4f}, validation loss {epoch.val_loss:.4f}, "
                f"accuracy {epoch.val_accuracy:.2%}, {epoch.seconds:.0f} s{mark}"
            )

        try:
            result = fit.train(
                config,
                found.x_train[training],
                found.y_train[training],
                found.x_train[validation],
                found.y_train[validation],
                checkpoint=folder / runs.CHECKPOINT,
                on_step=lambda epoch, step, steps: show(
                    f"epoch {epoch} of at most {config.epochs}", step, steps
                ),
                on_epoch=on_epoch,
            )
        except KeyboardInterrupt:
            _say("Interrupted before the first epoch was done: nothing to keep.")
            raise typer.Exit(COULD_NOT) from None
    if result.ended == "interrupted":
        _finish_run(folder, result, found, validation, None, final=False)
        _say(f"Interrupted: the best weights so far are in {folder}; --resume goes on.")
        raise typer.Exit(COULD_NOT)
    _say(f"Ended: {result.ended}. The test set is read once now, with the weights kept.")
    document = _finish_run(folder, result, found, validation, target, final=True)
    _print_metrics(document["test"])
    if target:
        _print_price(document["target_recall"])
    typer.echo(f"Run written to {folder}; next: cli convert {folder} --int8")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A run's folder or a .keras file.")],
    int8: Annotated[bool, typer.Option("--int8", help="Make the int8 file.")] = False,
    ptq: Annotated[
        bool, typer.Option("--ptq", help="By calibration alone, without fine-tuning: seconds.")
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
    """Make the float32 reference and the int8 file, choosing the way that changes fewest answers."""
    if not int8:
        raise OptionError("Say what to make: cli convert ... --int8.")
    from convert import pipeline

    found_source = pipeline.find_source(source, name)
    folder = output or found_source.keras_path.parent
    paths = pipeline.output_paths(folder, found_source.name)
    if found_source.keras_path == paths["keras"]:
        del paths["keras"]  # it stays where it is
    pipeline.require_place_for(paths, force=force)
    _start_backend("tf_keras", "tensorflow_model_optimization")
    found = _load_data(data_dir)
    with _progress() as show:
        done = pipeline.convert(
            found_source,
            folder,
            found,
            fine_tune=not ptq,
            epochs=epochs,
            seed=seed,
            on_progress=show,
            say=_say,
        )
    typer.echo("Ways to int8, on validation images (changed: float and int8 give another class):")
    _print_table(
        ["way", "changed", "accuracy", "class that lost most (lost/gained)"],
        [
            [
                ("* " if one is done.chosen else "  ") + one.way,
                f"{one.changed} of {one.images:,}",
                f"{one.accuracy_change * 100:+.2f} points",
                _worst_class(one.lost, one.gained),
            ]
            for one in done.candidates
        ],
    )
    typer.echo(f"* chosen. {done.int8} has {done.int8.stat().st_size:,} bytes.")
    typer.echo(f"Next: cli verify {done.float32} {done.int8}")


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
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only the first LIMIT test images.")
    ] = None,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder for the report as HTML and JSON.")
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
    from convert import verify as checks

    stored = save_reference or against
    if (candidate is None) == (stored is None) or (save_reference and against):
        raise OptionError(
            "cli verify takes REFERENCE and CANDIDATE, or one MODEL with --save-reference or --against."
        )
    if report:
        _refuse_to_overwrite(report / "verify.html", force)
    first = _open_model(reference, labels)
    second = _open_model(candidate, labels) if candidate else first
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
            first, second, images, y_true, margin=margin, alpha=alpha, on_progress=on_progress
        )
    from convert import verify_report
    from edge.files import write_json, write_text

    if report:
        write_text(report / "verify.html", verify_report.to_html(outcome, images))
        write_json(report / "verify.json", outcome.as_document())
        _say(f"Report: {report / 'verify.html'}")
    typer.echo(_as_json(outcome.as_document()) if as_json else verify_report.to_text(outcome))
    raise typer.Exit(0 if outcome.passed else CHECK_FAILED)


@app.command()
def classify(
    paths: Annotated[
        list[str], typer.Argument(help="Pictures, folders or patterns such as '*.jpg'.")
    ],
    model: ModelOption = None,
    labels: LabelsOption = None,
    segment: SegmentOption = "grabcut",
    top_k: TopK = 3,
    as_json: AsJson = False,
    save_inputs: Annotated[
        Path | None, typer.Option(help="Folder for the 28x28 images that the network saw.")
    ] = None,
    force: Force = False,
) -> None:
    """Say which garment is in each picture."""
    from edge.pictures import find_pictures, read_picture
    from edge.recognition import recognize

    classifier = _open_model(model, labels)
    segmenter = _segmenter(segment)
    failed = 0
    found: list[Path] = []
    for named in paths:
        try:
            found += find_pictures([named])
        except GarmentliteError as error:
            failed += 1
            _say(f"Error: {error}")
    found = list(dict.fromkeys(found))  # none twice, in the order of the arguments
    names = _names_of_inputs(found) if save_inputs else {}
    for name in names.values():
        _refuse_to_overwrite(Path(save_inputs or "", name), force)
    for path in found:
        try:
            start = time.perf_counter()
            picture = read_picture(path)
            read_ms = (time.perf_counter() - start) * 1000
            recognition = recognize(picture, classifier, segmenter)
        except (PictureError, ModelError) as error:
            failed += 1
            _say(f"Error: {error}")
            continue
        image = recognition.prepared.image_u8
        if save_inputs and image is not None:
            _save_input(save_inputs / names[path], image)
        recognition.latency_ms["read"] = read_ms
        if as_json:
            line = {"path": str(path), **recognition.as_document(top_k)}
            typer.echo(json.dumps(line, ensure_ascii=False))
        else:
            typer.echo(f"{path}: {_in_words(recognition, top_k)}")
    if failed:
        raise typer.Exit(COULD_NOT)


@app.command()
def webcam(
    source: Annotated[
        str, typer.Option(help="Camera number, video file, folder of pictures, or test-pattern.")
    ] = "0",
    model: ModelOption = None,
    labels: LabelsOption = None,
    segment: SegmentOption = "grabcut",
    headless: Annotated[
        bool, typer.Option("--headless", help="JSON lines instead of a window.")
    ] = False,
    top_k: TopK = 3,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many frames.")
    ] = None,
) -> None:
    """Classify what a camera sees, in a window or as JSON lines; q or Ctrl-C ends it."""
    from edge.sources import open_source
    from edge.webcam import JsonLinesSink, WindowSink, run, why_no_window

    broken: list[str] = []

    def warn(sentence: str) -> None:
        broken.append(sentence)
        _say(f"Error: {sentence}")

    frames = open_source(source, warn=warn)
    classifier = _open_model(model, labels)
    segmenter = _segmenter(segment)
    obstacle = None if headless else why_no_window()
    if obstacle:
        _say(f"No window: {obstacle} Printing JSON lines.")
    sink = JsonLinesSink(sys.stdout, top_k=top_k) if headless or obstacle else WindowSink()
    try:
        looked_at = run(frames, classifier, segmenter, sink, max_frames=max_frames)
    except KeyboardInterrupt:
        return  # the usual way to end; camera and window are closed already
    if broken or not looked_at:
        raise typer.Exit(COULD_NOT)


@app.command()
def card(
    model: Annotated[
        Path | None, typer.Argument(help="A .tflite file; the best shipped one otherwise.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a model file says of itself."""
    from dataclasses import asdict

    classifier = _open_model(model, None)
    if classifier.metadata is None:
        raise DataError(
            f"{classifier.path} carries no metadata of garmentlite; 'cli convert' makes files that do."
        )
    document = asdict(classifier.metadata)
    if as_json:
        typer.echo(_as_json(document))
        return
    _print_card(classifier, document)


@app.command()
def draw(
    output: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures of each of the ten classes.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    force: Force = False,
) -> None:
    """Draw made-up pictures of garments on textured grounds, to try things without photographs."""
    import csv
    import io

    import numpy as np
    from PIL import Image

    from edge.drawing import draw_scene
    from edge.files import replacing, write_text
    from edge.labels import FASHION_MNIST_LABELS

    _refuse_to_overwrite(output / "labels.csv", force)
    rng = np.random.default_rng(seed)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "label"])
    for number in range(count):
        for label in FASHION_MNIST_LABELS:
            name = f"{label.replace('/', ' ').replace(' ', '-').lower()}-{number}.png"
            with replacing(output / name) as temporary:
                Image.fromarray(draw_scene(label, rng).rgb).save(temporary)
            writer.writerow([name, label])
    write_text(output / "labels.csv", table.getvalue())
    typer.echo(f"{count * len(FASHION_MNIST_LABELS)} pictures drawn in {output}.")


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
    segment: SegmentOption = "grabcut",
    margin: Annotated[float, typer.Option(help="Of the parity check, as a share.")] = 0.02,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Put a whole run on one HTML page: training, int8, parity, mistakes, pictures."""
    from convert.report import build
    from edge.files import write_text

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
    app(prog_name="cli")


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _as_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _load_data(data_dir: Path | None) -> FashionMnist:
    from train.data import load

    return load(data_dir, _say)


def _open_model(path: Path | None, labels_file: Path | None) -> Classifier:
    from edge.classifier import Classifier
    from edge.shipped import default_model

    labels = None
    if labels_file:
        try:
            labels = [line.strip() for line in labels_file.read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(
                f"--labels {labels_file} cannot be read ({error}); name a text file with a label a line."
            ) from error
        if not labels:
            raise OptionError(f"--labels {labels_file} is empty; write a label a line into it.")
    classifier = Classifier(path or default_model(), labels=labels)
    for warning in classifier.warnings:
        _say(f"Warning: {warning}")
    return classifier


def _segmenter(name: str) -> Segmenter:
    from edge.segmentation import make_segmenter

    return make_segmenter(name)


def _start_backend(*more: str) -> None:
    """Imports what training and converting need, without its start-up chatter.

    What is missing, of those and of the modules named in `more`, is said before the work begins.
    """
    from importlib.util import find_spec

    from edge import native_log
    from edge.errors import MissingPartError

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
        from train.fit import device_description

        device_description()  # looks for accelerators, and says so


def _finish_run(
    folder: Path,
    result: Any,
    found: FashionMnist,
    validation: Any,
    target: Any,
    *,
    final: bool,
) -> dict[str, Any]:
    """Writes a run's results; the test set is read only when the run is over."""
    from edge import metrics
    from edge.labels import FASHION_MNIST_LABELS
    from train import plots, runs, target_recall
    from train.fit import predict_logits

    labels = FASHION_MNIST_LABELS
    x, y = found.x_train[validation], found.y_train[validation]
    document: dict[str, Any] = {"ended": result.ended}
    logits = predict_logits(result.model, x)
    if target:
        outcome = target_recall.apply(target, result.model, y, logits, labels)
        document["target_recall"] = outcome.as_document()
        logits = predict_logits(result.model, x)
    document["validation"] = metrics.summary(y, logits, labels)
    runs.write_model(folder, result.model)
    plots.learning_curves(result.history, folder / "learning_curves.png")
    if final:
        logits = predict_logits(result.model, found.x_test)
        document["test"] = metrics.summary(found.y_test, logits, labels)
        plots.of_metrics(document["test"], folder)
        runs.write_metrics(folder, document)
    return document


def _names_of_inputs(pictures: list[Path]) -> dict[Path, str]:
    """A file name for the image that the network saw of each picture; none twice."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in pictures:
        name, number = f"{path.stem}.png", 2
        while name.casefold() in taken:
            name, number = f"{path.stem}-{number}.png", number + 1
        taken.add(name.casefold())
        names[path] = name
    return names


def _save_input(path: Path, image_u8: Any) -> None:
    from PIL import Image

    from edge.files import replacing

    with replacing(path) as temporary:
        Image.fromarray(image_u8).save(temporary)


def _refuse_to_overwrite(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise OutputError(f"{path} is already there; --force replaces it, or name another place.")


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
    """A table of text: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        typer.echo("  ".join(cells).rstrip())


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


def _print_price(outcome: dict[str, Any]) -> None:
    def change(name: str) -> str:
        before, after = outcome[name]
        return f"{before:.1%} -> {after:.1%}"

    typer.echo(
        f"The output of {outcome['label']} was raised by {outcome['offset']:.3f}. On validation images: "
        f"its recall {change('recall')}, macro recall {change('macro_recall')}, accuracy "
        f"{change('accuracy')}; {outcome['paid']} paid most, {change('paid_recall')}."
    )


def _worst_class(lost: Any, gained: Any) -> str:
    from edge.labels import FASHION_MNIST_LABELS

    worst = int((lost - gained).argmax())
    return f"{FASHION_MNIST_LABELS[worst]} ({lost[worst]}/{gained[worst]})"


def _in_words(recognition: Any, top_k: int) -> str:
    total = sum(recognition.latency_ms.values())
    others = ", ".join(
        f"{row['label']} {row['probability']:.0%}" for row in recognition.top_k(top_k)
    )
    if not others:
        reason = recognition.prepared.description.get("reason", "")
        return f"{recognition.label} ({reason}), {total:.0f} ms"
    return f"{recognition.label} {recognition.confidence:.0%} ({others}), {total:.0f} ms"


def _print_card(classifier: Classifier, document: dict[str, Any]) -> None:
    typer.echo(
        f"{document['name']} ({classifier.path.name}, {classifier.path.stat().st_size:,} bytes)"
    )
    size = "x".join(str(side) for side in classifier.image_size)
    for side, tensor in (("takes", classifier.input), ("gives", classifier.output)):
        what = f"{size} grey" if side == "takes" else f"{len(classifier.labels)} logits"
        typer.echo(
            f"  {side} {what}, {tensor.dtype}, scale {tensor.scale:.6g}, zero point {tensor.zero_point}"
        )
    preparation = document["preparation"]
    typer.echo(f"  preparation {preparation['name']} {preparation['version']}")
    typer.echo(
        f"  temperature {document['temperature']}, unknown below {document['unknown_threshold']}"
    )
    typer.echo(f"  from the float model {document['reference_sha256'][:12]}")
    if document["quantization"]:
        typer.echo(f"  int8 by: {document['quantization']['way']}")
    for part, figures in document["measured"].items():
        typer.echo(f"  {part}: accuracy {figures['accuracy']:.2%}")
        recall, precision = figures["recall_per_class"], figures["precision_per_class"]
        for label in classifier.labels:
            shares = ["-" if v is None else f"{v:.1%}" for v in (recall[label], precision[label])]
            typer.echo(f"    {label:<12} recall {shares[0]:>6}  precision {shares[1]:>6}")


if __name__ == "__main__":
    main()
