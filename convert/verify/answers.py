"""Computes the answers of two model files to the same images, and refuses files that cannot be compared."""

from __future__ import annotations

import numpy as np

from garmentlite.convert.verify.measurements import Answers
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.model_input import size_in_words
from garmentlite.edge.probabilities import softmax


def answers_of(classifier: Classifier, raw: np.ndarray) -> Answers:
    """Computes the answers that the device would give.

    Args:
        classifier: The model.
        raw: Its raw outputs, shape (N, C).

    Raises:
        ModelError: If an output is NaN or infinite.
    """
    logits = classifier.logits_from_raw(raw)
    if not np.isfinite(logits).all():
        raise ModelError(
            f"{classifier.path} gives outputs that are not finite numbers; convert it again from its weights."
        )
    temperature = classifier.metadata.temperature if classifier.metadata else 1.0
    return Answers(logits, softmax(logits, temperature), classifier.outputs_probabilities)


def require_same_contract(reference: Classifier, candidate: Classifier) -> None:
    """Raises ModelError unless both files take images of one form and have the same labels in one order."""
    if _form(reference) != _form(candidate):
        raise ModelError(
            f"{reference.path} takes {_form(reference)} images and {candidate.path} takes {_form(candidate)} "
            "images; compare two files of the same network."
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


def require_fitting_data(classifier: Classifier, images_u8: np.ndarray, y_true: np.ndarray) -> None:
    """Raises DataError unless the images are of the model's form and each has a class number."""
    if (
        images_u8.dtype != np.uint8
        or images_u8.shape[1:3] != classifier.image_size
        or images_u8.shape[3:] not in ((), (1,), (classifier.model_input.channels,))
    ):
        raise DataError(
            f"{classifier.path} takes {_form(classifier)} images as uint8, these are {images_u8.dtype} of "
            f"shape {images_u8.shape[1:]}; give images of the model's size, or photographs with --photos."
        )
    if y_true.shape != images_u8.shape[:1] or not len(y_true):
        raise DataError(
            f"There are {len(images_u8)} images and {y_true.size} labels; give one label for each of at "
            "least one image."
        )


def require_same_order(reference: Answers, candidate: Answers, named: Classifier) -> None:
    """Raises ModelError if the candidate's outputs are those of the reference in another order.

    The order differs if, for each answer of the reference, most of its images get one and the same answer of
    the candidate, no two of these answers are equal, and some differ from the reference's. A damaged class
    is another case, because its images share an answer with another class.
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
            f"The outputs of {named.path} are in another order than the reference's ({swapped}); correct the "
            "order of its labels and verify again."
        )


def _form(classifier: Classifier) -> str:
    taken = classifier.model_input
    return f"{size_in_words(taken.image_size)} {'grey' if taken.channels == 1 else 'RGB'}"
