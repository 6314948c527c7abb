"""Draws pictures of garments whose label and mask are known, for tests and demonstrations.

`edge.garment_sketches` draws the outlines; here they get colours, a background and light. A drawn picture
shows that the pipeline works. It does not show how well photographs are recognized.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from garmentlite.edge.garment_sketches import sketch_garment
from garmentlite.edge.labels import FASHION_MNIST_LABELS, class_id_of

SECONDS_PER_GARMENT = 4.0  # how long the moving test pattern shows each garment
_GROUND_SPEED = 12.0  # pixels per second by which the background of the moving test pattern slides
# Median grey of the training images of each label, negated back: coats are dark, sandals are light.
_GREY = (88, 65, 79, 71, 62, 148, 104, 109, 68, 65)
_STRIP = 32  # rows of a garment that are laid on the background at once

_Window = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Scene:
    """A drawn garment on a drawn background.

    Attributes:
        rgb: uint8, shape (H, W, 3).
        mask: bool, shape (H, W), True on the garment.
        label: One of the Fashion-MNIST labels.
    """

    rgb: np.ndarray
    mask: np.ndarray
    label: str


@dataclass(frozen=True)
class _Paint:
    """A colour as grey level in [0, 255], hue in radians, and chroma (distance from grey) in levels."""

    grey: float
    hue: float
    chroma: float

    def rgb(self) -> np.ndarray:
        """Computes RGB, float64 of shape (3,); by Rec. 601 it has exactly this grey level before clipping."""
        red_green, blue = np.array([1, -0.509, 0]), np.array([-0.129, -0.129, 1])
        shift = np.cos(self.hue) * red_green + np.sin(self.hue) * blue
        return self.grey + self.chroma * shift


def draw_garment(
    label: str, rng: np.random.Generator, size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one upright garment that fills a square.

    Args:
        label: One of the Fashion-MNIST labels.
        rng: Random generator; the same state draws the same garment.
        size: Side of the square in pixels.

    Returns:
        rgb, uint8 of shape (size, size, 3), and alpha, uint8 of shape (size, size), 0 around the garment.

    Raises:
        OptionError: If there is no such label.
    """
    return _painted_garment(label, rng, size, _garment_paint(label, rng))


def draw_scene(
    label: str, rng: np.random.Generator, size_wh: tuple[int, int] = (320, 320)
) -> Scene:
    """Draws a garment that lies on a floor, as in a photograph of a phone.

    The background has a texture and about the same grey levels as the garment, but another hue. The light is
    uneven, the garment is shifted, scaled and turned by up to 12 degrees, and the sensor adds noise.

    Args:
        label: One of the Fashion-MNIST labels.
        rng: Random generator; the same state draws the same scene.
        size_wh: Width and height in pixels.

    Returns:
        The picture and the mask of the garment.

    Raises:
        OptionError: If there is no such label.
    """
    width, height = size_wh
    paint = _garment_paint(label, rng)
    colour, texture = _ground(rng, size_wh, paint)
    ground = colour * texture[..., np.newaxis]
    side = round(rng.uniform(0.68, 0.86) * min(size_wh))
    garment, alpha = _painted_garment(label, rng, side, paint)
    garment, alpha = _turned(garment, alpha, rng.uniform(-12, 12))
    spare_x, spare_y = width - garment.shape[1], height - garment.shape[0]
    left = round(spare_x / 2 + rng.uniform(-0.4, 0.4) * max(spare_x, 0))
    top = round(spare_y / 2 + rng.uniform(-0.4, 0.4) * max(spare_y, 0))
    on_ground, on_garment = _lay(garment, alpha, left, top, ground)
    mask = np.zeros((height, width), bool)
    mask[on_ground] = alpha[on_garment] >= 128
    lit = ground * _light(rng, size_wh)[..., np.newaxis]
    noisy = lit + rng.normal(0, 3.0, lit.shape)
    return Scene(_to_u8(noisy), mask, label)


