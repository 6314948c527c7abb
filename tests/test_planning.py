"""Planned probabilities agree with simulation and SciPy, and the numbers of images reach them."""

import json
import math

import numpy as np
import pytest

from garmentlite.convert.verify.planning import chance_of_shown, images_needed, most_lost, plan
from garmentlite.convert.verify.statistics import loss_bound, smallest_support
from garmentlite.edge.errors import OptionError


@pytest.mark.parametrize("support", [30, 149, 400])
@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_most_lost_is_where_the_bound_meets_the_margin(support, margin):
    gained = np.arange(8)
    for c, most in zip(gained, most_lost(gained, support, margin=margin, alpha=0.05), strict=True):
        bounds = [loss_bound(lost, int(c), support, 0.05) for lost in range(support - int(c))]
        assert most == sum(bound < margin for bound in bounds) - 1  # the bound rises


@pytest.mark.parametrize(
    ("lost", "gained"), [(0.005, 0.005), (0.02, 0.0), (0.0, 0.0), (0.0, 0.01), (0.03, 0.02)]
)
def test_chance_of_shown_is_the_sum_that_scipy_gives(lost, gained):
    stats = pytest.importorskip("scipy.stats", reason="needs the `crosscheck` extra")
    support, margin = 500, 0.02
    expected = 0.0
    for c in range(100):
        most = most_lost(np.array([c]), support, margin=margin, alpha=0.05)[0]
        of_others = stats.binom.cdf(most, support - c, lost / (1 - gained))
        expected += stats.binom.pmf(c, support, gained) * of_others
    chance = chance_of_shown(support, lost, gained, margin=margin, alpha=0.05)
    assert chance == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("margin", [0.1, 0.3, 0.9])
@pytest.mark.parametrize(
    ("lost", "gained"), [(0.1, 0.1), (0.25, 0.25), (0.0, 0.2), (0.2, 0.0), (0.6, 0.3)]
)
def test_chance_of_shown_is_the_sum_over_all_pairs_of_counts(margin, lost, gained):
    support, expected = 40, 0.0
    for c in range(support + 1):
        for b in range(support - c + 1):
            if b < support and loss_bound(b, c, support, 0.05) < margin:
                ways = math.comb(support, c) * math.comb(support - c, b)
                neither = support - b - c
                expected += ways * lost**b * gained**c * (1 - lost - gained) ** neither
    chance = chance_of_shown(support, lost, gained, margin=margin, alpha=0.05)
    assert chance == pytest.approx(expected, abs=1e-12)


def test_chance_of_shown_is_the_share_of_simulated_classes_that_are():
    rounds, support, margin = 4000, 1000, 0.01
    draws = np.random.default_rng(2).multinomial(support, [0.005, 0.005, 0.99], size=rounds)
    kinds, times = np.unique(draws[:, :2], axis=0, return_counts=True)
    shown = [loss_bound(int(b), int(c), support, 0.05) < margin for b, c in kinds]
    simulated = float((times * shown).sum() / rounds)
    chance = chance_of_shown(support, 0.005, 0.005, margin=margin, alpha=0.05)
    assert chance == pytest.approx(simulated, abs=3 * (chance * (1 - chance) / rounds) ** 0.5)


def test_chance_of_shown_of_four_classes_is_the_one_in_the_design():
    chances = [
        chance_of_shown(1000, changed / 2, changed / 2, margin=0.01, alpha=0.05) ** 4
        for changed in (0.005, 0.01, 0.02)
    ]
    assert [round(chance, 2) for chance in chances] == [0.90, 0.60, 0.22]


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("changed", [0.0, 0.005, 0.02])
def test_images_needed_reach_the_probability_and_stay_above_it(margin, changed):
    needed = images_needed(margin, 0.05, changed, 0.8)

    def chance(support):
        return chance_of_shown(support, changed / 2, changed / 2, margin=margin, alpha=0.05)

    step = max(1, 10 ** (len(str(needed)) - 3))
    assert all(chance(support) >= 0.8 for support in range(needed, 2 * needed, 7 * step))
    assert needed == smallest_support(margin, 0.05) or chance(needed - step) < 0.8


def test_images_needed_without_a_change_are_the_fewest_at_all():
    assert images_needed(0.02, 0.05, 0.0, 0.9) == smallest_support(0.02, 0.05) == 149


@pytest.mark.parametrize(
    ("margin", "changed", "needed"),
    [
        (0.01, 0.0, 299),
        (0.01, 0.005, 759),
        (0.02, 0.02, 530),
        (0.05, 0.1, 362),
        (0.01, 0.3, 25_700),
        (0.02, 0.5, 10_800),
        (0.01, 0.5, 42_900),
    ],
)
def test_images_needed_are_those_of_the_sum_over_all_pairs_of_counts(margin, changed, needed):
    """The numbers were computed once by that sum, which takes up to 26 s for one of them."""
    assert images_needed(margin, 0.05, changed, 0.9) == needed


def test_images_needed_beyond_a_million_are_none():
    assert images_needed(0.0005, 0.05, 0.5, 0.9) is None


def test_plan_asks_for_more_images_where_more_change_or_more_is_wanted():
    plans = [plan(0.01, 0.05, changed) for changed in (0.0, 0.005, 0.01, 0.02)]
    for probability in (0.8, 0.9):
        counts = [one.images[probability] for one in plans]
        assert counts == sorted(counts)
    assert all(one.images[0.8] <= one.images[0.9] for one in plans)
    assert json.loads(json.dumps(plans[1].as_document()))["images"] == {"0.8": 571, "0.9": 759}


@pytest.mark.parametrize("numbers", [(0.0, 0.05, 0.01), (0.01, 0.6, 0.01), (0.01, 0.05, 1.0)])
def test_plan_of_a_number_out_of_range_is_an_option_error(numbers):
    with pytest.raises(OptionError):
        plan(*numbers)
