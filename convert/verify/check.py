"""Runs the parity check: `verify` is for programs, `run` for the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from garmentlite.convert.verify.answers import (
    answers_of,
    require_fitting_data,
    require_same_contract,
    require_same_order,
)
from garmentlite.convert.verify.corruptions import (
    CORRUPTION_IMAGES,
    CorruptionsReport,
    compare_corrupted,
)
from garmentlite.convert.verify.criteria import MARGIN, Criteria
from garmentlite.convert.verify.guards import GUARDS, Guard
from garmentlite.convert.verify.judge import judge
from garmentlite.convert.verify.layers import LayersReport, compare_layers
from garmentlite.convert.verify.measurements import Answers
from garmentlite.convert.verify.output_comparison import compare_outputs
from garmentlite.convert.verify.parity_report import ParityReport
from garmentlite.convert.verify.photographs import Photographs, load_photographs
from garmentlite.convert.verify.provenance import (
    Provenance,
    data_sha256,
    facts_of,
    machine,
    runtime,
)
from garmentlite.edge.all_cores import raw_outputs
from garmentlite.edge.callbacks import OnStageProgress, Say, ignore_stage_progress
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import OptionError
from garmentlite.edge.preparer import make_preparer
from garmentlite.edge.segmenters.interface import Segmenter
from garmentlite.train import data


def verify(
    reference: Classifier | str | Path,
    candidate: Classifier | str | Path,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    criteria: Criteria | None = None,
    *,
    margin: float = MARGIN,
    guards: tuple[Guard, ...] = GUARDS,
    compare_kernels: bool = False,
    layers: bool = False,
    corruptions: bool = False,
    most_corrupted: int = CORRUPTION_IMAGES,
    photographs: Photographs | None = None,
    on_progress: OnStageProgress = ignore_stage_progress,
    on_answers: Callable[[Answers], None] | None = None,
) -> ParityReport:
    """Compares a candidate with its reference on the same images, class by class.

    Args:
        reference: The model that is taken as right, usually the float32 file: a path or a classifier.
        candidate: The model that is checked, usually the int8 file, with any input and output types.
        images_u8: uint8, shape (N, H, W) or (N, H, W, channels), H, W and channels those of both models.
        y_true: True class numbers, integer, shape (N,).
        criteria: Margin, error rate and the classes to judge; None for all classes at alpha 0.05.
        margin: Largest loss of recall that is accepted, in (0, 1); it is used if no criteria are given.
        guards: The checks beside those of recall.
        compare_kernels: Whether to run the candidate on the runtime's reference kernels too, which are slow.
            The difference of its outputs is reported and not judged.
        layers: Whether to measure the error of each layer too.
        corruptions: Whether to compare the models on corrupted images too.
        most_corrupted: The largest number of images of a corrupted set.
        photographs: The photographs that the images were made from; None for images of a data set.
        on_progress: Called with (stage, done, total) from the thread that called.
        on_answers: Called with the candidate's answers to all images, in their order.

    Returns:
        The report with its provenance.

    Raises:
        OptionError: If the margin is out of its range, a name in the criteria is not a label, or
            corruptions are asked for with models of RGB images.
        ModelError: If a file cannot be read, the models do not fit each other (other labels, another order
            of labels, another input size), outputs are not finite, or layers cannot be matched.
        DataError: If the images do not fit the models, or are too few for the margin.
    """
    reference, candidate = _opened(reference), _opened(candidate)
    criteria = criteria or Criteria(margin)
    require_same_contract(reference, candidate)
    require_fitting_data(reference, images_u8, y_true)
    if corruptions and reference.model_input.channels > 1:
        raise OptionError(
            "--corruptions is made for grey images on a dark background, and "
            f"{reference.path} takes RGB images; leave it out."
        )
    criteria.require_resolvable(y_true, reference.labels)

    models = [reference, candidate]
    if compare_kernels:
        models.append(
            Classifier(
                candidate.path, labels=candidate.labels, input_range=candidate.model_input.range,
                kernels="reference",
            )
        )  # fmt: skip
    raw_reference, raw_candidate, *raw_slow = raw_outputs(
        models, images_u8, partial(on_progress, "Comparing")
    )
    before, after = answers_of(reference, raw_reference), answers_of(candidate, raw_candidate)
    require_same_order(before, after, candidate)
    if on_answers:
        on_answers(after)
    by_layer = _by_layer(reference, candidate, images_u8, on_progress) if layers else None
    corrupted = (
        _corrupted(reference, candidate, images_u8, y_true, criteria, most_corrupted, on_progress)
        if corruptions
        else None
    )
    report = judge(
        y_true,
        before,
        after,
        reference.labels,
        criteria,
        guards=guards,
        corruptions=corrupted,
        files=photographs.files if photographs else None,
    )
    changed = [image.index for image in report.changed_images]
    provenance = Provenance(
        reference=facts_of(reference, raw_reference, changed),
        candidate=facts_of(candidate, raw_candidate, changed),
        data_sha256=data_sha256(images_u8, y_true),
        runtime=runtime(),
        kernels=reference.kernels,
        machine=machine(),
    )
    return replace(
        report,
        notes=_notes(reference, candidate, provenance),
        kernel_comparison=compare_outputs(raw_candidate, *raw_slow) if raw_slow else None,
        layers=by_layer,
        photographs=photographs.facts if photographs else None,
        provenance=provenance,
    )


# --- for the command line


@dataclass(frozen=True)
class ImageSource:
    """The labelled images that models are compared on: Fashion-MNIST's test images, or photographs.

    Attributes:
        data_dir: Folder of Fashion-MNIST; None to find or download it.
        limit: How many of the first test images are used; None for all.
        photos: Folder or table of photographs in place of the test images.
        segmenter: Separates the garment from its background in the photographs.
        prepare: How the photographs become the input of the models, see `edge.preparer`; None for what
            suits them.
    """

    data_dir: Path | None = None
    limit: int | None = None
    photos: Path | None = None
    segmenter: Segmenter | None = None
    prepare: str | None = None


@dataclass(frozen=True)
class Request:
    """A parity check of two files.

    Attributes:
        reference: The file that is taken as right.
        candidate: The file that is checked.
        images: The images to compare on.
        criteria: Margin, error rate and the classes to judge.
        labels: Class names in place of those in the files.
        input_range: The numbers that stand for the pixels in files of other programs; None to find them out.
        kernels: Whether to compare the candidate on the reference kernels too.
        layers: Whether to measure the error of each layer.
        corruptions: Whether to compare on corrupted images.
    """

    reference: Path
    candidate: Path
    images: ImageSource = field(default_factory=ImageSource)
    criteria: Criteria = field(default_factory=Criteria)
    labels: Sequence[str] | None = None
    input_range: str | None = None
    kernels: bool = False
    layers: bool = False
    corruptions: bool = False


@dataclass(frozen=True)
class LabelledImages:
    """Images with their true classes.

    Attributes:
        images_u8: uint8, shape (N, H, W) or (N, H, W, 3).
        y_true: Class numbers, integer, shape (N,).
        photographs: The photographs that they were made from; None for images of a data set.
    """

    images_u8: np.ndarray
    y_true: np.ndarray
    photographs: Photographs | None = None


def run(
    request: Request, *, say: Say, on_progress: OnStageProgress
) -> tuple[ParityReport, np.ndarray]:
    """Opens the files, loads the images and compares, see `verify`.

    Args:
        request: What to compare.
        say: Called with a sentence for each photograph that cannot be read.
        on_progress: Called with (stage, done, total).

    Returns:
        The report, and the images it was made on, uint8, shape (N, H, W) or (N, H, W, 3).
    """
    reference, candidate = (
        Classifier(path, labels=request.labels, input_range=request.input_range)
        for path in (request.reference, request.candidate)
    )
    found = load_images(request.images, reference, say=say, on_progress=on_progress)
    report = verify(
        reference,
        candidate,
        found.images_u8,
        found.y_true,
        request.criteria,
        compare_kernels=request.kernels,
        layers=request.layers,
        corruptions=request.corruptions,
        most_corrupted=request.images.limit or CORRUPTION_IMAGES,
        photographs=found.photographs,
        on_progress=on_progress,
    )
    return report, found.images_u8


def load_images(
    source: ImageSource, classifier: Classifier, *, say: Say, on_progress: OnStageProgress
) -> LabelledImages:
    """Loads the images of a source.

    Args:
        source: Which images.
        classifier: A model that takes them.
        say: Called with a sentence about the data set, and for each photograph that cannot be read.
        on_progress: Called with (stage, done, total).
    """
    if source.photos and source.segmenter:
        photographs = load_photographs(
            source.photos,
            classifier.labels,
            make_preparer(source.prepare, classifier.model_input, source.segmenter),
            warn=lambda sentence: say(f"Error: {sentence}"),
            on_progress=partial(on_progress, "Preparing photographs"),
        )
        return LabelledImages(photographs.images_u8, photographs.y_true, photographs)
    found = data.load(source.data_dir, say)
    return LabelledImages(found.x_test[: source.limit], found.y_test[: source.limit])


# --- the parts of `verify`


def _opened(model: Classifier | str | Path) -> Classifier:
    return model if isinstance(model, Classifier) else Classifier(model)


def _by_layer(
    reference: Classifier,
    candidate: Classifier,
    images_u8: np.ndarray,
    on_progress: OnStageProgress,
) -> LayersReport:
    return compare_layers(
        reference, candidate, images_u8, on_progress=partial(on_progress, "Layer by layer")
    )


def _corrupted(
    reference: Classifier,
    candidate: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    criteria: Criteria,
    most: int,
    on_progress: OnStageProgress,
) -> CorruptionsReport:
    # The classes that are judged on all images, although they may have fewer than `min_support` in a set.
    reasons = criteria.reasons_not_judged(y_true, reference.labels)
    judged = tuple(
        label for label, reason in zip(reference.labels, reasons, strict=True) if reason is None
    )
    return compare_corrupted(
        reference,
        candidate,
        images_u8,
        y_true,
        replace(criteria, classes=judged, min_support=None),
        most=most,
        on_progress=partial(on_progress, "Corrupted images"),
    )


def _notes(reference: Classifier, candidate: Classifier, provenance: Provenance) -> tuple[str, ...]:
    notes = []
    if provenance.reference.sha256 == provenance.candidate.sha256:
        notes.append(
            "Both files are identical, byte for byte, so this check says nothing about a conversion."
        )
    silent = [
        facts.file
        for facts in (provenance.reference, provenance.candidate)
        if facts.reference_sha256 is None
    ]
    if silent:
        notes.append(
            f"{' and '.join(silent)} {'does' if len(silent) == 1 else 'do'} not say which float model "
            f"{'it' if len(silent) == 1 else 'they'} come{'s' if len(silent) == 1 else ''} from, so a "
            "common origin cannot be confirmed."
        )
    elif provenance.reference.reference_sha256 != provenance.candidate.reference_sha256:
        notes.append(
            "According to their metadata the files come from different float models "
            f"({provenance.reference.reference_sha256:.12} and "
            f"{provenance.candidate.reference_sha256:.12}): the check compares more than a conversion."
        )
    if reference.outputs_probabilities != candidate.outputs_probabilities:
        notes.append(
            "One file ends in a softmax and the other does not, so their logits are known only up to a "
            "constant and the logit offset is not judged."
        )
    return (*notes, *_notes_on_foreign_files(reference, candidate))


def _notes_on_foreign_files(reference: Classifier, candidate: Classifier) -> list[str]:
    """Writes a sentence on each thing to check in files of other programs, and on ranges that differ."""
    notes = [doubt for one in (reference, candidate) for doubt in one.doubts(one.path.name)]
    before, after = (one.model_input.range for one in (reference, candidate))
    if before != after:
        notes.append(
            f"{reference.path.name} takes {before.name} for the pixels 0..255 and {candidate.path.name} "
            f"takes {after.name}. Unless one of them scales its input itself, the candidate was quantized "
            "with images of the wrong range."
        )
    return notes
