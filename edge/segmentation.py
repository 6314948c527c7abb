"""Telling a garment from what it lies on: segmenters behind one interface, found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from garmentlite.edge.errors import MissingPartError, OptionError
from garmentlite.edge.labels import nearest
from garmentlite.edge.segmenter_net import SIDE, SegmenterNet

# Pixels, longest side while segmenting. Networks name garments cut out at 160 no better.
WORKING_SIDE = 128
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
# A colour this much commoner in the middle than along the border is the garment's.
_GARMENT_ODDS = 0.6
# Of the network's logit against the colours': what it knows is where, what they know is how exactly.
# Between 0.2 and 0.5 the mean overlap with the outlines of benchmarks/ changes by less than a point.
_NETWORK_WEIGHT = 0.3
_LARGEST_COLOUR_LOGIT = 4.0
_RARE_COLOUR = 1e-5  # of the pixels; what is rarer on both sides says nothing
# There is a garment where the network's logit reaches this on 2% of the pixels: two of 2,828 photographs of
# garments do not, and three quarters of the pieces of their ground (`benchmarks/real_garments.py`).
_LEAST_CERTAINTY = 2.0
GUIDED_CERTAINTY = 1.0
EVIDENCE_WEIGHT = 1.0
_NEIGHBOURS = np.array([0.25, 0.5, 0.25], np.float32)
# The same along the 16 bins of lightness, as a matrix; at either end the bin is its own neighbour.
_OF_LIGHTNESS = (np.eye(16) / 2 + (np.eye(16, k=1) + np.eye(16, k=-1)) / 4).astype(np.float32)
_OF_LIGHTNESS[[0, -1], [0, -1]] = 0.75
_SUREST = int(0.98 * SIDE * SIDE)  # place of that pixel in the order of levels


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


@runtime_checkable
class SecondOpinion(Protocol):
    """A segmenter that has another way to see the same picture, for where there is doubt."""

    def opinions(self, rgb: np.ndarray) -> Iterator[np.ndarray]:
        """Where the garment is, by one way after the other, each worked out when it is asked for.

        Args:
            rgb: uint8, shape (H, W, 3). Not changed.

        Yields:
            bool, shape (H, W): what `Segmenter.segment` returns, then what another way finds, if any.
        """
        ...


class PlainSegmenter:
    """The paper's own rule for its studio pictures: what is not near the background's colour.

    The background's colour is the median of the border instead of a corner, which a speck would spoil.
    """

    name = "plain"

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        small = reduced(rgb)
        return _enlarged(cleaned(_stands_out(small, _border_colour(small))), rgb.shape)


class BorderSegmenter:
    """Colours that are commoner in the middle of the picture than along its border; made for slow boards.

    So a garment may touch the border, and the ground may show between its sleeves.
    """

    name = "border"

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        bins = _colour_bins(reduced(rgb))
        return _enlarged(cleaned(_is_commoner_in_the_middle(bins)), rgb.shape)


class GrabCutSegmenter:
    """GrabCut (Rother and others, 2004), started from what `BorderSegmenter` finds.

    A plain background is recognised and left to the paper's rule, which is exact and faster there.
    """

    name = "grabcut"

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        small = reduced(rgb)
        mask = _if_plain(small)
        return _enlarged(cleaned(_grabcut(small) if mask is None else mask), rgb.shape)


class NetworkSegmenter:
    """The shipped network, which looks at the picture squeezed to a small square, sharpened by colours.

    What it takes for garment and for ground shows how common every colour is in both; together they
    decide at a finer scale than the network's. A plain background is recognised and left to the paper's
    rule, which is exact there.
    """

    name = "network"

    def __init__(self, path: Path | None = None) -> None:
        """Reads the network, once for all pictures.

        Args:
            path: A `.tflite` file; the shipped one otherwise.

        Raises:
            ModelError: If it is missing, or not such a network.
            MissingPartError: If the runtime is not installed.
        """
        self._network = SegmenterNet(path)

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        return next(self.opinions(rgb))

    def opinions(self, rgb: np.ndarray) -> Iterator[np.ndarray]:
        """See `SecondOpinion.opinions`: the second as `BorderSegmenter`, where the background is not plain.

        The two err in different ways: the mean of the answers to both is right on 84% of photographs, of
        those to one on 82 and 81% (`benchmarks/real_garments.py`).
        """
        small = reduced(rgb)
        mask = _if_plain(small)
        if mask is not None:
            yield _enlarged(cleaned(mask), rgb.shape)
            return
        bins = _colour_bins(small)
        yield _enlarged(cleaned(self._found(small, bins)), rgb.shape)
        yield _enlarged(cleaned(_is_commoner_in_the_middle(bins)), rgb.shape)

    def guided(self, rgb: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """See `GuidedSegmenter.guided`."""
        cv2 = load_opencv()
        small = reduced(rgb)
        size_wh = (small.shape[1], small.shape[0])
        bins = _colour_bins(small)
        evidence = cv2.resize(evidence, size_wh, interpolation=cv2.INTER_LINEAR_EXACT)
        smooth = cv2.resize(self._levels(small), size_wh, interpolation=cv2.INTER_LINEAR_EXACT)
        logits = self._network.logits(smooth)
        surest = np.sort(logits[evidence > -1].ravel())
        if len(surest) < 0.02 * logits.size or surest[-int(0.02 * logits.size)] < GUIDED_CERTAINTY:
            return np.zeros(rgb.shape[:2], bool)
        garment = 1 / (1 + np.exp(-(logits + evidence)))
        inside, outside = (_share_of_bins(bins, weights) for weights in (garment, 1 - garment))
        ratio = np.log((inside + _RARE_COLOUR) / (outside + _RARE_COLOUR))
        colours = np.clip(ratio, -_LARGEST_COLOUR_LOGIT, _LARGEST_COLOUR_LOGIT)[bins]
        total = _NETWORK_WEIGHT * logits + cv2.GaussianBlur(colours, (0, 0), 0.8) + EVIDENCE_WEIGHT * evidence
        return _enlarged(cleaned(total > 0), rgb.shape)

    def _found(self, rgb: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """What the network and the colours take for garment: bool, shape (H, W)."""
        levels = self._levels(rgb)
        surest = np.partition(levels, _SUREST, axis=None)[_SUREST]
        if self._network.logits(surest) < _LEAST_CERTAINTY:
            return np.zeros(rgb.shape[:2], bool)
        cv2 = load_opencv()
        size_wh = (rgb.shape[1], rgb.shape[0])
        smooth = cv2.resize(levels, size_wh, interpolation=cv2.INTER_LINEAR_EXACT)
        logits = self._network.logits(smooth)
        garment = 1 / (1 + np.exp(-logits))
        inside, outside = (_share_of_bins(bins, weights) for weights in (garment, 1 - garment))
        ratio = np.log((inside + _RARE_COLOUR) / (outside + _RARE_COLOUR))
        colours = np.clip(ratio, -_LARGEST_COLOUR_LOGIT, _LARGEST_COLOUR_LOGIT)[bins]
        return _NETWORK_WEIGHT * logits + cv2.GaussianBlur(colours, (0, 0), 0.8) > 0

    def _levels(self, rgb: np.ndarray) -> np.ndarray:
        """The network's answer to a picture squeezed to its square: uint8, shape (SIDE, SIDE)."""
        cv2 = load_opencv()
        # Where a side grows, INTER_AREA becomes INTER_LINEAR, which is not the same on every machine.
        shrinks = min(rgb.shape[:2]) >= SIDE
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR_EXACT
        return self._network.levels(cv2.resize(rgb, (SIDE, SIDE), interpolation=interpolation))


