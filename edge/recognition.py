"""Recognizes the garment in a picture: segments it, prepares it, and asks the network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.metadata import MIRRORED
from garmentlite.edge.preparation import Prepared, preparations
from garmentlite.edge.whole_picture import WholeWay, prepare_whole

if TYPE_CHECKING:
    from garmentlite.edge.pictures import Picture
    from garmentlite.edge.segmenters.interface import Segmenter

# An answer of this confidence or more is final. For a less confident one the picture is segmented in a
# second way, which takes time. Confident answers are right as often without it
# (`benchmarks/real_garments.py`).
SURE = 0.9


@dataclass(frozen=True)
class Score:
    """One class and how probable it is.

    Attributes:
        label: One of the model's labels.
        probability: In [0, 1].
    """

    label: str
    probability: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Recognition(Prepared):
    """The answer to one picture, together with the prepared picture that it was given for.

    Attributes:
        label: One of the model's labels, "unknown" (the network is not confident enough) or "no garment".
        confidence: Probability of the most probable class, in [0, 1]; 0 for "no garment".
        scores: All classes, the most probable first; empty for "no garment".
        probabilities: Float, shape (C,), in the order of the model's labels; None for "no garment".
        box: The smallest box around the garment in pixels of the picture; None if no garment was found.
        mask: bool, shape (H, W) of the picture, True on the garment; None if the picture was a 28x28
            image in the form of Fashion-MNIST.
        image_u8: uint8, shape (28, 28), the image that the network saw; None if no garment was found.
        reason: Why no garment was found; None if one was found.
        latency_ms: Milliseconds of each stage, such as "segment", "prepare" and "infer".
        form: See `Prepared`.
        segmenter: See `Prepared`.
    """

    label: str
    confidence: float
    scores: list[Score]
    probabilities: np.ndarray | None

    @property
    def share_of_label(self) -> float | None:
        """Probability of the label, which a viewer may show beside it; None for "unknown" and "no garment".

        It is less than `confidence` if smoothing over time keeps a label that is not the most probable one.
        """
        shares = {score.label: score.probability for score in self.scores}
        return shares.get(self.label)

    def as_document(self, top_k: int = 3) -> dict[str, Any]:
        """Makes the JSON object that the command line prints, without path or time.

        Args:
            top_k: Number of classes to list.
        """
        return {
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "top_k": [
                {"label": score.label, "probability": round(score.probability, 6)}
                for score in self.scores[: max(top_k, 0)]
            ],
            "latency_ms": {stage: round(ms, 3) for stage, ms in self.latency_ms.items()},
            "preparation": self.preparation_document(),
        }

    def in_words(self, top_k: int = 3) -> str:
        """Describes the answer on one line.

        Args:
            top_k: Number of classes to list after a label. After "unknown" there are always two.
        """
        total_ms = f"{sum(self.latency_ms.values()):.0f} ms"
        if not self.scores:
            return f"{self.label} ({self.reason}), {total_ms}"
        if self.share_of_label is None:
            return f"{self.label} (perhaps {' or '.join(_in_words(self.scores[:2]))}), {total_ms}"
        classes = ", ".join(_in_words(self.scores[: max(top_k, 0)]))
        return f"{self.label} {self.share_of_label:.0%} ({classes}), {total_ms}"


def _in_words(scores: Sequence[Score]) -> list[str]:
    return [f"{score.label} {score.probability:.0%}" for score in scores]


def scores_of(probabilities: np.ndarray, labels: Sequence[str]) -> list[Score]:
    """Sorts classes by their probability, the most probable first; ties keep the order of the labels.

    Args:
        probabilities: Float, shape (C,).
        labels: C names.
    """
    order = np.argsort(-probabilities, kind="stable")
    return [Score(labels[i], float(probabilities[i])) for i in order]


def views(images_u8: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
    """Makes the versions of images that a network is asked about.

    The mean answer to an image and its mirror image is better than either (docs/photographs.md has the
    figures).

    Args:
        images_u8: Shape (N, H, W).
        names: "plain" for the image itself or "mirrored" for left and right swapped, see `Classifier.views`.

    Returns:
        An array of shape (N, H, W) for each name.
    """
    return [images_u8[:, :, ::-1] if name == MIRRORED else images_u8 for name in names]


def mean_over_views(probabilities: np.ndarray) -> np.ndarray:
    """Averages the answers to V views, shape (V, ..., C), to shape (..., C)."""
    mean: np.ndarray = probabilities.mean(axis=0)
    return mean


def averaged_if_unsure(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the first answer where it is confident, and the mean of both answers elsewhere.

    Args:
        first: Probabilities, shape (..., C).
        second: Probabilities for the same picture with its second mask, same shape.
    """
    is_sure = first.max(axis=-1, keepdims=True) >= SURE
    return np.where(is_sure, first, (first + second) / 2)


