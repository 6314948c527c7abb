"""What an image classifier takes: the size of its image, and which numbers stand for the pixels.

A file of garmentlite takes pixel / 255. Other programs make files that take 0 to 255, -1 to 1 or other
ranges, and no error shows when a file gets the wrong one: its answers are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.quantization import Quantization

MAX_INPUT_SIDE = 640  # pixels; photographs are reduced to this size when they are read

# How the range is known. "contract": every file of garmentlite takes 0..1. "option": the user said so.
# "quantization": the scale and zero point of an integer file state it. "metadata": TFLite Metadata states it.
# "first layers": the constants with which the file scales its input show it. "drawn pictures": only with this
# range are the answers to drawn pictures sensible.
KnownBy = Literal[
    "contract", "option", "quantization", "metadata", "first layers", "drawn pictures"
]
_IN_WORDS: dict[KnownBy, str] = {
    "contract": "as in every file of garmentlite",
    "option": "given with --input-range",
    "quantization": "stated by the scale and zero point of its input",
    "metadata": "stated by its TFLite Metadata",
    "first layers": "shown by the constants of its first layers",
    "drawn pictures": "found out with drawn pictures: other ranges give no sensible answers",
}


@dataclass(frozen=True)
class InputRange:
    """The numbers that stand for pixels: (pixel - mean) / std for a pixel from 0 to 255.

    Attributes:
        mean: One number, or one for each channel.
        std: As many numbers, none of them 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def ends(self) -> tuple[float, float]:
        """The numbers that stand for the pixels 0 and 255, averaged over the channels."""
        mean, std = np.array(self.mean), np.array(self.std)
        return float((-mean / std).mean()), float(((255 - mean) / std).mean())

    @property
    def name(self) -> str:
        """The ends in words, such as "0..255"; rounded to two decimals."""
        return "..".join(f"{round(end, 2) + 0.0:g}" for end in self.ends)

    def table(self) -> np.ndarray:
        """Computes the number for each pixel value: float32, shape (256,), or (256, C) if channels differ."""
        pixels = np.arange(256, dtype=np.float32)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        numbers = (pixels[:, np.newaxis] - mean) / std
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers


RANGES: Mapping[str, InputRange] = {
    "0..1": InputRange((0.0,), (255.0,)),
    "0..255": InputRange((0.0,), (1.0,)),
    "-1..1": InputRange((127.5,), (127.5,)),
}
CONTRACT = RANGES["0..1"]


@dataclass(frozen=True)
class ModelInput:
    """The input of an image classifier.

    Attributes:
        image_size: (height, width) of an image in pixels.
        channels: 1 for grey, 3 for RGB.
        tensor: Type, scale and zero point.
        range: The numbers that stand for the pixels.
        known_by: How the range is known.
    """

    image_size: tuple[int, int]
    channels: int
    tensor: Quantization
    range: InputRange
    known_by: KnownBy

    def numbers(self, images_u8: np.ndarray) -> np.ndarray:
        """Computes the numbers that stand for images, float32, shape (N, H, W, channels).

        Args:
            images_u8: uint8, shape (N, H, W) or (N, H, W, 1) for grey images, or (N, H, W, channels).
        """
        images_u8 = images_u8.reshape(*images_u8.shape[:3], -1)
        images_u8 = np.broadcast_to(images_u8, (*images_u8.shape[:3], self.channels))
        table = self.range.table()
        return table[images_u8] if table.ndim == 1 else table[images_u8, np.arange(self.channels)]

    def doubt(self, file: str) -> str | None:
        """Writes a sentence about a range that the file does not state; None if it states its range.

        Args:
            file: Name of the model file.
        """
        if self.known_by != "drawn pictures":
            return None
        return (
            f"{file} takes {self.range.name} for the pixels 0..255, which was found out with drawn "
            "pictures; if this is wrong, give --input-range."
        )

    def in_words(self) -> str:
        """Describes the input on one line."""
        return (
            f"{size_in_words(self.image_size)} {'grey' if self.channels == 1 else 'RGB'}, "
            f"{self.tensor.dtype}, pixels 0..255 become {self.range.name} ({_IN_WORDS[self.known_by]})"
        )

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of it."""
        low, high = self.range.ends
        return {
            "image_size": list(self.image_size),
            "channels": self.channels,
            "dtype": str(self.tensor.dtype),
            "range": [low, high],
            "range_known_by": self.known_by,
        }


def range_of(name: str) -> InputRange:
    """Finds a range by the name that a user typed.

    Raises:
        OptionError: If no range has this name.
    """
    if name not in RANGES:
        raise OptionError(
            f"--input-range {name} is not a range; choose one of {', '.join(RANGES)}."
        )
    return RANGES[name]


def stated_range(tensor: Quantization) -> InputRange | None:
    """Finds the range that the scale and zero point of an integer input state.

    Images that were used for the quantization may not have had all values, so each end may be off by a
    quarter of the range.

    Returns:
        One of `RANGES`; None if the tensor states another range, is float, or is int16, whose range is always
        symmetric around 0.
    """
    if tensor.dtype not in (np.int8, np.uint8):
        return None
    low, high = tensor.ends
    for known in RANGES.values():
        known_low, known_high = known.ends
        tolerance = (known_high - known_low) / 4
        if abs(low - known_low) <= tolerance and abs(high - known_high) <= tolerance:
            return known
    return None


def image_shape(shape: tuple[int, ...], signature: tuple[int, ...]) -> tuple[int, int, int]:
    """Reads the height, width and channels of an image from the shape of an input.

    Args:
        shape: The sizes, with the batch.
        signature: The same with -1 where the file leaves a size open.

    Raises:
        ModelError: If it is not one image with the channels last. The message is a part of a sentence.
    """
    sizes = "x".join("?" if size < 0 else str(size) for size in signature or shape)
    if len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        raise ModelError(
            f"its input {sizes} has the channels first (NCHW), and only inputs with the channels last (NHWC) "
            "are read; convert it with the channels last"
        )
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)):
        raise ModelError(
            f"its input has shape {shape}, expected one grey or RGB image such as (1, 28, 28, 1) or "
            "(1, 224, 224, 3)"
        )
    if min(signature[1:], default=0) < 0:
        raise ModelError(
            f"its input {sizes} leaves the size of the image open; convert it with a fixed size"
        )
    if shape[0] != 1:
        raise ModelError(f"its input {sizes} takes {shape[0]} images at once, expected one")
    height, width = shape[1:3]
    if not 1 <= min(height, width) <= max(height, width) <= MAX_INPUT_SIDE:
        raise ModelError(
            f"its input {sizes} is an image of {width} x {height} pixels, expected at most "
            f"{MAX_INPUT_SIDE} x {MAX_INPUT_SIDE}"
        )
    return height, width, shape[3] if len(shape) == 4 else 1


def size_in_words(image_size: tuple[int, int]) -> str:
    """Writes (height, width) as "224x224"."""
    return f"{image_size[0]}x{image_size[1]}"
