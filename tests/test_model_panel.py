"""Tests of the page's panel of the model, through a real server and with real files."""

import json
import shutil
from pathlib import Path

import pytest

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.model_comparison import ClassProgress, ModelComparison, Progress
from garmentlite.edge.model_swap import ModelInUse, ModelSwap
from garmentlite.edge.page.model_panel import model_panel

MODELS = Path(__file__).parent.parent / "models"
OLD, NEW = MODELS / "weighted-cnn_int8.tflite", MODELS / "garment-net_int8.tflite"


@pytest.fixture
def swap(tmp_path):
    path = tmp_path / "model.tflite"
    shutil.copy(NEW, path)
    return ModelSwap(path, Classifier(path), lambda classifier: None, print)


def test_panel_says_which_model_answers(serve, swap):
    document = json.loads(serve(features=[model_panel(swap)]).ask("/model")[2])
    assert document == {
        "name": "garment-net", "sha256": Classifier(NEW).sha256, "has_previous": False,
        "comparison": None,
    }  # fmt: skip


def test_panel_without_a_model_before_does_not_go_back(serve, swap):
    status, _, body = serve(features=[model_panel(swap)]).ask(
        "/model/back", method="POST", body="{}"
    )
    assert (status, body) == (409, b"There is no previous model to go back to.\n")


def test_panel_goes_back_to_the_model_before(serve, tmp_path):
    path = tmp_path / "model.tflite"
    shutil.copy(NEW, path)
    shutil.copy(OLD, tmp_path / "model.previous.tflite")
    taken = []
    swap = ModelSwap(path, Classifier(path), taken.append, print)
    page = serve(features=[model_panel(swap)])
    status, _, body = page.ask("/model/back", method="POST", body="{}")
    assert (status, json.loads(body)["name"]) == (200, "weighted-cnn")
    assert [one.name for one in taken] == ["weighted-cnn"]
    assert json.loads(page.ask("/model")[2])["name"] == "weighted-cnn"


def test_panel_changes_nothing_when_it_is_only_asked(serve, swap):
    assert serve(features=[model_panel(swap)]).ask("/model/back")[0] == 405


def test_panel_shows_the_comparison(serve, swap, monkeypatch):
    row = ClassProgress("Shirt", 31, 0.5, 0.75, Progress.BETTER)
    state = ModelInUse("new", "0" * 64, ModelComparison((row,)), has_previous=True)
    monkeypatch.setattr(ModelSwap, "state", state)
    document = json.loads(serve(features=[model_panel(swap)]).ask("/model")[2])
    assert document["comparison"]["verdict"] == "better"
    assert document["comparison"]["classes"] == [
        {
            "label": "Shirt",
            "support": 31,
            "recall_old": 0.5,
            "recall_new": 0.75,
            "verdict": "better",
        }
    ]
