"""Telling a garment from what it lies on: segmenters behind one interface, found by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from edge.errors import MissingPartError, OptionError
from edge.labels import nearest

WORKING_SIDE = 160  # pixels, longest side while segmenting; the tile that comes of it has 28
FRAME_SHARE = 0.06  # of the longest side: the frame along the border that shows the background
# "Close to the corner pixels" of the paper (arXiv 1708.07747, section 2, step 2): 5% of the largest
# possible distance in RGB, sqrt(3) * 255.
PLAIN_DISTANCE = 0.05 * 3**0.5 * 255
PLAIN_SHARE = 0.97  # of the border's pixels that are so close where a background counts as plain
GRABCUT_ITERATIONS = 2  # more change nothing that shows, since the start is good
_SEED = 1708  # any fixed number: GrabCut's k-means draws from OpenCV's generator
_MIDDLE = 0.6  # of width and height: the part of a picture where garments are
_KEPT_COMPONENT = 0.15  # of the largest one's area: a second shoe is kept, a crumb is not
_FILLED_HOLE = 0.0015  # of the picture's area: a button is filled, the gap below an arm is not
_GARMENT_ODDS = (
    0.6  # a colour this much commoner in the middle than along the border is the garment's
)


class Segmenter(Protocol):
    """Finds the garment in a picture."""

    name: str  # under which it is registered and reported

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """Where the garment is.

        Args:
            rgb: uint8, shape (H, W, 3). Not changed.

        Returns:
            bool, shape (H, W), True on the garment; all False where none is found.
        """
        ...


class PlainSegmenter:
    """The paper's own rule for its studio pictures: what is not near the background's colour.

    The background's colour is the median of the border instead of a corner, which a speck would spoil.
    """

    name = "plain"

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        distance = _distance_to_border(_reduced(rgb))
        return _enlarged(_cleaned(distance > PLAIN_DISTANCE), rgb.shape)


class BorderSegmenter:
    """Colours that are commoner in the middle of the picture than along its border; made for slow boards.

    So a garment may touch the border, and the ground may show between its sleeves.
    """

    name = "border"

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        return _enlarged(_cleaned(_garment_odds(_reduced(rgb)) > _GARMENT_ODDS), rgb.shape)


class GrabCutSegmenter:
    """GrabCut (Rother and others, 2004), started from what `BorderSegmenter` finds.

    A plain background is recognised and left to the paper's rule, which is exact and faster there.
    """

    name = "grabcut"

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        small = _reduced(rgb)
        distance = _distance_to_border(small)
        mask = distance > PLAIN_DISTANCE if is_plain(distance) else _grabcut(small)
        return _enlarged(_cleaned(mask), rgb.shape)


SEGMENTERS: dict[str, Callable[[], Segmenter]] = {
    "grabcut": GrabCutSegmenter,
    "border": BorderSegmenter,
    "plain": PlainSegmenter,
}


def make_segmenter(name: str) -> Segmenter:
    """A segmenter by its name.

    Raises:
        OptionError: If none is called so; the message proposes the nearest name.
    """
    if name in SEGMENTERS:
        return SEGMENTERS[name]()
    guess = nearest(name, list(SEGMENTERS))
    hint = f"did you mean '{guess}'?" if guess else f"there are: {', '.join(SEGMENTERS)}."
    raise OptionError(f"No segmenter is called '{name}'; {hint}")


def load_opencv() -> Any:
    """The module `cv2`, which is not everywhere.

    Raises:
        MissingPartError: If it is not installed or cannot be loaded.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingPartError(
            f"OpenCV cannot be loaded ({error}); install it with \"pip install 'garmentlite[headless]'\" "
            "(on a Raspberry Pi 'apt install python3-opencv' does too)."
        ) from error
    return cv2


def is_plain(distance: np.ndarray) -> bool:
    """Whether a picture's background has one colour.

    Args:
        distance: Of every pixel to the border's median colour, RGB units, shape (H, W).
    """
    return bool((distance[_frame_of(distance.shape)] <= PLAIN_DISTANCE).mean() >= PLAIN_SHARE)


