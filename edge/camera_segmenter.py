"""Finds the garment in frames of a fixed camera by the empty scene, the guide box and a segmenter.

`CameraSegmenter` takes the place of a segmenter if frames come from a camera or a video.
"""

from __future__ import annotations

import numpy as np

from garmentlite.edge.empty_scene import SIDE, Difference, EmptyScene
from garmentlite.edge.garment_search import GarmentSearch, window_around
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.interface import GuidedSegmenter, Segmenter
from garmentlite.edge.segmenters.masks import reduced

# The part of the frame that the segmenter gets is larger, on each side, than the box or than what differs
# from the scene, because the segmenter needs some of the surroundings to recognize a garment.
_BOX_MARGIN = 0.15  # share of the box's sides
_FOREGROUND_MARGIN = 0.2  # share of the sides of what differs
_SMALLEST_LOOK = 0.25  # smallest side of that part, as a share of the frame's longest side
_KEPT_PART = 0.15  # foreground parts below this share of the largest one's area are ignored
# A pixel may belong to a garment if its foreground value is above this; 0.5 means unknown.
_POSSIBLE = 0.4


class CameraSegmenter:
    """Finds the garment that is held up before a fixed camera.

    For each frame, call `look` first. If the scene is empty, call `note` with None. If the frame is
    unchanged, call `keep`. Otherwise find the garment with `segment`, and call `note` with its mask.
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
        self._search = GarmentSearch(segmenter) if isinstance(segmenter, GuidedSegmenter) else None
        self._scene = EmptyScene()
        self._difference: Difference | None = None
        self._garment: np.ndarray | None = None  # bool, (h, w), of the last answer

    def forget(self) -> None:
        """Forgets the scene; call it when another source begins or the camera was opened again."""
        self._scene.forget()
        if self._search is not None:
            self._search.forget()
        self._difference = self._garment = None

    def look(self, frame: np.ndarray, time: float) -> Difference:
        """Compares a frame with the empty scene.

        Args:
            frame: uint8, shape (H, W, 3). The channels may have any order that is the same in every frame.
                The frame is not changed.
            time: When the frame was taken, in seconds; at least the time of the last call.
        """
        self._difference = self._scene.compare(reduced(frame, SIDE), time)
        if self._difference.is_empty and self._search is not None:
            self._search.lose()
        return self._difference

    def keep(self) -> None:
        """Updates the scene with an unchanged frame, in which the garment is where it was."""
        self._scene.learn(self._garment)

    def note(self, mask: np.ndarray | None) -> None:
        """Updates the scene with what was found in the frame.

        Args:
            mask: bool, shape (H, W), True on the garment; None if there is none.
        """
        shape = self._seen().foreground.shape
        if mask is not None:
            # Twice the pixels of the result are enough.
            step = max(1, max(mask.shape) // (2 * SIDE))
            self._garment = _resized(mask[::step, ::step], shape) >= 0.5
        else:
            self._garment = None
        self._scene.learn(self._garment)
        self._scene.remember()

    @property
    def is_held(self) -> bool:
        """Whether somebody seems to hold what was found, so that it is not a part of the room.

        A garment in a hand is never quite still, so this asks whether it has moved since it was first seen.
        What is certainly a garment counts as held at once. If it does not move, it soon belongs to the scene
        and is not found any more.
        """
        is_certain = self._search is not None and self._search.is_certain
        return self._garment is not None and (is_certain or self._scene.is_held)

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """Finds the garment in the frame that was given to `look`, like `Segmenter.segment`.

        There is no second mask, as an `AlternativeSegmenter` has: the mask of all that differs from the scene
        did not change the share of right answers.

        Args:
            rgb: uint8, shape (H, W, 3), the frame. It is not changed.

        Returns:
            bool, shape (H, W), True on the garment; False everywhere if no garment was found.
        """
        seen = self._seen()
        part = self._part(rgb.shape)
        foreground = seen.foreground if seen.is_learned else None
        if self._search is not None:
            mask = self._search.find(rgb, part, foreground, self.box)
        else:
            mask = np.zeros(rgb.shape[:2], bool)
            mask[part] = self._segmenter.segment(np.ascontiguousarray(rgb[part]))
            if foreground is not None:
                mask &= _resized(foreground, rgb.shape) > _POSSIBLE
        return _touching(mask, self.box)

    def _seen(self) -> Difference:
        if self._difference is None:
            raise RuntimeError("look must be called first")
        return self._difference

    def _part(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Chooses the rows and columns of the frame that the segmenter looks at."""
        seen = self._seen()
        found = _box_of_parts(seen.foreground, self.box) if seen.is_learned else None
        if found is None:
            return window_around(self.box, shape, _BOX_MARGIN)
        smallest = round(_SMALLEST_LOOK * max(shape[:2]))
        return window_around(found, shape, _FOREGROUND_MARGIN, smallest)


def _touching(mask: np.ndarray, box: GuideBox) -> np.ndarray:
    """Keeps the parts of a mask that touch the box, or all parts if none does: bool, shape (H, W)."""
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
    """Finds the box around all that differs from the scene or is not known yet; None if there is nothing.

    Args:
        foreground: See `Difference.foreground`.
        box: The guide box; parts that touch it are preferred.
    """
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


def _resized(plane: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resizes a plane, or a mask taken as 0 and 1: float32, shape (H, W)."""
    cv2 = load_opencv()
    shrinks = plane.shape[0] > shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: np.ndarray = cv2.resize(
        plane.astype(np.float32), (shape[1], shape[0]), interpolation=interpolation
    )
    return resized
