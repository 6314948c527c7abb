"""Tests of the photographs that a network is trained and validated on, and of training with them."""

from dataclasses import replace

import numpy as np
import pytest

from garmentlite.edge import metrics
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.probabilities import softmax
from garmentlite.train import photo_set
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.checkpoint import require_resumable
from garmentlite.train.config import TrainConfig
from garmentlite.train.photo_figures import measure
from garmentlite.train.photo_set import PhotoSet, make_set
from garmentlite.train.prediction import predict_logits
from garmentlite.train.rooms import Rooms


def test_make_set_trains_on_what_was_found_and_counts_the_rest_against_the_network(
    photographs, photograph_tiles
):
    tiles = photograph_tiles
    held = replace(photographs, is_held_out=np.arange(26) >= 18)
    photos = make_set(held, tiles, other_images=240)
    assert photos.groups == ("Dress", "footwear")
    assert np.bincount(photos.y).tolist() == [6, 6]
    assert np.bincount(photos.y_validation).tolist() == [2, 2]
    assert photos.missed.tolist() == [1, 0]  # the wall; a file that is no picture is nothing
    # 12 photographs are this share of an epoch with 240 other images.
    share = photo_set.PHOTO_SHARE
    assert photos.repeats == round(240 * share / (1 - share) / 12)
    assert make_set(held, tiles, other_images=60_000).repeats == photo_set.MOST_REPEATS
    assert make_set(held, tiles, other_images=0).repeats == round(photo_set.IMAGES_ALONE / 12)
    assert not photos.alone
    np.testing.assert_array_equal(
        photos.clean_u8, tiles.tiles_u8[:18][held.labelling.y[:18] >= 0, 0]
    )
    uneven = replace(
        held, is_held_out=held.is_held_out | (held.labelling.y == 1) & (np.arange(26) > 7)
    )
    # 6 dresses and 3 pairs of shoes: all labels count alike, and 1 in the mean.
    assert make_set(uneven, tiles, 240).factors.tolist() == [0.75, 1.5]
    assert make_set(uneven, tiles, 0).factors.tolist() == [1, 1]
    facts = photo_set.facts(held, tiles, photos)
    assert (facts["held_out"], facts["held_out_without_garment"]) == (5, 1)
    assert (facts["unreadable"], facts["other_labels"], facts["training"]) == (1, 8, 12)
    assert facts["training_by_group"] == {"Dress": 6, "footwear": 6}
    assert facts["groups"]["footwear"] == ["Sandal", "Sneaker", "Ankle boot"]
    trained = replace(photographs, is_held_out=np.arange(26) < 6)
    assert make_set(trained, tiles, 240).missed.tolist() == [0, 0]
    assert photos.sha256 != make_set(trained, tiles, 240).sha256
    with pytest.raises(DataError, match="No photograph is left to train on"):
        make_set(replace(photographs, is_held_out=np.arange(26) < 24), tiles, 240)


