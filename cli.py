"""The command line: parses, calls, prints, exits. Nothing is learned or computed here.

Results go to standard output; progress, warnings and errors to standard error. Exit status: 0 done and
good, 1 a check failed, 2 could not be done, in whole or in part.
"""

from __future__ import annotations

import io
import json
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
    from typer.core import TyperCommand, TyperGroup

    from garmentlite.edge.errors import (
        GarmentliteError,
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
    from garmentlite.train.data import FashionMnist

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


class _GroupedCommand(TyperCommand):
    """A command whose help shows its options in groups, without the time it takes to import rich."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record:
                others = "Arguments" if parameter.param_type_name == "argument" else "Options"
                title = getattr(parameter, "rich_help_panel", None) or others
                groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


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
    """Find or download Fashion-MNIST, check its files, and count its images."""
    from dataclasses import asdict

    from garmentlite.train.data import inspect

    report = inspect(_load_data(data_dir))
    typer.echo(json.dumps(asdict(report), indent=2) if as_json else report.as_text())


_DATA, _NETWORK, _SCHEDULE = "Data", "Network", "Schedule"
_PHOTOGRAPHS, _HARDWARE = "Photographs", "Hardware"


@app.command(cls=_GroupedCommand)
def train(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_DATA,
            help="Folder with the four files of Fashion-MNIST; by default it is found or downloaded.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", rich_help_panel=_DATA,
            help="Folder of the run; runs/NETWORK by default, runs/NETWORK-photo with photographs.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", rich_help_panel=_DATA,
            help="Continue an unfinished run in the folder; without one, begin a new run.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", rich_help_panel=_DATA,
            help="Replace a run in the folder. The older run is kept until the new one is finished.",
        ),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", rich_help_panel=_DATA,
            help="Write the history for TensorBoard, too, to RUN/tensorboard.",
        ),
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_NETWORK,
            help="Name of the network; by default that of --init, or weighted-cnn.",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_NETWORK,
            help="Run or .keras file with trained weights to begin with; the run is then short, with a low "
            "learning rate.",
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            rich_help_panel=_NETWORK,
            help="Run or .keras file whose answers are learned together with the labels (distillation). "
            "If it is given several times, the mean of the answers is learned.",
        ),
    ] = None,
    class_weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FACTOR",
            rich_help_panel=_NETWORK,
            help="NAME=FACTOR multiplies the loss of a class (repeatable); 'balanced' gives every class the "
            "same total weight, 'none' weighs all images alike. The network's own weights by default.",
        ),
    ] = None,
    target_recall: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=RECALL",
            rich_help_panel=_NETWORK,
            help="NAME=RECALL (repeatable; all=RECALL for the other classes): after training, shift the "
            "decision boundary until the class has this recall on the validation images.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, rich_help_panel=_NETWORK,
            help="Seed of the initial weights, the order of the images, augmentation and dropout.",
        ),
    ] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_SCHEDULE,
            help="Maximum number of epochs; the network's own by default.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=_SCHEDULE,
            help="Highest learning rate of the schedule; the network's own by default.",
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Labelled photographs to train on, too: a folder with a subfolder for each class, or a CSV "
            "with the columns file and label. If no label is one of Fashion-MNIST's, the labels are the "
            "classes and Fashion-MNIST is not used.",
        ),
    ] = None,
    label_column: Annotated[
        str,
        typer.Option(rich_help_panel=_PHOTOGRAPHS, help="Column of the label in the CSV."),
    ] = "label",
    split_by: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Column of the contributor in the CSV; no contributor is both trained on and held out.",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CLASS,...",
            rich_help_panel=_PHOTOGRAPHS,
            help="NAME=CLASS,CLASS (repeatable): the label NAME stands for any of these classes.",
        ),
    ] = None,
    own_classes: Annotated[
        bool,
        typer.Option(
            "--own-classes", rich_help_panel=_PHOTOGRAPHS,
            help="Make every label of the photographs a class.",
        ),
    ] = False,
    folds: Annotated[
        int,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS, help="Number of parts that the photographs are dealt to."
        ),
    ] = 5,
    fold: Annotated[
        int,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Part that is held out, from 1: the run is validated on it and not trained on it.",
        ),
    ] = 1,
    all_photos: Annotated[
        bool,
        typer.Option(
            "--all-photos", rich_help_panel=_PHOTOGRAPHS,
            help="Hold no photograph out; the weights of the last epoch are kept.",
        ),
    ] = False,
    segment: Annotated[
        str,
        typer.Option(
            "--segment", rich_help_panel=_PHOTOGRAPHS,
            help=f"Segmenter that cuts out the garment: {', '.join(SEGMENTERS)}.",
        ),
    ] = DEFAULT_SEGMENTER,
    distribute: Annotated[
        bool,
        typer.Option(
            "--distribute", rich_help_panel=_HARDWARE, help="Split each batch among all GPUs."
        ),
    ] = False,
    mixed_precision: Annotated[
        bool,
        typer.Option(
            "--mixed-precision", rich_help_panel=_HARDWARE,
            help="Compute in bfloat16, which is faster on GPUs that support it and slower on most CPUs.",
        ),
    ] = False,
) -> None:  # fmt: skip
    """Train a network on Fashion-MNIST, on photographs or on both.

    Training stops with a diagnosis when it cannot succeed (loss is NaN, accuracy at chance). Ctrl-C keeps
    the best weights so far.
    """
    from garmentlite.train import session

    if not photos and (split_by or group or own_classes or all_photos):
        raise OptionError(
            "--split-by, --group, --own-classes and --all-photos belong to --photos; name a folder with it."
        )
    chosen = None
    if photos:
        chosen = session.PhotoRequest(
            source=photos, label_column=label_column, split_by=split_by, groups=tuple(group or ()),
            own_classes=own_classes, folds=folds, fold=None if all_photos else fold, segmenter=segment,
        )  # fmt: skip
    request = session.TrainRequest(
        network=network, class_weights=tuple(class_weight or ()), target_recall=tuple(target_recall or ()),
        teachers=tuple(teacher or ()), init=init, photos=chosen, epochs=epochs,
        learning_rate=learning_rate, seed=seed, output=output, resume=resume, force=force,
        distribute=distribute, mixed_precision=mixed_precision, tensorboard=tensorboard,
        data_dir=data_dir, command=_command_line(),
    )  # fmt: skip
    with _progress() as show:
        outcome = session.run(request, say=_say, on_progress=show)
    if not outcome.is_finished:
        raise typer.Exit(COULD_NOT)
    typer.echo(outcome.text)


@app.command()
def rebalance(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, which is not changed.")],
    target_recall: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=RECALL",
            help="NAME=RECALL (repeatable; all=RECALL for the other classes): shift the decision boundary "
            "until the class has this recall on the validation images.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new run.")],
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Shift the decision boundaries between the classes of a finished run; trains nothing, takes seconds."""
    from garmentlite.train import session

    outcome = session.rebalance(
        run,
        target_recall,
        output,
        force=force,
        data_dir=data_dir,
        command=_command_line(),
        say=_say,
    )
    typer.echo(outcome.text)


@app.command()
def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of finished runs, or cards; the first is the baseline."
        ),
    ],
    class_name: Annotated[
        str, typer.Option("--class", help="Class whose precision and trade-off are shown.")
    ] = "Shirt",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for pictures, a JSON document and a page."),
    ] = None,
    as_json: AsJson = False,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Compare runs: which class gains, which pays for it, and which difference may be chance.

    With -o, trade-off curves are drawn as well.
    """
    from garmentlite.train.compare import compare_runs

    comparison = compare_runs(paths, class_name)
    document = comparison.as_document()
    if output:
        from garmentlite.convert.compare_runs import write_comparison

        with _progress() as show:
            document = write_comparison(
                comparison, output, data_dir=data_dir, force=force, say=_say, on_progress=show
            )
    typer.echo(_as_json(document) if as_json else comparison.as_text())


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
    top_k: TopK = 3,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after this number of frames.")
    ] = None,
) -> None:
    """Name what a camera sees, in a window or as JSON lines; press q or Ctrl-C to stop."""
    from garmentlite.edge.recognizer import Recognizer
    from garmentlite.edge.sinks.json_lines import JsonLinesSink
    from garmentlite.edge.sinks.window import WindowSink, why_no_window
    from garmentlite.edge.sources.registry import open_source
    from garmentlite.edge.stream import GarmentStream, run

    broken: list[str] = []

    def warn(sentence: str) -> None:
        broken.append(sentence)
        _say(f"Error: {sentence}")

    frames = open_source(source, warn=warn)
    recognizer = Recognizer(_open_model(model, labels), segment)
    obstacle = None if headless else why_no_window()
    if obstacle:
        _say(f"No window: {obstacle} Printing JSON lines.")
    sink = JsonLinesSink(sys.stdout, top_k=top_k) if headless or obstacle else WindowSink()
    try:
        looked_at = run(GarmentStream(frames, recognizer), [sink], max_frames=max_frames)
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


def _start_backend(*more: str) -> None:
    """Starts what training and converting need; a missing part of `more`, too, is one sentence."""
    from garmentlite.train import backend

    backend.start(more=more, say=_say)


def _command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["cli", *sys.argv[1:]])


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
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("", total=None, visible=False)

    def show(what: str, done: int, of: int) -> None:
        bar.start()  # not before, since the bar would draw while the backend's messages are held back
        if done == 1:
            bar.reset(task)
        bar.update(task, description=what, completed=done, total=of, visible=True)

    try:
        yield show
    finally:
        bar.stop()


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    from garmentlite.edge.text_table import text_table

    typer.echo(text_table(head, rows))


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
