"""Tests of the training backend: its description, and the error if it is missing."""

import sys

import numpy as np
import pytest

from garmentlite.edge.errors import MissingPartError
from garmentlite.train import backend


def test_device_description_names_backend_and_processor(tensorflow):
    assert backend.device_description().startswith("TensorFlow ")
    assert " on " in backend.device_description()


def test_versions_are_those_installed(keras):
    versions = backend.versions()
    assert versions["keras"] == keras.__version__
    assert versions["numpy"] == np.__version__
    assert versions["backend"] in versions


def test_start_without_a_package_names_it_and_the_extra(tensorflow, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    said = []
    with pytest.raises(MissingPartError, match=r"need tf_keras, .*'garmentlite\[train\]'"):
        backend.start(more=["tf_keras"], say=said.append)
    assert said == []


def test_start_says_so_once(tensorflow):
    said = []
    backend.start(say=said.append)
    assert said == ["Starting the training backend ..."]
