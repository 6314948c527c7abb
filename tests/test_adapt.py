"""Photographs to train on: their tiles, what is measured of them, and training with them."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.material import from_run
from edge import metrics
from edge.drawing import draw_scene
from edge.errors import DataError, ModelError, OptionError
from edge.labels import FASHION_MNIST_LABELS
from edge.pictures import read_picture
from edge.preparation import prepare
from edge.segmentation import BorderSegmenter
from train import adapt, runs
from train.adapt import PhotoSet
from train.augmentation import Augmentation
from train.recipe import Recipe

FOOTWEAR = "footwear=Sandal,Sneaker,Ankle boot"


class CountingSegmenter(BorderSegmenter):
    """The device's, which counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def segment(self, rgb):
        self.asked += 1
        return super().segment(rgb)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV of drawn photographs by eight contributors, with an empty wall and a broken file."""
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    image = pytest.importorskip("PIL.Image")
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(2)
    rows = []
    for number in range(24):
        label = ("Dress", "footwear", "Hat")[number % 3]
        drawn = {"footwear": "Sneaker", "Hat": "Bag"}.get(label, label)
        image.fromarray(draw_scene(drawn, rng, (96, 96)).rgb).save(root / f"{number}.png")
        rows.append([f"{number}.png", f"s{number // 3}", label])
    image.fromarray(np.full((80, 60, 3), 190, np.uint8)).save(root / "wall.png")
    (root / "broken.jpg").write_bytes(b"no picture")
    rows += [["wall.png", "s0", "Dress"], ["broken.jpg", "s0", "Dress"]]
    with (root / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "sender", "label"], *rows])
    return root / "images.csv"


@pytest.fixture
def collection(table):
    return adapt.read_collection(
        table, FASHION_MNIST_LABELS, contributor_column="sender", groups=[FOOTWEAR]
    )


def tiles_of(collection, **options):
    options = {"segmenter": CountingSegmenter(), "seed": 1, "variants": 2} | options
    segmenter, seed = options.pop("segmenter"), options.pop("seed")
    return adapt.make_tiles(collection.photos, collection.checksums, segmenter, seed, **options)


# --- the collection


def test_read_collection_holds_out_contributors_and_keeps_other_labels_reachable(collection):
    photos, is_held_out = collection.photos, collection.is_held_out
    assert len(photos) == 26
    held, trained = (
        {one.contributor for one, out in zip(photos, is_held_out, strict=True) if out == part}
        for part in (True, False)
    )
    assert held
    assert not held & trained
    others = collection.labelling.y == -1
    assert {one.label for one, is_other in zip(photos, others, strict=True) if is_other} == {"Hat"}
    assert others[is_held_out].any()


def test_read_collection_of_all_folds_holds_everything_out_once(table):
    parts = [
        adapt.read_collection(table, FASHION_MNIST_LABELS, groups=[FOOTWEAR], fold=fold)
        for fold in range(1, 6)
    ]
    assert sum(part.is_held_out.astype(int) for part in parts).tolist() == [1] * 26
    nothing = adapt.read_collection(table, FASHION_MNIST_LABELS, groups=[FOOTWEAR], fold=None)
    assert not nothing.is_held_out.any()


def test_read_collection_says_which_labels_are_too_few_to_validate(table):
    said, few = [], table.with_name("few.csv")
    few.write_text(
        "file,label\n" + "".join(f"{3 * i}.png,Dress\n" for i in range(8)) + "1.png,Bag\n"
    )
    found = adapt.read_collection(few, FASHION_MNIST_LABELS, say=said.append)
    assert len(said) == 1
    assert said[0].startswith("'Bag' has 1 photographs: too few to validate (at least 5)")
    assert not found.is_held_out[-1]


@pytest.mark.parametrize(("folds", "fold"), [(1, 1), (5, 0), (5, 6)])
def test_read_collection_of_a_fold_that_is_none_is_refused(table, folds, fold):
    with pytest.raises(OptionError, match=f"--fold {fold} of --folds {folds} does not exist"):
        adapt.read_collection(table, FASHION_MNIST_LABELS, folds=folds, fold=fold)


def test_read_collection_without_any_file_or_held_out_photograph_is_one_sentence(table):
    gone = table.with_name("gone.csv")
    gone.write_text("file,label\nnone.png,Dress\n")
    with pytest.raises(DataError, match=r"None of the photographs that .*gone.csv names is there"):
        adapt.read_collection(gone, FASHION_MNIST_LABELS)
    gone.write_text("file,label\n0.png,Dress\n")
    with pytest.raises(DataError, match="No photograph is held out in fold 1 of 5"):
        adapt.read_collection(gone, FASHION_MNIST_LABELS)


# --- tiles


def test_make_tiles_begins_with_the_tile_of_the_device_and_goes_on_with_others(collection):
    said, seen = [], []
    tiles = tiles_of(
        collection, warn=said.append, on_progress=lambda done, of: seen.append((done, of))
    )
    assert tiles.tiles_u8.shape == (26, 3, 28, 28)
    assert tiles.tiles_u8.dtype == np.uint8
    assert tiles.found.tolist() == [True] * 24 + [False] * 2
    assert tiles.readable.tolist() == [True] * 25 + [False]
    assert len(said) == 1
    assert "broken.jpg" in said[0]
    assert seen[-1] == (26, 26)
    for photo, of_photo in zip(collection.photos[:24], tiles.tiles_u8, strict=False):
        device = prepare(read_picture(photo.path), BorderSegmenter()).image_u8
        np.testing.assert_array_equal(of_photo[0], device)
        assert (of_photo[0] != of_photo[1]).any()
        assert (of_photo[1] != of_photo[2]).any()


def test_make_tiles_of_a_photograph_do_not_depend_on_the_others_but_on_the_seed(collection):
    every = tiles_of(collection).tiles_u8
    few = replace(
        collection, photos=collection.photos[7:3:-1], checksums=collection.checksums[7:3:-1]
    )
    np.testing.assert_array_equal(tiles_of(few).tiles_u8, every[7:3:-1])
    other = tiles_of(few, seed=2).tiles_u8
    np.testing.assert_array_equal(other[:, 0], every[7:3:-1, 0])
    assert (other[:, 1:] != every[7:3:-1, 1:]).any()


def test_make_tiles_segments_every_photograph_once_and_finds_it_in_the_cache(collection, tmp_path):
    cache, segmenter = tmp_path / "tiles.npz", CountingSegmenter()
    some = replace(collection, photos=collection.photos[:9], checksums=collection.checksums[:9])
    first = tiles_of(some, segmenter=segmenter, cache=cache)
    assert segmenter.asked == 9
    every = tiles_of(collection, segmenter=segmenter, cache=cache)  # goes on where it was
    assert segmenter.asked == 25  # all that can be read
    np.testing.assert_array_equal(every.tiles_u8[:9], first.tiles_u8)
    np.testing.assert_array_equal(every.tiles_u8, tiles_of(collection).tiles_u8)
    tiles_of(
        collection, segmenter=segmenter, cache=cache, seed=5
    )  # others: the cache is not theirs
    assert segmenter.asked == 50


def test_make_tiles_broken_off_keeps_what_is_done(collection, tmp_path):
    cache, segmenter = tmp_path / "tiles.npz", CountingSegmenter()

    def interrupted(done, of):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiles_of(collection, cache=cache, on_progress=interrupted)
    tiles_of(collection, cache=cache, segmenter=segmenter)
    assert segmenter.asked == 20


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_make_tiles_with_a_broken_cache_is_one_sentence(collection, tmp_path, content):
    cache = tmp_path / "tiles.npz"
    tiles_of(collection, cache=cache)
    cache.write_bytes(cache.read_bytes()[:500] if content is None else content)
    with pytest.raises(DataError, match="not what prepared photographs are kept in"):
        tiles_of(collection, cache=cache)


def test_make_tiles_of_an_image_in_the_form_of_the_training_images_keeps_it(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 8:20] = 130
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image.fromarray(pixels + (name == "b")).save(tmp_path / name / "0.png")
    both = adapt.read_collection(tmp_path, FASHION_MNIST_LABELS, fold=None)
    tiles = tiles_of(both).tiles_u8
    np.testing.assert_array_equal(tiles[0], [pixels] * 3)


# --- sets


def test_make_set_trains_on_what_was_found_and_counts_the_rest_against_the_network(collection):
    tiles = tiles_of(collection)
    held = replace(collection, is_held_out=np.arange(26) >= 18)
    photos = adapt.make_set(held, tiles, other_images=240)
    assert photos.groups == ("Dress", "footwear")
    assert np.bincount(photos.y).tolist() == [6, 6]
    assert np.bincount(photos.y_validation).tolist() == [2, 2]
    assert photos.missed.tolist() == [1, 0]  # the wall; a file that is no picture is nothing
    assert photos.repeats == 10  # 12 photographs are a third beside 240
    assert adapt.make_set(held, tiles, other_images=60_000).repeats == adapt.MOST_REPEATS
    assert adapt.make_set(held, tiles, other_images=0).repeats == round(adapt.IMAGES_ALONE / 12)
    assert not photos.alone
    np.testing.assert_array_equal(
        photos.clean_u8, tiles.tiles_u8[:18][held.labelling.y[:18] >= 0, 0]
    )
    uneven = replace(
        held, is_held_out=held.is_held_out | (held.labelling.y == 1) & (np.arange(26) > 7)
    )
    # 6 dresses and 3 pairs of shoes: all labels count alike, and 1 in the mean.
    assert adapt.make_set(uneven, tiles, 240).factors.tolist() == [0.75, 1.5]
    assert adapt.make_set(uneven, tiles, 0).factors.tolist() == [1, 1]
    facts = adapt.facts(held, tiles, photos)
    assert (facts["held_out"], facts["held_out_without_garment"]) == (5, 1)
    assert (facts["unreadable"], facts["other_labels"], facts["training"]) == (1, 8, 12)
    assert facts["training_by_group"] == {"Dress": 6, "footwear": 6}
    assert facts["groups"]["footwear"] == ["Sandal", "Sneaker", "Ankle boot"]
    trained = replace(collection, is_held_out=np.arange(26) < 6)
    assert adapt.make_set(trained, tiles, 240).missed.tolist() == [0, 0]
    assert photos.sha256 != adapt.make_set(trained, tiles, 240).sha256
    with pytest.raises(DataError, match="none is left to train on"):
        adapt.make_set(replace(collection, is_held_out=np.arange(26) < 24), tiles, 240)


# --- what a run keeps of them


@pytest.mark.parametrize("variants", [False, True])
def test_write_photos_keeps_tiles_labels_and_names_and_lists_those_held_out(
    collection, tmp_path, variants
):
    tiles = tiles_of(collection)
    held = replace(collection, is_held_out=np.arange(26) >= 18)
    runs.write_photos(tmp_path, held, tiles, variants=variants)
    stored = runs.read_photos(tmp_path)
    expected = tiles.tiles_u8 if variants else tiles.tiles_u8[:, :1]
    np.testing.assert_array_equal(stored["tiles_u8"], expected)
    np.testing.assert_array_equal(
        stored["y"], held.labelling.y
    )  # -1: reachable, though of no class
    np.testing.assert_array_equal(stored["found"], tiles.found)
    assert stored["files"].tolist() == [photo.name for photo in collection.photos]
    assert stored["groups"].tolist() == ["Dress", "footwear"]
    with (tmp_path / "held_out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # Those of a class alone, with the one in which no garment is found, without what is no picture.
    assert [Path(row["file"]).name for row in rows] == ["18.png", "21.png", "wall.png"]
    assert {row["label"] for row in rows} == {"Dress"}
    assert all(Path(row["file"]).is_file() for row in rows)


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_read_photos_of_a_run_without_is_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "photos.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"photos\.npz cannot be read .* train the run anew"):
        runs.read_photos(tmp_path)


def test_material_of_a_run_calibrates_on_other_photographs_than_it_measures_on(
    collection, tmp_path
):
    tiles = tiles_of(collection)
    labelling = replace(
        collection.labelling, classes=("Dress", "footwear"), members=np.eye(2, dtype=bool), own=True
    )
    held = replace(collection, labelling=labelling, is_held_out=np.arange(26) >= 18)
    runs.write_photos(tmp_path, held, tiles, variants=True)
    material = from_run(tmp_path, labelling.classes)
    photos = adapt.make_set(held, tiles, 0)
    np.testing.assert_array_equal(material.training.images_u8, photos.tiles_u8.reshape(-1, 28, 28))
    np.testing.assert_array_equal(material.training.y, np.repeat(photos.y, 3))
    for part in (material.validation, material.test):
        np.testing.assert_array_equal(part.images_u8, photos.validation_u8)
        np.testing.assert_array_equal(part.y, photos.y_validation)
    flat = tiles.tiles_u8.reshape(-1, 28, 28)
    for part in (material.training, material.test):
        np.testing.assert_array_equal(flat[part.indices], part.images_u8)


# --- measures


@pytest.fixture
def answered():
    """Three groups of four classes; the second is one of two classes, the third has no photograph."""
    members = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    empty = np.zeros((0, 3, 28, 28), np.uint8)
    photos = PhotoSet(
        empty, np.zeros(0, int), np.zeros((4, 28, 28), np.uint8), np.array([0, 1, 1, 1]),
        np.array([1, 0, 0]), ("a", "b", "c"), members, np.ones(3, np.float32), 1, False,
    )  # fmt: skip
    logits = np.log([
        [0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.5, 0.2], [0.2, 0.3, 0.1, 0.4], [0.1, 0.6, 0.1, 0.2],
    ]).astype(np.float32)  # fmt: skip
    return photos, logits


def test_measure_takes_every_class_of_a_group_for_right_and_no_garment_for_wrong(answered):
    photos, logits = answered
    found = adapt.measure(photos, logits)
    # By hand: -log of 0.7, 0.7, 0.4 and 0.7; float32 logits have 7 digits.
    assert found.loss == pytest.approx(-np.log([0.7, 0.7, 0.4, 0.7]).mean(), rel=1e-6)
    assert found.accuracy == 3 / 5
    assert found.recall == [1 / 2, 2 / 3, None]
    assert found.answers.tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    document = found.as_document(photos.groups)
    assert (document["images"], document["no_garment"]) == (5, 1)
    assert document["macro_recall"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert document["per_group"][1] == {"label": "b", "support": 3, "recall": 2 / 3}


def test_measure_weighs_a_group_by_its_factor_and_the_mean_of_its_classes(answered):
    photos, logits = answered
    photos = replace(photos, factors=np.array([1, 3, 1], np.float32))
    found = adapt.measure(photos, logits, np.array([4.0, 1.0, 3.0, 1.0]))
    expected = np.average(-np.log([0.7, 0.7, 0.4, 0.7]), weights=[4, 6, 6, 6])
    assert found.loss == pytest.approx(expected, rel=1e-6)


def test_losses_of_one_class_are_cross_entropy_and_of_all_classes_nothing():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(0, 30, (50, 6)), rng.integers(0, 6, 50)
    one = adapt.losses(logits, np.eye(6, dtype=bool)[y])
    assert one.mean() == pytest.approx(metrics.log_loss(y, logits))
    np.testing.assert_array_equal(adapt.losses(logits, np.ones((50, 6), bool)), 0)
    assert (adapt.losses(logits, rng.random((50, 6)) < 0.5 + np.eye(6)[y]) <= one).all()


# --- recipes


def test_recipe_for_adaptation_is_short_and_small_and_never_lets_images_rest():
    own = Recipe(epochs=80, learning_rate=0.01, rest=0.5, augmentation=Augmentation(flip=0.5))
    adapted = adapt.recipe_for(own, adapts=True, alone=False)
    assert (adapted.epochs, adapted.schedule, adapted.rest) == (
        adapt.ADAPTATION_EPOCHS,
        "cosine",
        0,
    )
    assert adapted.learning_rate == pytest.approx(0.01 * adapt.ADAPTATION_RATE)
    assert adapted.augmentation == own.augmentation
    assert adapted.label_smoothing == 0
    assert adapt.recipe_for(own, adapts=False, alone=False) == replace(own, rest=0.0)


def test_recipe_for_photographs_alone_regularises():
    plain = adapt.recipe_for(Recipe(), adapts=False, alone=True)
    assert plain.label_smoothing == adapt.SMOOTHING
    assert plain.augmentation == adapt.PHOTO_AUGMENTATION
    assert plain.averaging == 0
    averaged = adapt.recipe_for(Recipe(averaging=0.998), adapts=True, alone=True)
    assert averaged.averaging == adapt.AVERAGING_ALONE
    assert averaged.epochs == adapt.ADAPTATION_EPOCHS_ALONE
    own = Recipe(label_smoothing=0.2, augmentation=Augmentation(shift=0.1))
    assert adapt.recipe_for(own, adapts=False, alone=True) == own


# --- training


@pytest.fixture(scope="module")
def photos(made_data):
    """Photographs whose classes 0 to 4 are known, and of 5 to 9 only that they are one of these."""
    x, y = made_data.x_test[:120], made_data.y_test[:120]
    # Unlike the images: in negative.
    tiles = np.stack([255 - x, 255 - np.roll(x, 1, axis=2)], axis=1)
    members = np.concatenate([np.eye(10, dtype=bool)[:5], [np.arange(10) >= 5]])
    group = np.minimum(y, 5).astype(np.int64)
    return PhotoSet(
        tiles[:80], group[:80], tiles[80:, 0], group[80:], np.zeros(6, np.int64),
        tuple("abcdef"), members, np.ones(6, np.float32), 4, False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def config(fit, tiny):
    return fit.TrainConfig(
        network=tiny, class_weights=dict.fromkeys(FASHION_MNIST_LABELS, 1.0), epochs=5,
        batch_size=64, learning_rate=1e-2, seed=7, augmentation=Augmentation(shift=0.05),
        schedule="constant",
    )  # fmt: skip


def test_loss_of_groups_is_that_of_numpy_and_cross_entropy_where_the_target_is_soft(fit, keras):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (40, 6)).astype(np.float32)
    groups = rng.random((40, 6)) < 0.6
    groups[:, :2] = True  # of two classes at least
    given = np.asarray(fit._loss_of_groups(groups.astype(np.float32), logits))
    np.testing.assert_allclose(given, adapt.losses(logits, groups), atol=1e-5)  # sums in float32
    soft = rng.dirichlet(np.ones(6), 40).astype(np.float32)
    expected = keras.losses.categorical_crossentropy(soft, logits, from_logits=True)
    np.testing.assert_allclose(fit._loss_of_groups(soft, logits), expected, atol=1e-4)
    hits = np.asarray(fit._hits_of_groups(groups.astype(np.float32), logits))
    np.testing.assert_array_equal(hits, groups[np.arange(40), logits.argmax(axis=1)])


def test_train_with_photographs_learns_both_and_chooses_by_both(fit, config, images, photos):
    alone = fit.train(config, *images)
    without = adapt.measure(photos, fit.predict_logits(alone.model, photos.validation_u8))
    assert alone.history[-1].photo_loss is None
    result = fit.train(config, *images, photos=photos)
    figures = adapt.measure(photos, fit.predict_logits(result.model, photos.validation_u8))
    last = result.history[-1]
    assert last.val_accuracy > 0.5  # chance is 0.1
    assert figures.accuracy > 0.7  # half of them are of the group, and five classes more
    assert figures.accuracy > without.accuracy + 0.3
    assert len(last.photo_recall) == 6
    assert last.accuracy > 0.4  # of the augmented images, group by group
    both = [(epoch.val_loss + epoch.photo_loss) / 2 for epoch in result.history]
    assert [epoch.best for epoch in result.history] == [
        loss == min(both[: i + 1]) for i, loss in enumerate(both)
    ]
    kept = [epoch for epoch in result.history if epoch.best][-1]
    assert figures.loss == pytest.approx(kept.photo_loss, rel=1e-6)


def test_train_with_all_photographs_keeps_the_last_epoch(fit, config, images, photos):
    nothing = np.zeros(0, np.int64)
    every = replace(photos, validation_u8=photos.validation_u8[:0], y_validation=nothing)
    x, y, x_validation, y_validation = images
    wrong = (y_validation + np.arange(len(y_validation)) % 2) % 10  # its loss rises in the end
    result = fit.train(replace(config, epochs=6), x, y, x_validation, wrong, photos=every)
    losses = [epoch.val_loss for epoch in result.history]
    assert losses[-1] > min(losses)
    kept = metrics.log_loss(wrong, fit.predict_logits(result.model, x_validation))
    assert kept == pytest.approx(losses[-1], rel=1e-6)
    assert result.history[-1].photo_loss is None


def break_at(epoch, step):
    def on_step(now, done, of):
        if (now, done) == (epoch, step):
            raise KeyboardInterrupt

    return on_step


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_run_with_photographs_broken_off_and_resumed_ends_with_the_same_weights(
    fit, config, images, photos, tmp_path, smoothing
):
    config = replace(config, label_smoothing=smoothing, epochs=3, photos_sha256=photos.sha256)
    whole = fit.train(config, *images, photos=photos)
    path = tmp_path / "checkpoint.npz"
    fit.train(
        config, *images, photos=photos, checkpoint=path, save_every_s=0, on_step=break_at(2, 4)
    )
    again = fit.train(config, *images, photos=photos, checkpoint=path)
    for one, other in zip(whole.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [(epoch.val_loss, epoch.photo_loss) for epoch in whole.history] == [
        (epoch.val_loss, epoch.photo_loss) for epoch in again.history
    ]
    with pytest.raises(DataError, match="was made with photos_sha256"):
        fit.require_resumable(replace(config, photos_sha256=""), path)


def test_checkpoint_of_a_version_without_photographs_can_be_resumed(fit, config, images, tmp_path):
    import json

    path, short = tmp_path / "checkpoint.npz", replace(config, epochs=1)
    fit.train(short, *images, checkpoint=path)
    with np.load(path) as stored:
        arrays = dict(stored)
    document = json.loads(str(arrays["document"]))
    for name in ("photos_sha256", "init_sha256"):
        del document["config"][name]
    for epoch in document["history"]:
        for name in ("photo_loss", "photo_accuracy", "photo_recall"):
            del epoch[name]
    np.savez(path, **arrays | {"document": np.array(json.dumps(document))})
    fit.require_resumable(short, path)
    assert len(fit.train(short, *images, checkpoint=path).history) == 1
    with pytest.raises(DataError, match="was made with init_sha256 = , now it is abc"):
        fit.require_resumable(replace(short, init_sha256="abc"), path)


def test_batches_with_photographs_show_each_as_often_as_asked_in_varying_tiles(
    fit, config, images, photos
):
    x, y = images[:2]
    plain = replace(config, augmentation=Augmentation())
    batches = fit._Batches(plain, x, y, np.ones(10, np.float32), photos=photos)
    shown = np.concatenate([batches[i][0] for i in range(len(batches))])[..., 0] * 255
    shown = np.rint(shown).astype(np.uint8)
    targets = np.concatenate([batches[i][1] for i in range(len(batches))])
    assert len(shown) == len(x) + 4 * 80
    counts = {}
    for image in shown:
        counts[image.tobytes()] = counts.get(image.tobytes(), 0) + 1
    of_photos = [[counts.get(tile.tobytes(), 0) for tile in tiles] for tiles in photos.tiles_u8]
    assert [sum(one) for one in of_photos] == [4] * 80
    assert np.array(of_photos).min() == 0  # which variant is shown is left to chance
    assert np.array(of_photos).sum(axis=0).min() > 100
    is_group = targets.sum(axis=1) == 5
    assert is_group.sum() == 4 * (photos.y == 5).sum()
    again = fit._Batches(plain, x, y, np.ones(10, np.float32), photos=photos)
    np.testing.assert_array_equal(again[3][0], batches[3][0])
    batches.start_epoch(1)
    assert (again[3][0] != batches[3][0]).any()


def test_train_on_photographs_alone_learns_from_their_variants(fit, config, made_data):
    x, y = made_data.x_test[:60], made_data.y_test[:60]
    own = PhotoSet(
        np.stack([x, np.roll(x, 1, axis=1)], axis=1)[:40], y[:40].astype(np.int64), x[40:],
        y[40:].astype(np.int64), np.array([2] + [0] * 9), tuple("abcdefghij"), np.eye(10, dtype=bool),
        np.ones(10, np.float32),
        20, True,
    )  # fmt: skip
    result = fit.train(
        replace(config, label_smoothing=0.1), own.clean_u8, own.y, own.validation_u8,
        own.y_validation, photos=own,
    )  # fmt: skip
    last = result.history[-1]
    figures = adapt.measure(own, fit.predict_logits(result.model, own.validation_u8))
    assert last.val_accuracy > 0.4  # chance is 0.1
    assert last.photo_loss is None
    # Two of the photographs held out have no garment, which no network mends.
    support = np.bincount(own.y_validation, minlength=10) + own.missed
    kept = [epoch for epoch in result.history if epoch.best][-1]
    assert kept.val_accuracy == figures.accuracy <= 20 / 22
    assert kept.val_recall[0] <= 1 - 2 / support[0]


def test_train_with_photographs_and_resting_images_is_refused(fit, config, images, photos):
    with pytest.raises(OptionError, match="rest only where there are no photographs"):
        fit.train(replace(config, rest=0.5), *images, photos=photos)


# --- weights to begin with


@pytest.fixture(scope="module")
def named(networks, tiny, tmp_path_factory):
    """Saves the small network with so many outputs under its name; returns path and network."""

    def save(classes, name=tiny):
        built = networks.NETWORKS[tiny].build(classes)
        built.name = name
        path = tmp_path_factory.mktemp("init") / "start.keras"
        built.save(path)
        return path, built

    return save


def test_start_from_a_network_of_the_same_classes_keeps_all_its_weights(fit, named, config, images):
    path, model = named(10)
    start = adapt.start_from(path, None, FASHION_MNIST_LABELS)
    assert (start.network, start.sentence) == ("tiny", "")
    for one, other in zip(start.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # With steps of nothing, what comes out is what went in.
    still = replace(config, epochs=1, learning_rate=1e-12)
    result = fit.train(still, *images, init=start.weights)
    kernel = result.model.get_weights()[0]
    np.testing.assert_allclose(kernel, start.weights[0], atol=1e-9)


def test_start_from_a_network_of_other_classes_leaves_out_its_last_layer(named):
    path, model = named(10)
    start = adapt.start_from(path, None, ("hats", "socks", "scarves"))
    assert len(start.weights) == len(model.get_weights()) - 2
    assert (
        "knows 10 other classes: its last layer is replaced by one for hats, socks"
        in start.sentence
    )
    # As many outputs, but the card beside the file names others.
    path, _ = named(3)
    assert adapt.start_from(path, None, ("hats", "socks", "scarves")).sentence
    path.with_suffix(".json").write_text('{"labels": ["hats", "socks", "scarves"]}')
    assert not adapt.start_from(path, None, ("hats", "socks", "scarves")).sentence
    assert adapt.start_from(path, None, ("hats", "scarves", "socks")).sentence


def test_start_from_what_does_not_fit_is_one_sentence(named, tmp_path):
    path, _ = named(10, name="somebody-s")
    with pytest.raises(OptionError, match=r"holds a network called 'somebody-s'.*--network which"):
        adapt.start_from(path, None, FASHION_MNIST_LABELS)
    assert adapt.start_from(path, "tiny", FASHION_MNIST_LABELS).network == "tiny"
    with pytest.raises(ModelError, match="does not have the layers of compact-cnn"):
        adapt.start_from(path, "compact-cnn", FASHION_MNIST_LABELS)
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(ModelError, match="cannot be read as a Keras network"):
        adapt.start_from(tmp_path / "text.keras", None, FASHION_MNIST_LABELS)
