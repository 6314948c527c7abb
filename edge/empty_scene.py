"""Learns the empty scene, which is what a fixed camera sees while no garment is held up.

A pixel joins the scene when it has not changed for a while. How long that takes depends on whether a garment
was seen there and whether that garment has moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.held_garment import MOVED_SECONDS, MOVED_SHARE, HeldGarment
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.scene_model import (
    AGREES,
    DIFFERS,
    EDGE_CONTRAST,
    FIRST_NOISE,
    Match,
    SceneModel,
    distance_between,
    gradients,
    noise_variance,
)

SIDE = 128  # pixels, the longest side at which frames are compared

# Seconds without a change after which a pixel joins the scene. The first value holds where the scene is not
# known yet, and the second where the scene is known and the frame differs, as after a chair was moved. For
# garments `HeldGarment` decides.
LEARNING_SECONDS, FURNITURE_SECONDS = 1.0, 10.0

_SCENE_SECONDS = 20.0  # time constant with which the scene follows the daylight
_NOISE_SECONDS = 5.0  # time constant of the noise levels
_RECENT_SECONDS = 1.0  # time constant of the recent mean of each pixel

# A pixel has changed if it is farther from its recent mean than so many standard deviations.
_CHANGED = 4.5
# Median of the root mean square over three channels if the standard deviation of each is 1. It is 0.67 if the
# channels have the same noise and 0.89 if their noise is independent; this value lies between the two.
_MEDIAN_OF_NOISE = 0.8
_EDGES_SECONDS = 1.0  # time between two searches for the edges of the scene

# A frame shows the empty scene if no part that differs is as large as this share of the picture. The smallest
# mask of a garment covers twice as much.
_SMALLEST_PART = 0.005
_LEARNED_SHARE = 0.5  # the scene counts as learned if at least this share of the picture is known

# The camera was moved or covered if less than this share of the edges agrees for so long. That must be so
# both in the whole picture and along its border, which a garment seldom covers.
_LEAST_AGREEMENT, _LOST_SECONDS = 0.5, 0.4
# The light was switched if the edges agree, but the levels agree in less than this share of the picture.
_LEAST_LIT = 0.5
# A former scene is back if at least this share of its edges and levels agrees.
_BACK_AGREEMENT = 0.75


@dataclass(frozen=True)
class Difference:
    """How a frame differs from the empty scene, at the reduced size.

    Attributes:
        foreground: float32, shape (h, w), in [0, 1]: 1 where the frame differs from the scene, 0 where it
            agrees, 0.5 where the scene is not known yet.
        is_learned: Whether the scene is known in most of the picture.
        is_empty: Whether the scene is known wherever a garment would fit, and the frame agrees with it.
        is_unchanged: Whether the frame shows the same as the one that `remember` stored.
    """

    foreground: np.ndarray
    is_learned: bool
    is_empty: bool
    is_unchanged: bool


class EmptyScene:
    """Learns the empty scene of a fixed camera, and finds what differs from it.

    For each frame, first call `compare`, and then `learn` with the garment that was found in the same frame.
    """

    def __init__(self) -> None:
        """Starts without a scene."""
        self._garment = HeldGarment()
        self.forget()

    def forget(self) -> None:
        """Forgets every scene; call it when another source begins or the camera was opened again."""
        self._scene: SceneModel | None = None
        self._former: SceneModel | None = None
        self._noise = FIRST_NOISE  # grey levels
        self._frames = 0  # number of frames that were learned from
        self._remembered: np.ndarray | None = None
        self._first: np.ndarray | None = None  # uint8, the first frame
        self._is_still_picture = False
        self._lost_since: float | None = None
        self._edges_at = -math.inf  # time in seconds when the edges were last searched for
        # Time of the last frame in seconds; infinite at first, so that the first frame adds no elapsed time.
        self._time = math.inf
        self._garment.forget()

    def compare(self, rgb: np.ndarray, time: float) -> Difference:
        """Compares a frame with the scene.

        Args:
            rgb: uint8, shape (h, w, 3), reduced so that the longest side has `SIDE` pixels. Not changed.
            time: When the frame was taken, in seconds; at least the time of the last call.

        Returns:
            The difference, at the size of `rgb`.
        """
        frame = rgb.astype(np.float32)
        if self._scene is None or self._scene.mean.shape != frame.shape:
            self.forget()
            self._scene = SceneModel.begun_with(frame, time)
        self._notice_still_picture(rgb)
        self._elapsed, self._time = max(0.0, time - self._time), time
        self._match = self._scene.matched(frame, self._noise)
        self._notice_another_scene(frame)
        self._scene.gain = self._match.gain
        return self._difference()

    def _notice_still_picture(self, rgb: np.ndarray) -> None:
        """Finds out whether all frames so far are one drawn picture.

        Frames of a camera have noise, so no two frames have the same bits, and neighbouring pixels differ.
        """
        if self._first is None:
            self._first = rgb.copy()
            self._is_still_picture = bool((rgb[:, 1:] == rgb[:, :-1]).all(axis=-1).mean() > 0.5)
        elif self._is_still_picture or self._frames == 1:
            self._is_still_picture = np.array_equal(rgb, self._first)

    def remember(self) -> None:
        """Stores the frame that was compared last; `Difference.is_unchanged` then refers to it."""
        self._remembered = self._match.normalized

    @property
    def is_held(self) -> bool:
        """Whether the garment that was given to `learn` has moved since it was first seen.

        While the camera itself moves, nobody can tell, and every garment counts as held. A garment in a
        drawn picture counts as held too, since nothing in such a picture ever moves.
        """
        return self._garment.has_moved(self._time) or self._is_still_picture

    def learn(self, garment: np.ndarray | None) -> None:
        """Updates the scene with the frame that was compared last.

        Args:
            garment: bool, shape (h, w), True on the garment that was found in the frame; None if none was
                found.
        """
        scene, match = self._current(), self._match
        change = self._follow(scene, match)
        still = self._time - scene.changed_at
        agrees = scene.is_known & (match.deviations < AGREES)
        needed = np.where(scene.is_known, FURNITURE_SECONDS, LEARNING_SECONDS)
        joins = ~agrees & (still >= needed) & ~self._moving_parts(scene)
        if garment is not None or self._garment.region is not None:
            edges = np.abs(gradients(match.normalized)).max(axis=0) >= 2 * EDGE_CONTRAST
            self._garment.follow(garment, self._time, self._moving(scene), edges)
        if (region := self._garment.region) is not None:
            if self._garment.is_left(self._time) and not self._is_still_picture:
                joins |= region & ~agrees & (still >= LEARNING_SECONDS)
            else:
                joins &= ~region
        if joins.any():
            scene.mean[joins] = scene.recent[joins]
            scene.variance[joins] = self._noise**2
            scene.is_known |= joins
        unknown = ~scene.is_known
        scene.mean[unknown] = scene.recent[unknown]
        self._update(scene, match, agrees, change)

    def _current(self) -> SceneModel:
        if self._scene is None:
            raise RuntimeError("compare must be called before learn")
        return self._scene

    def _difference(self) -> Difference:
        cv2, scene = load_opencv(), self._current()
        foreground = np.clip((self._match.deviations - AGREES) / (DIFFERS - AGREES), 0, 1)
        foreground[~scene.is_known] = 0.5
        foreground = cv2.blur(foreground, (3, 3))
        self._parts = (foreground >= 0.4).astype(np.uint8)  # includes what is not known yet
        largest = _largest_area(self._parts)
        return Difference(
            foreground=foreground,
            is_learned=bool(scene.is_known.mean() >= _LEARNED_SHARE),
            is_empty=largest < _SMALLEST_PART * foreground.size,
            is_unchanged=self._is_unchanged(),
        )

    def _is_unchanged(self) -> bool:
        if self._remembered is None or self._remembered.shape != self._match.normalized.shape:
            return False
        cv2 = load_opencv()
        difference = cv2.blur(self._match.normalized - self._remembered, (3, 3))
        # The mean of nine pixels has a third of the noise.
        limit = 2 * math.sqrt(noise_variance(self._noise, self._match.gain))
        share = np.count_nonzero(np.abs(difference) > limit) / difference.size
        return share < 0.001

    def _notice_another_scene(self, frame: np.ndarray) -> None:
        """Finds out whether the light was switched, the camera moved, or a former scene is back."""
        scene, match = self._current(), self._match
        if self._former is not None:
            back = self._former.matched(frame, self._noise)
            agreement = self._former.agreement(back)
            shares = (agreement.edges, agreement.border_edges, agreement.levels)
            if min(shares) >= _BACK_AGREEMENT:
                self._former.changed_at[:] = self._time
                self._scene, self._match = self._former, back
                self._former = self._remembered = None
                return
        if scene.is_known.mean() < _LEARNED_SHARE:
            return
        agreement = scene.agreement(match)
        if max(agreement.edges, agreement.border_edges) >= _LEAST_AGREEMENT:
            self._lost_since = None
            if agreement.levels < _LEAST_LIT <= agreement.edges:
                self._take_over_light(scene, frame)
            return
        if self._lost_since is None:
            self._lost_since = self._time
        if self._time - self._lost_since >= _LOST_SECONDS:
            self._former, self._scene = scene, SceneModel.begun_with(frame, self._time)
            self._match = self._scene.matched(frame, self._noise)
            self._lost_since = self._remembered = None
            self._garment.forget()

    def _take_over_light(self, scene: SceneModel, frame: np.ndarray) -> None:
        """Takes the frame as the scene under another light, except where a garment was seen."""
        self._former = scene.copied()  # needed if the light is switched back
        scene.mean[:], scene.recent[:] = frame, frame
        scene.changed_at[:] = self._time
        scene.gain = np.ones(3, np.float32)
        if self._garment.region is not None and self.is_held:
            scene.is_known &= ~self._garment.region
        scene.find_edges()
        self._match = scene.matched(frame, self._noise)
        self._lost_since = self._remembered = None

    def _follow(self, scene: SceneModel, match: Match) -> np.ndarray:
        """Updates the recent mean of every pixel and the time of its last change.

        Returns:
            float32, shape (h, w): the distance of each pixel from its recent mean before the update.
        """
        distance = distance_between(match.normalized, scene.recent, match.gain)
        limit = _CHANGED**2 * (noise_variance(self._noise, match.gain) + scene.slack)
        changed = distance * distance > limit
        rate = _rate(self._elapsed, _RECENT_SECONDS)
        scene.recent += rate * (match.normalized - scene.recent)
        scene.recent[changed] = match.normalized[changed]
        scene.changed_at[changed] = self._time
        return distance

    def _update(
        self, scene: SceneModel, match: Match, agrees: np.ndarray, change: np.ndarray
    ) -> None:
        """Updates the scene by slow changes, and measures the noise.

        The noise is measured by `change`, the distance of each pixel from its recent mean. The distance from
        the scene would count everything new before the camera as noise.
        """
        weight = (agrees * np.float32(_rate(self._elapsed, _SCENE_SECONDS)))[..., np.newaxis]
        scene.mean += weight * (match.normalized - scene.mean)
        rate = _rate(self._elapsed, _NOISE_SECONDS)
        scene.variance += agrees * rate * (match.distance * match.distance - scene.variance)
        measured = float(np.median(change[::4, ::4])) / _MEDIAN_OF_NOISE
        measured *= float(match.gain.mean())
        self._frames += 1
        self._noise += max(rate, 1 / (self._frames + 1)) * (
            min(measured, 4 * FIRST_NOISE) - self._noise
        )
        if self._time - self._edges_at >= _EDGES_SECONDS:
            scene.find_edges()
            self._edges_at = self._time

    def _moving(self, scene: SceneModel) -> np.ndarray:
        """Finds the pixels that changed a moment ago: bool, shape (h, w)."""
        since = max(self._time - MOVED_SECONDS, scene.began_at)
        return scene.changed_at > since

    def _moving_parts(self, scene: SceneModel) -> np.ndarray:
        """Finds whole parts of the foreground in which something moves: bool, shape (h, w).

        Whole parts are needed because a garment of one colour that moves changes only along its outline.
        """
        cv2 = load_opencv()
        count, numbers = cv2.connectedComponents(self._parts & scene.is_known, connectivity=8)
        areas = np.bincount(numbers.ravel(), minlength=count)
        moving = np.bincount(numbers[self._moving(scene)], minlength=count)
        moves = moving >= np.maximum(MOVED_SHARE * areas, 1)
        moves[0] = False  # number 0 is the background
        parts: np.ndarray = moves.take(numbers)
        return parts


def _largest_area(parts: np.ndarray) -> int:
    """Counts the pixels of the largest connected part of a mask, uint8 of shape (h, w)."""
    cv2 = load_opencv()
    opened = cv2.morphologyEx(parts, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _rate(seconds: float, time_constant: float) -> float:
    """Computes the weight of a new value in an exponential mean, some seconds after the last value."""
    return 1 - math.exp(-seconds / time_constant)
