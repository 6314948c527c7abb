"""The panel beside the picture: the answer, the 28x28 image of the network, and the times of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.lettering import Colour, fill, fitted, line_height, text_width, wrapped, write
from garmentlite.edge.recognition import Recognition, Score

# Blue, green, red.
PAPER: Colour = (18, 14, 12)
TEXT: Colour = (255, 255, 255)
FAINT_TEXT: Colour = (212, 202, 196)
TRACK: Colour = (60, 56, 54)
OTHER_BAR: Colour = (176, 160, 150)
NAMED: Colour = (150, 214, 64)  # for one of the model's labels
UNSURE: Colour = (70, 190, 255)  # for "unknown"
NOTHING: Colour = (176, 160, 150)  # for "no garment"

LISTED = 3  # number of classes that are listed
# Pixels at scale 1, which is meant for a picture of 640x480.
WIDTH = 200
TEXT_SIZE, TITLE_SIZE, TILE_SIDE, MARGIN = 14, 26, 112, 10
SMALLEST_SCALE = 0.85  # below it letters of `TEXT_SIZE` are hard to read


@dataclass(frozen=True)
class PanelSizes:
    """Sizes in pixels at one scale.

    Attributes:
        scale: 1 beside a picture of 640x480.
    """

    scale: float

    def _of(self, pixels: int) -> int:
        return round(self.scale * pixels)

    @property
    def width(self) -> int:
        """Width of a panel on the right; even, as some video formats need it."""
        return self._of(WIDTH) // 2 * 2

    @property
    def margin(self) -> int:
        """Distance from the edge."""
        return self._of(MARGIN)

    @property
    def text(self) -> int:
        """Height of the letters."""
        return self._of(TEXT_SIZE)

    @property
    def title(self) -> int:
        """Height of the letters of the label."""
        return self._of(TITLE_SIZE)

    @property
    def tile(self) -> int:
        """Side of the enlarged 28x28 image, a multiple of 28."""
        return max(1, self._of(TILE_SIDE) // 28) * 28

    @property
    def row(self) -> int:
        """Height of a class in the list, with its bar."""
        return line_height(self.text) + self.line * 3

    @property
    def line(self) -> int:
        """Height of a bar, and width of a line."""
        return max(1, self._of(2))

    @property
    def answer_height(self) -> int:
        """Height of the label, the note below it and the list."""
        return line_height(self.title) + line_height(self.text) * 2 + self.row * LISTED

    @property
    def tile_height(self) -> int:
        """Height of the 28x28 image and its caption."""
        return self.tile + line_height(self.text)

    @property
    def column_height(self) -> int:
        """Height of a panel on the right with six lines of times."""
        return self.answer_height + self.tile_height + 6 * line_height(self.text) + 4 * self.margin

    @property
    def strip_height(self) -> int:
        """Height of a panel below the picture."""
        return max(self.answer_height, self.tile_height) + 2 * self.margin


def draw_panel(
    panel_bgr: np.ndarray, sizes: PanelSizes, recognition: Recognition, timing: list[str]
) -> None:
    """Draws the panel; in an upright one the parts stand below each other, in a flat one side by side.

    Args:
        panel_bgr: uint8, shape (H, W, 3). All of it is changed.
        sizes: Sizes of letters and bars.
        recognition: The answer.
        timing: Short texts for the end of the panel, from `timing_texts`.
    """
    height, width = panel_bgr.shape[:2]
    margin = sizes.margin
    fill(panel_bgr, PAPER)
    inner = panel_bgr[margin : height - margin, margin : width - margin]
    if width >= height:
        middle = sizes.width - 2 * margin
        right = middle + 2 * margin + sizes.tile
        _draw_answer(inner[:, :middle], sizes, recognition)
        _draw_tile(inner[:, middle + margin : right], sizes, recognition.image_u8)
        _draw_timing(inner[:, right + margin :], sizes, timing)
        return
    _draw_answer(inner, sizes, recognition)
    below = inner[sizes.answer_height + margin :]
    _draw_tile(below, sizes, recognition.image_u8)
    _draw_timing(below[sizes.tile_height + margin :], sizes, timing)


def colour_of(label: str) -> Colour:
    """Returns the colour in which an answer is drawn."""
    return {UNKNOWN: UNSURE, NO_GARMENT: NOTHING}.get(label, NAMED)


def note_on(recognition: Recognition) -> str:
    """Makes the line below the label; empty if the label says everything.

    The label is steady and the probabilities are those of the moment, so another class can be ahead for a
    while. The note then names it. For "unknown" it names the two most probable classes.
    """
    scores = recognition.scores
    if not scores:
        return recognition.reason or ""
    if recognition.label == UNKNOWN:
        return " or ".join(score.label for score in scores[:2]) + "?"
    if scores[0].label != recognition.label and scores[0].probability > _share_of(
        recognition.label, scores
    ):
        return f"or now {scores[0].label}?"
    return ""


def listed_scores(recognition: Recognition) -> list[Score]:
    """Lists the most probable classes; the label of the answer always comes first."""
    scores = recognition.scores
    own = [score for score in scores if score.label == recognition.label]
    others = [score for score in scores if score.label != recognition.label]
    return [*own, *others][:LISTED]


def timing_texts(latency_ms: Mapping[str, float], frames_per_second: float) -> list[str]:
    """Makes short texts: the milliseconds of each stage, and the rate unless it is 0."""
    texts = [f"{stage} {ms:.1f}" for stage, ms in latency_ms.items()]
    texts[-1:] = [f"{text} ms" for text in texts[-1:]]
    if frames_per_second > 0:
        texts.append(f"{frames_per_second:.1f} fps")
    return texts


def _share_of(label: str, scores: list[Score]) -> float:
    return next((score.probability for score in scores if score.label == label), 0.0)


def _draw_answer(area: np.ndarray, sizes: PanelSizes, recognition: Recognition) -> None:
    """Draws the label, the note and the list; or the label and why no garment was found."""
    width, size = area.shape[1], sizes.text
    colour = colour_of(recognition.label)
    title, title_size = fitted(recognition.label, sizes.title, width)
    below = (line_height(sizes.title) - line_height(title_size)) // 2
    write(area, title, (0, below), title_size, colour, PAPER)
    y = line_height(sizes.title)
    listed = listed_scores(recognition)
    # A reason may take the place of the list too.
    lines = wrapped(note_on(recognition).split(" "), " ", size, width)
    for number, line in enumerate(lines[: 2 if listed else None]):
        text, text_size = fitted(line, size, width)
        write(area, text, (0, y + number * line_height(size)), text_size, FAINT_TEXT, PAPER)
    y += 2 * line_height(size)
    is_unknown = recognition.label == UNKNOWN
    for number, score in enumerate(listed):
        is_named = number < 2 if is_unknown else score.label == recognition.label
        _draw_row(area[y : y + sizes.row], sizes, score, colour if is_named else OTHER_BAR)
        y += sizes.row


def _draw_row(area: np.ndarray, sizes: PanelSizes, score: Score, colour: Colour) -> None:
    """Draws one class with its probability, and a bar below."""
    width, size = area.shape[1], sizes.text
    percent = f"{score.probability:.0%}"
    room = width - text_width("100%", size) - sizes.margin
    name, name_size = fitted(score.label, size, room)
    write(area, name, (0, 0), name_size, FAINT_TEXT, PAPER)
    write(area, percent, (width, 0), size, TEXT, PAPER, is_right_aligned=True)
    bar = area[line_height(size) : line_height(size) + sizes.line * 2]
    fill(bar, TRACK)
    fill(bar[:, : round(width * score.probability)], colour)


def _draw_tile(area: np.ndarray, sizes: PanelSizes, image_u8: np.ndarray | None) -> None:
    """Draws the 28x28 image of the network, each pixel as a square, and its caption above it."""
    caption = "the network sees" if image_u8 is not None else "nothing to see"
    text, text_size = fitted(caption, sizes.text, area.shape[1])
    write(area, text, (0, 0), text_size, FAINT_TEXT, PAPER)
    tile = area[line_height(sizes.text) :][: sizes.tile, : sizes.tile]
    if image_u8 is None:
        fill(tile, TRACK)
        return
    factor = sizes.tile // 28
    pixels = np.repeat(np.repeat(image_u8, factor, axis=0), factor, axis=1)
    tile[:] = pixels[: tile.shape[0], : tile.shape[1], np.newaxis]


def _draw_timing(area: np.ndarray, sizes: PanelSizes, texts: list[str]) -> None:
    """Writes the texts in as many lines as they need."""
    if area.shape[1] <= 0:
        return
    for number, line in enumerate(wrapped(texts, "  \u00b7  ", sizes.text, area.shape[1])):
        text, size = fitted(line, sizes.text, area.shape[1])
        write(area, text, (0, number * line_height(sizes.text)), size, FAINT_TEXT, PAPER)
