"""The statistics of the parity check are compared with independent implementations."""

import math

import numpy as np
import pytest

from garmentlite.convert.verify.statistics import (
    binomial_tail,
    count_flips,
    holm,
    images_to_decide,
    is_shown,
    loss_bound,
    loss_score,
    mcnemar_p,
    points,
    precision_loss_bounds,
    smallest_margin,
    smallest_support,
    tango_bound,
)

# --- counts


def test_count_flips_of_small_answers_is_as_counted_by_hand():
    y_true = np.array([0, 0, 1, 1, 2, 2], np.uint8)
    before, after = np.array([0, 0, 1, 0, 1, 2]), np.array([0, 1, 0, 1, 0, 2])
    flips = count_flips(y_true, before, after, 4)
    assert flips.lost.tolist() == [1, 1, 0, 0]
    assert flips.gained.tolist() == [0, 1, 0, 0]
    assert (flips.all_lost, flips.all_gained) == (2, 1)


# --- McNemar and Holm


@pytest.mark.parametrize(
    ("lost", "gained"), [(0, 0), (0, 5), (5, 0), (6, 2), (14, 1), (40, 13), (700, 650), (1000, 0)]
)
def test_mcnemar_p_of_any_counts_is_the_binomial_tail_of_scipy(lost, gained):
    stats = pytest.importorskip("scipy.stats")
    expected = 1.0
    if lost + gained:
        expected = stats.binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue
    assert mcnemar_p(lost, gained) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("lost", "gained"), [(6, 2), (14, 1), (40, 13)])
def test_mcnemar_p_of_a_loss_is_half_of_the_two_sided_statsmodels_p(lost, gained):
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    two_sided = tables.mcnemar([[900, lost], [gained, 50]], exact=True).pvalue
    assert mcnemar_p(lost, gained) == pytest.approx(two_sided / 2, rel=1e-9)


def test_holm_of_random_p_values_is_that_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for size in (1, 2, 10, 40):
        p_values = rng.uniform(0, 0.2, size)
        p_values[rng.uniform(size=size) < 0.3] = 0.05  # with ties
        expected = multitest.multipletests(p_values, method="holm")[1]
        np.testing.assert_allclose(holm(p_values.tolist()), expected, rtol=1e-12)


def test_holm_of_three_p_values_is_as_computed_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


# --- Tango's bound


@pytest.mark.parametrize(
    ("lost", "gained", "expected_points"), [(6, 2, 0.98), (8, 1, 1.33), (6, 1, 1.07)]
)
def test_loss_bound_of_1000_images_is_the_known_one(lost, gained, expected_points):
    assert 100 * loss_bound(lost, gained, 1000, 0.05) == pytest.approx(expected_points, abs=0.005)


def test_tango_bound_of_published_examples_is_the_published_one():
    # Tango 1998, section 6: sleeping difficulties, 9 and 3 of 32 pairs, 95% interval -0.027 to 0.390;
    # soft contact lenses, 0 and 1 of 44 pairs, 90% interval from -0.096.
    assert tango_bound(9, 3, 32, 0.025) == pytest.approx(0.390, abs=5e-4)
    assert tango_bound(3, 9, 32, 0.025) == pytest.approx(0.027, abs=5e-4)
    assert tango_bound(1, 0, 44, 0.05) == pytest.approx(0.096, abs=5e-4)
    assert loss_score(1, 0, 44, 0.1) == pytest.approx(-1.709, abs=5e-4)
    # Fagerland, Lydersen and Laake 2014: airway hyper-responsiveness, 1 and 7 of 21 pairs, -0.517 to -0.026.
    assert tango_bound(7, 1, 21, 0.025) == pytest.approx(0.517, abs=5e-4)
    assert tango_bound(1, 7, 21, 0.025) == pytest.approx(-0.026, abs=5e-4)


