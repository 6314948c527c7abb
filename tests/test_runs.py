"""Tests of the folder of a run."""

import csv
import json
import os
from dataclasses import dataclass

import pytest

from garmentlite.edge.errors import DataError, OutputError, TrainingError
from garmentlite.train import runs


@dataclass
class Row:
    """Stands for an epoch: the files need only these fields."""

    epoch: int
    val_loss: float
    val_recall: list
    best: bool = True


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "one"


def fill(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("older")


def test_prepare_folder_of_a_new_run_makes_it_empty(folder):
    runs.prepare_folder(folder, resume=False, force=False)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("names", [("model.keras",), ("config.json",), ("metrics.json",)])
def test_prepare_folder_with_a_run_is_refused_and_keeps_it(folder, names):
    fill(folder, *names)
    with pytest.raises(OutputError, match=r"already holds a run; --force replaces it, -o names"):
        runs.prepare_folder(folder, resume=False, force=False)
    assert all((folder / name).read_text() == "older" for name in names)


@pytest.mark.parametrize("name", ["checkpoint.npz", "tiles.npz"])
def test_prepare_folder_with_an_unfinished_run_proposes_to_resume(folder, name):
    fill(folder, name, "config.json")
    with pytest.raises(OutputError, match="--resume continues it"):
        runs.prepare_folder(folder, resume=False, force=False)


def test_prepare_folder_to_resume_keeps_everything(folder):
    fill(folder, "checkpoint.npz", "config.json", "model.keras")
    runs.prepare_folder(folder, resume=True, force=False)
    assert sorted(os.listdir(folder)) == ["checkpoint.npz", "config.json", "model.keras"]


def test_prepare_folder_by_force_moves_the_older_run_aside(folder):
    fill(folder, "metrics.json", "model.keras", "config.json", "history.csv", "notes.txt")
    runs.prepare_folder(folder, resume=False, force=True)
    assert sorted(os.listdir(folder)) == ["notes.txt", "replaced"]
    older = ["config.json", "history.csv", "metrics.json", "model.keras"]
    assert sorted(os.listdir(folder / "replaced")) == older


def test_prepare_folder_by_force_twice_keeps_the_first_run_and_not_the_unfinished_one(folder):
    fill(folder, "metrics.json", "model.keras")
    runs.prepare_folder(folder, resume=False, force=True)
    for name in ("config.json", "checkpoint.npz"):
        (folder / name).write_text("unfinished")
    runs.prepare_folder(folder, resume=False, force=True)
    assert os.listdir(folder) == ["replaced"]
    assert (folder / "replaced" / "model.keras").read_text() == "older"


@pytest.mark.parametrize(
    ("error", "epochs", "is_back"),
    [
        pytest.param(OutputError("full"), 0, True, id="failed-at-once"),
        pytest.param(KeyboardInterrupt(), 0, True, id="interrupted-at-once"),
        pytest.param(TrainingError("NaN"), 3, True, id="training-failed"),
        pytest.param(KeyboardInterrupt(), 3, False, id="interrupted-later"),
        pytest.param(OutputError("full"), 3, False, id="failed-later"),
    ],
)
def test_prepared_folder_puts_the_older_run_back_if_the_new_one_comes_to_nothing(
    folder, error, epochs, is_back
):
    older = ["config.json", "history.json", "metrics.json", "model.keras"]
    fill(folder, *older)

    def train():
        with runs.prepared_folder(folder, resume=False, force=True):
            (folder / "config.json").write_text("newer")
            if epochs:
                for name in ("history.json", "checkpoint.npz"):
                    (folder / name).write_text("newer")
            raise error

    with pytest.raises(type(error)):
        train()
    if is_back:
        assert sorted(os.listdir(folder)) == older
        assert {(folder / name).read_text() for name in older} == {"older"}
    else:
        newer = ["checkpoint.npz", "config.json", "history.json", "replaced"]
        assert sorted(os.listdir(folder)) == newer
        assert sorted(os.listdir(folder / "replaced")) == older


def test_prepared_folder_to_resume_never_gives_the_unfinished_run_up(folder):
    fill(folder / "replaced", "metrics.json")
    fill(folder, "checkpoint.npz")
    with (
        pytest.raises(DataError),
        runs.prepared_folder(folder, resume=True, force=False),
    ):
        raise DataError("another configuration")
    assert sorted(os.listdir(folder)) == ["checkpoint.npz", "replaced"]


def test_prepare_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="Cannot write"):
            runs.prepare_folder(folder, resume=False, force=False)


