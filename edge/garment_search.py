"""Finds a garment in a frame by looking at windows of several sizes and places.

A segmentation network reduces whatever it looks at to a small square, so a garment that fills a third of the
frame has few pixels there. The search follows the garment with a window that is a little larger than the
garment. While the garment is not found surely, further windows are looked at, a few in each frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.interface import GuidedSegmenter

Window = tuple[slice, slice]  # rows and columns of a frame

MARGIN = 0.15  # how far a window around a garment extends on each side, as a share of the garment's sides
# Smallest ratio of a window's shorter side to its longer one, as in most photographs.
LEAST_ASPECT = 0.75
# Sides of the smaller windows as a share of the searched part, and where they begin as a share of the rest.
# Every second window is the middle, since that is where people hold a garment up.
_SMALLER = 0.6
_MIDDLE = (1, 1)
_PLACES = tuple(
    place
    for other in ((0, 1), (2, 1), (1, 0), (1, 2), (0, 0), (0, 2), (2, 0), (2, 2))
    for place in (_MIDDLE, other)
)
# Logit that is added where a pixel certainly agrees with the scene and so cannot belong to the garment. A
# pixel that differs may belong to a garment, a hand or a person, so nothing is added there and the segmenter
# decides. That was right more often than adding 1 or 2 in favour of the garment.
_AGREES = -4.0
# Scores in logits, see `_Look.score`; those that the comments name were measured with an earlier segmentation
# network. A garment of which the search is sure is found at once. The clothes of a person who stands in the
# picture seldom reach that score: theirs change from frame to frame between 1 and 3.5. So anything else is
# found only when the belief, which is the mean of the last scores, reaches the first of two values, and lost
# when the belief falls below the second.
_SURE_SCORE = 4.3  # the search looks nowhere else in this frame
# What reaches this score is a garment even if it has not moved. Furniture in 23 empty views had up to 4.4.
_CERTAIN_SCORE = 4.8
_FOUND_BELIEF, _LOST_BELIEF = 2.6, 2.2
# The belief at the start, when a person may already be in view, and the belief after an empty scene.
_FIRST_BELIEF, _BELIEF_IF_EMPTY = 1.5, 2.4
_LEAST_BELIEF, _LARGEST_BELIEF = 0.0, 3.0  # so that neither state lasts for more than a few frames
_NEW_WEIGHT = 0.3  # of the newest score in the belief
_FOLLOWED_SCORE = 0.0  # a window follows what reaches this score, even if no garment is found
_FAIR_SCORE = 2.4  # the search looks at fewer further windows in this frame
_CUT_PENALTY = 4.0  # for a mask that the window's border cuts off
# For each box by which the middle of a mask is farther than the first distance from the middle of the guide
# box. Distances beyond the second count as that one: a sure garment is found outside the box as well.
_PLACE_PENALTY, _NEAREST, _FARTHEST = 7.5, 0.1, 0.3
_SMALLEST_MASK = 0.01  # share of the frame; a smaller mask is not prepared for the classifier
_WORSE = 1.0  # a closer look is preferred even if its score is lower by this much
_CLOSER = 0.75  # a window counts as closer if its area is at most this share of the other's


@dataclass(frozen=True)
class _Look:
    """What was found in one window.

    Attributes:
        window: Rows and columns of the frame.
        mask: bool, the shape of the window, True on the garment.
        score: How sure it is that the mask is the whole of a garment: the network's mean logit, less
            penalties for the place of the mask; -inf if there is no mask.
    """

    window: Window
    mask: np.ndarray
    score: float


class GarmentSearch:
    """Finds the garment in one frame after the other.

    Attributes:
        is_certain: Whether the last frame alone shows that what was found in it is a garment.
    """

    def __init__(self, segmenter: GuidedSegmenter) -> None:
        """Starts without a garment.

        Args:
            segmenter: Finds the garment in a window.
        """
        self._segmenter = segmenter
        self.forget()

    def forget(self) -> None:
        """Begins anew; call it when another source begins."""
        self._places = cycle(_PLACES)
        self._looks_at_part = False  # whether the whole part was looked at in the last frame
        self.lose()
        self._belief = _FIRST_BELIEF

    def lose(self) -> None:
        """Stops following the garment; call it if nothing is in view."""
        self._followed: GuideBox | None = None  # the box around the mask of the last frame
        self._belief = _BELIEF_IF_EMPTY
        self._is_found = self.is_certain = False

    def find(
        self, rgb: np.ndarray, part: Window, foreground: np.ndarray | None, box: GuideBox
    ) -> np.ndarray:
        """Finds the garment in a frame.

        Args:
            rgb: uint8, shape (H, W, 3). It is not changed.
            part: Rows and columns in which a new garment is searched for.
            foreground: float32, shape (h, w), in [0, 1]: how certainly each part of the frame differs from
                the empty scene; None if the scene is not known.
            box: Where the garment is expected.

        Returns:
            bool, shape (H, W), True on the garment; False everywhere if no garment was found.
        """
        best = self._look(rgb, self._first_window(rgb.shape, part), foreground, box)
        if best.score < _SURE_SCORE:
            for window in self._further_windows(part, best.score):
                other = self._look(rgb, window, foreground, box)
                best = max(best, other, key=lambda look: look.score)
        best = self._closer(best, rgb, foreground, box)
        self._believe(best.score)
        mask = np.zeros(rgb.shape[:2], bool)
        self._followed = None
        if best.score >= _FOLLOWED_SCORE:
            self._followed = _box_around(best, rgb.shape)
            if self._is_found:
                mask[best.window] = best.mask
        return mask

    def _believe(self, score: float) -> None:
        """Decides from the scores of the last frames whether there is a garment."""
        self.is_certain = score >= _CERTAIN_SCORE
        if score >= _SURE_SCORE:
            self._belief = _LARGEST_BELIEF
        else:
            change = max(score, _LEAST_BELIEF) - self._belief
            self._belief = min(self._belief + _NEW_WEIGHT * change, _LARGEST_BELIEF)
        self._is_found = self._belief >= (_LOST_BELIEF if self._is_found else _FOUND_BELIEF)

    def _first_window(self, shape: tuple[int, ...], part: Window) -> Window:
        """Chooses the window around the garment of the last frame, or the whole part."""
        return part if self._followed is None else _around(self._followed, shape)

    def _further_windows(self, part: Window, score: float) -> Iterator[Window]:
        """Yields the windows that are looked at beside the first one: the part, and smaller ones in turn.

        If the garment that is followed has a fair score, it is only one of them in each frame.
        """
        self._looks_at_part = not self._looks_at_part
        is_fair = self._followed is not None and score >= _FAIR_SCORE
        if self._followed is not None and (self._looks_at_part or not is_fair):
            yield part
        smaller = int(not self._looks_at_part) if is_fair else 2
        for place in islice(self._places, smaller):
            rows, columns = (_span(side, at) for side, at in zip(part, place, strict=True))
            yield rows, columns

    def _closer(
        self, look: _Look, rgb: np.ndarray, foreground: np.ndarray | None, box: GuideBox
    ) -> _Look:
        """Looks again from closer at what was found, if it is small in its window; see `find`."""
        if look.score == -math.inf:
            return look
        window = _around(_box_around(look, rgb.shape), rgb.shape)
        if _area(window) > _CLOSER * _area(look.window):
            return look
        closer = self._look(rgb, window, foreground, box)
        return closer if closer.score >= look.score - _WORSE else look

    def _look(
        self, rgb: np.ndarray, window: Window, foreground: np.ndarray | None, box: GuideBox
    ) -> _Look:
        """Segments one window, and scores what was found in it; for the other arguments see `find`."""
        seen = np.ascontiguousarray(rgb[window])
        evidence = None
        if foreground is not None:
            evidence = _AGREES * np.clip(1 - 2 * _part_of(foreground, window, rgb.shape), 0, 1)
        found = self._segmenter.guided(seen, evidence)
        look = _Look(window, found.mask, found.certainty)
        if np.count_nonzero(found.mask) < _SMALLEST_MASK * rgb.shape[0] * rgb.shape[1]:
            return replace(look, score=-math.inf)
        middle = _box_around(look, rgb.shape)
        distance = math.hypot(
            (middle.x + middle.width / 2 - box.x - box.width / 2) / box.width,
            (middle.y + middle.height / 2 - box.y - box.height / 2) / box.height,
        )
        too_far = min(max(distance - _NEAREST, 0), _FARTHEST - _NEAREST)
        penalty = _PLACE_PENALTY * too_far
        penalty += _CUT_PENALTY * _cut_share(found.mask, window, rgb.shape)
        return replace(look, score=found.certainty - penalty)


def _part_of(plane: np.ndarray, window: Window, shape: tuple[int, ...]) -> np.ndarray:
    """Cuts the part that shows a window of the frame out of a plane that is smaller than the frame.

    Args:
        plane: Shape (h, w); it shows the whole frame.
        window: Rows and columns of the frame.
        shape: Shape of the frame, (H, W) or (H, W, channels).

    Returns:
        At least one row and one column of the plane, as a new array or a contiguous view.
    """
    spans = []
    for span, side, full in zip(window, plane.shape, shape, strict=False):
        start = min(side - 1, round(span.start * side / full))
        spans.append(slice(start, max(start + 1, round(span.stop * side / full))))
    rows, columns = spans
    return np.ascontiguousarray(plane[rows, columns])


def _widened(span: slice, smallest: int, length: int) -> slice:
    """Widens a range of rows or columns to at least `smallest` of them, within [0, length)."""
    missing = max(0, min(smallest, length) - (span.stop - span.start))
    start = min(
        max(0, span.start - missing // 2), max(0, length - (span.stop - span.start) - missing)
    )
    return slice(start, start + span.stop - span.start + missing)


def window_around(
    box: GuideBox, shape: tuple[int, ...], margin: float, smallest: int = 1
) -> Window:
    """Chooses the rows and columns around a box, which are not much longer in one direction.

    Args:
        box: The box.
        shape: Shape of the frame, (H, W) or (H, W, channels).
        margin: How far the window extends beyond the box on each side, as a share of the box's sides.
        smallest: Smallest number of rows and of columns, in pixels.
    """
    rows, columns = box.pixels(shape, margin)
    longest = max(rows.stop - rows.start, columns.stop - columns.start)
    smallest = max(smallest, round(LEAST_ASPECT * longest))
    return _widened(rows, smallest, shape[0]), _widened(columns, smallest, shape[1])


def _around(box: GuideBox, shape: tuple[int, ...]) -> Window:
    return window_around(box, shape, MARGIN)


def _span(side: slice, place: int) -> slice:
    """Cuts a smaller range out of a range of rows or columns; `place` is 0, 1 or 2."""
    length = side.stop - side.start
    smaller = max(1, round(_SMALLER * length))
    start = side.start + (length - smaller) * place // 2
    return slice(start, start + smaller)


def _area(window: Window) -> int:
    rows, columns = window
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def _box_around(look: _Look, shape: tuple[int, ...]) -> GuideBox:
    """Finds the smallest box around a mask that is not empty, in shares of the frame."""
    x, y, width, height = load_opencv().boundingRect(look.mask.view(np.uint8))
    rows, columns = look.window
    return GuideBox(
        (columns.start + x) / shape[1],
        (rows.start + y) / shape[0],
        width / shape[1],
        height / shape[0],
    )


def _cut_share(mask: np.ndarray, window: Window, shape: tuple[int, ...]) -> float:
    """Measures how much of a mask lies on borders of the window that are not borders of the frame.

    Args:
        mask: bool, the shape of the window, with at least one True pixel.
        window: Rows and columns of the frame.
        shape: Shape of the frame, (H, W) or (H, W, channels).

    Returns:
        The pixels on those borders as a share of the root of the mask's area, at most 1.
    """
    (rows, columns), (height, width) = window, shape[:2]
    on_border = sum(
        np.count_nonzero(line)
        for line, is_inside in (
            (mask[0], rows.start > 0),
            (mask[-1], rows.stop < height),
            (mask[:, 0], columns.start > 0),
            (mask[:, -1], columns.stop < width),
        )
        if is_inside
    )
    return min(1.0, on_border / math.sqrt(np.count_nonzero(mask)))
