"""The empty scene: what a fixed camera sees while no garment is held up, learned while it runs.

Every pixel of the reduced picture has a mean colour and a noise level, as in adaptive background subtraction
(Stauffer and Grimson, 1999, with one Gaussian for each pixel). One gain per channel matches exposure and
white balance before a frame is compared. A pixel joins the scene when it has not changed for a while; how
long depends on whether a garment was seen there and whether that garment has moved.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.picture_border import frame_of

SIDE = 128  # pixels, the longest side at which frames are compared

# Seconds without a change after which a pixel joins the scene: where the scene was not known, which includes
# what looks like a garment and has never moved; where it was known and differs, such as a chair that was
# moved; and in a garment that somebody has moved and then left on a chair.
LEARNING_SECONDS, FURNITURE_SECONDS, LEFT_SECONDS = 1.0, 10.0, 60.0
_FORGIVEN_SECONDS = 2.0  # for which a garment may be out of sight and still counts as the same
_MOVED_SECONDS = 1.0  # for which a changed pixel counts as moving
_MOVED_SHARE = 0.01  # share of a region's pixels that move where the region is held by somebody
# Share of the edges around a garment that move where the camera itself moves. Edges along its way do not.
_ROOM_MOVES = 0.25

_SCENE_SECONDS = 20.0  # time constant with which the scene follows the daylight
_NOISE_SECONDS = 5.0  # time constant of the noise levels
_RECENT_SECONDS = 1.0  # time constant of the recent mean of each pixel

# Distances from the mean in standard deviations. Up to the first a pixel agrees with the scene, from the
# second on it differs; from the third on, measured from its recent mean, it has changed.
_AGREES, _DIFFERS, _CHANGED = 3.0, 6.0, 4.5
# Grey levels at the reduced size: the least that is assumed, and what is assumed until it is measured.
_LEAST_NOISE, _FIRST_NOISE = 1.5, 4.0
# Median of the root mean square over three channels, for a standard deviation of 1: between 0.67 for equal
# channels and 0.89 for independent ones.
_MEDIAN_OF_NOISE = 0.8
_EDGES_SECONDS = 1.0  # between two searches for the edges of the scene
_EDGE_SLACK = 0.12  # of the local contrast: edges shift where a camera trembles
_EDGE_CONTRAST = 24  # grey levels from which a pixel counts as an edge
_FEWEST_EDGES = 0.01  # share of the picture; with fewer edges all pixels are asked instead

_SMALLEST_PART = 0.005  # share of the picture; the smallest mask of a garment is twice that
_LEARNED_SHARE = 0.5  # share of the picture that is known where the scene counts as learned

# Edges agree with the scene where the gradient has about the direction it had, and this share of its length.
_SAME_DIRECTION, _LEAST_GRADIENT = 0.7, 0.15  # the first is a cosine
# The camera was moved or covered where less than this share of the edges agrees for so long, in the picture
# and along its border, which a garment seldom covers.
_LEAST_AGREEMENT, _LOST_SECONDS = 0.5, 0.4
# The light was switched where the edges agree but the levels of less than this share of the picture do.
_LEAST_LIT = 0.5
_BACK_AGREEMENT = 0.75  # share of edges and levels that agree where a former scene is back

_STEPS_PER_E = 25  # gains are first sought in steps of 4%
_SPREAD = 0.1  # of the logarithm of the ratios around the commonest one, noise and white balance
_LARGEST_GAIN = 4.0
_PRIOR = 1.3  # how many times more pixels another gain must explain than that of the last frame
_CLIPPED = 245.0  # grey level from which on a pixel may be clipped
_USUAL_LEVELS = (12.0, 235.0)  # grey levels whose ratio shows the gain: neither black nor clipped


@dataclass(frozen=True)
class Difference:
    """How a frame differs from the empty scene, at the reduced size.

    Attributes:
        foreground: float32, shape (h, w), in [0, 1]: 1 where the frame differs from the scene, 0 where it
            agrees, 0.5 where the scene is not known yet.
        is_learned: Whether the scene is known in most of the picture.
        is_empty: Whether the scene is known wherever a garment would fit, and the frame agrees with it.
        is_unchanged: Whether the frame shows the same as the one at the last call of `remember`.
    """

    foreground: np.ndarray
    is_learned: bool
    is_empty: bool
    is_unchanged: bool


@dataclass
class _Scene:
    """What is known of a scene, in the exposure in which it was first seen."""

    mean: np.ndarray  # float32, (h, w, 3): recent mean where the scene is not known
    variance: np.ndarray  # float32, (h, w), of one channel
    is_known: np.ndarray  # bool, (h, w)
    recent: np.ndarray  # float32, (h, w, 3): mean of the last moments
    changed_at: np.ndarray  # float64, (h, w): seconds, when a pixel last left its recent mean
    began_at: float  # seconds
    gain: np.ndarray  # float32, (3,): of the last frame
    slack: np.ndarray  # float32, (h, w): variance that trembling edges add
    edges: np.ndarray  # bool, (h, w): where a change of the camera's place shows
    gradients: np.ndarray  # float32, (2, h, w), of the mean


@dataclass(frozen=True)
class _Match:
    """A frame in the exposure of a scene, and how far it is from it."""

    gain: np.ndarray  # float32, (3,)
    normalized: np.ndarray  # float32, (h, w, 3): the frame divided by the gain
    distance: np.ndarray  # float32, (h, w): grey levels, root mean square over the channels
    deviations: np.ndarray  # float32, (h, w): the same in standard deviations


class EmptyScene:
    """Learns the empty scene of a fixed camera, and finds what differs from it.

    `compare` looks at a frame; `learn` then takes in the same frame, with the garment that was seen in it.
    """

    def __init__(self) -> None:
        """Starts without a scene."""
        self.forget()

    def forget(self) -> None:
        """Forgets every scene: the camera was opened again, or another source begins."""
        self._scene: _Scene | None = None
        self._former: _Scene | None = None
        self._noise = _FIRST_NOISE  # grey levels
        self._frames = 0  # that were learned from
        self._remembered: np.ndarray | None = None
        self._first: np.ndarray | None = None  # uint8, the first frame
        self._is_still_picture = False
        self._lost_since: float | None = None
        self._edges_at = -math.inf  # seconds, when the edges were found last
        self._time = math.inf  # seconds, of the last frame; before the first one no time passes
        self._forget_garment()

    def compare(self, rgb: np.ndarray, time: float) -> Difference:
        """Compares a frame with the scene.

        Args:
            rgb: uint8, shape (h, w, 3), reduced so that the longest side has `SIDE` pixels. Not changed.
            time: Seconds, not before those of the last frame.

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

        A camera's frames have noise: they are never the same to the bit, and neighbouring pixels differ.
        """
        if self._first is None:
            self._first = rgb.copy()
            self._is_still_picture = bool((rgb[:, 1:] == rgb[:, :-1]).all(axis=-1).mean() > 0.5)
        elif self._is_still_picture or self._frames == 1:
            self._is_still_picture = np.array_equal(rgb, self._first)

    def remember(self) -> None:
        """Remembers the frame that was compared last, so that `Difference.is_unchanged` refers to it."""
        self._remembered = self._match.normalized

    @property
    def is_held(self) -> bool:
        """Whether the garment that `learn` was told of has moved since it was first seen.

        While the camera itself moves that cannot be told, and every garment counts as held. So does the
        garment of a drawn picture, in which nothing ever moves.
        """
        camera_moves = self._time - self._camera_moved_at < _MOVED_SECONDS
        return self._garment_moved_at is not None or camera_moves or self._is_still_picture

    def learn(self, garment: np.ndarray | None) -> None:
        """Takes in the frame that was compared last.

        Args:
            garment: bool, shape (h, w), where a garment was seen in it; None where none was seen.
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
        self._parts = (foreground >= 0.4).astype(np.uint8)  # what is not known yet included
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
        """Takes the frame for the scene under another light, except for where a garment was seen."""
        self._former = _copied(scene)  # for when the light is switched back
        scene.mean[:], scene.recent[:] = frame, frame
        scene.changed_at[:] = self._time
        scene.gain = np.ones(3, np.float32)
        if self._garment is not None and self.is_held:
            scene.is_known &= ~self._garment
        _find_edges(scene)
        self._match = _matched(scene, frame, self._noise)
        self._lost_since = self._remembered = None

    def _follow(self, scene: _Scene, match: _Match) -> np.ndarray:
        """Updates the recent mean of every pixel, and when it changed; returns the distance from it."""
        distance = _distance(match.normalized, scene.recent, match.gain)
        limit = _CHANGED**2 * (_noise_variance(self._noise, match.gain) + scene.slack)
        changed = distance * distance > limit
        rate = _rate(self._elapsed, _RECENT_SECONDS)
        scene.recent += rate * (match.normalized - scene.recent)
        scene.recent[changed] = match.normalized[changed]
        scene.changed_at[changed] = self._time
        return distance

    def _update(self, scene: _Scene, match: _Match, agrees: np.ndarray, change: np.ndarray) -> None:
        """Lets the scene follow slow changes, and measures the noise.

        `change` is the distance of each pixel from its recent mean. The distance from the scene would count
        whatever stands before the camera as noise.
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
        """Pixels that changed a moment ago: bool, shape (h, w)."""
        since = max(self._time - _MOVED_SECONDS, scene.began_at)
        return scene.changed_at > since

    def _moving_parts(self, scene: _Scene) -> np.ndarray:
        """Whole parts of the foreground in which something moves: bool, shape (h, w).

        A hand-held garment of one colour changes along its outline only.
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
        self._garment_at = self._garment_since = -math.inf  # seconds, last and first seen
        self._garment_moved_at: float | None = None
        self._camera_moved_at = -math.inf

    def _garment_region(
        self, scene: _Scene, garment: np.ndarray | None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The region of the garment where it is held, and where it has been left: one of them or none."""
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
    """Exposure and white balance of a frame against those of the scene: float32, shape (3,).

    The commonest ratio of the green levels is found in a histogram, so that a garment that covers less than
    half of the picture does not matter. The pixels near it then give the mean ratio of every channel.
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
    """Shares of what is known that agrees: edges, edges along the border, and levels.

    A picture without edges has its levels in their place.
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
    """Horizontal and vertical gradients of the green plane: float32, shape (2, h, w)."""
    cv2 = load_opencv()
    plane = np.ascontiguousarray(picture[..., 1])
    return np.stack([cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0)])


def _find_edges(scene: _Scene) -> None:
    """Finds where the scene has edges, and how much noise they add where a camera trembles."""
    cv2 = load_opencv()
    plane = scene.mean[..., 1]
    kernel = np.ones((3, 3), np.uint8)
    contrast = cv2.morphologyEx(plane, cv2.MORPH_GRADIENT, kernel)
    scene.slack = (_EDGE_SLACK * contrast) ** 2
    scene.edges = contrast >= _EDGE_CONTRAST
    scene.gradients = _gradients(scene.mean)


def _distance(normalized: np.ndarray, mean: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Root mean square over the channels of what a frame differs by: float32, shape (h, w).

    White that is clipped may be brighter than its level, in the frame as in the mean.
    """
    cv2 = load_opencv()
    difference = normalized - np.minimum(mean, 255 / gain)
    difference[(difference > 0) & (mean >= _CLIPPED)] = 0
    squares = cv2.transform(difference * difference, np.full((1, 3), 1 / 3, np.float32))
    distance: np.ndarray = np.sqrt(squares)
    return distance


def _largest_area(parts: np.ndarray) -> int:
    """Pixels of the largest connected part of a mask, uint8 of shape (h, w)."""
    cv2 = load_opencv()
    opened = cv2.morphologyEx(parts, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _noise_variance(noise: float, gain: np.ndarray) -> float:
    """Variance that noise of the frame, in grey levels, has in the exposure of the scene."""
    return (max(_LEAST_NOISE, noise) / float(gain.mean())) ** 2


def _mean(values: np.ndarray) -> float:
    """0 if there is none."""
    return float(values.mean()) if len(values) else 0.0


def _rate(seconds: float, time_constant: float) -> float:
    """Weight of a new value in a mean with a time constant, after so many seconds."""
    return 1 - math.exp(-seconds / time_constant)
