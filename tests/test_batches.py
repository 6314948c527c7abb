"""Tests of the batches of an epoch, without and with photographs."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import photo_set
from garmentlite.train.augmentation import Augmentation, augment
from garmentlite.train.config import TrainConfig
from garmentlite.train.data import as_input


@pytest.fixture(scope="module")
def batches_of(tensorflow):
    from garmentlite.train.batches import Batches

    return Batches


@pytest.fixture
def config(fit, tiny):
    return TrainConfig(
        network=tiny, labels=FASHION_MNIST_LABELS, class_weights={"Shirt": 2.0}, epochs=4, batch_size=64,
        learning_rate=1e-2, seed=7, augmentation=Augmentation(rotation=5, shift=0.05),
    )  # fmt: skip


def test_batches_of_an_epoch_cover_every_image_once(batches_of, config, images):
    x, y = images[:2]
    weights = config.loss_weights
    plain = replace(config, augmentation=Augmentation())
    batches = batches_of(plain, x, y)
    rows = [batches[i] for i in range(len(batches))]
    seen = np.concatenate([row[0] for row in rows]).reshape(len(x), -1)
    expected = as_input(x).reshape(len(x), -1)
    assert sorted(map(bytes, seen)) == sorted(map(bytes, expected))
    np.testing.assert_array_equal(rows[0][2], weights[rows[0][1]])
    batches.start_epoch(1)
    assert (batches[0][0] != rows[0][0]).any()
    batches.start_epoch(0)
    np.testing.assert_array_equal(batches[0][0], rows[0][0])


def test_batches_leave_out_a_share_of_the_easy_images_and_count_the_others_for_them(
    batches_of, config, images
):
    x, y = images[:2]
    plain = replace(config, rest=0.6, epochs=8)
    batches = batches_of(plain, x, y)
    losses = np.where(np.arange(len(x)) % 4 == 0, 1.0, 0.0).astype(np.float32)  # a quarter is hard
    batches.start_epoch(2, losses=losses)
    seen = set(batches.order.tolist())
    hard, easy = set(np.flatnonzero(losses > 0)), set(np.flatnonzero(losses == 0))
    assert hard <= seen
    # Binomial: within four standard deviations of 40%.
    share = len(easy & seen) / len(easy)
    assert abs(share - 0.4) < 4 * np.sqrt(0.4 * 0.6 / len(easy))
    assert set(batches.counts_for[list(hard)]) == {1.0}
    assert set(batches.counts_for[list(easy)]) == {np.float32(2.5)}
    assert batches.steps == -(-len(seen) // plain.batch_size)
    for epoch, rests in ((6, True), (7, False)):  # the last eighth sees every image
        batches.start_epoch(epoch, losses=losses)
        assert (len(batches.order) < len(x)) == rests


def test_batches_with_label_smoothing_spread_a_share_over_all_classes(batches_of, config, images):
    x, y = images[:2]
    batches = batches_of(replace(config, label_smoothing=0.1), x, y)
    expected = np.full((len(y), 10), 0.01)
    expected[np.arange(len(y)), y] = 0.91
    np.testing.assert_allclose(batches.targets, expected, rtol=1e-6)


# --- with photographs


def shown_by(batches):
    """Everything an epoch shows: images as bytes, targets and factors."""
    every = [batches[i] for i in range(len(batches))]
    x, targets, factors = (np.concatenate(part) for part in zip(*every, strict=True))
    pixels = np.rint(x[..., 0] * 255).astype(np.uint8)
    return [image.tobytes() for image in pixels], targets, factors


@pytest.fixture
def batches(batches_of, config, images, grouped_photos):
    """An epoch without random changes, so that images can be told."""
    plain = replace(config, augmentation=Augmentation(), label_smoothing=0.1)

    def make(photos=grouped_photos, class_weights=None):
        config = replace(plain, class_weights=class_weights or {})
        return batches_of(config, *images[:2], photos=photos)

    return make


def test_batches_with_photographs_show_each_as_often_as_asked_in_varying_tiles(
    batches, images, grouped_photos
):
    made = batches()
    shown, targets, _ = shown_by(made)
    assert len(shown) == 700 + 4 * 80 + grouped_photos.outliers_shown
    assert made.images == len(shown)
    counts = Counter(shown)
    of_photos = [[counts[tile.tobytes()] for tile in tiles] for tiles in grouped_photos.tiles_u8]
    assert [sum(one) for one in of_photos] == [4] * 80
    assert np.array(of_photos).min() == 0  # which variant is shown is left to chance
    assert np.array(of_photos).sum(axis=0).min() > 100
    assert (targets.sum(axis=1) == 5).sum() == 4 * (grouped_photos.y == 5).sum()
    again = batches()
    np.testing.assert_array_equal(again[3][0], made[3][0])
    made.start_epoch(1)
    assert (again[3][0] != made[3][0]).any()


def test_batches_show_no_class_as_the_target_of_outliers_and_weigh_them(batches, grouped_photos):
    # Class weights do not count for an outlier, which is none of the classes.
    weights = dict(zip(FASHION_MNIST_LABELS, np.linspace(1, 2, 10).tolist(), strict=True))
    shown, targets, factors = shown_by(batches(class_weights=weights))
    outliers = {one.tobytes() for one in grouped_photos.outliers_u8}
    is_outlier = np.array([image in outliers for image in shown])
    assert is_outlier.sum() == grouped_photos.outliers_shown == photo_set.OUTLIER_SHARE * 4 * 80
    np.testing.assert_array_equal(targets[is_outlier], np.float32(0.1))
    np.testing.assert_array_equal(factors[is_outlier], np.float32(photo_set.OUTLIER_FACTOR))
    assert len(set(shown) & outliers) > len(outliers) / 2  # not one of them again and again
    # Targets that say nothing are theirs alone: every other one has a class or a group.
    assert (targets[~is_outlier].max(axis=1) > 0.5).all()
    without = replace(
        grouped_photos,
        outliers_u8=grouped_photos.outliers_u8[:0],
        outlier_kinds=grouped_photos.outlier_kinds[:0],
    )
    shown, targets, _ = shown_by(batches(without))
    assert len(shown) == 700 + 4 * 80
    assert (targets.max(axis=1) > 0.5).all()


def test_batches_show_so_many_of_the_other_images_once_and_others_in_another_epoch(
    batches, images, grouped_photos
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
        shown = shown_by(batches(replace(grouped_photos, beside=beside)))[0]
        assert other_images < set(shown)
        assert len(shown) == 900 + 4 * 80 + grouped_photos.outliers_shown


def test_batches_without_photographs_are_a_permutation_of_the_images_by_seed_and_epoch(
    batches_of, config, images
):
    """What they were before there were photographs, so that runs can be repeated."""
    x, y = images[:2]
    made = batches_of(replace(config, class_weights={}), x, y)
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


def test_batches_weigh_the_images_beside_photographs_by_their_factor(
    batches_of, config, images, grouped_photos
):
    """The images are told by their pixels, which no photograph has."""
    x, y = images[:2]
    plain = replace(config, augmentation=Augmentation(), class_weights={})
    one, twice = (
        shown_by(batches_of(replace(plain, beside_factor=factor), x, y, photos=grouped_photos))
        for factor in (1.0, 2.0)
    )
    pixels = {image.tobytes() for image in x}
    is_image = np.array([image in pixels for image in one[0]])
    assert 0 < is_image.sum() < len(is_image)
    np.testing.assert_array_equal(twice[2][is_image], 2 * one[2][is_image])
    np.testing.assert_array_equal(twice[2][~is_image], one[2][~is_image])


def test_batches_weigh_each_photograph_by_its_own_factor(batches, grouped_photos):
    own = np.linspace(0.5, 1.5, 80).astype(np.float32)
    shown, _, factors = shown_by(batches(replace(grouped_photos, photo_factors=own)))
    of_image = {
        t.tobytes(): f for ts, f in zip(grouped_photos.tiles_u8, own, strict=True) for t in ts
    }
    weighed = [
        (of_image[image], f) for image, f in zip(shown, factors, strict=True) if image in of_image
    ]
    assert len(weighed) >= 4 * 80
    np.testing.assert_allclose(*zip(*weighed, strict=True), rtol=1e-6)


# --- mixed images and teachers who see what is shown


def test_batches_with_mixed_images_mix_targets_and_factors_alike(batches_of, config, images):
    x, y = images[:2]
    mixing = replace(config, augmentation=Augmentation(mixup=0.5, cutmix=0.5))
    batches = batches_of(mixing, x, y)
    _, targets, factors = batches[1]
    chosen, _, changes = batches.drawn(1)
    share, partner = changes.own_share(28, 28), chosen[changes.partner]
    own = config.loss_weights[y[chosen]] * share
    other = config.loss_weights[y[partner]] * (1 - share)
    np.testing.assert_allclose(factors, own + other, rtol=1e-6)
    # The loss of a mixed image is the sum of the losses of both, each with its share and class weight.
    expected = own[:, np.newaxis] * np.eye(10)[y[chosen]]
    expected += other[:, np.newaxis] * np.eye(10)[y[partner]]
    np.testing.assert_allclose(targets * factors[:, np.newaxis], expected, atol=1e-6)


def test_batches_ask_the_teacher_about_the_images_that_are_shown(batches_of, config, images):
    from garmentlite.train.distillation import SHARE

    x, y = images[:2]
    asked = []

    def answers(shown):
        asked.append(shown)
        return np.full((len(shown), 10), 0.1, np.float32)

    batches = batches_of(config, x, y, answers=answers)
    shown, targets, _ = batches[0]
    np.testing.assert_array_equal(asked[0], shown)
    labels = np.eye(10)[y[batches.order[: len(shown)]]]
    np.testing.assert_allclose(targets, SHARE * 0.1 + (1 - SHARE) * labels, atol=1e-6)


def test_batches_do_not_ask_the_teacher_about_photographs(
    batches_of, config, images, grouped_photos
):
    def answers(shown):
        return np.full((len(shown), 10), 0.1, np.float32)

    untaught = batches_of(config, *images[:2], photos=grouped_photos)
    taught = batches_of(config, *images[:2], photos=grouped_photos, answers=answers)
    is_photo = untaught.order[:64] >= len(images[0])
    assert 0 < is_photo.sum() < 64
    same = (untaught[0][1] == taught[0][1]).all(axis=1)
    np.testing.assert_array_equal(same, is_photo)
