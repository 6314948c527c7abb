"""Tests of whole trainings: the folder of a run, a run that is replaced, shifted decision boundaries."""

import json
import shutil

import numpy as np
import pytest

from garmentlite.edge.errors import DataError, OptionError, OutputError, TrainingError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import data, runs, session
from garmentlite.train.session import PhotoRequest, TrainRequest


@pytest.fixture
def request_of(tiny, made_data_dir, tmp_path):
    """A request for a short training of the small network into a folder."""

    def make(name="run", **changes):
        options = {
            "network": tiny,
            "epochs": 1,
            "data_dir": made_data_dir,
            "output": tmp_path / name,
        }
        return TrainRequest(**options | changes)

    return make


@pytest.fixture(scope="module")
def finished(fit, tiny, made_data, tmp_path_factory):
    """Folder of a finished run on the made data set."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", lambda *_: made_data)
        outcome = session.run(
            TrainRequest(network=tiny, epochs=1, output=folder, command="cli train")
        )
    assert outcome.is_finished
    return folder


@pytest.fixture
def older(finished, tmp_path):
    """A copy of it that may be replaced, and its files."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    return folder, contents_of(folder)


def contents_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def raising(error):
    def train(*_, **__):
        raise error

    return train


# --- requests


@pytest.mark.parametrize(
    ("changes", "folder"),
    [
        pytest.param({}, "runs/weighted-cnn", id="default"),
        pytest.param({"network": "shallow"}, "runs/shallow", id="network"),
        pytest.param({"photos": PhotoRequest(source="p")}, "runs/photo", id="photographs"),
        pytest.param(
            {"network": "shallow", "photos": PhotoRequest(source="p")},
            "runs/shallow-photo",
            id="both",
        ),
    ],
)
def test_folder_of_a_request_is_named_for_what_is_trained(changes, folder):
    assert TrainRequest(**changes).folder.as_posix() == folder


# --- runs


def test_run_writes_labels_and_views_and_returns_what_it_wrote(finished, made_data):
    config = runs.read_json(finished, runs.CONFIG)
    assert config["labels"] == list(FASHION_MNIST_LABELS)
    assert config["views"] == ["plain"]
    assert (config["command"], config["images"]) == (
        "cli train",
        {"training": 900, "validation": 100},
    )
    document = runs.read_json(finished, runs.METRICS)
    assert document["test"]["images"] == len(made_data.y_test)
    assert not (finished / runs.CHECKPOINT).exists()


def test_run_with_an_augmentation_that_mirrors_has_both_views(
    request_of, networks, tiny, monkeypatch
):
    from dataclasses import replace

    from garmentlite.train.augmentation import Augmentation

    protocol = networks.NETWORKS[tiny]
    recipe = replace(protocol.recipe, augmentation=Augmentation(flip=0.5))
    monkeypatch.setitem(networks.NETWORKS, tiny, replace(protocol, recipe=recipe))
    outcome = session.run(request_of())
    assert runs.read_json(outcome.folder, runs.CONFIG)["views"] == ["plain", "mirrored"]
    assert "accuracy" in outcome.text
    assert outcome.metrics == runs.read_json(outcome.folder, runs.METRICS)


def test_run_that_is_finished_is_not_resumed(finished):
    before = contents_of(finished)
    outcome = session.run(TrainRequest(output=finished, resume=True))
    assert outcome.is_finished
    assert outcome.text == f"{finished} is finished; nothing to resume."
    assert contents_of(finished) == before


# --- a run that is to be replaced


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), TrainingError("The loss is NaN.")], ids=["ctrl-c", "training"]
)
def test_run_by_force_that_comes_to_nothing_leaves_the_older_run(
    fit, older, request_of, monkeypatch, error
):
    folder, before = older
    monkeypatch.setattr(fit, "train", raising(error))
    with pytest.raises(type(error)):
        session.run(request_of(force=True))
    assert contents_of(folder) == before


def test_run_by_force_whose_photographs_cannot_be_read_leaves_the_older_run(
    older, request_of, tmp_path
):
    folder, before = older
    for number in range(6):
        path = tmp_path / "photos" / ("Coat", "Shirt")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a picture %d" % number)
    said, photos = [], PhotoRequest(source=tmp_path / "photos", segmenter="border", folds=2)
    with pytest.raises(DataError, match="photograph"):
        session.run(request_of(force=True, photos=photos), say=said.append)
    # The folder had been prepared already: the photographs were read in it.
    assert any(sentence.startswith("Photographs: ") for sentence in said)
    assert contents_of(folder) == before


def test_run_by_force_whose_history_cannot_be_written_leaves_the_older_run(
    fit, older, request_of, monkeypatch
):
    folder, before = older
    monkeypatch.setattr(runs, "write_history", raising(OutputError("The disk is full.")))
    with pytest.raises(OutputError):
        session.run(request_of(force=True))
    assert contents_of(folder) == before


