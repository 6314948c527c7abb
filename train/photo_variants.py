"""Makes variants of a photograph, as if it had been taken with another light, distance and mask.

A photograph shows one light and one outline. The variants are made at the photograph's own size, before the
steps that lead to 28x28, so that they pass through these steps as real photographs do. Some are made with a
mask that is spoiled on purpose (`another_take`), others are segmented anew (`another_picture`), and so show
the errors that the segmenter makes.
"""

from __future__ import annotations

import io

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.preparation import box_of, why_no_garment
from garmentlite.edge.segmenters.masks import levels_of

VERSION = 2  # raised whenever the same seed gives other variants

# Longest side in pixels of the garment and its surroundings: from near to across the room.
SIDE_RANGE = (64, 192)
SURROUNDINGS = 0.15  # of the garment's longest side, on each side
ROTATION = 10.0  # degrees, standard deviation 5
GAIN_RANGE = (0.65, 1.35)  # of the light
CAST = 0.12  # of each channel on its own
GAMMA_RANGE = (0.75, 1.35)
FALL_OFF = 0.25  # of the light, from one side of the picture to the other
BLUR_RANGE = (0.0, 1.3)  # pixels, deviation
NOISE_RANGE = (0.0, 10.0)  # grey levels, deviation
JPEG_RANGE = (35, 95)  # quality
# Shares of the garment's longest side.
GROWTH = 0.03  # by which a mask is eroded or dilated
WOBBLE = 0.03  # by which its outline strays
BLOB_RANGE = (0.04, 0.12)  # radius of what is bitten off, or leaks in
CROP = 0.10  # cut off by the picture's edge

# How pictures that are segmented anew are changed.
PICTURE_SIDE_RANGE = (96, 256)  # longest side in pixels of the picture
PICTURE_SURROUNDINGS = 0.5  # at most, of the garment's longest side, on each side
MOST_CREASES = 4
CREASE_DEPTH = 0.25  # of the light, at most
CREASE_RANGE = (0.015, 0.06)  # width, deviation as a share of the picture's longest side

_ODDS = {
    "creases": 0.5,
    "blur": 0.4,
    "noise": 0.6,
    "growth": 0.5,
    "wobble": 0.5,
    "bite": 0.25,
    "leak": 0.25,
    "crop": 0.15,
}


def another_take(
    rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Changes a photograph and its mask as another photograph and segmentation of the garment might differ.

    Args:
        rgb: uint8, shape (H, W, 3). Not changed.
        mask: bool, shape (H, W), True on the garment; at least one pixel.
        rng: Source of all random amounts; the same state gives the same picture.

    Returns:
        rgb, uint8 of shape (h, w, 3), and the mask, bool of shape (h, w), of the garment and a little of
        its surroundings. If the preparation accepts the given mask as a garment, it accepts this one too.
    """
    rgb, mask = _near(rgb, mask, rng)
    rgb, mask = _turned(rgb, mask, rng)
    spoiled = _spoiled(mask, rng)
    return exposed(rgb, rng), mask if why_no_garment(spoiled) else spoiled


def another_picture(
    rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Takes the garment and its surroundings as another picture, which is to be segmented anew.

    Args:
        rgb: uint8, shape (H, W, 3). Not changed.
        mask: bool, shape (H, W), True on the garment; at least one pixel.
        rng: Source of all random amounts; the same state gives the same picture.

    Returns:
        rgb, uint8 of shape (h, w, 3), with another distance, turn, light and creases; and where the garment
        is in it, bool of shape (h, w).
    """
    cv2 = load_opencv()
    x, y, width, height = box_of(mask)
    room = PICTURE_SURROUNDINGS * max(width, height)
    left, top, right, bottom = (round(rng.uniform(0, room)) for _ in range(4))
    rows = slice(max(0, y - top), y + height + bottom)
    columns = slice(max(0, x - left), x + width + right)
    scale = np.exp(rng.uniform(*np.log(PICTURE_SIDE_RANGE))) / max(mask[rows, columns].shape)
    step = -1 if rng.random() < 0.5 else 1
    rgb, mask = (np.ascontiguousarray(plane[rows, columns][:, ::step]) for plane in (rgb, mask))
    levels = levels_of(mask)
    if scale < 1:
        size_wh = tuple(max(1, round(length * scale)) for length in mask.shape[::-1])
        rgb = cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA)
        levels = cv2.resize(levels, size_wh, interpolation=cv2.INTER_AREA)
    high, wide = levels.shape
    degrees = float(np.clip(rng.normal(0, ROTATION / 2), -ROTATION, ROTATION))
    turn = cv2.getRotationMatrix2D((wide / 2, high / 2), degrees, 1)
    rgb = cv2.warpAffine(rgb, turn, (wide, high), borderMode=cv2.BORDER_REPLICATE)
    levels = cv2.warpAffine(levels, turn, (wide, high))
    if rng.random() < _ODDS["creases"]:
        rgb = _creased(rgb, rng)
    return exposed(rgb, rng), levels >= 128


