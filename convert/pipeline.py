"""`cli convert`: from a trained network to the files that are shipped.

NAME_float32.tflite   the reference: the Keras 3 network as it was trained, before any fine-tuning
NAME_int8.tflite      the file for the device
NAME_FORMAT.tflite    other formats that were asked for, see `convert.formats`
NAME.keras            the network itself, without optimizer
NAME.json             the card: where it comes from, how int8 was reached, what it measures
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.convert import formats
from garmentlite.convert.material import Material
from garmentlite.edge import metrics
from garmentlite.edge.contents import read_contents
from garmentlite.edge.errors import DataError, ModelError, OptionError, OutputError
from garmentlite.edge.files import require_writable, sha256, write_bytes, write_json
from garmentlite.edge.metadata import Metadata, attach
from garmentlite.edge.preparation import PREPARATION, TILE
from garmentlite.train import runs
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.data import as_input
from garmentlite.train.keras_file import read_network

if TYPE_CHECKING:
    import keras

    from garmentlite.convert.folding import Operation
    from garmentlite.convert.int8 import Candidate
    from garmentlite.train.confidence import Confidence

# Largest difference between the folded twin and the original, as a share of the largest logit: some
# hundred float32 roundings (6e-8 each) along the way.
FOLDING_TOLERANCE = 1e-5

# The same between the float32 file and the network: LiteRT's kernels add in an order of their own.
EXPORT_TOLERANCE = 1e-4

# In place of a preparation, for networks that take other images than the one that is known makes.
AS_GIVEN = {"name": "as given", "version": 1}

# Names of the ways to int8, in the order in which they are tried.
WAY_PLAIN = "post-training"
WAY_CORRECTED = "post-training, bias corrected"
WAY_CUT = "output range cut, ties evened"
WAY_FINE_TUNED = "output range cut, ties evened, fine-tuned"

OnProgress = Callable[[str, int, int], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """What is to be converted.

    Attributes:
        keras_path: The `.keras` file.
        name: What the files made from it are called.
        training: What is known of how it was trained; empty for a `.keras` file alone.
    """

    keras_path: Path
    name: str
    training: dict[str, Any]

    def class_weights(self, labels: Sequence[str]) -> np.ndarray:
        """Factors of the training loss, float32, shape (C,); all 1 where they are not known."""
        known = self.training.get("class_weights", {})
        return np.array([known.get(label, 1.0) for label in labels], np.float32)

    @property
    def is_on_own_photos(self) -> bool:
        """Whether it was trained on photographs alone, whose labels are its classes."""
        return bool(self.training.get("photos", {}).get("alone"))

    @property
    def labels(self) -> tuple[str, ...]:
        """Its classes in the order of the outputs, as far as they are known."""
        return runs.labels_of(self.training)

    @property
    def augmentation(self) -> Augmentation:
        """The random changes of training; none where they are not known."""
        return Augmentation(**self.training.get("augmentation", {}))


@dataclass(frozen=True)
class Request:
    """What is to be made of a network.

    Attributes:
        formats: Names of formats, see `convert.formats.FORMATS`; the float32 reference is always made.
        fine_tune: Whether int8 is reached by quantization-aware fine-tuning too, beside calibration.
        epochs: Of the fine-tuning.
        seed: Of calibration and fine-tuning.
        io: Type of input and output of the int8 file.
        allow_float: Whether an int8 or int16x8 file may hold operators that compute with real numbers.
    """

    formats: tuple[str, ...] = ("int8",)
    fine_tune: bool = True
    epochs: int = 1
    seed: int = 0
    io: str = "int8"
    allow_float: bool = False

    def __post_init__(self) -> None:
        """Refuses, with an OptionError, what is no format or type, and no format at all."""
        unknown = [name for name in self.formats if name not in formats.FORMATS]
        if unknown or not self.formats:
            raise OptionError(
                f"Say what to make, one or several of --{', --'.join(reversed(formats.FORMATS))}."
            )
        if self.io not in ("int8", "uint8", "float32"):
            raise OptionError(f"--io is int8, uint8 or float32, got '{self.io}'.")


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        paths: Of the model files, by format.
        card: The card's document.
        table: A row for every file, to choose by.
        candidates: Every way to int8 that was tried; none where no int8 file was asked for.
        chosen: The one that was taken.
    """

    paths: dict[str, Path]
    card: dict[str, Any]
    table: list[formats.Row]
    candidates: list[Candidate]
    chosen: Candidate | None