@pytest.mark.parametrize(
    ("lost", "gained", "support"),
    [(6, 2, 1000), (0, 4, 150), (25, 25, 300), (3, 0, 1000), (0, 0, 500)],
)
def test_tango_bound_is_where_the_constrained_likelihood_puts_it(lost, gained, support):
    # Written from the definition: the most likely cell probabilities under a loss, found by search and
    # not by Tango's formula; then the bound as the root of the score with the variance there.
    optimize = pytest.importorskip("scipy.optimize")

    def negative_log_likelihood(share_gained, loss):
        cells = (
            (lost, share_gained + loss),
            (gained, share_gained),
            (support - lost - gained, 1 - 2 * share_gained - loss),
        )
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    def score(loss):
        lowest, highest = max(0.0, -loss), (1 - loss) / 2
        found = optimize.minimize_scalar(
            negative_log_likelihood, (lowest, highest), (lowest, highest), args=(loss,),
            method="bounded", options={"xatol": 1e-13},
        )  # fmt: skip
        variance = (2 * found.x + loss - loss**2) / support
        return ((lost - gained) / support - loss) / math.sqrt(variance)

    z = pytest.importorskip("scipy.stats").norm.ppf(0.95)
    start = (lost - gained) / support + 1e-6
    expected = optimize.brentq(lambda loss: score(loss) + z, start, 0.9, xtol=1e-12)
    assert tango_bound(lost, gained, support, 0.05) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("count", "trials"), [(0, 1), (0, 149), (3, 25), (40, 1000), (990, 100_000)]
)
@pytest.mark.parametrize("share", [1e-4, 0.01, 0.3, 0.9])
def test_binomial_tail_of_any_count_is_that_of_scipy(count, trials, share):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binom.cdf(count, trials, share)
    assert binomial_tail(count, trials, share) == pytest.approx(expected, rel=1e-7, abs=1e-200)


@pytest.mark.parametrize(("lost", "support"), [(0, 25), (1, 44), (3, 1000), (60, 1000), (24, 25)])
def test_loss_bound_without_a_gained_image_is_at_least_the_one_of_statsmodels(lost, support):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    _, exact = proportion.proportion_confint(lost, support, alpha=0.1, method="beta")
    expected = max(exact, tango_bound(lost, 0, support, 0.05))
    assert loss_bound(lost, 0, support, 0.05) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("support", [25, 150, 1000])
@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_is_shown_agrees_with_the_bound(support, margin):
    for gained in (0, 1, 5):
        for lost in range(min(support - gained, 40)):
            bound = loss_bound(lost, gained, support, 0.05)
            assert is_shown(lost, gained, support, margin=margin, alpha=0.05) == (bound < margin)


