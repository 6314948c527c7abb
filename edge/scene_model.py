"""The picture of a scene, its noise and its edges, and how a frame compares with them.

This is background subtraction with an adaptive model of one Gaussian for each pixel of the reduced picture,
after Stauffer and Grimson (1999): each pixel has a mean colour and a noise level. One gain per channel
matches exposure and white balance before a frame is compared.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.picture_border import border_mask

# Distances from the mean in standard deviations: a pixel agrees with the scene below the first, and differs
# from it above the second.
AGREES, DIFFERS = 3.0, 6.0
FIRST_NOISE = 4.0  # grey levels at the reduced size, before the noise has been measured
_LEAST_NOISE = 1.5  # grey levels; a camera has at least this noise
# A trembling camera shifts edges, so this share of the local contrast is added to the noise.
_EDGE_SLACK = 0.12
EDGE_CONTRAST = 24  # grey levels; a pixel of at least this local contrast counts as an edge
# Share of the known pixels; with fewer edges the levels of all pixels are compared.
_FEWEST_EDGES = 0.01
# An edge agrees with the scene if its gradient has about the same direction and at least this share of its
# former length.
_SAME_DIRECTION, _LEAST_GRADIENT = 0.7, 0.15  # the first is a cosine

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
class Match:
    """A frame in the exposure of a scene, and its distance from that scene.

    Attributes:
        gain: float32, shape (3,): exposure and white balance of the frame relative to the scene.
        normalized: float32, shape (h, w, 3): the frame divided by the gain.
        distance: float32, shape (h, w): distance in grey levels, root mean square over the channels.
        deviations: float32, shape (h, w): the same distance in standard deviations.
    """

    gain: np.ndarray
    normalized: np.ndarray
    distance: np.ndarray
    deviations: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """How much of the known scene a frame agrees with, as shares in [0, 1].

    Attributes:
        edges: Share of the edges of the whole picture.
        border_edges: Share of the edges along the border of the picture.
        levels: Share of the pixels.
    """

    edges: float
    border_edges: float
    levels: float


@dataclass
class SceneModel:
    """The model of a scene, in the exposure in which the scene was first seen.

    Attributes:
        mean: float32, shape (h, w, 3): equal to the recent mean where the scene is not known.
        variance: float32, shape (h, w): variance of one channel.
        is_known: bool, shape (h, w).
        recent: float32, shape (h, w, 3): mean over about the last second.
        changed_at: float64, shape (h, w): time in seconds when the pixel last changed.
        began_at: Time of the first frame in seconds.
        gain: float32, shape (3,): gain of the last frame.
        slack: float32, shape (h, w): variance that trembling edges add.
        edges: bool, shape (h, w): edges, which show whether the camera was moved.
        gradients: float32, shape (2, h, w): gradients of the mean.
    """

    mean: np.ndarray
    variance: np.ndarray
    is_known: np.ndarray
    recent: np.ndarray
    changed_at: np.ndarray
    began_at: float
    gain: np.ndarray
    slack: np.ndarray
    edges: np.ndarray
    gradients: np.ndarray

    @classmethod
    def begun_with(cls, frame: np.ndarray, time: float) -> SceneModel:
        """Makes a model of which nothing is known yet.

        Args:
            frame: float32, shape (h, w, 3): the first frame.
            time: When it was taken, in seconds.
        """
        height, width = frame.shape[:2]
        scene = cls(
            mean=frame.copy(),
            variance=np.full((height, width), FIRST_NOISE**2, np.float32),
            is_known=np.zeros((height, width), bool),
            recent=frame.copy(),
            changed_at=np.full((height, width), time),
            began_at=time,
            gain=np.ones(3, np.float32),
            slack=np.zeros((height, width), np.float32),
            edges=np.zeros((height, width), bool),
            gradients=np.zeros((2, height, width), np.float32),
        )
        scene.find_edges()
        return scene

    def copied(self) -> SceneModel:
        """Makes a copy that shares no array with this model."""
        return SceneModel(**{name: copy(value) for name, value in vars(self).items()})

    def find_edges(self) -> None:
        """Finds the edges of the scene, and the variance that they add if the camera trembles."""
        cv2 = load_opencv()
        plane = self.mean[..., 1]
        kernel = np.ones((3, 3), np.uint8)
        contrast = cv2.morphologyEx(plane, cv2.MORPH_GRADIENT, kernel)
        self.slack = (_EDGE_SLACK * contrast) ** 2
        self.edges = contrast >= EDGE_CONTRAST
        self.gradients = gradients(self.mean)

    def matched(self, frame: np.ndarray, noise: float) -> Match:
        """Brings a frame to the exposure of the scene, and compares the two.

        Args:
            frame: float32, shape (h, w, 3).
            noise: Noise of a frame in grey levels.
        """
        gain = self._gain_of(frame)
        normalized = frame / gain
        distance = distance_between(normalized, self.mean, gain)
        variance = np.maximum(self.variance, noise_variance(noise, gain)) + self.slack
        return Match(gain, normalized, distance, distance / np.sqrt(variance))

    def _gain_of(self, frame: np.ndarray) -> np.ndarray:
        """Estimates exposure and white balance of a frame relative to the scene: float32, shape (3,).

        A histogram gives the commonest ratio of the green levels, so a garment that covers less than half of
        the picture does not matter. The mean ratio of each channel over the pixels near the commonest ratio
        is the gain.
        """
        step = 3  # every third row and column is enough
        seen, known = frame[::step, ::step].reshape(-1, 3), self.mean[::step, ::step].reshape(-1, 3)
        low, high = _USUAL_LEVELS
        usable = (known.min(axis=1) > low) & (known.max(axis=1) < high) & (seen.max(axis=1) < high)
        usable &= seen.min(axis=1) > low / _LARGEST_GAIN
        if np.count_nonzero(usable) < 0.05 * len(usable):  # nearly black or white all over
            return self.gain
        ratios = np.log(seen[usable] / known[usable])
        limit = math.log(_LARGEST_GAIN)
        middle = round(limit * _STEPS_PER_E)
        bins = np.rint(np.clip(ratios[:, 1], -limit, limit) * _STEPS_PER_E).astype(np.intp) + middle
        counts = np.bincount(bins, minlength=2 * middle + 1).astype(np.float32)
        counts[1:-1] = counts[:-2] + counts[1:-1] + counts[2:]
        last = math.log(float(self.gain[1]))
        prior = int(np.clip(round(last * _STEPS_PER_E) + middle, 0, 2 * middle))
        best = int(counts.argmax())
        near = counts[max(0, prior - 1) : prior + 2].max()
        if counts[best] < _PRIOR * near:
            best = max(0, prior - 1) + int(counts[max(0, prior - 1) : prior + 2].argmax())
        close = (np.abs(ratios - (best - middle) / _STEPS_PER_E) <= _SPREAD).all(axis=1)
        if not close.any():
            return self.gain
        gain: np.ndarray = np.exp(ratios[close].mean(axis=0))
        return gain

    def agreement(self, match: Match) -> Agreement:
        """Measures how much of the known scene agrees with a frame.

        If there are too few edges, the share of the levels takes their place.
        """
        levels = match.deviations < DIFFERS
        seen = gradients(match.normalized)
        product = (seen * self.gradients).sum(axis=0)
        length, expected = np.hypot(*seen), np.hypot(*self.gradients)
        same = (product > _SAME_DIRECTION * length * expected) & (
            length > _LEAST_GRADIENT * expected
        )
        border = border_mask(levels.shape)
        shares = []
        for region in (self.is_known, self.is_known & border):
            edges = self.edges & region
            enough = np.count_nonzero(edges) >= _FEWEST_EDGES * max(
                1, int(np.count_nonzero(region))
            )
            agrees = same[edges] if enough else levels[region]
            shares.append(mean(agrees))
        return Agreement(shares[0], shares[1], mean(levels[self.is_known]))


def gradients(picture: np.ndarray) -> np.ndarray:
    """Computes horizontal and vertical gradients of the green channel: float32, shape (2, h, w)."""
    cv2 = load_opencv()
    plane = np.ascontiguousarray(picture[..., 1])
    return np.stack([cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0)])


def distance_between(normalized: np.ndarray, mean: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Computes the root mean square of the differences over the channels: float32, shape (h, w).

    A clipped pixel may in truth be brighter than its level, both in the frame and in the mean.
    """
    cv2 = load_opencv()
    difference = normalized - np.minimum(mean, 255 / gain)
    difference[(difference > 0) & (mean >= _CLIPPED)] = 0
    squares = cv2.transform(difference * difference, np.full((1, 3), 1 / 3, np.float32))
    distance: np.ndarray = np.sqrt(squares)
    return distance


def noise_variance(noise: float, gain: np.ndarray) -> float:
    """Converts noise of the frame, in grey levels, to a variance in the exposure of the scene."""
    return (max(_LEAST_NOISE, noise) / float(gain.mean())) ** 2


def mean(values: np.ndarray) -> float:
    """Returns the mean of some values, or 0 if there are none."""
    return float(values.mean()) if len(values) else 0.0
