"""The search for a garment, with a segmenter that finds one colour."""

import numpy as np
import pytest

from garmentlite.edge.garment_search import GarmentSearch
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox
from garmentlite.edge.segmenters.interface import Found

COLOUR = (200, 30, 60)
WHOLE = (slice(0, 120), slice(0, 160))


class ColourSegmenter:
    """Finds `COLOUR`, if it covers a large enough share of the window."""

    name, version = "colour", 1

    def __init__(self, certainty=5.0, smallest=0.0):
        self.certainty, self.smallest = certainty, smallest
        self.shapes = []

    def guided(self, rgb, evidence):
        self.shapes.append(rgb.shape[:2])
        mask = (rgb == COLOUR).all(axis=-1)
        if evidence is not None:
            mask &= evidence.max() >= 0
        if not mask.any() or mask.mean() < self.smallest:
            return Found(np.zeros(mask.shape, bool), -np.inf)
        return Found(mask, self.certainty)


def frame(centre=(80, 60), size=(40, 40)):
    """A frame of 160 x 120 with a rectangle, and where it is."""
    mask = np.zeros((120, 160), bool)
    (x, y), (wide, high) = centre, size
    mask[max(0, y - high // 2) : y + high // 2, max(0, x - wide // 2) : x + wide // 2] = True
    rgb = np.full((120, 160, 3), 90, np.uint8)
    rgb[mask] = COLOUR
    return rgb, mask


def find(search, rgb, *, box=DEFAULT_BOX, foreground=None):
    return search.find(rgb, WHOLE, foreground, box)


def test_find_garment_gives_its_mask():
    rgb, mask = frame()
    assert np.array_equal(find(GarmentSearch(ColourSegmenter()), rgb), mask)


def test_find_small_garment_is_looked_at_again_from_closer():
    segmenter = ColourSegmenter()
    find(GarmentSearch(segmenter), frame(size=(20, 20))[0])
    height, width = segmenter.shapes[-1]
    assert 20 < height < 40
    assert 20 < width < 40


def test_find_sure_garment_is_looked_at_once_in_a_frame():
    segmenter = ColourSegmenter(certainty=8.0)
    search = GarmentSearch(segmenter)
    find(search, frame()[0])
    for number in range(5):
        segmenter.shapes.clear()
        rgb, mask = frame((80 + 2 * number, 60))
        assert np.array_equal(find(search, rgb), mask)
        assert len(segmenter.shapes) == 1
        assert segmenter.shapes[0][0] < 60


@pytest.mark.parametrize("centre", [(80, 60), (40, 60), (110, 30), (130, 95)], ids=str)
def test_find_garment_too_small_for_the_whole_frame_is_found_within_a_second(centre):
    rgb, mask = frame(centre, (24, 24))
    search = GarmentSearch(ColourSegmenter(certainty=8.0, smallest=0.05))
    found = [find(search, rgb) for _ in range(10)]
    assert np.array_equal(found[-1], mask)


@pytest.mark.parametrize("frames", range(4))
def test_find_small_garment_in_the_middle_is_found_at_once_whenever_it_comes(frames):
    segmenter = ColourSegmenter(certainty=8.0, smallest=0.05)
    search, (rgb, mask) = GarmentSearch(segmenter), frame((80, 60), (24, 24))
    for _ in range(frames):
        assert not find(search, np.full_like(rgb, 90)).any()
    assert np.array_equal(find(search, rgb), mask)


def test_is_certain_of_a_certain_garment_until_it_is_lost():
    segmenter = ColourSegmenter(certainty=5.0)
    search, (rgb, _) = GarmentSearch(segmenter), frame()
    assert not search.is_certain
    find(search, rgb)
    assert search.is_certain
    segmenter.certainty = 4.5
    assert find(search, rgb).any()
    assert not search.is_certain
    segmenter.certainty = 5.0
    find(search, rgb)
    assert search.is_certain
    search.lose()
    assert not search.is_certain


def test_find_uncertain_garment_is_found_after_a_few_frames_and_a_sure_one_at_once():
    rgb, _ = frame()
    search = GarmentSearch(ColourSegmenter(certainty=3.1))
    found = [bool(find(search, rgb).any()) for _ in range(5)]
    assert found[0] is False
    assert found[-1] is True
    assert find(GarmentSearch(ColourSegmenter(certainty=5.0)), rgb).any()


def test_find_what_is_never_certain_enough_is_not_found():
    search = GarmentSearch(ColourSegmenter(certainty=2.3))  # as of a person's clothes
    assert not any(find(search, frame()[0]).any() for _ in range(20))


@pytest.mark.parametrize("certainty", [1.7, -np.inf])
def test_find_garment_that_is_replaced_by_something_unlikely_is_gone_within_half_a_second(
    certainty,
):
    segmenter = ColourSegmenter(certainty=8.0)
    search = GarmentSearch(segmenter)
    assert all(find(search, frame()[0]).any() for _ in range(10))
    segmenter.certainty = certainty
    assert not [find(search, frame()[0]).any() for _ in range(5)][-1]


def test_lose_makes_the_search_begin_with_the_whole_part():
    segmenter = ColourSegmenter(certainty=8.0)
    search = GarmentSearch(segmenter)
    find(search, frame()[0])
    search.lose()
    segmenter.shapes.clear()
    find(search, frame()[0])
    assert segmenter.shapes[0] == (120, 160)


def test_find_garment_beside_the_box_must_be_more_certain():
    rgb, mask = frame((60, 60))
    box = GuideBox(0.6, 0.1, 0.4, 0.8)
    assert find(GarmentSearch(ColourSegmenter(5.5)), rgb).any()
    assert not find(GarmentSearch(ColourSegmenter(5.5)), rgb, box=box).any()
    assert np.array_equal(find(GarmentSearch(ColourSegmenter(6.1)), rgb, box=box), mask)


def test_find_what_the_window_cuts_off_is_looked_at_as_a_whole():
    rgb, mask = frame((80, 60), (120, 30))
    search = GarmentSearch(ColourSegmenter())
    find(search, frame((80, 60), (50, 30))[0])  # the window that is followed is too small now
    for _ in range(2):
        found = find(search, rgb)
    assert np.array_equal(found, mask)


def test_find_garment_cut_by_the_frame_is_found():
    rgb, mask = frame((80, 100), (40, 60))
    search = GarmentSearch(ColourSegmenter())
    for _ in range(3):
        found = find(search, rgb)
    assert np.array_equal(found, mask)


def test_find_garment_that_agrees_with_the_scene_is_not_found():
    foreground = np.zeros((12, 16), np.float32)
    rgb, mask = frame()
    assert not find(GarmentSearch(ColourSegmenter()), rgb, foreground=foreground).any()
    foreground[4:8, 6:10] = 1
    assert np.array_equal(find(GarmentSearch(ColourSegmenter()), rgb, foreground=foreground), mask)


def test_forget_makes_the_next_answer_the_first_one():
    rgb, _ = frame((40, 60), (24, 24))
    search = GarmentSearch(ColourSegmenter(certainty=8.0, smallest=0.05))
    first = [find(search, rgb).sum() for _ in range(10)]
    search.forget()
    assert [find(search, rgb).sum() for _ in range(10)] == first
