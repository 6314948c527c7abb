import numpy as np
import pytest

from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.overlay import NAMED, UNSURE, draw_overlay, timing_texts
from garmentlite.edge.preparation import Prepared
from garmentlite.edge.recognition import NO_GARMENT, UNKNOWN, Recognition

LATENCY_MS = {"capture": 3.14, "segment": 23.4, "prepare": 1.96, "infer": 0.84}
PROBABILITIES = np.array([0.62, 0.01, 0.05, 0.02, 0.01, 0, 0.28, 0, 0.01, 0])
NAMED_BGR, UNSURE_BGR = list(NAMED[::-1]), list(UNSURE[::-1])


def recognition_of(label="T-shirt/top", mask=None, tile=None, labels=FASHION_MNIST_LABELS):
    tile = np.full((28, 28), 90, np.uint8) if tile is None else tile
    prepared = Prepared(tile, mask, {"reason": None}, {})
    return Recognition(label, 0.62, PROBABILITIES, list(labels), LATENCY_MS, prepared)


def nothing_found(mask):
    prepared = Prepared(None, mask, {"reason": "nothing stands out from the background"}, {})
    return Recognition(NO_GARMENT, 0.0, None, list(FASHION_MNIST_LABELS), LATENCY_MS, prepared)


def garment_mask(height, width):
    """A box in the lower middle, where nothing else is drawn."""
    mask = np.zeros((height, width), bool)
    mask[height // 2 : height * 3 // 4, width * 2 // 5 : width * 3 // 5] = True
    return mask


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (720, 1280), (640, 480)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_draw_overlay_draws_on_a_copy_of_the_same_size(size, level):
    frame = np.full((*size, 3), level, np.uint8)
    drawn = draw_overlay(frame, recognition_of(mask=garment_mask(*size)), frames_per_second=12.0)
    assert (drawn.shape, drawn.dtype) == (frame.shape, np.uint8)
    assert (frame == level).all()
    drawn[:] = 0  # a frame of its own, which may be drawn on further
    # The panel behind the letters is dark and the letters are light, whatever is below.
    panel = draw_overlay(frame, recognition_of())[8:40, 12:120].max(axis=2)
    assert np.median(panel) < 80
    assert panel.max() > 200


@pytest.mark.parametrize(("size", "factor"), [((28, 28), 23), ((120, 160), 4), ((240, 319), 2)])
def test_draw_overlay_enlarges_tiny_frames(size, factor):
    frame = np.zeros((*size, 3), np.uint8)
    drawn = draw_overlay(frame, recognition_of(mask=np.zeros(size, bool)))
    assert drawn.shape == (size[0] * factor, size[1] * factor, 3)


def test_draw_overlay_shows_every_pixel_the_network_sees():
    tile = np.random.default_rng(3).integers(0, 256, (28, 28), dtype=np.uint8)
    drawn = draw_overlay(np.zeros((480, 640, 3), np.uint8), recognition_of(tile=tile))
    # 112 pixels (4 each), 10 + 5 from the edges.
    shown = drawn[15 : 15 + 112, 625 - 112 : 625]
    np.testing.assert_array_equal(shown[..., 0], np.kron(tile, np.ones((4, 4), np.uint8)))
    np.testing.assert_array_equal(shown[..., 0], shown[..., 2])


@pytest.mark.parametrize(("label", "colour"), [("T-shirt/top", NAMED_BGR), (UNKNOWN, UNSURE_BGR)])
def test_draw_overlay_outlines_the_garment(label, colour):
    frame = np.full((480, 640, 3), 255, np.uint8)
    drawn = draw_overlay(frame, recognition_of(label, mask=garment_mask(480, 640)))
    # The box begins at row 240 and column 256, and the line of 2 pixels is centred there.
    assert drawn[239:241, 300].tolist() == [colour] * 2
    assert drawn[300, 255:257].tolist() == [colour] * 2
    assert drawn[300, 300].tolist() == [255, 255, 255]


def test_draw_overlay_without_garment_draws_no_outline_but_why():
    frame = np.full((480, 640, 3), 255, np.uint8)
    drawn = draw_overlay(frame, nothing_found(garment_mask(480, 640)))
    assert (drawn[200:440] == 255).all()
    assert (drawn[45:90, 20:236].max(axis=2) > 180).any()  # letters on the panel


@pytest.mark.parametrize("size", [(240, 320), (480, 640)])
def test_draw_overlay_long_names_stay_in_the_panel(size):
    labels = [f"{number}: a very long name of a garment, with its pattern" for number in range(10)]
    frame = np.full((*size, 3), 255, np.uint8)
    drawn = draw_overlay(frame, recognition_of(labels[0], labels=labels))
    right = {320: 5 + 148, 640: 10 + 236}[size[1]]
    assert (drawn[: size[0] // 2, right + 1 : right + 40] == 255).all()


@pytest.mark.parametrize(
    ("label", "filled"),
    [
        pytest.param("T-shirt/top", 0.62, id="first"),
        pytest.param("Shirt", 0.28, id="held though another is ahead"),
        pytest.param(UNKNOWN, 0.62, id="unknown: of the first"),
    ],
)
def test_draw_overlay_bar_shows_the_probability_of_the_label(label, filled):
    drawn = draw_overlay(np.zeros((480, 640, 3), np.uint8), recognition_of(label))
    colour = UNSURE_BGR if label == UNKNOWN else NAMED_BGR
    # The bar is 216 pixels wide, from column 20 on, below a title of 35 pixels.
    assert (drawn[57, 20:236] == colour).all(axis=1).mean() == pytest.approx(filled, abs=0.01)


def test_draw_overlay_while_bridging_an_absence_keeps_the_label():
    prepared = Prepared(None, np.zeros((480, 640), bool), {"reason": "nothing stands out"}, {})
    recognition = Recognition(
        "Shirt", 0.62, PROBABILITIES, list(FASHION_MNIST_LABELS), LATENCY_MS, prepared
    )
    drawn = draw_overlay(np.zeros((480, 640, 3), np.uint8), recognition)
    assert (drawn[20:50, 20:150] == NAMED_BGR).all(axis=2).any()


def test_timing_texts_name_stages_and_rate():
    assert timing_texts(LATENCY_MS, 24.31) == [
        "capture 3.1", "segment 23.4", "prepare 2.0", "infer 0.8 ms", "24.3 fps",
    ]  # fmt: skip
    assert timing_texts({"infer": 1.0}, 0.0) == ["infer 1.0 ms"]
    assert timing_texts({}, 0.0) == []
