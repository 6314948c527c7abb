"""Writes texts into pictures. Each text is drawn once with Pillow and then copied, which is fast."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.edge.opencv import load_opencv

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

Colour = tuple[int, int, int]  # blue, green, red in [0, 255]

SMALLEST_TEXT = 11  # pixels; smaller letters cannot be read
LINE_HEIGHT = 1.35  # distance of two lines, in sizes of the text
ELLIPSIS = "\u2026"
_KEPT_TEXTS = 1024  # number of drawn texts that are kept; a text of the panel takes about 10 kB


def fill(area_bgr: np.ndarray, colour: Colour) -> None:
    """Paints all of an area, uint8, shape (h, w, 3); with NumPy this takes ten times as long."""
    height, width = area_bgr.shape[:2]
    if height and width:
        load_opencv().rectangle(area_bgr, (0, 0), (width, height), colour, -1)


def text_width(text: str, size: int) -> int:
    """Measures a text in pixels."""
    return _width(text, size)


def line_height(size: int) -> int:
    """Returns the distance of two lines in pixels."""
    return round(LINE_HEIGHT * size)


def write(
    picture_bgr: np.ndarray,
    text: str,
    xy: tuple[int, int],
    size: int,
    colour: Colour,
    background: Colour,
    *,
    is_right_aligned: bool = False,
) -> None:
    """Writes one line on a plain background; what does not fit into the picture is cut off.

    Args:
        picture_bgr: uint8, shape (H, W, 3). It is changed.
        text: The line.
        xy: Left end of the line (the right end if `is_right_aligned`) and its top, in pixels.
        size: Height of the letters in pixels.
        colour: Colour of the letters.
        background: Colour behind them.
        is_right_aligned: Whether `xy` is the right end.
    """
    patch = _patch(text, size, colour, background)
    x, y = xy
    if is_right_aligned:
        x -= patch.shape[1]
    rows = slice(max(y, 0), min(y + patch.shape[0], picture_bgr.shape[0]))
    columns = slice(max(x, 0), min(x + patch.shape[1], picture_bgr.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        picture_bgr[rows, columns] = patch[
            rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
        ]


def write_box(
    picture_bgr: np.ndarray,
    lines: Iterable[str],
    middle_xy: tuple[int, int],
    size: int,
    colour: Colour,
    background: Colour,
) -> None:
    """Writes lines into a plain box around a point; a long line is broken at its spaces.

    Args:
        picture_bgr: uint8, shape (H, W, 3). It is changed.
        lines: The lines.
        middle_xy: The middle of the box in pixels. The box is moved into the picture if it can be.
        size: Height of the letters in pixels.
        colour: Colour of the letters.
        background: Colour of the box.
    """
    height, width = picture_bgr.shape[:2]
    room = max(width - 3 * size, size)
    broken = [part for line in lines for part in wrapped(line.split(" "), " ", size, room)]
    row = line_height(size)
    box_width = min(max(text_width(line, size) for line in broken) + 2 * size, width)
    box_height = min(len(broken) * row + size, height)
    left = min(max(middle_xy[0] - box_width // 2, 0), width - box_width)
    top = min(max(middle_xy[1] - box_height // 2, 0), height - box_height)
    box = picture_bgr[top : top + box_height, left : left + box_width]
    fill(box, background)
    for number, line in enumerate(broken):
        write(box, line, (size, size // 2 + number * row), size, colour, background)


def fitted(text: str, size: int, room: int) -> tuple[str, int]:
    """Fits a text into a width in pixels: by smaller letters first, then by cutting its end off.

    Returns:
        The text, which may end with an ellipsis, and the size of its letters, at most `size`.
    """
    size = min(size, max(SMALLEST_TEXT, int(size * room / max(text_width(text, size), 1))))
    whole = text
    while whole and text_width(text, size) > room:
        whole = whole[:-1]
        text = whole.rstrip() + ELLIPSIS
    return text, size


def wrapped(texts: Iterable[str], joint: str, size: int, room: int) -> list[str]:
    """Joins texts into lines of at most `room` pixels; a wider text gets a line of its own."""
    lines: list[str] = []
    for text in texts:
        longer = f"{lines[-1]}{joint}{text}" if lines else text
        if lines and text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(text)
    return lines


@lru_cache
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


@lru_cache(_KEPT_TEXTS)
def _width(text: str, size: int) -> int:
    return round(_font(size).getlength(text))


@lru_cache(_KEPT_TEXTS)
def _patch(text: str, size: int, colour: Colour, background: Colour) -> np.ndarray:
    """Draws a line, uint8, shape (h, w, 3)."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (max(_width(text, size), 1), line_height(size)), background)
    ImageDraw.Draw(image).text(
        (0, image.height // 2), text, fill=colour, font=_font(size), anchor="lm"
    )
    return np.asarray(image)
