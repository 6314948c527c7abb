"""Turns a picture into the 28x28 image of the network, by the steps with which Fashion-MNIST was made.

Section 2 of the data set's paper (Xiao, Rasul, Vollgraf, arXiv 1708.07747) lists the steps: trim, reduce the
longest side to 28 by skipping rows and columns, sharpen, extend around the centre, negate, convert to 8-bit
grey. The paper's pictures have a studio background. Here a segmenter finds the garment, and the background
becomes 0 whatever it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from garmentlite.edge.median import median
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import Picture, halved
from garmentlite.edge.segmenters.interface import AlternativeSegmenter, Segmenter
from garmentlite.edge.segmenters.masks import WORKING_SIDE, components, levels_of

# How the garment is told from the background: a segmenter finds it in a "photo", the picture's own
# transparency shows it, or the picture already has the form of the training images. For a model of other
# images, the whole picture or its middle is taken (`edge/whole_picture.py`).
Form = Literal["photo", "transparent", "fashion-mnist", "resize", "centre-crop"]

# The version is raised when the images change so much that models should be trained anew. Models and stored
# tiles name it.
PREPARATION = {"name": "fashion-mnist-paper", "version": 2}
WHOLE_PICTURE = {"name": "whole-picture", "version": 1}
TILE = 28  # pixels, both sides
# Height and width in pixels of the thumbnails that the paper reduced by skipping rows and columns.
THUMBNAIL_HW = (73, 51)
# Larger garments are first reduced by averaging to this longest side in pixels and blurred with this
# standard deviation in pixels. The outline of a mask is sharp, while garments in the data set fade into the
# background: pixels on their outline have 0.63 of the grey of the other pixels (median). A sharp outline
# has 1.07, the blurred one 0.66 (`benchmarks/fidelity.py`).
REDUCED_SIDE = 56
SOFTNESS = 1.0
_COVERED = 64  # of 255: a pixel of the blurred mask with this coverage belongs to the garment
# The paper's step 4 is ImageMagick's -sharpen with radius 1 and standard deviation 1: a negative Gaussian
# whose centre is raised by twice its sum, scaled to sum 1. In integers of 1/1024, so that every machine
# computes the same bytes.
SHARPEN_CENTRE, SHARPEN_SIDE, SHARPEN_CORNER = 1700, -105, -64
_SHARPENER = np.full((3, 3), SHARPEN_CORNER, np.float32)
_SHARPENER[1], _SHARPENER[:, 1], _SHARPENER[1, 1] = SHARPEN_SIDE, SHARPEN_SIDE, SHARPEN_CENTRE
# Median grey of the garment's pixels after negation; 2% of the training images have a lower one. White
# products are not in the data (paper, section 2), so a whiter garment is raised to this level.
LOWEST_MEDIAN = 40
DARK_CORNER = 5  # grey level; in 99.8% of the training images no corner is lighter
# Ranges that hold 99% of the 60,000 training images.
ZERO_SHARE_RANGE = (0.18, 0.84)  # share of pixels that are 0
MEAN_RANGE = (14, 154)  # mean grey level of all pixels
# A mask outside these limits cannot be a garment; the masks of real garments are well inside.
_SMALLEST_MASK = 0.01  # share of the picture
_LARGEST_MASK = 0.95  # share of the picture
_LARGEST_BORDER = 0.90  # share of the pixels along the picture's border
_SMALLEST_LARGEST_PART = 0.35  # share of the mask; a pair of shoes has two parts of a half each


class Box(NamedTuple):
    """A rectangle in a picture, in pixels; x and y are its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """A picture brought to the form of the training images.

    Attributes:
        image_u8: uint8, shape (28, 28), a light garment on 0; None if no garment was found. For a whole
            picture, shape (H, W) or (H, W, 3) of the model's input.
        mask: bool, shape (H, W) of `Picture.shape`, True on the garment; None if no mask was needed.
        box: The smallest box around the garment in pixels of the mask, or the part of a whole picture that
            was taken; None if no garment was found.
        reason: Why no garment was found; None if one was found.
        form: "photo" (a segmenter found the garment), "transparent" (the picture's transparency shows it),
            "fashion-mnist" (the picture has the form of the training images and passed unchanged), "resize"
            or "centre-crop" (all of the picture or its middle was taken, without looking for a garment).
        segmenter: Name of the segmenter; None if it was not needed.
        latency_ms: Milliseconds of the stages "segment" and "prepare".
    """

    image_u8: np.ndarray | None
    mask: np.ndarray | None
    box: Box | None
    reason: str | None
    form: Form
    segmenter: str | None
    latency_ms: dict[str, float]

    @property
    def preparation(self) -> dict[str, Any]:
        """Name and version of the preparation."""
        return WHOLE_PICTURE if self.form in ("resize", "centre-crop") else PREPARATION

    def preparation_document(self) -> dict[str, Any]:
        """Makes the JSON object "preparation" that the command line prints with each answer."""
        return {
            "preparation": self.preparation["name"],
            "version": self.preparation["version"],
            "form": self.form,
            "segmenter": self.segmenter,
            "found": self.image_u8 is not None,
            "reason": self.reason,
            "box": None if self.box is None else list(self.box),
        }


