"""Measures a converted file on images: its logits, its figures, and the temperature of its confidence."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.convert.material import Material
from garmentlite.edge import foreign_model, metrics
from garmentlite.edge.all_cores import raw_outputs
from garmentlite.edge.callbacks import OnStageProgress, ignore_stage_progress
from garmentlite.edge.classifier import Classifier
from garmentlite.train.temperature import temperature_of_least_loss


def logits_of(
    flatbuffer: bytes, images_u8: np.ndarray, on_progress: OnStageProgress = ignore_stage_progress
) -> np.ndarray:
    """Computes logits of uint8 images with the device's classifier on all cores.

    Args:
        flatbuffer: The model.
        images_u8: uint8, shape (N, H, W).
        on_progress: Called with ("Measuring", images done, images).

    Returns:
        float32, shape (N, C).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(flatbuffer)
        foreign_model.trust(flatbuffer)
        classifier = Classifier(path)
        (raw,) = raw_outputs([classifier], images_u8, partial(on_progress, "Measuring"))
    return classifier.logits_from_raw(raw)


def fit_temperature(y_true: np.ndarray, logits: np.ndarray) -> float:
    """Fits the temperature with which confidence means probability.

    Args:
        y_true: Class numbers, shape (N,).
        logits: Shape (N, C).

    Returns:
        The temperature with the lowest log loss, see `temperature_of_least_loss`.
    """
    exact = logits.astype(np.float64)
    return temperature_of_least_loss(
        lambda temperature: metrics.log_loss(y_true, exact / temperature)
    )


def figures(material: Material, logits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Computes all figures of a file, by part of the images.

    Args:
        material: The images.
        logits: The file's logits for "validation" or "test" images, or both, each of shape (N, C).

    Returns:
        A document of `metrics.summary` for each part; empty if the true classes are not known.
    """
    if not material.is_labelled:
        return {}
    y_true = {"validation": material.validation.y, "test": material.test.y}
    return {
        part: metrics.summary(y, logits[part], material.labels)
        for part, y in y_true.items()
        if part in logits
    }


def short_figures(measured: dict[str, Any]) -> dict[str, Any]:
    """Picks the figures that a model file carries: accuracy, recall and precision; the card has all."""
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
