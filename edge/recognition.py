"""From a picture to an answer: segmentation, preparation and the network, each timed apart."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.preparation import Prepared, preparations

if TYPE_CHECKING:
    from garmentlite.edge.pictures import Picture
    from garmentlite.edge.segmentation import Segmenter

# Confidence from which no second opinion is asked for, which takes time: such answers are right as often
# without it (`benchmarks/real_garments.py`).
SURE = 0.9


@dataclass(frozen=True)
class Recognition:
    """What was seen in one picture.

    Attributes:
        label: One of the model's labels, "unknown" (the network is not sure enough) or "no garment".
        confidence: Probability of the most probable class, in [0, 1]; 0 for "no garment".
        probabilities: float32, shape (C,); None for "no garment".
        labels: The model's labels, in the order of `probabilities`.
        latency_ms: Milliseconds by stage: "segment", "prepare", "infer".
        prepared: The 28x28 image the network saw, and how it came about.
    """

    label: str
    confidence: float
    probabilities: np.ndarray | None
    labels: list[str]
    latency_ms: dict[str, float]
    prepared: Prepared

    def top_k(self, k: int) -> list[dict[str, Any]]:
        """The k most probable classes, best first, as {label, probability}; empty without a garment."""
        if self.probabilities is None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")[: max(k, 0)]
        return [
            {"label": self.labels[i], "probability": round(float(self.probabilities[i]), 6)}
            for i in order
        ]

    def as_document(self, top_k: int) -> dict[str, Any]:
        """The answer as the command line prints it in JSON, without path or time."""
        return {
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "top_k": self.top_k(top_k),
            "latency_ms": {stage: round(ms, 3) for stage, ms in self.latency_ms.items()},
            "preparation": self.prepared.description,
        }


def views(images_u8: np.ndarray) -> list[np.ndarray]:
    """What is shown of images to a network that was trained on mirrored ones: as they are, and mirrored.

    Its mean answer is better than either: on photographs by more than a point (see the README).

    Args:
        images_u8: Shape (N, H, W).
    """
    return [images_u8, images_u8[:, :, ::-1]]


def mean_over_views(probabilities: np.ndarray) -> np.ndarray:
    """The mean answer, shape (..., C), of answers to V views, shape (V, ..., C)."""
    mean: np.ndarray = probabilities.mean(axis=0)
    return mean


def after_second_opinion(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The answer where there are two: the first one where that is sure, the mean of both elsewhere.

    Args:
        first: Probabilities, shape (..., C).
        second: Those of the same picture prepared by the second opinion.
    """
    is_sure = first.max(axis=-1, keepdims=True) >= SURE
    return np.where(is_sure, first, (first + second) / 2)


def answer_to(image_u8: np.ndarray, classifier: Classifier) -> np.ndarray:
    """The probabilities of one prepared image: float32, shape (C,).

    Args:
        image_u8: uint8, shape (H, W).
        classifier: The model. One that was not trained on mirrored images sees it as it is.
    """
    image = image_u8[np.newaxis]
    seen = np.concatenate(views(image)) if classifier.knows_mirrored else image
    return mean_over_views(classifier.probabilities(seen))


def name_of(probabilities: np.ndarray, classifier: Classifier) -> tuple[str, float]:
    """The label and its confidence, or "unknown" where the model's own threshold is not reached.

    Args:
        probabilities: float, shape (C,).
        classifier: The model they came from; its metadata holds the threshold, if one was chosen.

    Returns:
        Label, and probability of the most probable class in [0, 1].
    """
    class_id = int(probabilities.argmax())
    confidence = float(probabilities[class_id])
    threshold = classifier.metadata.unknown_threshold if classifier.metadata else None
    if threshold is not None and confidence < threshold:
        return UNKNOWN, confidence
    return classifier.labels[class_id], confidence


def recognize(picture: Picture, classifier: Classifier, segmenter: Segmenter) -> Recognition:
    """Finds the garment in a picture, brings it to the form of the training images, and names it.

    Args:
        picture: A picture of one garment, or one already in Fashion-MNIST's own form.
        classifier: The model.
        segmenter: How the garment is told from its background.

    Returns:
        The answer, with the time of every stage.
    """
    opinions = preparations(picture, segmenter)
    prepared = next(opinions)
    if prepared.image_u8 is None:
        return Recognition(
            NO_GARMENT, 0.0, None, classifier.labels, dict(prepared.latency_ms), prepared
        )
    start = time.perf_counter()
    probabilities = answer_to(prepared.image_u8, classifier)
    latency_ms = {**prepared.latency_ms, "infer": (time.perf_counter() - start) * 1000}
    if probabilities.max() < SURE and (other := next(opinions, None)) is not None:
        start = time.perf_counter()
        # One that finds no garment knows of no class: all are alike to it. Of garments that is rare.
        second = np.full_like(probabilities, 1 / len(probabilities))
        if other.image_u8 is not None:
            second = answer_to(other.image_u8, classifier)
        probabilities = after_second_opinion(probabilities, second)
        infer_ms = (time.perf_counter() - start) * 1000
        for stage, ms in (*other.latency_ms.items(), ("infer", infer_ms)):
            latency_ms[stage] += ms
    label, confidence = name_of(probabilities, classifier)
    return Recognition(
        label,
        confidence,
        probabilities,
        classifier.labels,
        latency_ms,
        prepared,
    )
