"""Tests of preparation: the paper's steps one by one, and the data set's properties on the results."""

import json

import numpy as np
import pytest

from garmentlite.edge.drawing import draw_garment, draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.pictures import Picture
from garmentlite.edge.preparation import (
    LOWEST_MEDIAN,
    PREPARATION,
    acceptance,
    box_of,
    fit_to_tile,
    has_fashion_mnist_form,
    naive_tile,
    preparations,
    prepare,
    why_no_garment,
)
from garmentlite.edge.segmenters.grabcut import GrabCutSegmenter
from garmentlite.edge.segmenters.plain import PlainSegmenter

WIDE_LABELS = ("Sandal", "Sneaker", "Ankle boot", "Bag")


class FixedSegmenter:
    """Answers with a mask given beforehand."""

    name = "fixed"

    def __init__(self, mask):
        self.mask = mask

    def segment(self, rgb):
        return self.mask


def block(height, width, grey=100, shape=(200, 200)):
    """A grey block on white, and its mask."""
    mask = np.zeros(shape, bool)
    mask[10 : 10 + height, 15 : 15 + width] = True
    return np.where(mask[..., np.newaxis], np.uint8(grey), np.uint8(255)).repeat(3, axis=2), mask


def product_picture(label, seed):
    """A garment as the data set's authors had it: 51x73 pixels, on #fdfdfd."""
    rgb, alpha = draw_garment(label, np.random.default_rng(seed), 51)
    picture = np.full((73, 51, 3), 0xFD, np.uint8)
    share = alpha[..., np.newaxis] / 255
    picture[11:62] = np.rint(share * rgb + (1 - share) * 0xFD)
    return picture


@pytest.mark.parametrize(
    ("height", "width", "columns", "rows"),
    [
        pytest.param(112, 56, (7, 21), (0, 28), id="tall, even padding"),
        pytest.param(112, 60, (7, 22), (0, 28), id="tall, odd pixel left"),
        pytest.param(60, 112, (0, 28), (7, 22), id="wide, odd pixel on top"),
        pytest.param(100, 100, (0, 28), (0, 28), id="square"),
        pytest.param(14, 7, (7, 21), (0, 28), id="smaller than the tile"),
        pytest.param(112, 1, (14, 15), (0, 28), id="a thread"),
    ],
)
def test_fit_to_tile_of_block_is_placed_by_the_papers_rule(height, width, columns, rows):
    tile = fit_to_tile(*block(height, width))
    expected = np.zeros((28, 28), bool)
    expected[slice(*rows), slice(*columns)] = True
    assert np.array_equal(tile > 0, expected)
    assert tile.dtype == np.uint8


def test_fit_to_tile_of_flat_grey_negates_exactly():
    tile = fit_to_tile(*block(112, 56, grey=100))
    inner = tile[4:-4, 11:-11]
    assert np.unique(inner).tolist() == [155]  # sharpening leaves a flat colour as it is


def test_fit_to_tile_of_larger_garment_lets_the_outline_fade_as_in_the_data():
    tile = fit_to_tile(*block(180, 110, grey=100)).astype(float)
    garment = tile > 0
    inner = garment.copy()
    for axis in (0, 1):
        for shift in (1, -1):
            inner &= np.roll(garment, shift, axis)
    ratio = tile[garment & ~inner].mean() / tile[inner].mean()
    assert 0.46 < ratio < 0.89  # 90% of the training images; a hard outline has 1


def test_fit_to_tile_takes_grey_by_rec_601():
    rgb, mask = block(112, 56)
    rgb[mask] = (200, 100, 50)
    # .299 * 200 + .587 * 100 + .114 * 50 = 124.2
    assert fit_to_tile(rgb, mask)[14, 14] == 255 - 124


def test_fit_to_tile_sharpens_an_edge_by_imagemagicks_kernel():
    rgb, mask = block(28, 28, shape=(60, 60))
    rgb[10:38, 29:43] = 150  # the right half is lighter
    row = fit_to_tile(rgb, mask)[14]
    overshoot = round(50 * (105 + 2 * 64) / 1024)  # one column of the kernel sees the other side
    assert row[12:16].tolist() == [155, 155 + overshoot, 105 - overshoot, 105]


