"""Tests of checkpoints: a resumed run takes the same steps; other configurations and broken files fail."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from equal_results import assert_equal_results

from garmentlite.edge.errors import DataError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.npz import read_npz, write_npz
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.checkpoint import PURPOSE, require_resumable


@pytest.fixture
def lowering(config):
    """Lowers the learning rate after every epoch without gain."""
    return replace(config, reduce_after=1)


@pytest.mark.slow
def test_resumed_run_ends_with_the_same_weights_bit_for_bit(
    fit, interrupt_at, lowering, contrary, tmp_path
):
    whole = fit.train(lowering, *contrary, checkpoint=tmp_path / "whole.npz")
    rates = [epoch.learning_rate for epoch in whole.history]
    # Otherwise the test would not see that a resumed run forgets the schedule.
    assert rates[3] < rates[2] < rates[0]

    broken = tmp_path / "broken.npz"
    stopped = fit.train(lowering, *contrary, checkpoint=broken, on_step=interrupt_at(3, 1))
    assert len(stopped.history) == 2
    assert_equal_results(whole, fit.train(lowering, *contrary, checkpoint=broken))


@pytest.mark.slow
def test_run_interrupted_within_an_epoch_and_resumed_ends_with_the_same_weights(
    fit, interrupt_at, lowering, contrary, tmp_path
):
    whole = fit.train(lowering, *contrary)
    path = tmp_path / "checkpoint.npz"
    stopped = fit.train(lowering, *contrary, checkpoint=path, on_step=interrupt_at(3, 5))
    assert stopped.ended == "interrupted"
    assert len(stopped.history) == 2
    again = fit.train(lowering, *contrary, checkpoint=path, on_step=interrupt_at(4, 1))
    assert [epoch.epoch for epoch in again.history] == [1, 2, 3]
    assert_equal_results(whole, fit.train(lowering, *contrary, checkpoint=path))


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
        require_resumable(other, checkpoint)
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
    with pytest.raises(
        DataError, match=r"cannot be read as a checkpoint .* start again with --force"
    ):
        fit.train(config, *images, checkpoint=checkpoint)


@pytest.fixture
def rewrite(checkpoint):
    """Writes the checkpoint anew with other arrays (None leaves one out) or other facts."""

    def write(arrays=None, **about):
        stored = read_npz(checkpoint, PURPOSE, "x")
        changed = {k: v for k, v in (stored.arrays | (arrays or {})).items() if v is not None}
        write_npz(checkpoint, PURPOSE, stored.about | about, changed)

    return write


@pytest.mark.parametrize(
    ("arrays", "about"),
    [
        pytest.param({"model_0": np.zeros(3, np.float32)}, {}, id="other-shape"),
        pytest.param({"model_0": None}, {}, id="weights-missing"),
        pytest.param({"optimizer_3": None}, {}, id="optimizer-missing"),
        pytest.param({"partial": None}, {}, id="partial-missing"),
        pytest.param({}, {"history": [{"epoch": 1}]}, id="history-incomplete"),
        pytest.param({}, {"config": []}, id="no-config"),
    ],
)
def test_resume_of_a_checkpoint_with_other_contents_is_one_sentence(
    fit, config, images, checkpoint, rewrite, arrays, about
):
    rewrite(arrays, **about)
    with pytest.raises(
        DataError, match=r"cannot be read as a checkpoint .* start again with --force"
    ):
        fit.train(config, *images, checkpoint=checkpoint)


def test_checkpoint_of_an_earlier_version_has_the_defaults_of_later_fields(
    fit, config, images, checkpoint, rewrite
):
    stored = read_npz(checkpoint, PURPOSE, "x").about
    for name in ("photos_sha256", "init_sha256"):
        del stored["config"][name]
    for epoch in stored["history"]:
        for name in ("photo_loss", "photo_accuracy", "photo_recall"):
            del epoch[name]
    rewrite(**stored)
    short = replace(config, epochs=1)
    require_resumable(short, checkpoint)
    assert len(fit.train(short, *images, checkpoint=checkpoint).history) == 1
    with pytest.raises(DataError, match="was made with init_sha256 = , now it is abc"):
        require_resumable(replace(short, init_sha256="abc"), checkpoint)


@pytest.fixture
def older_checkpoint(checkpoint):
    """The same as version 0.1.0 wrote it: no purpose, labels only as the keys of the class weights."""
    stored = read_npz(checkpoint, PURPOSE, "x")
    config, arrays = stored.about["config"], stored.arrays
    labels = config.pop("labels")
    config["class_weights"] = {label: 2.0 if label == "Shirt" else 1.0 for label in labels}
    steps, images, loss, accuracy = arrays.pop("partial").tolist()
    partial = {"steps": int(steps), "images": int(images), "loss": loss, "accuracy": accuracy}
    document = {"config": config, "history": stored.about["history"], "partial": partial}
    np.savez(checkpoint, **arrays, document=np.array(json.dumps(document)))
    return checkpoint


def test_checkpoint_of_version_0_1_0_is_resumed(fit, config, images, older_checkpoint):
    weights = {label: 2.0 if label == "Shirt" else 1.0 for label in FASHION_MNIST_LABELS}
    config = replace(config, class_weights=weights, epochs=2)
    whole = fit.train(config, *images)
    assert_equal_results(whole, fit.train(config, *images, checkpoint=older_checkpoint))
    other = replace(config, labels=FASHION_MNIST_LABELS[::-1])
    with pytest.raises(DataError, match="was made with labels"):
        require_resumable(other, older_checkpoint)


def test_order_of_the_class_weights_means_nothing(fit, config, images, checkpoint):
    weights = {"Shirt": 2.0, "Bag": 0.5}
    one = replace(config, class_weights=weights)
    other = replace(config, class_weights=dict(reversed(weights.items())))
    np.testing.assert_array_equal(one.loss_weights, other.loss_weights)
    assert one.loss_weights[FASHION_MNIST_LABELS.index("Shirt")] == 2
    assert json.dumps(asdict(one)) != json.dumps(asdict(other))
    fit.train(replace(one, epochs=1), *images, checkpoint=checkpoint.with_name("weights.npz"))
    require_resumable(other, checkpoint.with_name("weights.npz"))


def test_resume_of_a_checkpoint_from_before_images_could_be_mixed_continues(
    fit, config, images, checkpoint
):
    archive = read_npz(checkpoint, PURPOSE, "")
    del archive.about["config"]["augmentation"]["mixup"]
    del archive.about["config"]["augmentation"]["cutmix"]
    write_npz(checkpoint, PURPOSE, archive.about, archive.arrays)
    assert len(fit.train(replace(config, epochs=1), *images, checkpoint=checkpoint).history) == 1
