"""The training loop: it learns, it keeps the best, and a resumed run takes the same steps."""

import json
from dataclasses import replace

import numpy as np
import pytest

from garmentlite.edge import metrics
from garmentlite.edge.errors import DataError, OptionError, TrainingError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.data import as_input


@pytest.fixture(scope="module")
def config(fit, tiny):
    weights = dict.fromkeys(FASHION_MNIST_LABELS, 1.0) | {"Shirt": 2.0}
    return fit.TrainConfig(
        network=tiny, class_weights=weights, augmentation=Augmentation(rotation=5, shift=0.05),
        epochs=4, batch_size=64, learning_rate=1e-2, seed=7,
    )  # fmt: skip


@pytest.fixture(scope="module")
def contrary(images):
    """Every second validation label is wrong: a network that becomes too sure has a rising loss."""
    x, y, x_validation, y_validation = images
    wrong = np.arange(len(y_validation)) % 2
    return x, y, x_validation, (y_validation + wrong) % 10


def break_at(epoch, step):
    """A report of steps that acts like Ctrl-C at one of them."""

    def on_step(now, done, of):
        if (now, done) == (epoch, step):
            raise KeyboardInterrupt

    return on_step


def assert_equal_results(one, other):
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    without_time = [[replace(epoch, seconds=0) for epoch in run.history] for run in (one, other)]
    assert without_time[0] == without_time[1]


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
    logits = fit.predict_logits(result.model, x)
    class_weights = np.array(list(config.class_weights.values()))
    kept = metrics.log_loss(y, logits, class_weights[y])
    assert kept == pytest.approx(min(losses), rel=1e-6)  # the same float32 numbers, added anew
    accuracy = (logits.argmax(axis=1) == y).mean()
    assert accuracy > 0.5  # chance is 0.1
    assert accuracy in [pytest.approx(epoch.val_accuracy) for epoch in seen]


def test_train_keeps_the_best_and_not_the_last(fit, config, contrary):
    result = fit.train(replace(config, epochs=5, reduce_after=9), *contrary)
    losses = [epoch.val_loss for epoch in result.history]
    assert losses[-1] > min(losses)
    logits = fit.predict_logits(result.model, contrary[2])
    weights = np.array(list(config.class_weights.values()))[contrary[3]]
    assert metrics.log_loss(contrary[3], logits, weights) == pytest.approx(min(losses), rel=1e-6)


def test_train_by_the_cosine_keeps_the_last_and_not_the_lowest_loss(fit, config, contrary):
    result = fit.train(replace(config, epochs=5, schedule="cosine"), *contrary)
    losses = [epoch.val_loss for epoch in result.history]
    assert losses[-1] > 1.01 * min(losses)  # so that the two can be told apart
    assert all(epoch.best for epoch in result.history)
    logits = fit.predict_logits(result.model, contrary[2])
    weights = np.array(list(config.class_weights.values()))[contrary[3]]
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
    light = replace(heavy, class_weights=dict.fromkeys(FASHION_MNIST_LABELS, 1.0))
    predicted = [
        (fit.predict_logits(fit.train(one, *images).model, images[2]).argmax(axis=1) == shirt).sum()
        for one in (heavy, light)
    ]
    assert predicted[0] > predicted[1]


def test_train_stops_early(fit, config, contrary):
    result = fit.train(replace(config, epochs=30, stop_after=2), *contrary)
    assert result.ended == "no better for 2 epochs"
    best = max(epoch.epoch for epoch in result.history if epoch.best)
    assert len(result.history) == best + 2


def test_batches_of_an_epoch_cover_every_image_once(fit, config, images):
    x, y = images[:2]
    weights = np.array(list(config.class_weights.values()), np.float32)
    plain = replace(config, augmentation=Augmentation())
    batches = fit._Batches(plain, x, y, weights)
    rows = [batches[i] for i in range(len(batches))]
    seen = np.concatenate([row[0] for row in rows]).reshape(len(x), -1)
    expected = as_input(x).reshape(len(x), -1)
    assert sorted(map(bytes, seen)) == sorted(map(bytes, expected))
    np.testing.assert_array_equal(rows[0][2], weights[rows[0][1]])
    batches.start_epoch(1)
    assert (batches[0][0] != rows[0][0]).any()
    batches.start_epoch(0)
    np.testing.assert_array_equal(batches[0][0], rows[0][0])


# --- the learning rate, by hand-made histories


