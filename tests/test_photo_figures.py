"""Tests of figures on held-out photographs, whose labels may stand for several classes."""

from dataclasses import replace

import numpy as np
import pytest

from garmentlite.edge import metrics
from garmentlite.train.photo_figures import group_cross_entropy, measure, photographs_table
from garmentlite.train.photo_set import PhotoSet


@pytest.fixture
def answered():
    """Three groups of four classes; the second is one of two classes, the third has no photograph."""
    members = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    photos = PhotoSet(
        tiles_u8=np.zeros((0, 3, 28, 28), np.uint8),
        y=np.zeros(0, int),
        photo_factors=np.zeros(0, np.float32),
        validation_u8=np.zeros((4, 28, 28), np.uint8),
        y_validation=np.array([0, 1, 1, 1]),
        # The third photograph could also be of the last class.
        accepted_validation=np.array(
            [[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1], [0, 1, 1, 0]], bool
        ),
        missed=np.array([1, 0, 0]),
        groups=("a", "b", "c"),
        members=members,
        factors=np.ones(3, np.float32),
        outliers_u8=np.zeros((0, 28, 28), np.uint8),
        outlier_kinds=np.zeros(0, int),
        repeats=1,
        beside=0,
        alone=False,
    )
    logits = np.log([
        [0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.5, 0.2], [0.2, 0.3, 0.1, 0.4], [0.1, 0.6, 0.1, 0.2],
    ]).astype(np.float32)  # fmt: skip
    return photos, logits


def test_measure_takes_every_class_of_a_group_for_right_and_no_garment_for_wrong(answered):
    photos, logits = answered
    found = measure(photos, logits)
    # By hand: -log of 0.7, 0.7, 0.4 and 0.7; float32 logits have 7 digits.
    assert found.loss == pytest.approx(-np.log([0.7, 0.7, 0.4, 0.7]).mean(), rel=1e-6)
    assert found.accuracy == 3 / 5
    assert found.recall == [1 / 2, 2 / 3, None]
    assert found.answers.tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    document = found.as_document()
    assert (document["images"], document["no_garment"]) == (5, 1)
    assert document["macro_recall"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    row = {"label": "b", "support": 3, "recall": 2 / 3, "accepted": 1.0}
    assert document["per_group"][1] == row
    # A garment that was not found is not accepted either.
    assert (document["accepted"], found.accepted_by_group) == (4 / 5, [1 / 2, 1.0, None])


def test_measure_weighs_a_group_by_its_factor_and_the_mean_of_its_classes(answered):
    photos, logits = answered
    photos = replace(photos, factors=np.array([1, 3, 1], np.float32))
    found = measure(photos, logits, np.array([4.0, 1.0, 3.0, 1.0]))
    expected = np.average(-np.log([0.7, 0.7, 0.4, 0.7]), weights=[4, 6, 6, 6])
    assert found.loss == pytest.approx(expected, rel=1e-6)


def test_group_cross_entropy_of_one_class_are_cross_entropy_and_of_all_classes_nothing():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(0, 30, (50, 6)), rng.integers(0, 6, 50)
    one = group_cross_entropy(logits, np.eye(6, dtype=bool)[y])
    assert one.mean() == pytest.approx(metrics.log_loss(y, logits))
    np.testing.assert_array_equal(group_cross_entropy(logits, np.ones((50, 6), bool)), 0)
    assert (group_cross_entropy(logits, rng.random((50, 6)) < 0.5 + np.eye(6)[y]) <= one).all()


def test_photographs_table_lists_groups_and_what_was_not_found(answered):
    photos, logits = answered
    lines = photographs_table(measure(photos, logits).as_document()).splitlines()
    assert [line.split() for line in lines[2:5]] == [
        ["a", "2", "50.0%", "50.0%"],
        ["b", "3", "66.7%", "100.0%"],
        ["c", "0", "-", "-"],
    ]
    assert lines[-1].endswith("on 5 photographs; in 1 no garment was found")
