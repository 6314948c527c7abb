"""The training loop learns and keeps the best weights, and a resumed run takes the same steps."""

import json
from dataclasses import replace

import numpy as np
import pytest
from equal_results import assert_equal_results

from garmentlite.edge import metrics
from garmentlite.edge.errors import OptionError, TrainingError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.prediction import predict_logits

# --- learning


def test_train_learns_and_keeps_the_epoch_with_the_lowest_weighted_validation_loss(
    fit, config, images
):
    seen = []
    result = fit.train(config, *images, on_epoch=lambda history: seen.append(history[-1]))
    assert result.ended == "all epochs done"
    assert result.history == seen
    assert [epoch.epoch for epoch in seen] == [1, 2, 3, 4]
    losses = [epoch.val_loss for epoch in seen]
    assert [epoch.best for epoch in seen] == [
        loss == min(losses[: i + 1]) for i, loss in enumerate(losses)
    ]
    x, y = images[2:]
    logits = predict_logits(result.model, x)
    class_weights = config.loss_weights
    kept = metrics.log_loss(y, logits, class_weights[y])
    assert kept == pytest.approx(min(losses), rel=1e-6)  # the same float32 numbers, added anew
    accuracy = (logits.argmax(axis=1) == y).mean()
    assert accuracy > 0.5  # chance is 0.1
    assert accuracy in [pytest.approx(epoch.val_accuracy) for epoch in seen]


def test_train_keeps_the_best_and_not_the_last(fit, config, contrary):
    result = fit.train(replace(config, epochs=5, reduce_after=9), *contrary)
    losses = [epoch.val_loss for epoch in result.history]
    assert losses[-1] > min(losses)
    logits = predict_logits(result.model, contrary[2])
    weights = config.loss_weights[contrary[3]]
    assert metrics.log_loss(contrary[3], logits, weights) == pytest.approx(min(losses), rel=1e-6)


def test_train_by_the_cosine_keeps_the_last_and_not_the_lowest_loss(fit, config, contrary):
    result = fit.train(replace(config, epochs=5, schedule="cosine"), *contrary)
    losses = [epoch.val_loss for epoch in result.history]
    assert losses[-1] > 1.01 * min(losses)  # so that the two can be told apart
    assert all(epoch.best for epoch in result.history)
    logits = predict_logits(result.model, contrary[2])
    weights = config.loss_weights[contrary[3]]
    assert metrics.log_loss(contrary[3], logits, weights) == pytest.approx(losses[-1], rel=1e-6)


def test_train_twice_gives_the_same_weights_and_another_seed_others(fit, config, images):
    short = replace(config, epochs=1)
    first, again = fit.train(short, *images), fit.train(short, *images)
    assert_equal_results(first, again)
    other = fit.train(replace(short, seed=8), *images)
    assert (first.model.get_weights()[0] != other.model.get_weights()[0]).any()


def test_train_with_weights_raises_the_recall_of_the_weighted_class(fit, config, images):
    heavy = replace(
        config, epochs=2, class_weights=config.class_weights | {"Shirt": 50.0}, learning_rate=3e-3
    )
    shirt = FASHION_MNIST_LABELS.index("Shirt")
    light = replace(heavy, class_weights={})
    predicted = [
        (predict_logits(fit.train(one, *images).model, images[2]).argmax(axis=1) == shirt).sum()
        for one in (heavy, light)
    ]
    assert predicted[0] > predicted[1]


def test_train_stops_early(fit, config, contrary):
    result = fit.train(replace(config, epochs=30, stop_after=2), *contrary)
    assert result.ended == "no better for 2 epochs"
    best = max(epoch.epoch for epoch in result.history if epoch.best)
    assert len(result.history) == best + 2


# --- the learning rate


def test_train_lowers_the_rate_by_its_factor_after_epochs_without_gain(fit, config, contrary):
    lowered = replace(config, epochs=30, reduce_after=2, stop_after=5)
    history = fit.train(lowered, *contrary).history
    best = max(epoch.epoch for epoch in history if epoch.best)
    rates = [epoch.learning_rate for epoch in history]
    # After two epochs without gain 0.3 of it, after two more 0.3 of that; float32 has 7 digits.
    expected = [1e-2] * (best + 2) + [0.3e-2] * 2 + [0.09e-2]
    assert rates == pytest.approx(expected, rel=1e-6)


def test_train_ends_every_run_on_a_lower_rate(fit, config, images):
    history = fit.train(replace(config, epochs=4, reduce_after=9), *images).history
    rates = [epoch.learning_rate / config.learning_rate for epoch in history]
    # After 3 of 4 epochs, the first share of them (0.65) is over; float32 has 7 digits.
    assert rates == pytest.approx([1, 1, 1, 0.3], rel=1e-6)


