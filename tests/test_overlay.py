import numpy as np
import pytest

from garmentlite.edge.errors import PictureError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.labels import FASHION_MNIST_LABELS, NO_GARMENT, UNKNOWN
from garmentlite.edge.overlay import NAMED, UNSURE, annotate, timing_texts
from garmentlite.edge.recognition import Recognition, scores_of

LATENCY_MS = {"capture": 3.14, "segment": 23.4, "prepare": 1.96, "infer": 0.84}
PROBABILITIES = np.array([0.62, 0.01, 0.05, 0.02, 0.01, 0, 0.28, 0, 0.01, 0])
NAMED_BGR, UNSURE_BGR = list(NAMED[::-1]), list(UNSURE[::-1])


def recognition_of(
    label="T-shirt/top", mask=None, tile=None, labels=FASHION_MNIST_LABELS, **fields
):
    found = {
        "label": label,
        "confidence": 0.62,
        "scores": scores_of(PROBABILITIES, labels),
        "probabilities": PROBABILITIES,
        "image_u8": np.full((28, 28), 90, np.uint8) if tile is None else tile,
        "mask": mask,
        "box": None,
        "reason": None,
        "form": "photo",
        "segmenter": "network",
        "latency_ms": LATENCY_MS,
    }
    return Recognition(**(found | fields))


def nothing_found(mask):
    return recognition_of(
        NO_GARMENT, mask, confidence=0.0, scores=[], probabilities=None, image_u8=None,
        reason="nothing stands out from the background",
    )  # fmt: skip


def garment_mask(height, width):
    """A box in the lower middle, where nothing else is drawn."""
    mask = np.zeros((height, width), bool)
    mask[height // 2 : height * 3 // 4, width * 2 // 5 : width * 3 // 5] = True
    return mask


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (720, 1280), (640, 480)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_annotate_draws_on_a_copy_of_the_same_size(size, level):
    frame = np.full((*size, 3), level, np.uint8)
    drawn = annotate(frame, recognition_of(mask=garment_mask(*size)), frames_per_second=12.0)
    assert (drawn.shape, drawn.dtype) == (frame.shape, np.uint8)
    assert (frame == level).all()
    drawn[:] = 0  # a frame of its own, which may be drawn on further
    # The panel behind the letters is dark and the letters are light, whatever is below.
    panel = annotate(frame, recognition_of())[8:40, 12:120].max(axis=2)
    assert np.median(panel) < 80
    assert panel.max() > 200


@pytest.mark.parametrize(("size", "factor"), [((28, 28), 23), ((120, 160), 4), ((240, 319), 2)])
def test_annotate_enlarges_tiny_frames(size, factor):
    frame = np.zeros((*size, 3), np.uint8)
    drawn = annotate(frame, recognition_of(mask=np.zeros(size, bool)))
    assert drawn.shape == (size[0] * factor, size[1] * factor, 3)


def test_annotate_shows_every_pixel_the_network_sees():
    tile = np.random.default_rng(3).integers(0, 256, (28, 28), dtype=np.uint8)
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), recognition_of(tile=tile))
    # 112 pixels (4 each), 10 + 5 from the edges.
    shown = drawn[15 : 15 + 112, 625 - 112 : 625]
    np.testing.assert_array_equal(shown[..., 0], np.kron(tile, np.ones((4, 4), np.uint8)))
    np.testing.assert_array_equal(shown[..., 0], shown[..., 2])


@pytest.mark.parametrize(("label", "colour"), [("T-shirt/top", NAMED_BGR), (UNKNOWN, UNSURE_BGR)])
def test_annotate_outlines_the_garment(label, colour):
    frame = np.full((480, 640, 3), 255, np.uint8)
    drawn = annotate(frame, recognition_of(label, mask=garment_mask(480, 640)))
    # The box begins at row 240 and column 256, and the line of 2 pixels is centred there.
    assert drawn[239:241, 300].tolist() == [colour] * 2
    assert drawn[300, 255:257].tolist() == [colour] * 2
    assert drawn[300, 300].tolist() == [255, 255, 255]


