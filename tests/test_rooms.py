"""Pictures of rooms are prepared as the device does, and held out by room."""

import csv

import numpy as np
import pytest

from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.pictures import Picture
from garmentlite.edge.preparation import prepare
from garmentlite.edge.segmenters.border import BorderSegmenter
from garmentlite.train import rooms
from garmentlite.train.rooms import folds_of_places, make_rooms, require_scenes

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")

VIEWS = {"attic": 3, "cellar": 2, "hall": 2}


@pytest.fixture
def scenes(tmp_path):
    """Seven views of three rooms: dark things of different sizes before a light wall."""
    rows = []
    for place, count in VIEWS.items():
        for number in range(count):
            bgr = np.full((120, 160, 3), 200, np.uint8)
            cv2.circle(bgr, (60 + 10 * number, 60), 12 + 3 * len(place), (40, 60, 50 + number), -1)
            name = f"{place}_{number}.png.jpg"
            cv2.imwrite(str(tmp_path / name), bgr)
            rows.append((name, ""))
    with (tmp_path / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "note"), *rows])
    return tmp_path


@pytest.fixture
def few_views(monkeypatch):
    monkeypatch.setattr(rooms, "VIEWS", 4)


def test_make_rooms_begins_with_the_tile_of_the_device_and_holds_out_whole_rooms(scenes, few_views):
    parts = [make_rooms(scenes, BorderSegmenter(), 1, folds=3, fold=fold) for fold in (1, 2, 3)]
    assert sorted(part.pictures_held_out for part in parts) == sorted(VIEWS.values())
    for part in parts:
        assert part.is_whole.sum() == sum(VIEWS.values())  # the dark thing is found in each
        assert (part.is_whole & part.is_held_out).sum() == part.pictures_held_out
        np.testing.assert_array_equal(part.tiles_u8, parts[0].tiles_u8)
    assert sum(part.is_held_out.astype(int) for part in parts).tolist() == [1] * len(
        parts[0].tiles_u8
    )
    bgr = cv2.imread(str(scenes / "attic_0.png.jpg"))
    device = prepare(Picture.from_bgr(bgr), BorderSegmenter()).image_u8
    np.testing.assert_array_equal(parts[0].tiles_u8[0], device)
    assert len(parts[0].tiles_u8) > sum(VIEWS.values())  # something is found in parts too


def test_make_rooms_trains_on_both_masks_of_the_rooms_that_are_not_held_out(scenes, few_views):
    every = make_rooms(scenes, BorderSegmenter(), 1, folds=3, fold=None)
    assert not every.is_held_out.any()
    assert every.pictures_held_out == 0
    assert len(every.training_u8) == len(every.tiles_u8) + every.second_found.sum()
    some = make_rooms(scenes, BorderSegmenter(), 1, folds=3, fold=1)
    kept = ~some.is_held_out
    assert len(some.training_u8) == kept.sum() + (kept & some.second_found).sum()


def test_make_rooms_with_a_seed_gives_the_same_and_with_another_other_parts(scenes, few_views):
    one, same, other = (make_rooms(scenes, BorderSegmenter(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.tiles_u8, same.tiles_u8)
    assert one.tiles_u8.shape != other.tiles_u8.shape or (one.tiles_u8 != other.tiles_u8).any()


def test_folds_of_places_do_not_depend_on_their_order_and_are_even():
    names = [f"room {number}" for number in range(23)]
    folds = folds_of_places(names, 5)
    assert folds == folds_of_places(reversed(names), 5)
    counts = np.bincount(list(folds.values()))
    assert counts.max() - counts.min() <= 1


def test_require_scenes_of_a_folder_without_a_list_is_one_sentence(tmp_path):
    with pytest.raises(OptionError, match=r"--rooms .* has no index.csv; name a folder with"):
        require_scenes(tmp_path)


def test_make_rooms_of_a_list_without_rooms_is_one_sentence(tmp_path):
    (tmp_path / "index.csv").write_text("file,note\n")
    with pytest.raises(DataError, match="names no picture of a room; leave --rooms out"):
        make_rooms(tmp_path, BorderSegmenter(), 1)
