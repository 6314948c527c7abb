"""Tests of the table of formats: figures come from the logits, verdicts from the parity check."""

import json

import numpy as np
import pytest

from garmentlite.convert.format_table import table
from garmentlite.convert.verify.judge import judge
from garmentlite.convert.verify.measurements import Answers
from garmentlite.edge.metadata import attach
from garmentlite.edge.probabilities import softmax

LABELS = ("Coat", "Bag", "Shirt")


@pytest.fixture
def paths(dense_model, metadata_of, tmp_path):
    """Files of three formats, of the least possible network."""
    kernel = np.random.default_rng(0).normal(0, 1, (3, 16))
    found = {}
    for name in ("int8", "float32", "float16"):
        found[name] = tmp_path / f"net_{name}.tflite"
        io = "int8" if name == "int8" else "float32"
        flatbuffer = dense_model(kernel, np.zeros(3), io=io)
        found[name].write_bytes(attach(flatbuffer, metadata_of(labels=list(LABELS))))
    return found


@pytest.fixture
def y_true():
    return np.repeat(np.arange(3), 500)


def logits_for(answers):
    return (np.eye(3)[answers] * 8).astype(np.float32)


def damaged(y_true, class_id, count, answer):
    """Right answers, but `count` images of a class get another one."""
    answers = y_true.copy()
    answers[np.flatnonzero(y_true == class_id)[:count]] = answer
    return logits_for(answers)


@pytest.fixture
def rows(paths, y_true):
    logits = {
        "float32": damaged(y_true, 0, 50, 1),
        "float16": damaged(y_true, 0, 50, 1),
        "int8": damaged(y_true, 2, 60, 0),
    }
    made = table(paths, logits, y_true, LABELS, temperature=1.0)
    return {row.format: row for row in made}


def test_table_has_a_row_for_every_file_in_the_order_of_the_formats(rows, paths):
    assert list(rows) == ["float32", "float16", "int8"]
    for name, row in rows.items():
        assert (row.file, row.bytes) == (paths[name].name, paths[name].stat().st_size)
        assert row.latency_ms > 0
        assert row.kernels == "XNNPACK"


def test_table_figures_are_those_of_the_logits(rows):
    assert rows["float32"].accuracy == pytest.approx(1450 / 1500)
    assert (rows["float32"].lowest_recall, rows["float32"].lowest_recall_label) == (0.9, "Coat")
    assert (rows["int8"].lowest_recall, rows["int8"].lowest_recall_label) == (0.88, "Shirt")
    # Coat gained 10 points, Shirt lost 12.
    assert rows["int8"].largest_loss == pytest.approx(0.12)
    assert rows["int8"].largest_loss_label == "Shirt"
    assert rows["int8"].changed == 110


def test_table_of_the_reference_compares_it_with_nothing(rows):
    row = rows["float32"]
    assert (row.changed, row.largest_loss, row.passed, row.verdict) == (
        None,
        None,
        None,
        "reference",
    )


def test_table_of_a_format_that_changes_nothing_passes(rows):
    assert (rows["float16"].changed, rows["float16"].passed) == (0, True)
    assert (rows["float16"].largest_loss, rows["float16"].verdict) == (0.0, "passed")


def test_table_of_a_lost_class_fails_and_names_it_first(rows):
    assert rows["int8"].passed is False
    assert rows["int8"].verdict.startswith("failed: Shirt lost")
    assert "agreement" in rows["int8"].verdict


def test_table_verdict_is_that_of_the_parity_check_with_the_models_temperature(paths, y_true):
    logits = {name: damaged(y_true, 1, count, 0) for name, count in (("float32", 3), ("int8", 9))}
    logits["int8"] = logits["int8"] * np.float32(1.5)
    chosen = {name: paths[name] for name in logits}
    for temperature in (1.0, 6.0):
        _, row = table(chosen, logits, y_true, LABELS, temperature)
        answers = [Answers(one, softmax(one / temperature)) for one in logits.values()]
        assert row.passed == judge(y_true, *answers, LABELS).passed


def test_table_of_too_few_images_says_that_it_is_not_judged(paths):
    y_true = np.repeat(np.arange(3), 20)
    logits = {name: logits_for(y_true) for name in paths}
    last = table(paths, logits, y_true, LABELS, 1.0)[-1]
    assert (last.passed, last.verdict) == (None, "not judged: too few images")
    assert last.accuracy == 1.0


def test_table_without_labels_knows_the_changed_answers_alone(paths, y_true):
    logits = {name: logits_for(y_true) for name in paths}
    logits["int8"] = damaged(y_true, 2, 60, 0)
    last = table(paths, logits, None, LABELS, 1.0)[-1]
    assert (last.changed, last.accuracy, last.lowest_recall, last.largest_loss) == (
        60,
        None,
        None,
        None,
    )
    assert (last.passed, last.verdict) == (None, "not judged: no labels")


def test_table_of_a_class_without_images_leaves_it_out_of_the_lowest(paths):
    y_true = np.repeat(np.arange(2), 500)
    logits = {name: logits_for(y_true) for name in paths}
    last = table(paths, logits, y_true, LABELS, 1.0)[-1]
    assert last.lowest_recall == 1.0
    assert last.lowest_recall_label in LABELS[:2]


def test_as_document_sets_apart_what_differs_between_machines(rows):
    document = rows["int8"].as_document()
    json.dumps(document, allow_nan=False)
    assert set(document["machine"]) == {"latency_ms", "peak_memory_bytes", "kernels"}
    assert not set(document["machine"]) & (set(document) - {"machine"})
