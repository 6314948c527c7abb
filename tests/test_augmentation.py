"""Tests of the random changes of training images."""

import numpy as np
import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.train.augmentation import Augmentation, augment, changed, draw

ALL = Augmentation(rotation=15, shift=0.1, shear=0.2, zoom=0.2)


class Fixed:
    """A generator whose every draw is one value: the end of the range at 1, its middle at 0."""

    def __init__(self, **amounts):
        names = ("angle", "shift_x", "shift_y", "shear", "zoom_x", "zoom_y")
        self.rows = [amounts.get(name, 0.0) for name in names]

    def uniform(self, low, high, size):
        assert (low, high) == (-1, 1)
        return np.repeat(np.array(self.rows)[:, np.newaxis], size[1], axis=1)


@pytest.fixture
def images_u8():
    images = np.random.default_rng(0).integers(1, 256, (20, 28, 28), np.uint8)
    images[:, :3], images[:, -3:], images[:, :, :3], images[:, :, -3:] = 0, 0, 0, 0
    return images


def test_augment_without_limits_returns_the_images_exactly(images_u8):
    result = augment(images_u8, Augmentation(), np.random.default_rng(0))
    np.testing.assert_array_equal(result, images_u8)
    assert result is not images_u8


def test_augment_does_not_change_its_input(images_u8):
    before = images_u8.copy()
    result = augment(images_u8, ALL, np.random.default_rng(0))
    np.testing.assert_array_equal(images_u8, before)
    assert not np.shares_memory(result, images_u8)
    assert (result.shape, result.dtype) == (images_u8.shape, np.uint8)


def test_augment_of_one_seed_is_one_result_and_of_another_another(images_u8):
    first, again, other = (
        augment(images_u8, ALL, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2)).all()


def test_augment_changes_every_image_in_its_own_way():
    same = np.zeros((10, 28, 28), np.uint8)
    same[:, 8:20, 10:18] = 200
    result = augment(same, ALL, np.random.default_rng(0))
    assert len(np.unique(result.reshape(10, -1), axis=0)) == 10


@pytest.mark.parametrize(
    "amounts",
    [
        pytest.param({"shift_x": 1}, id="shift"),
        pytest.param({"angle": 1}, id="rotation"),
        pytest.param({"zoom_x": 1, "zoom_y": 1}, id="shrink"),
        pytest.param({"shear": 1}, id="shear"),
    ],
)
def test_augment_fills_what_comes_in_with_0(amounts):
    limits = Augmentation(rotation=20, shift=0.25, shear=0.3, zoom=0.3)
    white = np.full((1, 28, 28), 255, np.uint8)
    result = augment(white, limits, Fixed(**amounts))
    outside = result != 255
    assert outside.any()
    # Pillow weighs pixels of the border with themselves, not with what lies outside: no grey seam.
    assert (result[outside] == 0).all()


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_augment_shifts_by_the_share_of_the_side(images_u8, pixels):
    limits = Augmentation(shift=pixels / 28)
    left = augment(images_u8, limits, Fixed(shift_x=1))  # the source lies to the right
    np.testing.assert_array_equal(left[:, :, :-pixels], images_u8[:, :, pixels:])
    assert not left[:, :, -pixels:].any()
    down = augment(images_u8, limits, Fixed(shift_y=-1))
    np.testing.assert_array_equal(down[:, pixels:], images_u8[:, :-pixels])
    assert not down[:, :pixels].any()


def test_augment_turns_about_the_centre(images_u8):
    for angle, times in ((1, 1), (-1, -1), (2, 2)):
        turned = augment(images_u8, Augmentation(rotation=90), Fixed(angle=angle))
        np.testing.assert_array_equal(turned, np.rot90(images_u8, times, axes=(1, 2)))


def test_augment_zooms_about_the_centre():
    image = np.zeros((1, 28, 28), np.uint8)
    image[:, 10:18, 10:18] = 255  # 8 x 8 in the middle; twice as much is taken in, so it is 4 x 4
    half = augment(image, Augmentation(zoom=1), Fixed(zoom_x=1, zoom_y=1))
    expected = np.zeros((28, 28), np.uint8)
    expected[12:16, 12:16] = 255
    np.testing.assert_array_equal(half[0], expected)


def test_augment_draws_as_often_whatever_the_limits(images_u8):
    left = []
    for limits in (Augmentation(), ALL):
        rng = np.random.default_rng(0)
        augment(images_u8, limits, rng)
        left.append(rng.integers(1 << 30))
    assert left[0] == left[1]


def test_augment_stays_within_its_limits():
    image = np.zeros((200, 28, 28), np.uint8)
    image[:, 13:15, 13:15] = 255
    result = augment(image, Augmentation(shift=2 / 28), np.random.default_rng(0)).astype(float)
    places = np.arange(28)
    centre_x = (result.sum(axis=1) * places).sum(axis=1) / result.sum(axis=(1, 2))
    # Bilinear sampling keeps the centre but for the rounding of grey levels: 4 pixels of half a level.
    assert np.abs(centre_x - 13.5).max() <= 2 + 0.02
    assert np.abs(centre_x - 13.5).max() > 1.8


