"""Tests of the public API: its names, the cost of `import garmentlite`, and programs that use it."""

import ast
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import garmentlite

ROOT = Path(__file__).parent.parent


def test_import_loads_nothing_else(run_python):
    code = (
        "import sys, json\n"
        "before = set(sys.modules)\n"
        "import garmentlite\n"
        "after = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(after - set(sys.stdlib_module_names))))"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == ["garmentlite"]


def imports_for_type_checkers():
    """Pairs of module and name, which type checkers read in place of the lazy imports."""
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return [(node.module, alias.name) for node in block.body for alias in node.names]


def test_every_public_name_is_found_and_known_to_type_checkers():
    assert set(garmentlite.__all__) <= set(dir(garmentlite))
    assert sorted(name for _, name in imports_for_type_checkers()) == sorted(garmentlite.__all__)
    for module, name in imports_for_type_checkers():
        assert getattr(garmentlite, name) is getattr(importlib.import_module(module), name)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        garmentlite.Recogniser  # noqa: B018


def test_program_that_names_a_picture_and_draws_the_answer():
    from garmentlite.edge.drawing import draw_scene

    frame_bgr = draw_scene("Trouser", np.random.default_rng(4), (640, 480)).rgb[..., ::-1]
    recognizer = garmentlite.Recognizer()
    recognition = recognizer.recognize(frame_bgr)
    assert isinstance(recognition, garmentlite.Recognition)
    assert isinstance(recognition.scores[0], garmentlite.Score)
    assert recognition.label == "Trouser"
    before = frame_bgr.copy()
    drawn = garmentlite.annotate(frame_bgr, recognition)
    assert drawn.shape[0] == frame_bgr.shape[0]
    assert drawn.shape[1] > frame_bgr.shape[1]  # the answer stands beside the frame
    assert (drawn[:, :640] != frame_bgr).any()
    np.testing.assert_array_equal(frame_bgr, before)


def test_program_that_reads_a_stream():
    labels = []
    with garmentlite.GarmentStream("test-pattern", garmentlite.Recognizer()) as stream:
        for sighting in stream:
            labels.append(sighting.recognition.label)
            if len(labels) == 3:
                break
    assert len(labels) == 3


def test_program_that_verifies_a_file(shipped_int8, made_data):
    classifier = garmentlite.Classifier(shipped_int8)
    report = garmentlite.verify(
        classifier, classifier, made_data.x_test, made_data.y_test, margin=0.5
    )
    assert len(report.classes) == 10
    assert not report.changed_images


def test_program_catches_one_family_of_errors(tmp_path):
    with pytest.raises(garmentlite.GarmentliteError):
        garmentlite.Classifier(tmp_path / "gone.tflite")
    with pytest.raises(garmentlite.GarmentliteError):
        garmentlite.Recognizer().recognize(tmp_path / "gone.jpg")
