"""Draws an answer on a frame: the outline, the label, the 28x28 image of the network, and the times.

The module draws with Pillow, which is always installed, so it works without OpenCV.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge.errors import PictureError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.recognition import Recognition, Score

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

# Colours in RGB and opacity, all in [0, 255].
PANEL = (12, 14, 18, 200)  # dark enough to read grey letters on a white frame
TEXT = (255, 255, 255, 255)
FAINT_TEXT = (196, 202, 212, 255)
TRACK = (255, 255, 255, 44)
OTHER_BAR = (150, 160, 176, 255)
NAMED = (64, 214, 150)  # RGB, for one of the model's labels
UNSURE = (255, 190, 70)  # RGB, for "unknown"
NOTHING = (150, 160, 176)  # RGB, for "no garment"
# BGR; a dark line on both sides of the outline makes it visible on a light frame.
OUTLINE_EDGE = (18, 14, 12)

REFERENCE_WH = (640, 480)  # pixels; the sizes below are for a frame of this size
# Pixels; a narrower frame is enlarged to about the reference, so that text is readable.
SMALLEST_WIDTH = 320
TEXT_SIZE, SMALLEST_TEXT = 15, 11  # pixels
TITLE_SIZE, SMALLEST_TITLE = 28, 18  # pixels
TILE_SIDE, SMALLEST_TILE = 112, 84  # pixels; side of the enlarged 28x28 image
PANEL_WIDTH, SMALLEST_PANEL = 236, 148  # pixels
LISTED = 3  # number of classes that are listed
# Length of the lines at the corners, as a share of the guide box's shorter side.
CORNER_SHARE = 0.12
INVITATION = "hold it here"


def annotate(
    frame_bgr: np.ndarray,
    recognition: Recognition,
    *,
    frames_per_second: float = 0.0,
    guide_box: GuideBox | None = None,
) -> np.ndarray:
    """Draws an answer on a copy of the frame that it was given for.

    Args:
        frame_bgr: uint8, shape (H, W, 3), in OpenCV's order of channels. It is not changed.
        recognition: The answer to this frame.
        frames_per_second: Rate of the stream to show beside the times; 0 shows none.
        guide_box: Where a garment should be held. Its corners are drawn, and `INVITATION` while no garment
            is seen. None draws neither.

    Returns:
        A new frame, uint8, shape (H, W, 3), BGR. A frame narrower than 320 pixels is enlarged by a whole
        factor.

    Raises:
        PictureError: If the frame is not such an array, or has another size than the picture of the answer.
    """
    from PIL import Image, ImageDraw

    _require_fitting(frame_bgr, recognition)

    width = frame_bgr.shape[1]
    factor = 1 if width >= SMALLEST_WIDTH else round(REFERENCE_WH[0] / width)
    bgr = _enlarged(frame_bgr, factor)
    height, width = bgr.shape[:2]
    layout = _Layout(width, height)
    if recognition.mask is not None and recognition.image_u8 is not None:
        colour_bgr = _colour_of(recognition.label)[::-1]
        _outline(bgr, _enlarged(recognition.mask, factor), layout.line, colour_bgr)
    image = Image.frombytes("RGB", (width, height), bgr.tobytes(), "raw", "BGR")
    draw = ImageDraw.Draw(image, "RGBA")
    if guide_box is not None:
        _draw_guide(draw, layout, guide_box, invites=recognition.label == NO_GARMENT)
    _draw_answer(draw, layout, recognition)
    _draw_tile(image, draw, layout, recognition.image_u8)
    _draw_timing(draw, layout, timing_texts(recognition.latency_ms, frames_per_second))
    return np.frombuffer(bytearray(image.tobytes("raw", "BGR")), np.uint8).reshape(bgr.shape)


def outlined(frame_bgr: np.ndarray, recognition: Recognition) -> np.ndarray:
    """Draws the outline of the garment alone; returns a new frame of the same size.

    Args:
        frame_bgr: uint8, shape (H, W, 3), BGR. It is not changed.
        recognition: The answer to this frame.
    """
    drawn = frame_bgr.copy()
    if recognition.mask is not None and recognition.image_u8 is not None:
        line = _Layout(frame_bgr.shape[1], frame_bgr.shape[0]).line
        _outline(drawn, recognition.mask, line, _colour_of(recognition.label)[::-1])
    return drawn


def timing_texts(latency_ms: Mapping[str, float], frames_per_second: float) -> list[str]:
    """Makes the texts of the lowest line: the milliseconds of each stage, and the rate unless it is 0."""
    texts = [f"{stage} {ms:.1f}" for stage, ms in latency_ms.items()]
    texts[-1:] = [f"{text} ms" for text in texts[-1:]]
    if frames_per_second > 0:
        texts.append(f"{frames_per_second:.1f} fps")
    return texts


def _require_fitting(frame_bgr: np.ndarray, recognition: Recognition) -> None:
    if not isinstance(frame_bgr, np.ndarray):
        raise TypeError(f"frame_bgr must be a NumPy array, got {type(frame_bgr).__name__}")
    if frame_bgr.dtype != np.uint8 or frame_bgr.ndim != 3 or frame_bgr.shape[2] != 3:
        raise PictureError(
            f"A frame must be uint8 of shape (height, width, 3) in BGR, got {frame_bgr.dtype} of shape "
            f"{frame_bgr.shape}; convert it first."
        )
    if recognition.mask is not None and recognition.mask.shape != frame_bgr.shape[:2]:
        raise PictureError(
            f"The answer is for a picture of shape {recognition.mask.shape}, but the frame has shape "
            f"{frame_bgr.shape[:2]}; recognize this frame itself, since pictures from files are reduced."
        )


class _Layout:
    """Sizes for one size of frame, all in pixels."""

    def __init__(self, width: int, height: int) -> None:
        scale = min(width / REFERENCE_WH[0], height / REFERENCE_WH[1])
        self.width, self.height = width, height
        self.margin = max(4, round(10 * scale))
        self.line = max(1, round(2 * scale))
        self.bar = max(4, round(6 * scale))
        self.panel = max(SMALLEST_PANEL, round(PANEL_WIDTH * scale))
        self.tile = max(SMALLEST_TILE, round(TILE_SIDE * scale)) // 28 * 28  # whole pixels each
        self.text_size = max(SMALLEST_TEXT, round(TEXT_SIZE * scale))
        self.title_size = max(SMALLEST_TITLE, round(TITLE_SIZE * scale))
        self.row = round(self.text_size * 1.55)


@lru_cache
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _fitted(text: str, size: int, width: float) -> tuple[str, Any]:
    """Fits a text into a width by a font of at most `size`, and cuts the text if it is still too wide."""
    size = max(SMALLEST_TEXT, min(size, int(size * width / max(_font(size).getlength(text), 1))))
    font = _font(size)
    whole = text
    while whole and font.getlength(text) > width:
        whole = whole[:-1]
        text = whole.rstrip() + "\u2026"
    return text, font


def _colour_of(label: str) -> tuple[int, int, int]:
    return {UNKNOWN: UNSURE, NO_GARMENT: NOTHING}.get(label, NAMED)


def _share_of_label(recognition: Recognition) -> float:
    """Finds the probability of the label; smoothing may keep a label that is not the most probable one."""
    shares = {score.label: score.probability for score in recognition.scores}
    return shares.get(recognition.label, recognition.confidence)


def _draw_answer(draw: ImageDraw, layout: _Layout, recognition: Recognition) -> None:
    """Draws the label with its bar and the most probable classes, or the reason, in the upper left corner."""
    listed = recognition.scores[:LISTED]
    left, right = 2 * layout.margin, layout.panel
    font = _font(layout.text_size)
    reason = "" if listed else recognition.reason or ""
    reason_lines = _wrapped(reason.split(), " ", font, right - left)
    title_height = round(layout.title_size * 1.25)
    height = title_height + layout.row * (len(listed) or len(reason_lines))
    height += layout.bar + layout.margin // 2 if listed else 0
    y = 2 * layout.margin
    box = (layout.margin, layout.margin, layout.margin + layout.panel, y + height + layout.margin)
    draw.rounded_rectangle(box, layout.margin, PANEL)

    colour = (*_colour_of(recognition.label), 255)
    middle = y + title_height // 2 - layout.line
    share = _share_of_label(recognition)
    # A percentage beside "unknown" would be that of a class.
    percent = f"{share:.0%}" if listed and recognition.label != UNKNOWN else ""
    percent_font = _font((layout.text_size + layout.title_size) // 2)
    room = right - left - percent_font.getlength(percent) - layout.margin
    title, title_font = _fitted(recognition.label, layout.title_size, room)
    draw.text((left, middle), title, colour, title_font, anchor="lm")
    draw.text((right, middle), percent, TEXT, percent_font, anchor="rm")
    y += title_height
    for number, line in enumerate(reason_lines):
        draw.text((left, y + number * layout.row), line, FAINT_TEXT, font, anchor="la")
    if listed:
        _draw_bar(draw, (left, y, right, y + layout.bar), share, colour)
        y += layout.bar + layout.margin // 2
    for number, score in enumerate(listed):
        bar_colour = colour if score.label == recognition.label else OTHER_BAR
        _draw_row(draw, layout, y + number * layout.row, score, bar_colour)


def _draw_guide(draw: ImageDraw, layout: _Layout, box: GuideBox, *, invites: bool) -> None:
    """Draws the corners of the guide box and, if `invites`, `INVITATION` at its lower edge."""
    rows, columns = box.pixels((layout.height, layout.width))
    left, right = columns.start, columns.stop - 1
    top, bottom = rows.start, rows.stop - 1
    arm = max(4, round(CORNER_SHARE * min(right - left, bottom - top)))
    colour = TEXT if invites else OTHER_BAR
    for x, across in ((left, arm), (right, -arm)):
        for y, down in ((top, arm), (bottom, -arm)):
            corner = [(x + across, y), (x, y), (x, y + down)]
            draw.line(corner, PANEL, layout.line + 2)
            draw.line(corner, colour, layout.line)
    if invites:
        text, font = _fitted(INVITATION, layout.text_size, max(1, right - left))
        middle = ((left + right) // 2, bottom - layout.row)
        around = draw.textbbox(middle, text, font, anchor="mm")
        pad = layout.margin // 2
        around = (around[0] - pad, around[1] - pad, around[2] + pad, around[3] + pad)
        draw.rounded_rectangle(around, pad, PANEL)
        draw.text(middle, text, TEXT, font, anchor="mm")


def _draw_row(
    draw: ImageDraw,
    layout: _Layout,
    y: int,
    score: Score,
    colour: tuple[int, int, int, int],
) -> None:
    """Draws one class with its probability, and a thin bar below."""
    left, right = 2 * layout.margin, layout.panel
    bar_top = y + layout.row - layout.line
    baseline = bar_top - round(0.3 * layout.text_size)
    font = _font(layout.text_size)
    percent = f"{score.probability:.0%}"
    room = right - left - font.getlength(percent) - layout.margin
    name, name_font = _fitted(score.label, layout.text_size, room)
    draw.text((left, baseline), name, FAINT_TEXT, name_font, anchor="ls")
    draw.text((right, baseline), percent, FAINT_TEXT, font, anchor="rs")
    _draw_bar(draw, (left, bar_top, right, bar_top + layout.line), score.probability, colour)


def _draw_tile(image: Any, draw: ImageDraw, layout: _Layout, image_u8: np.ndarray | None) -> None:
    """Draws the 28x28 image of the network in the upper right corner, each pixel as a square."""
    from PIL import Image

    margin, side = layout.margin, layout.tile
    inset = margin // 2
    right, top = layout.width - margin, margin
    left = right - side - 2 * inset
    draw.rounded_rectangle((left, top, right, top + side + 2 * inset + layout.row), inset, PANEL)
    caption = "network sees" if image_u8 is not None else "nothing to see"
    caption, font = _fitted(caption, layout.text_size, side)
    centre = (left + right) // 2
    draw.text(
        (centre, top + side + inset + layout.row // 2 + 1), caption, FAINT_TEXT, font, anchor="mm"
    )
    if image_u8 is None:
        draw.rectangle(
            (left + inset, top + inset, right - inset - 1, top + inset + side - 1), TRACK
        )
        return
    tile = Image.fromarray(image_u8).resize((side, side), Image.Resampling.NEAREST)
    image.paste(tile.convert("RGB"), (left + inset, top + inset))


def _draw_timing(draw: ImageDraw, layout: _Layout, texts: list[str]) -> None:
    """Writes the texts along the lower edge, in as many lines as they need."""
    font = _font(layout.text_size)
    lines = _wrapped(texts, "  \u00b7  ", font, layout.width - 2 * layout.margin)
    height = len(lines) * layout.row + layout.margin // 2
    top = layout.height - height
    draw.rectangle((0, top, layout.width, layout.height), PANEL)
    for number, line in enumerate(lines):
        middle = top + layout.margin // 4 + round((number + 0.5) * layout.row)
        draw.text((layout.margin, middle), line, TEXT, font, anchor="lm")


def _wrapped(texts: list[str], joint: str, font: Any, width: float) -> list[str]:
    """Joins texts into lines of at most `width` pixels; a wider text gets a line of its own."""
    lines: list[str] = []
    for text in texts:
        longer = f"{lines[-1]}{joint}{text}" if lines else text
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(text)
    return lines


def _draw_bar(
    draw: ImageDraw,
    box: tuple[int, int, int, int],
    share: float,
    colour: tuple[int, int, int, int],
) -> None:
    """Draws a bar that is filled from the left by a share in [0, 1]."""
    left, top, right, bottom = box
    draw.rectangle((left, top, right, bottom - 1), TRACK)
    filled = round((right - left) * share)
    if filled:
        draw.rectangle((left, top, left + filled, bottom - 1), colour)


def _outline(
    bgr: np.ndarray, mask: np.ndarray, thickness: int, colour_bgr: tuple[int, ...]
) -> None:
    """Draws the outline of a mask into `bgr`, which is changed: a bright line on a wider dark one."""
    bgr[_border(mask, thickness + 2)] = OUTLINE_EDGE
    bgr[_border(mask, thickness)] = colour_bgr


def _border(mask: np.ndarray, thickness: int) -> tuple[np.ndarray, ...]:
    """Finds rows and columns of a line, `thickness` pixels wide, along the edge of a mask, bool (H, W)."""
    border = np.zeros_like(mask)
    height, width = mask.shape
    before = thickness // 2
    rows = slice(before, height - (thickness - before))
    columns = slice(before, width - (thickness - before))
    # A pixel is near the edge if the mask differs from itself moved by the thickness.
    border[rows] |= mask[thickness:] != mask[:-thickness]
    border[:, columns] |= mask[:, thickness:] != mask[:, :-thickness]
    return np.nonzero(border)


def _enlarged(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Copies an image of shape (H, W) or (H, W, 3), with each pixel as a square of `factor` pixels."""
    if factor == 1:  # the usual case, in which np.repeat takes ten times as long
        return pixels.copy()
    return np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)
