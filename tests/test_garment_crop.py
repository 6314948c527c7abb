"""Tests of the crop of a garment: training must make the same image of it as the app did of the frame."""

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.garment_crop import LONGEST_SIDE, garment_crop
from garmentlite.edge.pictures import LEAST_SIDE, MAX_SIDE, MIN_SIDE, Picture, read_picture
from garmentlite.edge.preparation import prepare
from garmentlite.edge.segmenters.plain import PlainSegmenter


def prepared_again(crop, tmp_path):
    """What training makes of the crop's file."""
    path = tmp_path / "crop.png"
    Image.fromarray(np.ascontiguousarray(crop[..., [2, 1, 0, 3]])).save(path)
    return prepare(read_picture(path), PlainSegmenter())


@pytest.mark.parametrize("least_side", [LEAST_SIDE, MAX_SIDE])
@pytest.mark.parametrize("size_wh", [(160, 120), (333, 251), (640, 480), (1280, 720), (1921, 1081)])
def test_crop_is_prepared_as_the_frame_was(size_wh, least_side, tmp_path):
    scene = draw_scene("Shirt", np.random.default_rng(3), size_wh)
    frame_bgr = np.ascontiguousarray(scene.rgb[..., ::-1])
    seen = prepare(Picture.from_bgr(frame_bgr, least_side=least_side), PlainSegmenter())
    crop = garment_crop(frame_bgr, seen.mask, least_side)
    assert max(crop.shape) <= LONGEST_SIDE
    again = prepared_again(crop, tmp_path)
    assert again.form == "transparent"
    assert np.array_equal(again.image_u8, seen.image_u8)


@pytest.mark.parametrize(
    ("size_wh", "box"),
    [
        pytest.param((640, 480), (0, 0, 640, 480), id="fills the frame"),
        pytest.param((1279, 959), (0, 0, 1279, 959), id="is larger than a crop may be"),
        pytest.param((640, 480), (600, 440, 40, 40), id="touches a corner"),
        pytest.param((640, 480), (300, 100, 2, 300), id="is thin"),
        pytest.param((640, 480), (300, 200, 3, 3), id="is tiny"),
    ],
)
def test_crop_of_any_mask_has_transparent_surroundings(size_wh, box, tmp_path):
    width, height = size_wh
    frame_bgr = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), bool)
    x, y, columns, rows = box
    mask[y : y + rows, x : x + columns] = True
    crop = garment_crop(frame_bgr, mask, MAX_SIDE)
    assert crop.dtype == np.uint8
    assert crop.shape[2] == 4
    assert min(crop.shape[:2]) >= MIN_SIDE
    assert max(crop.shape[:2]) <= LONGEST_SIDE
    assert (crop[..., 3] < 128).mean() > 0.05
    assert (crop[..., 3] >= 128).any()


def test_crop_keeps_the_colours_of_the_surroundings():
    frame_bgr = np.full((100, 100, 3), (10, 20, 30), np.uint8)
    mask = np.zeros((100, 100), bool)
    mask[20:80, 20:80] = True
    crop = garment_crop(frame_bgr, mask, MAX_SIDE)
    assert crop.shape == (78, 78, 4)  # 60 and twice 15%
    assert (crop[..., :3] == (10, 20, 30)).all()
    assert (crop[9:69, 9:69, 3] == 255).all()
    assert crop[..., 3].sum() == 255 * 60 * 60
