"""Pieces of background show no part of the garment, and are the same for the same random state."""

import numpy as np
import pytest

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.pictures import Picture
from garmentlite.train import empty_scenes
from garmentlite.train.empty_scenes import LARGEST, SMALLEST, piece_of_ground


@pytest.fixture(autouse=True)
def needs_opencv():
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")


def garment_in(height, width, box):
    """A white garment, in (top, bottom, left, right), on a dark ground no two pixels of which are alike."""
    top, bottom, left, right = box
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = np.arange(width) % 200, np.arange(height)[:, np.newaxis] % 200
    rgb[mask] = 255
    return rgb, mask


@pytest.mark.parametrize("box", [(60, 140, 30, 90), (0, 50, 0, 120), (100, 200, 90, 120)])
def test_around_gives_pieces_of_the_pictures_size_without_a_pixel_of_the_garment(box):
    rgb, mask = garment_in(200, 120, box)
    scales = []
    for seed in range(20):
        pieces = empty_scenes.around(rgb, mask, np.random.default_rng(seed), 3)
        assert len(pieces) == 3
        for piece in pieces:
            assert isinstance(piece, Picture)
            assert piece.rgb.shape == rgb.shape
            assert piece.rgb.dtype == np.uint8
            assert piece.alpha is None
            # Between two pixels of the ground no interpolation is brighter than both of them.
            assert piece.rgb.max() < 200
            scales.append(float(np.ptp(piece.rgb[..., 0])) / 119)
    # The red of the ground is its place: as much of it as the piece is wide. A pixel is 1/119; the last
    # step may end a fifth of a step below the smallest.
    assert min(scales) > SMALLEST - empty_scenes.STEP / 5 - 2 / 119
    assert max(scales) < LARGEST + 1 / 119
    assert len(set(scales)) > 5


def test_around_keeps_its_distance_from_a_garment_whose_outline_is_a_little_off():
    rgb, mask = garment_in(200, 120, (60, 140, 30, 90))
    mask[:, :33] = mask[:, 87:] = mask[:63] = mask[137:] = False  # three pixels are missing
    for seed in range(20):
        for piece in empty_scenes.around(rgb, mask, np.random.default_rng(seed), 3):
            assert piece.rgb.max() < 200


def test_around_is_the_same_for_one_state_and_another_for_another():
    scene = draw_scene("Dress", np.random.default_rng(0), (96, 128))

    def pieces(seed):
        found = empty_scenes.around(scene.rgb, scene.mask, np.random.default_rng(seed), 3)
        return np.stack([piece.rgb for piece in found])

    first = pieces(1)
    np.testing.assert_array_equal(first, pieces(1))
    assert (first != pieces(2)).any()
    assert (first[0] != first[1]).any()


def test_around_a_garment_that_fills_the_picture_gives_none():
    rgb, mask = garment_in(100, 100, (12, 88, 12, 88))
    assert empty_scenes.around(rgb, mask, np.random.default_rng(0), 3) == []
    assert piece_of_ground(rgb, mask) is None
    assert piece_of_ground(rgb, np.ones_like(mask)) is None


def test_piece_of_ground_without_a_generator_is_the_largest_and_first():
    # To the left of the garment are 64 columns, less a distance of 4: exactly LARGEST of 100.
    rgb, mask = garment_in(100, 100, (0, 100, 64, 100))
    piece = piece_of_ground(rgb, mask)
    assert piece[0, 0].tolist() == [0, 0, 0]
    # Enlarged, the outermost pixels of the piece stay the outermost.
    assert piece[-1, -1].tolist() == [59, 59, 0]
    # With a column less, the next smaller one.
    rgb, mask = garment_in(100, 100, (0, 100, 63, 100))
    assert piece_of_ground(rgb, mask)[-1, -1].tolist() == [54, 54, 0]
    # A picture without a garment gives no larger one.
    nothing = np.zeros_like(mask)
    assert piece_of_ground(rgb, nothing)[-1, -1].tolist() == [59, 59, 0]


def test_piece_of_ground_with_a_spot_of_garment_would_be_seen():
    """The check of the tests above, on a piece that a wrong mask lets in."""
    rgb, mask = garment_in(200, 120, (60, 140, 30, 90))
    pieces = [
        piece_of_ground(rgb, np.zeros_like(mask), np.random.default_rng(seed)) for seed in range(20)
    ]
    assert max(piece.max() for piece in pieces) == 255
