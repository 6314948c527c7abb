"""Learns the empty scene, which is what a fixed camera sees while no garment is held up.

This is background subtraction with an adaptive model of one Gaussian for each pixel of the reduced picture,
after Stauffer and Grimson (1999): each pixel has a mean colour and a noise level. One gain per channel
matches exposure and white balance before a frame is compared. A pixel joins the scene when it has not changed
for a while. How long that takes depends on whether a garment was seen there and whether that garment has
moved.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.picture_border import frame_of

SIDE = 128  # pixels, the longest side at which frames are compared

# Seconds without a change after which a pixel joins the scene. The first value holds where the scene is not
# known yet, and for what looks like a garment and has never moved. The second holds where the scene is known
# and the frame differs, as after a chair was moved. The third holds for a garment that somebody has moved and
# then left, for example on a chair.
LEARNING_SECONDS, FURNITURE_SECONDS, LEFT_SECONDS = 1.0, 10.0, 60.0
_FORGIVEN_SECONDS = 2.0  # a garment that is seen again within this time counts as the same one
_MOVED_SECONDS = 1.0  # a pixel that has changed counts as moving for so long
_MOVED_SHARE = 0.01  # a region counts as moving if at least this share of its pixels moves
# The camera itself counts as moving if at least this share of the edges around a garment moves. It is far
# below 1, since edges that are parallel to the motion do not change.
_ROOM_MOVES = 0.25

_SCENE_SECONDS = 20.0  # time constant with which the scene follows the daylight
_NOISE_SECONDS = 5.0  # time constant of the noise levels
_RECENT_SECONDS = 1.0  # time constant of the recent mean of each pixel

# Distances in standard deviations. A pixel agrees with the scene below the first distance from the mean, and
# it differs from the scene above the second. It has changed if it is farther than the third from its recent
# mean.
_AGREES, _DIFFERS, _CHANGED = 3.0, 6.0, 4.5
# Noise in grey levels at the reduced size: its lower limit, and its value before it has been measured.
_LEAST_NOISE, _FIRST_NOISE = 1.5, 4.0
# Median of the root mean square over three channels if the standard deviation of each is 1. It is 0.67 if the
# channels have the same noise and 0.89 if their noise is independent; this value lies between the two.
_MEDIAN_OF_NOISE = 0.8
_EDGES_SECONDS = 1.0  # time between two searches for the edges of the scene
# A trembling camera shifts edges, so this share of the local contrast is added to the noise.
_EDGE_SLACK = 0.12
_EDGE_CONTRAST = 24  # grey levels; a pixel of at least this local contrast counts as an edge
# Share of the known pixels; with fewer edges the levels of all pixels are compared.
_FEWEST_EDGES = 0.01

# A frame shows the empty scene if no part that differs is as large as this share of the picture. The smallest
# mask of a garment covers twice as much.
_SMALLEST_PART = 0.005
_LEARNED_SHARE = 0.5  # the scene counts as learned if at least this share of the picture is known

# An edge agrees with the scene if its gradient has about the same direction and at least this share of its
# former length.
_SAME_DIRECTION, _LEAST_GRADIENT = 0.7, 0.15  # the first is a cosine
# The camera was moved or covered if less than this share of the edges agrees for so long. That must be so
# both in the whole picture and along its border, which a garment seldom covers.
_LEAST_AGREEMENT, _LOST_SECONDS = 0.5, 0.4
# The light was switched if the edges agree, but the levels agree in less than this share of the picture.
_LEAST_LIT = 0.5
# A former scene is back if at least this share of its edges and levels agrees.
_BACK_AGREEMENT = 0.75

# Bins of the histogram for a factor of e, so that gains are first sought in steps of 4%.
_STEPS_PER_E = 25
# Noise and white balance move the logarithm of a ratio by up to this much from the commonest one.
_SPREAD = 0.1
_LARGEST_GAIN = 4.0
_PRIOR = 1.3  # a new gain must explain so many times more pixels than the gain of the last frame
_CLIPPED = 245.0  # grey level; a pixel that is at least as bright may be clipped
# Only grey levels between these, neither black nor clipped, show the gain.
_USUAL_LEVELS = (12.0, 235.0)


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


@dataclass
class _Scene:
    """The model of a scene, in the exposure in which the scene was first seen."""

    mean: np.ndarray  # float32, (h, w, 3): equal to the recent mean where the scene is not known
    variance: np.ndarray  # float32, (h, w): variance of one channel
    is_known: np.ndarray  # bool, (h, w)
    recent: np.ndarray  # float32, (h, w, 3): mean over about the last second
    changed_at: np.ndarray  # float64, (h, w): time in seconds when the pixel last changed
    began_at: float  # time of the first frame in seconds
    gain: np.ndarray  # float32, (3,): gain of the last frame
    slack: np.ndarray  # float32, (h, w): variance that trembling edges add
    edges: np.ndarray  # bool, (h, w): edges, which show whether the camera was moved
    gradients: np.ndarray  # float32, (2, h, w): gradients of the mean


@dataclass(frozen=True)
class _Match:
    """A frame in the exposure of a scene, and its distance from that scene."""

    gain: np.ndarray  # float32, (3,)
    normalized: np.ndarray  # float32, (h, w, 3): the frame divided by the gain
    distance: np.ndarray  # float32, (h, w): grey levels, root mean square over the channels
    deviations: np.ndarray  # float32, (h, w): the same distance in standard deviations


class EmptyScene:
    """Learns the empty scene of a fixed camera, and finds what differs from it.

    For each frame, first call `compare`, and then `learn` with the garment that was found in the same frame.
    """

    def __init__(self) -> None:
        """Starts without a scene."""
        self.forget()

    def forget(self) -> None:
        """Forgets every scene; call it when another source begins or the camera was opened again."""
        self._scene: _Scene | None = None
        self._former: _Scene | None = None
        self._noise = _FIRST_NOISE  # grey levels
        self._frames = 0  # number of frames that were learned from
        self._remembered: np.ndarray | None = None
        self._first: np.ndarray | None = None  # uint8, the first frame
        self._is_still_picture = False
        self._lost_since: float | None = None
        self._edges_at = -math.inf  # time in seconds when the edges were last searched for
        # Time of the last frame in seconds; infinite at first, so that the first frame adds no elapsed time.
        self._time = math.inf
        self._forget_garment()

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
            self._scene = _new_scene(frame, time)
        self._notice_still_picture(rgb)
        self._elapsed, self._time = max(0.0, time - self._time), time
        self._match = _matched(self._scene, frame, self._noise)
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
        camera_moves = self._time - self._camera_moved_at < _MOVED_SECONDS
        return self._garment_moved_at is not None or camera_moves or self._is_still_picture

    def learn(self, garment: np.ndarray | None) -> None:
        """Updates the scene with the frame that was compared last.

        Args:
            garment: bool, shape (h, w), True on the garment that was found in the frame; None if none was
                found.
        """
        scene, match = self._current(), self._match
        change = self._follow(scene, match)
        still = self._time - scene.changed_at
        agrees = scene.is_known & (match.deviations < _AGREES)
        needed = np.where(scene.is_known, FURNITURE_SECONDS, LEARNING_SECONDS)
        joins = ~agrees & (still >= needed) & ~self._moving_parts(scene)
        held, left = self._garment_region(scene, garment)
        if held is not None:
            joins &= ~held
        if left is not None:
            joins |= left & ~agrees & (still >= LEARNING_SECONDS)
        if joins.any():
            scene.mean[joins] = scene.recent[joins]
            scene.variance[joins] = self._noise**2
            scene.is_known |= joins
        unknown = ~scene.is_known
        scene.mean[unknown] = scene.recent[unknown]
        self._update(scene, match, agrees, change)

    def _current(self) -> _Scene:
        if self._scene is None:
            raise RuntimeError("compare must be called before learn")
        return self._scene

    def _difference(self) -> Difference:
        cv2, scene = load_opencv(), self._current()
        foreground = np.clip((self._match.deviations - _AGREES) / (_DIFFERS - _AGREES), 0, 1)
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
        limit = 2 * math.sqrt(_noise_variance(self._noise, self._match.gain))
        share = np.count_nonzero(np.abs(difference) > limit) / difference.size
        return share < 0.001

    def _notice_another_scene(self, frame: np.ndarray) -> None:
        """Finds out whether the light was switched, the camera moved, or a former scene is back."""
        scene, match = self._current(), self._match
        if self._former is not None:
            back = _matched(self._former, frame, self._noise)
            if min(_agreement(self._former, back)) >= _BACK_AGREEMENT:
                self._former.changed_at[:] = self._time
                self._scene, self._match = self._former, back
                self._former = self._remembered = None
                return
        if scene.is_known.mean() < _LEARNED_SHARE:
            return
        edges, border, levels = _agreement(scene, match)
        if max(edges, border) >= _LEAST_AGREEMENT:
            self._lost_since = None
            if levels < _LEAST_LIT <= edges:
                self._take_over_light(scene, frame)
            return
        if self._lost_since is None:
            self._lost_since = self._time
        if self._time - self._lost_since >= _LOST_SECONDS:
            self._former, self._scene = scene, _new_scene(frame, self._time)
            self._match = _matched(self._scene, frame, self._noise)
            self._lost_since = self._remembered = None
            self._forget_garment()

    def _take_over_light(self, scene: _Scene, frame: np.ndarray) -> None:
        """Takes the frame as the scene under another light, except where a garment was seen."""
        self._former = _copied(scene)  # needed if the light is switched back
        scene.mean[:], scene.recent[:] = frame, frame
        scene.changed_at[:] = self._time
        scene.gain = np.ones(3, np.float32)
        if self._garment is not None and self.is_held:
            scene.is_known &= ~self._garment
        _find_edges(scene)
        self._match = _matched(scene, frame, self._noise)
        self._lost_since = self._remembered = None

    def _follow(self, scene: _Scene, match: _Match) -> np.ndarray:
        """Updates the recent mean of every pixel and the time of its last change.

        Returns:
            float32, shape (h, w): the distance of each pixel from its recent mean before the update.
        """
        distance = _distance(match.normalized, scene.recent, match.gain)
        limit = _CHANGED**2 * (_noise_variance(self._noise, match.gain) + scene.slack)
        changed = distance * distance > limit
        rate = _rate(self._elapsed, _RECENT_SECONDS)
        scene.recent += rate * (match.normalized - scene.recent)
        scene.recent[changed] = match.normalized[changed]
        scene.changed_at[changed] = self._time
        return distance

    def _update(self, scene: _Scene, match: _Match, agrees: np.ndarray, change: np.ndarray) -> None:
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
            min(measured, 4 * _FIRST_NOISE) - self._noise
        )
        if self._time - self._edges_at >= _EDGES_SECONDS:
            _find_edges(scene)
            self._edges_at = self._time

    def _moving(self, scene: _Scene) -> np.ndarray:
        """Finds the pixels that changed a moment ago: bool, shape (h, w)."""
        since = max(self._time - _MOVED_SECONDS, scene.began_at)
        return scene.changed_at > since

    def _moving_parts(self, scene: _Scene) -> np.ndarray:
        """Finds whole parts of the foreground in which something moves: bool, shape (h, w).

        Whole parts are needed because a garment of one colour that moves changes only along its outline.
        """
        cv2 = load_opencv()
        count, numbers = cv2.connectedComponents(self._parts & scene.is_known, connectivity=8)
        areas = np.bincount(numbers.ravel(), minlength=count)
        moving = np.bincount(numbers[self._moving(scene)], minlength=count)
        moves = moving >= np.maximum(_MOVED_SHARE * areas, 1)
        moves[0] = False  # number 0 is the background
        parts: np.ndarray = moves.take(numbers)
        return parts

    def _forget_garment(self) -> None:
        self._garment: np.ndarray | None = None  # bool, (h, w), a little larger than the mask
        # Times in seconds when the garment was last seen and first seen.
        self._garment_at = self._garment_since = -math.inf
        self._garment_moved_at: float | None = None
        self._camera_moved_at = -math.inf

    def _garment_region(
        self, scene: _Scene, garment: np.ndarray | None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Finds the region of the garment.

        Returns:
            Two masks, bool of shape (h, w) or None: the region if somebody holds the garment, and the region
            if it was left. At least one of them is None; both are if there is no garment.
        """
        if garment is not None:
            if self._garment is None:
                self._garment_since = self._time
            kernel = np.ones((7, 7), np.uint8)
            self._garment = load_opencv().dilate(garment.astype(np.uint8), kernel) > 0
            self._garment_at = self._time
        elif self._time - self._garment_at > _FORGIVEN_SECONDS:
            self._forget_garment()
        if self._garment is None:
            return None, None
        moving = self._moving(scene)
        edges = np.abs(_gradients(self._match.normalized)).max(axis=0) >= 2 * _EDGE_CONTRAST
        if _mean(moving[edges & ~self._garment]) >= _ROOM_MOVES:
            self._camera_moved_at = self._garment_since = self._time
            self._garment_moved_at = None
        elif moving[self._garment].mean() >= _MOVED_SHARE:
            self._garment_moved_at = self._time
        if self._is_still_picture:
            is_left = False
        elif self._garment_moved_at is None:
            is_left = self._time - self._garment_since >= LEARNING_SECONDS
        else:
            is_left = self._time - self._garment_moved_at >= LEFT_SECONDS
        return (None, self._garment) if is_left else (self._garment, None)


