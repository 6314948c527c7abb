"""A fixed camera: the empty scene, the guide box and the segmenter find the garment together.

`FixedCamera` stands in for a segmenter wherever frames come from a camera or a video.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from garmentlite.edge.empty_scene import SIDE, Difference, EmptyScene
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.interface import GuidedSegmenter, SecondOpinion, Segmenter
from garmentlite.edge.segmenters.masks import reduced

# The segmenter looks at this much more than the box, or than what differs from the scene, on each side: it
# tells a garment from its surroundings.
_BOX_MARGIN = 0.15  # share of the box's sides
_FOREGROUND_MARGIN = 0.2  # share of the sides of what differs
_SMALLEST_LOOK = 0.25  # share of the frame's longest side: the side of the smallest part looked at
_LEAST_ASPECT = 0.75  # of the part's shorter side to its longer one, as in most photographs
_KEPT_PART = 0.15  # of the largest part of the foreground
# Logit of a pixel that certainly agrees with the scene, so that it is not the garment's. A pixel that differs
# may be a garment's, a hand's or a person's: there the segmenter decides alone, which was right more often
# than with a logit of 1 or 2 in favour of the garment.
_AGREES = -4.0
_POSSIBLE = 0.4  # value of the foreground from which on a pixel may be a garment's; 0.5 is unknown


class FixedCamera:
    """Finds the garment that is held up before a fixed camera.

    For each frame, `look` comes first. Where it sees neither an empty scene nor an unchanged one, `segment`
    or `opinions` find the garment, and `note` takes the result in.
    """

    def __init__(self, segmenter: Segmenter, box: GuideBox = DEFAULT_BOX) -> None:
        """Starts without a scene.

        Args:
            segmenter: Tells a garment from hands, people and, until the scene is known, from the room.
            box: Where the garment is expected.
        """
        self.name, self.version = segmenter.name, segmenter.version
        self.box = box
        self._segmenter = segmenter
        self._scene = EmptyScene()
        self._difference: Difference | None = None
        self._garment: np.ndarray | None = None  # bool, (h, w), of the last answer

    def forget(self) -> None:
        """Forgets the scene: another source begins, or the camera was opened again."""
        self._scene.forget()
        self._difference = self._garment = None

    def look(self, frame: np.ndarray, time: float) -> Difference:
        """Compares a frame with the empty scene.

        Args:
            frame: uint8, shape (H, W, 3), the channels in any order as long as it stays the same. It is not
                changed.
            time: Seconds, not before those of the last frame.
        """
        self._difference = self._scene.compare(reduced(frame, SIDE), time)
        return self._difference

    def keep(self) -> None:
        """Takes in that the frame shows what the last answered one showed."""
        self._scene.learn(self._garment)

    def note(self, mask: np.ndarray | None) -> None:
        """Takes in what was found in the frame.

        Args:
            mask: bool, shape (H, W), True on the garment; None where there is none.
        """
        shape = self._seen().foreground.shape
        self._garment = None if mask is None else _resized(mask, shape) >= 0.5
        self._scene.learn(self._garment)
        self._scene.remember()

    @property
    def is_held(self) -> bool:
        """Whether what was found belongs to the garment that is held up, and not to the room.

        A garment that is held is never quite still, so that is one that has moved since the camera started.
        """
        return self._garment is not None and self._scene.is_held

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`; `rgb` shows the frame that was given to `look`."""
        return next(self.opinions(rgb))

    def opinions(self, rgb: np.ndarray) -> Iterator[np.ndarray]:
        """See `SecondOpinion.opinions`; `rgb` shows the frame that was given to `look`.

        Until a scene is known, the opinions are the segmenter's on the box and its surroundings. Then there
        is one. A second one, of whatever differs from the scene, made no difference in the share of right
        answers.
        """
        part = self._part(rgb.shape)
        looked_at = np.ascontiguousarray(rgb[part])
        for found in self._found(looked_at, part, rgb.shape):
            mask = np.zeros(rgb.shape[:2], bool)
            mask[part] = found
            yield _touching(mask, self.box)

    def _found(
        self, looked_at: np.ndarray, part: tuple[slice, slice], shape: tuple[int, ...]
    ) -> Iterator[np.ndarray]:
        """Masks of the part of the frame that the segmenter looks at."""
        seen = self._seen()
        if not seen.is_learned:
            if isinstance(self._segmenter, SecondOpinion):
                yield from self._segmenter.opinions(looked_at)
            else:
                yield self._segmenter.segment(looked_at)
            return
        foreground = _cut(seen.foreground, part, shape)
        if isinstance(self._segmenter, GuidedSegmenter):
            yield self._segmenter.guided(looked_at, _AGREES * np.clip(1 - 2 * foreground, 0, 1))
        else:
            possible = _resized(foreground, looked_at.shape) > _POSSIBLE
            yield self._segmenter.segment(looked_at) & possible

    def _seen(self) -> Difference:
        if self._difference is None:
            raise RuntimeError("look must be called first")
        return self._difference

    def _part(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the frame that the segmenter looks at."""
        seen = self._seen()
        found = _box_of_parts(seen.foreground, self.box) if seen.is_learned else None
        box, margin = (self.box, _BOX_MARGIN) if found is None else (found, _FOREGROUND_MARGIN)
        rows, columns = box.pixels(shape, margin)
        longest = max(rows.stop - rows.start, columns.stop - columns.start)
        smallest = round(max(_SMALLEST_LOOK * max(shape[:2]), _LEAST_ASPECT * longest))
        return _widened(rows, smallest, shape[0]), _widened(columns, smallest, shape[1])


def _touching(mask: np.ndarray, box: GuideBox) -> np.ndarray:
    """The parts of a mask that touch the box, or all of them if none does: bool, shape (H, W)."""
    step = max(1, max(mask.shape) // SIDE)
    small = mask[::step, ::step]
    count, numbers = load_opencv().connectedComponents(small.astype(np.uint8), connectivity=8)
    touches = np.zeros(count, bool)
    touches[np.unique(numbers[box.pixels(small.shape)])] = True
    touches[0] = False  # component 0 is the background
    if touches[1:].all() or not touches.any():
        return mask
    kept = touches.take(numbers).astype(np.uint8)
    kept = load_opencv().dilate(kept, np.ones((3, 3), np.uint8))
    return mask & (_resized(kept, mask.shape) > 0)


def _box_of_parts(foreground: np.ndarray, box: GuideBox) -> GuideBox | None:
    """The box around what differs from the scene, or is not known of it; None where nothing does."""
    cv2 = load_opencv()
    height, width = foreground.shape
    mask = (foreground > _POSSIBLE).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = _touching(mask > 0, box).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    parts = stats[1:][areas >= _KEPT_PART * areas.max()]
    left, top = parts[:, cv2.CC_STAT_LEFT], parts[:, cv2.CC_STAT_TOP]
    right = (left + parts[:, cv2.CC_STAT_WIDTH]).max()
    bottom = (top + parts[:, cv2.CC_STAT_HEIGHT]).max()
    x, y = left.min(), top.min()
    return GuideBox(x / width, y / height, (right - x) / width, (bottom - y) / height)


def _widened(span: slice, smallest: int, length: int) -> slice:
    """A range of rows or columns with at least `smallest` of them, within [0, length)."""
    missing = max(0, min(smallest, length) - (span.stop - span.start))
    start = min(
        max(0, span.start - missing // 2), max(0, length - (span.stop - span.start) - missing)
    )
    return slice(start, start + span.stop - span.start + missing)


def _cut(plane: np.ndarray, part: tuple[slice, slice], shape: tuple[int, ...]) -> np.ndarray:
    """The same part of a reduced plane as of the frame it was made from."""
    rows, columns = (
        slice(
            min(side - 1, round(span.start * side / full)),
            max(min(side - 1, round(span.start * side / full)) + 1, round(span.stop * side / full)),
        )
        for span, side, full in zip(part, plane.shape, shape, strict=False)
    )
    return np.ascontiguousarray(plane[rows, columns])


def _resized(plane: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A plane, or a mask as 0 and 1, at another size: float32, shape (H, W)."""
    cv2 = load_opencv()
    shrinks = plane.shape[0] > shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: np.ndarray = cv2.resize(
        plane.astype(np.float32), (shape[1], shape[0]), interpolation=interpolation
    )
    return resized
