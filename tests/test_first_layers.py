"""The constants with which a model scales its input show the range that it takes."""

import numpy as np
import pytest

from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.first_layers import range_of_first_layers
from garmentlite.edge.model_input import RANGES
from garmentlite.edge.runtime import make_interpreter, pack, unpack


@pytest.fixture(scope="module")
def with_first_layers(dense_model):
    """Builds a model of one dense layer behind operators such as ("MUL", 0.5), each with a constant."""
    from ai_edge_litert import schema_py_generated as schema

    options_of = {
        "MUL": (schema.BuiltinOptions.MulOptions, schema.MulOptionsT),
        "ADD": (schema.BuiltinOptions.AddOptions, schema.AddOptionsT),
        "SUB": (schema.BuiltinOptions.SubOptions, schema.SubOptionsT),
        "DIV": (schema.BuiltinOptions.DivOptions, schema.DivOptionsT),
    }

    def build(*layers, channels=1, constant_first=False):
        kernel = np.random.default_rng(0).normal(size=(4, 36 * channels))
        model = unpack(dense_model(kernel, np.zeros(4), io="float32", channels=channels))
        graph = model.subgraphs[0]

        def add_tensor(shape, values=None):
            tensor, buffer = schema.TensorT(), schema.BufferT()
            tensor.name, tensor.shape, tensor.type = b"more", shape, schema.TensorType.FLOAT32
            if values is not None:
                buffer.data = np.frombuffer(np.float32(values).tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
            graph.tensors.append(tensor)
            return len(graph.tensors) - 1

        image, steps = 0, []
        for name, constant in layers:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
            code.version = 1
            step = schema.OperatorT()
            step.opcodeIndex = len(model.operatorCodes)
            model.operatorCodes.append(code)
            given = add_tensor([] if np.ndim(constant) == 0 else [np.size(constant)], constant)
            step.inputs = [given, image] if constant_first else [image, given]
            image = add_tensor([1, 6, 6, channels])
            step.outputs = [image]
            step.builtinOptionsType, make = options_of[name]
            step.builtinOptions = make()
            steps.append(step)
        graph.operators[0].inputs = [image, *graph.operators[0].inputs[1:]]
        graph.operators = [*steps, *graph.operators]
        flatbuffer = pack(model)
        read_contents(flatbuffer)
        make_interpreter(flatbuffer).invoke()  # it is a sound model
        return flatbuffer

    return build


# Of the pixels of ImageNet, as torchvision gives them.
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        pytest.param([("MUL", 1 / 255)], "0..255", id="rescaling"),
        pytest.param([("DIV", 255.0)], "0..255", id="division"),
        pytest.param([("MUL", 1 / 127.5), ("ADD", -1.0)], "0..255", id="mobilenet"),
        pytest.param([("SUB", 127.5), ("DIV", 127.5)], "0..255", id="centred"),
        pytest.param([("SUB", 128.0), ("MUL", 1 / 128)], "0..255", id="close-to-usual"),
        pytest.param([("MUL", 2.0), ("SUB", 1.0)], "0..1", id="unit-to-symmetric"),
        pytest.param([("SUB", 0.5)], "0..1", id="half"),
        pytest.param([("MUL", 0.5), ("ADD", 0.5)], "-1..1", id="symmetric-to-unit"),
    ],
)
def test_range_of_first_layers_is_the_one_that_becomes_a_usual_one(with_first_layers, layers, name):
    assert range_of_first_layers(with_first_layers(*layers)) == RANGES[name]


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        pytest.param([("SUB", MEAN), ("DIV", STD)], "0..1", id="torchvision"),
        pytest.param([("SUB", 255 * MEAN), ("DIV", 255 * STD)], "0..255", id="torchvision-pixels"),
    ],
)
def test_range_of_first_layers_with_a_constant_for_each_channel(with_first_layers, layers, name):
    assert range_of_first_layers(with_first_layers(*layers, channels=3)) == RANGES[name]


def test_range_of_first_layers_with_the_constant_first_is_the_same(with_first_layers):
    flatbuffer = with_first_layers(("MUL", 1 / 255), constant_first=True)
    assert range_of_first_layers(flatbuffer) == RANGES["0..255"]


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([], id="none"),
        pytest.param([("MUL", 17.0)], id="unusual"),
        pytest.param([("MUL", 0.0)], id="zero"),
        pytest.param([("MUL", float("nan"))], id="not-a-number"),
    ],
)
def test_range_of_first_layers_that_show_no_range_is_none(with_first_layers, layers):
    assert range_of_first_layers(with_first_layers(*layers)) is None


def test_range_of_first_layers_of_a_constant_minus_the_image_is_none(with_first_layers):
    assert range_of_first_layers(with_first_layers(("SUB", 1.0), constant_first=True)) is None
