"""The script that trains on a GPU: how it divides its time. A program that does nothing stands for Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(
    shutil.which("timeout") is None or shutil.which("true") is None,
    reason="the script needs the commands timeout and true of GNU coreutils",
)


@pytest.fixture
def train_for(tmp_path):
    """Runs the script with a number of minutes for all trainings."""

    def run(minutes):
        given = {"PYTHON": "true", "RUNS": str(tmp_path / "runs"), "MINUTES": str(minutes)}
        return subprocess.run(
            [ROOT / "benchmarks" / "gpu_training.sh"],
            env=os.environ | given, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("minutes", [0, 1])
def test_gpu_training_without_time_for_the_student_stops_with_a_sentence(train_for, minutes):
    done = train_for(minutes)
    assert done.returncode == 1
    assert "s are left for the student, which needs 60 s at least" in done.stderr
    assert f"more time than MINUTES={minutes}" in done.stderr
    assert "== student" not in done.stdout


def test_gpu_training_with_time_for_the_student_trains_it(train_for):
    done = train_for(9)
    assert "left for the student" not in done.stderr
    assert "== student: at most" in done.stdout
