"""Computes how many images a margin needs, before any model is run; NumPy and the standard library only.

A class is shown when the bound of its loss is below the margin. Each of its `support` images is lost with one
probability and gained with another. The chance that the class is shown is a sum over all counts of lost and
gained images; nothing is simulated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.statistics import is_shown, loss_score, smallest_support, z_of
from garmentlite.edge.errors import OptionError

PROBABILITIES = (0.8, 0.9)  # usual powers of a study
CHANGED = (0.0, 0.005, 0.01, 0.02)  # shares of changed images that are planned for by default

_DEVIATIONS = 9  # counts further from their mean occur once in 10^17 cases and are left out
_MOST_IMAGES = 1_000_000  # of a class; nobody has more


@dataclass(frozen=True)
class Plan:
    """Images for one margin at one share of changed images.

    Attributes:
        margin: Largest loss of recall that is accepted.
        alpha: One-sided error rate of the bound.
        changed: Share of the images of a class that only one of the two models recognises, in [0, 1). Half
            of them are lost and half gained, so that there is no true loss.
        images: For each probability the smallest number of images of the class with which it is shown with at
            least that probability; None if even a million are too few.
    """

    margin: float
    alpha: float
    changed: float
    images: dict[float, int | None]

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the plan, with the probabilities as keys, see docs/verify-json.md."""
        return asdict(self) | {"images": {f"{p:g}": n for p, n in self.images.items()}}


def plan(
    margin: float,
    alpha: float,
    changed: float,
    probabilities: Sequence[float] = PROBABILITIES,
) -> Plan:
    """Computes how many images of a class show the margin if there is no true loss.

    Args:
        margin: Largest loss of recall that is accepted, in (0, 1).
        alpha: One-sided error rate, in (0, 0.5).
        changed: Share of the images that only one model recognises, in [0, 1).
        probabilities: Wanted probabilities of being shown, each in (0, 1).

    Raises:
        OptionError: If a number is out of its range.
    """
    Criteria(margin, alpha)  # refuses a number out of its range
    if not 0 <= changed < 1:
        raise OptionError(
            f"The share of changed images must lie between 0 and 1, got {changed}; 0.01 is one in a hundred."
        )
    images = {
        probability: images_needed(margin, alpha, changed, probability)
        for probability in probabilities
    }
    return Plan(margin, alpha, changed, images)


def images_needed(margin: float, alpha: float, changed: float, probability: float) -> int | None:
    """Computes how many images show a class with at least `probability` if there is no true loss.

    The chance rises with the number of images, but in a sawtooth, since counts are whole numbers. The
    smallest number that reaches it may be a quarter below the largest that does not. So the search starts
    at one and a half times a sufficient number and goes downwards, in steps of the third digit.

    Args:
        margin: Largest loss that is accepted.
        alpha: One-sided error rate.
        changed: Share of the images that only one model recognises, half of it each way.
        probability: Wanted probability, in (0, 1).

    Returns:
        The number, rounded up to three digits; None above a million.
    """

    def chance(support: int) -> float:
        return chance_of_shown(support, changed / 2, changed / 2, margin=margin, alpha=alpha)

    fewest = smallest_support(margin, alpha)
    enough = fewest
    while chance(enough) < probability:
        enough = enough * 5 // 4 + 1
        if enough > _MOST_IMAGES:
            return None
    step = max(1, 10 ** (len(str(enough)) - 3))
    needed = -(-enough * 3 // (2 * step)) * step
    while needed - step >= fewest and chance(needed - step) >= probability:
        needed -= step
    return needed


def chance_of_shown(
    support: int, share_lost: float, share_gained: float, *, margin: float, alpha: float
) -> float:
    """Computes the probability that a class is shown, summed over all counts of lost and gained images.

    Args:
        support: Images of the class.
        share_lost: Probability that an image is recognised by the reference alone.
        share_gained: Probability that it is recognised by the candidate alone; the two add up to less than 1.
        margin: Largest loss that is accepted.
        alpha: One-sided error rate.

    Returns:
        In [0, 1]; exact to rounding.
    """
    gained = _counts_around(support, share_gained)
    most = most_lost(gained, support, margin=margin, alpha=alpha)
    others, share = support - gained, share_lost / (1 - share_gained)
    lost = _counts_around(int(others[0]), share)
    # The chance that the lost images are few enough is summed for the first number of gained images alone.
    # The next number leaves one other image fewer. If X(n) counts the lost of n other images, then
    # P(X(n - 1) <= k) = P(X(n) <= k) + share * P(X(n - 1) = k). After that, k changes to the next `most`.
    first = _binomial(lost[lost <= most[0]], others[0], share).sum()
    change = share * _binomial(most[:-1], others[1:], share)
    steps = np.diff(most)
    for step in range(1, steps.max(initial=0) + 1):
        change += (steps >= step) * _binomial(most[:-1] + step, others[1:], share)
    for step in range(steps.min(initial=0) + 1, 1):
        change -= (steps < step) * _binomial(most[:-1] + step, others[1:], share)
    few_enough = first + np.concatenate(([0.0], np.cumsum(change)))
    return float(np.clip(_binomial(gained, support, share_gained) @ few_enough, 0.0, 1.0))


def _binomial(count: np.ndarray, trials: Any, share: float) -> np.ndarray:
    """The binomial probability of each count, 0 where a count is below 0 or above its number of trials."""
    is_possible = (count >= 0) & (count <= trials)
    count = np.where(is_possible, count, 0)
    if share == 0:
        return np.asarray(is_possible & (count == 0), float)
    logarithms = _log_factorials(2 ** int(np.max(trials)).bit_length())
    log_probability = (
        logarithms[trials]
        - logarithms[count]
        - logarithms[trials - count]
        + count * math.log(share)
        + (trials - count) * math.log1p(-share)
    )
    return np.where(is_possible, np.exp(log_probability), 0.0)


@lru_cache(maxsize=2)
def _log_factorials(stop: int) -> np.ndarray:
    """The logarithms of the factorials of 0 to `stop` - 1."""
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, stop)))))


def most_lost(gained: np.ndarray, support: int, *, margin: float, alpha: float) -> np.ndarray:
    """Computes for each number of gained images how many lost images still show the class.

    Args:
        gained: Whole numbers, shape (K,), each in [0, support].
        support: Images of the class.
        margin: Largest loss that is accepted.
        alpha: One-sided error rate.

    Returns:
        int64, shape (K,); -1 if not even 0 are few enough.
    """
    # The score rises with every image lost: bisection, with `shown` below and `not shown` above.
    shown = np.full(len(gained), -1)
    above = np.minimum(gained + math.ceil(support * margin) + 1, support - gained + 1)
    while (above - shown > 1).any():
        middle = (shown + above) // 2
        small = loss_score(middle, gained, support, margin) < -z_of(alpha)
        searching = above - shown > 1
        shown, above = (
            np.where(searching & small, middle, shown),
            np.where(searching & ~small, middle, above),
        )
    for place in np.flatnonzero(gained == 0):  # where the exact bound counts too
        while shown[place] >= 0 and not is_shown(
            int(shown[place]), 0, support, margin=margin, alpha=alpha
        ):
            shown[place] -= 1
    return shown


def _counts_around(support: int, share: float) -> np.ndarray:
    """Lists the whole numbers that a binomial count can take with a probability that matters."""
    mean = support * share
    spread = _DEVIATIONS * (math.sqrt(mean * (1 - share)) + 1)
    first, last = max(0, math.floor(mean - spread)), min(support, math.ceil(mean + spread))
    return np.arange(first, last + 1)