def test_augment_with_flip_mirrors_about_half_of_the_images_left_for_right(images_u8):
    many = np.repeat(images_u8, 20, axis=0)
    result = augment(many, Augmentation(flip=0.5), np.random.default_rng(0))
    same = (result == many).all(axis=(1, 2))
    mirrored = (result == many[:, :, ::-1]).all(axis=(1, 2))
    assert (same ^ mirrored).all()
    # Binomial: within four standard deviations of a half.
    assert abs(mirrored.mean() - 0.5) < 4 * np.sqrt(0.25 / len(many))
    everywhere = augment(images_u8, Augmentation(flip=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(everywhere, images_u8[:, :, ::-1])


def test_augment_with_erase_paints_one_rectangle_of_one_grey_and_of_the_papers_sizes():
    count, side = 2000, 28
    images = np.full((count, side, side), 7, np.uint8)
    result = augment(images, Augmentation(erase=0.5), np.random.default_rng(0))
    touched = np.flatnonzero((result != images).any(axis=(1, 2)))
    # One grey in 256 is that of the image and leaves no trace.
    assert abs(len(touched) / count - 0.5 * 255 / 256) < 4 * np.sqrt(0.25 / count)
    for row in touched:
        ys, xs = np.nonzero(result[row] != 7)
        height, width = ys.max() - ys.min() + 1, xs.max() - xs.min() + 1
        assert len(ys) == height * width  # a full rectangle
        assert len(np.unique(result[row, ys, xs])) == 1
        # 2% to 40% of the area and aspects of 0.3 to 1 / 0.3; each side is rounded to whole pixels.
        assert (height - 0.5) * (width - 0.5) < 0.4 * side**2
        assert (height + 0.5) * (width + 0.5) > 0.02 * side**2
        assert (height + 0.5) / (width - 0.5) > 0.3
        assert (height - 0.5) / (width + 0.5) < 1 / 0.3


def test_augment_draws_the_same_places_with_and_without_flip_and_erase(images_u8):
    limits = Augmentation(rotation=5, shift=0.05)
    one = augment(images_u8, limits, np.random.default_rng(3))
    more = Augmentation(rotation=5, shift=0.05, flip=1e-12, erase=1e-12)
    np.testing.assert_array_equal(one, augment(images_u8, more, np.random.default_rng(3)))


# --- mixing


def one_level_each(levels):
    """Images that have one grey level each, so that the share of both images can be read from a mixed one."""
    return np.repeat(levels, 28 * 28).reshape(len(levels), 28, 28)


def test_augment_with_mixup_blends_two_images_by_the_share_of_the_target():
    levels = np.arange(0, 256, dtype=np.uint8)
    images = one_level_each(levels)
    changes = draw(256, 28, 28, Augmentation(mixup=1.0), np.random.default_rng(0))
    result = changed(images, changes)
    share = changes.own_share(28, 28)
    expected = share * levels + (1 - share) * levels[changes.partner]
    assert np.abs(result[:, 0, 0] - expected).max() <= 0.5  # rounded to a grey level
    np.testing.assert_array_equal(result, np.broadcast_to(result[:, :1, :1], result.shape))
    # Uniform shares: their mean within four standard deviations, and some near both ends.
    assert abs(share.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 256)
    assert share.min() < 0.1
    assert share.max() > 0.9


def test_augment_with_cutmix_pastes_a_rectangle_whose_area_is_the_partners_share():
    levels = np.arange(1, 201, dtype=np.uint8)
    images = one_level_each(levels)
    changes = draw(200, 28, 28, Augmentation(cutmix=1.0), np.random.default_rng(0))
    result = changed(images, changes)
    share = changes.own_share(28, 28)
    for row in range(200):
        if changes.partner[row] == row:
            continue
        ys, xs = np.nonzero(result[row] != levels[row])
        assert np.isclose(len(ys) / 28**2, 1 - share[row])
        if len(ys):
            assert (np.ptp(ys) + 1) * (np.ptp(xs) + 1) == len(ys)
            assert set(result[row, ys, xs]) == {levels[changes.partner[row]]}


def test_augment_mixes_images_that_are_changed_themselves(images_u8):
    limits = Augmentation(flip=1.0, mixup=0.5, cutmix=0.5)
    changes = draw(20, 28, 28, limits, np.random.default_rng(0))
    unmixed = Augmentation(mixup=0.5, cutmix=0.5)
    mirrored = changed(images_u8[:, :, ::-1], draw(20, 28, 28, unmixed, Skipping(20)))
    np.testing.assert_array_equal(changed(images_u8, changes), mirrored)


class Skipping:
    """The generator of seed 0 without the numbers that decide about mirroring."""

    def __init__(self, count):
        self.rng = np.random.default_rng(0)
        self.count = count

    def uniform(self, low, high, size):
        amounts = self.rng.uniform(low, high, size)
        self.rng.random(self.count)
        return amounts

    def __getattr__(self, name):
        return getattr(self.rng, name)


def test_augmentation_that_mixes_more_often_than_always_is_refused():
    with pytest.raises(OptionError, match=r"mixup and cutmix .* at most 1, got 0.6 and 0.5"):
        Augmentation(mixup=0.6, cutmix=0.5)
