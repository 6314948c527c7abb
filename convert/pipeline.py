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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.convert import c_array, format_table, formats
from garmentlite.convert.export_task import Exported, ExportTask
from garmentlite.convert.int8_candidates import Candidate
from garmentlite.convert.int8_ways import require_same
from garmentlite.convert.material import Material
from garmentlite.convert.measure import (
    figures,
    fit_temperature,
    logits_of,
    short_figures,
)
from garmentlite.convert.network import Network, load_network
from garmentlite.convert.output_files import is_same_file, paths_for
from garmentlite.convert.requirements import require_fit, require_logits, require_no_loop
from garmentlite.convert.source import ADAPTED, Source
from garmentlite.edge.callbacks import OnStageProgress, Say, ignore_stage_progress, say_nothing
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.files import sha256, write_bytes, write_json
from garmentlite.edge.metadata import Metadata, attach
from garmentlite.edge.model_input import InputRange
from garmentlite.edge.preparation import PREPARATION, TILE
from garmentlite.train.confidence import Confidence

# Largest difference between the float32 file and the network, as a share of the largest logit: the kernels of
# LiteRT add in another order.
EXPORT_TOLERANCE = 1e-4

_MOST_NAMED = 5  # classes that a sentence names

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
        """Raises OptionError for C++ source without int8, an unknown format or type, and no format."""
        if self.c_array and "int8" not in self.formats:
            raise OptionError("--c-array applies to the int8 file; give --int8 too.")
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


def convert(
    source: Source,
    folder: Path,
    images: Material,
    request: Request,
    *,
    confidence: Confidence | None = None,
    about: Mapping[str, Any] | None = None,
    on_progress: OnStageProgress = ignore_stage_progress,
    say: Say = say_nothing,
) -> Converted:
    """Converts a network and measures the result; the test images are read last, after every choice.

    Args:
        source: The network.
        folder: The folder of the files.
        images: The images that set quantization ranges, choose between ways, and measure.
        request: What is to be made.
        confidence: Temperature and threshold for photographs, see `held_out_confidence`. Without them the
            temperature is fitted on the validation images, and no answer is ever "unknown".
        about: Statements for the card, see `job.Job`.
        on_progress: Called with (stage, step, steps) during the long parts.
        say: Called with a sentence at each stage.

    Raises:
        ModelError: If the network does not fit the images, or cannot be written in a format.
        CheckFailedError: If the network does no better than guessing on labelled images.
        OutputError: If a file cannot be written.
    """
    network = load_network(source.path, request.input_range)
    for sentence in network.adapted.sentences:
        say(sentence)
    require_fit(source.path, network.model, images)
    images = _judged(network, images, request.seed)
    if images.missing_classes():
        say(_about_missing_classes(images))
    float_logits = network.predict(images.validation.images_u8)
    require_logits(source.path, float_logits)
    task = ExportTask(
        source,
        network.model,
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
    paths = paths_for(source, folder, request.formats)
    array = None
    if request.c_array:  # made before any file is written, because it is refused for some operators
        array = c_array.with_measured_arena(
            paths["int8"].stem, exported["int8"].flatbuffer, images.labels, say
        )

    say("Measuring on validation and, last of all, on the test images ...")
    measured, test_logits = _measure(exported, images, on_progress)
    # Before the files are written: the source may be the folder of a SavedModel, whose checksum covers all
    # files in it, and the new files may be written there.
    about_model = _describe(source, network, images, float_logits, confidence)
    files = _files_with_metadata(exported, about_model, measured)
    for name, content in files.items():
        write_bytes(paths[name], content)
    if "keras" in paths and not is_same_file(source.path, paths["keras"]):
        write_bytes(paths["keras"], source.path.read_bytes())

    say("Comparing the files: time, memory, parity ...")
    models = {name: paths[name] for name in exported}
    y_true = images.test.y if images.is_labelled else None
    table = format_table.table(models, test_logits, y_true, images.labels, about_model.temperature)
    int8 = exported.get("int8", Exported(b""))
    card = {
        **_card_of_model(source, about_model, exported, paths, about),
        **({"photographs": confidence.measured} if confidence and confidence.measured else {}),
        "training": about_model.training,
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
    named = ", ".join(missing[:_MOST_NAMED]) + (", ..." if len(missing) > _MOST_NAMED else "")
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
                require_no_loop(task.model)
            exported[name] = formats.FORMATS[name].export(task)
            if name == formats.REFERENCE:
                logits = logits_of(exported[name].flatbuffer, task.material.validation.images_u8)
                require_same("the exported file", logits, task.float_logits, EXPORT_TOLERANCE)
        except ModelError as error:
            raise ModelError(f"{task.source.path} as {name}: {error}.") from error
    return exported


def _describe(
    source: Source,
    network: Network,
    images: Material,
    float_logits: np.ndarray,
    confidence: Confidence | None,
) -> Metadata:
    """Collects what the metadata of all files and the card have in common.

    Args:
        source: The network as it was found.
        network: The same, loaded and adapted.
        images: The images of the conversion.
        float_logits: The network's logits of the validation images, shape (N, C).
        confidence: Temperature and threshold for photographs; None without them.
    """
    adapted = list(network.adapted.sentences)
    return Metadata(
        name=source.name,
        labels=list(images.labels),
        preparation=PREPARATION if images.image_size == (TILE, TILE) else AS_GIVEN,
        temperature=_temperature(images, float_logits, confidence),
        unknown_threshold=confidence.unknown_threshold if confidence else None,
        reference_sha256=source.checksum(),
        flatbuffer_sha256="",  # `attach` fills it in
        training=source.training | ({ADAPTED: adapted} if adapted else {}),
        views=source.views,
    )


def _temperature(
    images: Material, float_logits: np.ndarray, confidence: Confidence | None
) -> float:
    if confidence:
        return confidence.temperature
    return fit_temperature(images.validation.y, float_logits) if images.is_labelled else 1.0


def _measure(
    exported: dict[str, Exported], images: Material, on_progress: OnStageProgress
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


def _files_with_metadata(
    exported: dict[str, Exported], about_model: Metadata, measured: dict[str, dict[str, Any]]
) -> dict[str, bytes]:
    """Makes the bytes of every file by format: the model, and what is known about it."""
    return {
        name: attach(
            one.flatbuffer,
            replace(
                about_model,
                quantization=one.quantization,
                measured=short_figures(measured[name]),
            ),
        )
        for name, one in exported.items()
    }


def _card_of_model(
    source: Source,
    about_model: Metadata,
    exported: dict[str, Exported],
    paths: dict[str, Path],
    statements: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Makes the part of the card that says what the files are, and how they are used."""
    return {
        "name": source.name,
        **({"about": dict(statements)} if statements else {}),
        "labels": about_model.labels,
        "preparation": about_model.preparation,
        "views": list(about_model.views),
        "files": _files(paths),
        **_contents(exported),
        "temperature": about_model.temperature,
        "unknown_threshold": about_model.unknown_threshold,
    }


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