def test_run_by_force_interrupted_in_the_first_epoch_leaves_the_older_run(
    fit, older, request_of, interrupt_at, monkeypatch
):
    folder, before = older
    train = fit.train

    def interrupted(*given, **options):
        return train(*given, **options | {"on_step": interrupt_at(1, 2)})

    monkeypatch.setattr(fit, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.run(request_of(force=True))
    assert contents_of(folder) == before


def test_run_by_force_with_a_wrong_option_does_not_touch_the_older_run(older, request_of):
    folder, before = older
    with pytest.raises(OptionError, match="did you mean 'Shirt'"):
        session.run(request_of(force=True, class_weights=("Shrit=2",)))
    assert contents_of(folder) == before


def test_run_by_force_interrupted_later_keeps_both_until_the_new_one_is_finished(
    fit, older, request_of, interrupt_at, monkeypatch
):
    folder, before = older
    train, said = fit.train, []

    def interrupted(*given, **options):
        return train(*given, **options | {"on_step": interrupt_at(2, 1)})

    monkeypatch.setattr(fit, "train", interrupted)
    outcome = session.run(request_of(force=True, epochs=2), say=said.append)
    assert (outcome.is_finished, outcome.metrics) == (False, {})
    assert (
        said[-1] == f"The run that it replaces stays in {folder / 'replaced'} until it is finished."
    )
    assert contents_of(folder / runs.REPLACED) == before
    assert not (folder / runs.METRICS).exists()
    monkeypatch.setattr(fit, "train", train)
    assert session.run(request_of(resume=True, epochs=2)).is_finished
    assert not (folder / runs.REPLACED).exists()
    assert len(runs.read_json(folder, runs.HISTORY)) == 2


# --- rebalance


def test_rebalance_onto_the_run_itself_is_refused(older, made_data_dir):
    folder, before = older
    for output in (folder, folder / ".." / folder.name):
        with pytest.raises(
            OptionError, match=r"cannot be written to .* made from the run that is there"
        ):
            session.rebalance(folder, ["Shirt=0.9"], output, force=True, data_dir=made_data_dir)
    assert contents_of(folder) == before


def test_rebalance_that_fails_leaves_the_run_that_it_was_to_replace(
    older, finished, made_data, monkeypatch
):
    folder, before = older
    monkeypatch.setattr(session, "load", lambda *_: made_data)
    monkeypatch.setattr(session, "finish", raising(OutputError("The disk is full.")))
    with pytest.raises(OutputError):
        session.rebalance(finished, ["Shirt=0.9"], folder, force=True)
    assert contents_of(folder) == before


def test_rebalance_of_a_run_of_version_0_1_0_states_its_labels_and_views(
    older, made_data, monkeypatch, tmp_path
):
    folder, _ = older
    config = runs.read_json(folder, runs.CONFIG)
    del config["labels"], config["views"]
    config["class_weights"] = dict.fromkeys(FASHION_MNIST_LABELS, 1.0)
    config["augmentation"]["flip"] = 0.5
    (folder / runs.CONFIG).write_text(json.dumps(config))
    monkeypatch.setattr(session, "load", lambda *_: made_data)
    outcome = session.rebalance(folder, ["Shirt=0.5"], tmp_path / "raised")
    raised = runs.read_json(tmp_path / "raised", runs.CONFIG)
    assert raised["labels"] == list(FASHION_MNIST_LABELS)
    assert raised["views"] == ["plain", "mirrored"]
    recall = outcome.metrics["target_recall"]["recall"]["Shirt"][1]
    _, validation = data.validation_split(made_data.y_train)
    assert recall >= 0.5
    assert np.isclose(recall * (made_data.y_train[validation] == 6).sum() % 1, 0)


# --- teachers, mixing, images on the device


def test_run_whose_teachers_see_augmented_images_needs_teachers(request_of):
    with pytest.raises(OptionError, match="--teacher-sees belongs to --teacher"):
        session.run(request_of(teacher_sees="augmented"))


def test_run_taught_about_augmented_images_mixes_them_and_keeps_no_answers(finished, request_of):
    request = request_of(
        teachers=(finished,), teacher_sees="augmented", mixup=0.25, cutmix=0.5, batch_size=100
    )
    outcome = session.run(request)
    config = runs.read_json(outcome.folder, runs.CONFIG)
    assert (config["teacher_sees"], len(config["teacher"])) == ("augmented", 1)
    assert (config["augmentation"]["mixup"], config["augmentation"]["cutmix"]) == (0.25, 0.5)
    assert config["augmentation"]["rotation"] == 5  # the network's own
    assert config["batch_size"] == 100
    assert not (outcome.folder / runs.TEACHER).exists()
    assert outcome.metrics["validation"]["accuracy"] > 0.2  # chance is 0.1


def test_run_with_images_on_the_device_on_another_backend_than_jax_is_refused(request_of):
    with pytest.raises(OptionError, match=r"--images-on-device .* set KERAS_BACKEND=jax"):
        session.run(request_of(images_on_device=True))
    assert not request_of().folder.exists()
