"""TensorBoard reads what was written; without it, one sentence says what to install."""

import sys
from types import SimpleNamespace

import pytest

from garmentlite.edge.errors import MissingPartError
from garmentlite.train.tensorboard import Log

LABELS = ("Shirt", "Coat")


def epoch(number, recall):
    return SimpleNamespace(
        epoch=number, learning_rate=0.1, seconds=2.0, loss=0.5, accuracy=0.75, train_loss=0.4,
        train_accuracy=0.8, val_loss=0.6 / number, val_accuracy=0.7, val_recall=recall,
    )  # fmt: skip


@pytest.mark.slow
def test_log_is_read_back_by_tensorboard(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    log = Log(tmp_path / "log", LABELS)
    log.write(epoch(1, [0.5, None]))
    Log(tmp_path / "log", LABELS).write(epoch(2, [0.625, 1.0]))  # as a run that was gone on with
    events = accumulator.EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    losses = events.Scalars("loss/validation images")
    assert [(event.step, event.value) for event in losses] == [
        (1, pytest.approx(0.6)), (2, pytest.approx(0.3))
    ]  # fmt: skip
    assert [event.value for event in events.Scalars("validation recall/Shirt")] == [0.5, 0.625]
    assert [event.step for event in events.Scalars("validation recall/Coat")] == [2]
    assert len(events.Tags()["scalars"]) == 10


def test_log_without_tensorboard_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(MissingPartError, match=r"pip install 'garmentlite\[tensorboard\]'"):
        Log(tmp_path / "log", LABELS)
    assert not (tmp_path / "log").exists()
