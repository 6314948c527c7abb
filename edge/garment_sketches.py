"""Sketches the ten garments of Fashion-MNIST: outlines, seams and folds, without a colour.

The outlines follow the data set: front views without a body, and shoes with the toe to the left. A garment is
one function here, listed in `_GARMENTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.edge.labels import class_id_of

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_SUPERSAMPLING = 4  # outlines are drawn larger by this factor and reduced, for smooth edges
# The tone of the garment's own colour in a sketch; 0 is black, 200 twice as light.
_PLAIN_TONE = 100
# Shares of the sketch's side, one for each round of corner cutting.
_CORNER_RADII = (0.03, 0.015, 0.007)

Points = Sequence[tuple[float, float]]


def sketch_garment(
    label: str, rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sketches one upright garment that fills a square.

    Args:
        label: One of the Fashion-MNIST labels.
        rng: Random generator; the same state gives the same sketch.
        size: Side of the square in pixels.

    Returns:
        Tones, float64 of shape (size, size), by which the garment's colour is multiplied, and alpha, uint8 of
        shape (size, size), 0 around the garment.

    Raises:
        OptionError: If there is no such label.
    """
    sketch = _Sketch(size, rng)
    _GARMENTS[class_id_of(label)](sketch)
    return sketch.result()


class _Sketch:
    """A square in which a garment is drawn; coordinates are in [0, 1], and y points down."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        from PIL import Image, ImageDraw

        self.rng = rng
        self._size = size
        self._side = size * _SUPERSAMPLING
        self._tone = Image.new("L", (self._side, self._side), _PLAIN_TONE)
        self._alpha = Image.new("L", (self._side, self._side), 0)
        self._draw_tone = ImageDraw.Draw(self._tone)
        self._draw_alpha = ImageDraw.Draw(self._alpha)

    def between(self, low: float, high: float) -> float:
        """Draws a random number evenly from [low, high)."""
        return float(self.rng.uniform(low, high))

    def cut(self, points: Points, tone: float = 1.0) -> None:
        """Adds a piece of cloth with a smooth outline."""
        pixels = self._pixels(_rounded(points))
        self._draw_alpha.polygon(pixels, fill=255)
        self._draw_tone.polygon(pixels, fill=round(tone * _PLAIN_TONE))

    def cut_mirrored(self, right_half: Points, tone: float = 1.0) -> None:
        """Adds a symmetric piece of cloth from points (distance from the middle, y)."""
        right = [(0.5 + x, y) for x, y in right_half]
        left = [(0.5 - x, y) for x, y in reversed(right_half)]
        self.cut(right + left, tone)

    def strap(self, points: Points, width: float, tone: float = 1.0) -> None:
        """Adds a band along a smooth line."""
        for draw, fill in ((self._draw_alpha, 255), (self._draw_tone, round(tone * _PLAIN_TONE))):
            self._band(draw, points, width, fill)

    def seam(self, points: Points, width: float, tone: float) -> None:
        """Paints a line on the cloth."""
        self._band(self._draw_tone, points, width, round(tone * _PLAIN_TONE))

    def patch(self, points: Points, tone: float) -> None:
        """Paints an area of the cloth."""
        self._draw_tone.polygon(self._pixels(points), fill=round(tone * _PLAIN_TONE))

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Computes tones, float64 (1 = the plain colour), and alpha, uint8, each of shape (size, size)."""
        from PIL import Image, ImageFilter

        size_wh = (self._size, self._size)
        alpha = self._alpha.resize(size_wh, Image.Resampling.BOX)
        tone = self._tone.resize(size_wh, Image.Resampling.BOX)
        # Cloth is darker near its edges, where it turns away from the light.
        near_edge = 1 - np.asarray(alpha.filter(ImageFilter.GaussianBlur(self._size / 40))) / 255
        shade = 1 - 0.35 * near_edge + _folds(self._size, self.rng)
        return np.asarray(tone) / _PLAIN_TONE * shade, np.array(alpha)

    def _band(self, draw: ImageDraw, points: Points, width: float, fill: int) -> None:
        pixels = self._pixels(_rounded(points, closed=False))
        thickness = max(1, round(width * self._side))
        draw.line(pixels, fill=fill, width=thickness, joint="curve")

    def _pixels(self, points: Points) -> list[tuple[float, float]]:
        return [(x * self._side, y * self._side) for x, y in points]


