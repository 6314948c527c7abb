"""The segmentation network: the shipped file, what it does with bad pictures, and how one is trained."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import ModelError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import Picture, read_picture
from garmentlite.edge.preparation import prepare
from garmentlite.edge.segmenters.network import NetworkSegmenter
from garmentlite.edge.segmenters.network_file import FILE, SIDE, SegmenterNet
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import FOLDER
from garmentlite.train.segmenter_data import (
    LOWEST_AGREEMENT,
    STORED_SIDE,
    Photos,
    Samples,
    collect,
    drawn,
    joined,
    masks_of,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def segmenter():
    return make_segmenter("network")


@pytest.fixture(scope="module")
def training(tensorflow):
    """The module that needs Keras."""
    return importlib.import_module("garmentlite.train.segmenter")


@pytest.fixture(scope="module")
def scene_files(tmp_path_factory):
    """Twelve drawn scenes as files, and one that is no picture."""
    folder, rng = tmp_path_factory.mktemp("scenes"), np.random.default_rng(3)
    for number in range(12):
        scene = draw_scene(FASHION_MNIST_LABELS[number % 10], rng)
        Image.fromarray(scene.rgb).save(folder / f"{number:02}.png")
    (folder / "99.png").write_text("no picture")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def photos(scene_files):
    return collect(scene_files)


# --- the shipped file


def test_shipped_segmenter_is_small_and_computes_with_integers():
    content = (FOLDER / FILE).read_bytes()
    contents = read_contents(content)
    assert len(content) < 150_000
    assert (contents.input_type, contents.output_type) == ("int8", "int8")
    assert contents.input_shape == (1, SIDE, SIDE, 3)
    assert not any(step.touches_float for step in contents.steps)


def test_segmenter_net_of_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match=r"No such file.*--segment grabcut") as caught:
        NetworkSegmenter(tmp_path / "none.tflite")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(lambda: b"no model", "TFL3", id="no model"),
        pytest.param(
            lambda: (FOLDER / "weighted-cnn_int8.tflite").read_bytes(), "28", id="a classifier"
        ),
        pytest.param(lambda: (FOLDER / FILE).read_bytes()[:5000], "it is damaged", id="cut off"),
    ],
)
def test_segmenter_net_of_another_file_is_refused(tmp_path, content, reason):
    path = tmp_path / "other.tflite"
    path.write_bytes(content())
    with pytest.raises(ModelError, match=f"is not a model that can be used here: .*{reason}"):
        SegmenterNet(path)


def test_segmenter_net_answers_the_same_and_keeps_its_input():
    square = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    before, network = square.copy(), SegmenterNet()
    first = network.levels(square).copy()
    network.levels(255 - square)
    assert np.array_equal(network.levels(square), first)
    assert (first.shape, first.dtype) == ((SIDE, SIDE), np.uint8)
    assert np.array_equal(square, before)


# --- pictures nobody should take


@pytest.mark.parametrize(
    "rgb",
    [
        pytest.param(np.zeros((240, 320, 3), np.uint8), id="black"),
        pytest.param(np.full((320, 240, 3), 255, np.uint8), id="over-exposed"),
        pytest.param(np.full((300, 300, 3), (200, 30, 40), np.uint8), id="one colour"),
        pytest.param(np.full((10, 300, 3), 128, np.uint8), id="10 pixels high"),
        pytest.param(np.full((1, 1, 3), 9, np.uint8), id="one pixel"),
    ],
)
def test_network_on_an_empty_picture_finds_nothing(segmenter, rgb):
    mask = segmenter.segment(rgb)
    assert mask.shape == rgb.shape[:2]
    assert not mask.any()
    assert prepare(Picture(rgb), segmenter).image_u8 is None


@pytest.mark.parametrize("shape", [(300, 10, 3), (10, 300, 3), (3, 2, 3), (2000, 15, 3)])
def test_network_on_an_extreme_shape_keeps_it(segmenter, shape):
    rgb = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert segmenter.segment(rgb).shape == shape[:2]


def test_network_is_not_asked_where_the_picture_is_transparent(segmenter):
    scene = draw_scene("Coat", np.random.default_rng(2))
    alpha = np.where(scene.mask, 255, 0).astype(np.uint8)
    prepared = prepare(Picture(scene.rgb, alpha), segmenter)
    assert prepared.segmenter is None
    assert np.array_equal(prepared.mask, scene.mask)


def test_network_on_a_plain_background_follows_the_papers_rule(segmenter):
    rgb = np.full((200, 160, 3), 240, np.uint8)
    rgb[40:170, 30:130] = (90, 20, 60)
    rgb[60:100, 60:90] = 240  # an opening
    plain = make_segmenter("plain").segment(rgb)
    assert np.array_equal(segmenter.segment(rgb), plain)
    assert not plain[70, 75]


def test_network_leaves_the_gap_between_trouser_legs(segmenter):
    gaps = []
    for seed in range(6):
        scene = draw_scene("Trouser", np.random.default_rng(seed))
        mask = segmenter.segment(scene.rgb)
        rows, columns = (
            np.flatnonzero(scene.mask.any(axis=1)),
            np.flatnonzero(scene.mask.any(axis=0)),
        )
        box = np.zeros_like(mask)
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        gaps.append((~mask & ~scene.mask & box).sum() / (~scene.mask & box).sum())
    assert np.mean(gaps) > 0.7


def test_network_on_ground_without_a_garment_finds_nothing_mostly(segmenter):
    """Corners of drawn scenes, enlarged: cloth and planks."""
    found = []
    for seed in range(12):
        scene = draw_scene(FASHION_MNIST_LABELS[seed % 10], np.random.default_rng(seed))
        corner, covered = scene.rgb[:60, :60], scene.mask[:60, :60]
        if not covered.any():
            ground = corner.repeat(4, axis=0).repeat(4, axis=1)
            found.append(prepare(Picture(ground), segmenter).image_u8 is not None)
    assert len(found) >= 5
    assert np.mean(found) <= 0.25


# --- what it learns from


def test_masks_of_a_drawn_scene_agree(scene_files):
    rgb = read_picture(scene_files[0], STORED_SIDE).rgb
    masks = masks_of(rgb)
    assert len(masks) == 3
    assert all(mask.shape == rgb.shape[:2] and mask.dtype == bool for mask in masks)


def test_collect_keeps_agreed_photographs_and_skips_what_is_no_picture(photos, scene_files):
    assert 3 <= len(photos.rgb) < len(scene_files)
    assert photos.rgb.shape[1:] == (STORED_SIDE, STORED_SIDE, 3)
    assert photos.garment.shape == photos.sure.shape == photos.rgb.shape[:3]
    assert (photos.agreement >= LOWEST_AGREEMENT).all()
    # What all methods see is sure; what is unsure is not seen by all.
    assert (photos.sure[photos.garment == 255] == 255).all()


def test_collect_of_nothing_is_empty(tmp_path):
    photos = collect([tmp_path / "none.jpg"])
    assert photos.rgb.shape == (0, STORED_SIDE, STORED_SIDE, 3)
    assert photos.agreement.shape == (0,)


def test_joined_holds_the_photographs_of_both(photos):
    made = drawn(4, 0)
    both = joined(photos, made)
    assert len(both.rgb) == len(both.agreement) == len(photos.rgb) + 4
    assert np.array_equal(both.garment[-4:], made.garment)
    assert (made.sure == 255).all()


def test_samples_of_one_seed_are_the_same(photos):
    first, second, other = (Samples(photos, seed).batch(24) for seed in (5, 5, 6))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    pictures, targets = first
    assert pictures.shape == (24, SIDE, SIDE, 3)
    assert targets.shape == (24, SIDE, SIDE, 2)
    assert 0 <= pictures.min() < pictures.max() <= 1
    assert 0 <= targets.min() < targets.max() <= 1


def test_samples_include_empty_scenes_and_garments(photos):
    _, targets = Samples(photos, 0).batch(80)
    shares = targets[..., 0].mean(axis=(1, 2))
    assert (shares == 0).any()
    assert (shares > 0.05).mean() > 0.7


def test_samples_without_a_doubtless_garment_say_so(photos):
    doubtful = Photos(photos.rgb, photos.garment, photos.sure, photos.agreement * 0)
    with pytest.raises(ValueError, match="no photograph"):
        Samples(doubtful, 0)


# --- training


def test_overlap_loss_of_hand_computed_masks(training):
    target = np.zeros((2, 4, 4, 2), np.float32)
    target[..., 1] = 1
    target[1, :, :2, 0] = 1
    logits = np.zeros((2, 4, 4, 1), np.float32)
    loss = np.asarray(training.overlap_loss(target, logits))
    # Everywhere one half: of 16 pixels 8 are found; of the 8 of the garment 4.
    dice = [1 - 20 / (8 + 20), 1 - (2 * 4 + 20) / (8 + 8 + 20)]
    assert loss == pytest.approx(np.log(2) + np.array(dice), abs=1e-6)


def test_overlap_loss_does_not_see_what_does_not_count(training):
    rng = np.random.default_rng(0)
    target = np.zeros((1, 8, 8, 2), np.float32)
    target[:, :4, :, 1] = 1
    target[:, :, :4, 0] = 1
    logits = rng.normal(0, 1, (1, 8, 8, 1)).astype(np.float32)
    other = logits.copy()
    other[:, 4:] += 5
    assert np.array_equal(
        training.overlap_loss(target, logits), training.overlap_loss(target, other)
    )
    other[:, :4] += 5
    assert not np.array_equal(
        training.overlap_loss(target, logits), training.overlap_loss(target, other)
    )


@pytest.mark.slow
def test_train_segmenter_learns_and_its_int8_file_answers_alike(training, export, photos, tmp_path):
    losses = []
    model = training.train_segmenter(
        photos, steps=40, seed=0, on_step=lambda step, loss: losses.append(loss)
    )
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])
    pictures, _ = Samples(photos, 1).batch(24)
    path = tmp_path / "segmenter.tflite"
    path.write_bytes(export.to_int8(model, pictures))
    network = SegmenterNet(path)
    logits = np.asarray(model(pictures, training=False))[..., 0]
    found = np.stack(
        [network.logits(network.levels(np.rint(p * 255).astype(np.uint8))) for p in pictures]
    )
    # Only where float is undecided, within a tenth of its own range, may int8 decide otherwise.
    decided = np.abs(logits) > 0.1 * np.abs(logits).max()
    assert ((found > 0) == (logits > 0))[decided].mean() > 0.99


# --- the outlines it is measured on


def test_outlines_are_within_their_pictures_and_of_believable_size():
    document = json.loads((ROOT / "benchmarks" / "outlines.json").read_text())
    assert len(document["outlines"]) == document["kept"] >= 60
    cv2 = load_opencv()
    for name, outline in document["outlines"].items():
        width, height = outline["size_wh"]
        assert max(width, height) <= 320, name
        rings = [np.array(ring, np.int32) for ring in outline["rings"]]
        assert all(len(ring) >= 3 for ring in rings), name
        corners = np.concatenate(rings)
        assert (corners >= 0).all(), name
        assert (corners < (width, height)).all(), name
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, rings, 1)
        assert 0.05 < mask.mean() < 0.9, name