def find_source(path: Path, name: str | None) -> Source:
    """Reads what is to be converted.

    Args:
        path: A run's folder, or a `.keras` file.
        name: What to call the result; None for the network's name, or the file's stem.

    Raises:
        DataError: If the folder is no finished run.
        ModelError: If the file is missing.
    """
    if path.is_dir():
        runs.read_json(path, runs.METRICS)  # its presence says that the run is finished
        training = runs.read_json(path, runs.CONFIG)
        return Source(path / runs.MODEL, name or training["network"], training)
    if not path.is_file() or path.suffix != ".keras":
        raise ModelError(
            f"{path} is neither a run's folder nor a .keras file; make one with 'cli train'."
        )
    return Source(path, name or path.stem, {})


def output_paths(folder: Path, name: str, wanted: Sequence[str] = ("int8",)) -> dict[str, Path]:
    """Where each file goes: the reference, the wanted formats, "keras" and "card"."""
    made = [one for one in formats.FORMATS if one == formats.REFERENCE or one in wanted]
    return {one: folder / f"{name}_{one}.tflite" for one in made} | {
        "keras": folder / f"{name}.keras",
        "card": folder / f"{name}.json",
    }


def require_place_for(paths: dict[str, Path], *, force: bool) -> None:
    """Raises OutputError if a file is there and may not be replaced, or a folder takes no files."""
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not force:
        raise OutputError(
            f"{', '.join(there)} already there; --force replaces them, -o names another folder."
        )
    for folder in {path.parent for path in paths.values()}:
        require_writable(folder)


def find_confidence(
    source: Source, held_out: Sequence[Path] = (), say: Say = lambda sentence: None
) -> Confidence | None:
    """How sure the network may be of photographs, from those that were held out of training.

    Args:
        source: The network; of a run on photographs, its own held-out ones serve.
        held_out: Folders of runs on other folds of the same photographs, in their place.
        say: Called with a sentence on what was found.

    Returns:
        None where none were held out, or too few.

    Raises:
        DataError: If those that were named are not there, too few, or of other classes.
    """
    from garmentlite.train import confidence

    photos = source.training.get("photos", {})
    folders = list(held_out)
    if not folders and photos and photos.get("fold") is not None:
        folders = [source.keras_path.parent]
        if not (folders[0] / runs.PHOTOS).is_file():  # those of a raised run are with the first one
            say(
                f"{folders[0]} has no {runs.PHOTOS}, so nothing will be called unknown; --held-out names the "
                "run that has it."
            )
            return None
    if not folders:
        return None
    for folder in held_out:
        classes = runs.labels_of(runs.read_json(folder, runs.CONFIG))
        if source.labels and classes != source.labels:
            raise DataError(
                f"--held-out {folder} knows other classes ({', '.join(classes)}) than {source.keras_path}; "
                "name runs on other folds of its photographs."
            )
    found = confidence.read_held_out(
        folders,
        lambda path, images_u8: _predict(load_keras(path), images_u8),
        views=runs.views_of(source.training),
    )
    count = int(found.is_garment.sum())
    if not held_out and count < confidence.FEWEST:
        say(
            f"{count} photographs were held out, fewer than {confidence.FEWEST}: too few to say from what "
            "confidence on an answer holds, so nothing will be called unknown."
        )
        return None
    fitted = confidence.fit(found)
    say(fitted.in_words())
    return fitted


