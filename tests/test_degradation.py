"""Tests of corrupted images: values worked out by hand, the same each time, and never out of range."""

import io

import numpy as np
import pytest
from PIL import Image

from garmentlite.convert.verify.degradation import KINDS, degrade
from garmentlite.edge.errors import OptionError

ALL = [(kind, strength) for kind in KINDS for strength in (1, 2, 3)]


@pytest.fixture(scope="module")
def images_u8() -> np.ndarray:
    """20 bright squares of uneven grey on a background of 0."""
    images = np.zeros((20, 28, 28), np.uint8)
    images[:, 7:21, 7:21] = np.random.default_rng(0).integers(60, 220, (20, 14, 14))
    return images


def one_pixel(side=28, value=255) -> np.ndarray:
    image = np.zeros((1, side, side), np.uint8)
    image[0, side // 2, side // 2] = value
    return image


@pytest.mark.parametrize(("kind", "strength"), ALL)
@pytest.mark.parametrize("channels", [(), (1,)], ids=["flat", "with-channel"])
def test_degrade_keeps_shape_and_type_and_repeats(images_u8, kind, strength, channels):
    given = images_u8.reshape(*images_u8.shape, *channels)
    before = given.copy()
    made = degrade(given, kind, strength, seed=3)
    assert (made.shape, made.dtype) == (given.shape, np.uint8)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(made, degrade(given, kind, strength, seed=3))
    assert (made != given).any()


@pytest.mark.parametrize("kind", KINDS)
def test_degrade_changes_more_with_every_strength(images_u8, kind):
    changes = [
        np.abs(degrade(images_u8, kind, strength).astype(int) - images_u8).mean()
        for strength in (1, 2, 3)
    ]
    assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize(("kind", "random"), [("noise", True), ("shift", True), ("blur", False)])
def test_degrade_with_another_seed_differs_where_chance_is_in_it(images_u8, kind, random):
    first, second = (degrade(images_u8, kind, 2, seed=seed) for seed in (0, 1))
    assert (first != second).any() == random


def test_noise_has_the_deviation_it_names():
    gray = np.full((50, 28, 28), 128, np.uint8)
    # 39,200 values: the deviation of 10 is known to 10 / sqrt(2 * 39200) = 0.036; five times that.
    deviation = (degrade(gray, "noise", 1).astype(float) - 128).std()
    assert deviation == pytest.approx(np.hypot(10, 12**-0.5), abs=0.18)  # and that of rounding


def test_brightness_is_added_and_saturates():
    image = np.array([[[0, 100, 250]] * 3], np.uint8)
    np.testing.assert_array_equal(degrade(image, "brightness", 1)[0, 0], [15, 115, 255])


def test_contrast_shrinks_around_the_mean_of_each_image():
    image = np.array([[[0, 100], [200, 100]], [[8, 8], [8, 8]]], np.uint8)
    expected = [[[50, 100], [150, 100]], [[8, 8], [8, 8]]]
    np.testing.assert_array_equal(degrade(image, "contrast", 2), expected)


@pytest.mark.parametrize(("side", "distance"), [(28, 2), (56, 4)])
def test_shift_moves_by_its_distance_and_brings_in_background(side, distance):
    images = np.repeat(one_pixel(side), 40, axis=0)
    moves = np.argwhere(degrade(images, "shift", 2))[:, 1:] - side // 2
    assert len(moves) == 40  # none is lost, nothing is added
    assert set(np.abs(moves).max(axis=1)) == {distance}
    assert len({tuple(move) for move in moves}) > 4  # not all one way
    assert set(np.unique(moves)) == {-distance, 0, distance}


def test_shift_loses_what_leaves_the_image():
    full = np.full((30, 28, 28), 9, np.uint8)
    counts = np.count_nonzero(degrade(full, "shift", 3), axis=(1, 2))
    assert set(counts) == {24 * 28, 24 * 24}  # along an axis, along a diagonal


def test_blur_of_a_point_is_a_gaussian():
    weights = np.exp(-0.5 * np.arange(-3, 4) ** 2)  # strength 2: a standard deviation of one pixel
    weights /= weights.sum()
    expected = np.rint(255 * np.outer(weights, weights))
    np.testing.assert_array_equal(degrade(one_pixel(), "blur", 2)[0, 11:18, 11:18], expected)


def test_jpeg_is_the_one_of_its_quality(images_u8):
    buffer = io.BytesIO()
    Image.fromarray(images_u8[4]).save(buffer, format="JPEG", quality=30)
    expected = np.asarray(Image.open(buffer))
    np.testing.assert_array_equal(degrade(images_u8, "jpeg", 2)[4], expected)


@pytest.mark.parametrize(("kind", "strength"), [("fog", 1), ("blur", 0), ("blur", 4)])
def test_degrade_by_what_there_is_not_says_what_there_is(images_u8, kind, strength):
    with pytest.raises(OptionError, match="blur 1 to 3"):
        degrade(images_u8, kind, strength)
