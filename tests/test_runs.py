"""The folder of a run."""

import csv
import json
import os
from dataclasses import dataclass

import pytest

from garmentlite.edge.errors import DataError, OutputError
from garmentlite.train import runs


@dataclass
class Row:
    """Stands for an epoch: `train.fit` needs TensorFlow, its history only these fields."""

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
    with pytest.raises(OutputError, match="--resume goes on with it"):
        runs.prepare_folder(folder, resume=False, force=False)


def test_prepare_folder_to_resume_keeps_everything(folder):
    fill(folder, "checkpoint.npz", "config.json", "model.keras")
    runs.prepare_folder(folder, resume=True, force=False)
    assert sorted(os.listdir(folder)) == ["checkpoint.npz", "config.json", "model.keras"]


def test_prepare_folder_by_force_removes_what_says_that_the_older_run_is_finished(folder):
    fill(folder, "metrics.json", "model.keras", "config.json", "checkpoint.npz", "notes.txt")
    runs.prepare_folder(folder, resume=False, force=True)
    assert os.listdir(folder) == ["notes.txt"]


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
