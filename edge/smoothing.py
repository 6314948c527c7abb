"""Makes answers steady: it averages the probabilities over time and delays a change of the label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.labels import NO_GARMENT, UNKNOWN

# Time constant in seconds just after a garment came into sight. At ten frames a second, the newest frame then
# has half of the weight.
_SETTLING_TIME_CONSTANT = 0.15


@dataclass(frozen=True)
class Smoothed:
    """The steady answer at one moment.

    Attributes:
        label: One of the model's labels, "unknown" or "no garment".
        probabilities: float64, shape (C,), sum 1, the mean over time; None for "no garment". The most
            probable class may differ from `label` while it has not led for long enough.
    """

    label: str
    probabilities: np.ndarray | None


class Smoother:
    """Averages class probabilities over time and delays a change of the label.

    The mean is exponential with a time constant in seconds, so it does not depend on the frame rate. A new
    label takes over when it has led the shown label by a margin for some time without interruption.
    "unknown" is treated as one more class, whose probability always equals the threshold. The first garment
    after an empty scene is named at once. While it is carried into the picture, frames show only a part of it
    or are blurred. So for the first half second the mean has a shorter time constant, and the label follows
    the mean without delay. A garment that is out of sight for a short time is not forgotten.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        unknown_threshold: float | None = None,
        time_constant: float = 0.4,
        margin: float = 0.1,
        moment: float = 0.25,
        settling: float = 0.5,
    ) -> None:
        """Starts without a garment in sight.

        Args:
            labels: Class names in the order of the probabilities.
            unknown_threshold: Confidence in [0, 1] below which the answer is "unknown"; with None it never
                is.
            time_constant: Seconds after which an old frame has 1/e of the weight of a new one; 0 turns
                averaging off.
            margin: Difference of mean probabilities, in [0, 1], by which a new label must lead.
            moment: Seconds for which a new label must lead, and for which a garment may be out of sight.
            settling: Seconds after a garment came into sight, during which the label follows the mean.
        """
        self._names = [*labels, UNKNOWN]
        # Without a threshold "unknown" has -1, which is below every probability.
        self._threshold = -1.0 if unknown_threshold is None else unknown_threshold
        self._time_constant = time_constant
        self._margin = margin
        self._moment = moment
        self._settling = settling
        self.reset()

    def reset(self) -> None:
        """Forgets all frames; call it when another scene begins."""
        self._mean: np.ndarray | None = None
        self._first_seen = 0.0  # time of the first frame with a garment, in seconds
        self._last_seen = 0.0  # time of the last frame with a garment, in seconds
        self._shown = len(self._names) - 1  # index in _names; used once a garment was seen
        self._challenger: int | None = None  # index of the class that leads the shown one
        self._challenged_at = 0.0  # time when it began to lead, in seconds

    def update(self, time: float, probabilities: np.ndarray | None) -> Smoothed:
        """Adds the answer to one frame.

        Args:
            time: When the frame was taken, in seconds; at least the time of the last call.
            probabilities: Float, shape (C,), sum 1; None if the frame shows no garment.

        Returns:
            The steady answer at this moment.
        """
        if probabilities is None:
            if self._mean is None or time - self._last_seen >= self._moment:
                self.reset()
                return Smoothed(NO_GARMENT, None)
            return Smoothed(self._names[self._shown], self._mean)
        if self._mean is None:
            self._first_seen = time
        mean = self._mixed(time, probabilities.astype(np.float64))
        self._choose(time, [*mean, self._threshold])
        self._mean, self._last_seen = mean, time
        return Smoothed(self._names[self._shown], mean)

    def _is_settling(self, time: float) -> bool:
        return time - self._first_seen < self._settling

    def _mixed(self, time: float, probabilities: np.ndarray) -> np.ndarray:
        if self._mean is None or self._time_constant == 0:
            return probabilities
        time_constant = self._time_constant
        if self._is_settling(time):
            time_constant = min(time_constant, _SETTLING_TIME_CONSTANT)
        weight = 1 - math.exp(-(time - self._last_seen) / time_constant)
        return self._mean + weight * (probabilities - self._mean)

    def _choose(self, time: float, scores: Sequence[float]) -> None:
        leader = int(np.argmax(scores))
        if self._mean is None or self._is_settling(time):
            self._shown = leader
        lead = scores[leader] - scores[self._shown]
        if leader == self._shown or lead < self._margin:
            self._challenger = None
            return
        if leader != self._challenger:
            self._challenger, self._challenged_at = leader, time
        if time - self._challenged_at >= self._moment:
            self._shown, self._challenger = leader, None