def test_write_history_gives_a_line_per_epoch_in_both_files(folder):
    rows = [Row(1, 0.5, [0.1, None]), Row(2, 0.25, [0.2, 0.3], best=False)]
    runs.write_history(folder, rows, ["Bag", "T-shirt/top, odd"])
    assert json.loads((folder / "history.json").read_text())[1]["val_recall"] == [0.2, 0.3]
    with (folder / "history.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table == [
        ["epoch", "val_loss", "best", "val_recall Bag", "val_recall T-shirt/top, odd"],
        ["1", "0.5", "True", "0.1", ""],
        ["2", "0.25", "False", "0.2", "0.3"],
    ]


def test_write_history_of_photographs_adds_columns_for_their_labels(folder):
    @dataclass
    class WithPhotos(Row):
        photo_loss: float | None = None
        photo_recall: list | None = None

    rows = [WithPhotos(1, 0.5, [0.1], photo_loss=2.0, photo_recall=[0.7, None])]
    runs.write_history(folder, rows, ["Bag"], ["Bag", "footwear"])
    with (folder / "history.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["epoch", "val_loss", "best", "photo_loss", "val_recall Bag", "photo_recall Bag",
             "photo_recall footwear"],
            ["1", "0.5", "True", "2.0", "0.1", "0.7", ""],
        ]  # fmt: skip
    runs.write_history(folder, [WithPhotos(1, 0.5, [0.1])], ["Bag"])
    assert "photo" not in (folder / "history.json").read_text()


def test_write_metrics_finishes_the_run(folder):
    fill(folder, "checkpoint.npz", "tiles.npz", "teacher.npz")
    fill(folder / "replaced", "metrics.json")
    runs.write_metrics(folder, {"test": {"accuracy": 0.9}})
    assert os.listdir(folder) == ["metrics.json"]
    assert runs.read_json(folder, "metrics.json") == {"test": {"accuracy": 0.9}}


@pytest.mark.parametrize("content", [None, "", "{"])
def test_read_json_of_an_unfinished_run_is_one_sentence(folder, content):
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=r"is not a finished run: metrics\.json cannot be read"):
        runs.read_json(folder, "metrics.json")


# --- labels and views


def test_labels_of_are_the_list_and_not_the_order_of_the_class_weights():
    config = {"labels": ["socks", "hats"], "class_weights": {"hats": 2.0, "socks": 1.0}}
    assert runs.labels_of(config) == ("socks", "hats")
    assert runs.labels_of(json.loads(json.dumps(config, sort_keys=True))) == ("socks", "hats")


def test_labels_of_a_run_of_version_0_1_0_are_the_keys_of_the_class_weights():
    assert runs.labels_of({"class_weights": {"socks": 1.0, "hats": 2.0}}) == ("socks", "hats")
    assert runs.labels_of({}) == ()


@pytest.mark.parametrize(
    ("config", "views"),
    [
        pytest.param({"views": ["plain"], "augmentation": {"flip": 0.5}}, ("plain",), id="stated"),
        pytest.param({"views": ["plain", "mirrored"]}, ("plain", "mirrored"), id="stated-both"),
        pytest.param({"augmentation": {"flip": 0.5}}, ("plain", "mirrored"), id="0.1.0-flip"),
        pytest.param({"augmentation": {"shift": 0.1}}, ("plain",), id="0.1.0-none"),
        pytest.param({}, ("plain",), id="unknown"),
    ],
)
def test_views_of_are_those_stated_or_follow_from_the_augmentation(config, views):
    assert runs.views_of(config) == views
