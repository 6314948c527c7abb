"""The command line: each command parses its options, calls one function, prints the result and exits.

Results go to standard output; progress, warnings and errors go to standard error. The exit status is 0
when all was done, 1 when a check failed, and 2 when something could not be done.
"""

# Without "from __future__ import annotations": typer would evaluate the text of every annotation twice, which
# takes a tenth of the time of 'cli --help'.
import gc
import sys

gc.disable()  # what is imported stays; to look for garbage in it takes a fifth of the time of 'cli --help'
try:
    from garmentlite.edge.interrupts import raise_lost_interrupts_again

    raise_lost_interrupts_again()  # imports are one of the places that lose Ctrl-C

    import json
    from collections.abc import Iterator
    from contextlib import contextmanager, suppress
    from enum import StrEnum
    from functools import partial
    from pathlib import Path
    from typing import TYPE_CHECKING, Annotated, Any

    import typer
    from typer.core import TyperCommand, TyperGroup

    from garmentlite.convert.formats import FORMATS
    from garmentlite.edge import standard_streams
    from garmentlite.edge.documents import printable
    from garmentlite.edge.errors import (
        CheckFailedError,
        GarmentliteError,
        OptionError,
    )
    from garmentlite.edge.segmenters.registry import DEFAULT_SEGMENTER, SEGMENTERS
    from garmentlite.edge.standard_streams import write_line
    from garmentlite.edge.version import __version__
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    sys.stderr.write(
        f"Error: '{missing.name}' is not installed for {sys.executable}; run 'make setup' in the checkout, "
        "then use .venv/bin/cli.\n"
    )
    sys.exit(2)
except KeyboardInterrupt:
    sys.stderr.write("Interrupted.\n")
    sys.exit(2)
finally:
    gc.freeze()
    gc.enable()

if TYPE_CHECKING:
    from garmentlite.convert.verify.check import ImageSource
    from garmentlite.convert.verify.parity_report import ParityReport
    from garmentlite.edge.callbacks import OnStageProgress
    from garmentlite.edge.camera_app import CameraRequest
    from garmentlite.edge.classifier import Classifier
    from garmentlite.edge.collected import CollectRequest
    from garmentlite.edge.page.address import Address
    from garmentlite.edge.segmenters.interface import Segmenter
    from garmentlite.train.data import FashionMnist

CHECK_FAILED = 1
COULD_NOT = 2


class _SentenceGroup(TyperGroup):
    """Turns an expected error into its sentence and status 2; other errors keep their traceback."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().make_context(*arguments, **options)
        except KeyboardInterrupt as error:  # typer would end without a message
            raise typer.Exit(_say_why(error)) from error

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except (GarmentliteError, KeyboardInterrupt, OSError) as error:
            if ctx.params.get("debug"):
                import traceback

                traceback.print_exc()
            raise typer.Exit(_say_why(error)) from error


def _say_why(error: GarmentliteError | KeyboardInterrupt | OSError) -> int:
    """Writes the sentence of an error that a user can cause or meet; the exit status."""
    if isinstance(error, BrokenPipeError):  # the reader (`| head`) closed the pipe, which is fine
        standard_streams.discard(sys.stdout)
        return 0
    if isinstance(error, KeyboardInterrupt):
        _say("Interrupted.")
    elif isinstance(error, OSError):
        standard_streams.discard(sys.stdout)
        name = f"{error.filename}: " if error.filename else ""
        _say(
            f"Error: {name}{error.strerror or error}; check the name, the rights and the free space."
        )
    else:
        _say(f"Error: {error}")
    return CHECK_FAILED if isinstance(error, CheckFailedError) else COULD_NOT


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


class _WebcamCommand(TyperCommand):
    """Lets `--serve` stand without a value, which typer's options do not allow."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        for number, (one, following) in enumerate(zip(args, [*args[1:], "-"], strict=False)):
            if one == "--serve" and following.startswith("-"):
                args[number] = "--serve="
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SentenceGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train garment classifiers, convert them to int8 TensorFlow Lite, check each class, and run them "
    "on a Raspberry Pi.",
    epilog="The exit status is 0 when all was done, 1 when a check failed, and 2 when something could not "
    "be done.",
)

service_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Run the camera app from the start of the machine, under systemd.",
)
app.add_typer(service_app, name="service")

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the four files of Fashion-MNIST; by default it is found or downloaded."
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
        help="Read the class names from this text file, one on each line, in place of those in the model "
        "file.",
    ),
]
InputRangeOption = Annotated[
    str | None,
    typer.Option(
        "--input-range",
        metavar="RANGE",
        help="The numbers that stand for the pixels 0 to 255 in a model that another program made: 0..1, "
        "0..255 or -1..1. Without this option they are found out; if that fails, an error asks for it. "
        "Models of garmentlite always take 0..1.",
    ),
]
PrepareOption = Annotated[
    str | None,
    typer.Option(
        "--prepare",
        metavar="WAY",
        help="How a picture becomes the input of the model: garment (the garment is cut out, as for "
        "Fashion-MNIST), resize (the whole picture) or centre-crop (its middle). The default is garment "
        "for models of grey 28x28 images and centre-crop for others.",
    ),
]
SegmentOption = Annotated[
    str,
    typer.Option(
        "--segment",
        help=f"Cut the garment out of a photograph with this segmenter: {', '.join(SEGMENTERS)}.",
    ),
]
TopK = Annotated[int, typer.Option(min=1, help="List this many classes, the most probable first.")]


