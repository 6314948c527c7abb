"""The statistics of the parity check against independent implementations, and every gate seen failing."""

import json
import math

import numpy as np
import pytest

from garmentlite.convert.parity import (
    Answers,
    Limits,
    ParityReport,
    binomial_tail,
    confidence_drift,
    holm,
    images_to_decide,
    is_shown,
    judge,
    loss_bound,
    loss_score,
    mcnemar_p,
    points,
    precision_loss_bounds,
    require_resolvable,
    smallest_margin,
    smallest_support,
    tango_bound,
)
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.probabilities import softmax

SHIRT = FASHION_MNIST_LABELS.index("Shirt")
T_SHIRT = FASHION_MNIST_LABELS.index("T-shirt/top")


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


# --- the whole, on answers made up


def make_logits(answers: np.ndarray, seed: int = 0, num_classes: int = 10) -> np.ndarray:
    """Logits like a network's whose largest is of the given class, with a lead of at least 0.5."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (len(answers), num_classes)).astype(np.float32)
    rows = np.arange(len(answers))
    logits[rows, answers] = logits.max(axis=1) + rng.uniform(0.5, 6, len(answers))
    return logits


def answers_of(logits: np.ndarray, temperature: float = 1.0) -> Answers:
    return Answers(logits, softmax(logits / np.float32(temperature)))


def with_answer(logits: np.ndarray, rows: np.ndarray, class_id: int) -> np.ndarray:
    """A copy in which these rows are just won by another class, as a small error would do."""
    changed = logits.copy()
    changed[rows, class_id] = changed[rows].max(axis=1) + 0.01
    return changed


@pytest.fixture(scope="module")
def y_true() -> np.ndarray:
    return np.repeat(np.arange(10), 1000)


@pytest.fixture(scope="module")
def logits(y_true) -> np.ndarray:
    """A reference that recognises 92% of every class."""
    rng = np.random.default_rng(11)
    wrong = rng.uniform(size=len(y_true)) < 0.08
    return make_logits(np.where(wrong, (y_true + rng.integers(1, 10, len(y_true))) % 10, y_true))


def recognised(y_true: np.ndarray, logits: np.ndarray, class_id: int, number: int) -> np.ndarray:
    """The first images of a class that these logits recognise, those with the smallest lead first."""
    rows = np.flatnonzero((y_true == class_id) & (logits.argmax(axis=1) == class_id))
    second, first = np.sort(logits[rows], axis=1)[:, -2:].T
    return rows[np.argsort(first - second)][:number]


def judge_logits(y_true, logits, changed, **options) -> ParityReport:
    return judge(y_true, answers_of(logits), answers_of(changed), FASHION_MNIST_LABELS, **options)


def failed_guards(report: ParityReport) -> list[str]:
    return [guard.name for guard in report.guards if guard.passed is False]


def test_judge_of_an_undamaged_copy_passes(y_true, logits):
    report = judge_logits(y_true, logits, logits.copy())
    assert report.passed
    assert {row.verdict for row in report.classes} == {"shown"}
    assert not report.changed_images
    assert report.agreement == 1.0
    assert [guard.passed for guard in report.guards] == [True] * 7


def test_judge_of_small_balanced_changes_passes(y_true, logits):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 5), T_SHIRT)
    report = judge_logits(y_true, logits, changed)
    shirt = report.classes[SHIRT]
    assert report.passed
    assert (shirt.lost, shirt.gained, shirt.detectable) == (5, 0, False)
    assert shirt.recall_reference - shirt.recall_candidate == pytest.approx(shirt.loss)


def test_judge_of_one_class_damaged_says_lost_and_names_it_alone(y_true, logits):
    rows = recognised(y_true, logits, SHIRT, 30)
    report = judge_logits(y_true, logits, with_answer(logits, rows, T_SHIRT))
    assert not report.passed
    assert [row.label for row in report.with_verdict("lost")] == ["Shirt"]
    assert report.classes[SHIRT].p_holm < 0.001
    assert len(report.changed_images) == 30
    change = report.changed_images[0]
    assert (change.label_reference, change.label_candidate) == ("Shirt", "T-shirt/top")
    assert y_true[change.index] == SHIRT


def test_judge_of_gained_accuracy_still_says_which_class_was_lost(y_true, logits):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 30), T_SHIRT)
    for class_id in range(6):  # ten images better in each of six other classes
        wrong = np.flatnonzero((y_true == class_id) & (logits.argmax(axis=1) != class_id))[:10]
        changed = with_answer(changed, wrong, class_id)
    report = judge_logits(y_true, logits, changed)
    assert report.accuracy.candidate > report.accuracy.reference
    assert [row.label for row in report.with_verdict("lost")] == ["Shirt"]


def test_judge_of_a_loss_that_chance_may_explain_is_unresolved_and_says_how_many_images(
    y_true, logits
):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 25), T_SHIRT)
    wrong = np.flatnonzero((y_true == SHIRT) & (logits.argmax(axis=1) != SHIRT))[:12]
    report = judge_logits(y_true, logits, with_answer(changed, wrong, SHIRT))
    shirt = report.classes[SHIRT]
    assert not report.passed
    assert shirt.verdict == "unresolved"
    assert 1000 < shirt.images_to_decide < 5000


def test_judge_of_a_significant_loss_within_the_margin_is_shown_and_detectable(y_true, logits):
    rows = recognised(y_true, logits, SHIRT, 12)
    report = judge_logits(y_true, logits, with_answer(logits, rows, T_SHIRT))
    assert report.classes[SHIRT].verdict == "shown"
    assert report.classes[SHIRT].detectable
    assert report.passed


def test_judge_of_drowned_precision_fails_that_guard_though_every_recall_stands(y_true, logits):
    # Images that are wrong anyway are now all called Shirt: no recall changes.
    wrong = np.flatnonzero((y_true != SHIRT) & (logits.argmax(axis=1) != y_true))[:60]
    report = judge_logits(y_true, logits, with_answer(logits, wrong, SHIRT))
    assert {row.verdict for row in report.classes} == {"shown"}
    assert failed_guards(report) == ["precision"]
    assert "Shirt" in report.guards[0].sentence
    assert not report.passed


def test_judge_of_a_small_loss_everywhere_fails_the_accuracy_guard(y_true, logits):
    changed = logits
    for class_id in range(10):
        rows = recognised(y_true, logits, class_id, 9)
        changed = with_answer(changed, rows, (class_id + 1) % 10)
    report = judge_logits(y_true, logits, changed)
    assert {row.verdict for row in report.classes} == {"shown"}
    assert failed_guards(report) == ["accuracy"]


def test_judge_of_another_network_of_equal_accuracy_fails_the_agreement_guard(y_true, logits):
    # Wrong elsewhere: as many lost as gained in every class.
    changed = logits
    for class_id in range(10):
        lost = recognised(y_true, logits, class_id, 15)
        wrong = np.flatnonzero((y_true == class_id) & (logits.argmax(axis=1) != class_id))[:15]
        changed = with_answer(with_answer(changed, lost, (class_id + 1) % 10), wrong, class_id)
    report = judge_logits(y_true, logits, changed)
    assert report.accuracy.candidate == report.accuracy.reference
    assert "agreement" in failed_guards(report)


@pytest.mark.parametrize(
    ("damage", "guards"),
    [
        pytest.param(softmax, {"confidence drift, mean", "logit offset"}, id="softmax-added"),
        pytest.param(lambda x: x * 0.5, {"confidence drift, mean"}, id="scale-halved"),
        pytest.param(lambda x: x * 2, {"confidence drift, mean"}, id="scale-doubled"),
        pytest.param(lambda x: x + 1, {"logit offset"}, id="zero-point-shifted"),
    ],
)
def test_judge_of_outputs_changed_without_an_answer_fails_a_confidence_guard(
    y_true, logits, damage, guards
):
    report = judge_logits(y_true, logits, damage(logits))
    assert report.agreement == 1.0
    assert {row.verdict for row in report.classes} == {"shown"}
    assert guards <= set(failed_guards(report))
    assert not report.passed


def test_confidence_drift_of_a_temperature_taken_twice_is_above_the_limit(logits):
    drift = confidence_drift(answers_of(logits), answers_of(logits, temperature=2.0))
    assert drift.mean > Limits().drift_mean
    assert drift.logit_offset == 0.0


def test_confidence_drift_of_one_softmax_file_leaves_the_offset_undefined(logits):
    one = Answers(np.log(softmax(logits)), softmax(logits), from_softmax=True)
    drift = confidence_drift(answers_of(logits), one)
    assert drift.logit_offset is None
    assert drift.mean == pytest.approx(0.0, abs=1e-6)


def test_judge_with_given_limits_uses_them(y_true, logits):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 5), T_SHIRT)
    report = judge_logits(y_true, logits, changed, limits=Limits(agreement=0.9999))
    assert failed_guards(report) == ["agreement"]


def test_judge_of_too_few_images_for_the_accuracy_limit_says_so_and_does_not_fail():
    y_true = np.repeat(np.arange(2), 200)
    logits = make_logits(y_true, num_classes=2)
    report = judge(y_true, answers_of(logits), answers_of(logits), ["left", "right"])
    guard = next(guard for guard in report.guards if guard.name == "accuracy")
    assert guard.passed is None
    assert "598" in guard.sentence
    assert report.passed


def test_judge_of_an_answer_never_given_has_null_and_no_nan_in_json(y_true, logits):
    dead = logits.copy()
    dead[:, SHIRT] = -50  # never answered
    report = judge_logits(y_true, logits, dead)
    assert [row.label for row in report.with_verdict("lost")] == ["Shirt"]
    document = json.loads(json.dumps(report.as_document(), allow_nan=False))
    assert document["precision"][SHIRT]["candidate"] is None
    assert document["precision"][SHIRT]["bound"] is None
    assert "Not defined" in report.guards[0].sentence


def test_as_document_has_the_keys_of_the_design(y_true, logits):
    document = judge_logits(y_true, logits, logits).as_document()
    assert {
        "passed",
        "margin",
        "alpha",
        "classes",
        "precision",
        "agreement",
        "confidence_drift",
    } <= set(document)
    assert {
        "label", "support", "recall_reference", "recall_candidate", "lost", "gained", "p_value", "p_holm",
        "bound", "verdict",
    } <= set(document["classes"][0])  # fmt: skip


# --- classes that are left out


def with_few(y_true: np.ndarray, class_id: int, number: int) -> np.ndarray:
    """Places of all images but those of a class beyond its first `number`."""
    return np.setdiff1d(np.arange(len(y_true)), np.flatnonzero(y_true == class_id)[number:])


def test_judge_of_named_classes_judges_no_other_and_says_so(y_true, logits):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 30), T_SHIRT)
    report = judge_logits(y_true, logits, changed, classes=["bag", "Coat"])
    assert report.passed
    judged = [row.label for row in report.classes if row.verdict != "not judged"]
    assert judged == ["Coat", "Bag"]
    shirt = report.classes[SHIRT]
    assert (shirt.lost, shirt.reason, shirt.detectable) == (30, "not asked for", False)
    assert math.isnan(shirt.p_holm)
    assert judge_logits(y_true, logits, changed, classes=["Shirt"]).with_verdict("lost")


def test_judge_of_one_named_class_corrects_for_no_other(y_true, logits):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 6), T_SHIRT)
    (alone,) = (
        row for row in judge_logits(y_true, logits, changed, classes=["Shirt"]).classes
        if row.label == "Shirt"
    )  # fmt: skip
    assert alone.p_holm == alone.p_value
    together = judge_logits(y_true, logits, changed).classes[SHIRT]
    assert together.p_holm == pytest.approx(10 * alone.p_value)


def test_judge_of_an_unknown_class_proposes_the_nearest(y_true, logits):
    with pytest.raises(OptionError, match="did you mean 'Shirt'"):
        judge_logits(y_true, logits, logits, classes=["Shirtt"])


def test_judge_of_a_class_with_few_images_refuses_or_leaves_it_out(y_true, logits):
    rows = with_few(y_true, SHIRT, 20)
    y, few = y_true[rows], logits[rows]
    with pytest.raises(DataError, match=r"Shirt \(20\).*--min-support 149"):
        judge_logits(y, few, few)
    report = judge_logits(y, few, few, min_support=149)
    assert report.passed
    assert report.classes[SHIRT].verdict == "not judged"
    assert report.classes[SHIRT].reason == "20 images, fewer than 149"
    assert [row.label for row in report.with_verdict("shown")] == [
        label for label in FASHION_MNIST_LABELS if label != "Shirt"
    ]


def test_judge_of_a_class_without_images_has_null_in_json(y_true, logits):
    rows = with_few(y_true, SHIRT, 0)
    report = judge_logits(y_true[rows], logits[rows], logits[rows], min_support=1)
    document = json.loads(json.dumps(report.as_document(), allow_nan=False))
    row = document["classes"][SHIRT]
    assert row["verdict"] == "not judged"
    assert [row[key] for key in ("recall_reference", "recall_candidate", "bound", "p_holm")] == [
        None
    ] * 4


def test_judge_of_classes_that_all_have_few_images_is_refused(y_true, logits):
    with pytest.raises(DataError, match="No class can be judged: none has the 5,000 images"):
        judge_logits(y_true, logits, logits, min_support=5000)


def test_judge_leaves_the_precision_of_classes_that_are_not_judged(y_true, logits):
    wrong = np.flatnonzero((y_true != SHIRT) & (logits.argmax(axis=1) != y_true))[:60]
    changed = with_answer(logits, wrong, SHIRT)
    assert failed_guards(judge_logits(y_true, logits, changed, classes=["Bag"])) == []
    assert failed_guards(judge_logits(y_true, logits, changed, classes=["Shirt"])) == ["precision"]


# --- few images and the guards


def test_judge_of_few_answers_does_not_judge_their_precision():
    y_true = np.repeat(np.arange(2), 60)
    logits = make_logits(y_true, num_classes=2)
    report = judge(y_true, answers_of(logits), answers_of(logits), ["left", "right"], margin=0.1)
    guard = report.guards[0]
    assert (guard.name, guard.passed) == ("precision", None)
    assert "Too few answers, below 149, to say anything of left (60), right (60)" in guard.sentence


def test_judge_of_few_answers_that_are_mostly_wrong_fails_their_precision():
    y_true = np.repeat(np.arange(3), [60, 60, 300])
    logits = make_logits(y_true, num_classes=3)
    rows = np.flatnonzero(y_true == 2)[:25]
    drowned = judge(
        y_true, answers_of(logits), answers_of(with_answer(logits, rows, 0)), ["a", "b", "c"], margin=0.2
    )  # fmt: skip
    assert "precision" in failed_guards(drowned)
    assert "a (up to" in drowned.guards[0].sentence


@pytest.mark.parametrize(("rise", "passed"), [(0.8, False), (1.0, True)])
def test_judge_of_confidence_that_no_longer_fits_fails_the_calibration_guard(y_true, rise, passed):
    # Logits of which softmax says truly how often the answer is right.
    rng = np.random.default_rng(4)
    calibrated = rng.normal(0, 2.5, (len(y_true), 10)).astype(np.float32)
    chances = softmax(calibrated).cumsum(axis=1)
    truth = (rng.uniform(size=(len(y_true), 1)) > chances).sum(axis=1).clip(0, 9)
    report = judge_logits(truth, calibrated, calibrated * np.float32(rise))
    assert report.calibration.reference < 0.02
    assert ("calibration" in failed_guards(report)) is not passed
    guard = report.guards[-1]
    assert guard.value == pytest.approx(report.calibration.candidate - report.calibration.reference)


def test_judge_of_too_few_images_does_not_judge_the_calibration():
    y_true = np.repeat(np.arange(2), 200)
    logits = make_logits(y_true, num_classes=2)
    report = judge(y_true, answers_of(logits), answers_of(logits * 0.5), ["left", "right"])
    guard = report.guards[-1]
    assert (guard.name, guard.passed) == ("calibration", None)
    assert "it takes 1,000, there are 400" in guard.sentence


# --- the figures beside those of another library


def test_judge_states_the_figures_that_scikit_learn_computes(y_true, logits):
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the `crosscheck` extra")
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 30), T_SHIRT)
    report = judge_logits(y_true, logits, changed)
    for answers, role in (
        (logits.argmax(axis=1), "reference"),
        (changed.argmax(axis=1), "candidate"),
    ):
        precision, recall, _, support = metrics.precision_recall_fscore_support(y_true, answers)
        rows = zip(report.classes, report.precision, recall, precision, support, strict=True)
        for row, its_precision, *expected in rows:
            stated = getattr(row, f"recall_{role}"), getattr(its_precision, role), row.support
            assert stated == pytest.approx(tuple(expected))
        assert getattr(report.accuracy, role) == pytest.approx(
            metrics.accuracy_score(y_true, answers)
        )
        np.testing.assert_array_equal(
            getattr(report, f"confusion_{role}"), metrics.confusion_matrix(y_true, answers)
        )
    agreement = metrics.accuracy_score(logits.argmax(axis=1), changed.argmax(axis=1))
    assert report.agreement == pytest.approx(agreement)


def test_calibration_error_is_that_of_scikit_learns_curve(y_true, logits):
    calibration = pytest.importorskip("sklearn.calibration", reason="needs the `crosscheck` extra")
    probabilities = softmax(logits)
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == y_true
    shares, confidences = calibration.calibration_curve(right, confidence, n_bins=15)
    weights = np.histogram(confidence, bins=np.linspace(0, 1, 16))[0]
    expected = np.average(np.abs(shares - confidences), weights=weights[weights > 0])
    report = judge_logits(y_true, logits, logits)
    # Both bin alike but for a confidence on the very edge of a bin.
    assert report.calibration.reference == pytest.approx(expected, abs=1e-4)


# --- what cannot be judged


def test_require_resolvable_of_a_margin_too_small_refuses_with_the_number_of_images():
    y_true = np.repeat(np.arange(10), 100)
    with pytest.raises(DataError, match=r"T-shirt/top \(100\).*at least 149 images of each class"):
        require_resolvable(y_true, FASHION_MNIST_LABELS, margin=0.02, alpha=0.05)
    require_resolvable(y_true, FASHION_MNIST_LABELS, margin=0.03, alpha=0.05)


def test_require_resolvable_of_a_class_without_images_names_it():
    y_true = np.repeat([0, 1, 2, 3, 4, 5, 7, 8, 9], 1000)
    with pytest.raises(DataError, match=r"for Shirt \(0\) even"):
        require_resolvable(y_true, FASHION_MNIST_LABELS, margin=0.02, alpha=0.05)


def test_require_resolvable_of_labels_beyond_the_classes_says_what_the_models_know():
    with pytest.raises(DataError, match="know 2 classes"):
        require_resolvable(np.array([0, 1, 2]), ["left", "right"], margin=0.02, alpha=0.05)


@pytest.mark.parametrize(
    "options", [{"margin": 0.0}, {"margin": 1.0}, {"alpha": 0.0}, {"alpha": 0.5}]
)
def test_judge_with_a_margin_or_alpha_out_of_range_is_an_option_error(y_true, logits, options):
    with pytest.raises(OptionError):
        judge_logits(y_true, logits, logits, **options)


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.02, 1, "2"), (0.005, 1, "0.5"), (-0.0031, 2, "-0.31"), (0.1, 2, "10.00")],
)
def test_points_of_a_share_are_hundredths(share, digits, text):
    assert points(share, digits) == text
