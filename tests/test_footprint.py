"""Time, memory and kernels are measured on files that differ in them by construction."""

import numpy as np
import pytest

from garmentlite.edge import footprint
from garmentlite.edge.classifier import Classifier


@pytest.fixture
def dense_file(dense_model, tmp_path):
    """Writes a model of one dense layer over a square image; `pixels` is a square number."""

    def write(name, pixels, io, **options):
        kernel = np.random.default_rng(0).normal(0, 1, (8, pixels))
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(dense_model(kernel, np.zeros(8), io=io, **options))
        return path

    return write


def test_latency_ms_has_a_row_of_times_for_every_file(dense_file):
    classifiers = [
        Classifier(dense_file("a", 784, "int8")),
        Classifier(dense_file("b", 64, "float32"), input_range="0..1"),
    ]
    times = footprint.latency_ms(classifiers)
    assert times.shape == (2, footprint.TIMED_RUNS)
    assert (times > 0).all()


@pytest.mark.skipif(not footprint._PROCESS_STATUS.exists(), reason="takes Linux")
def test_peak_memory_grows_with_the_file(dense_file):
    small = footprint.peak_memory_bytes(dense_file("small", 784, "float32"))
    path = dense_file("large", 640 * 640, "float32")
    large = footprint.peak_memory_bytes(path)
    # The larger file, 13 MB, is read whole; what both share does not grow.
    assert large - small > path.stat().st_size
    assert small < 32e6


def test_peak_memory_where_the_system_does_not_say_is_none(dense_file, monkeypatch, tmp_path):
    monkeypatch.setattr(footprint, "_PROCESS_STATUS", tmp_path / "none")
    assert footprint.peak_memory_bytes(dense_file("small", 784, "float32")) is None


def test_kernels_used_tells_xnnpack_from_the_built_in_ones(dense_file):
    assert footprint.kernels_used(dense_file("int8", 784, "int8").read_bytes()) == "XNNPACK"
    assert footprint.kernels_used(dense_file("float", 784, "float32").read_bytes()) == "XNNPACK"


def test_kernels_used_of_int16_activations_are_the_built_in_ones(export, trained, made_data):
    from garmentlite.train.data import as_input

    x = as_input(made_data.x_train[:20])
    assert footprint.kernels_used(export.to_int16x8(trained, x)) == "built-in"
    # Of a uint8 border, the last operator is not the delegate's.
    assert footprint.kernels_used(export.to_int8(trained, x, io="uint8")) == "in part"
