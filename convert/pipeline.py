"""`cli convert`: from a trained network to the files that are shipped.

NAME_float32.tflite   the reference: the Keras 3 network as it was trained, before any fine-tuning
NAME_int8.tflite      the file for the device
NAME.keras            the network itself, without optimizer
NAME.json             the card: where it comes from, how int8 was reached, what it measures
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge import metrics
from edge.errors import ModelError, OptionError, OutputError
from edge.files import require_writable, sha256, write_bytes, write_json
from edge.labels import FASHION_MNIST_LABELS
from edge.metadata import Metadata, attach
from edge.preparation import PREPARATION
from train import runs
from train.augmentation import Augmentation
from train.data import FashionMnist, as_input

if TYPE_CHECKING:
    import keras

    from convert.int8 import Candidate, Images

# Largest difference between the folded twin and the original, as a share of the largest logit: some
# hundred float32 roundings (6e-8 each) along the way.
FOLDING_TOLERANCE = 1e-5

# The same between the float32 file and the network: LiteRT's kernels add in an order of their own.
EXPORT_TOLERANCE = 1e-4

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

    @property
    def class_weights(self) -> np.ndarray:
        """Factors of the training loss, float32, shape (C,); all 1 where they are not known."""
        known = self.training.get("class_weights", {})
        return np.array([known.get(label, 1.0) for label in FASHION_MNIST_LABELS], np.float32)

    @property
    def augmentation(self) -> Augmentation:
        """The random changes of training; none where they are not known."""
        return Augmentation(**self.training.get("augmentation", {}))


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        float32: Path of the reference.
        int8: Path of the file for the device.
        card: The card's document.
        candidates: Every way to int8 that was tried.
        chosen: The one that was taken.
    """

    float32: Path
    int8: Path
    card: dict[str, Any]
    candidates: list[Candidate]
    chosen: Candidate


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


