"""Tests of the interface to the LiteRT runtime."""

import builtins

import numpy as np
import pytest

from garmentlite.edge.errors import MissingPartError, ModelError
from garmentlite.edge.runtime import make_interpreter


@pytest.fixture(scope="module")
def flatbuffer(dense_model):
    rng = np.random.default_rng(0)
    return dense_model(rng.normal(size=(4, 36)), rng.normal(size=4), io="int8")


@pytest.mark.parametrize("kernels", ["default", "reference"])
def test_make_interpreter_is_ready_to_run(flatbuffer, kernels):
    interpreter = make_interpreter(flatbuffer, kernels=kernels)
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).shape == (1, 4)


def test_make_interpreter_with_bytes_behind_the_flatbuffer_gives_the_same(flatbuffer):
    outputs = []
    for content in (flatbuffer, flatbuffer + b"PK and more" * 100):
        interpreter = make_interpreter(content)
        interpreter.set_tensor(
            interpreter.get_input_details()[0]["index"],
            np.arange(36, dtype=np.int8).reshape(1, 6, 6, 1),
        )
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*outputs)


def test_make_interpreter_says_nothing_on_the_terminal(flatbuffer, capfd):
    make_interpreter(flatbuffer).invoke()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content", [b"", b"\x1c\x00\x00", b"a text file\n", b"\x89PNG\r\n\x1a\n" * 9]
)
def test_make_interpreter_of_another_file_is_refused_by_its_identifier(content):
    with pytest.raises(ModelError, match="no 'TFL3' identifier"):
        make_interpreter(content)


def test_make_interpreter_of_a_flatbuffer_cut_off_anywhere_is_refused(flatbuffer):
    for length in range(8, len(flatbuffer) - 64, 4):
        with pytest.raises(ModelError, match="the LiteRT runtime refuses it"):
            make_interpreter(flatbuffer[:length])


def test_make_interpreter_without_the_runtime_says_how_to_get_it(flatbuffer, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("ai_edge_litert"):
            raise ImportError("libc is too old")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPartError, match=r"libc is too old.*pip install ai-edge-litert"):
        make_interpreter(flatbuffer)
