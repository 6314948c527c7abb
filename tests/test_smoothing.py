import math

import numpy as np
import pytest

from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.smoothing import Smoother

LABELS = ["Shirt", "Coat", "Bag"]
SHIRT, COAT, BAG = np.eye(3, dtype=np.float32)


def labels_over_time(smoother, answers):
    """The label shown after each of [(time, probabilities or None)]."""
    return [smoother.update(time, answer).label for time, answer in answers]


def test_update_first_garment_is_named_at_once():
    smoothed = Smoother(LABELS).update(0.0, np.array([0.2, 0.5, 0.3], np.float32))
    assert smoothed.label == "Coat"
    np.testing.assert_allclose(smoothed.probabilities, [0.2, 0.5, 0.3], rtol=1e-6)


def test_update_without_garment_from_the_start_says_so():
    smoothed = Smoother(LABELS).update(0.0, None)
    assert (smoothed.label, smoothed.probabilities) == (NO_GARMENT, None)


def test_update_mean_after_ln2_time_constants_is_half_way():
    smoother = Smoother(LABELS, time_constant=2.0, settling=0)
    smoother.update(10.0, SHIRT)
    smoothed = smoother.update(10.0 + 2.0 * math.log(2), COAT)
    np.testing.assert_allclose(smoothed.probabilities, [0.5, 0.5, 0.0], atol=1e-12)


@pytest.mark.parametrize("frames_per_second", [2, 10, 100])
def test_update_mean_does_not_depend_on_the_frame_rate(frames_per_second):
    smoother = Smoother(LABELS, time_constant=0.5, settling=0)
    smoother.update(0.0, SHIRT)
    for number in range(1, frames_per_second + 1):
        smoothed = smoother.update(number / frames_per_second, COAT)
    # One second of Coat: what is left of Shirt is exp(-1 / 0.5).
    assert smoothed.probabilities[0] == pytest.approx(math.exp(-2))
    assert smoothed.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param(
            [(0.0, SHIRT), (0.1, COAT), (0.3, COAT), (0.5, COAT)],
            ["Shirt", "Shirt", "Shirt", "Coat"],  # leads since 0.1; 0.4 seconds later it is shown
            id="long lead takes over",
        ),
        pytest.param(
            [(0.0, SHIRT), (0.1, COAT), (0.3, SHIRT), (0.5, COAT), (0.8, COAT)],
            ["Shirt"] * 5,
            id="interrupted lead begins again",
        ),
        pytest.param(
            [(0.0, SHIRT), (0.1, COAT), (0.4, BAG), (0.6, BAG), (0.8, BAG)],
            ["Shirt", "Shirt", "Shirt", "Shirt", "Bag"],
            id="another challenger begins again",
        ),
        pytest.param(
            [(0.0, SHIRT), (1.0, [0.45, 0.55, 0.0]), (2.0, [0.45, 0.55, 0.0])],
            ["Shirt"] * 3,
            id="lead under the margin never takes over",
        ),
        pytest.param(
            [(0.0, SHIRT), (1.0, [0.35, 0.65, 0.0]), (2.0, [0.35, 0.65, 0.0])],
            ["Shirt", "Shirt", "Coat"],
            id="lead over the margin does",
        ),
        pytest.param(
            [(0.0, SHIRT), (0.1, None), (0.3, None), (0.35, SHIRT)],
            ["Shirt"] * 4,
            id="short absence is bridged",
        ),
        pytest.param(
            [(0.0, SHIRT), (0.1, None), (0.5, None), (0.6, COAT)],
            ["Shirt", "Shirt", NO_GARMENT, "Coat"],
            id="long absence resets",
        ),
    ],
)
def test_update_label_changes_only_when_it_should(answers, expected):
    smoother = Smoother(LABELS, time_constant=0, margin=0.2, moment=0.4, settling=0)
    arrays = [
        (time, None if answer is None else np.asarray(answer, np.float32))
        for time, answer in answers
    ]
    assert labels_over_time(smoother, arrays) == expected


def test_update_unknown_competes_at_the_threshold():
    smoother = Smoother(
        LABELS, unknown_threshold=0.6, time_constant=0, margin=0.1, moment=0.0, settling=0
    )
    answers = [
        (0.0, np.array([0.60, 0.3, 0.1])),  # at the threshold: named
        (0.1, np.array([0.55, 0.3, 0.15])),  # 0.05 below, less than the margin: still named
        (0.2, np.array([0.45, 0.3, 0.25])),  # 0.15 below
        (0.3, np.array([0.65, 0.3, 0.05])),  # 0.05 above: still unknown
        (0.4, np.array([0.75, 0.2, 0.05])),  # 0.15 above
    ]
    expected = ["Shirt", "Shirt", UNKNOWN, UNKNOWN, "Shirt"]
    assert labels_over_time(smoother, answers) == expected


def test_update_without_threshold_is_never_unknown():
    assert Smoother(LABELS).update(0.0, np.full(3, 1 / 3)).label == "Shirt"


def test_update_during_short_absence_keeps_the_mean():
    smoother = Smoother(LABELS, moment=0.4)
    smoother.update(0.0, SHIRT)
    np.testing.assert_array_equal(smoother.update(0.1, None).probabilities, SHIRT)


@pytest.mark.parametrize("frames_per_second", [5, 10, 30])
def test_update_right_answer_stands_half_a_second_after_an_empty_scene(frames_per_second):
    smoother = Smoother(LABELS)
    times = [number / frames_per_second for number in range(3 * frames_per_second + 1)]
    # Nothing for a second; then the garment comes in, seen in part and surely wrong for 0.2 seconds.
    answers = [(t, None if t < 1 else BAG if t < 1.2 else COAT) for t in times]
    shown = dict(zip(times, labels_over_time(smoother, answers), strict=True))
    assert {label for t, label in shown.items() if t < 1} == {NO_GARMENT}
    assert shown[1.0] == "Bag"  # "no garment" is left at once
    assert {label for t, label in shown.items() if t >= 1.5} == {"Coat"}


@pytest.mark.parametrize("frames_per_second", [5, 10, 30])
def test_update_old_answer_is_gone_half_a_second_after_the_garment(frames_per_second):
    smoother = Smoother(LABELS)
    times = [number / frames_per_second for number in range(3 * frames_per_second + 1)]
    answers = [(t, COAT if t < 2 else None) for t in times]
    shown = dict(zip(times, labels_over_time(smoother, answers), strict=True))
    assert {label for t, label in shown.items() if t >= 2.5} == {NO_GARMENT}


def test_update_settled_garment_is_held_against_a_wrong_moment():
    smoother = Smoother(LABELS)
    answers = [(number / 10, COAT) for number in range(20)]
    answers += [(2.0, BAG), (2.1, BAG), (2.2, COAT), (2.3, COAT)]
    assert set(labels_over_time(smoother, answers)) == {"Coat"}


def test_reset_forgets_the_scene():
    smoother = Smoother(LABELS)
    smoother.update(5.0, SHIRT)
    smoother.reset()
    smoothed = smoother.update(0.0, BAG)
    assert smoothed.label == "Bag"
    np.testing.assert_array_equal(smoothed.probabilities, BAG)