class TeacherSees(StrEnum):
    """The images that teachers answer about."""

    CLEAN = "clean"
    AUGMENTED = "augmented"


class Rotation(StrEnum):
    """By how many degrees frames can be turned."""

    NONE = "0"
    QUARTER = "90"
    HALF = "180"
    THREE_QUARTERS = "270"


def _format_option(name: str) -> Any:
    """Returns the option of an export format, from its entry in the registry."""
    return typer.Option(FORMATS[name].option, help=FORMATS[name].help)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if version:
        write_line(f"garmentlite {__version__}")
        raise typer.Exit


@app.command()
def data(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Find or download Fashion-MNIST and check its files."""
    from dataclasses import asdict

    from garmentlite.train.data import inspect

    report = inspect(_load_data(data_dir))
    write_line(json.dumps(asdict(report), indent=2) if as_json else report.as_text())


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
    images: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_DATA,
            help="Train on this number of Fashion-MNIST images, drawn at random; all by default.",
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
            help="Also write the history for TensorBoard, to RUN/tensorboard.",
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
            help="Run or .keras file whose predictions are learned together with the labels (distillation). "
            "If it is given several times, the mean of the predictions is learned.",
        ),
    ] = None,
    teacher_sees: Annotated[
        TeacherSees,
        typer.Option(
            rich_help_panel=_NETWORK,
            help="'clean': the teachers answer once about every training image. 'augmented': they answer "
            "in every step about the changed images that the network is shown, which is slow without a GPU.",
        ),
    ] = TeacherSees.CLEAN,
    mixup: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, rich_help_panel=_NETWORK,
            help="Blend a training image with another one with this probability.",
        ),
    ] = None,
    cutmix: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, rich_help_panel=_NETWORK,
            help="Paste a part of another image into a training image with this probability.",
        ),
    ] = None,
    class_weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FACTOR",
            rich_help_panel=_NETWORK,
            help="NAME=FACTOR multiplies the loss of a class (repeatable); 'balanced' gives every class the "
            "same total weight, 'none' weighs all images alike. By default the network has its own weights.",
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
            help="Maximum number of epochs; by default the network's recipe sets it.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_SCHEDULE,
            help="Number of images in a step; by default the network's recipe sets it.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=_SCHEDULE,
            help="Highest learning rate of the schedule; by default the network's recipe sets it.",
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Labelled photographs to train on as well: a folder with a subfolder for each class, or a "
            "CSV file with the columns file and label. If no label is one of Fashion-MNIST's, the labels "
            "become the classes and Fashion-MNIST is not used.",
        ),
    ] = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS, show_default="label",
            help="Column of the label in the CSV file (repeatable). The first of these columns that is "
            "filled in counts.",
        ),
    ] = None,
    also_column: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Column in the CSV file of further classes that a careful person could also give, joined "
            "by '|'. They count as accepted where the answers are measured; the network learns the label.",
        ),
    ] = None,
    flags_column: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Column in the CSV file of flags, joined by '|'. Photographs with the flags several, cut "
            "or crumpled have half the weight in training.",
        ),
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Column in the CSV file that names the contributor. All photographs of a contributor then "
            "go to the same part, so that nobody is both trained on and held out.",
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
            rich_help_panel=_PHOTOGRAPHS,
            help="Number of parts that the photographs are split into.",
        ),
    ] = 5,
    fold: Annotated[
        int,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Number of the part that is held out, counted from 1: the run is validated on it and not "
            "trained on it.",
        ),
    ] = 1,
    all_photos: Annotated[
        bool,
        typer.Option(
            "--all-photos", rich_help_panel=_PHOTOGRAPHS,
            help="Train on all photographs and hold none out; the weights of the last epoch are kept.",
        ),
    ] = False,
    segment: Annotated[
        str,
        typer.Option(
            "--segment", rich_help_panel=_PHOTOGRAPHS,
            help=f"Segmenter that cuts out the garment: {', '.join(SEGMENTERS)}.",
        ),
    ] = DEFAULT_SEGMENTER,
    rooms: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_PHOTOGRAPHS,
            help="Folder with index.csv (columns file and note) and pictures of rooms without a garment. The "
            "network learns to be unsure of what is taken for a garment there, and to name garments that are "
            "held up in them.",
        ),
    ] = None,
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
            help="Compute in bfloat16, which is faster if the GPU or CPU supports it and slower if not.",
        ),
    ] = False,
    images_on_device: Annotated[
        bool | None,
        typer.Option(
            rich_help_panel=_HARDWARE, show_default="where JAX has a GPU",
            help="Keep and change the training images on the GPU, and take several steps in each call.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Train a network on Fashion-MNIST, on photographs or on both.

    Training stops with a diagnosis when it cannot succeed (the loss is NaN, or the accuracy stays at
    chance). Ctrl-C keeps the best weights so far.
    """
    from garmentlite.train import collection, session

    columns = collection.Columns(
        label=tuple(label_column or (collection.LABEL_COLUMN,)), contributor=split_by, also=also_column,
        flags=flags_column,
    )  # fmt: skip
    if not photos and (columns.options or group or own_classes or all_photos or rooms):
        raise OptionError(
            "--split-by, --also-column, --flags-column, --group, --own-classes, --all-photos and --rooms "
            "belong to --photos; name a folder with it."
        )
    chosen = None
    if photos:
        chosen = session.PhotoRequest(
            source=photos, columns=columns, groups=tuple(group or ()),
            own_classes=own_classes, folds=folds, fold=None if all_photos else fold, segmenter=segment,
            rooms=rooms,
        )  # fmt: skip
    request = session.TrainRequest(
        network=network, class_weights=tuple(class_weight or ()), target_recall=tuple(target_recall or ()),
        teachers=tuple(teacher or ()), teacher_sees=teacher_sees.value, init=init, photos=chosen,
        images=images, mixup=mixup, cutmix=cutmix, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, seed=seed, output=output, resume=resume, force=force,
        distribute=distribute, mixed_precision=mixed_precision, images_on_device=images_on_device,
        tensorboard=tensorboard, data_dir=data_dir, command=_command_line(),
    )  # fmt: skip
    with _progress() as show:
        outcome = session.run(request, say=_say, on_progress=show)
    if not outcome.is_finished:
        raise typer.Exit(COULD_NOT)
    write_line(outcome.text)


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
    """Shift the decision boundaries between a run's classes.

    The result is a new run. Nothing is trained, so it takes seconds.
    """
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
    write_line(outcome.text)


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
    """Compare runs: which classes gain and which lose.

    Differences that may be chance are marked. With -o, trade-off curves are drawn as well.
    """
    from garmentlite.train.compare import compare_runs

    comparison = compare_runs(paths, class_name)
    document = comparison.as_document()
    if output:
        from garmentlite.convert.comparison_files import write_comparison

        with _progress() as show:
            document = write_comparison(
                comparison, output, data_dir=data_dir, force=force, say=_say, on_progress=show
            )
    write_line(_as_json(document) if as_json else comparison.as_text())


@app.command()
def convert(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            help="A run's folder, a .keras or .h5 file of Keras 2 or 3, or the folder of a SavedModel."
        ),
    ],
    int8: Annotated[bool, _format_option("int8")] = False,
    int8_weights: Annotated[bool, _format_option("int8-weights")] = False,
    float16: Annotated[bool, _format_option("float16")] = False,
    float32: Annotated[bool, _format_option("float32")] = False,
    int16x8: Annotated[bool, _format_option("int16x8")] = False,
    ptq: Annotated[
        bool,
        typer.Option(
            "--ptq",
            help="Make int8 by post-training quantization alone; this takes seconds and trains nothing.",
        ),
    ] = False,
    io: Annotated[
        str | None,
        typer.Option(
            help="Data type of the int8 file's input and output: int8 (default), uint8 or float32."
        ),
    ] = None,
    allow_float: Annotated[
        bool,
        typer.Option(
            "--allow-float",
            help="Accept operators that have no integer kernel and are therefore computed in float32.",
        ),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of grey pictures of the network's input size that set the quantization ranges, "
            "with a subfolder for each class if the classes are known; by default Fashion-MNIST is used."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Text file with the label of each output on a line, in the order of the outputs; by default "
            "those of the run or the card, or else Fashion-MNIST's in their usual order."
        ),
    ] = None,
    input_range: Annotated[
        str | None,
        typer.Option(
            help="Numbers that the network takes for the pixels: 0..1, 0..255 or -1..1; by default as a "
            "Rescaling layer at its start shows, or else 0..1. The files always take pixel / 255."
        ),
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run that was trained on another fold of the same photographs (repeatable). Its held-out "
            "photographs are used to fit the temperature and the 'unknown' threshold; by default those of "
            "the converted run are used."
        ),
    ] = None,
    c_array: Annotated[
        bool,
        typer.Option(
            "--c-array",
            help="Also write the int8 file as .cc and .h, for TFLite Micro. With a .tflite file as source, "
            "only these are written.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the files; by default that of the source."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the files; by default the network's name.")
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=1, help="Number of epochs of quantization-aware fine-tuning.")
    ] = 1,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Seed of the fine-tuning and of the choice of images that set the quantization ranges.",
        ),
    ] = 0,
    about: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of statements for the card, such as the purpose and the limits of the network."
        ),
    ] = None,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Convert a run or another network to .tflite files.

    The float32 reference is always written, then the formats asked for, and a table that compares them.
    A network that takes other numbers for the pixels or ends in a softmax is adapted. A network that does
    no better than guessing is refused.
    """
    wanted = tuple(one.name for one in FORMATS.values() if context.params[one.parameter])
    if source.suffix == ".tflite":
        if wanted or ptq or not c_array:
            raise OptionError(
                f"{source} is already a .tflite file, so the only option that applies is --c-array, which "
                "writes it as .cc and .h; give that one, or name a run to convert."
            )
        _write_c_array(source, output or source.parent, name or source.stem, force)
        return
    if (ptq or io) and not int8:
        raise OptionError(
            f"{'--ptq' if ptq else '--io'} applies to the int8 file; give --int8 too."
        )
    from garmentlite.convert import job, pipeline
    from garmentlite.convert.report import conversion_text
    from garmentlite.edge.model_input import range_of

    taken = range_of(input_range) if input_range else None
    request = pipeline.Request(
        wanted, not ptq, epochs, seed, io or "int8", allow_float, c_array, taken
    )
    known = _read_labels(labels)
    inputs = job.Inputs(calibration, known, tuple(held_out or ()), data_dir, about)
    prepared = job.prepare(source, request, inputs, folder=output, name=name, force=force)
    _start_backend("tf_keras", "tensorflow_model_optimization")
    with _progress() as show:
        done = job.run(prepared, on_progress=show, say=_say)
    write_line(conversion_text.to_text(done))
    if done.c_array:
        _print_c_array(*done.c_array)
    write_line(conversion_text.next_step(prepared, done))


@app.command()
def verify(
    reference: Annotated[
        Path,
        typer.Argument(
            help="The .tflite file that the candidate is compared with; with --save-reference or --against, "
            "the only file."
        ),
    ],
    candidate: Annotated[
        Path | None, typer.Argument(help="The .tflite file that is checked.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            help="Largest loss of recall that is accepted for a class; 0.02 is two percentage points."
        ),
    ] = 0.02,
    alpha: Annotated[
        float, typer.Option(help="One-sided error rate of the confidence bounds.")
    ] = 0.05,
    classes: Annotated[
        list[str] | None,
        typer.Option(help="Name of a class to judge (repeatable); by default all are judged."),
    ] = None,
    min_support: Annotated[
        int | None, typer.Option(min=1, help="Do not judge classes with fewer images than this.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only the first LIMIT test images.")
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Use photographs in place of the test images: a folder with a subfolder for each class, or "
            "a CSV file with the columns file and label."
        ),
    ] = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    prepare: PrepareOption = None,
    kernels: Annotated[
        bool,
        typer.Option(
            "--kernels",
            help="Also run the candidate with the runtime's reference kernels, which are slow.",
        ),
    ] = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Also measure which layer causes the error; this takes seconds."
        ),
    ] = False,
    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions",
            help="Also compare the models on noisy, blurred, brighter, paler, shifted and JPEG-compressed "
            "images: the first 2,000 of each kind, or as many as --limit says.",
        ),
    ] = False,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option(help="Write the report as HTML and JSON to this folder.")
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(help="Write the report as JUnit XML, for CI systems, to this file."),
    ] = None,
    save_reference: Annotated[
        Path | None, typer.Option(help="Store the outputs of one model in this .npz file.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Compare the outputs of one model with those that another machine stored in this .npz file."
        ),
    ] = None,
    labels: LabelsOption = None,
    input_range: InputRangeOption = None,
    data_dir: DataDir = None,
    force: Force = False,
) -> None:
    """Prove for each class that a candidate matches its reference.

    The exit status is 1 if a class may lose more recall than the margin allows.
    """
    from garmentlite.convert.verify import check
    from garmentlite.convert.verify.criteria import Criteria

    _require_verify_options(candidate, save_reference, against, layers or corruptions)
    if photos and (limit or data_dir):
        raise OptionError(
            "--photos takes the place of the test images; leave out --limit and --data-dir."
        )
    if prepare and not photos:
        raise OptionError("--prepare belongs to --photos; give both.")
    segmenter = _segmenter(segment) if photos else None
    images = check.ImageSource(data_dir, limit, photos, segmenter, prepare)
    if candidate is None:
        opened = _open_model(reference, labels, input_range)
        _verify_one_file(opened, images, save_reference, against, as_json, force)
        return
    for path in (report / "verify.html" if report else None, junit):
        if path:
            _refuse_to_overwrite(path, force)
    asked = tuple(classes) if classes else None
    request = check.Request(
        reference, candidate, images, Criteria(margin, alpha, asked, min_support),
        _read_labels(labels), input_range, kernels=kernels, layers=layers, corruptions=corruptions,
    )  # fmt: skip
    with _progress() as show:
        outcome, images_u8 = check.run(request, say=_say, on_progress=show)
    _write_verify_reports(outcome, images_u8, report, junit)
    _print_parity(outcome, as_json)
    if not outcome.passed:
        raise typer.Exit(CHECK_FAILED)
    if outcome.photographs and outcome.photographs.unreadable:
        raise typer.Exit(COULD_NOT)


@app.command()
def plan(
    margin: Annotated[
        float,
        typer.Option(
            help="Largest loss of recall that is accepted for a class; 0.02 is two percentage points."
        ),
    ] = 0.02,
    changed: Annotated[
        list[float] | None,
        typer.Option(
            help="Expected share of a class's images that only one of the two models recognises "
            "(repeatable); by default 0, 0.005, 0.01 and 0.02."
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="One-sided error rate of the confidence bounds.")
    ] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Compute how many images per class 'cli verify' needs.

    No model and no data are needed for it.
    """
    from garmentlite.convert.report import plan_text
    from garmentlite.convert.verify import planning

    shares, plans = changed or planning.CHANGED, []
    with _progress() as show:  # large shares take seconds on a small computer
        for done, share in enumerate(shares):
            show("Planning", done, len(shares))
            plans.append(planning.plan(margin, alpha, share))
    document = [one.as_document() for one in plans]
    write_line(_as_json(document) if as_json else plan_text.to_text(plans))