# The ten garments. The numbers were measured by eye on the training images, as shares of the image's side;
# the random parts follow the variety of these images.


def _tshirt(sketch: _Sketch) -> None:
    half, neck = sketch.between(0.23, 0.26), sketch.between(0.10, 0.13)
    sleeve = sketch.between(0.28, 0.36)
    sketch.cut_mirrored(
        [
            (0.0, 0.10), (neck * 0.7, 0.08), (neck, 0.03), (half - 0.02, 0.075), (0.34, 0.14),
            (0.42, sleeve - 0.03), (0.31, sleeve + 0.05), (half, 0.25), (half - 0.01, 0.6),
            (half, 0.97), (0.0, 0.97),
        ]
    )  # fmt: skip
    _neckband(sketch, neck)
    if sketch.between(0, 1) < 0.5:
        y = sketch.between(0.33, 0.4)
        sketch.patch([(0.40, y), (0.60, y), (0.60, y + 0.14), (0.40, y + 0.14)], 1.5)


def _trouser(sketch: _Sketch) -> None:
    waist, hem, gap = sketch.between(0.13, 0.15), sketch.between(0.17, 0.21), 0.075
    sketch.cut_mirrored(
        [
            (0.0, 0.035), (waist, 0.03), (waist + 0.035, 0.25), (hem - 0.01, 0.6), (hem, 0.97),
            (gap, 0.97), (gap - 0.02, 0.65), (0.012, 0.34),
        ]
    )  # fmt: skip
    sketch.seam([(0.5, 0.04), (0.5, 0.30)], 0.012, 0.7)
    sketch.seam([(0.5 - waist, 0.085), (0.5 + waist, 0.085)], 0.012, 0.7)


def _pullover(sketch: _Sketch) -> None:
    neck = _long_sleeved(sketch, collar_y=0.04)
    _neckband(sketch, neck)
    sketch.seam([(0.27, 0.92), (0.73, 0.92)], 0.02, 0.8)
    if sketch.between(0, 1) < 0.4:
        for y in (0.38, 0.52):
            sketch.patch([(0.27, y), (0.73, y), (0.73, y + 0.06), (0.27, y + 0.06)], 1.45)


def _dress(sketch: _Sketch) -> None:
    waist, hem = sketch.between(0.095, 0.12), sketch.between(0.17, 0.24)
    sketch.cut_mirrored(
        [
            (0.0, 0.12), (0.06, 0.10), (0.075, 0.03), (0.12, 0.03), (0.115, 0.12), (0.14, 0.2),
            (waist, 0.38), (waist + 0.03, 0.5), (hem, 0.96), (0.0, 0.97),
        ]
    )  # fmt: skip
    sketch.seam([(0.5 - waist, 0.38), (0.5 + waist, 0.38)], 0.02, 0.7)
    for x in (-0.5, 0.0, 0.5):
        sketch.seam([(0.5 + x * waist, 0.45), (0.5 + x * hem, 0.95)], 0.012, 0.82)


def _coat(sketch: _Sketch) -> None:
    _long_sleeved(sketch, collar_y=0.02, hem=0.97, spread=0.35)
    sketch.cut_mirrored([(0.0, 0.14), (0.13, 0.09), (0.1, 0.02), (0.0, 0.05)], 0.75)
    sketch.patch([(0.46, 0.06), (0.54, 0.06), (0.5, 0.24)], 0.4)
    sketch.seam([(0.5, 0.2), (0.5, 0.97)], 0.028, 0.45)
    for side in (-1, 1):
        sketch.seam([(0.5 + side * 0.03, 0.3), (0.5 + side * 0.11, 0.08)], 0.014, 0.55)
        sketch.seam([(0.5 + side * 0.09, 0.66), (0.5 + side * 0.2, 0.62)], 0.025, 0.6)


def _sandal(sketch: _Sketch) -> None:
    if sketch.between(0, 1) < 0.5:
        _flat_sandal(sketch)
    else:
        _heeled_sandal(sketch)