def test_fit_to_tile_ignores_what_lies_outside_the_mask():
    rgb, mask = block(112, 56)
    mask[60:122, 40:71] = False  # the box holds ground as well
    rgb[~mask] = 255
    noisy = rgb.copy()
    noisy[~mask] = np.random.default_rng(0).integers(0, 256, (int((~mask).sum()), 3))
    assert np.array_equal(fit_to_tile(rgb, mask), fit_to_tile(noisy, mask))


def test_fit_to_tile_of_white_garment_stays_visible():
    tile = fit_to_tile(*block(112, 56, grey=254))
    assert np.median(tile[tile > 0]) == LOWEST_MEDIAN
    assert tile[tile > 0].min() >= LOWEST_MEDIAN - 1  # the fading outline has the ground's grey


def test_fit_to_tile_of_the_papers_thumbnail_skips_rows_and_columns():
    rgb, mask = block(56, 28, shape=(73, 51))
    levels = np.random.default_rng(0).integers(0, 256, (56, 28), dtype=np.uint8)
    rgb[mask] = levels.reshape(-1, 1)
    every_other = np.zeros((73, 51), bool)
    every_other[11:67:2, 16:44:2] = True
    changed = rgb.copy()
    changed[mask & ~every_other] = 128
    assert np.array_equal(fit_to_tile(rgb, mask), fit_to_tile(changed, mask))


def test_fit_to_tile_of_larger_garment_averages_its_texture():
    rgb, mask = block(112, 112)
    texture = np.random.default_rng(0).integers(60, 140, (112 * 112, 1))
    rgb[mask] = texture
    inner = fit_to_tile(rgb, mask)[4:-4, 4:-4]
    assert inner.std() < 0.8 * texture.std()  # 1.8 times where rows are skipped only


def test_fit_to_tile_of_black_garment_is_brightest():
    assert fit_to_tile(*block(112, 56, grey=0)).max() == 255


def test_fit_to_tile_of_white_detail_is_not_background():
    rgb, mask = block(112, 56, grey=60)
    rgb[50:70, 30:50] = 255
    assert ((fit_to_tile(rgb, mask) > 0).sum()) == 28 * 14


def test_fit_to_tile_of_thin_ends_still_fills_the_tile():
    rgb, mask = block(100, 56)
    mask[:] = False
    mask[14:114, 20:60] = True
    mask[10:14, 41] = True  # a loop that the skipping of columns may miss
    for shift in range(4):
        assert acceptance(fit_to_tile(rgb, np.roll(mask, shift)))["fills_longest_side"]


@pytest.mark.parametrize("seed", range(5))
def test_fit_to_tile_of_any_mask_is_a_centred_tile_that_is_filled(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 120, 2)
    mask = rng.random((height, width)) < rng.choice([0.02, 0.3, 0.9])
    mask[rng.integers(height), rng.integers(width)] = True
    tile = fit_to_tile(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), mask)
    properties = acceptance(tile)
    assert tile.shape == (28, 28)
    assert properties["fills_longest_side"]
    assert properties["centred"]


def test_fit_to_tile_of_empty_mask_is_refused():
    rgb, mask = block(112, 56)
    with pytest.raises(ValueError, match="mask is empty"):
        fit_to_tile(rgb, np.zeros_like(mask))


def test_box_of_mask_is_tight():
    assert box_of(block(30, 20)[1]) == (15, 10, 20, 30)


@pytest.mark.parametrize("label", FASHION_MNIST_LABELS)
def test_prepare_of_product_picture_has_all_properties_of_the_data(label):
    for seed in range(3):
        prepared = prepare(Picture(product_picture(label, seed)), GrabCutSegmenter())
        properties = acceptance(prepared.image_u8)
        assert properties["accepted"], properties


@pytest.mark.parametrize("label", FASHION_MNIST_LABELS)
def test_prepare_of_drawn_scene_has_all_properties_of_the_data(label):
    scene = draw_scene(label, np.random.default_rng(11))
    prepared = prepare(Picture(scene.rgb), GrabCutSegmenter())
    properties = acceptance(prepared.image_u8)
    # A bag fills the square: its corners fade with the outline, but are not black.
    missed = {name for name, holds in properties.items() if holds is False} - {"accepted"}
    assert missed <= ({"corners_dark"} if label == "Bag" else set()), properties
    _, _, width, height = box_of(prepared.image_u8 > 0)
    assert (width > height) == (label in WIDE_LABELS)