def _new_scene(frame: np.ndarray, time: float) -> _Scene:
    height, width = frame.shape[:2]
    scene = _Scene(
        mean=frame.copy(),
        variance=np.full((height, width), _FIRST_NOISE**2, np.float32),
        is_known=np.zeros((height, width), bool),
        recent=frame.copy(),
        changed_at=np.full((height, width), time),
        began_at=time,
        gain=np.ones(3, np.float32),
        slack=np.zeros((height, width), np.float32),
        edges=np.zeros((height, width), bool),
        gradients=np.zeros((2, height, width), np.float32),
    )
    _find_edges(scene)
    return scene


def _copied(scene: _Scene) -> _Scene:
    return _Scene(**{name: copy(value) for name, value in vars(scene).items()})


def _matched(scene: _Scene, frame: np.ndarray, noise: float) -> _Match:
    """Brings a frame, float32 of shape (h, w, 3), to the exposure of a scene, and compares the two."""
    gain = _gain(scene, frame)
    normalized = frame / gain
    distance = _distance(normalized, scene.mean, gain)
    variance = np.maximum(scene.variance, _noise_variance(noise, gain)) + scene.slack
    return _Match(gain, normalized, distance, distance / np.sqrt(variance))


def _gain(scene: _Scene, frame: np.ndarray) -> np.ndarray:
    """Estimates exposure and white balance of a frame relative to the scene: float32, shape (3,).

    A histogram gives the commonest ratio of the green levels, so a garment that covers less than half of the
    picture does not matter. The mean ratio of each channel over the pixels near the commonest ratio is the
    gain.
    """
    step = 3  # every third row and column is enough
    seen, known = frame[::step, ::step].reshape(-1, 3), scene.mean[::step, ::step].reshape(-1, 3)
    low, high = _USUAL_LEVELS
    usable = (known.min(axis=1) > low) & (known.max(axis=1) < high) & (seen.max(axis=1) < high)
    usable &= seen.min(axis=1) > low / _LARGEST_GAIN
    if np.count_nonzero(usable) < 0.05 * len(usable):  # nearly black or white all over
        return scene.gain
    ratios = np.log(seen[usable] / known[usable])
    limit = math.log(_LARGEST_GAIN)
    middle = round(limit * _STEPS_PER_E)
    bins = np.rint(np.clip(ratios[:, 1], -limit, limit) * _STEPS_PER_E).astype(np.intp) + middle
    counts = np.bincount(bins, minlength=2 * middle + 1).astype(np.float32)
    counts[1:-1] = counts[:-2] + counts[1:-1] + counts[2:]
    last = math.log(float(scene.gain[1]))
    prior = int(np.clip(round(last * _STEPS_PER_E) + middle, 0, 2 * middle))
    best = int(counts.argmax())
    near = counts[max(0, prior - 1) : prior + 2].max()
    if counts[best] < _PRIOR * near:
        best = max(0, prior - 1) + int(counts[max(0, prior - 1) : prior + 2].argmax())
    close = (np.abs(ratios - (best - middle) / _STEPS_PER_E) <= _SPREAD).all(axis=1)
    if not close.any():
        return scene.gain
    gain: np.ndarray = np.exp(ratios[close].mean(axis=0))
    return gain


