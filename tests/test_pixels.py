import numpy as np
import pytest

from garmentlite.edge.sources.pixels import as_bgr

BGR = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        pytest.param(BGR, BGR, id="BGR"),
        pytest.param(np.dstack([BGR, BGR[..., :1]]), BGR, id="BGRA"),
        pytest.param(BGR.astype(np.uint16) * 257, BGR, id="16 bits"),
        pytest.param(BGR[..., 0], np.dstack([BGR[..., 0]] * 3), id="grey"),
        pytest.param(BGR[..., :1], np.dstack([BGR[..., 0]] * 3), id="grey with an axis of channels"),
        pytest.param(BGR[::-1, ::-1], BGR[::-1, ::-1], id="not contiguous"),
    ],
)  # fmt: skip
def test_as_bgr_converts_what_cameras_deliver(pixels, expected):
    converted = as_bgr(pixels)
    np.testing.assert_array_equal(converted, expected)
    assert converted.dtype == np.uint8
    assert converted.flags.c_contiguous


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(None, id="None"),
        pytest.param(np.empty((0, 0, 3), np.uint8), id="0x0"),
        pytest.param(np.zeros((10, 10, 3), np.uint8), id="10x10"),
        pytest.param(np.zeros((48, 64, 2), np.uint8), id="two channels"),
        pytest.param(np.zeros((48, 64, 3), np.float32), id="float"),
        pytest.param(np.zeros((48, 64, 3), bool), id="bool"),
        pytest.param(np.zeros(48, np.uint8), id="one axis"),
        pytest.param(b"bytes", id="bytes"),
    ],
)
def test_as_bgr_of_what_is_no_picture_is_none(pixels):
    assert as_bgr(pixels) is None