def test_prepare_says_what_it_did_in_json():
    scene = draw_scene("Dress", np.random.default_rng(2))
    prepared = prepare(Picture(scene.rgb), FixedSegmenter(scene.mask))
    assert json.loads(json.dumps(prepared.preparation_document())) == {
        "preparation": PREPARATION["name"],
        "version": PREPARATION["version"],
        "form": "photo",
        "segmenter": "fixed",
        "found": True,
        "reason": None,
        "box": list(box_of(scene.mask)),
    }
    assert set(prepared.latency_ms) == {"segment", "prepare"}
    assert min(prepared.latency_ms.values()) >= 0
    assert prepared.mask.shape == scene.rgb.shape[:2]


def fashion_mnist_tile():
    rgb, alpha = draw_garment("Coat", np.random.default_rng(3), 80)
    return fit_to_tile(rgb, alpha >= 128)


def test_prepare_of_fashion_mnists_own_form_passes_unchanged():
    tile = fashion_mnist_tile()
    prepared = prepare(Picture(np.repeat(tile[..., np.newaxis], 3, axis=2)), FixedSegmenter(None))
    assert np.array_equal(prepared.image_u8, tile)
    assert prepared.mask is None
    assert prepared.form == "fashion-mnist"
    assert prepared.segmenter is None


def test_prepare_of_inverted_tile_goes_the_normal_way():
    tile = fashion_mnist_tile()
    inverted = np.repeat(255 - tile[..., np.newaxis], 3, axis=2)
    prepared = prepare(Picture(inverted), PlainSegmenter())
    assert prepared.form == "photo"
    assert np.abs(prepared.image_u8.astype(int) - tile).mean() < 25  # it is sharpened once more


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda rgb: rgb[:-1], id="28x27"),
        pytest.param(lambda rgb: rgb // np.uint8([1, 2, 1]), id="coloured"),
        pytest.param(lambda rgb: 255 - rgb, id="white ground"),
        pytest.param(lambda rgb: rgb * 0, id="blank"),
    ],
)
def test_fashion_mnist_form_of_anything_else_is_not_recognised(change):
    rgb = np.repeat(fashion_mnist_tile()[..., np.newaxis], 3, axis=2)
    assert has_fashion_mnist_form(Picture(rgb))
    assert not has_fashion_mnist_form(Picture(change(rgb)))


def test_prepare_of_transparent_picture_takes_alpha_for_the_mask():
    rgb, alpha = draw_garment("Bag", np.random.default_rng(4), 120)
    prepared = prepare(Picture(rgb, alpha), FixedSegmenter(None))
    assert prepared.form == "transparent"
    assert np.array_equal(prepared.mask, alpha >= 128)
    assert np.array_equal(prepared.image_u8, fit_to_tile(rgb, alpha >= 128))


def test_prepare_of_rounded_corners_is_segmented():
    """A photograph with transparent corners is no cut-out garment."""
    scene = draw_scene("Shirt", np.random.default_rng(4))
    alpha = np.full(scene.mask.shape, 255, np.uint8)
    alpha[:9, :9] = 0
    prepared = prepare(Picture(scene.rgb, alpha), FixedSegmenter(scene.mask))
    assert prepared.form == "photo"


def scattered():
    mask = np.zeros((100, 100), bool)
    mask[::10, ::10] = True
    mask[1::10, ::10] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        pytest.param(np.zeros((100, 100), bool), "no garment stands out", id="empty"),
        pytest.param(np.ones((100, 100), bool), "nearly the whole", id="full"),
        pytest.param(
            np.pad(np.zeros((40, 40), bool), 30, constant_values=True), "nearly", id="frame"
        ),
        pytest.param(scattered(), "scattered", id="scattered"),
    ],
)
def test_prepare_without_garment_says_why(mask, reason):
    prepared = prepare(Picture(np.full((100, 100, 3), 80, np.uint8)), FixedSegmenter(mask))
    assert prepared.image_u8 is None
    assert prepared.preparation_document()["found"] is False
    assert prepared.box is None
    assert reason in prepared.reason