def test_loss_score_of_arrays_is_that_of_their_elements():
    lost, gained = np.arange(30), np.arange(30)[::-1].copy()
    scores = loss_score(lost, gained, 1000, 0.02)
    expected = [loss_score(int(b), int(c), 1000, 0.02) for b, c in zip(lost, gained, strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


def test_loss_bound_of_everything_lost_is_one():
    assert loss_bound(5, 0, 5, 0.05) == pytest.approx(1.0)


def test_loss_bound_of_all_counts_of_twenty_images_lies_between_observed_loss_and_one_and_rises():
    for gained in range(21):
        bounds = [loss_bound(lost, gained, 20, 0.05) for lost in range(21 - gained)]
        assert all((lost - gained) / 20 <= bound <= 1 for lost, bound in enumerate(bounds))
        assert bounds == sorted(bounds)


def test_loss_score_at_no_loss_is_that_of_mcnemar():
    assert loss_score(14, 1, 1000, 0.0) == pytest.approx(13 / math.sqrt(15))
    assert loss_score(0, 0, 1000, 0.0) == 0.0


@pytest.mark.parametrize("gain_rate", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.02])
def test_loss_bound_in_simulation_covers_the_true_loss_as_often_as_it_says(loss, gain_rate):
    support, alpha, rounds = 1000, 0.05, 4000
    shares = [gain_rate + loss, gain_rate, 1 - 2 * gain_rate - loss]
    draws = np.random.default_rng(7).multinomial(support, shares, size=rounds)
    kinds, times = np.unique(draws[:, :2], axis=0, return_counts=True)
    bounds = np.array([loss_bound(int(b), int(c), support, alpha) for b, c in kinds])
    coverage = float((times * (bounds >= loss)).sum() / rounds)
    # The interval is an approximation of counts: half a point, and three deviations of the simulation.
    assert coverage >= 1 - alpha - 0.005 - 3 * math.sqrt(alpha * (1 - alpha) / rounds)


@pytest.mark.parametrize("gain_rate", [0.0, 0.005, 0.02])
@pytest.mark.parametrize(
    ("margin", "support"),
    [(0.01, 1000), (0.02, 1000), (0.02, 149), (0.02, 300), (0.1, 29), (0.1, 46)],
)
def test_class_whose_true_loss_is_the_margin_is_shown_in_at_most_55_of_1000_cases(
    margin, support, gain_rate
):
    stats = pytest.importorskip("scipy.stats")
    alpha, shown = 0.05, 0.0
    for gained in range(min(60, support // 2)):  # exact: summed over all counts that can be met
        lost = 0
        while loss_bound(lost, gained, support, alpha) < margin:
            lost += 1
        others = stats.binom.cdf(lost - 1, support - gained, (gain_rate + margin) / (1 - gain_rate))
        shown += stats.binom.pmf(gained, support, gain_rate) * others
    assert shown <= 0.055


def test_lost_is_said_in_simulation_of_no_loss_less_often_than_alpha():
    rng, rounds, alpha = np.random.default_rng(3), 3000, 0.05
    changed = rng.binomial(1000, 0.02, size=(rounds, 10))
    lost = rng.binomial(changed, 0.5)
    said = sum(
        min(holm([mcnemar_p(int(b), int(n - b)) for b, n in zip(*row, strict=True)])) < alpha
        for row in zip(lost, changed, strict=True)
    )
    assert said / rounds <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / rounds)


# --- how many images it takes


@pytest.mark.parametrize(
    ("margin", "alpha"), [(0.02, 0.05), (0.01, 0.05), (0.005, 0.01), (0.3, 0.05)]
)
def test_smallest_support_is_the_first_that_reaches_the_margin_without_a_loss(margin, alpha):
    support = smallest_support(margin, alpha)
    assert loss_bound(0, 0, support, alpha) < margin <= loss_bound(0, 0, support - 1, alpha)
    assert smallest_margin(support, alpha) == pytest.approx(loss_bound(0, 0, support, alpha))


def test_images_to_decide_without_a_gained_image_makes_the_exact_bound_meet_the_margin():
    support = images_to_decide(4, 0, 450, margin=0.02, alpha=0.05, num_classes=10)
    assert tango_bound(4, 0, 450, 0.05) < 0.02 < loss_bound(4, 0, 450, 0.05)
    assert 450 < support < 600
    assert is_shown(math.ceil(4 * support / 450), 0, support, margin=0.02, alpha=0.05)


def test_images_to_decide_for_a_small_loss_makes_the_bound_meet_the_margin():
    support = images_to_decide(20, 8, 1000, margin=0.02, alpha=0.05, num_classes=10)
    factor = support / 1000
    assert support > 1000
    assert loss_score(20 * factor, 8 * factor, support, 0.02) == pytest.approx(-1.645, abs=1e-3)


def test_images_to_decide_for_a_large_loss_makes_it_significant_under_holm():
    support = images_to_decide(6, 1, 200, margin=0.02, alpha=0.05, num_classes=10)
    factor = support / 200
    assert support > 200
    assert loss_score(6 * factor, factor, support, 0.0) == pytest.approx(2.576, abs=2e-2)


# --- precision bootstrap


def test_precision_loss_bounds_are_those_of_a_bootstrap_of_single_images():
    rng = np.random.default_rng(5)
    y_true = rng.integers(0, 3, 600)
    reference = np.where(rng.uniform(size=600) < 0.9, y_true, rng.integers(0, 3, 600))
    candidate = np.where(rng.uniform(size=600) < 0.95, reference, 1)
    losses = []
    for _ in range(2000):
        rows = rng.integers(0, 600, 600)
        losses.append(
            [
                np.mean(y_true[rows][reference[rows] == k] == k)
                - np.mean(y_true[rows][candidate[rows] == k] == k)
                for k in range(3)
            ]
        )
    expected = np.quantile(losses, 0.95, axis=0)
    bounds = precision_loss_bounds(y_true, reference, candidate, 3, alpha=0.05)
    # The 95% quantile of n draws has deviation 2.1 / sqrt(n) of the spread: three of both together.
    np.testing.assert_allclose(bounds, expected, atol=0.18 * np.std(losses, axis=0).max())


def test_precision_loss_bounds_of_a_class_never_answered_is_none():
    y_true = np.array([0, 1, 2, 0])
    answers = np.array([0, 1, 1, 0])
    assert precision_loss_bounds(y_true, answers, answers, 3, alpha=0.05) == [0.0, 0.0, None]


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.02, 1, "2"), (0.005, 1, "0.5"), (-0.0031, 2, "-0.31"), (0.1, 2, "10.00")],
)
def test_points_of_a_share_are_hundredths(share, digits, text):
    assert points(share, digits) == text
