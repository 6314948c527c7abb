"""Converts a trained network to the files for a device, as `cli convert` does.

NAME_float32.tflite   the reference: the Keras 3 network as it was trained, before any fine-tuning
NAME_int8.tflite      the file for the device
NAME_FORMAT.tflite    other requested formats, see `convert.formats`
NAME.keras            the network itself, if it came as a .keras file
NAME_int8.cc, .h      the int8 file as C++ source, if it was requested
NAME.json             the card: the origin of the files, how they were made, and how well they do
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.convert import c_array, format_table, formats, material
from garmentlite.convert.export_task import Exported, ExportTask
from garmentlite.convert.int8_candidates import Candidate
from garmentlite.convert.int8_ways import require_same
from garmentlite.convert.material import Material
from garmentlite.convert.measure import (
    OnProgress,
    figures,
    fit_temperature,
    logits_of,
    short_figures,
    silent,
)
from garmentlite.convert.network import Network, load_network
from garmentlite.convert.source import (
    ADAPTED,
    KERAS_SUFFIX,
    Say,
    Source,
    find_confidence,
    find_source,
)
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.documents import LARGEST_BYTES, DocumentError, parse
from garmentlite.edge.errors import ModelError, OptionError, OutputError
from garmentlite.edge.files import read_bytes, require_writable, sha256, write_bytes, write_json
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import Metadata, attach
from garmentlite.edge.model_input import InputRange
from garmentlite.edge.preparation import PREPARATION, TILE
from garmentlite.train import data
from garmentlite.train.confidence import Confidence

if TYPE_CHECKING:
    import keras

# Largest difference between the float32 file and the network, as a share of the largest logit: the kernels of
# LiteRT add in another order.
EXPORT_TOLERANCE = 1e-4

_NAMED = 5  # classes that a sentence names

# The preparation of networks whose images `edge.preparation` does not make.
AS_GIVEN = {"name": "as given", "version": 1}


@dataclass(frozen=True)
class Request:
    """What is to be made of a network.

    Attributes:
        formats: Names of formats, see `formats.FORMATS`; the float32 reference is always made.
        fine_tune: Whether int8 is reached by quantization-aware fine-tuning too.
        epochs: Epochs of the fine-tuning.
        seed: Seed of the images that set the quantization ranges, and of the fine-tuning.
        io: Type of input and output of the int8 file.
        allow_float: Whether an int8 or int16x8 file may hold operators that compute with real numbers.
        c_array: Whether the int8 file, which must then be among the formats, is written as C++ source too.
        input_range: The numbers that stand for the pixels in the network; None to find them in it.
    """

    formats: tuple[str, ...] = ("int8",)
    fine_tune: bool = True
    epochs: int = 1
    seed: int = 0
    io: str = "int8"
    allow_float: bool = False
    c_array: bool = False
    input_range: InputRange | None = None

    def __post_init__(self) -> None:
        """Raises OptionError for an unknown format or type, and if no format is named."""
        unknown = [name for name in self.formats if name not in formats.FORMATS]
        if unknown or not self.formats:
            raise OptionError(
                f"No known format is named; give one or several of {formats.options()}."
            )
        if self.io not in ("int8", "uint8", "float32"):
            raise OptionError(f"--io is int8, uint8 or float32, got '{self.io}'.")


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        paths: The model files by format.
        card: The document of the card.
        table: A row for each file.
        candidates: The int8 models that were compared; empty if no int8 file was requested.
        chosen: The int8 model that was chosen; None if no int8 file was requested.
        material: The images that were used.
        c_array: The `.cc` and the `.h` file; None if they were not requested.
    """

    paths: dict[str, Path]
    card: dict[str, Any]
    table: list[format_table.Row]
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    material: Material
    c_array: tuple[Path, Path] | None = None


