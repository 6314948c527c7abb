"""Tests of the ways to int8, of their comparison, and of the fitted temperature."""

import json

import numpy as np
import pytest

from garmentlite.convert.int8_candidates import Candidate, closest, compare
from garmentlite.convert.material import Images
from garmentlite.convert.measure import fit_temperature, logits_of
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.files import sha256
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.data import as_input, validation_split


@pytest.fixture(scope="module")
def parts(made_data):
    """(images to train on, images to validate on)."""
    return [
        Images(made_data.x_train[at], made_data.y_train[at], at)
        for at in validation_split(made_data.y_train)
    ]


@pytest.fixture(scope="module")
def operations(trained, folding):
    return folding.fold(trained)


@pytest.fixture(scope="module")
def float_logits(operations, keras2, parts):
    return [
        keras2.predict_logits(keras2.build_twin(operations), as_input(part.images_u8))
        for part in parts
    ]


@pytest.fixture(scope="module")
def calibrated(int8, operations, parts):
    return int8.post_training(operations, parts[0], seed=0)


def candidate(way="some", changed=0, lost=(0, 0), gained=(0, 0)):
    lost, gained = np.array(lost), np.array(gained)
    return Candidate(way, b"", lost, gained, changed, 0.0, 100)


# --- images and their manifest


def test_sample_draws_without_repetition_and_by_the_seed(parts):
    training = parts[0]
    drawn = training.sample(50, seed=1)
    assert len(set(drawn.indices)) == 50
    np.testing.assert_array_equal(drawn.indices, training.sample(50, seed=1).indices)
    assert set(drawn.indices) != set(training.sample(50, seed=2).indices)
    assert len(training.sample(10**6, seed=1).y) == len(training.y)


def test_sample_keeps_images_labels_and_places_together(parts, made_data):
    drawn = parts[0].sample(20, seed=3)
    np.testing.assert_array_equal(drawn.images_u8, made_data.x_train[drawn.indices])
    np.testing.assert_array_equal(drawn.y, made_data.y_train[drawn.indices])


def test_manifest_names_the_images_by_place_and_checksum(parts):
    drawn = parts[0].sample(20, seed=3)
    manifest = drawn.manifest("training images", 3)
    assert manifest == {
        "source": "training images", "count": 20, "seed": 3,
        "indices": drawn.indices.tolist(),
        "indices_sha256": sha256(drawn.indices.astype("<i8").tobytes()),
        "images_sha256": sha256(drawn.images_u8.tobytes()),
        "preprocessing": "pixel / 255",
    }  # fmt: skip
    assert manifest != parts[0].sample(20, seed=4).manifest("training images", 3)


# --- the ways


def test_post_training_keeps_nearly_all_answers(int8, calibrated, float_logits, parts):
    found = compare("post-training", calibrated, float_logits[1], parts[1])
    assert found.changed <= 0.05 * found.images


def test_post_training_twice_gives_the_same_bytes(int8, operations, parts, calibrated):
    assert int8.post_training(operations, parts[0], seed=0) == calibrated


@pytest.mark.slow
def test_range_cut_twice_gives_the_same_bytes(int8, operations, parts, float_logits):
    first, again = (
        int8.range_cut(
            operations,
            parts[0],
            float_logits[0],
            np.ones(10),
            Augmentation(shift=0.05),
            0,
            epochs=1,
        )
        for _ in range(2)
    )
    assert first == again


def test_every_way_takes_pixels_over_255_however_many_were_tried_before(
    int8, operations, parts, float_logits, calibrated, tmp_path
):
    ways = [calibrated]
    for _ in range(2):
        ways.append(
            int8.range_cut(
                operations, parts[0], float_logits[0], np.ones(10), Augmentation(), 0, epochs=0
            )
        )
    for flatbuffer in ways:
        path = tmp_path / "way.tflite"
        path.write_bytes(flatbuffer)
        classifier = Classifier(path, input_range="0..1")
        assert (classifier.input.scale, classifier.input.zero_point) == (
            pytest.approx(1 / 255), -128,
        )  # fmt: skip


def test_mean_shift_finds_a_bias_that_is_off(
    int8, operations, folding, keras2, parts, calibrated, tmp_path
):
    from dataclasses import replace

    _, bias = operations[-1].weights
    wrong = bias.copy()
    wrong[3] += 0.5
    spoilt = int8.post_training(
        [*operations[:-1], replace(operations[-1], bias=wrong)], parts[0], 0
    )
    teacher = keras2.build_twin(operations)
    added = int8.mean_shift(spoilt, teacher, parts[0], 0) - int8.mean_shift(
        calibrated, teacher, parts[0], 0
    )
    path = tmp_path / "spoilt.tflite"
    path.write_bytes(spoilt)
    step = Classifier(
        path, input_range="0..1"
    ).output.scale  # a mean over 900 images is known far better than that
    np.testing.assert_allclose(added, [0, 0, 0, 0.5, 0, 0, 0, 0, 0, 0], atol=step / 2)


