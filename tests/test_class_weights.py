"""Tests of class weights as they are typed."""

import numpy as np
import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.class_weights import balanced, parse

DEFAULTS = {"Shirt": 2.0, "T-shirt/top": 1.2}
Y = np.repeat(np.arange(10), 6)


def parsed(*options):
    return parse(options, DEFAULTS, FASHION_MNIST_LABELS, Y)


def test_parse_of_nothing_is_the_networks_own_for_all_labels_in_order():
    weights = parsed()
    assert list(weights) == list(FASHION_MNIST_LABELS)
    assert {label: weight for label, weight in weights.items() if weight != 1} == DEFAULTS


def test_parse_of_none_is_1_for_all():
    assert set(parsed("none").values()) == {1.0}


@pytest.mark.parametrize("typed", ["Shirt=3", "shirt=3.0", " SHIRT =3", "sHiRt=3e0"])
def test_parse_of_a_pair_in_any_case_replaces_the_networks_own(typed):
    weights = parsed(typed)
    assert weights["Shirt"] == 3.0
    assert weights["T-shirt/top"] == 1.0


def test_parse_of_several_pairs_takes_all():
    weights = parsed("coat=1.5", "ankle boot=0.5")
    assert (weights["Coat"], weights["Ankle boot"], weights["Shirt"]) == (1.5, 0.5, 1.0)


def test_parse_of_balanced_on_equal_classes_is_1_for_all():
    assert set(parsed("balanced").values()) == {1.0}


@pytest.mark.parametrize(
    "option",
    [
        "Shirt",
        "=2",
        "Shirt=",
        "Shirt=two",
        "Shirt=0",
        "Shirt=-1",
        "Shirt=nan",
        "Shirt=inf",
        "",
        "None",
    ],
)
def test_parse_of_a_bad_factor_says_how_to_write_it(option):
    with pytest.raises(OptionError, match=r"takes NAME=FACTOR .* write for example"):
        parsed(option)


def test_parse_of_an_unknown_class_proposes_the_nearest():
    with pytest.raises(OptionError, match="No class is called 'Shirtt'; did you mean 'Shirt'"):
        parsed("Shirtt=2")


def test_parse_of_a_word_among_pairs_is_refused():
    with pytest.raises(OptionError, match="NAME=FACTOR"):
        parsed("none", "Shirt=2")


@pytest.mark.parametrize("counts", [[5, 5], [1, 9], [100, 1, 7]])
def test_balanced_weights_of_all_images_sum_to_their_number_and_equally_per_class(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    weights = balanced(y, len(counts))
    per_class = np.bincount(y, weights=weights[y])
    assert per_class.sum() == pytest.approx(len(y))
    np.testing.assert_allclose(per_class, len(y) / len(counts))


def test_balanced_of_a_class_without_an_image_is_1():
    np.testing.assert_allclose(balanced(np.array([0, 0, 2, 2]), 3), [4 / 6, 1, 4 / 6])


def test_balanced_is_that_of_scikit_learn():
    theirs = pytest.importorskip("sklearn.utils.class_weight")
    y = np.random.default_rng(0).choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    expected = theirs.compute_class_weight("balanced", classes=np.arange(4), y=y)
    np.testing.assert_allclose(balanced(y, 4), expected)