def test_make_set_takes_for_outliers_what_is_no_class_and_never_of_photographs_held_out(
    photographs, photograph_tiles
):
    tiles = photograph_tiles
    held = replace(photographs, is_held_out=np.arange(26) >= 13)
    photos = make_set(held, tiles, other_images=240)
    # The hats are numbers 2, 5, 8, 11, ...; with all their tiles. Grounds are of 0, 5, 10, 15, ...
    hats = tiles.tiles_u8[[2, 5, 8, 11]].reshape(-1, 28, 28)
    np.testing.assert_array_equal(photos.outliers_u8[:12], hats)
    assert photos.outliers_u8[12:, 0, 0].tolist() == [1, 2, 3]
    # A piece of ground counts whatever the label of its photograph is, one of a broken file does not.
    every = make_set(replace(held, is_held_out=np.zeros(26, bool)), tiles, 240)
    assert every.outliers_u8[24:, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert len(every.outliers_u8) == 8 * 3 + 5  # the sixth is of the broken file
    shared = {one.tobytes() for one in photos.outliers_u8} & {
        one.tobytes() for one in tiles.tiles_u8[13:].reshape(-1, 28, 28)
    }
    assert not shared
    facts = photo_set.facts(held, tiles, photos)
    assert (facts["outliers"], facts["outliers_an_epoch"]) == (15, photos.outliers_shown)


def test_outliers_shown_are_a_share_of_the_photographs_and_none_where_there_are_none(
    photographs, photograph_tiles
):
    tiles = photograph_tiles
    photos = make_set(photographs, tiles, other_images=240)
    shown = photo_set.OUTLIER_SHARE * photos.repeats * len(photos.y)
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


def test_make_set_is_beside_no_more_images_than_there_are_or_an_epoch_shows(
    photographs, photograph_tiles
):
    tiles = photograph_tiles
    beside = {
        images: make_set(photographs, tiles, images).beside
        for images in (0, 240, photo_set.MOST_BESIDE, photo_set.MOST_BESIDE + 1)
    }
    assert list(beside.values()) == [0, 240, photo_set.MOST_BESIDE, photo_set.MOST_BESIDE]


# --- training


@pytest.fixture(scope="module")
def config(fit, tiny):
    return TrainConfig(
        network=tiny, labels=FASHION_MNIST_LABELS, epochs=5,
        batch_size=64, learning_rate=1e-2, seed=7, augmentation=Augmentation(shift=0.05),
        schedule="constant",
    )  # fmt: skip


def test_train_with_photographs_learns_both_and_chooses_by_both(
    fit, config, images, grouped_photos
):
    alone = fit.train(config, *images)
    without = measure(grouped_photos, predict_logits(alone.model, grouped_photos.validation_u8))
    assert alone.history[-1].photo_loss is None
    result = fit.train(config, *images, photos=grouped_photos)
    figures = measure(grouped_photos, predict_logits(result.model, grouped_photos.validation_u8))
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


def test_train_with_all_photographs_keeps_the_last_epoch(fit, config, images, grouped_photos):
    nothing = np.zeros(0, np.int64)
    every = replace(
        grouped_photos, validation_u8=grouped_photos.validation_u8[:0], y_validation=nothing
    )
    x, y, x_validation, y_validation = images
    wrong = (y_validation + np.arange(len(y_validation)) % 2) % 10  # its loss rises in the end
    result = fit.train(replace(config, epochs=6), x, y, x_validation, wrong, photos=every)
    losses = [epoch.val_loss for epoch in result.history]
    assert losses[-1] > min(losses)
    kept = metrics.log_loss(wrong, predict_logits(result.model, x_validation))
    assert kept == pytest.approx(losses[-1], rel=1e-6)
    assert result.history[-1].photo_loss is None


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_train_keeps_the_asked_share_of_the_weights_it_began_with(
    fit, config, images, grouped_photos, share
):
    once = replace(config, epochs=1)
    start = fit.train(once, *images).model
    init = start.get_weights()
    kept, plain = (
        fit.train(replace(once, start_share=one), *images, photos=grouped_photos, init=init).model
        for one in (share, 0.0)
    )
    pairs = zip(
        kept.trainable_variables, plain.trainable_variables, start.trainable_variables, strict=True
    )
    for mixed, after, before in pairs:
        expected = share * np.asarray(before) + (1 - share) * np.asarray(after)
        np.testing.assert_allclose(np.asarray(mixed), expected, rtol=1e-5, atol=1e-6)
    assert any(np.any(np.asarray(a) != b) for a, b in zip(plain.weights, init, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_run_with_photographs_broken_off_and_resumed_ends_with_the_same_weights(
    fit, interrupt_at, config, images, grouped_photos, tmp_path, smoothing
):
    config = replace(
        config, label_smoothing=smoothing, epochs=3, photos_sha256=grouped_photos.sha256
    )
    whole = fit.train(config, *images, photos=grouped_photos)
    path = tmp_path / "checkpoint.npz"
    fit.train(
        config,
        *images,
        photos=grouped_photos,
        checkpoint=path,
        save_every_s=0,
        on_step=interrupt_at(2, 4),
    )
    again = fit.train(config, *images, photos=grouped_photos, checkpoint=path)
    for one, other in zip(whole.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [(epoch.val_loss, epoch.photo_loss) for epoch in whole.history] == [
        (epoch.val_loss, epoch.photo_loss) for epoch in again.history
    ]
    with pytest.raises(DataError, match="was made with photos_sha256"):
        require_resumable(replace(config, photos_sha256=""), path)


def test_train_with_outliers_is_less_sure_of_their_like(
    fit, config, images, grouped_photos, made_data
):
    without = replace(grouped_photos, outliers_u8=grouped_photos.outliers_u8[:0])
    others = np.rot90(made_data.x_test[160:], axes=(1, 2))  # neither network has seen these
    sure = [
        softmax(predict_logits(fit.train(config, *images, photos=one).model, others)).max(axis=1)
        for one in (without, grouped_photos)
    ]
    difference = sure[0] - sure[1]
    # Four standard errors of the mean over 40 images.
    assert difference.mean() > 4 * difference.std(ddof=1) / np.sqrt(len(difference))


def test_train_on_photographs_alone_learns_from_their_variants(fit, config, made_data):
    x, y = made_data.x_test[:60], made_data.y_test[:60]
    own = PhotoSet(
        tiles_u8=np.stack([x, np.roll(x, 1, axis=1)], axis=1)[:40],
        y=y[:40].astype(np.int64),
        photo_factors=np.ones(40, np.float32),
        validation_u8=x[40:],
        y_validation=y[40:].astype(np.int64),
        accepted_validation=np.eye(10, dtype=bool)[y[40:]],
        missed=np.array([2] + [0] * 9),
        groups=tuple("abcdefghij"),
        members=np.eye(10, dtype=bool),
        factors=np.ones(10, np.float32),
        outliers_u8=255 - x[:4],
        outlier_kinds=np.zeros(4, int),
        repeats=20,
        beside=0,
        alone=True,
    )
    result = fit.train(
        replace(config, label_smoothing=0.1), own.clean_u8, own.y, own.validation_u8,
        own.y_validation, photos=own,
    )  # fmt: skip
    last = result.history[-1]
    figures = measure(own, predict_logits(result.model, own.validation_u8))
    assert last.val_accuracy > 0.4  # chance is 0.1
    assert last.photo_loss is None
    # Two of the photographs held out have no garment, which no network mends.
    support = np.bincount(own.y_validation, minlength=10) + own.missed
    kept = [epoch for epoch in result.history if epoch.best][-1]
    assert kept.val_accuracy == figures.accuracy <= 20 / 22
    assert kept.val_recall[0] <= 1 - 2 / support[0]


def test_train_with_photographs_and_resting_images_is_refused(fit, config, images, grouped_photos):
    with pytest.raises(OptionError, match="cannot rest while there are photographs"):
        fit.train(replace(config, rest=0.5), *images, photos=grouped_photos)


# --- labels with doubts, contributors


def test_make_set_weighs_flags_with_a_mean_of_one_in_each_group(photographs, photograph_tiles):
    flagged = np.ones(26, np.float32)
    flagged[0] = 0.5
    held = replace(photographs, is_held_out=np.arange(26) >= 18, factors=flagged)
    photos = make_set(held, photograph_tiles, other_images=240)
    for group in range(len(photos.groups)):
        of_group = photos.photo_factors[photos.y == group]
        assert of_group.mean() == pytest.approx(1)
        if group == held.labelling.y[0]:  # six photographs: 0.5 and five times 1
            np.testing.assert_allclose(of_group, np.array([0.5] + [1] * 5) * 6 / 5.5, rtol=1e-6)
        else:
            np.testing.assert_array_equal(of_group, 1)


def test_make_set_takes_no_photograph_for_an_outlier_that_could_be_a_class(
    photographs, photograph_tiles
):
    doubtful = photographs.labelling.accepted.copy()
    doubtful[2, 0] = True  # a hat that could also be a T-shirt
    held = replace(
        photographs,
        is_held_out=np.zeros(26, bool),
        labelling=replace(photographs.labelling, accepted=doubtful),
    )
    tiles = photograph_tiles
    fewer = make_set(held, tiles, 240)
    every = make_set(replace(held, labelling=photographs.labelling), tiles, 240)
    assert len(every.outliers_u8) - len(fewer.outliers_u8) == tiles.tiles_u8.shape[1]
    assert len(fewer.y) == len(every.y)  # and it is not trained on as a T-shirt


def test_make_set_learns_to_be_unsure_of_rooms_that_are_not_held_out(photographs, photograph_tiles):
    tiles = np.full((2, 28, 28), 9, np.uint8)
    rooms = Rooms(
        tiles_u8=tiles,
        second_u8=tiles + 1,
        second_found=np.array([True, False]),
        is_whole=np.ones(2, bool),
        is_held_out=np.array([False, False]),
        pictures_held_out=0,
    )
    without = make_set(photographs, photograph_tiles, 240)
    photos = make_set(photographs, photograph_tiles, 240, rooms)
    more = photos.outliers_u8[len(without.outliers_u8) :]
    assert more[:, 0, 0].tolist() == [9, 9, 10]
    held = replace(rooms, is_held_out=np.array([True, False]))
    fewer = make_set(photographs, photograph_tiles, 240, held)
    assert len(fewer.outliers_u8) == len(without.outliers_u8) + 1


def test_facts_in_words_warn_of_contributors_on_both_sides(photographs, photograph_tiles):
    photos = make_set(photographs, photograph_tiles, 240)
    about = photo_set.facts(photographs, photograph_tiles, photos) | {"fold": 1, "folds": 5}
    named = photo_set.facts_in_words(about | {"split_by": "sender"})
    assert "no sender is both trained on and held out" in named
    unnamed = photo_set.facts_in_words(about | {"split_by": None})
    assert "--split-by names the column of contributors" in unnamed
    assert "--split-by" not in photo_set.facts_in_words(about | {"split_by": None, "fold": None})