@pytest.mark.parametrize("way", ["post-training", "range cut"])
def test_bias_correction_brings_every_mean_to_nearly_0(
    int8, operations, keras2, parts, float_logits, monkeypatch, tmp_path, way
):
    monkeypatch.setattr(int8, "tie_offsets", lambda *_: np.zeros(10, np.float32))
    if way == "post-training":
        flatbuffer = int8.post_training_corrected(operations, parts[0], 0)
    else:
        flatbuffer = int8.range_cut(
            operations, parts[0], float_logits[0], np.ones(10), Augmentation(), 0, epochs=0
        )
    path = tmp_path / "corrected.tflite"
    path.write_bytes(flatbuffer)
    step = Classifier(path, input_range="0..1").output.scale
    shift = int8.mean_shift(flatbuffer, keras2.build_twin(operations), parts[0], 0)
    # What is left is the rounding of the correction itself: a part of a step, over many images.
    assert np.abs(shift).max() < step / 4


@pytest.mark.parametrize("way", ["post-training", "range cut"])
def test_bias_correction_takes_off_what_was_measured(
    int8, operations, parts, float_logits, monkeypatch, tmp_path, way
):
    def make():
        if way == "post-training":
            return int8.post_training_corrected(operations, parts[0], 0)
        return int8.range_cut(
            operations, parts[0], float_logits[0], np.ones(10), Augmentation(), 0, epochs=0
        )

    means = []
    for measured in (np.zeros(10, np.float32), np.eye(10, dtype=np.float32)[3]):
        monkeypatch.setattr(int8, "mean_shift", lambda *_, shift=measured: shift)
        means.append(logits_of(make(), parts[0].images_u8).mean(axis=0))
    change = means[1] - means[0]
    # By what was measured, where nothing saturates; the cut output range hides most of what lies low.
    assert change[3] == pytest.approx(-1, abs=0.05) if way == "post-training" else change[3] < -0.2
    assert np.abs(np.delete(change, 3)).max() < 0.05


def test_range_cut_without_epochs_has_the_output_range_that_decides(
    int8, operations, parts, float_logits, tmp_path
):
    flatbuffer = int8.range_cut(
        operations, parts[0], float_logits[0], np.ones(10), Augmentation(), 0, epochs=0
    )
    path = tmp_path / "cut.tflite"
    path.write_bytes(flatbuffer)
    output = Classifier(path, input_range="0..1").output
    low, high = int8.output_range(float_logits[0])
    low = min(low, 0)
    assert output.scale == pytest.approx((high - low) / 255, rel=1e-3)
    # The converter moves both ends a little, so that 0.0 falls on an integer: less than a step.
    assert output.dequantize(np.array([-128], np.int8))[0] == pytest.approx(low, abs=output.scale)


def test_range_cut_reports_its_steps_and_stays_close(int8, operations, parts, float_logits, export):
    steps = []
    flatbuffer = int8.range_cut(
        operations, parts[0], float_logits[0], np.ones(10), Augmentation(shift=0.05), 0, epochs=1,
        on_progress=lambda what, step, of: steps.append((what, step, of)),
    )  # fmt: skip
    assert steps[-1] == ("Fine-tuning towards int8", 7, 7)  # 900 images in batches of 128
    export.require_integers(flatbuffer, "int8")
    found = compare("fine-tuned", flatbuffer, float_logits[1], parts[1])
    assert found.changed <= 0.05 * found.images


def test_output_range_is_that_of_the_second_largest_and_a_tenth_more(int8):
    second = np.linspace(-2, 4, 10001)
    logits = np.stack([second + 7, second, np.full(10001, -50.0)], axis=1)
    # All but a thousandth below and a ten-thousandth above: -1.994 to 3.9994, a tenth of 5.9934 around.
    assert int8.output_range(logits) == pytest.approx((-1.994 - 0.59934, 3.9994 + 0.59934))


def rounded_answers(logits, offsets, step):
    return np.rint((logits + offsets) / step).argmax(axis=1)