def convert(
    source: Source,
    folder: Path,
    material: Material,
    request: Request,
    *,
    confidence: Confidence | None = None,
    on_progress: OnProgress = lambda what, step, steps: None,
    say: Say = lambda sentence: None,
) -> Converted:
    """Converts a network and measures the result; the test images are read last, after every choice.

    Args:
        source: The network.
        folder: Where the files go.
        material: The images that calibrate, choose and measure.
        request: What is to be made.
        confidence: Temperature and threshold for photographs, see `find_confidence`. Otherwise the
            temperature is fitted on the validation images, and nothing is called unknown.
        on_progress: Called with (what, step, steps) during the long parts.
        say: Called with a sentence at each stage.

    Raises:
        ModelError: If the network does not fit the images, or cannot be had in a format.
    """
    from garmentlite.convert import export, int8

    model = load_keras(source.keras_path)
    _require_fit(source.keras_path, model, material)
    if not material.is_labelled:  # then the network's own answers are what a format is to keep
        material = material.answered(lambda images_u8: _predict(model, images_u8))
    validation, test = material.validation, material.test
    float_logits = _predict(model, validation.images_u8)
    _require_logits(source.keras_path, float_logits)

    say("Exporting float32 and comparing it with the network ...")
    flatbuffers = {formats.REFERENCE: export.to_float32(model)}
    _require_same(
        f"{source.keras_path}: the exported float32 file",
        int8.logits_of(flatbuffers[formats.REFERENCE], validation.images_u8),
        float_logits,
        EXPORT_TOLERANCE,
    )
    quantization: dict[str, dict[str, Any]] = {formats.REFERENCE: {}}
    candidates: list[Candidate] = []
    chosen = None
    if "int8" in request.formats:
        candidates, found = _to_int8(
            source, model, material, request, float_logits, on_progress=on_progress, say=say
        )
        chosen = int8.closest(candidates)
        flatbuffers["int8"] = chosen.flatbuffer
        quantization["int8"] = {
            "way": chosen.way,
            "candidates": [one.as_document(material.labels) for one in candidates],
            "io": request.io,
            **found,
        }
    for name in request.formats:
        if name not in flatbuffers:
            say(f"Exporting {name} ...")
            try:
                flatbuffers[name], quantization[name] = _to_format(name, model, material, request)
            except ModelError as error:
                raise ModelError(f"{source.keras_path} as {name}: {error}.") from error

    say("Measuring on validation and, last of all, on the test images ...")
    if confidence:
        temperature = confidence.temperature
    elif material.is_labelled:
        temperature = int8.fit_temperature(validation.y, float_logits)
    else:
        temperature = 1.0
    threshold = confidence.unknown_threshold if confidence else None
    keras_bytes = source.keras_path.read_bytes()
    paths = output_paths(folder, source.name, request.formats)
    measured: dict[str, dict[str, Any]] = {}
    test_logits: dict[str, np.ndarray] = {}
    for name, flatbuffer in flatbuffers.items():
        logits = {"test": int8.logits_of(flatbuffer, test.images_u8, on_progress)}
        # Ways to int8 are chosen on validation images, so what they show there is told as well.
        if name in (formats.REFERENCE, "int8"):
            logits["validation"] = int8.logits_of(flatbuffer, validation.images_u8, on_progress)
        test_logits[name] = logits["test"]
        measured[name] = _measured(material, logits)
    preparation = PREPARATION if material.image_size == (TILE, TILE) else AS_GIVEN
    for name, flatbuffer in flatbuffers.items():
        metadata = Metadata(
            name=source.name,
            labels=list(material.labels),
            preparation=preparation,
            temperature=temperature,
            unknown_threshold=threshold,
            reference_sha256=sha256(keras_bytes),
            flatbuffer_sha256=sha256(flatbuffer),
            training=source.training,
            quantization=quantization[name],
            measured=_short(measured[name]),
            views=runs.views_of(source.training),
        )
        write_bytes(paths[name], attach(flatbuffer, metadata))
    if paths["keras"].resolve() != source.keras_path.resolve():
        write_bytes(paths["keras"], keras_bytes)
    say("Comparing the files: time, memory, parity ...")
    models = {name: paths[name] for name in flatbuffers}
    y_true = test.y if material.is_labelled else None
    table = formats.table(models, test_logits, y_true, material.labels, temperature)
    card = {
        "name": source.name,
        "labels": list(material.labels),
        "preparation": preparation,
        "files": _files(paths),
        **_contents(flatbuffers),
        "temperature": temperature,
        "unknown_threshold": threshold,
        **({"photographs": confidence.measured} if confidence else {}),
        "training": source.training,
        "quantization": quantization.get("int8", {}),
        "data": material.name,
        "measured": measured,
        "formats": [row.as_document() for row in table],
        "test_set_read": _test_set_read(source),
    }
    write_json(paths["card"], card)
    return Converted(models, card, table, candidates, chosen)


def _files(paths: dict[str, Path]) -> dict[str, Any]:
    """For a card: every file beside it with its checksum."""
    return {
        name: {
            "file": path.name,
            "bytes": path.stat().st_size,
            "sha256": sha256(path.read_bytes()),
        }
        for name, path in paths.items()
        if name != "card"
    }


def _contents(flatbuffers: dict[str, bytes]) -> dict[str, Any]:
    """For a card: what the network is, and what the int8 file, or else the reference, is made of."""
    contents = read_contents(flatbuffers.get("int8", flatbuffers[formats.REFERENCE]))
    return {
        "parameters": read_contents(flatbuffers[formats.REFERENCE]).parameters,
        "operators": contents.operators,
        "tensor_types": contents.tensor_types,
    }


