"""A whole picture, or the part in its middle, becomes the input of a model in its size and channels."""

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.errors import OptionError
from garmentlite.edge.model_input import RANGES, ModelInput
from garmentlite.edge.pictures import LEAST_SIDE, MAX_SIDE, Picture
from garmentlite.edge.preparer import make_preparer, usual_way
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.segmenters.border import BorderSegmenter
from garmentlite.edge.whole_picture import prepare_whole


def input_of(height, width, channels):
    tensor = Quantization(np.dtype(np.uint8), 1.0, 0)
    return ModelInput((height, width), channels, tensor, RANGES["0..255"], "quantization")


@pytest.fixture
def halves():
    """A picture of 120 x 60 pixels: red on the left, blue on the right, a green stripe in the middle."""
    rgb = np.zeros((60, 120, 3), np.uint8)
    rgb[:, :60, 0], rgb[:, 60:, 2] = 255, 255
    rgb[:, 58:62] = (0, 255, 0)
    return Picture(rgb)


@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 48, 3), (28, 28, 1)])
@pytest.mark.parametrize("way", ["resize", "centre-crop"])
def test_prepare_whole_makes_an_image_of_the_input(halves, way, shape):
    prepared = prepare_whole(halves, way, input_of(*shape))
    assert prepared.image_u8.dtype == np.uint8
    assert prepared.image_u8.shape == (shape if shape[2] == 3 else shape[:2])
    assert (prepared.form, prepared.segmenter, prepared.mask, prepared.reason) == (
        way,
        None,
        None,
        None,
    )
    assert prepared.preparation_document()["preparation"] == "whole-picture"


def test_prepare_whole_resized_takes_all_of_the_picture(halves):
    prepared = prepare_whole(halves, "resize", input_of(60, 60, 3))
    assert prepared.box == (0, 0, 120, 60)
    np.testing.assert_array_equal(prepared.image_u8[30, 2], [255, 0, 0])
    np.testing.assert_array_equal(prepared.image_u8[30, 57], [0, 0, 255])


@pytest.mark.parametrize(
    ("size", "box"),
    [((60, 60), (30, 0, 60, 60)), ((30, 60), (0, 0, 120, 60)), ((60, 15), (52, 0, 15, 60))],
)
def test_prepare_whole_cropped_takes_the_middle_with_the_proportions_of_the_input(
    halves, size, box
):
    prepared = prepare_whole(halves, "centre-crop", input_of(*size, 3))
    assert prepared.box == box
    x, y, width, height = box
    if (height, width) == size:  # nothing is reduced
        np.testing.assert_array_equal(prepared.image_u8, halves.rgb[y : y + height, x : x + width])


def test_prepare_whole_of_a_reduced_picture_refers_to_its_full_size(halves):
    large = Picture(halves.rgb, None, (120, 240))
    prepared = prepare_whole(large, "centre-crop", input_of(60, 60, 3))
    assert prepared.box == (60, 0, 120, 120)
    np.testing.assert_array_equal(prepared.image_u8, halves.rgb[:, 30:90])


def test_prepare_whole_shows_white_where_the_picture_is_transparent(halves):
    alpha = np.full((60, 120), 255, np.uint8)
    alpha[:, :60], alpha[:, 60:80] = 0, 128
    prepared = prepare_whole(Picture(halves.rgb, alpha), "resize", input_of(60, 120, 3))
    np.testing.assert_array_equal(prepared.image_u8[30, 10], [255, 255, 255])
    np.testing.assert_array_equal(prepared.image_u8[30, 70], [127, 127, 255])
    np.testing.assert_array_equal(prepared.image_u8[30, 100], [0, 0, 255])


def test_prepare_whole_in_grey_has_the_luma_of_the_colours(halves):
    prepared = prepare_whole(halves, "resize", input_of(60, 120, 1))
    expected = np.asarray(Image.fromarray(halves.rgb).convert("L"))
    np.testing.assert_array_equal(prepared.image_u8, expected)


# --- the choice


@pytest.mark.parametrize(
    ("shape", "way"),
    [
        ((28, 28, 1), "garment"),
        ((28, 28, 3), "centre-crop"),
        ((32, 32, 1), "centre-crop"),
        ((224, 224, 3), "centre-crop"),
    ],
)
def test_usual_way_is_garment_for_grey_tiles_alone(shape, way):
    assert usual_way(input_of(*shape)) == way
    assert make_preparer(None, input_of(*shape), BorderSegmenter()).way == way


@pytest.mark.parametrize("way", ["resize", "centre-crop"])
def test_make_preparer_for_whole_pictures_reads_them_large(halves, way):
    preparer = make_preparer(way, input_of(28, 28, 1), BorderSegmenter())
    assert preparer.least_side == MAX_SIDE
    assert preparer.prepare(halves).form == way


def test_make_preparer_for_garments_takes_a_model_of_three_channels():
    preparer = make_preparer("garment", input_of(28, 28, 3), BorderSegmenter())
    assert (preparer.least_side, preparer.preparation["name"]) == (
        LEAST_SIDE,
        "fashion-mnist-paper",
    )


@pytest.mark.parametrize(
    ("asked", "shape", "message"),
    [
        ("garment", (224, 224, 3), "the model takes 224x224; choose resize or centre-crop"),
        ("stretch", (28, 28, 1), "choose one of garment, resize, centre-crop"),
    ],
)
def test_make_preparer_for_what_is_not_possible_names_what_is(asked, shape, message):
    with pytest.raises(OptionError, match=message):
        make_preparer(asked, input_of(*shape), BorderSegmenter())
