"""Finds out which numbers a float model takes for pixels, by its answers to drawn pictures of garments.

A float file does not state its input range. With the right one, a network gives confident answers that differ
from class to class and agree within a class. The measure is the information, in nats, that the answer carries
about the class of the picture. It needs neither the names nor the order of the model's classes.

With numbers that are much too small, a network gives one answer to everything. With numbers that are much too
large it is sure of whatever it answers, so that a good score alone proves nothing. So 0..255 is chosen only
if the answers with the other ranges carry next to no information.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from garmentlite.edge.drawing import draw_garment, draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.model_input import RANGES, InputRange

PICTURES_PER_CLASS = 3
# The least information, in nats, that the answers with the right range carry. Ten classes have 2.3.
LEAST = 0.5
# The answers with the right range carry at least this many times the information of those with the others.
LEAST_RATIO = 1.5
# If the numbers are 255 times too small, the answers carry at most this share of the right ones' information.
NEXT_TO_NONE = 0.25
_SIDE = 96  # pixels of a drawn picture before it is brought to the size of the input

# Computes probabilities, (N, C), for uint8 images, (N, H, W, channels), in a range.
Answer = Callable[[InputRange, np.ndarray], np.ndarray]


def probe_range(answer: Answer, shape: tuple[int, int, int]) -> InputRange | None:
    """Finds the only range with which a model gives sensible answers.

    Args:
        answer: Runs the model.
        shape: Height, width and channels of its image.

    Returns:
        One of `RANGES`; None if the answers do not decide.
    """
    images_u8, y_true = drawn_images(shape)
    found = decide(
        {name: information(answer(one, images_u8), y_true) for name, one in RANGES.items()}
    )
    return None if found is None else RANGES[found]


def information(probabilities: np.ndarray, y_true: np.ndarray) -> float:
    """Computes the information in nats that an answer carries about the class of a picture.

    Args:
        probabilities: Float, shape (N, C).
        y_true: Numbers of the classes of the pictures, shape (N,); each class has as many pictures.

    Returns:
        At least 0; 0 also if an answer is not finite.
    """
    if not np.isfinite(probabilities).all():
        return 0.0
    by_class = np.stack(
        [probabilities[y_true == number].mean(axis=0) for number in np.unique(y_true)]
    )
    mean = by_class.mean(axis=0)
    return max(0.0, float(_entropy(mean) - _entropy(by_class).mean()))


def decide(scores: Mapping[str, float]) -> str | None:
    """Chooses a range by the information of the answers with each; None if they do not decide.

    Args:
        scores: The information in nats, by the name of the range.
    """
    large, *small = scores["0..255"], scores["0..1"], scores["-1..1"]
    if large >= LEAST and max(small) <= NEXT_TO_NONE * large:
        return "0..255"
    second, first = sorted(small)
    if first < LEAST or first < LEAST_RATIO * second:
        return None
    return "0..1" if scores["0..1"] == first else "-1..1"


def drawn_images(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draws the pictures of the probe: light garments on black for grey models, scenes in colour for others.

    Args:
        shape: Height, width and channels.

    Returns:
        uint8, shape (N, H, W, channels), and the number of the class of each, shape (N,).
    """
    from PIL import Image

    height, width, channels = shape
    rng = np.random.default_rng(0)
    y_true = np.tile(np.arange(len(FASHION_MNIST_LABELS)), PICTURES_PER_CLASS)
    draw = _grey_garment if channels == 1 else _scene
    images = [
        np.array(
            Image.fromarray(draw(FASHION_MNIST_LABELS[class_id], rng)).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for class_id in y_true
    ]
    return np.stack(images).reshape(len(images), height, width, channels), y_true


def _grey_garment(label: str, rng: np.random.Generator) -> np.ndarray:
    rgb, alpha = draw_garment(label, rng, _SIDE)
    return ((255 - rgb.mean(axis=2)) * (alpha / 255)).astype(np.uint8)


def _scene(label: str, rng: np.random.Generator) -> np.ndarray:
    return draw_scene(label, rng, (_SIDE, _SIDE)).rgb


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """Computes the entropy in nats over the last axis."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=-1)