def _shirt(sketch: _Sketch) -> None:
    _long_sleeved(sketch, collar_y=0.03, hem=0.95)
    sketch.cut_mirrored([(0.0, 0.13), (0.09, 0.12), (0.12, 0.03), (0.0, 0.03)], 1.2)
    sketch.patch([(0.47, 0.03), (0.53, 0.03), (0.5, 0.12)], 0.5)
    sketch.seam([(0.5, 0.13), (0.5, 0.96)], 0.05, 1.15)
    for y in np.arange(0.2, 0.95, 0.12):
        sketch.seam([(0.49, y), (0.51, y)], 0.02, 0.7)
    if sketch.between(0, 1) < 0.5:
        for at in np.arange(0.12, 0.9, 0.11):
            sketch.seam([(at, 0.2), (at, 0.95)], 0.02, 0.72)
            sketch.seam([(0.1, at + 0.06), (0.9, at + 0.06)], 0.02, 0.72)


def _sneaker(sketch: _Sketch) -> None:
    lift = sketch.between(-0.03, 0.03)
    sketch.cut(
        [
            (0.03, 0.63), (0.06, 0.57), (0.18, 0.52), (0.36, 0.47), (0.52, 0.35 + lift),
            (0.60, 0.33 + lift), (0.70, 0.41), (0.82, 0.40), (0.93, 0.33 + lift), (0.95, 0.36),
            (0.955, 0.55), (0.97, 0.64), (0.97, 0.70), (0.10, 0.70), (0.03, 0.68),
        ]
    )  # fmt: skip
    sketch.patch([(0.0, 0.64), (1.0, 0.645), (1.0, 0.72), (0.0, 0.72)], 1.6)
    sketch.seam([(0.04, 0.64), (0.97, 0.645)], 0.012, 0.55)
    for step in range(4):
        x, y = 0.36 + 0.05 * step, 0.48 - 0.035 * step
        sketch.seam([(x, y), (x + 0.05, y + 0.05)], 0.014, 1.6)
    sketch.seam([(0.5, 0.62), (0.62, 0.46)], 0.025, 1.5)
    sketch.seam([(0.6, 0.62), (0.7, 0.48)], 0.025, 1.5)


def _bag(sketch: _Sketch) -> None:
    top, bottom = sketch.between(0.33, 0.42), sketch.between(0.85, 0.95)
    half = sketch.between(0.38, 0.44)
    arch = sketch.between(0.16, 0.24)
    sketch.strap(
        [(0.5 - arch, top + 0.03), (0.5 - arch, top - 0.13), (0.5, 0.06), (0.5 + arch, top - 0.13),
         (0.5 + arch, top + 0.03)],
        0.035, 0.8,
    )  # fmt: skip
    sketch.cut_mirrored(
        [(0.0, top), (half - 0.02, top), (half, top + 0.03), (half + 0.04, bottom - 0.03),
         (half + 0.02, bottom), (0.0, bottom)]
    )  # fmt: skip
    flap = top + sketch.between(0.16, 0.26)
    sketch.seam([(0.5 - half, flap), (0.5 + half, flap)], 0.016, 0.6)
    sketch.patch(
        [(0.47, flap - 0.04), (0.53, flap - 0.04), (0.53, flap + 0.04), (0.47, flap + 0.04)], 1.6
    )


def _ankle_boot(sketch: _Sketch) -> None:
    shaft, heel = sketch.between(0.13, 0.2), sketch.between(0.84, 0.88)
    sketch.cut(
        [
            (0.03, 0.80), (0.06, 0.70), (0.2, 0.63), (0.38, 0.54), (0.48, 0.40), (0.49, shaft),
            (0.52, shaft - 0.02), (0.9, shaft - 0.01), (0.92, shaft + 0.02), (0.90, 0.45),
            (0.94, 0.66), (0.94, heel + 0.05), (0.70, heel + 0.05), (0.66, heel - 0.01),
            (0.45, heel), (0.1, heel), (0.03, 0.84),
        ]
    )  # fmt: skip
    sketch.seam([(0.03, 0.80), (0.45, 0.81), (0.94, 0.80)], 0.012, 0.6)
    sketch.patch([(0.57, shaft + 0.02), (0.68, shaft + 0.02), (0.66, 0.46), (0.6, 0.46)], 0.7)
    sketch.seam([(0.44, 0.56), (0.62, 0.62), (0.9, 0.6)], 0.014, 0.75)


_GARMENTS: tuple[Callable[[_Sketch], None], ...] = (
    _tshirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _ankle_boot,
)  # fmt: skip


