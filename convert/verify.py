"""Runs the parity check on two model files, and compares one file with itself on another machine."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import queue
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.convert.parity import (
    Answers,
    KernelComparison,
    Limits,
    ModelFacts,
    ParityReport,
    Provenance,
    judge,
    require_resolvable,
)
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.files import replacing, sha256
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.runtime import Kernels

# Called with the number of images done and of all images, from the thread that called.
Progress = Callable[[int, int], None]

STORED_FORMAT_VERSION = 1
_CHUNK = 250  # images between two reports of progress: about a tenth of a second on a desk
_FLOAT_STEP = 1e-4  # "one step" of a float output, as a share of the largest one: the order of sums


def verify(
    reference: Classifier,
    candidate: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
    classes: Sequence[str] | None = None,
    min_support: int | None = None,
    limits: Limits | None = None,
    kernels: Kernels = "default",
    compare_kernels: bool = False,
    on_progress: Progress | None = None,
    on_answers: Callable[[Answers], None] | None = None,
) -> ParityReport:
    """Compares a candidate with its reference on the same images, class by class.

    Args:
        reference: The model that is taken as right, usually the float32 file.
        candidate: The model that is to be proved, usually the int8 file. Any I/O types.
        images_u8: uint8, shape (N, H, W) or (N, H, W, 1), H and W those of both models.
        y_true: True class numbers, integer, shape (N,).
        margin: Largest loss of recall that is accepted, in (0, 1).
        alpha: One-sided error rate, in (0, 0.5).
        classes: Labels of the classes that are judged; None for all.
        min_support: Classes with fewer images are not judged; None judges, or refuses, all.
        limits: Of the guards; those of `Limits` where it is None.
        kernels: The kernels both classifiers were made with.
        compare_kernels: Also run the candidate on the runtime's reference kernels, which are slow, and say
            how its outputs differ; it is stated and not judged.
        on_progress: Called with images done and all images.
        on_answers: Called with the candidate's answers to all images, in their order.

    Returns:
        The report with its provenance.

    Raises:
        OptionError: If margin or alpha is out of its range, or a name is no class.
        ModelError: If the models do not fit each other: other labels, another order of labels, another
            input size; or one gives outputs that are no numbers.
        DataError: If the images do not fit the models, or are too few for the margin.
    """
    _require_same_contract(reference, candidate)
    _require_fitting_data(reference, images_u8, y_true)
    require_resolvable(
        y_true,
        reference.labels,
        margin=margin,
        alpha=alpha,
        classes=classes,
        min_support=min_support,
    )

    models = [(reference, kernels), (candidate, kernels)]
    if compare_kernels:
        slow = Classifier(candidate.path, labels=candidate.labels, kernels="reference")
        models.append((slow, "reference"))
    raw_reference, raw_candidate, *raw_slow = _raw_outputs(models, images_u8, on_progress)
    answers_reference = _answers(reference, raw_reference)
    answers_candidate = _answers(candidate, raw_candidate)
    _require_same_order(answers_reference, answers_candidate, candidate)
    if on_answers:
        on_answers(answers_candidate)
    report = judge(
        y_true,
        answers_reference,
        answers_candidate,
        reference.labels,
        margin=margin,
        alpha=alpha,
        classes=classes,
        min_support=min_support,
        limits=limits,
    )
    changed = [image.index for image in report.changed_images]
    provenance = Provenance(
        reference=_facts(reference, raw_reference, changed),
        candidate=_facts(candidate, raw_candidate, changed),
        data_sha256=data_sha256(images_u8, y_true),
        runtime=_runtime(),
        kernels=kernels,
        machine=_machine(),
    )
    return replace(
        report,
        notes=_notes(reference, candidate, provenance),
        kernel_comparison=KernelComparison(*_differences(raw_candidate, *raw_slow))
        if raw_slow
        else None,
        provenance=provenance,
    )


def data_sha256(images_u8: np.ndarray, y_true: np.ndarray) -> str:
    """Checksum of the bytes of the images, then of the class numbers as little-endian int64."""
    return sha256(images_u8.tobytes() + y_true.astype("<i8").tobytes())


def has_tie(raw: np.ndarray) -> np.ndarray:
    """Where the largest output is shared by several classes; the lowest class number wins there.

    Args:
        raw: Outputs of a model in their own type, shape (N, C).

    Returns:
        bool, shape (N,).
    """
    return np.count_nonzero(raw == raw.max(axis=1, keepdims=True), axis=1) > 1


# --- the same file on another machine


@dataclass(frozen=True)
class StoredComparison:
    """A model's outputs on this machine beside those stored on another.

    Attributes:
        passed: No answer changed and no output differs by more than one step.
        equal: Every output is the same, bit for bit.
        images: Number of images.
        changed_answers: Images whose largest output is of another class.
        differing_images: Images with any difference in their outputs.
        largest_step: Largest difference of an output: whole steps of an integer type; for a float type in
            units of 1e-4 of the largest stored output.
        stored_on: Machine, runtime and kernels that stored the outputs.
        computed_on: The same of this machine.
    """

    passed: bool
    equal: bool
    images: int
    changed_answers: int
    differing_images: int
    largest_step: float
    stored_on: str
    computed_on: str

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        if self.equal:
            return (
                f"All outputs of {self.images:,} images are equal to the stored ones, bit for bit."
            )
        return (
            f"{self.differing_images:,} of {self.images:,} images have outputs that differ, by at most "
            f"{self.largest_step:g} steps; {self.changed_answers:,} answers changed "
            f"({'' if self.passed else 'not '}within one step and no change of answer)."
        )

    def as_document(self) -> dict[str, Any]:
        """The comparison as JSON can hold it."""
        return asdict(self)


def save_reference(
    classifier: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    path: Path,
    *,
    kernels: Kernels = "default",
    on_progress: Progress | None = None,
) -> None:
    """Stores a model's raw outputs, to be compared with on another machine.

    Args:
        classifier: The model.
        images_u8: uint8, shape (N, H, W) or (N, H, W, 1).
        y_true: True class numbers, shape (N,); they are part of the checksum of the data.
        path: The `.npz` file to write.
        kernels: The kernels the classifier was made with.
        on_progress: Called with images done and all images.

    Raises:
        DataError: If the images do not fit the model.
        OutputError: If the file cannot be written.
    """
    _require_fitting_data(classifier, images_u8, y_true)
    (raw,) = _raw_outputs([(classifier, kernels)], images_u8, on_progress)
    about = {
        "format_version": STORED_FORMAT_VERSION,
        "model": classifier.path.name,
        "model_sha256": classifier.sha256,
        "data_sha256": data_sha256(images_u8, y_true),
        "computed_on": _computed_on(kernels),
    }
    # An open file: given a name, NumPy would add ".npz" to one that does not end so.
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, outputs=raw, about=np.array(json.dumps(about)))


def compare_with_stored(
    classifier: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    path: Path,
    *,
    kernels: Kernels = "default",
    on_progress: Progress | None = None,
) -> StoredComparison:
    """Computes a model's outputs again and compares them with stored ones.

    Args:
        classifier: The same model file.
        images_u8: The same images.
        y_true: The same class numbers.
        path: What `save_reference` wrote.
        kernels: The kernels the classifier was made with.
        on_progress: Called with images done and all images.

    Returns:
        The comparison.

    Raises:
        ModelError: If the stored outputs are of another model file.
        DataError: If the stored file cannot be read, or was made from other images.
    """
    stored, about = _read_stored(path)
    if about["model_sha256"] != classifier.sha256:
        raise ModelError(
            f"{path} holds outputs of another model ({about['model']}, SHA-256 "
            f"{about['model_sha256'][:12]}) than {classifier.path} ({classifier.sha256[:12]}); "
            "store them again from the file that is on the device."
        )
    _require_fitting_data(classifier, images_u8, y_true)
    if about["data_sha256"] != data_sha256(images_u8, y_true):
        raise DataError(
            f"{path} was made from other images or labels than these; give the same data set and the "
            "same limit as when it was stored."
        )
    (raw,) = _raw_outputs([(classifier, kernels)], images_u8, on_progress)
    images, differing, changed, largest = _differences(stored, raw)
    return StoredComparison(
        passed=changed == 0 and largest <= 1,
        equal=differing == 0,
        images=images,
        changed_answers=changed,
        differing_images=differing,
        largest_step=largest,
        stored_on=about["computed_on"],
        computed_on=_computed_on(kernels),
    )


def _read_stored(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            outputs, about = archive["outputs"], json.loads(archive["about"].item())
        if about["format_version"] != STORED_FORMAT_VERSION:
            raise DataError(
                f"{path} is of format {about['format_version']}, this program reads "
                f"{STORED_FORMAT_VERSION}; store the outputs again with --save-reference."
            )
    except OSError as error:
        raise DataError(
            f"Cannot read the stored outputs {path}: {error.strerror or error}; make them with "
            "'cli verify MODEL --save-reference'."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} does not hold stored outputs; make them with 'cli verify MODEL --save-reference'."
        ) from error
    return outputs, about


def _differences(one: np.ndarray, other: np.ndarray) -> tuple[int, int, int, float]:
    """Images, those whose outputs differ, those whose answers differ, and the largest step between two."""
    return (
        len(one),
        int(np.count_nonzero((one != other).any(axis=1))),
        int(np.count_nonzero(one.argmax(axis=1) != other.argmax(axis=1))),
        float(_steps_between(one, other).max()),
    )


def _steps_between(stored: np.ndarray, computed: np.ndarray) -> np.ndarray:
    """Differences in steps of the type, float64, of the shape of both."""
    distance = np.abs(stored.astype(np.float64) - computed.astype(np.float64))
    if np.issubdtype(stored.dtype, np.integer):
        return distance
    largest = float(np.abs(stored).max())
    return distance / (_FLOAT_STEP * largest) if largest > 0 else distance


# --- running the models


def _raw_outputs(
    models: Sequence[tuple[Classifier, Kernels]],
    images_u8: np.ndarray,
    on_progress: Progress | None,
) -> list[np.ndarray]:
    """Raw outputs of every classifier, each shape (N, C), computed on all cores.

    The runtime lets go of Python's lock while it computes, so threads use the cores. One interpreter must
    not run in two threads: each classifier gets as many of its kind as there are threads.
    """
    starts = range(0, len(images_u8), _CHUNK)
    distinct = {id(classifier): (classifier, kernels) for classifier, kernels in models}
    workers = min(len(starts) * len(distinct), os.cpu_count() or 1)
    instances = {
        key: _instances(classifier, kernels, min(workers, len(starts)))
        for key, (classifier, kernels) in distinct.items()
    }
    outputs = {
        key: np.empty((len(images_u8), classifier.num_outputs), classifier.output.dtype)
        for key, (classifier, _) in distinct.items()
    }

    def run(key: int, start: int) -> int:
        classifier = instances[key].get()
        try:
            chunk = images_u8[start : start + _CHUNK]
            outputs[key][start : start + _CHUNK] = classifier.raw_outputs(chunk)
            return len(chunk)
        finally:
            instances[key].put(classifier)

    pool = ThreadPoolExecutor(workers)
    try:
        # All models advance together, so that none is left to run alone at the end.
        running = [pool.submit(run, key, start) for start in starts for key in distinct]
        done = 0
        for finished in as_completed(running):
            done += finished.result()
            if on_progress:
                on_progress(done // len(distinct), len(images_u8))
    finally:
        pool.shutdown(cancel_futures=True)  # at once, where one failed or the user interrupts
    return [outputs[id(classifier)] for classifier, _ in models]


def _instances(
    classifier: Classifier, kernels: Kernels, count: int
) -> queue.SimpleQueue[Classifier]:
    """The classifier and others made from its file, so that `count` threads can each have one.

    Where the file is no longer what it was, the threads share the one there is.
    """
    instances: queue.SimpleQueue[Classifier] = queue.SimpleQueue()
    instances.put(classifier)
    for _ in range(count - 1):
        try:
            another = Classifier(classifier.path, labels=classifier.labels, kernels=kernels)
        except ModelError:
            break
        if another.sha256 != classifier.sha256:
            break
        instances.put(another)
    return instances


def _answers(classifier: Classifier, raw: np.ndarray) -> Answers:
    logits = classifier.logits_from_raw(raw)
    if not np.isfinite(logits).all():
        raise ModelError(
            f"{classifier.path} gives outputs that are no finite numbers; convert it again from its weights."
        )
    temperature = classifier.metadata.temperature if classifier.metadata else 1.0
    return Answers(logits, softmax(logits, temperature), classifier.outputs_probabilities)


# --- what does not fit


def _require_same_contract(reference: Classifier, candidate: Classifier) -> None:
    if reference.image_size != candidate.image_size:
        raise ModelError(
            f"{reference.path} takes images of {_size(reference)} and {candidate.path} of "
            f"{_size(candidate)}; compare two files of the same network."
        )
    if reference.labels == candidate.labels:
        return
    if sorted(reference.labels) == sorted(candidate.labels):
        raise ModelError(
            f"{candidate.path} has the labels of {reference.path} in another order; make both files from "
            "one model, or give their order with --labels."
        )
    raise ModelError(
        f"{reference.path} knows the classes {', '.join(reference.labels)}, but {candidate.path} knows "
        f"{', '.join(candidate.labels)}; compare files of the same classes, or name them with --labels."
    )


def _require_fitting_data(
    classifier: Classifier, images_u8: np.ndarray, y_true: np.ndarray
) -> None:
    if images_u8.dtype != np.uint8 or images_u8.shape[1:3] != classifier.image_size:
        raise DataError(
            f"{classifier.path} takes uint8 images of {_size(classifier)}, these are {images_u8.dtype} of "
            f"shape {images_u8.shape[1:]}; give images of the model's size."
        )
    if y_true.shape != images_u8.shape[:1] or not len(y_true):
        raise DataError(
            f"There are {len(images_u8)} images and {y_true.size} labels; give one label for each of at "
            "least one image."
        )


def _require_same_order(reference: Answers, candidate: Answers, named: Classifier) -> None:
    """Refuses outputs that are those of the reference in another order.

    They are if most images of every answer of the reference get one answer of the candidate, no two the
    same, and not its own. A damaged class cannot look so: its images would share an answer with others.
    """
    num_classes = reference.logits.shape[1]
    pairs = reference.class_ids * num_classes + candidate.class_ids
    together = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    given = np.flatnonzero(together.sum(axis=1))
    partner = together[given].argmax(axis=1)
    most = 2 * together[given, partner] > together[given].sum(axis=1)
    if most.all() and len(set(partner.tolist())) == len(given) and (partner != given).any():
        swapped = ", ".join(
            f"{named.labels[before]} -> {named.labels[after]}"
            for before, after in zip(given, partner, strict=True)
            if before != after
        )
        raise ModelError(
            f"The outputs of {named.path} are in another order than the reference's ({swapped}); put its "
            "labels right and verify again."
        )


def _size(classifier: Classifier) -> str:
    height, width = classifier.image_size
    return f"{height}x{width}"


# --- provenance


def _facts(classifier: Classifier, raw: np.ndarray, changed: list[int]) -> ModelFacts:
    tied = has_tie(raw)
    return ModelFacts(
        file=classifier.path.name,
        sha256=classifier.sha256,
        input_type=str(classifier.input.dtype),
        output_type=str(classifier.output.dtype),
        reference_sha256=classifier.metadata.reference_sha256 if classifier.metadata else None,
        logit_ties=int(tied.sum()),
        changed_on_ties=int(tied[changed].sum()),
    )


def _notes(reference: Classifier, candidate: Classifier, provenance: Provenance) -> tuple[str, ...]:
    notes = [*reference.warnings, *candidate.warnings]
    if provenance.reference.sha256 == provenance.candidate.sha256:
        notes.append(
            "Both files are the same, byte for byte: nothing was compared but the runtime."
        )
    silent = [
        facts.file
        for facts in (provenance.reference, provenance.candidate)
        if facts.reference_sha256 is None
    ]
    if silent:
        notes.append(
            f"{' and '.join(silent)} {'does' if len(silent) == 1 else 'do'} not say from which float "
            "model they come, so that a common origin cannot be confirmed."
        )
    elif provenance.reference.reference_sha256 != provenance.candidate.reference_sha256:
        notes.append(
            "The files come from different float models, as their metadata says "
            f"({provenance.reference.reference_sha256:.12} and "
            f"{provenance.candidate.reference_sha256:.12}): the comparison is not of a conversion alone."
        )
    if reference.outputs_probabilities != candidate.outputs_probabilities:
        notes.append(
            "One file ends in a softmax and the other does not: their logits are compared up to a "
            "constant, so that the logit offset is not judged."
        )
    return tuple(notes)


def _computed_on(kernels: Kernels) -> str:
    return f"{_machine()}; {_runtime()}, {kernels} kernels"


def _runtime() -> str:
    return f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"


def _machine() -> str:
    """Processor, architecture, number of cores and system, as far as the system tells."""
    processor = _processor() or platform.processor()
    parts = [processor, platform.machine(), f"{os.cpu_count()} cores", platform.platform()]
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    """The board's or processor's name where Linux tells it; empty elsewhere."""
    board, cpuinfo = Path("/proc/device-tree/model"), Path("/proc/cpuinfo")
    if board.exists():
        return board.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return ""
