"""A fault of a training run is detected and named; a sound run gives no message."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from garmentlite.edge.errors import DataError, TrainingError
from garmentlite.train import diagnosis
from garmentlite.train.data import validation_split


@pytest.fixture
def parts(made_data):
    training, validation = validation_split(made_data.y_train)
    x, y = made_data.x_train, made_data.y_train
    return x[training], y[training], x[validation], y[validation]


def history_of(*epochs):
    """Epochs from (loss, train_loss, train_accuracy, val_loss, val_accuracy)."""
    names = ("loss", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    history, lowest = [], math.inf
    for number, values in enumerate(epochs, start=1):
        epoch = SimpleNamespace(
            epoch=number, learning_rate=0.1, **dict(zip(names, values, strict=True))
        )
        epoch.best = epoch.val_loss < lowest
        lowest = min(lowest, epoch.val_loss)
        history.append(epoch)
    return history


AT_CHANCE = (2.3, 2.3, 0.1, 2.3, 0.1)


# --- before the first step


def test_sound_images_and_labels_raise_no_doubt(parts):
    diagnosis.require_trainable(*parts, 10)
    assert diagnosis.doubts_about_labels(*parts, 10) == ""
    assert diagnosis.doubts_about_start(math.log(10), 10) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda x, y: (x / 255, y), "training images are float64 .* expected uint8", id="scaled"),
        pytest.param(lambda x, y: (x.astype(np.float32), y), "float32 with values up to 255", id="float"),
        pytest.param(lambda x, y: (x, y[:-1]), "900 training images and 899 labels", id="one-label-missing"),
        pytest.param(lambda x, y: (x[:0], y[:0]), "0 training images", id="empty"),
        pytest.param(lambda x, y: (x, y + 1), "labels go from 1 to 10, expected 0 to 9", id="from-one"),
    ],
)  # fmt: skip
def test_require_trainable_refuses_what_cannot_be_learned_from(parts, change, message):
    x, y, *validation = parts
    with pytest.raises(DataError, match=message):
        diagnosis.require_trainable(*change(x, y), *validation, 10)


def test_doubts_about_labels_tell_shuffled_from_differently_numbered(parts):
    x, y, x_validation, y_validation = parts
    shuffled = np.random.default_rng(0).permutation(y)
    sentence = diagnosis.doubts_about_labels(x, shuffled, x_validation, y_validation, 10)
    assert "seem not to belong to the images" in sentence
    sentence = diagnosis.doubts_about_labels(x, y, x_validation, (y_validation + 1) % 10, 10)
    assert "numbered differently" in sentence


def test_doubts_about_labels_allow_a_class_without_images(parts):
    x, y, x_validation, y_validation = parts
    assert diagnosis.doubts_about_labels(x[y < 9], y[y < 9], x_validation, y_validation, 10) == ""


@pytest.mark.parametrize("loss", [4.1 * math.log(10), 200.0, math.inf])
def test_doubts_about_start_name_the_scale_of_the_input(loss):
    assert "not scaled to [0, 1]" in diagnosis.doubts_about_start(loss, 10)


def test_start_loss_of_logits_that_are_no_numbers_is_infinite():
    assert diagnosis.start_loss(np.array([0]), np.full((1, 10), np.nan)) == math.inf
    assert diagnosis.start_loss(np.array([0]), np.zeros((1, 10))) == pytest.approx(math.log(10))


def test_doubts_about_start_of_a_real_network_see_unscaled_pixels(fit, tiny, networks, parts):
    from garmentlite.train.data import as_input

    model = networks.network_named(tiny).build(10)
    x, y = parts[:2]
    sound = diagnosis.start_loss(y, np.asarray(model(as_input(x))))
    unscaled = diagnosis.start_loss(y, np.asarray(model(255 * as_input(x))))
    assert diagnosis.doubts_about_start(sound, 10) == ""
    assert diagnosis.doubts_about_start(unscaled, 10) != ""


# --- while it runs


def test_require_progress_lets_a_network_that_learns_and_one_bad_epoch_pass():
    good = (0.5, 0.5, 0.8, 0.5, 0.8)
    for epochs in ([good], [AT_CHANCE], [AT_CHANCE, good], [good, AT_CHANCE]):
        diagnosis.require_progress(history_of(*epochs), 10, 6000, 10, "")


@pytest.mark.parametrize("loss", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 3], ids=["training", "validation"])
def test_require_progress_of_a_loss_that_is_nan_or_infinite_blames_the_rate_or_what_was_doubted(
    loss, place
):
    values = [*AT_CHANCE]
    values[place] = loss
    with pytest.raises(TrainingError, match=r"after epoch 1. .*--learning-rate than 0\.1\."):
        diagnosis.require_progress(history_of(values), 10, 6000, 10, "")
    with pytest.raises(TrainingError, match=r"after epoch 1. Not scaled\."):
        diagnosis.require_progress(history_of(values), 10, 6000, 10, "Not scaled.")


@pytest.mark.parametrize(
    ("train_accuracy", "answers", "doubts", "cause"),
    [
        pytest.param(0.1, 10, "The labels are shuffled.", "The labels are shuffled", id="doubted"),
        pytest.param(0.9, 10, "", "validation images show other things", id="other-validation"),
        pytest.param(0.1, 1, "", "ReLUs are dead", id="one-answer"),
        pytest.param(0.1, 7, "", "the network itself does not learn", id="does-not-learn"),
    ],
)
def test_require_progress_at_chance_names_the_likely_cause(train_accuracy, answers, doubts, cause):
    stuck = (2.3, 2.3, train_accuracy, 2.3, 0.1)
    with pytest.raises(TrainingError, match=f"at chance after 2 epochs .*{cause}"):
        diagnosis.require_progress(history_of(stuck, stuck), 10, 6000, answers, doubts)


def test_require_progress_allows_for_the_luck_of_few_images():
    # 100 images: four standard deviations above 10% are 22%; 6,000 images: 11.5%.
    luck = (2.3, 2.3, 0.1, 2.3, 0.2)
    diagnosis.require_progress(history_of(luck, luck), 10, 6000, 10, "")
    with pytest.raises(TrainingError):
        diagnosis.require_progress(history_of(luck, luck), 10, 100, 10, "")


# --- when it is over


def test_overfitting_says_the_gap_and_the_epoch_at_which_it_began():
    history = history_of(
        (0.5, 0.50, 0.80, 0.5, 0.80), (0.4, 0.30, 0.90, 0.4, 0.85), (0.3, 0.10, 0.99, 0.6, 0.84)
    )
    found = diagnosis.overfitting(history)
    assert found.began == 2
    assert "90.00% on clean training images and 85.00% on validation" in found.sentence
    assert "a gap of 5.0 points. Overfitting began after epoch 2" in found.sentence
    assert found.as_document()["began"] == 2


def test_overfitting_of_a_run_that_keeps_its_last_epoch_began_at_the_lowest_loss():
    history = history_of(
        (0.5, 0.50, 0.80, 0.5, 0.80), (0.4, 0.30, 0.90, 0.4, 0.85), (0.3, 0.10, 0.99, 0.6, 0.86)
    )
    history[-1].best = True
    found = diagnosis.overfitting(history)
    assert (found.epoch, found.began) == (3, 2)


@pytest.mark.parametrize(
    "last",
    [
        pytest.param((0.3, 0.2, 0.9, 0.39, 0.86), id="still-falling"),
        pytest.param((0.3, 0.2, 0.9, 0.403, 0.86), id="a-hair-higher"),
        pytest.param((0.3, 0.6, 0.8, 0.60, 0.80), id="worse-on-training-too"),
    ],
)
def test_overfitting_did_not_begin(last):
    found = diagnosis.overfitting(history_of((0.4, 0.3, 0.9, 0.4, 0.85), last))
    assert found.began is None
    assert "did not rise" in found.sentence