def _distance_to_border(rgb: np.ndarray) -> np.ndarray:
    """Distance in RGB of every pixel to the border's median colour: float32, shape (H, W)."""
    colour = np.median(rgb[_frame_of(rgb.shape)], axis=0).astype(np.float32)
    return np.linalg.norm(rgb - colour, axis=2)


def _garment_odds(rgb: np.ndarray) -> np.ndarray:
    """How much commoner a pixel's colour is in the middle than in the frame: middle / (middle + frame).

    Args:
        rgb: uint8, shape (H, W, 3).

    Returns:
        float32, shape (H, W), in [0, 1], smoothed over the neighbourhood; 0.5 is undecided.
    """
    cv2 = load_opencv()
    lab = cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0), cv2.COLOR_RGB2Lab).astype(np.int32)
    bins = (lab[..., 0] >> 4) * 1024 + (lab[..., 1] >> 3) * 32 + (lab[..., 2] >> 3)
    frame = _share_of_bins(bins[_frame_of(rgb.shape)])
    height, width = bins.shape
    margin_y, margin_x = (int(side * (1 - _MIDDLE) / 2) for side in (height, width))
    middle = _share_of_bins(bins[margin_y : height - margin_y, margin_x : width - margin_x])
    smallest = 1e-6  # a colour in neither is undecided, 0.5
    odds = (middle + smallest) / (middle + frame + 2 * smallest)
    return cv2.GaussianBlur(odds[bins], (0, 0), 1.2)


def _share_of_bins(bins: np.ndarray) -> np.ndarray:
    """The smoothed histogram of some pixels: float32, shape (16 * 32 * 32,), sum 1."""
    shares = np.bincount(bins.ravel(), minlength=16 * 32 * 32) / np.float32(bins.size)
    shares = shares.reshape(16, 32, 32)  # L, a, b
    for axis in range(3):
        shares = (2 * shares + np.roll(shares, 1, axis) + np.roll(shares, -1, axis)) / 4
    return shares.ravel()


def _grabcut(rgb: np.ndarray) -> np.ndarray:
    """The garment by GrabCut: bool, shape (H, W)."""
    cv2 = load_opencv()
    likely = _garment_odds(rgb) > _GARMENT_ODDS
    trimap = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[_frame_of(rgb.shape) & ~likely] = cv2.GC_BGD
    if likely.all() or not likely.any():  # nothing to learn one of the two colour models from
        return likely
    cv2.setRNGSeed(_SEED)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))  # storage of the colour models
    cv2.grabCut(
        rgb, trimap, None, background, foreground, GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_MASK
    )
    mask = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    # Where most of its start is lost, it has learnt a garment that fills the picture as background.
    return mask if mask.sum() > likely.sum() / 3 else likely


def _frame_of(shape: tuple[int, ...]) -> np.ndarray:
    """Where the border of a picture is: bool, shape (H, W)."""
    height, width = shape[:2]
    thickness = max(1, round(FRAME_SHARE * max(height, width)))
    frame = np.ones((height, width), bool)
    frame[thickness : height - thickness, thickness : width - thickness] = False
    return frame


def _cleaned(mask: np.ndarray) -> np.ndarray:
    """Without crumbs, threads and small holes; bool, shape (H, W)."""
    cv2 = load_opencv()
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # number 0 is the background
    kept = (areas[numbers] > 0) & (areas[numbers] >= _KEPT_COMPONENT * areas.max())
    ground = (~kept).astype(np.uint8)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(ground, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < _FILLED_HOLE * mask.size
    return kept | small[numbers]


def _reduced(rgb: np.ndarray) -> np.ndarray:
    """The picture with its longest side at `WORKING_SIDE` or less."""
    cv2 = load_opencv()
    height, width = rgb.shape[:2]
    scale = WORKING_SIDE / max(height, width)
    if scale >= 1:
        return rgb
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA)


def _enlarged(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask at the size of the picture it was made for; bool, shape (H, W)."""
    cv2 = load_opencv()
    levels = mask.astype(np.uint8) * 255
    size_wh = (shape[1], shape[0])
    return cv2.resize(levels, size_wh, interpolation=cv2.INTER_LINEAR_EXACT) >= 128
