"""benchmarks/same_answers.py finds that snapshots of two versions are equal, or names what differs."""

import json
import shutil
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parent / "upgrade_0_1_0"
SCRIPT = "benchmarks/same_answers.py"


@pytest.fixture
def snapshot(run_python, tmp_path):
    """Takes a snapshot of model files in a folder; returns its file."""

    def take(models, name):
        command = f"{sys.executable} cli.py"
        output = tmp_path / name
        options = ("--models", models, "--pictures", FOLDER / "tiles", "-o", output)
        done = run_python(SCRIPT, "--cli", command, *map(str, options))
        assert done.returncode == 0, done.stderr
        return output

    return take


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("plain_int8.tflite", "mirrored_int8.tflite"):
        shutil.copyfile(FOLDER / name, folder / name)
    return folder


def compare(run_python, old, new):
    done = run_python(SCRIPT, "--compare", str(old), str(new))
    assert not done.stderr
    different = [line for line in done.stdout.splitlines()[:-1] if "  same" not in line]
    return done.returncode, different


def test_same_answers_of_one_version_are_the_same(run_python, snapshot, models):
    old = snapshot(models, "old.json")
    answers = json.loads(old.read_text())["pictures"]["plain_int8.tflite"]["answers"]
    assert sorted(answers) == ["bag.png", "pullover.png", "sneaker.png"]
    assert compare(run_python, old, snapshot(models, "new.json")) == (0, [])


def test_same_answers_names_metadata_that_change_an_answer(run_python, snapshot, models):
    old = snapshot(models, "old.json")
    shutil.copyfile(models / "plain_int8.tflite", models / "mirrored_int8.tflite")
    status, (line,) = compare(run_python, old, snapshot(models, "new.json"))
    assert status == 1
    assert line.startswith("mirrored_int8.tflite")
    assert "3 of 3 pictures" in line


def test_same_answers_names_another_network_and_a_missing_file(run_python, snapshot, models):
    old = snapshot(models, "old.json")
    (models / "mirrored_int8.tflite").unlink()
    shutil.copyfile(FOLDER / "photo_run" / "lenet-bn_int8.tflite", models / "plain_int8.tflite")
    status, lines = compare(run_python, old, snapshot(models, "new.json"))
    assert status == 1
    parts = ("flatbuffer", "made images", "pictures", "only in the old snapshot")
    assert all(any(part in line for line in lines) for part in parts)