def _measured(material: Material, logits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Every figure of a file by part of the images; none where it is not known what they show."""
    if not material.is_labelled:
        return {}
    true = {"validation": material.validation.y, "test": material.test.y}
    return {
        part: metrics.summary(y, logits[part], material.labels)
        for part, y in true.items()
        if part in logits
    }


def _test_set_read(source: Source) -> list[str]:
    by_convert = "cli convert: once for each file, after every choice was made"
    if source.is_on_own_photos:
        return ["none: the photographs held out from training chose weights and files, and measure"]
    if not source.training:
        return [by_convert]
    return ["cli train: once, with the weights kept, after training", by_convert]


def _to_int8(
    source: Source,
    model: keras.Model,
    material: Material,
    request: Request,
    float_logits: np.ndarray,
    *,
    on_progress: OnProgress,
    say: Say,
) -> tuple[list[Candidate], dict[str, Any]]:
    """Every way to int8 that the network takes, and what the file says of how it was made."""
    from garmentlite.convert import int8, keras2

    training, validation, seed = material.training, material.validation, request.seed

    def compare(way: str, flatbuffer: bytes) -> Candidate:
        return int8.compare(way, flatbuffer, float_logits, validation)

    operations, obstacle = _folded(model)
    if obstacle and request.fine_tune:
        raise ModelError(
            f"{source.keras_path} cannot be fine-tuned for int8: {obstacle}; --int8 --ptq calibrates it "
            "as it is, --int8-weights, --float16 and --float32 take it too."
        )
    difference = None
    if obstacle:
        say(f"Calibrating the network as it is, since {obstacle} ...")
        try:
            _require_no_loop(model)
            flatbuffer, manifest = int8.calibrated(
                model, training, seed, io=request.io, allow_float=request.allow_float
            )
        except ModelError as error:
            raise ModelError(f"{source.keras_path} as int8: {error}.") from error
        candidates = [compare(WAY_PLAIN, flatbuffer)]
    else:
        say("Folding batch-norm and comparing the twin with the original ...")
        twin_logits = keras2.predict_logits(
            keras2.build_twin(operations), as_input(validation.images_u8)
        )
        difference = _require_same(
            f"{source.keras_path}: the folded network", twin_logits, float_logits, FOLDING_TOLERANCE
        )
        say("Calibrating (post-training quantization, plain and with the last bias corrected) ...")
        flatbuffer, manifest = int8.post_training(operations, training, seed, io=request.io)
        candidates = [compare(WAY_PLAIN, flatbuffer)]
        flatbuffer, _ = int8.post_training_corrected(operations, training, seed, io=request.io)
        candidates.append(compare(WAY_CORRECTED, flatbuffer))
        training_logits = _predict(model, training.images_u8)
        for way, passes in ((WAY_CUT, 0), (WAY_FINE_TUNED, request.epochs)):
            if passes == 0 or request.fine_tune:
                flatbuffer, _ = int8.range_cut(
                    operations,
                    training,
                    training_logits,
                    source.class_weights(material.labels),
                    source.augmentation,
                    seed,
                    epochs=passes,
                    io=request.io,
                    on_progress=on_progress,
                )
                candidates.append(compare(way, flatbuffer))
    return candidates, {
        "calibration": manifest | _shared_with_test(material, seed),
        "seed": seed,
        "folding_difference": difference,
        "versions": _versions("tf_keras", "tensorflow-model-optimization"),
    }


def _folded(model: keras.Model) -> tuple[list[Operation], str]:
    """The folded operations; or none, and what is in the way."""
    from garmentlite.convert import folding

    try:
        return folding.fold(model), ""
    except ModelError as error:
        return [], str(error)


def _to_format(
    name: str, model: keras.Model, material: Material, request: Request
) -> tuple[bytes, dict[str, Any]]:
    """The network in one of the other formats, and what the file says of how it was made."""
    from garmentlite.convert import export, int8

    about: dict[str, Any] = {"way": formats.FORMATS[name], "versions": _versions()}
    if name == "float16":
        return export.to_float16(model), about
    if name == "int8-weights":
        return export.to_int8_weights(model), about
    _require_no_loop(model)
    calibration = material.training.sample(int8.CALIBRATION_IMAGES, request.seed)
    manifest = calibration.manifest("training images", request.seed)
    flatbuffer = export.to_int16x8(
        model, as_input(calibration.images_u8), allow_float=request.allow_float
    )
    shared = _shared_with_test(material, request.seed)
    return flatbuffer, about | {"calibration": manifest | shared, "seed": request.seed}


def _require_no_loop(model: keras.Model) -> None:
    """Refuses what TensorFlow 2.21's calibrator ends the whole process at: a recurrent layer's loop."""
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            raise ModelError(
                f"the layer '{layer.name}' is a {type(layer).__name__}, whose loop cannot be calibrated; "
                "build it with unroll=True, or choose --float16 or --float32"
            )


def _shared_with_test(material: Material, seed: int) -> dict[str, str | int]:
    """For a manifest: the data, and how many of its images are, pixel by pixel, among those that measure."""
    from garmentlite.convert import int8

    calibration = material.training.sample(int8.CALIBRATION_IMAGES, seed)
    measuring = {image.tobytes() for image in material.test.images_u8}
    shared = sum(image.tobytes() in measuring for image in calibration.images_u8)
    return {"data": material.name, "also_in_test": shared}


def _versions(*more: str) -> dict[str, str]:
    return {name: version(name) for name in ("tensorflow", "keras", *more)}


def load_keras(path: Path) -> keras.Model:
    """A `.keras` network, read in safe mode (no code in the file is run).

    Raises:
        ModelError: If it is none, or does not fit Fashion-MNIST's images and classes.
        OptionError: If Keras runs on another backend than TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise OptionError(
            f"Converting needs Keras on TensorFlow, but KERAS_BACKEND is "
            f"'{keras.backend.backend()}'; unset it (the .keras file fits every backend)."
        )
    model = read_network(path, "make one with 'cli train'")
    shape_in, shape_out = model.input_shape, model.output_shape
    if (
        not isinstance(shape_in, tuple)
        or not isinstance(shape_out, tuple)
        or len(shape_in) != 4
        or None in shape_in[1:]
        or shape_in[3] != 1
        or len(shape_out) != 2
        or shape_out[1] < 2
    ):
        raise ModelError(
            f"{path} goes from {shape_in} to {shape_out}, expected one grey image (None, H, W, 1) to the "
            "logits of two or more classes (None, C); choose such a classifier."
        )
    return model


def _require_fit(path: Path, model: keras.Model, material: Material) -> None:
    """Refuses a network that takes other images than there are, or knows another number of classes."""
    size, outputs = tuple(model.input_shape[1:3]), model.output_shape[1]
    if (size, outputs) != (material.image_size, len(material.labels)):
        height, width = material.image_size
        raise ModelError(
            f"{path} takes images of {size[0]} x {size[1]} and knows {outputs} classes, but {material.name} "
            f"has {height} x {width} and {len(material.labels)}; give --calibration FOLDER with pictures "
            "for this network and --labels FILE with its classes in the order of the outputs."
        )


def _require_logits(path: Path, outputs: np.ndarray) -> None:
    """Refuses outputs that are probabilities: the files hold logits, the device applies softmax."""
    # Rows of logits do not all sum to 1 with none below 0; a float32 softmax does to within 1e-5.
    if outputs.min() >= 0 and np.abs(outputs.sum(axis=1) - 1).max() < 1e-5:
        raise ModelError(
            f"{path} ends in a softmax, but softmax is applied where the model is used; save the network "
            "without its last activation, keras.Model(inputs, logits)."
        )


def _predict(model: keras.Model, images_u8: np.ndarray) -> np.ndarray:
    from garmentlite.train.prediction import predict_logits

    return predict_logits(model, images_u8)


def _require_same(what: str, logits: np.ndarray, expected: np.ndarray, tolerance: float) -> float:
    """The largest difference as a share of the largest logit; refused above `tolerance`, and if NaN."""
    difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
    if not difference <= tolerance:
        raise ModelError(
            f"{what} differs from the original by {difference:.1e} of the largest logit, at most "
            f"{tolerance:.0e} was expected; please report it."
        )
    return difference


def _short(measured: dict[str, Any]) -> dict[str, Any]:
    """What a model file carries: accuracy, recall and precision; the card has the rest."""
    return {
        part: {
            "accuracy": document["accuracy"],
            "recall_per_class": {row["label"]: row["recall"] for row in document["per_class"]},
            "precision_per_class": {
                row["label"]: row["precision"] for row in document["per_class"]
            },
        }
        for part, document in measured.items()
    }
