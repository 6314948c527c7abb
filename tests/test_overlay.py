import numpy as np
import pytest

from garmentlite.edge.errors import PictureError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.labels import FASHION_MNIST_LABELS, NO_GARMENT, UNKNOWN
from garmentlite.edge.overlay import annotate, layout_around, layout_within
from garmentlite.edge.panel import NAMED, OTHER_BAR, UNSURE, listed_scores, note_on, timing_texts
from garmentlite.edge.recognition import Recognition, scores_of

LATENCY_MS = {"capture": 3.14, "segment": 23.4, "prepare": 1.96, "infer": 0.84}
PROBABILITIES = np.array([0.62, 0.01, 0.05, 0.02, 0.01, 0, 0.28, 0, 0.01, 0])
PANEL_LEFT = 640  # column of the panel beside a frame of 640x480


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
        reason="no garment stands out from the background",
    )  # fmt: skip


def garment_mask(height, width):
    mask = np.zeros((height, width), bool)
    mask[height // 2 : height * 3 // 4, width * 2 // 5 : width * 3 // 5] = True
    return mask


def has_colour(picture, colour):
    return (picture == colour).all(axis=2).any()


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (640, 480), (1080, 1920), (100, 1000)])
def test_annotate_puts_the_panel_beside_the_whole_frame(size):
    frame = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = frame.copy()
    drawn = annotate(frame, recognition_of(), frames_per_second=12.0)
    place = layout_around(size[::-1]).picture
    np.testing.assert_array_equal(place.of(drawn), frame)  # nothing is drawn over it
    np.testing.assert_array_equal(frame, before)
    panel = drawn[:, place.width :]
    assert panel.shape[1] >= 170
    assert np.median(panel) < 30  # dark, with light letters on it
    assert panel.max() > 200
    drawn[:] = 0  # a picture of its own, which may be drawn on further


@pytest.mark.parametrize(("size", "factor"), [((28, 28), 22), ((120, 160), 4), ((240, 320), 2)])
def test_annotate_enlarges_tiny_frames_by_a_whole_factor(size, factor):
    frame = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    drawn = annotate(frame, recognition_of())
    place = layout_around(size[::-1]).picture
    assert (place.width, place.height) == (size[1] * factor, size[0] * factor)
    np.testing.assert_array_equal(place.of(drawn)[factor // 2 :: factor, ::factor], frame)


@pytest.mark.parametrize("window_wh", [(640, 480), (800, 480), (480, 800), (1280, 1024), (90, 70)])
@pytest.mark.parametrize("frame_wh", [(640, 480), (1280, 720), (480, 854), (28, 28), (300, 20)])
def test_layout_within_a_window_never_stretches_nor_overlaps(window_wh, frame_wh):
    layout = layout_within(window_wh, frame_wh)
    picture, panel = layout.picture, layout.panel
    # A side is rounded to whole pixels.
    assert picture.width * frame_wh[1] == pytest.approx(
        picture.height * frame_wh[0], abs=max(frame_wh)
    )
    for place in (picture, panel):
        assert 0 <= place.left <= place.left + place.width <= window_wh[0]
        assert 0 <= place.top <= place.top + place.height <= window_wh[1]
    is_beside = picture.left + picture.width <= panel.left
    assert is_beside or picture.top + picture.height <= panel.top
    frame = np.zeros((*frame_wh[::-1], 3), np.uint8)
    drawn = annotate(frame, recognition_of(mask=garment_mask(*frame.shape[:2])), layout=layout)
    assert drawn.shape == (window_wh[1], window_wh[0], 3)


def test_layout_of_a_portrait_window_has_the_panel_below():
    layout = layout_within((480, 800), (640, 480))
    assert (layout.picture.width, layout.panel.width) == (480, 480)


def test_annotate_shows_every_pixel_the_network_sees():
    tile = np.random.default_rng(3).integers(0, 256, (28, 28), dtype=np.uint8)
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), recognition_of(tile=tile))
    shown = np.kron(tile, np.ones((4, 4), np.uint8))
    panel = drawn[:, PANEL_LEFT + 10 : PANEL_LEFT + 10 + 112]
    matches = [y for y in range(480 - 112) if (panel[y : y + 112, :, 0] == shown).all()]
    assert len(matches) == 1
    shown_bgr = panel[matches[0] : matches[0] + 112]
    assert (shown_bgr == shown_bgr[..., :1]).all()  # it is grey


