"""The statistics of two models that answered the same images; NumPy and the standard library only.

All figures are paired. Of the `support` images of a class, `lost` were recognised by the reference alone and
`gained` by the candidate alone. The loss of recall is (lost - gained) / support. Shares are in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

BOOTSTRAP_REPLICATES = 4000  # they give the 95% quantile to about 3% of its distance from the mean

_BISECTIONS = 50  # halve an interval of length 2 down to 2e-15
_NEGLIGIBLE = 1e-17  # a share of a sum of probabilities that rounding loses anyway

# A whole number, or an array of them; a result has the shape of the arguments.
_Counts = Any


@dataclass(frozen=True)
class Flips:
    """Images that only one of two models recognised.

    Attributes:
        lost: Those of each class that only the reference recognised, int64, shape (C,).
        gained: Those of each class that only the candidate recognised, int64, shape (C,).
    """

    lost: np.ndarray
    gained: np.ndarray

    @property
    def all_lost(self) -> int:
        """The lost images of all classes."""
        return int(self.lost.sum())

    @property
    def all_gained(self) -> int:
        """The gained images of all classes."""
        return int(self.gained.sum())


def count_flips(
    y_true: np.ndarray, y_reference: np.ndarray, y_candidate: np.ndarray, num_classes: int
) -> Flips:
    """Counts the images of each class that one model recognised and the other did not.

    Args:
        y_true: True class numbers, integer, shape (N,), each in [0, num_classes).
        y_reference: The reference's answers, shape (N,).
        y_candidate: The candidate's answers, shape (N,).
        num_classes: C.
    """
    right_reference, right_candidate = y_reference == y_true, y_candidate == y_true
    lost, gained = (
        np.bincount(y_true[flipped], minlength=num_classes)
        for flipped in (right_reference & ~right_candidate, right_candidate & ~right_reference)
    )
    return Flips(lost, gained)


def mcnemar_p(lost: int, gained: int) -> float:
    """Computes the exact one-sided McNemar test: the binomial P(X >= lost) of lost + gained trials at 1/2.

    The hypothesis is that an image on which the models differ is as likely lost as gained.

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.

    Returns:
        The p value in [0, 1]; 1.0 where the models do not differ. Computed in whole numbers and rounded once.
    """
    changed = lost + gained
    return sum(math.comb(changed, k) for k in range(lost, changed + 1)) / 2**changed


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p values for their number by Holm's step-down method (Holm 1979).

    If all corrected values below alpha are called significant, the probability of even one false call is
    at most alpha.

    Args:
        p_values: Each in [0, 1], in any order.

    Returns:
        The corrected values in the same order, each at most 1.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def z_of(alpha: float) -> float:
    """Computes the value that a standard normal variable exceeds with probability `alpha`."""
    return NormalDist().inv_cdf(1 - alpha)


def loss_score(lost: _Counts, gained: _Counts, support: _Counts, loss: Any) -> Any:
    """Tango's score statistic of the hypothesis that the true loss of recall is `loss`.

    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17. The variance is that under the hypothesis, with the most
    likely share of gained images, so it is valid for few or no changed images too. At loss 0 the score is
    McNemar's (lost - gained) / sqrt(lost + gained).

    Args:
        lost: Images that only the reference recognised; a number or an array, like all arguments.
        gained: Images that only the candidate recognised.
        support: All images of the class, at least lost + gained and above 0.
        loss: In (-1, 1).

    Returns:
        The score, about standard normal if the hypothesis holds; above 0 where the observed loss is larger.
    """
    linear = (2 * support - lost + gained) * loss - lost - gained
    square = linear**2 + 8 * support * gained * loss * (1 - loss)
    # At the ends of the range the square is 0, and rounding may leave it slightly below 0.
    share_gained = ((square * (square > 0)) ** 0.5 - linear) / (4 * support)
    variance = support * (2 * share_gained + loss * (1 - loss))
    difference = lost - gained - support * loss
    # Where the variance is 0 the difference is 0 too.
    return difference * (variance > 0) / (variance * (variance > 0) + (variance <= 0)) ** 0.5


def binomial_tail(count: int, trials: int, share: float) -> float:
    """Computes P(X <= count) of a binomial variable, exact to rounding.

    Args:
        count: In [0, trials].
        trials: Above 0.
        share: Probability of one, in (0, 1).

    Returns:
        The probability, in [0, 1].
    """
    log_term = (
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(share)
        + (trials - count) * math.log1p(-share)
    )
    term, total, odds = 1.0, 1.0, (1 - share) / share  # in units of the last term
    for k in range(count, 0, -1):
        term *= k / (trials - k + 1) * odds
        total += term
        if term < _NEGLIGIBLE * total and k < trials * share:
            break
    return min(1.0, math.exp(log_term + math.log(total)))


def tango_bound(lost: int, gained: int, support: int, alpha: float) -> float:
    """Computes the upper end of Tango's score interval of the loss of recall, one-sided at `alpha`.

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        support: All images of the class, at least lost + gained and above 0.
        alpha: One-sided error rate, in (0, 0.5).

    Returns:
        The largest loss, in (-1, 1], that the counts do not rule out.
    """
    # The score falls as the loss grows, from 0 at the observed loss.
    return _least_loss_ruled_out(
        (lost - gained) / support,
        lambda loss: loss_score(lost, gained, support, loss) > -z_of(alpha),
    )


def loss_bound(lost: int, gained: int, support: int, alpha: float) -> float:
    """Computes the upper confidence bound of the loss of recall.

    The bound is Tango's. Where no image was gained it is also at least the exact binomial bound of the share
    lost (Clopper and Pearson 1934). Without the second bound, a class whose true loss equals the margin would
    be shown too often when only a handful of images decide: in up to 7.2% of cases at alpha 0.05. With it
    the rate is at most 5.5% for margins up to 10 points (benchmarks/parity_simulation.py computes both).

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        support: All images of the class, at least lost + gained and above 0.
        alpha: One-sided error rate, in (0, 0.5).

    Returns:
        The largest loss, in (-1, 1], that the counts do not rule out at `alpha`.
    """
    bound = tango_bound(lost, gained, support, alpha)
    if gained or lost == support:
        return bound
    exact = _least_loss_ruled_out(
        lost / support,
        lambda loss: loss < 1 and (loss == 0 or binomial_tail(lost, support, loss) >= alpha),
    )
    return max(bound, exact)


def _least_loss_ruled_out(observed: float, is_possible: Callable[[float], bool]) -> float:
    """Finds by bisection the least loss, between the observed loss and 1, that is not possible any more."""
    below, above = observed, 1.0
    for _ in range(_BISECTIONS):
        middle = (below + above) / 2
        if is_possible(middle):
            below = middle
        else:
            above = middle
    return above


def is_shown(lost: int, gained: int, support: int, *, margin: float, alpha: float) -> bool:
    """Whether `loss_bound` of these counts is below the margin, without searching for the bound."""
    if loss_score(lost, gained, support, margin) >= -z_of(alpha):
        return False
    return bool(gained) or binomial_tail(lost, support, margin) < alpha


def smallest_support(margin: float, alpha: float) -> int:
    """Computes the fewest images of a class that can show the margin, if none of them is lost.

    If no image changed, Tango's bound is z^2 / (support + z^2), where z is the normal quantile of 1 - alpha.
    The binomial bound is the share lost for which `support` images contain no lost one with probability
    alpha.
    """
    by_tango = z_of(alpha) ** 2 * (1 - margin) / margin
    return math.floor(max(by_tango, math.log(alpha) / math.log1p(-margin))) + 1


def smallest_margin(support: int, alpha: float) -> float:
    """Computes the bound that `support` images reach if none is lost; only larger margins can be shown."""
    z_squared = z_of(alpha) ** 2
    return max(z_squared / (support + z_squared), -math.expm1(math.log(alpha) / support))


def images_to_decide(
    lost: int, gained: int, support: int, *, margin: float, alpha: float, num_classes: int
) -> int:
    """Computes the number of images that would settle the verdict of a class if its rates stay as they are.

    Both scores grow with the square root of the number of images. If the observed loss is below the margin,
    the result is the number of images that show so. Otherwise it is the number that makes the loss
    significant under Holm's strictest factor, the number of classes.

    Args:
        lost: Images that only the reference recognised.
        gained: Images that only the candidate recognised.
        support: All images of the class.
        margin: Largest loss that is accepted.
        alpha: One-sided error rate.
        num_classes: Classes judged together.

    Returns:
        Number of images of this class, above `support`.
    """
    if (lost - gained) / support >= margin:
        score = loss_score(lost, gained, support, 0.0)
        needed = math.ceil(support * (z_of(alpha / num_classes) / score) ** 2)
        return max(needed, support + 1)
    score = loss_score(lost, gained, support, margin)
    needed = max(math.ceil(support * (z_of(alpha) / score) ** 2), support + 1)
    # The exact binomial bound may need a few more images.
    while not gained and binomial_tail(math.ceil(lost * needed / support), needed, margin) >= alpha:
        needed += max(1, needed // 100)
    return needed


def precision_loss_bounds(
    y_true: np.ndarray,
    predicted_reference: np.ndarray,
    predicted_candidate: np.ndarray,
    num_classes: int,
    *,
    alpha: float,
    seed: int = 0,
) -> list[float | None]:
    """Computes the upper confidence bounds of the loss of precision of each class, by a paired bootstrap.

    For one class there are eight kinds of image: it is of the class or not, the reference gives this answer
    or not, the candidate does or not. Drawing N images with replacement only changes how often each kind
    occurs. So the eight counts are drawn from a multinomial distribution: the same bootstrap at a thousandth
    of the work.

    Args:
        y_true: True class numbers, shape (N,).
        predicted_reference: The reference's answers, shape (N,).
        predicted_candidate: The candidate's answers, shape (N,).
        num_classes: C.
        alpha: One-sided error rate.
        seed: Seed of the draws; the same seed gives the same bounds.

    Returns:
        C bounds, each in [-1, 1]; None if one of the models never gives this answer. If the models never
        differ on an answer, its bound is 0.
    """
    rng = np.random.default_rng(seed)
    bounds: list[float | None] = []
    for class_id in range(num_classes):
        kinds = (
            4 * (y_true == class_id)
            + 2 * (predicted_reference == class_id)
            + (predicted_candidate == class_id)
        )
        shares = np.bincount(kinds, minlength=8) / len(y_true)
        draws = rng.multinomial(len(y_true), shares, size=BOOTSTRAP_REPLICATES).reshape(-1, 2, 2, 2)
        # Axes: replicate, of the class, answered by the reference, answered by the candidate.
        answered_reference = draws[:, :, 1, :].sum(axis=2)
        answered_candidate = draws[:, :, :, 1].sum(axis=2)
        given = (answered_reference.sum(axis=1) > 0) & (answered_candidate.sum(axis=1) > 0)
        if not given.any():
            bounds.append(None)
            continue
        precision_reference, precision_candidate = (
            answered[given, 1] / answered[given].sum(axis=1)
            for answered in (answered_reference, answered_candidate)
        )
        bounds.append(float(np.quantile(precision_reference - precision_candidate, 1 - alpha)))
    return bounds


def points(share: float, digits: int = 1) -> str:
    """Formats a share in points (hundredths): "2" for 0.02, or "-0.31" for -0.0031 with two digits."""
    text = f"{100 * share:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits == 1 else text
