"""What is read from a TFLite file, and which damaged or hostile files are refused."""

import numpy as np
import pytest

from garmentlite.edge import shipped
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError
from garmentlite.edge.metadata import attach, split
from garmentlite.edge.runtime import pack, unpack


def test_read_contents_of_metadata_behind_the_flatbuffer_is_the_same(dense_model, metadata_of):
    flatbuffer = dense_model(np.ones((4, 36)), np.zeros(4), io="int8")
    whole = read_contents(attach(flatbuffer, metadata_of()))
    assert whole.as_document() == read_contents(flatbuffer).as_document()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no model at all", id="text"),
        pytest.param(b"\x1c\0\0\0TFL3" + bytes(40), id="identifier-only"),
    ],
)
def test_read_contents_of_what_is_no_model_is_a_model_error(content):
    with pytest.raises(ModelError):
        read_contents(content)


def test_read_contents_of_a_model_cut_off_anywhere_is_a_model_error(dense_model):
    flatbuffer = dense_model(np.ones((4, 36)), np.zeros(4), io="int8")
    for length in range(0, len(flatbuffer) - 64, 37):
        with pytest.raises(ModelError):
            read_contents(flatbuffer[:length])


# --- fields that would harm the runtime


@pytest.fixture(scope="module")
def sound_model():
    """A shipped int8 network as objects that can be changed, made anew for each call."""
    flatbuffer, _ = split((shipped.FOLDER / "garment-net-photo_int8.tflite").read_bytes())
    return lambda: unpack(flatbuffer)


def first_output(graph):
    return graph.tensors[int(graph.operators[0].outputs[0])]


def set_scale(value):
    def change(graph):
        first_output(graph).quantization.scale = value

    return change


def set_of(target, name, value):
    def change(graph):
        owner = {"tensor": first_output(graph), "operator": graph.operators[0], "graph": graph}[
            target
        ]
        setattr(owner, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(set_scale([0.0]), "a scale that is not a finite number above 0", id="scale-0"),
        pytest.param(set_scale([-1.0]), "a scale that is not a finite number", id="scale-negative"),
        pytest.param(set_scale([float("nan")]), "a scale that is not a finite", id="scale-nan"),
        pytest.param(
            set_scale([float("inf")]), "a scale that is not a finite", id="scale-infinite"
        ),
        pytest.param(set_scale([]), "0 scales and 1 zero points", id="no-scale"),
        pytest.param(
            set_of("tensor", "quantization", None), "int8 without a scale", id="unquantized"
        ),
        pytest.param(set_of("tensor", "type", 5), "of type 5, which is not read", id="text"),
        pytest.param(set_of("tensor", "shape", [1, -5, 1, 1]), "a size below 0", id="negative"),
        pytest.param(set_of("tensor", "shape", [1, 1 << 30, 1, 1]), "more than 256", id="huge"),
        pytest.param(set_of("tensor", "buffer", 10_000), "where the file has none", id="buffer"),
        pytest.param(set_of("operator", "inputs", [9999]), "does not exist", id="tensor-number"),
        pytest.param(set_of("operator", "outputs", [-1]), "does not exist", id="output-left-out"),
        pytest.param(set_of("operator", "opcodeIndex", 99), "a type that is not in", id="code"),
        pytest.param(
            set_of("operator", "builtinOptions", None), "lacks its settings", id="options"
        ),
        pytest.param(set_of("graph", "outputs", [-1]), "does not exist", id="graph-output"),
        pytest.param(set_of("graph", "inputs", []), "no input or no output", id="no-input"),
        pytest.param(lambda graph: graph.operators.reverse(), "has written|writes", id="order"),
        pytest.param(lambda graph: graph.operators.pop(), "no operator writes", id="no-last"),
    ],
)
def test_read_contents_of_a_field_that_would_harm_the_runtime_is_refused(
    sound_model, change, message
):
    model = sound_model()
    read_contents(pack(model))
    change(model.subgraphs[0])
    with pytest.raises(ModelError, match=message):
        read_contents(pack(model))


def test_read_contents_of_a_constant_of_another_size_is_refused(sound_model):
    model = sound_model()
    kernel = model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].inputs[1])]
    model.buffers[kernel.buffer].data = np.zeros(3, np.uint8)
    with pytest.raises(ModelError, match="has 3 bytes, expected"):
        read_contents(pack(model))


@pytest.mark.parametrize("code", [118, 119])
def test_read_contents_of_control_flow_is_refused(sound_model, code):
    model = sound_model()
    model.operatorCodes[0].builtinCode = code
    model.operatorCodes[0].deprecatedBuiltinCode = code
    with pytest.raises(ModelError, match="which is not run here"):
        read_contents(pack(model))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "FlexErf",
            "which only TensorFlow itself can run; convert it with the operators of TFLite",
        ),
        ("TFLite_Detection_PostProcess", "it is an object detector"),
        ("MyOwn", "which TFLite does not define"),
    ],
)
def test_read_contents_of_custom_operators_says_what_they_are(sound_model, name, message):
    model = sound_model()
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = 32
    code.customCode = name
    with pytest.raises(ModelError, match=message):
        read_contents(pack(model))


def test_read_contents_of_a_file_cut_off_anywhere_is_a_model_error(sound_model):
    flatbuffer = pack(sound_model())
    for length in range(0, 4000, 97):
        with pytest.raises(ModelError):
            read_contents(flatbuffer[:length])
