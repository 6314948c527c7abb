"""Labels of photographs are found among classes and groups, or become the classes."""

import numpy as np
import pytest

from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.labelling import find_labelling

FOOTWEAR = "footwear=Sandal,Sneaker,Ankle boot"


def test_label_finds_classes_and_groups_and_says_what_becomes_of_other_labels():
    said = []
    photos = ["t-shirt top", "footwear", "Hat", "Shirt", "SHIRT", "Hat"]
    found = find_labelling(
        photos, FASHION_MNIST_LABELS, groups=[FOOTWEAR, "tops=Shirt,Pullover"], say=said.append
    )
    # A group without photographs is left out.
    assert found.groups == ("T-shirt/top", "Shirt", "footwear")
    assert found.y.tolist() == [0, 2, -1, 1, 1, -1]
    assert [np.flatnonzero(row).tolist() for row in found.members] == [[0], [6], [5, 7, 9]]
    assert (found.classes, found.own) == (FASHION_MNIST_LABELS, False)
    assert len(said) == 1
    assert said[0].startswith(
        "2 photographs have a label that is none of the classes (Hat 2); the network learns to be unsure of "
        "them."
    )


@pytest.mark.parametrize("forced", [False, True])
def test_label_without_any_of_the_classes_makes_the_labels_the_classes(forced):
    said = []
    photos = ["socks", "hats", "Socks"] + ["Shirt"] * forced
    found = find_labelling(photos, FASHION_MNIST_LABELS, own_classes=forced, say=said.append)
    assert found.classes == found.groups == (("Shirt",) * forced + ("hats", "socks"))
    assert [found.classes[i] for i in found.y[:3]] == ["socks", "hats", "socks"]
    assert found.members.tolist() == np.eye(2 + forced, dtype=bool).tolist()
    assert found.own
    assert len(said) == 1
    assert said[0].endswith("Fashion-MNIST is not used.")
    assert said[0].startswith(
        "The labels" if forced else "No label is one of Fashion-MNIST's, so the"
    )


def test_label_of_one_class_alone_is_refused():
    with pytest.raises(DataError, match=r"have 1 label \(socks\), and a classifier needs two"):
        find_labelling(["socks", "socks"], FASHION_MNIST_LABELS)


def test_label_with_a_group_that_none_has_does_not_make_other_classes():
    with pytest.raises(
        DataError, match="labelled footwear or as one of the classes, but for example 'x'"
    ):
        find_labelling(["x", "y"], FASHION_MNIST_LABELS, groups=[FOOTWEAR])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        pytest.param("footwear", "--group takes NAME=CLASS,CLASS, got 'footwear'", id="no-classes"),
        pytest.param("=Shirt", "--group takes NAME=CLASS,CLASS", id="no-name"),
        pytest.param("a=,", "--group takes NAME=CLASS,CLASS", id="empty"),
        pytest.param("shirt=Coat", "'shirt' is a class itself", id="class"),
        pytest.param("a=Sandal,Sneeker", "did you mean 'Sneaker'", id="unknown"),
    ],
)
def test_label_with_a_group_that_is_none_is_one_sentence(option, message):
    with pytest.raises(OptionError, match=message):
        find_labelling(["Shirt"], FASHION_MNIST_LABELS, groups=[option])


@pytest.mark.parametrize("name", ["unknown", "Unknown", "No Garment", "no-garment", "no_garment"])
def test_label_that_is_an_answer_without_a_class_is_refused(name):
    with pytest.raises(DataError, match=f"A class cannot be called '{name}'.*rename that folder"):
        find_labelling(["socks", "hats", name], FASHION_MNIST_LABELS)
    # Beside classes that are known it is no class, and the network learns to be unsure of it.
    assert find_labelling(["Shirt", name], FASHION_MNIST_LABELS).y.tolist() == [0, -1]


# --- further classes that a careful person accepts


def test_label_with_further_classes_accepts_them_beside_its_own():
    said = []
    found = find_labelling(
        ["Coat", "footwear", "Shirt", "Hat", "Hat"],
        FASHION_MNIST_LABELS,
        also=[["Pullover", "shirt"], ["Coat"], [], ["T-shirt/top"], []],
        groups=[FOOTWEAR],
        say=said.append,
    )
    accepted = [np.flatnonzero(row).tolist() for row in found.accepted]
    assert accepted == [[2, 4, 6], [4, 5, 7, 9], [6], [0], []]
    assert found.y.tolist() == [0, 2, 1, -1, -1]  # the label stays the first one
    assert len(said) == 1  # only the hats


def test_label_with_further_classes_that_the_network_lacks_says_so_and_ignores_them():
    said = []
    also = [["Skirt", "Dress"], ["Skirt"], ["none"]]
    found = find_labelling(["Shirt"] * 3, FASHION_MNIST_LABELS, also=also, say=said.append)
    assert [np.flatnonzero(row).tolist() for row in found.accepted] == [[3, 6], [6], [6]]
    assert said == [
        "Of the labels that a photograph could also have, Skirt 2, none 1 are not classes; they are ignored."
    ]


def test_label_without_further_classes_accepts_its_own_alone():
    found = find_labelling(["Shirt", "Hat", "footwear"], FASHION_MNIST_LABELS, groups=[FOOTWEAR])
    np.testing.assert_array_equal(found.accepted[[0, 2]], found.members[found.y[[0, 2]]])
    assert not found.accepted[1].any()
    own = find_labelling(["socks", "hats"], FASHION_MNIST_LABELS, also=[["hats"], []])
    assert own.accepted.tolist() == [[True, True], [True, False]]
