"""Files made by garmentlite 0.1.0 are read, and give the answers that 0.1.0 gave.

The files were made by 0.1.0 itself; `upgrade_0_1_0/make.py` says what each of them is.
"""

import gzip
import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from garmentlite.train import data

FOLDER = Path(__file__).resolve().parent / "upgrade_0_1_0"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
DATA = ("--data-dir", "data")
# `classify --json` rounds to six decimals, on both sides of a comparison; and float32 rounds before.
PRINTED = 1.5e-6
# Largest difference of a weight after an epoch of 15 steps. With the kernels that TensorFlow has for other
# processors it was at most 4e-6; with an optimizer or a random state that is not restored it was above 0.1.
ROUNDING = 1e-4


@pytest.fixture
def cli(run, monkeypatch, tmp_path):
    """Runs a command where the files of 0.1.0 lie, whose data set is taken for the released one."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    released = {
        path.stem: hashlib.md5(
            gzip.decompress(path.read_bytes()), usedforsecurity=False
        ).hexdigest()
        for path in (tmp_path / "data").iterdir()
    }
    monkeypatch.setattr(data, "MD5", released)
    return run


def read(path):
    return json.loads(Path(path).read_text())


def answers_of(cli, model):
    lines = cli("classify", "tiles", "--json", "--top-k", "10", "--model", model).stdout
    return [json.loads(line) for line in lines.splitlines()]


def probabilities_of(answer):
    return {row["label"]: row["probability"] for row in answer["top_k"]}


def about_machine():
    """As `make.py` describes the machine that it ran on; None where it cannot."""
    if not Path("/proc/cpuinfo").is_file():
        return None
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    told = [line for line in first if line.startswith(("model", "cpu family", "flags"))]
    return {
        "processor_sha256": hashlib.sha256("\n".join(told).encode()).hexdigest(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
    }


# --- model files, cards and stored outputs


@pytest.mark.parametrize("model", EXPECTED["answers"])
def test_model_file_gives_the_same_answers(cli, model):
    """Temperature, threshold for "unknown", labels, and whether images are shown mirrored too."""
    for answer, expected in zip(answers_of(cli, model), EXPECTED["answers"][model], strict=True):
        assert Path(answer["path"]).name == Path(expected["path"]).name
        assert answer["label"] == expected["label"]
        assert answer["confidence"] == pytest.approx(expected["confidence"], abs=PRINTED)
        assert probabilities_of(answer) == pytest.approx(probabilities_of(expected), abs=PRINTED)


def test_answers_tell_the_metadata_apart():
    """Otherwise the test above could not see metadata that are not read."""
    mirrored, plain, own = (
        [row["label"] for row in answers] for answers in EXPECTED["answers"].values()
    )
    assert "unknown" in mirrored
    assert mirrored != plain
    assert set(own) <= set(EXPECTED["photo_run"]["labels"])


def test_card_of_a_model_file_has_the_classes_of_a_run_on_own_photographs(cli):
    printed = cli("card", "photo_run/lenet-bn_int8.tflite", "--json")
    card, expected = json.loads(printed.stdout), EXPECTED["photo_run"]
    assert card["labels"] == expected["labels"]
    assert card["temperature"] == expected["temperature"]
    assert card["unknown_threshold"] == expected["unknown_threshold"]
    assert card["unchanged"] is True
    assert "Warning" not in printed.stderr


def test_stored_outputs_are_compared_with(cli):
    command = ("verify", "plain_int8.tflite", "--limit", EXPECTED["reference"]["images"], *DATA)
    outcome = json.loads(cli(*command, "--against", "reference.npz", "--json").stdout)
    assert outcome["passed"] is True
    assert outcome["images"] == EXPECTED["reference"]["images"]
    assert outcome["changed_answers"] == 0
    assert outcome["stored_on"] == EXPECTED["reference"]["stored_on"]


def test_stored_outputs_that_differ_fail(cli):
    with np.load("reference.npz") as stored:
        arrays = dict(stored)
    arrays["outputs"][7] = arrays["outputs"][7, ::-1]
    np.savez("reference.npz", **arrays)
    command = ("verify", "plain_int8.tflite", "--limit", EXPECTED["reference"]["images"], *DATA)
    cli(*command, "--against", "reference.npz", expect=1)


# --- finished runs


def test_finished_runs_are_compared(cli):
    compared = json.loads(cli("compare", "finished", "rebalanced", "--json").stdout)
    expected = EXPECTED["finished"]["compare"]
    for run, wanted in zip(compared["runs"], expected["runs"], strict=True):
        assert run["run"] == wanted["run"]
        for figure in ("accuracy", "macro_recall"):
            assert run[figure] == pytest.approx(wanted[figure])
        for figure in ("recall", "precision"):
            assert list(run[figure]) == list(wanted[figure])  # classes in their order
            assert run[figure] == pytest.approx(wanted[figure])
    (difference,), (wanted,) = compared["differences"], expected["differences"]
    assert difference["accuracy"] == pytest.approx(wanted["accuracy"])


def test_card_is_compared_with_a_run(cli):
    compared = json.loads(cli("compare", "finished", "lenet-bn.json", "--json").stdout)
    run, card = compared["runs"]
    assert run["accuracy"] == pytest.approx(EXPECTED["finished"]["test"]["accuracy"])
    int8 = read("lenet-bn.json")["measured"]["int8"]["test"]
    assert card["accuracy"] == pytest.approx(int8["accuracy"])


def test_finished_run_is_converted(tensorflow, cli):
    cli("convert", "finished", "--float32", "-o", "converted", *DATA)
    card, expected = read("converted/lenet-bn.json"), EXPECTED["finished"]["test"]
    assert card["labels"] == [row["label"] for row in expected["per_class"]]
    measured = card["measured"]["float32"]["test"]
    assert measured["confusion_matrix"] == expected["confusion_matrix"]
    assert measured["log_loss"] == pytest.approx(expected["log_loss"], rel=1e-4)


def test_decision_boundaries_of_a_finished_run_are_shifted(tensorflow, cli):
    cli("rebalance", "finished", "--target-recall", "Sandal=0.95", "-o", "again", *DATA)
    outcome = read("again/metrics.json")["target_recall"]
    expected = EXPECTED["finished"]["target_recall"]
    assert outcome["offsets"] == pytest.approx(expected["offsets"], abs=1e-3)
    assert outcome["recall"] == expected["recall"]


def test_rebalanced_run_is_not_rebalanced_again(tensorflow, cli):
    shutil.copyfile("finished/model.keras", "rebalanced/model.keras")
    command = ("rebalance", "rebalanced", "--target-recall", "Sandal=0.95", "-o", "again", *DATA)
    assert "rebalanced" in cli(*command, expect=2).stderr.splitlines()[-1]


def test_finished_run_gives_the_weights_to_begin_with(tensorflow, cli):
    """All of them, since its classes are the same: without the last layer one epoch is not enough."""
    cli("train", "--init", "finished", "--epochs", "1", "-o", "begun", *DATA)
    (epoch,) = read("begun/history.json")
    assert epoch["val_accuracy"] >= 0.9


def test_run_on_own_photographs_is_converted(tensorflow, cli):
    """Classes in their order, and what is fitted on the photographs held out.

    Among those are one in which no garment was found, and one in which the second mask shows none.
    """
    cli("convert", "photo_run", "--int8", "--ptq", "-o", "converted")
    card, expected = read("converted/lenet-bn.json"), EXPECTED["photo_run"]
    assert card["labels"] == expected["labels"]
    assert card["temperature"] == pytest.approx(expected["temperature"], abs=0.011)  # a step
    assert card["unknown_threshold"] == pytest.approx(expected["unknown_threshold"], abs=0.005)
    for name in ("photographs", "accuracy", "garments_rejected", "grounds"):
        assert card["photographs"][name] == expected["photographs"][name]
    for made, wanted in zip(
        card["photographs"]["per_group"], expected["photographs"]["per_group"], strict=True
    ):
        assert made | wanted == made  # 0.1.0 had fewer keys
    model = "lenet-bn_int8.tflite"
    metadata = json.loads(cli("card", f"converted/{model}", "--json").stdout)
    assert metadata["views"] == ["plain", "mirrored"]  # as 0.1.0 shows images to this network
    made_anew = answers_of(cli, f"converted/{model}")
    for answer, wanted in zip(made_anew, EXPECTED["answers"][f"photo_run/{model}"], strict=True):
        assert answer["label"] == wanted["label"]
        assert probabilities_of(answer) == pytest.approx(probabilities_of(wanted), abs=0.05)


# --- runs that were broken off


def test_broken_off_run_is_resumed_to_the_same_weights(tensorflow, keras, cli):
    expected = EXPECTED["broken_off"]
    cli(*expected["command"], "-o", "broken_off", *DATA, "--resume")
    weights = keras.models.load_model("broken_off/model.keras").get_weights()
    with np.load("resumed.npz") as stored:
        for array, name in zip(weights, stored.files, strict=True):
            np.testing.assert_allclose(array, stored[name], rtol=0, atol=ROUNDING)
    if about_machine() == expected["machine"]:
        digest = hashlib.sha256(b"".join(array.tobytes() for array in weights))
        assert digest.hexdigest() == expected["weights_sha256"]
    history = read("broken_off/history.json")
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    assert history[0] == expected["history"][0]
    assert history[1]["val_loss"] == pytest.approx(expected["history"][1]["val_loss"], rel=1e-4)


def test_broken_off_run_is_not_resumed_with_other_options(tensorflow, cli):
    command = (*EXPECTED["broken_off"]["command"], "--seed", "4", "-o", "broken_off", *DATA)
    refusal = cli(*command, "--resume", expect=2).stderr.splitlines()[-1]
    assert "checkpoint.npz" in refusal
    assert "seed" in refusal


def test_prepared_photographs_are_used_or_made_again_with_a_sentence(tensorflow, cli):
    """Nobody is left to wonder why a preparation that had taken an hour begins again."""
    path = Path("photo_run_broken_off/tiles.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    assert len(arrays["checksums"]) == EXPECTED["photo_run_broken_off"]["prepared"]
    arrays["tiles"][:] = np.arange(28, dtype=np.uint8)  # as no photograph is prepared
    np.savez(path, **arrays)
    command = EXPECTED["photo_run_broken_off"]["command"]
    said = cli(*command, "-o", path.parent, "--resume").stderr
    with np.load(path.with_name("photos.npz")) as kept:
        images = [array for array in kept.values() if array.shape[-2:] == (28, 28)]
    is_used = any((array == np.arange(28)).all(axis=(-2, -1)).any() for array in images)
    assert images
    assert is_used or "tiles.npz" in said
