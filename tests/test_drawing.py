"""Drawn garments have the properties that the other tests and the demo rely on."""

import numpy as np
import pytest

from garmentlite.edge.drawing import (
    SECONDS_PER_GARMENT,
    draw_garment,
    draw_moving_frame,
    draw_scene,
)
from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.preparation import acceptance, box_of, fit_to_tile


@pytest.mark.parametrize("label", FASHION_MNIST_LABELS)
def test_draw_garment_fills_its_square_and_looks_like_the_data(label):
    rng = np.random.default_rng(1)
    for _ in range(4):
        rgb, alpha = draw_garment(label, rng, 120)
        assert rgb.shape == (120, 120, 3)
        assert rgb.dtype == alpha.dtype == np.uint8
        _, _, width, height = box_of(alpha >= 128)
        assert max(width, height) > 0.8 * 120
        assert not alpha[[0, -1]].any()
        assert not alpha[:, [0, -1]].any()
        properties = acceptance(fit_to_tile(rgb, alpha >= 128))
        assert properties["accepted"], properties


def test_draw_garment_draws_every_label_differently():
    masks = [draw_garment(label, np.random.default_rng(0), 64)[1] for label in FASHION_MNIST_LABELS]
    assert len({mask.tobytes() for mask in masks}) == len(FASHION_MNIST_LABELS)


def test_draw_garment_of_unknown_label_is_refused():
    with pytest.raises(OptionError, match="No class is called 'Hat'"):
        draw_garment("Hat", np.random.default_rng(0), 64)


def test_draw_scene_from_the_same_seed_is_the_same():
    first, second, other = (draw_scene("Bag", np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.rgb, second.rgb)
    assert np.array_equal(first.mask, second.mask)
    assert not np.array_equal(first.rgb, other.rgb)


@pytest.mark.parametrize("size_wh", [(320, 320), (200, 120), (90, 160)])
def test_draw_scene_of_any_size_holds_the_whole_garment(size_wh):
    scene = draw_scene("Coat", np.random.default_rng(6), size_wh)
    assert scene.rgb.shape == (size_wh[1], size_wh[0], 3)
    assert scene.rgb.dtype == np.uint8
    assert scene.label == "Coat"
    assert 0.1 < scene.mask.mean() < 0.6
    assert not scene.mask[[0, -1]].any()
    assert not scene.mask[:, [0, -1]].any()


def test_draw_scene_grounds_overlap_the_garments_tones():
    """More than a third of the ground is as dark or light as the middle 90% of the garment."""
    rng = np.random.default_rng(8)
    shares = []
    for label in FASHION_MNIST_LABELS:
        scene = draw_scene(label, rng)
        grey = scene.rgb @ np.array([0.299, 0.587, 0.114])
        low, high = np.percentile(grey[scene.mask], [5, 95])
        ground = grey[~scene.mask]
        shares.append(((low <= ground) & (ground <= high)).mean())
    assert np.mean(shares) > 1 / 3


def test_draw_moving_frame_changes_ground_at_once_and_garment_every_few_seconds():
    (first, label), (later, same_label) = (draw_moving_frame(t, (160, 120)) for t in (0.0, 1.0))
    assert first.shape == (120, 160, 3)
    assert first.dtype == np.uint8
    assert label == same_label == FASHION_MNIST_LABELS[0]
    assert not np.array_equal(first, later)
    assert draw_moving_frame(SECONDS_PER_GARMENT, (160, 120))[1] == FASHION_MNIST_LABELS[1]
    assert draw_moving_frame(SECONDS_PER_GARMENT * 10, (160, 120))[1] == FASHION_MNIST_LABELS[0]


def test_draw_moving_frame_of_the_same_time_is_the_same():
    first, second = (draw_moving_frame(5.3, (160, 120))[0] for _ in range(2))
    first[:] = 0  # what the caller does to a frame must not come back in the next
    assert second.any()
    assert np.array_equal(second, draw_moving_frame(5.3, (160, 120))[0])