@pytest.mark.parametrize(
    ("best", "rates", "since_best", "since_change"),
    [
        pytest.param([], [], 0, 0, id="nothing-yet"),
        pytest.param([1], [1], 0, 0, id="first"),
        pytest.param([1, 0], [1, 1], 1, 1, id="one-worse"),
        pytest.param([1, 0, 0], [1, 1, 1], 2, 2, id="two-worse"),
        pytest.param([1, 0, 0, 0], [1, 1, 1, 0.3], 3, 1, id="fell-and-worse"),
        pytest.param([1, 0, 0, 0, 0], [1, 1, 1, 0.3, 0.3], 4, 2, id="fell-and-worse-twice"),
        pytest.param([1, 0, 0, 1], [1, 1, 1, 0.3], 0, 0, id="fell-and-better"),
        pytest.param([1, 0, 0, 1, 0], [1, 1, 1, 0.3, 0.3], 1, 1, id="better-then-worse"),
    ],
)
def test_state_counts_epochs_since_the_best_and_since_the_rate_fell(
    fit, config, best, rates, since_best, since_change
):
    state = fit._State(config, model=None)
    for i, (is_best, rate) in enumerate(zip(best, rates, strict=True)):
        state.history.append(
            fit.Epoch(i + 1, rate, 0.0, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, [], bool(is_best))
        )
    assert (state.epochs_since_best, state.epochs_since_change) == (since_best, since_change)


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


# --- resume


@pytest.fixture
def lowering(config):
    """Lowers the learning rate after every epoch without gain."""
    return replace(config, reduce_after=1)


@pytest.mark.slow
def test_resumed_run_ends_with_the_same_weights_bit_for_bit(fit, lowering, contrary, tmp_path):
    whole = fit.train(lowering, *contrary, checkpoint=tmp_path / "whole.npz")
    rates = [epoch.learning_rate for epoch in whole.history]
    assert (
        rates[3] < rates[2] < rates[0]
    )  # else the test would not see a schedule that is forgotten

    broken = tmp_path / "broken.npz"
    stopped = fit.train(lowering, *contrary, checkpoint=broken, on_step=break_at(3, 1))
    assert len(stopped.history) == 2
    assert_equal_results(whole, fit.train(lowering, *contrary, checkpoint=broken))


@pytest.mark.slow
def test_run_interrupted_within_an_epoch_and_resumed_ends_with_the_same_weights(
    fit, lowering, contrary, tmp_path
):
    whole = fit.train(lowering, *contrary)
    path = tmp_path / "checkpoint.npz"
    stopped = fit.train(lowering, *contrary, checkpoint=path, on_step=break_at(3, 5))
    assert stopped.ended == "interrupted"
    assert len(stopped.history) == 2
    again = fit.train(lowering, *contrary, checkpoint=path, on_step=break_at(4, 1))
    assert [epoch.epoch for epoch in again.history] == [1, 2, 3]
    assert_equal_results(whole, fit.train(lowering, *contrary, checkpoint=path))


def test_interrupted_run_keeps_the_best_so_far(fit, config, images):
    result = fit.train(config, *images, on_step=break_at(3, 1))
    best = min(epoch.val_loss for epoch in result.history)
    weights = np.array(list(config.class_weights.values()))[images[3]]
    logits = fit.predict_logits(result.model, images[2])
    assert metrics.log_loss(images[3], logits, weights) == pytest.approx(best, rel=1e-6)


def test_run_interrupted_before_its_first_epoch_has_nothing_to_keep(fit, config, images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        fit.train(config, *images, checkpoint=path, on_step=break_at(1, 3))
    assert not path.exists()


def test_resume_of_a_run_that_is_over_trains_no_more(fit, config, images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    short = replace(config, epochs=1)
    done = fit.train(short, *images, checkpoint=path)
    again = fit.train(short, *images, checkpoint=path, on_step=lambda *_: pytest.fail("trained"))
    assert_equal_results(done, again)


@pytest.fixture(scope="module")
def checkpoint_bytes(fit, config, images, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.npz"
    fit.train(replace(config, epochs=1), *images, checkpoint=path)
    return path.read_bytes()


@pytest.fixture
def checkpoint(checkpoint_bytes, tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(checkpoint_bytes)
    return path


@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param({"seed": 8}, "seed", id="seed"),
        pytest.param({"batch_size": 32}, "batch_size", id="batch-size"),
        pytest.param({"augmentation": Augmentation()}, "augmentation", id="augmentation"),
        pytest.param(
            {"class_weights": dict.fromkeys(FASHION_MNIST_LABELS, 1.0)}, "class_weights", id="weights"
        ),
        pytest.param({"network": "weighted-cnn"}, "network", id="network"),
    ],
)  # fmt: skip
def test_resume_with_another_configuration_names_what_differs(
    fit, config, images, checkpoint, change, name
):
    before = checkpoint.read_bytes()
    other = replace(config, **change)
    with pytest.raises(DataError, match=f"was made with {name} = .*; resume with the same options"):
        fit.train(other, *images, checkpoint=checkpoint)
    with pytest.raises(DataError, match=f"was made with {name}"):
        fit.require_resumable(other, checkpoint)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"text", id="text"),
        pytest.param(lambda content: content[: len(content) // 2], id="cut-off"),
        pytest.param(lambda content: content[:-5], id="end-missing"),
        pytest.param(lambda content: content[:600] + b"\xff" * 8 + content[608:], id="corrupt"),
    ],
)
def test_resume_of_a_broken_checkpoint_is_one_sentence(fit, config, images, checkpoint, damage):
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(DataError, match="not a checkpoint that can be resumed"):
        fit.train(config, *images, checkpoint=checkpoint)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"document": np.array("[]")}, id="no-document"),
        pytest.param({"model_0": np.zeros(3, np.float32)}, id="other-shape"),
        pytest.param({"model_0": None}, id="weights-missing"),
        pytest.param({"optimizer_3": None}, id="optimizer-missing"),
    ],
)
def test_resume_of_a_checkpoint_with_other_contents_is_one_sentence(
    fit, config, images, checkpoint, changed
):
    with np.load(checkpoint) as stored:
        arrays = dict(stored) | changed
    np.savez(checkpoint, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match="not a checkpoint that can be resumed"):
        fit.train(config, *images, checkpoint=checkpoint)