def test_train_with_a_rate_beyond_all_bounds_is_stopped_with_the_likely_cause(fit, config, images):
    wild = replace(config, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(
        TrainingError, match=r"every image the same answer.*smaller --learning-rate"
    ):
        fit.train(wild, *images)


@pytest.mark.slow
def test_train_at_chance_is_stopped_after_two_epochs_with_the_likely_cause(fit, config, images):
    with pytest.raises(
        TrainingError, match=r"at chance after 2 epochs .*try another --learning-rate"
    ):
        fit.train(replace(config, learning_rate=1e-12), *images)


def test_train_on_labels_that_do_not_match_warns_first_and_names_them_as_the_cause(
    fit, config, images
):
    x, y, x_validation, y_validation = images
    doubts = []
    with pytest.raises(TrainingError, match=r"at chance .*numbered differently"):
        fit.train(config, x, y, x_validation, (y_validation + 1) % 10, on_doubt=doubts.append)
    assert len(doubts) == 1


# --- interrupted


def test_interrupted_run_keeps_the_best_so_far(fit, interrupt_at, config, images):
    result = fit.train(config, *images, on_step=interrupt_at(3, 1))
    best = min(epoch.val_loss for epoch in result.history)
    weights = config.loss_weights[images[3]]
    logits = predict_logits(result.model, images[2])
    assert metrics.log_loss(images[3], logits, weights) == pytest.approx(best, rel=1e-6)


def test_run_interrupted_before_its_first_epoch_has_nothing_to_keep(
    fit, interrupt_at, config, images, tmp_path
):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        fit.train(config, *images, checkpoint=path, on_step=interrupt_at(1, 3))
    assert not path.exists()


def test_train_in_mixed_precision_learns_and_keeps_a_network_in_float32(fit, config, images):
    result = fit.train(replace(config, epochs=3, mixed_precision=True), *images)
    assert {layer.dtype_policy.name for layer in result.model.layers} == {"float32"}
    assert result.history[-1].val_accuracy > 0.5  # chance is 0.1


# --- averaged weights, resting images, soft targets


@pytest.fixture(scope="module")
def modern(config):
    """What garment-net is trained with, on the tiny network."""
    return replace(
        config, optimizer="sgd", schedule="cosine", learning_rate=0.05, weight_decay=5e-3,
        averaging=0.9, rest=0.5, label_smoothing=0.1, epochs=5,
        augmentation=Augmentation(flip=0.5, erase=0.5),
    )  # fmt: skip


@pytest.mark.slow
def test_run_with_averaging_and_resting_broken_off_within_an_epoch_ends_with_the_same_weights(
    fit, interrupt_at, modern, images, tmp_path
):
    whole = fit.train(modern, *images)
    # Images rest from the fourth epoch on; a checkpoint after every step.
    path = tmp_path / "checkpoint.npz"
    fit.train(modern, *images, checkpoint=path, save_every_s=0, on_step=interrupt_at(4, 3))
    again = fit.train(modern, *images, checkpoint=path)
    one, other = whole.model.get_weights(), again.model.get_weights()
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
    for past, epoch in zip(whole.history, again.history, strict=True):
        # Means of an epoch in two parts are added in another order: some float32 roundings.
        assert (epoch.loss, epoch.accuracy) == pytest.approx((past.loss, past.accuracy), rel=1e-6)
        assert (epoch.val_loss, epoch.train_loss) == (past.val_loss, past.train_loss)


def test_run_broken_off_within_its_first_epoch_goes_on_from_the_step_it_was_at(
    fit, interrupt_at, config, images, tmp_path
):
    path, seen = tmp_path / "checkpoint.npz", []
    with pytest.raises(KeyboardInterrupt):
        fit.train(config, *images, checkpoint=path, save_every_s=0, on_step=interrupt_at(1, 4))
    short = replace(config, epochs=1)
    fit.train(short, *images, checkpoint=path, on_step=lambda *step: seen.append(step))
    # The step that was interrupted had been saved.
    assert [step for _, step, _ in seen] == list(range(5, seen[0][2] + 1))


def test_train_with_averaging_keeps_the_average_of_the_weights_and_not_the_weights(
    fit, modern, images
):
    one = replace(modern, epochs=1, rest=0.0)
    plain = fit.train(replace(one, averaging=0.0), *images).model.get_weights()[0]
    # So slow an average that it stays at the first step's weights.
    still = fit.train(replace(one, averaging=0.9999), *images).model.get_weights()[0]
    short = fit.train(replace(one, averaging=1e-6), *images).model.get_weights()[0]
    np.testing.assert_allclose(short, plain, atol=1e-5)
    assert np.abs(still - plain).max() > 1e-2


def test_train_with_a_teacher_learns_what_it_says_and_not_the_labels(fit, config, images):
    x, y, x_validation, y_validation = images
    other = (y + 1) % 10
    teacher = np.eye(10, dtype=np.float32)[other]
    wrong = (x, y, x_validation, (y_validation + 1) % 10)
    result = fit.train(replace(config, epochs=2), *wrong, teacher=teacher)
    predicted = predict_logits(result.model, x_validation).argmax(axis=1)
    assert (predicted == (y_validation + 1) % 10).mean() > 0.5  # chance is 0.1


# --- the rest


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_config_of_a_number_not_above_0_is_refused(config, name):
    with pytest.raises(OptionError, match=f"--{name.replace('_', '-')} must be above 0, got 0"):
        replace(config, **{name: 0})


def test_train_with_a_class_missing_in_validation_leaves_its_recall_undefined(fit, config, images):
    x, y, x_validation, y_validation = images
    some = y_validation != 3
    result = fit.train(replace(config, epochs=1), x, y, x_validation[some], y_validation[some])
    assert [i for i, recall in enumerate(result.history[0].val_recall) if recall is None] == [3]
    json.dumps(result.history[0].val_recall, allow_nan=False)
