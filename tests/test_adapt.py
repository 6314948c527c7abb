"""Photographs to train on: which, how often and beside what, and training with them."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from garmentlite.convert.material import from_run
from garmentlite.edge import metrics
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import DataError, ModelError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.segmenters.border import BorderSegmenter
from garmentlite.train import adapt, runs
from garmentlite.train.adapt import PhotoSet
from garmentlite.train.augmentation import Augmentation, augment
from garmentlite.train.data import as_input
from garmentlite.train.recipe import Recipe
from garmentlite.train.tiles import GROUNDS, make_tiles

FOOTWEAR = "footwear=Sandal,Sneaker,Ankle boot"


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


def tiles_of(collection):
    """Its tiles, and of every fifth photograph a piece of ground that is taken for a garment."""
    tiles = make_tiles(
        collection.photos, collection.checksums, BorderSegmenter(), seed=1, variants=2
    )
    grounds = np.zeros((len(collection.photos), GROUNDS, 28, 28), np.uint8)
    grounds[::5, 1] = np.arange(1, 1 + len(grounds[::5]), dtype=np.uint8)[:, None, None]
    return replace(tiles, grounds_u8=grounds)


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
    assert said[0].startswith("'Bag' has 1 of the photographs: too few to validate (at least 5)")
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


def test_make_set_takes_for_outliers_what_is_no_class_and_never_of_photographs_held_out(collection):
    tiles = tiles_of(collection)
    held = replace(collection, is_held_out=np.arange(26) >= 13)
    photos = adapt.make_set(held, tiles, other_images=240)
    # The hats are numbers 2, 5, 8, 11, ...; with all their tiles. Grounds are of 0, 5, 10, 15, ...
    hats = tiles.tiles_u8[[2, 5, 8, 11]].reshape(-1, 28, 28)
    np.testing.assert_array_equal(photos.outliers_u8[:12], hats)
    assert photos.outliers_u8[12:, 0, 0].tolist() == [1, 2, 3]
    # A piece of ground counts whatever the label of its photograph is, one of a broken file does not.
    every = adapt.make_set(replace(held, is_held_out=np.zeros(26, bool)), tiles, 240)
    assert every.outliers_u8[24:, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert len(every.outliers_u8) == 8 * 3 + 5  # the sixth is of the broken file
    shared = {one.tobytes() for one in photos.outliers_u8} & {
        one.tobytes() for one in tiles.tiles_u8[13:].reshape(-1, 28, 28)
    }
    assert not shared
    facts = adapt.facts(held, tiles, photos)
    assert (facts["outliers"], facts["outliers_an_epoch"]) == (15, photos.outliers_shown)


def test_outliers_shown_are_a_share_of_the_photographs_and_none_where_there_are_none(collection):
    tiles = tiles_of(collection)
    photos = adapt.make_set(collection, tiles, other_images=240)
    shown = adapt.OUTLIER_SHARE * photos.repeats * len(photos.y)
    assert shown > 10
    assert abs(photos.outliers_shown - shown) <= 0.5
    without = replace(photos, outliers_u8=photos.outliers_u8[:0])
    assert without.outliers_shown == 0
    assert without.sha256 != photos.sha256
    other = photos.outliers_u8.copy()
    other[-1, 14, 14] ^= 1
    assert replace(photos, outliers_u8=other).sha256 != photos.sha256
    assert replace(photos, outliers_u8=photos.outliers_u8.copy()).sha256 == photos.sha256
    assert replace(photos, beside=photos.beside - 1).sha256 != photos.sha256


def test_make_set_is_beside_no_more_images_than_there_are_or_an_epoch_shows(collection):
    tiles = tiles_of(collection)
    beside = {
        images: adapt.make_set(collection, tiles, images).beside
        for images in (0, 240, adapt.MOST_BESIDE, adapt.MOST_BESIDE + 1)
    }
    assert list(beside.values()) == [0, 240, adapt.MOST_BESIDE, adapt.MOST_BESIDE]


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
    np.testing.assert_array_equal(stored["grounds_u8"], tiles.grounds_u8)
    np.testing.assert_array_equal(stored["second_u8"], tiles.second_u8)
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
    photos = PhotoSet(
        tiles_u8=np.zeros((0, 3, 28, 28), np.uint8),
        y=np.zeros(0, int),
        validation_u8=np.zeros((4, 28, 28), np.uint8),
        y_validation=np.array([0, 1, 1, 1]),
        missed=np.array([1, 0, 0]),
        groups=("a", "b", "c"),
        members=members,
        factors=np.ones(3, np.float32),
        outliers_u8=np.zeros((0, 28, 28), np.uint8),
        repeats=1,
        beside=0,
        alone=False,
    )
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
    assert adapted.start_share == adapt.START_SHARE
    assert adapt.recipe_for(own, adapts=False, alone=False) == replace(own, rest=0.0)


def test_recipe_for_photographs_alone_regularises():
    plain = adapt.recipe_for(Recipe(), adapts=False, alone=True)
    assert plain.label_smoothing == adapt.SMOOTHING
    assert plain.augmentation == adapt.PHOTO_AUGMENTATION
    assert plain.averaging == 0
    averaged = adapt.recipe_for(Recipe(averaging=0.998), adapts=True, alone=True)
    assert averaged.averaging == adapt.AVERAGING_ALONE
    assert averaged.epochs == adapt.ADAPTATION_EPOCHS_ALONE
    assert averaged.start_share == 0  # of other classes nothing is to be kept
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
    turned = np.rot90(made_data.x_test[120:160], axes=(1, 2))  # patterns of none of the classes
    return PhotoSet(
        tiles_u8=tiles[:80],
        y=group[:80],
        validation_u8=tiles[80:, 0],
        y_validation=group[80:],
        missed=np.zeros(6, np.int64),
        groups=tuple("abcdef"),
        members=members,
        factors=np.ones(6, np.float32),
        outliers_u8=turned,
        repeats=4,
        beside=700,  # of 900
        alone=False,
    )


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


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_train_keeps_the_asked_share_of_the_weights_it_began_with(
    fit, config, images, photos, share
):
    once = replace(config, epochs=1)
    start = fit.train(once, *images).model
    init = start.get_weights()
    kept, plain = (
        fit.train(replace(once, start_share=one), *images, photos=photos, init=init).model
        for one in (share, 0.0)
    )
    pairs = zip(
        kept.trainable_variables, plain.trainable_variables, start.trainable_variables, strict=True
    )
    for mixed, after, before in pairs:
        expected = share * np.asarray(before) + (1 - share) * np.asarray(after)
        np.testing.assert_allclose(np.asarray(mixed), expected, rtol=1e-5, atol=1e-6)
    assert any(np.any(np.asarray(a) != b) for a, b in zip(plain.weights, init, strict=True))


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


def shown_by(batches):
    """Everything an epoch shows: images as bytes, targets and factors."""
    every = [batches[i] for i in range(len(batches))]
    x, targets, factors = (np.concatenate(part) for part in zip(*every, strict=True))
    pixels = np.rint(x[..., 0] * 255).astype(np.uint8)
    return [image.tobytes() for image in pixels], targets, factors


@pytest.fixture
def batches(fit, config, images, photos):
    """An epoch without random changes, so that images can be told."""
    plain = replace(config, augmentation=Augmentation(), label_smoothing=0.1)

    def make(photos=photos, weights=None):
        weights = np.ones(10, np.float32) if weights is None else weights
        return fit._Batches(plain, *images[:2], weights, photos=photos)

    return make


def test_batches_with_photographs_show_each_as_often_as_asked_in_varying_tiles(
    batches, images, photos
):
    made = batches()
    shown, targets, _ = shown_by(made)
    assert len(shown) == 700 + 4 * 80 + photos.outliers_shown
    assert made.images == len(shown)
    counts = Counter(shown)
    of_photos = [[counts[tile.tobytes()] for tile in tiles] for tiles in photos.tiles_u8]
    assert [sum(one) for one in of_photos] == [4] * 80
    assert np.array(of_photos).min() == 0  # which variant is shown is left to chance
    assert np.array(of_photos).sum(axis=0).min() > 100
    assert (targets.sum(axis=1) == 5).sum() == 4 * (photos.y == 5).sum()
    again = batches()
    np.testing.assert_array_equal(again[3][0], made[3][0])
    made.start_epoch(1)
    assert (again[3][0] != made[3][0]).any()


def test_batches_show_no_class_as_the_target_of_outliers_and_weigh_them(batches, photos):
    weights = np.linspace(1, 2, 10, dtype=np.float32)  # of the classes; an outlier is none of them
    shown, targets, factors = shown_by(batches(weights=weights))
    outliers = {one.tobytes() for one in photos.outliers_u8}
    is_outlier = np.array([image in outliers for image in shown])
    assert is_outlier.sum() == photos.outliers_shown == adapt.OUTLIER_SHARE * 4 * 80
    np.testing.assert_array_equal(targets[is_outlier], np.float32(0.1))
    np.testing.assert_array_equal(factors[is_outlier], np.float32(adapt.OUTLIER_FACTOR))
    assert len(set(shown) & outliers) > len(outliers) / 2  # not one of them again and again
    # Targets that say nothing are theirs alone: every other one has a class or a group.
    assert (targets[~is_outlier].max(axis=1) > 0.5).all()
    without = replace(photos, outliers_u8=photos.outliers_u8[:0])
    shown, targets, _ = shown_by(batches(without))
    assert len(shown) == 700 + 4 * 80
    assert (targets.max(axis=1) > 0.5).all()


def test_batches_show_so_many_of_the_other_images_once_and_others_in_another_epoch(
    batches, images, photos
):
    made, other_images = batches(), {image.tobytes() for image in images[0]}
    assert len(other_images) == 900
    seen = []
    for epoch in range(2):
        made.start_epoch(epoch)
        shown = [image for image in shown_by(made)[0] if image in other_images]
        assert len(shown) == len(set(shown)) == 700
        seen.append(set(shown))
    # Drawn independently, 7/9 of 700 are of both; the hypergeometric deviation is 5.9.
    assert abs(len(seen[0] & seen[1]) - 700 * 7 / 9) < 4 * 5.9
    # With room for all of them, all are shown, and never more.
    for beside in (900, 60_000):
        shown = shown_by(batches(replace(photos, beside=beside)))[0]
        assert other_images < set(shown)
        assert len(shown) == 900 + 4 * 80 + photos.outliers_shown


def test_batches_without_photographs_are_a_permutation_of_the_images_by_seed_and_epoch(
    fit, config, images
):
    """What they were before there were photographs, so that runs can be repeated."""
    x, y = images[:2]
    made = fit._Batches(config, x, y, np.ones(10, np.float32))
    for epoch in (0, 3):
        made.start_epoch(epoch)
        order = np.random.default_rng([config.seed, epoch]).permutation(np.arange(len(x)))
        np.testing.assert_array_equal(made.order, order)
        some = order[2 * 64 : 3 * 64]
        rng = np.random.default_rng([config.seed, epoch, 2])
        shown, targets, factors = made[2]
        expected = as_input(augment(x[some], config.augmentation, rng))
        np.testing.assert_array_equal(shown, expected)
        np.testing.assert_array_equal(targets, y[some])
        np.testing.assert_array_equal(factors, 1)


def test_train_with_outliers_is_less_sure_of_their_like(fit, config, images, photos, made_data):
    without = replace(photos, outliers_u8=photos.outliers_u8[:0])
    others = np.rot90(made_data.x_test[160:], axes=(1, 2))  # neither network has seen these
    sure = [
        softmax(fit.predict_logits(fit.train(config, *images, photos=one).model, others)).max(
            axis=1
        )
        for one in (without, photos)
    ]
    difference = sure[0] - sure[1]
    # Four standard errors of the mean over 40 images.
    assert difference.mean() > 4 * difference.std(ddof=1) / np.sqrt(len(difference))


def test_train_on_photographs_alone_learns_from_their_variants(fit, config, made_data):
    x, y = made_data.x_test[:60], made_data.y_test[:60]
    own = PhotoSet(
        tiles_u8=np.stack([x, np.roll(x, 1, axis=1)], axis=1)[:40],
        y=y[:40].astype(np.int64),
        validation_u8=x[40:],
        y_validation=y[40:].astype(np.int64),
        missed=np.array([2] + [0] * 9),
        groups=tuple("abcdefghij"),
        members=np.eye(10, dtype=bool),
        factors=np.ones(10, np.float32),
        outliers_u8=255 - x[:4],
        repeats=20,
        beside=0,
        alone=True,
    )
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
