"""Tests of the parity check on invented answers; every verdict and guard fails in one of them."""

import json
import math

import numpy as np
import pytest

from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.guards import GUARDS, AgreementGuard, MeanDriftGuard
from garmentlite.convert.verify.judge import judge
from garmentlite.convert.verify.measurements import Answers, measure_drift
from garmentlite.convert.verify.parity_report import ParityReport
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.probabilities import softmax

SHIRT = FASHION_MNIST_LABELS.index("Shirt")
T_SHIRT = FASHION_MNIST_LABELS.index("T-shirt/top")


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


def judge_logits(y_true, logits, changed, guards=GUARDS, **criteria) -> ParityReport:
    both = answers_of(logits), answers_of(changed)
    return judge(y_true, *both, FASHION_MNIST_LABELS, Criteria(**criteria), guards=guards)


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
    drift = measure_drift(answers_of(logits), answers_of(logits, temperature=2.0))
    assert drift.mean > MeanDriftGuard().limit
    assert drift.logit_offset == 0.0


def test_confidence_drift_of_one_softmax_file_leaves_the_offset_undefined(logits):
    one = Answers(np.log(softmax(logits)), softmax(logits), from_softmax=True)
    drift = measure_drift(answers_of(logits), one)
    assert drift.logit_offset is None
    assert drift.mean == pytest.approx(0.0, abs=1e-6)


def test_judge_with_given_guards_uses_them(y_true, logits):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 5), T_SHIRT)
    report = judge_logits(y_true, logits, changed, guards=(AgreementGuard(limit=0.9999),))
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
    assert "not defined" in report.guards[0].sentence


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
    report = judge_logits(y_true, logits, changed, classes=("bag", "Coat"))
    assert report.passed
    judged = [row.label for row in report.classes if row.verdict != "not judged"]
    assert judged == ["Coat", "Bag"]
    shirt = report.classes[SHIRT]
    assert (shirt.lost, shirt.reason, shirt.detectable) == (30, "not asked for", False)
    assert math.isnan(shirt.p_holm)
    assert judge_logits(y_true, logits, changed, classes=("Shirt",)).with_verdict("lost")


def test_judge_of_one_named_class_corrects_for_no_other(y_true, logits):
    changed = with_answer(logits, recognised(y_true, logits, SHIRT, 6), T_SHIRT)
    (alone,) = (
        row for row in judge_logits(y_true, logits, changed, classes=("Shirt",)).classes
        if row.label == "Shirt"
    )  # fmt: skip
    assert alone.p_holm == alone.p_value
    together = judge_logits(y_true, logits, changed).classes[SHIRT]
    assert together.p_holm == pytest.approx(10 * alone.p_value)


def test_judge_of_an_unknown_class_proposes_the_nearest(y_true, logits):
    with pytest.raises(OptionError, match="did you mean 'Shirt'"):
        judge_logits(y_true, logits, logits, classes=("Shirtt",))


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
    assert failed_guards(judge_logits(y_true, logits, changed, classes=("Bag",))) == []
    assert failed_guards(judge_logits(y_true, logits, changed, classes=("Shirt",))) == ["precision"]


# --- few images and the guards


def test_judge_of_few_answers_does_not_judge_their_precision():
    y_true = np.repeat(np.arange(2), 60)
    logits = make_logits(y_true, num_classes=2)
    report = judge(
        y_true, answers_of(logits), answers_of(logits), ["left", "right"], Criteria(margin=0.1)
    )
    guard = report.guards[0]
    assert (guard.name, guard.passed) == ("precision", None)
    assert "fewer than 149 answers and are not judged: left (60), right (60)" in guard.sentence


def test_judge_of_few_answers_that_are_mostly_wrong_fails_their_precision():
    y_true = np.repeat(np.arange(3), [60, 60, 300])
    logits = make_logits(y_true, num_classes=3)
    rows = np.flatnonzero(y_true == 2)[:25]
    drowned = judge(
        y_true, answers_of(logits), answers_of(with_answer(logits, rows, 0)), ["a", "b", "c"],
        Criteria(margin=0.2),
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