def prepare(picture: Picture, segmenter: Segmenter) -> Prepared:
    """Finds the garment in a picture and brings it to the form of the training images.

    Args:
        picture: A photograph, a picture with a transparent background, or a 28x28 image that has the form
            of Fashion-MNIST already and passes unchanged.
        segmenter: Separates the garment from the background in a photograph.

    Returns:
        The prepared image, or the reason why no garment was found.

    Raises:
        MissingPartError: If OpenCV is needed and not installed.
    """
    return next(preparations(picture, segmenter))


def preparations(picture: Picture, segmenter: Segmenter) -> Iterator[Prepared]:
    """Prepares a picture, and then once more with the segmenter's second mask.

    Args:
        picture: See `prepare`.
        segmenter: See `prepare`; an `AlternativeSegmenter` can segment the picture in another way.

    Yields:
        What `prepare` returns. If that has an image and the segmenter has another mask, the picture
        prepared with that mask, which is computed when the caller asks for it.

    Raises:
        MissingPartError: If OpenCV is needed and not installed.
    """
    start = time.perf_counter()
    form, name, masks = _masks_of(picture, segmenter)
    for mask in masks:
        segmented = time.perf_counter()
        image_u8, reason, box = None, None, None
        if mask is None:
            image_u8, box = picture.rgb[..., 0].copy(), Box(0, 0, TILE, TILE)
        elif (reason := why_no_garment(mask)) is None:
            image_u8 = fit_to_tile(picture.rgb, mask)
            box = _enlarged_box(box_of(mask), mask.shape, picture.shape)
        full_mask = None if mask is None else _enlarged_mask(mask, picture.shape)
        latency_ms = {
            "segment": (segmented - start) * 1000,
            "prepare": (time.perf_counter() - segmented) * 1000,
        }
        yield Prepared(
            image_u8=image_u8, mask=full_mask, box=box, reason=reason, form=form, segmenter=name,
            latency_ms=latency_ms,
        )  # fmt: skip
        if image_u8 is None:
            return
        start = time.perf_counter()


def _masks_of(
    picture: Picture, segmenter: Segmenter
) -> tuple[Form, str | None, Iterator[np.ndarray | None]]:
    """Chooses where the mask comes from: the form, the segmenter's name if it is used, and its masks."""
    if has_fashion_mnist_form(picture):
        return "fashion-mnist", None, iter([None])
    if picture.alpha is not None and (picture.alpha < 128).mean() > 1 - _LARGEST_MASK:
        return "transparent", None, iter([picture.alpha >= 128])
    if isinstance(segmenter, AlternativeSegmenter):
        return "photo", segmenter.name, segmenter.candidate_masks(picture.rgb)
    return "photo", segmenter.name, iter([segmenter.segment(picture.rgb)])


def has_fashion_mnist_form(picture: Picture) -> bool:
    """Whether a picture is 28x28, opaque and grey, and shows something light on a dark background."""
    rgb = picture.rgb
    return bool(
        rgb.shape[:2] == (TILE, TILE)
        and picture.alpha is None
        and (rgb == rgb[..., :1]).all()
        and rgb[:: TILE - 1, :: TILE - 1].max() <= DARK_CORNER
        and rgb.max() > DARK_CORNER
    )


