"""Tests of class names as they are typed."""

import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS, class_id_of, label_key, nearest


@pytest.mark.parametrize(("class_id", "label"), list(enumerate(FASHION_MNIST_LABELS)))
def test_class_id_of_any_case_and_space_is_the_number(class_id, label):
    for typed in (label, label.upper(), label.lower(), f"  {label} "):
        assert class_id_of(typed) == class_id


def test_labels_are_those_of_the_data_sets_readme():
    assert FASHION_MNIST_LABELS[0] == "T-shirt/top"
    assert FASHION_MNIST_LABELS[6] == "Shirt"
    assert FASHION_MNIST_LABELS[9] == "Ankle boot"
    assert len(set(FASHION_MNIST_LABELS)) == 10


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Shrit", "Shirt"),
        ("tshirt", "T-shirt/top"),
        ("top", "T-shirt/top"),
        ("ankle-boots", "Ankle boot"),
        ("bagg", "Bag"),
    ],
)
def test_class_id_of_a_mistyped_name_proposes_the_nearest(typed, meant):
    with pytest.raises(OptionError, match=f"No class is called '{typed}'; did you mean '{meant}'"):
        class_id_of(typed)


@pytest.mark.parametrize("typed", ["", "xyzzy"])
def test_class_id_of_a_name_like_none_lists_all(typed):
    with pytest.raises(OptionError, match=r"the classes are: T-shirt/top, Trouser, .*, Ankle boot"):
        class_id_of(typed)


def test_class_id_of_own_labels_counts_in_their_order():
    assert class_id_of("sock", ["Hat", "Sock"]) == 1
    with pytest.raises(OptionError, match="did you mean 'Sock'"):
        class_id_of("socks", ["Hat", "Sock"])


def test_nearest_of_an_unlike_name_is_none():
    assert nearest("qqqq", FASHION_MNIST_LABELS) is None
    assert nearest("anything", []) is None


def test_label_key_is_one_for_each_label_and_the_same_for_its_spellings():
    names = [label_key(label) for label in FASHION_MNIST_LABELS]
    assert names[0] == "t-shirt-top"
    assert len(set(names)) == 10
    for spelling in ("T-shirt_top", "t shirt top", "T-SHIRT/TOP", "_t-shirt--top_"):
        assert label_key(spelling) == names[0]