SEGMENTERS: dict[str, Callable[[], Segmenter]] = {
    "network": NetworkSegmenter,
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


def _if_plain(rgb: np.ndarray) -> np.ndarray | None:
    """What stands out, bool of shape (H, W), where the background has one colour; None elsewhere."""
    border_colour = _border_colour(rgb)
    on_border = _stands_out(_along_border(rgb), border_colour)
    return _stands_out(rgb, border_colour) if on_border.mean() <= 1 - PLAIN_SHARE else None


def _border_colour(rgb: np.ndarray) -> np.ndarray:
    """The median colour of the frame: float32, shape (3,)."""
    return median(_along_border(rgb).T)


def median(values: np.ndarray) -> np.ndarray:
    """As `np.median` over the last axis, in a tenth of the time: float32, shape (...)."""
    ordered = np.sort(values, kind="stable").astype(np.float32)  # bytes: by radix
    number = ordered.shape[-1]
    middle: np.ndarray = (ordered[..., (number - 1) // 2] + ordered[..., number // 2]) / 2
    return middle


def _stands_out(rgb: np.ndarray, border_colour: np.ndarray) -> np.ndarray:
    """Which colours, shape (..., 3), are not near the border's, by the paper's rule: bool, shape (...)."""
    away = rgb - border_colour
    return np.einsum("...c,...c->...", away, away) > PLAIN_DISTANCE**2


def _is_commoner_in_the_middle(bins: np.ndarray) -> np.ndarray:
    """Where colours are commoner in the middle than in the frame, smoothed over the neighbourhood.

    Args:
        bins: Numbers of the colours, see `_colour_bins`.

    Returns:
        bool, shape (H, W).
    """
    cv2 = load_opencv()
    frame = _share_of_bins(_along_border(bins))
    height, width = bins.shape
    margin_y, margin_x = (int(side * (1 - _MIDDLE) / 2) for side in (height, width))
    middle = _share_of_bins(bins[margin_y : height - margin_y, margin_x : width - margin_x])
    smallest = 1e-6  # a colour in neither is undecided, 0.5
    odds = (middle + smallest) / (middle + frame + 2 * smallest)
    return cv2.GaussianBlur(odds[bins], (0, 0), 1.2) > _GARMENT_ODDS


def _colour_bins(rgb: np.ndarray) -> np.ndarray:
    """The number of every pixel's colour among 32 x 32 x 16 in a, b, L: shape (H, W)."""
    cv2 = load_opencv()
    lab = cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0), cv2.COLOR_RGB2Lab)
    lightness, a, b = (plane.astype(np.intp) for plane in cv2.split(lab))
    return (a >> 3 << 9) | (b >> 3 << 4) | (lightness >> 4)


def _share_of_bins(bins: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The smoothed histogram of some pixels, weighted or not: float32, shape (32 * 32 * 16,), sum 1."""
    cv2 = load_opencv()
    flat = None if weights is None else weights.ravel()
    total = bins.size if weights is None else max(float(weights.sum()), 1.0)
    counts = np.bincount(bins.ravel(), flat, minlength=32 * 32 * 16)
    shares = (counts / total).astype(np.float32).reshape(32, 32, 16)
    # Neighbours count half, in a and b as pixels of 16 channels.
    shares = cv2.sepFilter2D(shares, -1, _NEIGHBOURS, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    smoothed: np.ndarray = shares.reshape(-1, 16) @ _OF_LIGHTNESS
    return smoothed.ravel()


def _grabcut(rgb: np.ndarray) -> np.ndarray:
    """The garment by GrabCut: bool, shape (H, W)."""
    cv2 = load_opencv()
    likely = _is_commoner_in_the_middle(_colour_bins(rgb))
    trimap = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[frame_of(rgb.shape) & ~likely] = cv2.GC_BGD
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


def _along_border(plane: np.ndarray) -> np.ndarray:
    """The pixels of `frame_of`, side by side: shape (N, ...) of a plane (H, W, ...)."""
    height, width = plane.shape[:2]
    thickness = _thickness(height, width)
    if min(height, width) <= 2 * thickness:
        sides = [plane]
    else:
        between = plane[thickness : height - thickness]
        sides = [
            plane[:thickness],
            plane[-thickness:],
            between[:, :thickness],
            between[:, -thickness:],
        ]
    # Slices, since choosing by a mask takes ten times as long.
    return np.concatenate([side.reshape(-1, *plane.shape[2:]) for side in sides])


def frame_of(shape: tuple[int, ...]) -> np.ndarray:
    """Where the border of a picture is: bool, shape (H, W)."""
    height, width = shape[:2]
    thickness = _thickness(height, width)
    frame = np.ones((height, width), bool)
    frame[thickness : height - thickness, thickness : width - thickness] = False
    return frame


def _thickness(height: int, width: int) -> int:
    """Of the frame, in pixels."""
    return max(1, round(FRAME_SHARE * max(height, width)))


def cleaned(mask: np.ndarray) -> np.ndarray:
    """Without crumbs, threads and small holes; bool, shape (H, W)."""
    cv2 = load_opencv()
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    is_kept = areas >= _KEPT_COMPONENT * areas[1:].max(initial=0)
    is_kept[0] = False  # number 0 is the background
    kept = is_kept.take(numbers)
    ground = (~kept).astype(np.uint8)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(ground, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < _FILLED_HOLE * mask.size
    return kept | small.take(numbers)


def reduced(rgb: np.ndarray, side: int = WORKING_SIDE) -> np.ndarray:
    """The picture with its longest side at `side` pixels or less."""
    cv2 = load_opencv()
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
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