@pytest.mark.parametrize(("label", "colour"), [("T-shirt/top", NAMED), (UNKNOWN, UNSURE)])
@pytest.mark.parametrize(("size", "factor"), [((480, 640), 1), ((720, 1280), 1), ((120, 160), 4)])
def test_annotate_outlines_the_garment(label, colour, size, factor):
    frame = np.full((*size, 3), 255, np.uint8)
    mask = garment_mask(*size)
    place = layout_around(size[::-1]).picture
    picture = place.of(annotate(frame, recognition_of(label, mask=mask)))
    coloured = (picture == colour).all(axis=2)
    rows, columns = np.nonzero(coloured)
    # The outline runs through the outermost pixels of the garment; it was found at a side of about 320.
    tolerance = 3 * factor + 3
    found = np.nonzero(mask)
    for seen, true in ((rows, found[0]), (columns, found[1])):
        assert seen.min() == pytest.approx(true.min() * factor, abs=tolerance)
        assert seen.max() == pytest.approx(true.max() * factor, abs=tolerance)
    middle = (found[0].mean() * factor, found[1].mean() * factor)
    assert picture[int(middle[0]), int(middle[1])].tolist() == [255, 255, 255]


def test_annotate_without_garment_draws_no_outline_but_why():
    frame = np.full((480, 640, 3), 255, np.uint8)
    drawn = annotate(frame, nothing_found(garment_mask(480, 640)))
    assert (drawn[:, :PANEL_LEFT] == 255).all()
    assert (drawn[45:90, PANEL_LEFT:].max(axis=2) > 180).any()  # letters on the panel
    assert note_on(nothing_found(None)) == "no garment stands out from the background"


@pytest.mark.parametrize("window_wh", [(640, 480), (800, 480)])
def test_annotate_long_names_stay_in_the_panel(window_wh):
    labels = [f"{number}: a very long name of a garment, with its pattern" for number in range(10)]
    layout = layout_within(window_wh, (640, 480))
    drawn = annotate(
        np.full((480, 640, 3), 255, np.uint8),
        recognition_of(labels[0], labels=labels),
        layout=layout,
    )
    margin = layout.sizes.margin
    panel = layout.panel.of(drawn)
    assert (panel[:, :margin] == panel[0, 0]).all()
    assert (panel[:, -margin:] == panel[0, 0]).all()


@pytest.mark.parametrize(
    ("label", "note", "listed"),
    [
        pytest.param("T-shirt/top", "", ["T-shirt/top", "Shirt", "Pullover"], id="first"),
        pytest.param(
            "Shirt", "or now T-shirt/top?", ["Shirt", "T-shirt/top", "Pullover"], id="held"
        ),
        pytest.param(
            UNKNOWN, "T-shirt/top or Shirt?", ["T-shirt/top", "Shirt", "Pullover"], id="unknown"
        ),
    ],
)
def test_panel_never_contradicts_its_label(label, note, listed):
    recognition = recognition_of(label)
    assert note_on(recognition) == note
    assert [score.label for score in listed_scores(recognition)] == listed


def test_note_on_a_tie_is_empty():
    tied = np.full(10, 0.1)
    recognition = recognition_of("Bag", scores=scores_of(tied, FASHION_MNIST_LABELS))
    assert note_on(recognition) == ""


@pytest.mark.parametrize(
    ("label", "colours"),
    [
        ("T-shirt/top", [NAMED, OTHER_BAR]),
        ("Shirt", [NAMED, OTHER_BAR]),
        (UNKNOWN, [UNSURE, UNSURE]),
    ],
)
def test_annotate_bars_show_the_probabilities(label, colours):
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), recognition_of(label))
    panel = drawn[:, PANEL_LEFT + 10 : PANEL_LEFT + 190]
    shares = [score.probability for score in listed_scores(recognition_of(label))]
    for colour, share in zip(colours, shares, strict=False):
        lengths = (panel == colour).all(axis=2).sum(axis=1)
        assert round(180 * share) in lengths


def test_annotate_while_bridging_an_absence_keeps_the_label():
    recognition = recognition_of(
        "Shirt", np.zeros((480, 640), bool), image_u8=None, reason="no garment stands out"
    )
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), recognition)
    assert has_colour(drawn[:50, PANEL_LEFT:], NAMED)


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
    place = layout_around(size_wh).picture
    plain = place.of(annotate(frame, empty))
    guided = place.of(annotate(frame, empty, guide_box=GuideBox(0.4, 0.5, 0.3, 0.3)))
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
