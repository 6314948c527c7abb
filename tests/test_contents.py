"""The content of a TFLite file is compared with numbers worked out by hand."""

import json
import warnings

import numpy as np
import pytest

from garmentlite.edge import shipped
from garmentlite.edge.contents import Tensor, arena_estimate
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.metadata import split


def activation(num_bytes):
    return Tensor("", (num_bytes,), (num_bytes,), "int8", (0.1,), (0,), is_constant=False)


@pytest.fixture
def convert(tensorflow):
    """Converts a function of one image, whose weights are constants, to TFLite bytes.

    `integer` is None for a float file, else the type at the borders of an int8 file.
    """
    tf = tensorflow

    def make(function, shape, *, integer=None, weights_only=False, half=False):
        signature = tf.TensorSpec((1, *shape), tf.float32, name="image")
        traced = tf.function(function, jit_compile=False).get_concrete_function(signature)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
        if integer or weights_only or half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if half:
            converter.target_spec.supported_types = [tf.float16]
        if integer:
            rng = np.random.default_rng(0)
            images = rng.random((8, 1, *shape), np.float32)
            converter.representative_dataset = lambda: ([image] for image in images)
            converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(
                integer
            )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
            return converter.convert()

    return make


def constant(tf, *shape):
    return tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)


# --- the shipped files


@pytest.mark.parametrize(
    ("kind", "types", "arena"),
    [
        # The worst moment is the first pooling: it reads 28x28x64 and writes 14x14x64.
        pytest.param("int8", {"int8": 12, "int32": 5}, 28 * 28 * 64 + 14 * 14 * 64, id="int8"),
        pytest.param(
            "float32", {"float32": 16, "int32": 1}, 4 * (28 * 28 * 64 + 14 * 14 * 64), id="float32"
        ),
    ],
)
def test_read_contents_of_the_shipped_network_is_what_the_network_is(kind, types, arena):
    path = shipped.FOLDER / f"weighted-cnn_{kind}.tflite"
    flatbuffer, _ = split(path.read_bytes())
    contents = read_contents(flatbuffer)
    assert [step.name for step in contents.steps] == [
        "CONV_2D", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D", "RESHAPE",
        "FULLY_CONNECTED", "FULLY_CONNECTED",
    ]  # fmt: skip
    macs = (28 * 28 * 64 * 3 * 3 * 1, 14 * 14 * 128 * 3 * 3 * 64, 7 * 7 * 128 * 256, 256 * 10)
    assert [step.macs for step in contents.steps if step.macs] == list(macs)
    assert contents.macs == sum(macs)
    weights = (3 * 3 * 1 + 1) * 64 + (3 * 3 * 64 + 1) * 128 + (7 * 7 * 128 + 1) * 256 + 257 * 10
    assert contents.parameters == weights
    assert contents.parameters == json.loads((path.parent / "weighted-cnn.json").read_text())[
        "parameters"
    ]  # fmt: skip
    assert contents.tensor_types == types
    assert contents.arena_bytes == arena
    assert (contents.input_type, contents.output_type) == (kind, kind)
    assert contents.input_shape == (1, 28, 28, 1)
    assert contents.float_islands == ()
    assert contents.size == len(flatbuffer)


def test_read_contents_of_the_border_is_scale_and_zero_point_of_the_file(shipped_int8):
    contents = read_contents(shipped_int8.read_bytes())
    assert contents.inputs[0].as_document() == {
        "shape": [1, 28, 28, 1], "dtype": "int8",
        "scale": pytest.approx(1 / 255), "zero_point": -128,
    }  # fmt: skip
    assert contents.outputs[0].shape == (1, 10)


def test_document_of_contents_is_json(shipped_int8):
    document = json.loads(json.dumps(read_contents(shipped_int8.read_bytes()).as_document()))
    assert document["operators"][0] == {
        "name": "CONV_2D", "inputs": ["int8", "int8", "int32"], "outputs": ["int8"],
        "output_shape": [1, 28, 28, 64], "macs": 451_584,
    }  # fmt: skip
    assert set(document) == {
        "inputs", "outputs", "operators", "tensor_types", "float_islands", "parameters", "macs",
        "arena_bytes",
    }  # fmt: skip


# --- files made byte by byte


@pytest.mark.parametrize("io", ["float32", "int8", "uint8"])
def test_read_contents_of_one_dense_layer(dense_model, io):
    contents = read_contents(dense_model(np.ones((4, 784)), np.zeros(4), io=io, softmax=True))
    assert [(step.name, step.macs) for step in contents.steps] == [
        ("FULLY_CONNECTED", 4 * 784),
        ("SOFTMAX", 0),
    ]
    assert contents.parameters == 4 * 784 + 4
    # The image and four logits, which take a whole aligned 16 bytes.
    assert contents.arena_bytes == 784 * (4 if io == "float32" else 1) + 16
    assert contents.input_type == contents.output_type == io


# --- arena