def _creased(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shades a picture along some lines, light on one side and dark on the other, as creases are."""
    height, width = rgb.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    light = np.ones((height, width), np.float32)
    for _ in range(rng.integers(1, MOST_CREASES + 1)):
        angle, x, y = rng.uniform(0, np.pi), rng.uniform(0, width), rng.uniform(0, height)
        deviation = rng.uniform(*CREASE_RANGE) * max(height, width)
        distance = ((columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)) / deviation
        depth = rng.uniform(-CREASE_DEPTH, CREASE_DEPTH)
        light += (depth * distance * np.exp(-(distance**2) / 2)).astype(np.float32)
    return np.clip(rgb * light[..., np.newaxis], 0, 255).astype(np.uint8)


def _near(
    rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Crops the garment and its surroundings to a size that fits a distance to the camera; may mirror it."""
    cv2 = load_opencv()
    x, y, width, height = box_of(mask)
    margin = round(SURROUNDINGS * max(width, height))
    rows = slice(max(0, y - margin), y + height + margin)
    columns = slice(max(0, x - margin), x + width + margin)
    rgb, mask = rgb[rows, columns], mask[rows, columns]
    side = np.exp(rng.uniform(*np.log(SIDE_RANGE)))
    scale = side / max(mask.shape)
    if rng.random() < 0.5:
        rgb, mask = rgb[:, ::-1], mask[:, ::-1]
    if scale < 1:
        size_wh = tuple(max(1, round(length * scale)) for length in mask.shape[::-1])
        rgb = cv2.resize(np.ascontiguousarray(rgb), size_wh, interpolation=cv2.INTER_AREA)
        coverage = cv2.resize(levels_of(mask), size_wh, interpolation=cv2.INTER_AREA)
        mask = coverage >= min(128, int(coverage.max()))
    return np.ascontiguousarray(rgb), np.ascontiguousarray(mask)


def _turned(
    rgb: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    degrees = float(np.clip(rng.normal(0, ROTATION / 2), -ROTATION, ROTATION))
    ground = tuple(int(level) for level in rgb[0].mean(axis=0))
    picture = Image.fromarray(rgb).rotate(
        degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=ground
    )
    outline = Image.fromarray(levels_of(mask)).rotate(
        degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=0
    )
    turned = np.asarray(outline) >= 128
    # A mask that is a pixel wide may be lost by turning it.
    return (np.array(picture), turned) if turned.any() else (rgb, mask)


def exposed(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes a picture as lens, sensor and file do: light and its colour, gamma, blur, noise, JPEG.

    Args:
        rgb: uint8, shape (H, W, 3).
        rng: Source of all random amounts.

    Returns:
        uint8, shape (H, W, 3).
    """
    from PIL import Image

    cv2 = load_opencv()
    height, width = rgb.shape[:2]
    gain = rng.uniform(*GAIN_RANGE) * rng.uniform(1 - CAST, 1 + CAST, 3)
    gamma = np.exp(rng.uniform(*np.log(GAMMA_RANGE)))
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, FALL_OFF)
    levels = np.clip(np.arange(256)[:, np.newaxis] / 255 * gain, 0, 1) ** gamma * 255
    values = np.stack([levels[rgb[..., i], i] for i in range(3)], axis=2).astype(np.float32)
    across = np.linspace(-0.5, 0.5, width) * np.cos(angle)
    down = np.linspace(-0.5, 0.5, height)[:, np.newaxis] * np.sin(angle)
    values *= (1 + strength * (across + down))[..., np.newaxis].astype(np.float32)
    is_blurred, is_noisy = rng.random() < _ODDS["blur"], rng.random() < _ODDS["noise"]
    deviation, noise = rng.uniform(*BLUR_RANGE), rng.uniform(*NOISE_RANGE)
    if is_blurred and deviation > 0.1:
        values = cv2.GaussianBlur(values, (0, 0), deviation)
    if is_noisy:
        values += rng.standard_normal(values.shape, np.float32) * np.float32(noise)
    file = io.BytesIO()
    image = Image.fromarray(np.rint(np.clip(values, 0, 255)).astype(np.uint8))
    image.save(file, "JPEG", quality=int(rng.integers(*JPEG_RANGE)))
    return np.array(Image.open(file))


def _spoiled(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes a mask by the errors that segmenters make."""
    cv2 = load_opencv()
    x, y, width, height = box_of(mask)
    side = max(width, height)
    happens = {name: rng.random() < odds for name, odds in _ODDS.items()}
    if happens["wobble"]:
        waves = rng.standard_normal(mask.shape, np.float32)
        waves = cv2.GaussianBlur(waves, (0, 0), max(1.0, side / 16))
        waves /= max(float(waves.std()), 1e-6)
        inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
        outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
        mask = inside - outside > waves * rng.uniform(0, WOBBLE) * side / 2
    if happens["growth"]:
        amount = rng.uniform(-GROWTH, GROWTH) * side
        radius = round(abs(amount))
        if radius:
            disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
            change = cv2.dilate if amount > 0 else cv2.erode
            mask = change(mask.astype(np.uint8), disk) > 0
    if happens["bite"]:
        mask = mask & ~_blob(mask, side, rng)
    if happens["leak"]:
        mask = mask | _blob(mask, side, rng)
    if happens["crop"]:
        mask = mask.copy()
        thickness = round(rng.uniform(0, CROP) * side)
        edge = int(rng.integers(4))
        first, last = (y, y + height) if edge < 2 else (x, x + width)
        cut = slice(0, first + thickness) if edge % 2 else slice(last - thickness, None)
        mask[(cut, slice(None)) if edge < 2 else (slice(None), cut)] = False
    return mask


def _blob(mask: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draws an ellipse about a place on the outline; bool, in the shape of the mask."""
    cv2 = load_opencv()
    blob = np.zeros(mask.shape, np.uint8)
    rows, columns = np.nonzero(mask & ~(cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0))
    if len(rows):
        place = int(rng.integers(len(rows)))
        centre = (int(columns[place]), int(rows[place]))
        axes = [max(1, round(rng.uniform(*BLOB_RANGE) * side)) for _ in range(2)]
        cv2.ellipse(blob, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return blob > 0