def draw_moving_frame(
    t_seconds: float, size_wh: tuple[int, int] = (640, 480)
) -> tuple[np.ndarray, str]:
    """Draws a frame of the moving test pattern: garments in turn over a background that slides slowly.

    Args:
        t_seconds: Time since the start; the same time gives the same frame.
        size_wh: Width and height in pixels.

    Returns:
        frame_rgb, uint8 of shape (H, W, 3), and the label of the garment in it.
    """
    number = int(t_seconds // SECONDS_PER_GARMENT)
    ground, garment, alpha, label = _moving_parts(number, size_wh)
    width, height = size_wh
    offset = round((t_seconds % SECONDS_PER_GARMENT) * _GROUND_SPEED)
    frame = ground[:, offset : offset + width].copy()
    sway = 0.03 * min(size_wh) * np.sin(2 * np.pi * t_seconds / 3)
    left, top = (width - garment.shape[1]) // 2 + round(sway), (height - garment.shape[0]) // 2
    _lay(garment, alpha, left, top, frame)
    return frame, label


@lru_cache(maxsize=2)
def _moving_parts(
    number: int, size_wh: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Draws what one garment of the pattern needs: background (wider than a frame), garment, alpha, label."""
    rng = np.random.default_rng(number)
    label = FASHION_MNIST_LABELS[number % len(FASHION_MNIST_LABELS)]
    travel = round(SECONDS_PER_GARMENT * _GROUND_SPEED) + 1
    paint = _garment_paint(label, rng)
    colour, texture = _ground(rng, (size_wh[0] + travel, size_wh[1]), paint)
    ground = _tinted(colour, texture)
    garment, alpha = _painted_garment(label, rng, round(0.8 * min(size_wh)), paint)
    garment, alpha = _turned(garment, alpha, rng.uniform(-8, 8))
    return ground, garment, alpha, label


def _painted_garment(
    label: str, rng: np.random.Generator, size: int, paint: _Paint
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a garment in one colour; returns what `draw_garment` does."""
    tones, alpha = sketch_garment(label, rng, size)
    return _tinted(paint.rgb(), tones), alpha


def _garment_paint(label: str, rng: np.random.Generator) -> _Paint:
    grey = _GREY[class_id_of(label)] + rng.uniform(-25, 30)
    return _Paint(grey, rng.uniform(0, 2 * np.pi), rng.uniform(25, 45))


def _ground(
    rng: np.random.Generator, size_wh: tuple[int, int], garment: _Paint
) -> tuple[np.ndarray, np.ndarray]:
    """Makes a textured background of about the garment's grey level.

    Returns:
        Its colour, float64, shape (3,), and the factors by which its texture changes the colour, float64,
        shape (H, W).
    """
    width, height = size_wh
    paint = _Paint(
        garment.grey + rng.uniform(-15, 25),
        garment.hue + np.pi + rng.uniform(-0.7, 0.7),
        rng.uniform(25, 45),
    )
    texture = (_cloth_texture, _plank_texture)[rng.integers(2)](rng, width, height)
    return paint.rgb(), 1 + 0.16 * texture


def _cloth_texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Makes a weave with creases: float64, shape (H, W), about [-1, 1]."""
    y, x = np.ogrid[:height, :width]
    weave = 0.3 * np.sin(x * 1.3) * np.sin(y * 1.3)
    return weave + 0.9 * _blotches(rng, width, height, 24) + rng.normal(0, 0.2, (height, width))


def _plank_texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Makes wooden boards with grain and dark joints: float64, shape (H, W), about [-1, 1]."""
    board_width = int(rng.integers(36, 64))
    boards = np.arange(width) // board_width
    tones = rng.uniform(-0.5, 0.5, boards[-1] + 1)[boards]
    grain = np.repeat(_blotches(rng, width, max(height // 12, 2), 3), 12, axis=0)
    grain = np.resize(grain, (height, width))
    joints = np.where(np.arange(width) % board_width < 2, -1.2, 0.0)
    return tones + joints + 0.5 * grain + rng.normal(0, 0.1, (height, width))


def _blotches(rng: np.random.Generator, width: int, height: int, scale: int) -> np.ndarray:
    """Makes smooth noise with features of `scale` pixels: float64, shape (H, W), in [-1, 1]."""
    from PIL import Image

    coarse = rng.uniform(-1, 1, (height // scale + 2, width // scale + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _light(rng: np.random.Generator, size_wh: tuple[int, int]) -> np.ndarray:
    """Makes light from one side: float64, shape (H, W), factors of about 0.8 to 1.2."""
    width, height = size_wh
    y, x = np.mgrid[0:height, 0:width]
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5)
    return 1 + rng.uniform(0.15, 0.4) * slope


def _turned(rgb: np.ndarray, alpha: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Turns a garment counter-clockwise, on a square that is large enough for it."""
    from PIL import Image

    def turned(plane: np.ndarray) -> np.ndarray:
        image = Image.fromarray(plane)
        return np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC, expand=True))

    return turned(rgb), turned(alpha)


def _lay(
    garment: np.ndarray, alpha: np.ndarray, left: int, top: int, ground: np.ndarray
) -> tuple[_Window, _Window]:
    """Lays a garment on a background, which is changed; parts beyond its edges are cut off.

    Returns:
        The rows and columns of the background that the garment takes, and the same of the garment.
    """
    height, width = ground.shape[:2]
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + alpha.shape[0], height), min(left + alpha.shape[1], width)
    columns = slice(x0 - left, x1 - left)
    for y in range(y0, y1, _STRIP):  # so that the real numbers take little memory
        end = min(y + _STRIP, y1)
        rows, strip = slice(y - top, end - top), ground[y:end, x0:x1]
        share = alpha[rows, columns, np.newaxis] / 255
        strip[:] = share * garment[rows, columns] + (1 - share) * strip
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), columns)


def _tinted(colour: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Multiplies a colour, shape (3,), by tones, shape (H, W): uint8, shape (H, W, 3)."""
    # One channel after the other, so that the real numbers take less memory.
    return np.stack([_to_u8(level * tone) for level in colour], axis=-1)


def _to_u8(values: np.ndarray) -> np.ndarray:
    whole = np.rint(values)
    return np.clip(whole, 0, 255, out=whole).astype(np.uint8)