@app.command()
def classify(
    paths: Annotated[
        list[str],
        typer.Argument(help="Picture files, folders of them, or patterns such as '*.jpg'."),
    ],
    model: ModelOption = None,
    labels: LabelsOption = None,
    input_range: InputRangeOption = None,
    prepare: PrepareOption = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    top_k: TopK = 3,
    as_json: AsJson = False,
    save_inputs: Annotated[
        Path | None,
        typer.Option(
            help="Save the image that the network was given for each picture to this folder."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Name the garment in each picture.

    A model of other things than garments names what the picture shows.
    """
    from garmentlite.edge.batch import Tally, recognize_files
    from garmentlite.edge.recognizer import Recognizer

    classifier = _open_model(model, labels, input_range)
    recognizer = Recognizer(classifier, segment, prepare=prepare)
    tally = Tally()
    for answer in recognize_files(
        paths, recognizer, save_inputs=save_inputs, force=force, note=_say
    ):
        tally.add(answer)
        if isinstance(answer.result, GarmentliteError):
            _say(f"Error: {answer.result}")
        elif as_json:
            document = {"path": str(answer.path), **answer.result.as_document(top_k)}
            write_line(json.dumps(document, ensure_ascii=False))
        else:
            write_line(printable(f"{answer.path}: {answer.result.in_words(top_k)}"))
    if tally.pictures > 1:
        _say(tally.in_words())
    if tally.unreadable:
        raise typer.Exit(COULD_NOT)


@app.command(cls=_WebcamCommand)
def webcam(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            envvar="GARMENTLITE_SOURCE",
            help="Where the frames come from: auto for the first camera, a camera by its number, its file "
            "(/dev/video0) or URL (rtsp or http), picamera, a video file, a folder or pattern of pictures, "
            "- for MJPEG on standard input, or test-pattern for drawn garments that move.",
        ),
    ] = "auto",
    list_cameras: Annotated[
        bool, typer.Option("--list", help="List the cameras and their formats, and exit.")
    ] = False,
    resolution: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Ask the camera for this size of frames.")
    ] = "640x480",
    fps: Annotated[
        float | None, typer.Option(min=0.1, help="Ask the camera for this many frames per second.")
    ] = None,
    rotate: Annotated[
        Rotation, typer.Option(help="Turn each frame clockwise by this many degrees.")
    ] = Rotation.NONE,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Swap left and right of each frame.")
    ] = False,
    allow_static: Annotated[
        bool,
        typer.Option(
            "--allow-static",
            help="Accept a camera that repeats one frame, because it shows a still picture.",
        ),
    ] = False,
    model: ModelOption = None,
    labels: LabelsOption = None,
    input_range: InputRangeOption = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    headless: Annotated[
        bool, typer.Option("--headless", help="Print JSON lines instead of opening a window.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines beside the window.")
    ] = False,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:PORT]",
            help="Also show the answers on a web page at this address; without one, at 127.0.0.1:8000, which "
            "only this machine reaches. 0.0.0.0 opens the page to the network, with a token.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Let the page be opened under this host name, too. Can be repeated."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Record what the window shows to this .avi, .mp4 or .webm file; the time is added to "
            "its name."
        ),
    ] = None,
    record_minutes: Annotated[
        float,
        typer.Option(min=0.01, help="With --record, begin a new file after this many minutes."),
    ] = 10,
    record_mb: Annotated[
        int,
        typer.Option(
            min=1, help="With --record, remove the oldest files when all take more megabytes."
        ),
    ] = 1000,
    log: Annotated[
        Path | None, typer.Option(help="Append the JSON lines to this file, too.")
    ] = None,
    log_mb: Annotated[
        float,
        typer.Option(min=0.001, help="With --log, begin a new file after this many megabytes."),
    ] = 10,
    log_files: Annotated[
        int, typer.Option(min=1, help="With --log, keep this many older files.")
    ] = 5,
    box: Annotated[
        str,
        typer.Option(
            metavar="X,Y,WIDTH,HEIGHT",
            help="Expect the garment in this part of the frame, in shares of its width and height; the "
            "window shows its corners.",
        ),
    ] = "0.2,0.1,0.6,0.8",
    only_changes: Annotated[
        bool,
        typer.Option(
            "--only-changes",
            help="Print a JSON line only when the answer changes, and otherwise once a minute.",
        ),
    ] = False,
    top_k: TopK = 3,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="GARMENTLITE_MQTT",
            help="Also publish the answers to this MQTT broker, for example mqtt://user:password@host/topic; "
            "Home Assistant then finds the app. The environment variable keeps a password out of the shell's "
            "history.",
        ),
    ] = None,
    collect: Annotated[
        Path | None,
        typer.Option(
            help="Keep pictures for training in this folder: those of which the model is not sure, and those "
            "for which you press a class's key in the window or the button on the page."
        ),
    ] = None,
    collect_frames: Annotated[
        bool,
        typer.Option(
            "--collect-frames",
            help="With --collect, keep the whole frame too, not only the garment.",
        ),
    ] = False,
    collect_mb: Annotated[
        int,
        typer.Option(min=1, help="With --collect, keep at most this many megabytes."),
    ] = 500,
    collect_days: Annotated[
        float,
        typer.Option(
            min=0, help="With --collect, delete pictures without a label after this many days."
        ),
    ] = 30,
    watch_model: Annotated[
        Path | None,
        typer.Option(
            help="Answer with this .tflite file in place of --model once it is there, and with every new "
            "version of it; with --collect, say whether the new version is better."
        ),
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after this number of frames.")
    ] = None,
) -> None:
    """Name the garment that a camera sees.

    The answer is shown in a window, or printed as JSON lines. Press q or Ctrl-C to stop; SIGTERM does the
    same, and the exit status is 0 then.
    """
    from garmentlite.edge.stop_signals import ended_by_signals

    with ended_by_signals():
        if list_cameras:
            write_line(_camera_list())
            return
        from garmentlite.convert.verify.improvement import compare_models
        from garmentlite.edge.camera_app import run_camera_app
        from garmentlite.edge.redaction import hide_in_process_list

        for url in (source, mqtt):
            hide_in_process_list(url or "")
        outcome = run_camera_app(_camera_request(ctx.params), _say, compare_models)
    if not outcome.is_complete:
        raise typer.Exit(COULD_NOT)


@app.command()
def card(
    model: Annotated[
        Path | None, typer.Argument(help="A .tflite file; by default the best shipped one.")
    ] = None,
    labels: LabelsOption = None,
    input_range: InputRangeOption = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print what a model file holds, and check its metadata.

    The exit status is 1 if the file and its metadata contradict each other.
    """
    from garmentlite.convert.card import read_card
    from garmentlite.edge.shipped import default_model

    found = read_card(
        model or default_model(), data_dir, labels=_read_labels(labels), input_range=input_range
    )
    for warning in found.warnings:
        _say(f"Warning: {warning}")
    write_line(_as_json(found.as_document()) if as_json else found.as_text())
    if found.warnings:
        raise typer.Exit(CHECK_FAILED)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this machine: system, packages, model, cameras.

    Each line says that all is well or what to do. The exit status is 1 if something must be done.
    """
    from garmentlite.edge.doctor.checks import examine

    findings = []
    for named in examine():
        findings.append(named)
        if not as_json:
            write_line(printable(named.as_line()))
    if as_json:
        write_line(_as_json([named.as_document() for named in findings]))
    if not all(named.finding.passed for named in findings):
        raise typer.Exit(CHECK_FAILED)


OwnService = Annotated[
    bool, typer.Option("--user", help="Use your own systemd in place of that of the system.")
]


@service_app.command("install")
def service_install(
    ctx: typer.Context,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- WEBCAM-OPTIONS]", help="Options of 'cli webcam', after '--'."),
    ] = None,
    user: OwnService = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the unit and change nothing.")
    ] = False,
) -> None:
    """Start the camera app now and whenever the machine starts.

    systemd starts it again when it ends, and when its loop gives no sign of life for half a minute. Its
    answers are in the journal, as JSON lines, when they change: journalctl -u garmentlite.
    """
    from garmentlite.edge.service import installation

    plan = installation.plan_installation(
        options or [],
        for_user=user,
        outputs=_service_request(ctx, options or []).output_folders,
    )
    if dry_run:
        write_line(f"# {plan.path}\n{plan.text.rstrip()}")
        return
    installation.install(plan, for_user=user)
    write_line(f"The service runs as {plan.account.pw_name}; its unit is {plan.path}.")
    if plan.token:
        write_line(f"The token of the page, if it is open to the network, is in {plan.token}.")
    if user:
        write_line("To start it without a login, run 'loginctl enable-linger' once.")


@service_app.command("status")
def service_status(user: OwnService = False) -> None:
    """Show whether the service runs, and what it printed last. The exit status is 1 if it does not run."""
    from garmentlite.edge.service import installation

    if not installation.is_running(for_user=user):
        raise typer.Exit(CHECK_FAILED)


@service_app.command("remove")
def service_remove(user: OwnService = False) -> None:
    """Stop the service and delete its unit."""
    from garmentlite.edge.service import installation

    write_line(f"The service is stopped; {installation.remove(for_user=user)} is deleted.")


@app.command()
def draw(
    output: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    count: Annotated[
        int, typer.Option(min=1, help="Number of pictures of each of the ten classes.")
    ] = 3,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Seed of the random generator; the same seed draws the same pictures."
        ),
    ] = 0,
    force: Force = False,
) -> None:
    """Draw pictures of garments to try the commands with.

    The garments lie on textured backgrounds, so that no photographs are needed for a first try.
    """
    from garmentlite.edge.drawn_folder import draw_folder

    drawn = draw_folder(output, count, seed, force=force)
    write_line(f"{drawn} pictures drawn in {output}.")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished, converted run.")],
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photographs to recognise, or of pictures that 'cli draw' made."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The HTML file; by default RUN/report.html."),
    ] = None,
    segment: SegmentOption = DEFAULT_SEGMENTER,
    margin: Annotated[
        float,
        typer.Option(
            help="Largest loss of recall that the parity check accepts for a class; 0.02 is two percentage "
            "points."
        ),
    ] = 0.02,
    force: Force = False,
    data_dir: DataDir = None,
) -> None:
    """Write one HTML page about a run.

    It shows the training, the int8 conversion, the parity check, the mistakes and, if asked for, pictures.
    """
    from garmentlite.convert import run_results
    from garmentlite.convert.report import run_report
    from garmentlite.convert.verify.criteria import Criteria
    from garmentlite.edge.files import write_text

    path = output or run / "report.html"
    _refuse_to_overwrite(path, force)
    criteria, found, segmenter = Criteria(margin), _load_data(data_dir), _segmenter(segment)
    with _progress() as show:
        results = run_results.collect(
            run, found, pictures, segmenter, criteria=criteria, on_progress=show, warn=_say
        )
    write_text(path, run_report.to_html(results))
    write_line(f"Report: {path}")


def main() -> None:
    """Runs the command line and ends the process with the exit status."""
    try:
        standard_streams.prepare()
        app(prog_name="cli")
    except (GarmentliteError, KeyboardInterrupt, OSError) as error:
        sys.exit(_say_why(error))


def _say(sentence: str) -> None:
    # The sentence may quote file names and labels, whose control characters must not reach the terminal.
    with suppress(OSError):  # standard error may be full; there is no other place to complain
        typer.echo(printable(sentence), err=True)


def _as_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _load_data(data_dir: Path | None) -> "FashionMnist":
    from garmentlite.train.data import load

    return load(data_dir, _say)


def _open_model(
    path: Path | None, labels_file: Path | None = None, input_range: str | None = None
) -> "Classifier":
    """Opens a model, and prints a note on each thing in it that the user should check."""
    from garmentlite.edge.classifier import Classifier
    from garmentlite.edge.shipped import default_model

    classifier = Classifier(
        path or default_model(), labels=_read_labels(labels_file), input_range=input_range
    )
    for doubt in classifier.doubts():
        _say(f"Note: {doubt}")
    return classifier


def _page_address(text: str | None, allowed_hosts: list[str] | None) -> "Address | None":
    from garmentlite.edge.page.address import parse_address

    if text is None and allowed_hosts:
        raise OptionError("--allow-host belongs to --serve; give both.")
    for name in allowed_hosts or ():
        # It would never be the host of a request; an IPv6 address has more than one colon.
        if set(name) & set("/@ ") or name.count(":") == 1 or not name:
            raise OptionError(
                f"--allow-host {name} is not a host name; give the name alone, such as shop.example, without "
                "http:// and without a port."
            )
    return None if text is None else parse_address(text)


def _camera_request(values: dict[str, Any]) -> "CameraRequest":
    """Makes the request of the options of `cli webcam`, by the names of its parameters."""
    from garmentlite.edge.camera_app import CameraRequest
    from garmentlite.edge.guide_box import parse_box
    from garmentlite.edge.sources.interface import parse_resolution

    values = dict(values)
    # A context of typer holds paths as texts; only the arguments of a command have the annotated types.
    for name in ("model", "labels", "record", "log", "collect", "watch_model"):
        values[name] = Path(values[name]) if values[name] else None
    return CameraRequest(
        source=values["source"],
        resolution_wh=parse_resolution(values["resolution"]),
        fps=values["fps"],
        rotation=int(values["rotate"]),
        is_mirrored=values["mirror"],
        allow_static=values["allow_static"],
        model=values["model"],
        labels=_read_labels(values["labels"]),
        input_range=values["input_range"],
        segmenter=values["segment"],
        box=parse_box(values["box"]),
        has_window=not values["headless"],
        prints_json=values["headless"] or values["as_json"],
        only_changes=values["only_changes"],
        top_k=values["top_k"],
        watch_model=values["watch_model"],
        max_frames=values["max_frames"],
        **_output_requests(values),
    )


def _output_requests(values: dict[str, Any]) -> dict[str, Any]:
    """Makes the fields of `CameraRequest` that name files, a folder or an address of an output."""
    from garmentlite.edge.broker_address import parse_broker
    from garmentlite.edge.sinks.log_file import LogRequest
    from garmentlite.edge.sinks.recording import RecordingRequest

    record, log = values["record"], values["log"]
    recording = (record, values["record_minutes"], values["record_mb"])
    return {
        "serve": _page_address(values["serve"], values["allow_host"]),
        "allowed_hosts": tuple(values["allow_host"] or ()),
        "record": RecordingRequest(*recording) if record else None,
        "log": LogRequest(log, values["log_mb"], values["log_files"]) if log else None,
        "broker": parse_broker(values["mqtt"]) if values["mqtt"] else None,
        "collect": _collect_request(values),
    }


def _collect_request(values: dict[str, Any]) -> "CollectRequest | None":
    from garmentlite.edge.collected import CollectRequest, Limits

    if values["collect"] is None:
        if values["collect_frames"]:
            raise OptionError("--collect-frames belongs to --collect; name a folder with it.")
        return None
    limits = Limits(values["collect_mb"] << 20, values["collect_days"] * 86_400)
    return CollectRequest(values["collect"], limits, values["collect_frames"])


def _service_request(ctx: typer.Context, options: list[str]) -> "CameraRequest":
    """Makes the request of options of `cli webcam`, if a service can run with them for ever."""
    command = ctx.find_root().command.commands["webcam"]  # type: ignore[attr-defined]
    values: dict[str, Any] = command.make_context("cli webcam", list(options)).params
    if values["list_cameras"]:
        raise OptionError("A service cannot show a list; run 'cli webcam --list' without it.")
    if values["source"] == "-":
        raise OptionError(
            "A service has no standard input for --source -; name a camera, its URL or a file."
        )
    if values["max_frames"] is not None:
        raise OptionError(
            "systemd would start the service again after each --max-frames; leave that option out."
        )
    request = _camera_request(values)
    if request.model:
        from garmentlite.edge.camera_recognizer import open_camera_model

        open_camera_model(request.model, request.labels, request.input_range)
    return request


def _require_verify_options(
    candidate: Path | None, save_reference: Path | None, against: Path | None, compares: bool
) -> None:
    """Refuses options of `verify` that do not belong together."""
    stored = save_reference or against
    if (candidate is None) == (stored is None) or (save_reference and against):
        raise OptionError(
            "cli verify takes REFERENCE and CANDIDATE, or one MODEL with --save-reference or --against."
        )
    if stored and compares:
        raise OptionError(
            "--layers and --corruptions compare two files; give REFERENCE and CANDIDATE, or leave them out."
        )


def _verify_one_file(
    classifier: "Classifier",
    source: "ImageSource",
    save_reference: Path | None,
    against: Path | None,
    as_json: bool,
    force: bool,
) -> None:
    """Stores the outputs of one file, or compares them with stored ones."""
    from garmentlite.convert.verify import check, stored_outputs

    if save_reference:
        _refuse_to_overwrite(save_reference, force)
    with _progress() as show:
        images = check.load_images(source, classifier, say=_say, on_progress=show)
        asked = (classifier, images.images_u8, images.y_true)
        on_progress = partial(show, "Comparing")
        if save_reference:
            stored_outputs.save_outputs(*asked, save_reference, on_progress=on_progress)
            write_line(f"Outputs of {len(images.y_true):,} images stored in {save_reference}.")
        elif against:
            compared = stored_outputs.compare_with_stored(*asked, against, on_progress=on_progress)
            write_line(_as_json(compared.as_document()) if as_json else compared.sentence)
            raise typer.Exit(0 if compared.passed else CHECK_FAILED)


def _write_verify_reports(
    outcome: "ParityReport", images_u8: Any, folder: Path | None, junit: Path | None
) -> None:
    from garmentlite.convert.report import verify_page
    from garmentlite.convert.report.junit import to_junit
    from garmentlite.edge.files import write_json, write_text

    if junit:
        write_text(junit, to_junit(outcome))
    if folder:
        write_text(folder / "verify.html", verify_page.to_html(outcome, images_u8))
        write_json(folder / "verify.json", outcome.as_document())
        _say(f"Report: {folder / 'verify.html'}")


def _print_parity(outcome: "ParityReport", as_json: bool) -> None:
    from garmentlite.convert.report.verify_text import to_text

    write_line(_as_json(outcome.as_document()) if as_json else to_text(outcome))


def _write_c_array(model: Path, folder: Path, name: str, force: bool) -> None:
    from garmentlite.convert.c_array import write_files

    written = write_files(_open_model(model), folder, name, force=force, say=_say)
    _print_c_array(*written)


def _print_c_array(source: Path, header: Path) -> None:
    write_line(f"For TFLite Micro: {source} and {header}")


def _read_labels(path: Path | None) -> list[str] | None:
    from garmentlite.edge.model_labels import read_label_file

    return read_label_file(path) if path else None


def _segmenter(name: str) -> "Segmenter":
    from garmentlite.edge.opencv import use_one_thread
    from garmentlite.edge.segmenters.registry import make_segmenter

    use_one_thread()
    return make_segmenter(name)


def _start_backend(*more: str) -> None:
    """Starts TensorFlow and the packages in `more`; one that is missing is reported in one sentence."""
    from garmentlite.train import backend

    backend.start(more=more, say=_say)


def _camera_list() -> str:
    from garmentlite.edge.sources.camera_list import camera_list

    return camera_list()


def _command_line() -> str:
    """Returns the command as it was typed."""
    import shlex

    return shlex.join(["cli", *sys.argv[1:]])


def _refuse_to_overwrite(path: Path, force: bool) -> None:
    from garmentlite.edge.files import refuse_to_overwrite

    refuse_to_overwrite(path, force)


@contextmanager
def _progress() -> Iterator["OnStageProgress"]:
    """Yields a function (stage, done, of) that moves a progress bar on standard error.

    Nothing is drawn where standard error is not a terminal.
    """
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

    def show(stage: str, done: int, of: int) -> None:
        bar.start()  # not earlier, because a bar must not draw while the backend's messages are held back
        if done == 1:
            bar.reset(task)
        bar.update(task, description=stage, completed=done, total=of, visible=True)

    try:
        yield show
    finally:
        bar.stop()


if __name__ == "__main__":
    main()