def test_prepare_of_fully_transparent_picture_finds_no_garment():
    picture = Picture(np.zeros((50, 50, 3), np.uint8), np.zeros((50, 50), np.uint8))
    assert prepare(picture, FixedSegmenter(None)).image_u8 is None


def test_garment_of_a_pair_of_shoes_or_a_close_up_passes():
    pair = np.zeros((100, 100), bool)
    pair[20:80, 10:40] = pair[20:80, 60:90] = True
    close_up = np.zeros((100, 100), bool)
    close_up[:, 8:92] = True
    assert why_no_garment(pair) is None
    assert why_no_garment(close_up) is None


def shifted(tile):
    return np.roll(tile, 2, axis=1)


def shrunk(tile):
    return np.pad(tile[2:-2, 2:-2], 2)


@pytest.mark.parametrize(
    ("spoil", "missed"),
    [
        pytest.param(lambda tile: 255 - tile, "corners_dark", id="not negated"),
        pytest.param(shifted, "centred", id="off centre"),
        pytest.param(shrunk, "fills_longest_side", id="too small"),
        pytest.param(lambda tile: tile // 16, "mean_usual", id="too dark"),
        pytest.param(lambda tile: np.maximum(tile, 1), "zero_share_usual", id="grey background"),
        pytest.param(lambda tile: tile * 0, "fills_longest_side", id="blank"),
    ],
)
def test_acceptance_of_spoilt_tile_names_the_missed_property(spoil, missed):
    tile = fit_to_tile(*block(112, 56))
    assert acceptance(tile)["accepted"]
    properties = acceptance(spoil(tile))
    assert not properties[missed]
    assert not properties["accepted"]
    json.dumps(properties)


def test_naive_tile_has_not_the_properties_of_the_data():
    scene = draw_scene("Trouser", np.random.default_rng(0))
    tile = naive_tile(scene.rgb)
    assert tile.shape == (28, 28)
    assert not acceptance(tile)["accepted"]


class DoubtfulSegmenter(FixedSegmenter):
    """Answers with masks given beforehand, and counts those that it was asked for."""

    def __init__(self, *masks):
        super().__init__(masks[0])
        self.masks, self.asked = masks, 0

    def candidate_masks(self, rgb):
        for mask in self.masks:
            self.asked += 1
            yield mask


def test_preparations_are_an_image_of_each_mask_made_when_asked_for():
    scene = draw_scene("Coat", np.random.default_rng(4))
    second = scene.mask.copy()
    second[: second.shape[0] // 2] = False
    segmenter = DoubtfulSegmenter(scene.mask, second)
    made = preparations(Picture(scene.rgb), segmenter)
    for number, mask in enumerate((scene.mask, second), start=1):
        prepared = next(made)
        assert segmenter.asked == number
        assert prepared.mask is mask
        assert prepared.box == box_of(mask)
        assert min(prepared.latency_ms.values()) >= 0
        np.testing.assert_array_equal(prepared.image_u8, fit_to_tile(scene.rgb, mask))
    assert next(made, None) is None
    alone = DoubtfulSegmenter(scene.mask, second)
    assert prepare(Picture(scene.rgb), alone).mask is scene.mask
    assert alone.asked == 1


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["nothing", "everything"])
def test_preparations_end_where_a_mask_shows_no_garment(share):
    scene = draw_scene("Coat", np.random.default_rng(4))
    none = np.full(scene.mask.shape, bool(share))
    first, second = preparations(Picture(scene.rgb), DoubtfulSegmenter(scene.mask, none, none))
    assert first.mask is scene.mask
    assert second.image_u8 is None
    assert second.reason
    (first,) = preparations(Picture(scene.rgb), DoubtfulSegmenter(none, scene.mask))
    assert first.image_u8 is None  # whatever the other way sees
    assert first.reason


def test_preparations_of_what_needs_no_segmenter_are_one():
    tile = np.zeros((28, 28, 3), np.uint8)
    tile[5:20, 5:20] = 90
    (only,) = preparations(Picture(tile), DoubtfulSegmenter(tile[..., 0] > 0, tile[..., 0] > 0))
    assert only.form == "fashion-mnist"
    assert only.segmenter is None
