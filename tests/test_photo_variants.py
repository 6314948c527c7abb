"""Variants of a photograph differ as other photographs of the garment would, and can always be prepared."""

import numpy as np
import pytest

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.preparation import fit_to_tile, why_no_garment
from garmentlite.edge.segmenters.border import BorderSegmenter

pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
pytest.importorskip("PIL")

from garmentlite.train import photo_variants


@pytest.fixture(scope="module")
def scene():
    return draw_scene("Coat", np.random.default_rng(3))


def takes(scene, count, seed=0):
    rng = np.random.default_rng(seed)
    return [photo_variants.another_take(scene.rgb, scene.mask, rng) for _ in range(count)]


def test_another_take_gives_a_picture_and_a_mask_of_one_size_and_changes_nothing_given(scene):
    before = scene.rgb.copy(), scene.mask.copy()
    for rgb, mask in takes(scene, 20):
        assert (rgb.dtype, mask.dtype) == (np.uint8, np.bool_)
        assert rgb.shape == (*mask.shape, 3)
        assert why_no_garment(mask) is None
    np.testing.assert_array_equal(scene.rgb, before[0])
    np.testing.assert_array_equal(scene.mask, before[1])


def test_another_take_with_one_seed_gives_the_same_and_with_another_something_else(scene):
    for one, again, other in zip(
        takes(scene, 5), takes(scene, 5), takes(scene, 5, seed=1), strict=True
    ):
        np.testing.assert_array_equal(one[0], again[0])
        np.testing.assert_array_equal(one[1], again[1])
        assert one[0].shape != other[0].shape or (one[0] != other[0]).any()


def test_another_take_changes_light_outline_and_size_but_not_what_it_shows(scene):
    tiles = np.stack([fit_to_tile(*take) for take in takes(scene, 40)]).astype(float)
    clean = fit_to_tile(scene.rgb, scene.mask).astype(float)
    means = [tile[tile > 0].mean() for tile in tiles]
    assert max(means) - min(means) > 40  # grey levels: of a gain from 0.65 to 1.35
    areas = (tiles > 0).mean(axis=(1, 2))
    assert areas.max() - areas.min() > 0.05
    assert len({take[1].shape for take in takes(scene, 40)}) > 20
    # All are turned by at most 10 degrees and keep most of the outline, mirrored or not.
    outline = clean > 0
    for tile in tiles > 0:
        overlap = [(tile & one).sum() / (tile | one).sum() for one in (outline, outline[:, ::-1])]
        assert max(overlap) > 0.6


def test_another_take_of_the_smallest_garment_is_still_a_garment():
    rgb = np.full((60, 60, 3), 200, np.uint8)
    mask = np.zeros((60, 60), bool)
    mask[20:29, 30:35] = True
    rgb[mask] = 40
    rng = np.random.default_rng(0)
    for _ in range(30):
        picture, found = photo_variants.another_take(rgb, mask, rng)
        assert found.any()
        assert fit_to_tile(picture, found).any()


def test_another_take_of_a_garment_wider_than_the_picture_keeps_to_it():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 300, 3)).astype(np.uint8)
    mask = np.zeros((40, 300), bool)
    mask[5:35] = True
    rng = np.random.default_rng(0)
    for _ in range(10):
        picture, found = photo_variants.another_take(rgb, mask, rng)
        # A turned picture is larger by its corners.
        assert max(picture.shape) <= photo_variants.SIDE_RANGE[1] * 1.3
        assert fit_to_tile(picture, found).shape == (28, 28)


def test_another_picture_shows_the_garment_where_its_mask_says_and_changes_nothing_given(scene):
    rgb, mask = scene.rgb, scene.mask
    before = rgb.copy(), mask.copy()
    overlaps = []
    for seed in range(8):
        taken, garment = photo_variants.another_picture(rgb, mask, np.random.default_rng(seed))
        assert taken.shape == (*garment.shape, 3)
        assert (taken.dtype, garment.dtype) == (np.uint8, bool)
        found = BorderSegmenter().segment(taken)
        overlaps.append((found & garment).sum() / (found | garment).sum())
    # Most are found again by a segmenter that knows nothing of the mask.
    assert np.median(overlaps) > 0.7
    np.testing.assert_array_equal(rgb, before[0])
    np.testing.assert_array_equal(mask, before[1])
    again = photo_variants.another_picture(rgb, mask, np.random.default_rng(7))[0]
    np.testing.assert_array_equal(again, taken)
