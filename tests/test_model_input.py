"""The numbers that stand for pixels are those that a file states, and inputs of other forms are refused."""

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.model_input import (
    CONTRACT,
    MAX_INPUT_SIDE,
    RANGES,
    InputRange,
    ModelInput,
    image_shape,
    range_of,
    stated_range,
)
from garmentlite.edge.quantization import Quantization

FLOAT = Quantization(np.dtype(np.float32), 0.0, 0)


@pytest.mark.parametrize("name", list(RANGES))
def test_range_of_a_name_has_its_ends_and_is_called_so(name):
    low, high = map(float, name.split(".."))
    found = range_of(name)
    assert found.ends == (low, high)
    assert found.name == name
    assert (found.table()[0], found.table()[255]) == (low, high)


@pytest.mark.parametrize("name", ["0-1", "", "0..256", "imagenet"])
def test_range_of_another_name_lists_the_ranges(name):
    with pytest.raises(OptionError, match=r"choose one of 0\.\.1, 0\.\.255, -1\.\.1"):
        range_of(name)


def test_table_of_the_contract_is_pixel_over_255_in_float32():
    np.testing.assert_array_equal(
        CONTRACT.table(), np.arange(256, dtype=np.float32) / np.float32(255)
    )


def test_numbers_of_channels_that_differ_are_those_of_each_channel():
    taken = InputRange((0.0, 127.5, 100.0), (255.0, 127.5, 50.0))
    image_u8 = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    found = ModelInput((4, 5), 3, FLOAT, taken, "metadata").numbers(image_u8)
    expected = (image_u8 - np.array(taken.mean)) / np.array(taken.std)
    # One is a division in float32, the other in float64.
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_numbers_of_grey_images_fill_all_channels():
    image_u8 = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    found = ModelInput((4, 5), 3, FLOAT, RANGES["0..255"], "option").numbers(image_u8)
    assert found.shape == (1, 4, 5, 3)
    np.testing.assert_array_equal(found, np.repeat(image_u8[..., np.newaxis], 3, axis=3))


# --- what integers state


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "name"),
    [
        pytest.param(np.int8, 1 / 255, -128, "0..1", id="int8-unit"),
        pytest.param(np.uint8, 1 / 255, 0, "0..1", id="uint8-unit"),
        pytest.param(np.uint8, 1.0, 0, "0..255", id="uint8-pixels"),
        pytest.param(np.int8, 1.0, -128, "0..255", id="int8-pixels"),
        pytest.param(np.int8, 2 / 255, -1, "-1..1", id="int8-symmetric"),
        pytest.param(np.uint8, 0.0078125, 128, "-1..1", id="hosted-mobilenet"),
        pytest.param(np.int8, 0.0034, -128, "0..1", id="no-white-images"),
    ],
)
def test_stated_range_of_integers_is_that_of_scale_and_zero_point(dtype, scale, zero_point, name):
    assert stated_range(Quantization(np.dtype(dtype), scale, zero_point)) == RANGES[name]


@pytest.mark.parametrize(
    "tensor",
    [
        FLOAT,
        Quantization(np.dtype(np.int16), 1 / 32767, 0),  # 0..1 and -1..1 look the same
        # Its range -2.1..2.7 is that of pixels less the mean of ImageNet, over its standard deviation.
        Quantization(np.dtype(np.int8), 4.8 / 255, -18),
        Quantization(np.dtype(np.uint8), 0.5 / 255, 0),
    ],
)
def test_stated_range_of_other_tensors_is_none(tensor):
    assert stated_range(tensor) is None


# --- shapes


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 28, 28, 1), (28, 28, 1)),
        ((1, 28, 28), (28, 28, 1)),
        ((1, 96, 160, 3), (96, 160, 3)),
        ((1, 1, 1, 3), (1, 1, 3)),
    ],
)
def test_image_shape_of_an_image_is_height_width_and_channels(shape, expected):
    assert image_shape(shape, shape) == expected
    assert image_shape(shape, (-1, *shape[1:])) == expected  # the batch may be open


@pytest.mark.parametrize(
    ("shape", "signature", "message"),
    [
        pytest.param((1, 3, 224, 224), None, "1x3x224x224 has the channels first", id="nchw-rgb"),
        pytest.param((1, 1, 28, 28), None, "1x1x28x28 has the channels first", id="nchw-grey"),
        pytest.param((1, 784), None, "expected one grey or RGB image", id="flat"),
        pytest.param((1, 28, 28, 4), None, "expected one grey or RGB image", id="four-channels"),
        pytest.param((1, 1, 1, 3), (-1, -1, -1, 3), r"\?x\?x\?x3 leaves the size", id="open"),
        pytest.param((8, 28, 28, 1), None, "takes 8 images at once", id="batch"),
        pytest.param((1, 4096, 28, 1), None, f"expected at most {MAX_INPUT_SIDE}", id="large"),
        pytest.param((1, 0, 28, 1), None, "28 x 0 pixels", id="empty"),
    ],
)
def test_image_shape_of_another_input_says_what_it_is(shape, signature, message):
    with pytest.raises(ModelError, match=message):
        image_shape(shape, signature or shape)
