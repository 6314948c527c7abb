"""From a picture to the 28x28 the network knows, by the steps Fashion-MNIST itself was made with.

The steps are those of section 2 of the data set's paper (Xiao, Rasul, Vollgraf, arXiv 1708.07747):
trim, longest side to 28 by skipping rows and columns, sharpen, extend in the centre, negate, 8-bit
grey. The paper's pictures have a studio background; here a segmenter finds the garment, and the
background becomes 0 whatever it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from garmentlite.edge.pictures import Picture
from garmentlite.edge.segmentation import (
    WORKING_SIDE,
    SecondOpinion,
    Segmenter,
    load_opencv,
    median,
)

PREPARATION = {"name": "fashion-mnist-paper", "version": 2}
TILE = 28  # pixels, both sides
THUMBNAIL_HW = (73, 51)  # pixels; the pictures that the paper reduced by skipping rows and columns
# Longest side in pixels to which larger garments are reduced by averaging before rows are skipped, and the
# deviation in pixels by which they are softened there. The outline of a mask is hard; in the data set it
# fades into the ground: its pixels have 0.63 of the grey of the rest (median), hard ones 1.07, these 0.66
# (`benchmarks/fidelity.py`).
REDUCED_SIDE = 56
SOFTNESS = 1.0
_COVERED = 64  # of 255: so far a faded outline still is garment
# ImageMagick's -sharpen with radius 1 and deviation 1, the paper's step 4: minus a Gaussian with twice
# its sum in the centre, scaled to sum 1. In 1/1024, so that every machine gets the same bytes.
SHARPEN_CENTRE, SHARPEN_SIDE, SHARPEN_CORNER = 1700, -105, -64
_SHARPENER = np.full((3, 3), SHARPEN_CORNER, np.float32)
_SHARPENER[1], _SHARPENER[:, 1], _SHARPENER[1, 1] = SHARPEN_SIDE, SHARPEN_SIDE, SHARPEN_CENTRE
# Median grey in a garment's own pixels; 2% of the training images lie below. White products are not in
# the data (paper, section 2), so whiter ones are lifted to the whitest that the network has seen.
LOWEST_MEDIAN = 40
DARK_CORNER = 5  # grey level; all four corners are at most this in 99.8% of the training images
# The range of 99% of the 60,000 training images.
ZERO_SHARE_RANGE = (0.18, 0.84)  # of all pixels
MEAN_RANGE = (14, 154)  # grey levels, over all pixels
# Limits of what can be a garment, shares of the picture; real ones are well within.
_SMALLEST_MASK = 0.01
_LARGEST_MASK = 0.95
_LARGEST_BORDER = 0.90  # of the border's pixels
_SMALLEST_LARGEST_PART = 0.35  # of the mask: two shoes are two parts of a half each


@dataclass(frozen=True)
class Prepared:
    """A picture brought to the form of the training images.

    Attributes:
        image_u8: uint8, shape (28, 28), a light garment on 0; None when no garment was found.
        mask: bool, shape (H, W) of the picture, True on the garment; None where none was needed.
        description: What was done, as JSON: `preparation`, `version`, `form` ("photo", "transparent" or
            "fashion-mnist"), `segmenter` (a name or None), `found`, `reason` (why none was found, or
            None), `box` ([x, y, width, height] of the garment in pixels, or None).
        latency_ms: Milliseconds of the stages "segment" and "prepare".
    """

    image_u8: np.ndarray | None
    mask: np.ndarray | None
    description: dict[str, Any]
    latency_ms: dict[str, float]


def prepare(picture: Picture, segmenter: Segmenter) -> Prepared:
    """Finds the garment in a picture and brings it to the form of the training images.

    Args:
        picture: A photograph, a picture with a transparent background, or a 28x28 image that has
            Fashion-MNIST's form already (it passes unchanged).
        segmenter: How the garment is told from its background in a photograph.

    Returns:
        The image and how it came about; without an image where no garment was found.

    Raises:
        MissingPartError: If OpenCV is needed and not installed.
    """
    return next(preparations(picture, segmenter))


def preparations(picture: Picture, segmenter: Segmenter) -> Iterator[Prepared]:
    """As `prepare`, and then as it comes out by the segmenter's second opinion, made when it is asked for.

    Args:
        picture: See `prepare`.
        segmenter: See `prepare`; one that is a `SecondOpinion` is asked for it.

    Yields:
        What `prepare` returns; where that has an image, what another opinion makes of the picture, if there
        is one.

    Raises:
        MissingPartError: If OpenCV is needed and not installed.
    """
    start = time.perf_counter()
    form, name = "photo", None
    masks: Iterator[np.ndarray | None]
    if has_fashion_mnist_form(picture):
        form, masks = "fashion-mnist", iter([None])
    elif picture.alpha is not None and (picture.alpha < 128).mean() > 1 - _LARGEST_MASK:
        form, masks = "transparent", iter([picture.alpha >= 128])
    elif isinstance(segmenter, SecondOpinion):
        name, masks = segmenter.name, segmenter.opinions(picture.rgb)
    else:
        name, masks = segmenter.name, iter([segmenter.segment(picture.rgb)])
    for mask in masks:
        segmented = time.perf_counter()
        image_u8, reason, box = None, None, None
        if mask is None:
            image_u8, box = picture.rgb[..., 0].copy(), [0, 0, TILE, TILE]
        elif (reason := why_no_garment(mask)) is None:
            image_u8, box = fit_to_tile(picture.rgb, mask), list(box_of(mask))
        description = {
            "preparation": PREPARATION["name"],
            "version": PREPARATION["version"],
            "form": form,
            "segmenter": name,
            "found": image_u8 is not None,
            "reason": reason,
            "box": box,
        }
        latency_ms = {
            "segment": (segmented - start) * 1000,
            "prepare": (time.perf_counter() - segmented) * 1000,
        }
        yield Prepared(image_u8, mask, description, latency_ms)
        if image_u8 is None:
            return
        start = time.perf_counter()


def has_fashion_mnist_form(picture: Picture) -> bool:
    """Whether a picture is 28x28, opaque and grey, with something light on a dark ground."""
    rgb = picture.rgb
    return bool(
        rgb.shape[:2] == (TILE, TILE)
        and picture.alpha is None
        and (rgb == rgb[..., :1]).all()
        and rgb[:: TILE - 1, :: TILE - 1].max() <= DARK_CORNER
        and rgb.max() > DARK_CORNER
    )


def why_no_garment(mask: np.ndarray) -> str | None:
    """Why a mask, bool of shape (H, W), cannot be a garment; None where it can."""
    share = np.count_nonzero(mask) / mask.size
    if share < _SMALLEST_MASK:
        return "nothing stands out from the background"
    border = np.concatenate((mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    if share > _LARGEST_MASK or border.mean() > _LARGEST_BORDER:
        return "what stands out covers nearly the whole picture"
    step = max(1, max(mask.shape) // WORKING_SIDE)
    if _share_of_largest_part(mask[::step, ::step]) < _SMALLEST_LARGEST_PART:
        return "what stands out is scattered over the picture"
    return None


def fit_to_tile(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The paper's steps 2 to 7 for a garment whose place is known.

    Args:
        rgb: uint8, shape (H, W, 3).
        mask: bool, shape (H, W), True on the garment; at least one pixel.

    Returns:
        uint8, shape (28, 28): the garment's longest side fills the tile, the other is centred with the
        odd pixel of padding left or above, greys are negated, 0 outside and at least 1 inside.

    Raises:
        ValueError: If the mask is empty.
    """
    cv2 = load_opencv()
    rgb, mask = _trimmed(rgb, mask)
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    grey[~mask] = 255  # the lightest background, which negates to 0
    grey, mask = _subsampled(*_thumbnails(grey, mask))
    negated = _levelled(255 - _sharpened(grey), mask)
    rows, columns = mask.shape
    top, left = (TILE - rows + 1) // 2, (TILE - columns + 1) // 2
    tile = np.zeros((TILE, TILE), np.uint8)
    tile[top : top + rows, left : left + columns] = np.where(mask, negated, 0)
    return tile


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box around the True pixels: x, y, width, height in pixels.

    Raises:
        ValueError: If there is none.
    """
    x, y, width, height = load_opencv().boundingRect(mask.astype(np.uint8))
    if not width:
        raise ValueError("the mask is empty")
    return x, y, width, height


def acceptance(image_u8: np.ndarray) -> dict[str, Any]:
    """How far an image has the properties that nearly all training images have.

    Args:
        image_u8: uint8, shape (28, 28).

    Returns:
        Measured values `corner_max`, `zero_share`, `mean`, `padding` ([left, top, right, bottom] in
        pixels), and for each property whether it holds: `corners_dark`, `fills_longest_side`,
        `zero_share_usual`, `mean_usual`, `centred`; `accepted` where all do.
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
    """What most tutorials do: the whole picture squeezed to 28x28 grey, neither cut out nor negated.

    Args:
        rgb: uint8, shape (H, W, 3).

    Returns:
        uint8, shape (28, 28).
    """
    cv2 = load_opencv()
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (TILE, TILE), interpolation=cv2.INTER_AREA)