def test_checkpoint_holds_no_pickled_object(checkpoint):
    with np.load(checkpoint, allow_pickle=False) as stored:
        assert {stored[name].dtype.kind for name in stored.files} <= set("fiuU")
        assert json.loads(str(stored["document"]))["config"]["seed"] == 7


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
    fit, modern, images, tmp_path
):
    whole = fit.train(modern, *images)
    # Images rest from the fourth epoch on; a checkpoint after every step.
    path = tmp_path / "checkpoint.npz"
    fit.train(modern, *images, checkpoint=path, save_every_s=0, on_step=break_at(4, 3))
    again = fit.train(modern, *images, checkpoint=path)
    one, other = whole.model.get_weights(), again.model.get_weights()
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
    for past, epoch in zip(whole.history, again.history, strict=True):
        # Means of an epoch in two parts are added in another order: some float32 roundings.
        assert (epoch.loss, epoch.accuracy) == pytest.approx((past.loss, past.accuracy), rel=1e-6)
        assert (epoch.val_loss, epoch.train_loss) == (past.val_loss, past.train_loss)


def test_run_broken_off_within_its_first_epoch_goes_on_from_the_step_it_was_at(
    fit, config, images, tmp_path
):
    path, seen = tmp_path / "checkpoint.npz", []
    with pytest.raises(KeyboardInterrupt):
        fit.train(config, *images, checkpoint=path, save_every_s=0, on_step=break_at(1, 4))
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


def test_batches_leave_out_a_share_of_the_easy_images_and_count_the_others_for_them(
    fit, config, images
):
    x, y = images[:2]
    plain = replace(config, rest=0.6, epochs=8)
    batches = fit._Batches(plain, x, y, np.ones(10, np.float32))
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


def test_batches_with_label_smoothing_spread_a_share_over_all_classes(fit, config, images):
    x, y = images[:2]
    batches = fit._Batches(replace(config, label_smoothing=0.1), x, y, np.ones(10, np.float32))
    expected = np.full((len(y), 10), 0.01)
    expected[np.arange(len(y)), y] = 0.91
    np.testing.assert_allclose(batches.targets, expected, rtol=1e-6)


def test_train_with_a_teacher_learns_what_it_says_and_not_the_labels(fit, config, images):
    x, y, x_validation, y_validation = images
    other = (y + 1) % 10
    teacher = np.eye(10, dtype=np.float32)[other]
    wrong = (x, y, x_validation, (y_validation + 1) % 10)
    result = fit.train(replace(config, epochs=2), *wrong, teacher=teacher)
    predicted = fit.predict_logits(result.model, x_validation).argmax(axis=1)
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


def test_device_description_names_backend_and_processor(fit):
    assert fit.device_description().startswith("TensorFlow ")
    assert " on " in fit.device_description()


def test_versions_are_those_installed(fit, keras):
    versions = fit.versions()
    assert versions["keras"] == keras.__version__
    assert versions["numpy"] == np.__version__
    assert versions["backend"] in versions


def test_predict_logits_in_parts_are_those_of_the_whole(fit, networks, tiny, images):
    model = networks.NETWORKS[tiny].build(10)
    logits = fit.predict_logits(model, images[2], batch_size=7)
    assert logits.dtype == np.float32
    # Matrix products of another size may be added in another order: some float32 roundings.
    np.testing.assert_allclose(logits, fit.predict_logits(model, images[2]), atol=1e-5)