def answer_to(image_u8: np.ndarray, classifier: Classifier) -> np.ndarray:
    """Computes the probabilities of one prepared image, averaged over the model's views.

    Args:
        image_u8: uint8, shape (H, W).
        classifier: The model.

    Returns:
        float32, shape (C,).
    """
    seen = np.concatenate(views(image_u8[np.newaxis], classifier.views))
    return mean_over_views(classifier.probabilities(seen))


def name_of(probabilities: np.ndarray, classifier: Classifier) -> tuple[str, float]:
    """Chooses the label: the most probable class, or "unknown" below the model's own threshold.

    Args:
        probabilities: Float, shape (C,).
        classifier: The model that computed them.

    Returns:
        The label, and the probability of the most probable class in [0, 1].
    """
    class_id = int(probabilities.argmax())
    confidence = float(probabilities[class_id])
    threshold = classifier.unknown_threshold
    if threshold is not None and confidence < threshold:
        return UNKNOWN, confidence
    return classifier.labels[class_id], confidence


def recognize(picture: Picture, classifier: Classifier, segmenter: Segmenter) -> Recognition:
    """Finds the garment in a picture, brings it to the form of the training images, and names it.

    Args:
        picture: A picture of one garment, or an image in the form of Fashion-MNIST.
        classifier: The model.
        segmenter: Separates the garment from the background.

    Returns:
        The answer, with the time of each stage.

    Raises:
        ModelError: If the network computes outputs that are not finite.
        MissingPartError: If OpenCV is needed and not installed.
    """
    ways = preparations(picture, segmenter)
    prepared = next(ways)
    if prepared.image_u8 is None:
        return _recognition(prepared, NO_GARMENT, 0.0, None, classifier, dict(prepared.latency_ms))
    start = time.perf_counter()
    probabilities = answer_to(prepared.image_u8, classifier)
    latency_ms = {**prepared.latency_ms, "infer": (time.perf_counter() - start) * 1000}
    if probabilities.max() < SURE and (other := next(ways, None)) is not None:
        start = time.perf_counter()
        # If the second way finds no garment, every class is equally probable. On garments that is rare.
        second = np.full_like(probabilities, 1 / len(probabilities))
        if other.image_u8 is not None:
            second = answer_to(other.image_u8, classifier)
        probabilities = averaged_if_unsure(probabilities, second)
        infer_ms = (time.perf_counter() - start) * 1000
        for stage, ms in (*other.latency_ms.items(), ("infer", infer_ms)):
            latency_ms[stage] += ms
    label, confidence = name_of(probabilities, classifier)
    return _recognition(prepared, label, confidence, probabilities, classifier, latency_ms)


def recognize_whole(picture: Picture, classifier: Classifier, way: WholeWay) -> Recognition:
    """Names what a whole picture shows, without looking for a garment.

    Args:
        picture: A picture.
        classifier: The model, of any image classifier.
        way: Which part of the picture the model sees.

    Returns:
        The answer, with the time of each stage.

    Raises:
        ModelError: If the network computes outputs that are not finite.
    """
    prepared = prepare_whole(picture, way, classifier.model_input)
    assert prepared.image_u8 is not None
    start = time.perf_counter()
    probabilities = answer_to(prepared.image_u8, classifier)
    infer_ms = (time.perf_counter() - start) * 1000
    label, confidence = name_of(probabilities, classifier)
    return _recognition(
        prepared, label, confidence, probabilities, classifier,
        {**prepared.latency_ms, "infer": infer_ms},
    )  # fmt: skip


def _recognition(
    prepared: Prepared,
    label: str,
    confidence: float,
    probabilities: np.ndarray | None,
    classifier: Classifier,
    latency_ms: dict[str, float],
) -> Recognition:
    return Recognition(
        label=label,
        confidence=confidence,
        scores=[] if probabilities is None else scores_of(probabilities, classifier.labels),
        probabilities=probabilities,
        image_u8=prepared.image_u8,
        mask=prepared.mask,
        box=prepared.box,
        reason=prepared.reason,
        form=prepared.form,
        segmenter=prepared.segmenter,
        latency_ms=latency_ms,
    )