def output_paths(folder: Path, name: str) -> dict[str, Path]:
    """Where each of the four files goes."""
    return {
        "float32": folder / f"{name}_float32.tflite",
        "int8": folder / f"{name}_int8.tflite",
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


def convert(
    source: Source,
    folder: Path,
    data: FashionMnist,
    *,
    fine_tune: bool,
    epochs: int,
    seed: int,
    on_progress: OnProgress = lambda what, step, steps: None,
    say: Say = lambda sentence: None,
) -> Converted:
    """Converts a network and measures the result; the test set is read last, after every choice.

    Args:
        source: The network.
        folder: Where the files go.
        data: Fashion-MNIST.
        fine_tune: Whether quantization-aware fine-tuning is tried beside calibration.
        epochs: Of the fine-tuning.
        seed: Of calibration and fine-tuning.
        on_progress: Called with (what, step, steps) during the long parts.
        say: Called with a sentence at each stage.

    Raises:
        ModelError: If the network cannot be folded or exported.
    """
    from convert import export, folding, int8, keras2

    model = load_keras(source.keras_path)
    operations = folding.fold(model)
    training, validation = int8.training_and_validation(data)

    say("Folding batch-norm and comparing the twin with the original ...")
    float_logits = _predict(model, validation.images_u8)
    twin_logits = keras2.predict_logits(
        keras2.build_twin(operations), as_input(validation.images_u8)
    )
    difference = _require_same(
        f"{source.keras_path}: the folded network", twin_logits, float_logits, FOLDING_TOLERANCE
    )

    say("Calibrating (post-training quantization, plain and with the last bias corrected) ...")
    float32 = export.to_float32(model)
    _require_same(
        f"{source.keras_path}: the exported float32 file",
        int8.logits_of(float32, validation.images_u8),
        float_logits,
        EXPORT_TOLERANCE,
    )
    flatbuffer, manifest = int8.post_training(operations, training, seed)
    candidates = [int8.compare(WAY_PLAIN, flatbuffer, float_logits, validation)]
    flatbuffer, _ = int8.post_training_corrected(operations, training, seed)
    candidates.append(int8.compare(WAY_CORRECTED, flatbuffer, float_logits, validation))
    training_logits = _predict(model, training.images_u8)
    for way, passes in ((WAY_CUT, 0), (WAY_FINE_TUNED, epochs)):
        if passes == 0 or fine_tune:
            flatbuffer, _ = int8.range_cut(
                operations,
                training,
                training_logits,
                source.class_weights,
                source.augmentation,
                seed,
                epochs=passes,
                on_progress=on_progress,
            )
            candidates.append(int8.compare(way, flatbuffer, float_logits, validation))
    chosen = int8.closest(candidates)

    say("Measuring on validation and, last of all, on the test set ...")
    temperature = int8.fit_temperature(validation.y, float_logits)
    quantization = {
        "way": chosen.way,
        "candidates": [one.as_document(FASHION_MNIST_LABELS) for one in candidates],
        "calibration": manifest,
        "seed": seed,
        "folding_difference": difference,
        "versions": {
            name: version(name)
            for name in ("tensorflow", "tf_keras", "tensorflow-model-optimization", "keras")
        },
    }
    keras_bytes = source.keras_path.read_bytes()
    measured = {
        kind: _measure(content, validation, data)
        for kind, content in (("float32", float32), ("int8", chosen.flatbuffer))
    }
    paths = output_paths(folder, source.name)
    for kind, content in (("float32", float32), ("int8", chosen.flatbuffer)):
        metadata = Metadata(
            name=source.name,
            labels=list(FASHION_MNIST_LABELS),
            preparation=PREPARATION,
            temperature=temperature,
            unknown_threshold=None,
            reference_sha256=sha256(keras_bytes),
            flatbuffer_sha256=sha256(content),
            training=source.training,
            quantization=quantization if kind == "int8" else {},
            measured=_short(measured[kind]),
        )
        write_bytes(paths[kind], attach(content, metadata))
    if paths["keras"].resolve() != source.keras_path.resolve():
        write_bytes(paths["keras"], keras_bytes)
    card = _card(source, paths, operations, chosen, quantization, measured, temperature)
    write_json(paths["card"], card)
    return Converted(paths["float32"], paths["int8"], card, candidates, chosen)


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
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (
        OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, EOFError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        reason = str(error).strip().split("\n")[0]
        raise ModelError(
            f"{path} cannot be read as a Keras network ({reason}); make one with 'cli train'."
        ) from error
    expected = ((None, 28, 28, 1), (None, len(FASHION_MNIST_LABELS)))
    if (model.input_shape, model.output_shape) != expected:
        raise ModelError(
            f"{path} goes from {model.input_shape} to {model.output_shape}, expected {expected[0]} "
            f"to {expected[1]}; choose a network trained on Fashion-MNIST."
        )
    return model


def _predict(model: keras.Model, images_u8: np.ndarray) -> np.ndarray:
    from train.fit import predict_logits

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


def _measure(flatbuffer: bytes, validation: Images, data: FashionMnist) -> dict[str, Any]:
    from convert.int8 import logits_of

    labels = FASHION_MNIST_LABELS
    return {
        "validation": metrics.summary(
            validation.y, logits_of(flatbuffer, validation.images_u8), labels
        ),
        "test": metrics.summary(data.y_test, logits_of(flatbuffer, data.x_test), labels),
    }


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


def _card(
    source: Source,
    paths: dict[str, Path],
    operations: list[Any],
    chosen: Candidate,
    quantization: dict[str, Any],
    measured: dict[str, Any],
    temperature: float,
) -> dict[str, Any]:
    from convert.export import read_contents

    weights = [w for one in operations for w in (one.kernel, one.bias) if w is not None]
    contents = read_contents(chosen.flatbuffer)
    return {
        "name": source.name,
        "labels": list(FASHION_MNIST_LABELS),
        "preparation": PREPARATION,
        "files": {
            kind: {
                "file": path.name,
                "bytes": path.stat().st_size,
                "sha256": sha256(path.read_bytes()),
            }
            for kind, path in paths.items()
            if kind != "card"
        },
        "parameters": int(sum(weight.size for weight in weights)),
        "operators": contents.operators,
        "tensor_types": contents.tensor_types,
        "temperature": temperature,
        "unknown_threshold": None,
        "training": source.training,
        "quantization": quantization,
        "measured": measured,
        "test_set_read": [
            "cli train: once, with the weights kept, after training",
            "cli convert: once for each file, after every choice was made",
        ],
    }
