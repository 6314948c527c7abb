"""Tests of the variants of photographs in which a garment is held up before a scene."""

import numpy as np
import pytest

from garmentlite.edge.drawing import draw_scene
from garmentlite.train import held_variants
from garmentlite.train.held_variants import (
    Backgrounds,
    held_up_picture,
    read_backgrounds,
    whole_garment,
)
from garmentlite.train.scenes import Scene

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")

GREEN, RED = (
    np.tile(np.array(colour, np.uint8), (90, 120, 1)) for colour in ((0, 200, 0), (200, 0, 0))
)


@pytest.fixture(scope="module")
def photograph():
    """A drawn dress with its mask."""
    scene = draw_scene("Dress", np.random.default_rng(3), (200, 200))
    return scene.rgb, scene.mask


@pytest.fixture(scope="module")
def garment(photograph):
    return whole_garment(*photograph)


@pytest.fixture(scope="module")
def backgrounds():
    return Backgrounds.of([Scene("hall", [GREEN]), Scene("person B", [RED])])


def test_backgrounds_of_scenes_tell_rooms_from_people(backgrounds):
    assert backgrounds.rooms == [GREEN]
    assert backgrounds.people == [RED]


def test_backgrounds_draw_rooms_people_and_walls(backgrounds):
    rng = np.random.default_rng(0)
    drawn = [backgrounds.drawn((32, 24), rng) for _ in range(60)]
    assert all(one.shape == (24, 32, 3) and one.dtype == np.float32 for one in drawn)
    assert all(one.min() >= 0 and one.max() <= 255 for one in drawn)
    # A scene of one colour stays so when it is cropped, and a drawn wall never is.
    of_scenes = [one for one in drawn if np.ptp(one.reshape(-1, 3), axis=0).max() == 0]
    assert 0 < len(of_scenes) < len(drawn)


def test_backgrounds_without_scenes_are_drawn_walls():
    drawn = Backgrounds([], []).drawn((32, 24), np.random.default_rng(0))
    assert drawn.shape == (24, 32, 3)


def test_backgrounds_have_a_checksum_of_their_pixels(backgrounds):
    changed = GREEN.copy()
    changed[0, 0, 0] += 1
    same, other = (Backgrounds([room.copy()], [RED]) for room in (GREEN, changed))
    assert same.sha256 == backgrounds.sha256
    assert other.sha256 != backgrounds.sha256


def test_held_up_picture_shows_the_garment_where_its_mask_is(monkeypatch):
    """A white square before black: what is bright is the garment."""
    monkeypatch.setitem(held_variants._ODDS, "hands", 0.0)
    rgb, mask = np.zeros((120, 120, 3), np.uint8), np.zeros((120, 120), bool)
    rgb[30:90, 30:90], mask[30:90, 30:90] = 255, True
    black = Backgrounds([np.zeros((90, 120, 3), np.uint8)], [np.zeros((90, 120, 3), np.uint8)])
    monkeypatch.setattr(held_variants, "ROOM_SHARE", 1.0)  # no drawn wall
    cut = whole_garment(rgb, mask)
    for number in range(20):
        picture, garment = held_up_picture(cut, black, np.random.default_rng(number))
        assert picture.dtype == np.uint8
        assert picture.shape[:2] == garment.shape
        bright = picture.mean(axis=2) > 100
        union = np.count_nonzero(bright | garment)
        assert np.count_nonzero(bright & garment) / union > 0.85
        assert 0.2 < garment.mean() < 0.9


def test_held_up_picture_depends_on_the_random_state_alone(garment, backgrounds):
    one, same = (held_up_picture(garment, backgrounds, np.random.default_rng(5)) for _ in range(2))
    for first, second in zip(one, same, strict=True):
        np.testing.assert_array_equal(first, second)


def test_hands_hide_a_part_of_the_garment_in_some_pictures(garment, backgrounds, monkeypatch):
    """The hands are drawn last, so that without them the same state gives the same picture."""

    def composed(odds):
        monkeypatch.setitem(held_variants._ODDS, "hands", odds)
        made = [held_up_picture(garment, backgrounds, np.random.default_rng(n)) for n in range(20)]
        return [np.count_nonzero(seen) for _, seen in made]

    without, always, sometimes = (composed(odds) for odds in (0.0, 1.0, 0.5))
    fewer = [hidden < whole for hidden, whole in zip(always, without, strict=True)]
    assert sum(fewer) >= 15  # a hand may also touch the garment only
    hidden = sum(a < b for a, b in zip(sometimes, without, strict=True))
    assert 0 < hidden < sum(fewer)


def test_whole_garment_that_the_frame_cuts_off_is_none(photograph):
    rgb, _ = photograph
    cut_off = np.zeros(rgb.shape[:2], bool)
    cut_off[:80, :] = True
    assert whole_garment(rgb, cut_off) is None


def test_whole_garment_too_thin_to_be_cut_out_is_none():
    thin = np.eye(36, dtype=bool) | np.eye(36, k=1, dtype=bool)
    thin[0], thin[-1], thin[:, 0], thin[:, -1] = False, False, False, False
    rgb = np.zeros((36, 36, 3), np.uint8)
    assert thin.mean() > 0.05
    assert whole_garment(rgb, thin) is None


def test_read_backgrounds_leaves_out_what_figures_are_measured_on_and_says_so(tmp_path):
    for place in ("hall_1", "lebombo_1"):
        cv2.imwrite(str(tmp_path / f"{place}.jpg"), GREEN)
    (tmp_path / "index.csv").write_text("file,note\nhall_1.jpg,\nlebombo_1.jpg,\n")
    said = []
    read = read_backgrounds(tmp_path, said.append)
    assert len(read.rooms) == 1
    assert read.people == []
    (sentence,) = said
    assert "before the scenes lebombo of" in sentence