def _agreement(scene: _Scene, match: _Match) -> tuple[float, float, float]:
    """Measures how much of the known scene agrees: the shares of edges, edges at the border, and levels.

    If there are too few edges, the share of the levels takes their place.
    """
    levels = match.deviations < _DIFFERS
    seen = _gradients(match.normalized)
    product = (seen * scene.gradients).sum(axis=0)
    length, expected = np.hypot(*seen), np.hypot(*scene.gradients)
    same = (product > _SAME_DIRECTION * length * expected) & (length > _LEAST_GRADIENT * expected)
    border = frame_of(levels.shape)
    shares = []
    for region in (scene.is_known, scene.is_known & border):
        edges = scene.edges & region
        enough = np.count_nonzero(edges) >= _FEWEST_EDGES * max(1, int(np.count_nonzero(region)))
        agrees = same[edges] if enough else levels[region]
        shares.append(_mean(agrees))
    return shares[0], shares[1], _mean(levels[scene.is_known])


def _gradients(picture: np.ndarray) -> np.ndarray:
    """Computes horizontal and vertical gradients of the green channel: float32, shape (2, h, w)."""
    cv2 = load_opencv()
    plane = np.ascontiguousarray(picture[..., 1])
    return np.stack([cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0)])


def _find_edges(scene: _Scene) -> None:
    """Finds the edges of the scene, and the variance that they add if the camera trembles."""
    cv2 = load_opencv()
    plane = scene.mean[..., 1]
    kernel = np.ones((3, 3), np.uint8)
    contrast = cv2.morphologyEx(plane, cv2.MORPH_GRADIENT, kernel)
    scene.slack = (_EDGE_SLACK * contrast) ** 2
    scene.edges = contrast >= _EDGE_CONTRAST
    scene.gradients = _gradients(scene.mean)