def test_annotate_without_garment_draws_no_outline_but_why():
    frame = np.full((480, 640, 3), 255, np.uint8)
    drawn = annotate(frame, nothing_found(garment_mask(480, 640)))
    assert (drawn[200:440] == 255).all()
    assert (drawn[45:90, 20:236].max(axis=2) > 180).any()  # letters on the panel


@pytest.mark.parametrize("size", [(240, 320), (480, 640)])
def test_annotate_long_names_stay_in_the_panel(size):
    labels = [f"{number}: a very long name of a garment, with its pattern" for number in range(10)]
    frame = np.full((*size, 3), 255, np.uint8)
    drawn = annotate(frame, recognition_of(labels[0], labels=labels))
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
def test_annotate_bar_shows_the_probability_of_the_label(label, filled):
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), recognition_of(label))
    colour = UNSURE_BGR if label == UNKNOWN else NAMED_BGR
    # The bar is 216 pixels wide, from column 20 on, below a title of 35 pixels.
    assert (drawn[57, 20:236] == colour).all(axis=1).mean() == pytest.approx(filled, abs=0.01)


def test_annotate_while_bridging_an_absence_keeps_the_label():
    recognition = recognition_of(
        "Shirt", np.zeros((480, 640), bool), image_u8=None, reason="nothing stands out"
    )
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), recognition)
    assert (drawn[20:50, 20:150] == NAMED_BGR).all(axis=2).any()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        pytest.param(np.zeros((480, 640), np.uint8), "must be uint8 of shape", id="grey"),
        pytest.param(np.zeros((480, 640, 3)), "got float64", id="float"),
        pytest.param(np.zeros((240, 320, 3), np.uint8), "recognize this frame itself", id="other"),
    ],
)
def test_annotate_of_a_frame_that_does_not_fit_is_one_sentence(frame, message):
    with pytest.raises(PictureError, match=message):
        annotate(frame, recognition_of(mask=garment_mask(480, 640)))


@pytest.mark.parametrize("frame", [None, "photo.jpg"])
def test_annotate_of_what_is_no_array_is_a_type_error(frame):
    with pytest.raises(TypeError, match="frame_bgr must be a NumPy array, got"):
        annotate(frame, recognition_of())


def test_timing_texts_name_stages_and_rate():
    assert timing_texts(LATENCY_MS, 24.31) == [
        "capture 3.1", "segment 23.4", "prepare 2.0", "infer 0.8 ms", "24.3 fps",
    ]  # fmt: skip
    assert timing_texts({"infer": 1.0}, 0.0) == ["infer 1.0 ms"]
    assert timing_texts({}, 0.0) == []


@pytest.mark.parametrize("size_wh", [(640, 480), (160, 120)], ids=str)
def test_annotate_guide_box_invites_while_no_garment_is_seen(size_wh):
    frame = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    empty = nothing_found(np.zeros(frame.shape[:2], bool))
    plain = annotate(frame, empty)
    guided = annotate(frame, empty, guide_box=GuideBox(0.4, 0.5, 0.3, 0.3))
    height, width = plain.shape[:2]
    changed = np.argwhere((plain != guided).any(axis=-1)) / (height, width)
    # Corners and the invitation lie in the box, and reach all its sides.
    assert changed.min(axis=0) == pytest.approx((0.5, 0.4), abs=0.03)
    assert changed.max(axis=0) == pytest.approx((0.8, 0.7), abs=0.03)


def test_annotate_guide_box_keeps_quiet_while_a_garment_is_seen():
    frame, mask = np.full((480, 640, 3), 90, np.uint8), garment_mask(480, 640)
    box = GuideBox(0.4, 0.3, 0.3, 0.5)
    invited = annotate(frame, nothing_found(mask), guide_box=box)
    named = annotate(frame, recognition_of("Coat", mask), guide_box=box)
    rows, columns = box.pixels((480, 640))
    middle = slice(
        (columns.start + columns.stop) // 2 - 40, (columns.start + columns.stop) // 2 + 40
    )
    lower_edge = slice(rows.stop - 40, rows.stop - 4)
    assert (invited[lower_edge, middle] == 255).any()
    assert not (named[lower_edge, middle] == 255).any()
