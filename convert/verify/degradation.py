"""Corrupts images in steps of known size, as a camera, bad light or lossy compression does.

The kinds follow ImageNet-C (Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to
common corruptions"); the amounts suit small grey images on a background of 0. They serve to measure
robustness, never to train.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.errors import OptionError

SIDE = 28  # pixels; the lengths below hold for images of this height and scale with the height


@dataclass(frozen=True)
class Kind:
    """One kind of corruption.

    Attributes:
        apply: Corrupts images, uint8, shape (N, H, W), by an amount with a generator of random numbers.
        amounts: The amounts from weak to strong; strength 1 is the first.
        unit: Text with a placeholder for the amount, which states its unit.
    """

    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    amounts: tuple[float, ...]
    unit: str

    def describe(self, strength: int) -> str:
        """Describes the amount that belongs to a strength."""
        return self.unit.format(f"{self.amounts[strength - 1]:g}")


def degrade(images_u8: np.ndarray, kind: str, strength: int, *, seed: int = 0) -> np.ndarray:
    """Corrupts images; the same arguments give the same images.

    Args:
        images_u8: uint8, shape (N, H, W) or (N, H, W, 1). Not changed.
        kind: A name in `KINDS`.
        strength: Strength from 1, the weakest.
        seed: Seed of what is random.

    Returns:
        uint8, of the same shape.

    Raises:
        OptionError: If there is no corruption of this kind and strength.
    """
    if kind not in KINDS or not 1 <= strength <= len(KINDS[kind].amounts):
        raise OptionError(
            f"There is no corruption '{kind}' of strength {strength}; there are "
            f"{', '.join(f'{name} 1 to {len(one.amounts)}' for name, one in KINDS.items())}."
        )
    rng = np.random.default_rng([seed, list(KINDS).index(kind), strength])
    flat = images_u8.reshape(images_u8.shape[:3])
    degraded = KINDS[kind].apply(flat, KINDS[kind].amounts[strength - 1], rng)
    return degraded.reshape(images_u8.shape)


def _noise(images_u8: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    return _as_u8(images_u8 + amount * rng.standard_normal(images_u8.shape, np.float32))


def _blur(images_u8: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Blurs with a Gaussian; there is background outside of the image."""
    sigma = amount * images_u8.shape[1] / SIDE
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    blurred = images_u8.astype(np.float32)
    for axis in (1, 2):
        around = [(0, 0)] * 3
        around[axis] = (reach, reach)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(blurred, around), len(weights), axis=axis
        )
        blurred = windows @ weights
    return _as_u8(blurred)


def _brightness(images_u8: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    return _as_u8(images_u8.astype(np.float32) + amount)


def _contrast(images_u8: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Reduces contrast around the mean of each image: the background lightens as the garment pales."""
    mean = images_u8.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return _as_u8(mean + amount * (images_u8 - mean))


def _shift(images_u8: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Shifts each image in a random one of eight directions; the new pixels are background."""
    count, height, width = images_u8.shape
    distance = max(1, round(amount * height / SIDE))
    ways = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)])
    down, right = (distance * ways[rng.integers(len(ways), size=count)]).T
    padded = np.pad(images_u8, [(0, 0), (distance, distance), (distance, distance)])
    rows = distance - down[:, np.newaxis] + np.arange(height)
    columns = distance - right[:, np.newaxis] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _jpeg(images_u8: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    from PIL import Image

    def compressed(image: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=int(amount))
        return np.asarray(Image.open(buffer))

    return np.stack([compressed(image) for image in images_u8])


def _as_u8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


KINDS: Mapping[str, Kind] = {
    "noise": Kind(_noise, (10, 20, 40), "standard deviation {} of 255"),
    "blur": Kind(_blur, (0.5, 1, 1.5), "standard deviation {} of 28 pixels"),
    "brightness": Kind(_brightness, (15, 30, 60), "{} of 255 added everywhere"),
    "contrast": Kind(_contrast, (0.75, 0.5, 0.25), "times {}"),
    "shift": Kind(_shift, (1, 2, 4), "{} of 28 pixels"),
    "jpeg": Kind(_jpeg, (60, 30, 10), "quality {}"),
}
