"""Folds spread every label evenly and keep related photographs together."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from garmentlite.train.folds import assign_folds


def dealt(y, contributors=None, checksums=None, count=5):
    contributors = [""] * len(y) if contributors is None else contributors
    checksums = [str(i) for i in range(len(y))] if checksums is None else checksums
    return assign_folds(np.array(y), contributors, checksums, count)


def test_assign_folds_spreads_every_label_evenly():
    y = np.repeat([0, 1, 2, -1], [50, 20, 7, 33])
    folds = dealt(y)
    for label in (0, 1, 2, -1):
        counts = np.bincount(folds[y == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(folds, dealt(y))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 30)), min_size=1))
def test_assign_folds_keeps_contributors_and_equal_files_together(rows):
    y, senders, files = zip(*rows, strict=True)
    folds = dealt(y, [f"s{one}" for one in senders], [f"f{one}" for one in files], count=3)
    assert set(folds) <= {0, 1, 2}
    for keys in (senders, files):
        for key in set(keys):
            assert len({fold for fold, one in zip(folds, keys, strict=True) if one == key}) == 1


def test_assign_folds_of_contributors_is_stratified_as_far_as_they_can_be():
    # One label comes from five contributors of 10, the other from forty of 1.
    y = [0] * 50 + [1] * 40
    senders = [f"a{i // 10}" for i in range(50)] + [f"b{i}" for i in range(40)]
    folds = dealt(y, senders)
    assert np.bincount(folds[:50], minlength=5).tolist() == [10] * 5
    assert np.bincount(folds[50:], minlength=5).tolist() == [8] * 5


def test_assign_folds_trains_always_on_labels_too_rare_to_validate():
    y = [0] * 20 + [1] * 3
    assert set(dealt(y)[20:]) == {-1}
    assert set(dealt(y)[:20]) == {0, 1, 2, 3, 4}
    # Where contributors are known, they decide.
    assert -1 not in dealt(y, [f"s{i}" for i in range(23)])