def _long_sleeved(
    sketch: _Sketch, collar_y: float, hem: float = 0.96, spread: float = 0.38
) -> float:
    """Draws the body and hanging sleeves that three classes share.

    Args:
        sketch: Where to draw.
        collar_y: The collar's highest point.
        hem: The body's lowest point.
        spread: How far the sleeves hang from the middle.

    Returns:
        Half the width of the neck.
    """
    half, neck = sketch.between(0.215, 0.245), sketch.between(0.09, 0.11)
    cuff = sketch.between(0.88, 0.95)
    sleeve = [
        (neck, 0.05), (half - 0.03, 0.09), (spread - 0.06, 0.2), (spread - 0.01, 0.55),
        (spread, cuff), (spread - 0.085, cuff + 0.01), (spread - 0.105, 0.6), (half - 0.02, 0.3),
    ]  # fmt: skip
    for side in (-1, 1):
        sketch.cut([(0.5 + side * x, y) for x, y in sleeve], 0.85)
    sketch.cut_mirrored(
        [(0.0, collar_y + 0.04), (neck, collar_y), (half - 0.03, 0.09), (half, 0.3), (half, hem - 0.01),
         (0.0, hem)]
    )  # fmt: skip
    return neck


def _neckband(sketch: _Sketch, neck: float) -> None:
    sketch.seam(
        [(0.5 - neck, 0.04), (0.5 - neck * 0.6, 0.1), (0.5 + neck * 0.6, 0.1), (0.5 + neck, 0.04)],
        0.02, 0.7,
    )  # fmt: skip


def _flat_sandal(sketch: _Sketch) -> None:
    sole, strap = sketch.between(0.08, 0.12), sketch.between(0.06, 0.08)
    sketch.strap([(0.12, 0.61), (0.2, 0.51), (0.34, 0.51), (0.44, 0.62)], strap * 1.4)
    sketch.strap([(0.3, 0.52), (0.5, 0.48), (0.66, 0.38)], strap)
    sketch.strap([(0.56, 0.62), (0.64, 0.37), (0.84, 0.35), (0.92, 0.60)], strap)
    sketch.cut(
        [(0.03, 0.62), (0.1, 0.60), (0.5, 0.61), (0.95, 0.58), (0.97, 0.6), (0.96, 0.61 + sole),
         (0.08, 0.61 + sole), (0.03, 0.65)],
        0.75,
    )  # fmt: skip


def _heeled_sandal(sketch: _Sketch) -> None:
    heel, strap = sketch.between(0.48, 0.54), sketch.between(0.05, 0.07)
    sketch.strap([(0.1, 0.84), (0.15, 0.72), (0.28, 0.70), (0.37, 0.8)], strap * 1.4)
    sketch.strap([(0.72, heel + 0.06), (0.64, 0.3), (0.84, 0.26), (0.92, heel)], strap)
    sketch.strap([(0.24, 0.72), (0.46, 0.56), (0.66, 0.33)], strap * 0.8)
    sketch.cut(
        [(0.03, 0.85), (0.1, 0.82), (0.3, 0.80), (0.55, 0.64), (0.75, heel), (0.95, heel - 0.04),
         (0.96, heel + 0.04), (0.80, heel + 0.11), (0.60, 0.76), (0.36, 0.90), (0.05, 0.91)],
        0.8,
    )  # fmt: skip
    sketch.cut([(0.80, heel), (0.96, heel - 0.01), (0.95, 0.91), (0.86, 0.91)], 0.7)


def _rounded(points: Points, closed: bool = True) -> Points:
    """Rounds the corners of a line by Chaikin's corner cutting, three times and near the corners only."""
    line = np.asarray(points, dtype=np.float64)
    for radius in _CORNER_RADII:
        following = np.roll(line, -1, axis=0) if closed else line[1:]
        own = line if closed else line[:-1]
        step = following - own
        length = np.hypot(step[:, 0], step[:, 1])[:, np.newaxis]
        step *= np.minimum(0.25, radius / np.maximum(length, 1e-9))
        cut = np.stack((own + step, following - step), axis=1).reshape(-1, 2)
        line = cut if closed else np.concatenate((line[:1], cut, line[-1:]))
    return [(float(x), float(y)) for x, y in line]


def _folds(size: int, rng: np.random.Generator) -> np.ndarray:
    """Makes soft folds that mostly hang down: float64, shape (size, size), about +-0.1."""
    y, x = np.mgrid[0:size, 0:size] / size
    folds = np.zeros((size, size))
    for _ in range(3):
        across, along = rng.uniform(3, 8), rng.uniform(-1.5, 1.5)
        folds += 0.035 * np.sin(2 * np.pi * (across * x + along * y + rng.uniform()))
    return folds