def why_no_garment(mask: np.ndarray) -> str | None:
    """Says why a mask, bool of shape (H, W), cannot be a garment; None if it can be one."""
    share = np.count_nonzero(mask) / mask.size
    if share < _SMALLEST_MASK:
        return "no garment stands out from the background"
    border = np.concatenate((mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    if share > _LARGEST_MASK or border.mean() > _LARGEST_BORDER:
        return "what stands out covers nearly the whole picture"
    step = math.ceil(max(mask.shape) / WORKING_SIDE)
    _, areas = components(np.ascontiguousarray(mask[::step, ::step]), connectivity=8)
    if len(areas) == 0 or areas.max() < _SMALLEST_LARGEST_PART * areas.sum():
        return "what stands out is scattered over the picture"
    return None


def fit_to_tile(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Applies the paper's steps 2 to 7 to a garment whose mask is known.

    Args:
        rgb: uint8, shape (H, W, 3).
        mask: bool, shape (H, W), True on the garment; at least one pixel.

    Returns:
        uint8, shape (28, 28). The garment's longest side fills the tile and the other side is centred; an
        odd pixel of padding goes to the left or above. Greys are negated: 0 outside, at least 1 inside.

    Raises:
        ValueError: If the mask is empty.
    """
    cv2 = load_opencv()
    rgb, mask = _trimmed(rgb, mask)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    grey |= ~levels_of(mask)  # 255, the lightest background, negates to 0
    grey, mask = _subsampled(*_thumbnails(grey, mask))
    negated = _levelled(255 - _sharpened(grey), mask)
    rows, columns = mask.shape
    top, left = (TILE - rows + 1) // 2, (TILE - columns + 1) // 2
    tile = np.zeros((TILE, TILE), np.uint8)
    tile[top : top + rows, left : left + columns] = np.where(mask, negated, 0)
    return tile


def box_of(mask: np.ndarray) -> Box:
    """Finds the smallest box around the True pixels of a mask, bool of shape (H, W).

    Raises:
        ValueError: If no pixel is True.
    """
    x, y, width, height = load_opencv().boundingRect(mask.view(np.uint8))
    if not width:
        raise ValueError("the mask is empty")
    return Box(x, y, width, height)


def acceptance(image_u8: np.ndarray) -> dict[str, Any]:
    """Measures whether an image has the properties that nearly all training images have.

    Args:
        image_u8: uint8, shape (28, 28).

    Returns:
        Measured values `corner_max`, `zero_share`, `mean` and `padding` ([left, top, right, bottom] in
        pixels); whether each property holds, as `corners_dark`, `fills_longest_side`, `zero_share_usual`,
        `mean_usual` and `centred`; and `accepted`, which is True if all hold.
    """
    garment = image_u8 > 0
    x, y, width, height = box_of(garment) if garment.any() else (0, 0, 0, 0)
    right, bottom = TILE - x - width, TILE - y - height
    corner_max = int(image_u8[:: TILE - 1, :: TILE - 1].max())
    zero_share, mean = float((image_u8 == 0).mean()), float(image_u8.mean())
    properties = {
        "corners_dark": corner_max <= DARK_CORNER,
        "fills_longest_side": max(width, height) == TILE,
        "zero_share_usual": ZERO_SHARE_RANGE[0] <= zero_share <= ZERO_SHARE_RANGE[1],
        "mean_usual": MEAN_RANGE[0] <= mean <= MEAN_RANGE[1],
        "centred": x - right in (0, 1) and y - bottom in (0, 1),
    }
    return {
        "corner_max": corner_max,
        "zero_share": zero_share,
        "mean": mean,
        "padding": [x, y, right, bottom],
        **properties,
        "accepted": all(properties.values()),
    }


def naive_tile(rgb: np.ndarray) -> np.ndarray:
    """Resizes the whole picture to 28x28 grey as most tutorials do, neither cut out nor negated.

    Args:
        rgb: uint8, shape (H, W, 3).

    Returns:
        uint8, shape (28, 28).
    """
    cv2 = load_opencv()
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (TILE, TILE), interpolation=cv2.INTER_AREA)


def _trimmed(plane: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a plane, shape (H, W) or (H, W, 3), and its mask, bool (H, W), to the box around the mask."""
    x, y, width, height = box_of(mask)
    return plane[y : y + height, x : x + width], mask[y : y + height, x : x + width]


def _thumbnails(grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduces and blurs a grey plane and its mask, unless they fit into one of the paper's thumbnails.

    Args:
        grey: uint8, shape (H, W), 255 outside the mask.
        mask: bool, shape (H, W).

    Returns:
        Both with a longest side of `REDUCED_SIDE` pixels and a margin of two pixels; or both unchanged.
    """
    cv2 = load_opencv()
    height, width = mask.shape
    if height <= THUMBNAIL_HW[0] and width <= THUMBNAIL_HW[1]:
        return grey, mask
    scale = REDUCED_SIDE / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    halves = (halved(plane, REDUCED_SIDE) for plane in (grey, levels_of(mask)))
    planes = cv2.merge([_averaged(plane, size_wh) for plane in halves])
    room = (2, 2, 2, 2)  # pixels into which the outline fades
    planes = cv2.copyMakeBorder(planes, *room, cv2.BORDER_CONSTANT, value=(255, 0))
    planes = cv2.GaussianBlur(planes, (0, 0), SOFTNESS, borderType=cv2.BORDER_REPLICATE)
    grey, coverage = cv2.split(planes)
    # Of a garment that is thin everywhere, the pixels with the highest coverage are kept.
    return grey, coverage >= min(_COVERED, int(coverage.max()))


def _averaged(plane: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Reduces a plane, uint8 (H, W), by averaging the part of it that each new pixel covers.

    OpenCV's INTER_AREA does the same, but rounds some pixels otherwise on Arm than on x86. All numbers here
    are integers, which float64 represents exactly.
    """
    (height, width), (new_width, new_height) = plane.shape, size_wh
    rows, columns = _shares(height, new_height), _shares(width, new_width)
    sums = (rows @ plane.astype(np.float64) @ columns.T).astype(np.int64)
    area = height * width
    return ((2 * sums + area) // (2 * area)).astype(np.uint8)  # rounded to nearest


def _shares(length: int, count: int) -> np.ndarray:
    """Says how much of each old pixel each new one covers: shape (count, length), rows sum to length."""
    new, old = np.arange(count + 1) * length, np.arange(length + 1) * count
    covered = np.minimum(new[1:, None], old[1:]) - np.maximum(new[:-1, None], old[:-1])
    return np.maximum(covered, 0).astype(np.float64)


def _subsampled(grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduces the longest side of a plane and its mask to 28 by skipping rows and columns.

    Ends that are thin enough to be skipped are cut off first, so that the garment fills the tile.

    Args:
        grey: uint8, shape (H, W).
        mask: bool, shape (H, W), with at least one True pixel.

    Returns:
        Both cut to the box around the reduced mask, whose longest side is 28.
    """
    while True:
        grey, mask = _trimmed(grey, mask)
        scale = TILE / max(mask.shape)
        rows, columns = (_spread(side, max(1, round(side * scale))) for side in mask.shape)
        sampled = mask[np.ix_(rows, columns)]
        if not sampled.any():  # only threads: the pixels between them are taken for garment too
            mask = np.ones_like(mask)
            continue
        x, y, width, height = box_of(sampled)
        if max(width, height) == TILE:
            return _trimmed(grey[np.ix_(rows, columns)], sampled)
        top, bottom = rows[y], rows[y + height - 1] + 1
        left, right = columns[x], columns[x + width - 1] + 1
        grey, mask = grey[top:bottom, left:right], mask[top:bottom, left:right]


def _spread(length: int, count: int) -> np.ndarray:
    """Spreads `count` indices evenly over [0, length), each in the middle of its section."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def _sharpened(grey: np.ndarray) -> np.ndarray:
    """Applies the paper's step 4 to a plane, uint8 (H, W); the border is repeated outwards."""
    cv2 = load_opencv()
    # float32 represents these integers and all their sums exactly.
    total = cv2.filter2D(grey.astype(np.float32), -1, _SHARPENER, borderType=cv2.BORDER_REPLICATE)
    return np.clip((total + 512) // 1024, 0, 255).astype(np.int32)  # 512 rounds to nearest


def _levelled(negated: np.ndarray, garment: np.ndarray) -> np.ndarray:
    """Raises the level of a garment that is nearly as white as paper; uint8, at least 1 on the garment."""
    lift = max(0, LOWEST_MEDIAN - int(median(negated[garment])))
    return np.clip(negated + lift, 1, 255).astype(np.uint8)


def _enlarged_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Repeats the pixels of a mask, bool of shape (h, w), to bool of shape (H, W)."""
    height, width = mask.shape
    if (height, width) == shape:
        return mask
    if (2 * height, 2 * width) == shape:  # the usual case, in a sixth of OpenCV's instructions
        pairs = mask.view(np.uint8).astype(np.uint16) * 0x0101
        return pairs.view(bool).repeat(2, axis=0)
    cv2 = load_opencv()
    size_wh = (shape[1], shape[0])
    return cv2.resize(mask.view(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST_EXACT).view(
        bool
    )


def _enlarged_box(box: Box, small: tuple[int, ...], full: tuple[int, int]) -> Box:
    """Brings a box in a picture of shape `small` to the same picture of shape `full`."""
    left, right = (round(x * full[1] / small[1]) for x in (box.x, box.x + box.width))
    top, bottom = (round(y * full[0] / small[0]) for y in (box.y, box.y + box.height))
    return Box(left, top, right - left, bottom - top)
