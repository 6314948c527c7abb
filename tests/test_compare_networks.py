"""Tests of comparing networks by their answers to the same images."""

import numpy as np
import pytest

from garmentlite.train import compare_networks

LABELS = ["T-shirt/top", "Shirt", "<Coat>"]


# --- image by image


def test_paired_counts_the_images_on_which_one_is_right_alone():
    y = np.array([0, 0, 0, 1, 1, 2])
    rows = compare_networks.paired(
        y, np.eye(3)[[0, 0, 1, 1, 0, 2]], np.eye(3)[[1, 0, 0, 1, 1, 2]], LABELS
    )
    counts = [(row.label, row.images, row.lost, row.gained) for row in rows]
    assert counts == [
        ("T-shirt/top", 3, 1, 1), ("Shirt", 2, 0, 1), ("<Coat>", 1, 0, 0), ("all classes", 6, 1, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lost", "gained", "chance"), [(0, 0, True), (0, 4, True), (0, 5, False), (40, 60, True)]
)
def test_paired_is_chance_within_two_standard_errors(lost, gained, chance):
    # The difference has a variance of lost + gained where there is none: 5 > 2 * sqrt(5), 4 is not.
    assert compare_networks.Paired("Shirt", 600, lost, gained).may_be_chance is chance


# --- the trade-off


def test_trade_off_is_what_every_offset_gives():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    logits = rng.normal(0, 1, (60, 3)) + np.eye(3)[y]
    curve = compare_networks.trade_off(y, logits, 1)
    best = {}
    gaps = np.delete(logits, 1, axis=1).max(axis=1) - logits[:, 1]
    for offset in np.concatenate((gaps - 1e-9, gaps + 1e-9)):
        predicted = (logits + np.array([0, offset, 0])).argmax(axis=1)
        recall = round(float((predicted[y == 1] == 1).mean()), 9)
        best[recall] = max(best.get(recall, 0), (predicted == y).mean())
    np.testing.assert_allclose(curve.recall, sorted(best))
    np.testing.assert_allclose(curve.accuracy, [best[recall] for recall in sorted(best)])


def test_trade_off_passes_where_the_network_is_or_above():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 200)
    logits = rng.normal(0, 1, (200, 3)) + np.eye(3)[y]
    curve = compare_networks.trade_off(y, logits, 2)
    recall, accuracy = curve.here
    assert accuracy == (logits.argmax(axis=1) == y).mean()
    assert curve.accuracy[np.isclose(curve.recall, recall)] >= accuracy
