"""Tests of the search for kept pictures that look nearly the same."""

import numpy as np
import pytest

from garmentlite.edge import near_duplicates
from garmentlite.edge.near_duplicates import LARGEST_DIFFERENCE, NearDuplicates


def tile(level):
    return np.full((28, 28), level, np.uint8)


def test_of_finds_the_pictures_whose_mean_difference_is_below_the_limit():
    known = NearDuplicates()
    known.add("dark", tile(0))
    known.add("grey", tile(100))
    assert known.of(tile(int(LARGEST_DIFFERENCE) - 1)) == {"dark"}
    assert known.of(tile(int(LARGEST_DIFFERENCE))) == set()
    assert known.of(tile(255)) == set()  # 255 - 0 does not fit into the type of the images


def test_of_without_a_picture_is_empty():
    known = NearDuplicates()
    assert known.of(tile(0)) == set()
    known.add("dark", tile(0))
    known.remove("dark")
    known.remove("dark")
    assert known.of(tile(0)) == set()


@pytest.mark.parametrize("newest", [2, 3])
def test_add_beyond_the_limit_forgets_the_oldest(monkeypatch, newest):
    monkeypatch.setattr(near_duplicates, "MOST_COMPARED", newest)
    known = NearDuplicates()
    for name in "abcd":
        known.add(name, tile(7))
    assert known.of(tile(7)) == set("abcd"[-newest:])