def _trimmed(plane: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plane and its mask cut to the box around the mask."""
    x, y, width, height = box_of(mask)
    return plane[y : y + height, x : x + width], mask[y : y + height, x : x + width]


def _thumbnails(grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A grey plane and its mask reduced and softened; those within the paper's thumbnails stay."""
    cv2 = load_opencv()
    height, width = mask.shape
    if height <= THUMBNAIL_HW[0] and width <= THUMBNAIL_HW[1]:
        return grey, mask
    scale = REDUCED_SIDE / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    planes = cv2.merge([grey, mask.astype(np.uint8) * 255])
    planes = cv2.resize(planes, size_wh, interpolation=cv2.INTER_AREA)
    room = (2, 2, 2, 2)  # for the outline to fade
    planes = cv2.copyMakeBorder(planes, *room, cv2.BORDER_CONSTANT, value=(255, 0))
    planes = cv2.GaussianBlur(planes, (0, 0), SOFTNESS, borderType=cv2.BORDER_REPLICATE)
    grey, coverage = cv2.split(planes)
    # Of what is thin all over, the best covered pixels are inside.
    return grey, coverage >= min(_COVERED, int(coverage.max()))


def _subsampled(grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plane and its mask with the longest side brought to 28 by skipping rows and columns.

    Ends so thin that they would be skipped are cut off first, so that the garment fills the tile.
    """
    while True:
        grey, mask = _trimmed(grey, mask)
        scale = TILE / max(mask.shape)
        rows, columns = (_spread(side, max(1, round(side * scale))) for side in mask.shape)
        sampled = mask[np.ix_(rows, columns)]
        if not sampled.any():  # threads all over: taken with what lies between them
            mask = np.ones_like(mask)
            continue
        x, y, width, height = box_of(sampled)
        if max(width, height) == TILE:
            return _trimmed(grey[np.ix_(rows, columns)], sampled)
        top, bottom = rows[y], rows[y + height - 1] + 1
        left, right = columns[x], columns[x + width - 1] + 1
        grey, mask = grey[top:bottom, left:right], mask[top:bottom, left:right]


def _spread(length: int, count: int) -> np.ndarray:
    """`count` indices spread evenly over [0, length), each in the middle of its share."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def _sharpened(grey: np.ndarray) -> np.ndarray:
    """The paper's step 4 on a plane, uint8 (H, W), in exact integers; the border is repeated outwards."""
    cv2 = load_opencv()
    # float32 holds these integers, and all sums of them, without rounding.
    total = cv2.filter2D(grey.astype(np.float32), -1, _SHARPENER, borderType=cv2.BORDER_REPLICATE)
    return np.clip((total + 512) // 1024, 0, 255).astype(np.int32)  # half of 1024, for rounding


def _levelled(negated: np.ndarray, garment: np.ndarray) -> np.ndarray:
    """Lifts a garment too white to be seen; uint8, at least 1 so that it never becomes background."""
    lift = max(0, LOWEST_MEDIAN - int(median(negated[garment])))
    return np.clip(negated + lift, 1, 255).astype(np.uint8)


def _share_of_largest_part(mask: np.ndarray) -> float:
    cv2 = load_opencv()
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]  # number 0 is the background
    return float(areas.max() / areas.sum()) if len(areas) else 0.0