def output_paths(folder: Path, name: str, wanted: Sequence[str] = ("int8",)) -> dict[str, Path]:
    """Says where each file goes: the reference, the wanted formats, "keras" and "card"."""
    made = [one for one in formats.FORMATS if one == formats.REFERENCE or one in wanted]
    return {one: folder / f"{name}_{one}.tflite" for one in made} | {
        "keras": folder / f"{name}.keras",
        "card": folder / f"{name}.json",
    }


def _paths_for(source: Source, folder: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """Says where the files of a network go; only a network in a `.keras` file is copied."""
    paths = output_paths(folder, source.name, wanted)
    if source.path.suffix != KERAS_SUFFIX:
        del paths["keras"]
    return paths


def _is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, however they are written."""
    return one.resolve() == other.resolve()


def _folder_beside(path: Path) -> Path:
    """Returns the folder that a file or folder is in, also for a path such as `.` that does not name it."""
    return path.parent if path.name not in ("", "..") else path.resolve().parent


def require_place_for(paths: dict[str, Path], *, force: bool) -> None:
    """Raises OutputError if a file exists and may not be replaced, or a folder cannot be written."""
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not force:
        raise OutputError(
            f"{', '.join(there)} already there; --force replaces them, -o names another folder."
        )
    for folder in {path.parent for path in paths.values()}:
        # The folder itself is made with its first file, so that a refused network leaves no empty one.
        above = (folder, *folder.absolute().parents)
        require_writable(next(one for one in above if one.exists()))


# --- for the command line


@dataclass(frozen=True)
class Job:
    """A conversion whose options were checked, so that the work can begin.

    Attributes:
        source: The network.
        folder: The folder of the files.
        request: What is to be made.
        pictures: The user's own images; None to use those that the network was trained on, or Fashion-MNIST.
        labels: The classes in the order of the outputs, as the user gives them; None for those that are
            known.
        held_out: Runs whose held-out photographs fit the "unknown" threshold; empty for the source's own.
        data_dir: Folder of Fashion-MNIST; None to find or download it.
        about: What the card states beside what is known and measured, such as the purpose and the limits.
    """

    source: Source
    folder: Path
    request: Request
    pictures: Material | None = None
    labels: tuple[str, ...] | None = None
    held_out: tuple[Path, ...] = ()
    data_dir: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """What a conversion needs beside the network.

    Attributes:
        pictures: Folder of pictures in place of Fashion-MNIST.
        labels: The classes in the order of the outputs; None for the network's own.
        held_out: See `Job`.
        data_dir: See `Job`.
        about: JSON file of the statements that `Job` describes.
    """

    pictures: Path | None = None
    labels: Sequence[str] | None = None
    held_out: tuple[Path, ...] = field(default=())
    data_dir: Path | None = None
    about: Path | None = None


def prepare(
    path: Path,
    request: Request,
    inputs: Inputs,
    *,
    folder: Path | None,
    name: str | None,
    force: bool,
) -> Job:
    """Checks everything that can be checked before the training backend is started.

    Args:
        path: A run's folder, a `.keras` or `.h5` file, or the folder of a SavedModel.
        request: What is to be made.
        inputs: What it is made with.
        folder: Folder for the files; None for that of the network.
        name: What to call the files; None for the network's name.
        force: Whether existing files may be replaced.

    Raises:
        GarmentliteError: If the network, the pictures or the folder cannot be used; nothing was written then.
    """
    source = find_source(path, name)
    if source.run and inputs.labels and not inputs.pictures:
        raise OptionError(
            f"{path} is a run and knows its classes; leave --labels out, or give --calibration too."
        )
    folder = folder or _folder_beside(source.path)
    paths = _paths_for(source, folder, request.formats)
    if "keras" in paths and _is_same_file(source.path, paths["keras"]):
        del paths["keras"]  # it stays where it is
    if request.c_array:
        paths |= {one.name: one for one in c_array.paths_in(folder, paths["int8"].stem)}
    if inputs.about and any(_is_same_file(inputs.about, one) for one in paths.values()):
        raise OptionError(
            f"--about {inputs.about} is a file that the conversion writes; give the statements another file."
        )
    require_place_for(paths, force=force)
    pictures = None
    if inputs.pictures:
        pictures = material.from_folder(
            inputs.pictures, inputs.labels or source.labels or FASHION_MNIST_LABELS
        )
    about = _read_about(inputs.about) if inputs.about else {}
    labels = tuple(inputs.labels) if inputs.labels else None
    if labels:
        material.require_class_names(labels)
    return Job(source, folder, request, pictures, labels, inputs.held_out, inputs.data_dir, about)


def _read_about(path: Path) -> dict[str, Any]:
    """Reads the JSON object of statements for the card."""
    try:
        return dict(parse(read_bytes(path, LARGEST_BYTES)).fields)
    except (OSError, DocumentError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(
            f"--about {path} cannot be read as a JSON object ({reason}); name a file with one."
        ) from error


def run(
    job: Job, *, on_progress: OnProgress = silent, say: Say = lambda sentence: None
) -> Converted:
    """Loads the images, finds the confidence and converts; see `convert`."""
    if job.pictures:
        images = job.pictures
    elif job.source.run and job.source.is_on_own_photos:
        images = material.from_run(job.source.run, job.source.labels)
    else:
        labels = job.labels or job.source.labels or FASHION_MNIST_LABELS
        images = material.from_fashion_mnist(data.load(job.data_dir, say), labels)
        if not images.is_labelled:
            say(
                "The classes are not those of Fashion-MNIST, so its images only set quantization ranges "
                "and count the answers that a format changes; --calibration FOLDER names pictures of "
                "the classes."
            )
        elif job.labels:
            say(f"The outputs stand for {', '.join(job.labels)}, in this order.")
    confidence = find_confidence(job.source, job.held_out, say)
    return convert(
        job.source,
        job.folder,
        images,
        job.request,
        confidence=confidence,
        about=job.about,
        on_progress=on_progress,
        say=say,
    )


# --- the conversion


def convert(
    source: Source,
    folder: Path,
    images: Material,
    request: Request,
    *,
    confidence: Confidence | None = None,
    about: Mapping[str, Any] | None = None,
    on_progress: OnProgress = silent,
    say: Say = lambda sentence: None,
) -> Converted:
    """Converts a network and measures the result; the test images are read last, after every choice.

    Args:
        source: The network.
        folder: The folder of the files.
        images: The images that set quantization ranges, choose between ways, and measure.
        request: What is to be made.
        confidence: Temperature and threshold for photographs, see `find_confidence`. Without them the
            temperature is fitted on the validation images, and no answer is ever "unknown".
        about: Statements for the card, see `Job`.
        on_progress: Called with (stage, step, steps) during the long parts.
        say: Called with a sentence at each stage.

    Raises:
        ModelError: If the network does not fit the images, or cannot be written in a format.
        CheckFailedError: If the network does no better than guessing on labelled images.
    """
    network = load_network(source.path, request.input_range)
    for sentence in network.adapted.sentences:
        say(sentence)
    model = network.model
    _require_fit(source.path, model, images)
    images = _judged(network, images, request.seed)
    if images.missing_classes():
        say(_about_missing_classes(images))
    float_logits = network.predict(images.validation.images_u8)
    _require_logits(source.path, float_logits)
    task = ExportTask(
        source,
        model,
        images,
        float_logits,
        fine_tune=request.fine_tune,
        epochs=request.epochs,
        seed=request.seed,
        io=request.io,
        allow_float=request.allow_float,
        on_progress=on_progress,
        say=say,
    )
    exported = _export_all(task, request.formats)
    paths = _paths_for(source, folder, request.formats)
    array = None
    if request.c_array:  # made before any file is written, because it is refused for some operators
        array = c_array.with_measured_arena(
            paths["int8"].stem, exported["int8"].flatbuffer, images.labels, say
        )
    temperature = _temperature(images, float_logits, confidence)

    say("Measuring on validation and, last of all, on the test images ...")
    measured, test_logits = _measure(exported, images, on_progress)
    adapted = list(network.adapted.sentences)
    training = source.training | ({ADAPTED: adapted} if adapted else {})
    checksum = (
        source.checksum()
    )  # before the files are written, which may lie in a SavedModel's folder
    for name, one in exported.items():
        metadata = Metadata(
            name=source.name,
            labels=list(images.labels),
            preparation=_preparation(images),
            temperature=temperature,
            unknown_threshold=confidence.unknown_threshold if confidence else None,
            reference_sha256=checksum,
            flatbuffer_sha256=sha256(one.flatbuffer),
            training=training,
            quantization=one.quantization,
            measured=short_figures(measured[name]),
            views=source.views,
        )
        write_bytes(paths[name], attach(one.flatbuffer, metadata))
    if "keras" in paths and not _is_same_file(source.path, paths["keras"]):
        write_bytes(paths["keras"], source.path.read_bytes())

    say("Comparing the files: time, memory, parity ...")
    models = {name: paths[name] for name in exported}
    y_true = images.test.y if images.is_labelled else None
    table = format_table.table(models, test_logits, y_true, images.labels, temperature)
    int8 = exported.get("int8", Exported(b""))
    card = {
        "name": source.name,
        **({"about": dict(about)} if about else {}),
        "labels": list(images.labels),
        "preparation": _preparation(images),
        "views": list(source.views),
        "files": _files(paths),
        **_contents(exported),
        "temperature": temperature,
        "unknown_threshold": confidence.unknown_threshold if confidence else None,
        **({"photographs": confidence.measured} if confidence and confidence.measured else {}),
        "training": training,
        "quantization": int8.quantization,
        "data": images.name,
        "measured": measured,
        "formats": [row.as_document() for row in table],
        "test_set_read": _test_set_read(source),
    }
    write_json(paths["card"], card)
    written = c_array.write(array, folder, paths["int8"].stem) if array else None
    return Converted(models, card, table, int8.candidates, int8.chosen, images, written)


def _judged(network: Network, images: Material, seed: int) -> Material:
    """Checks the network on labelled images; others get its answers as classes, which a format must keep."""
    if not images.is_labelled:
        return images.answered(network.predict)
    from garmentlite.convert.chance_check import require_better_than_chance

    require_better_than_chance(network, images.validation, images.labels, seed)
    return images


def _about_missing_classes(images: Material) -> str:
    missing = images.missing_classes()
    shown = len(images.labels) - len(missing)
    named = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
    what = "show" if images.is_labelled else "are answered with"
    return (
        f"Warning: {images.name} {what} only {shown} of {len(images.labels)} classes (none is {named}); "
        "quantization ranges that were set without a class can lose it, so add pictures of every class."
    )


def _export_all(task: ExportTask, wanted: Sequence[str]) -> dict[str, Exported]:
    """Exports the reference, which is compared with the network, and the wanted formats."""
    exported: dict[str, Exported] = {}
    for name in dict.fromkeys((formats.REFERENCE, *wanted)):
        task.say(f"Exporting {name} ...")
        try:
            if formats.FORMATS[name].needs_range_images:
                _require_no_loop(task.model)
            exported[name] = formats.FORMATS[name].export(task)
            if name == formats.REFERENCE:
                logits = logits_of(exported[name].flatbuffer, task.material.validation.images_u8)
                require_same("the exported file", logits, task.float_logits, EXPORT_TOLERANCE)
        except ModelError as error:
            raise ModelError(f"{task.source.path} as {name}: {error}.") from error
    return exported


def _temperature(
    images: Material, float_logits: np.ndarray, confidence: Confidence | None
) -> float:
    if confidence:
        return confidence.temperature
    return fit_temperature(images.validation.y, float_logits) if images.is_labelled else 1.0


def _measure(
    exported: dict[str, Exported], images: Material, on_progress: OnProgress
) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """Computes all figures by format, and the logits of the test images by format."""
    measured: dict[str, dict[str, Any]] = {}
    test_logits: dict[str, np.ndarray] = {}
    for name, one in exported.items():
        logits = {"test": logits_of(one.flatbuffer, images.test.images_u8, on_progress)}
        # The ways to int8 are chosen on validation images, so the figures there are reported too.
        if name == formats.REFERENCE or one.candidates:
            validation = images.validation.images_u8
            logits["validation"] = logits_of(one.flatbuffer, validation, on_progress)
        test_logits[name] = logits["test"]
        measured[name] = figures(images, logits)
    return measured, test_logits


def _preparation(images: Material) -> dict[str, Any]:
    return PREPARATION if images.image_size == (TILE, TILE) else AS_GIVEN


def _files(paths: dict[str, Path]) -> dict[str, Any]:
    """Lists the files beside a card with their checksums."""
    return {
        name: {
            "file": path.name,
            "bytes": path.stat().st_size,
            "sha256": sha256(path.read_bytes()),
        }
        for name, path in paths.items()
        if name != "card"
    }


def _contents(exported: dict[str, Exported]) -> dict[str, Any]:
    """Counts the parameters and operators of the int8 file, or else of the reference, for a card."""
    reference = exported[formats.REFERENCE]
    contents = read_contents(exported.get("int8", reference).flatbuffer)
    return {
        "parameters": read_contents(reference.flatbuffer).parameters,
        "operators": contents.operators,
        "tensor_types": contents.tensor_types,
    }


def _test_set_read(source: Source) -> list[str]:
    by_convert = "cli convert: once for each file, after every choice was made"
    if source.run and source.is_on_own_photos:
        return ["none: the photographs held out from training chose weights and files, and measure"]
    if not source.training:
        return [by_convert]
    return ["cli train: once, with the weights kept, after training", by_convert]


# --- networks that cannot be converted


def _require_no_loop(model: keras.Model) -> None:
    """Refuses the loop of a recurrent layer, which makes TensorFlow 2.21 end the process."""
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            raise ModelError(
                f"the layer '{layer.name}' is a {type(layer).__name__}, and no quantization ranges can be "
                "found in its loop; build it with unroll=True, or choose --float16 or --float32"
            )


def _require_fit(path: Path, model: keras.Model, images: Material) -> None:
    """Refuses a network of another image size or another number of outputs than the images have."""
    (height, width), outputs = model.input_shape[1:3], model.output_shape[1]
    if (height, width) != images.image_size:
        there = " x ".join(map(str, images.image_size))
        raise ModelError(
            f"{path} takes images of {height} x {width}, but those of {images.name} have {there}; give "
            "--calibration FOLDER with grey pictures of the network's size."
        )
    if outputs != len(images.labels):
        raise ModelError(
            f"{path} has {outputs} outputs, but {len(images.labels)} classes are known "
            f"({', '.join(images.labels[:_NAMED])}, ...); give --labels FILE with the label of each "
            "output on a line, and pictures of these classes with --calibration FOLDER."
        )


def _require_logits(path: Path, outputs: np.ndarray) -> None:
    """Refuses outputs that are probabilities: the files hold logits, and the device applies softmax."""
    # Rows of logits do not all sum to 1 with none below 0; those of a float32 softmax do to within 1e-5.
    if outputs.min() >= 0 and np.abs(outputs.sum(axis=1) - 1).max() < 1e-5:
        raise ModelError(
            f"{path} ends in a softmax, but softmax is applied where the model is used; save the network "
            "without its last activation, keras.Model(inputs, logits)."
        )