def test_tie_offsets_halve_the_changes_and_take_from_no_class_alone(int8):
    # Two lookalikes, 0 and 2, whose logits differ by anything up to 2 steps; 1 is far behind.
    rng = np.random.default_rng(5)
    step = 0.1

    def made(count):
        first = rng.uniform(0, 5, count)
        return np.stack([first, first - 9, first + rng.uniform(-2, 2, count) * step], axis=1)

    offsets = int8.tie_offsets(made(4000), step, seed=0)
    logits = made(20000)
    before, plain = logits.argmax(axis=1), rounded_answers(logits, 0, step)
    after = rounded_answers(logits, offsets, step)
    # Ties go to 0: without offsets only 2 loses, by half a step on average.
    assert ((before == 2) & (plain == 0)).sum() > 0
    assert ((before == 0) & (plain == 2)).sum() == 0
    # With them the border errs by a quarter of a step: half as many changes, from both alike. The
    # standard deviation of 625 counts is 25; 4 of them.
    assert (after != before).sum() < 0.6 * (plain != before).sum()
    from_2, from_0 = ((before == 2) & (after == 0)).sum(), ((before == 0) & (after == 2)).sum()
    assert abs(int(from_2) - int(from_0)) < 0.35 * (from_2 + from_0)
    assert offsets[2] - offsets[0] == pytest.approx(step / 2, abs=step / 4)
    assert offsets.mean() == pytest.approx(0, abs=1e-6)


def test_tie_offsets_without_close_rivals_are_zero(int8):
    logits = np.eye(10)[np.arange(500) % 10] * 8
    assert not int8.tie_offsets(logits, 0.05, seed=0).any()


# --- comparison and choice


def test_compare_counts_lost_gained_and_changed_by_class(int8, calibrated, parts, float_logits):
    flatbuffer, validation = calibrated, parts[1]
    after = logits_of(flatbuffer, validation.images_u8).argmax(axis=1)
    before = float_logits[1].copy()
    # Three answers of the float network are made up: one that int8 gets right, two that it gets wrong.
    right = np.flatnonzero(after == validation.y)[:3]
    wrong_class = (validation.y[right].astype(int) + 1) % 10
    before[right[:1]] = np.eye(10)[wrong_class[:1]] * 99
    labels = validation.y.copy()
    labels[right[1:]] = wrong_class[1:]
    before[right[1:]] = np.eye(10)[wrong_class[1:]] * 99
    changed = Images(validation.images_u8, labels, validation.indices)
    base = compare("as is", flatbuffer, float_logits[1], validation)
    found = compare("made up", flatbuffer, before, changed)
    assert found.changed == base.changed + 3
    assert found.gained.sum() == base.gained.sum() + 1
    assert found.lost.sum() == base.lost.sum() + 2
    assert found.accuracy_change == pytest.approx(
        (found.gained.sum() - found.lost.sum()) / len(labels)
    )


def test_as_document_is_json_by_label(int8):
    one = candidate(changed=3, lost=[2, 0], gained=[0, 1])
    document = one.as_document(["Bag", "Coat"])
    assert document["lost"] == {"Bag": 2, "Coat": 0}
    assert document["gained"] == {"Bag": 0, "Coat": 1}
    assert document["agreement"] == 0.97
    json.dumps(document, allow_nan=False)


def test_closest_has_the_fewest_changed_images_whatever_it_gained(int8):
    gaining = candidate("gaining", 9, lost=[1, 0], gained=[0, 8])
    close = candidate("close", 4, lost=[4, 0], gained=[0, 0])
    assert closest([gaining, close]).way == "close"


def test_closest_of_equals_is_the_one_whose_worst_class_lost_least(int8):
    one_sided = candidate("one-sided", 4, lost=[4, 0], gained=[0, 0])
    spread = candidate("spread", 4, lost=[2, 2], gained=[0, 0])
    assert closest([one_sided, spread]).way == "spread"
    assert closest([spread, one_sided]).way == "spread"


# --- temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_fit_temperature_finds_the_one_the_labels_were_drawn_with(int8, temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    gumbel = rng.gumbel(size=logits.shape)  # the largest of logits plus these is drawn by softmax
    y = (logits + gumbel).argmax(axis=1)
    # With 20,000 draws the likelihood's own deviation is about 1%; three of them.
    assert fit_temperature(y, logits * temperature) == pytest.approx(temperature, rel=0.03)


def test_fit_temperature_stays_within_its_limits(int8):
    y = np.zeros(50, int)
    right, wrong = np.tile([9.0, 0.0], (50, 1)), np.tile([0.0, 9.0], (50, 1))
    assert fit_temperature(y, right) == 0.2
    assert fit_temperature(y, wrong) == 5.0