@pytest.mark.parametrize(
    ("sizes", "reads", "writes", "expected"),
    [
        pytest.param([32], [], [], 0, id="nothing-runs"),
        pytest.param([32, 16], [], [], 0, id="nothing-runs-and-the-input-is-unread"),
        pytest.param([32, 16], [[0]], [[1]], 48, id="one-operator"),
        pytest.param([1, 17], [[0]], [[1]], 16 + 32, id="aligned"),
        # 0 -> 1 -> 2 -> 3: two neighbours at a time.
        pytest.param([16, 64, 160, 16], [[0], [1], [2]], [[1], [2], [3]], 224, id="chain"),
        # 0 -> 1 -> 2, then 3 = 1 + 2: the branch keeps 1 alive while 2 and 3 are there.
        pytest.param([16, 64, 64, 64], [[0], [1], [1, 2]], [[1], [2], [3]], 192, id="branch"),
        # The input is read again at the end, so that it lives throughout.
        pytest.param([48, 64, 64, 16], [[0], [1], [2, 0]], [[1], [2], [3]], 176, id="input-again"),
        # 1 is written and never read: it takes its place once.
        pytest.param([16, 160, 16], [[0], [0]], [[1], [2]], 176, id="unread"),
    ],
)
def test_arena_estimate_is_the_largest_sum_of_what_lives(sizes, reads, writes, expected):
    tensors = {number: activation(size) for number, size in enumerate(sizes)}
    # Constants are in the file, not in the arena.
    constant = Tensor("weights", (999,), (999,), "int8", (0.1,), (0,), is_constant=True)
    reads = [[*read, 99] for read in reads]
    assert (
        arena_estimate(tensors | {99: constant}, reads, writes, [0], [len(sizes) - 1]) == expected
    )


def test_arena_estimate_keeps_an_early_output_to_the_end():
    tensors = {number: activation(16) for number in range(4)}
    graph = [[0], [0], [2]], [[1], [2], [3]]  # 1 is an answer; 2 and 3 come later
    assert arena_estimate(tensors, *graph, [0], [3]) == 32
    assert arena_estimate(tensors, *graph, [0], [1, 3]) == 48
    longer = [[0], [0], [2], [3]], [[1], [2], [3], [4]]
    tensors[4] = activation(32)
    assert arena_estimate(tensors, *longer, [0], [4]) == 48
    assert arena_estimate(tensors, *longer, [0], [1, 4]) == 64


# --- operators of a converter


def test_macs_of_each_counted_operator_are_those_worked_out_by_hand(tensorflow, convert):
    tf = tensorflow
    kernels = constant(tf, 3, 3, 4, 8), constant(tf, 5, 5, 8, 1), constant(tf, 2, 2, 6, 8)
    dense = constant(tf, 16 * 16 * 6, 10)

    def network(x):
        x = tf.nn.conv2d(x, kernels[0], 2, "SAME")  # 16x16x4 to 8x8x8
        x = tf.nn.depthwise_conv2d(x, kernels[1], (1, 1, 1, 1), "SAME")  # to 8x8x8
        x = tf.nn.conv2d_transpose(x, kernels[2], (1, 16, 16, 6), 2)  # to 16x16x6
        return tf.reshape(x, (1, -1)) @ dense

    contents = read_contents(convert(network, (16, 16, 4)))
    counted = {step.name: step.macs for step in contents.steps if step.macs}
    assert counted == {
        "CONV_2D": 8 * 8 * 8 * 3 * 3 * 4,
        "DEPTHWISE_CONV_2D": 8 * 8 * 8 * 5 * 5,
        "TRANSPOSE_CONV": 8 * 8 * 8 * 2 * 2 * 6,
        "FULLY_CONNECTED": 16 * 16 * 6 * 10,
    }


@pytest.mark.parametrize(
    ("options", "inside"),
    [
        pytest.param({}, "float32", id="float32"),
        pytest.param({"weights_only": True}, "float32", id="int8-weights"),
        pytest.param({"half": True}, "float32", id="float16"),
        pytest.param({"integer": "int8"}, "int8", id="int8"),
        pytest.param({"integer": "uint8"}, "int8", id="uint8-borders"),
        pytest.param({"integer": "float32"}, "int8", id="float-borders"),
    ],
)
def test_parameters_and_islands_of_every_format_of_one_network(
    tensorflow, convert, options, inside
):
    tf = tensorflow
    kernel, bias, dense = constant(tf, 3, 3, 1, 8), constant(tf, 8), constant(tf, 14 * 14 * 8, 10)

    def network(x):
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME") + bias)
        return tf.reshape(x, (1, -1)) @ dense

    contents = read_contents(convert(network, (28, 28, 1), **options))
    # A layer without a bias gets one of zeros in an integer file, or none.
    assert contents.parameters - (3 * 3 * 8 + 8 + 14 * 14 * 8 * 10) in (0, 10)
    (conv,) = (step for step in contents.steps if step.name == "CONV_2D")
    assert conv.outputs[0].dtype == inside
    assert contents.float_islands == ()
    assert contents.macs == 14 * 14 * 8 * 9 + 14 * 14 * 8 * 10


def test_float_islands_name_the_operators_that_stayed_float(tensorflow, convert):
    tf = tensorflow
    dense = constant(tf, 784, 10)

    def network(x):
        return tf.math.sin(tf.reshape(x, (1, 784))) @ dense

    contents = read_contents(convert(network, (28, 28, 1), integer="int8"))
    names = [step.name for step in contents.float_islands]
    assert names == ["DEQUANTIZE", "SIN", "QUANTIZE"]
    assert contents.as_document()["float_islands"] == names


def test_read_contents_reads_an_operator_without_a_reference_kernel(tensorflow, convert):
    tf = tensorflow
    dense = constant(tf, 784, 10)
    contents = read_contents(
        convert(lambda x: tf.nn.elu(tf.reshape(x, (1, 784)) @ dense), (28, 28, 1))
    )
    assert "ELU" in [step.name for step in contents.steps]


def test_input_shape_of_an_open_batch_is_minus_1_and_counts_one_image(tensorflow):
    tf = tensorflow
    dense = constant(tf, 784, 10)
    function = tf.function(lambda x: tf.reshape(x, (-1, 784)) @ dense, jit_compile=False)
    traced = function.get_concrete_function(tf.TensorSpec((None, 28, 28, 1), tf.float32))
    contents = read_contents(tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert())
    assert contents.input_shape == (-1, 28, 28, 1)
    assert contents.macs == 7840
