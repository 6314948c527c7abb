"""The learning round: collect on the device, train and convert at a desk, verify, and take the new file."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner
from waiting import wait_until

from garmentlite import cli
from garmentlite.convert.verify.improvement import compare_models
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.collected import CollectedPictures, CollectRequest, Kept
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.model_swap import ModelSwap
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.stream import GarmentStream

GARMENTS = {"Tasche": "Bag", "Kleid": "Dress", "Hose": "Trouser"}  # classes of one's own
OF_EACH = 24


class DrawnGarments:
    """A source that shows drawn garments, each as a still picture whose name begins with its class."""

    is_live = False
    camera = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __iter__(self):
        rng = np.random.default_rng(8)
        for number in range(OF_EACH):
            for label, drawn in GARMENTS.items():
                rgb = draw_scene(drawn, rng, (120, 120)).rgb
                bgr = np.ascontiguousarray(rgb[..., ::-1])
                yield Frame(bgr, 2.0 * number, f"{label} {number}", duration=2.0)


@pytest.fixture
def collected(tmp_path, shipped_int8):
    """Pictures of three classes that a person has labelled: half with a key, half later."""
    labels = Classifier(shipped_int8).labels
    kept = CollectedPictures(
        CollectRequest(tmp_path / "collected"), labels, print, rng=np.random.default_rng(1)
    )
    later = {label: [] for label in GARMENTS}
    with GarmentStream(DrawnGarments(), Recognizer(shipped_int8, "border")) as stream:
        for number, sighting in enumerate(stream):
            kept.begin_hold_up()
            label = sighting.frame.name.split()[0]
            known = {picture.id for picture in kept.pictures()}
            outcome = kept.keep(sighting, label if number % 2 else None)
            assert outcome in (Kept.YES, Kept.NO_GARMENT, Kept.NEAR_DUPLICATE)
            later[label] += [one.id for one in kept.pictures() if one.id not in known]
    for label, names in later.items():
        kept.relabel(names, label)
    assert all(picture.label in GARMENTS for picture in kept.pictures())
    assert len(kept.pictures()) > OF_EACH
    return kept


@pytest.mark.slow
def test_learning_round_from_the_device_and_back(run, tiny, collected, tmp_path, shipped_int8):
    folder, photos = tmp_path / "run", collected.folder
    trained = run(
        "train", "--network", tiny, "--photos", photos, "--segment", "border", "--folds", 3,
        "--epochs", 6, "-o", folder,
    )  # fmt: skip
    assert "so the labels are the classes (Hose, Kleid, Tasche)" in trained.stderr
    on_desk = json.loads((folder / "config.json").read_text())["photos"]
    trainable = [picture for picture in collected.pictures() if not picture.is_held_out]
    assert on_desk["photographs"] == len(trainable)
    assert on_desk["unreadable"] == 0

    run("convert", folder, "--int8", "--ptq")
    pair = folder / "tiny_float32.tflite", folder / "tiny_int8.tflite"
    held_out = [picture for picture in collected.pictures() if picture.is_held_out]
    assert {picture.label for picture in held_out} == set(GARMENTS)
    verdict = CliRunner().invoke(
        cli.app,
        ["verify", *map(str, pair), "--photos", str(photos / ".held-out"), "--margin", "0.9", "--json"],
    )  # fmt: skip
    assert verdict.exit_code in (0, 1), verdict.stderr  # judged, at least
    assert [row["label"] for row in json.loads(verdict.stdout)["classes"]] == sorted(GARMENTS)
    images_u8, y_true = collected.held_out_tiles(sorted(GARMENTS))
    assert len(y_true) == len(held_out)

    watched, said, taken = tmp_path / "current.tflite", [], []
    shutil.copy(pair[0], watched)
    swap = ModelSwap(
        watched, Classifier(watched), taken.append, said.append,
        collected=collected, compare=compare_models,
    )  # fmt: skip
    with swap:
        shutil.copy(pair[1], watched)
        wait_until(lambda: said, "the new model")
    assert "The app answers with the new model tiny now. On held-out pictures" in said[0]
    assert all(label in said[0] for label in GARMENTS)
    (model,) = taken
    right = model.probabilities(images_u8).argmax(axis=1) == y_true
    assert right.mean() > 0.6  # chance is 0.33