def _distance(normalized: np.ndarray, mean: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Computes the root mean square of the differences over the channels: float32, shape (h, w).

    A clipped pixel may in truth be brighter than its level, both in the frame and in the mean.
    """
    cv2 = load_opencv()
    difference = normalized - np.minimum(mean, 255 / gain)
    difference[(difference > 0) & (mean >= _CLIPPED)] = 0
    squares = cv2.transform(difference * difference, np.full((1, 3), 1 / 3, np.float32))
    distance: np.ndarray = np.sqrt(squares)
    return distance


def _largest_area(parts: np.ndarray) -> int:
    """Counts the pixels of the largest connected part of a mask, uint8 of shape (h, w)."""
    cv2 = load_opencv()
    opened = cv2.morphologyEx(parts, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _noise_variance(noise: float, gain: np.ndarray) -> float:
    """Converts noise of the frame, in grey levels, to a variance in the exposure of the scene."""
    return (max(_LEAST_NOISE, noise) / float(gain.mean())) ** 2


def _mean(values: np.ndarray) -> float:
    """Returns the mean of some values, or 0 if there are none."""
    return float(values.mean()) if len(values) else 0.0


def _rate(seconds: float, time_constant: float) -> float:
    """Computes the weight of a new value in an exponential mean, some seconds after the last value."""
    return 1 - math.exp(-seconds / time_constant)
