"""Networks are converted to bytes, and the check of these bytes fails for each of its reasons."""

import numpy as np
import pytest

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import sha256
from garmentlite.edge.runtime import make_interpreter
from garmentlite.train.data import as_input


@pytest.fixture(scope="module")
def x(made_data):
    return as_input(made_data.x_train[:200])


@pytest.fixture(scope="module")
def twin(trained, folding, keras2):
    return keras2.build_twin(folding.fold(trained))


@pytest.fixture(scope="module")
def int8_bytes(export, twin, x):
    return export.to_int8(twin, x)


def run(flatbuffer, x):
    interpreter = make_interpreter(flatbuffer)
    place = interpreter.get_input_details()[0]["index"]
    rows = []
    for image in x:
        interpreter.set_tensor(place, image[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(rows)


def test_to_float32_gives_the_logits_of_the_network(export, trained, x):
    flatbuffer = export.to_float32(trained)
    expected = np.asarray(trained(x[:20], training=False))
    # Other kernels add in another order: float32 roundings of 6e-8 over some 400 products.
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(run(flatbuffer, x[:20]), expected, atol=tolerance)


def test_to_float32_has_a_static_batch_of_1(export, trained):
    contents = read_contents(export.to_float32(trained))
    assert contents.input_shape == (1, 28, 28, 1)
    assert (contents.input_type, contents.output_type) == ("float32", "float32")


def test_to_int8_is_int8_in_every_tensor(export, int8_bytes):
    contents = export.require_integers(int8_bytes, "int8")
    assert contents.input_shape == (1, 28, 28, 1)
    assert (contents.input_type, contents.output_type) == ("int8", "int8")
    assert set(contents.tensor_types) <= {"int8", "int32"}
    assert contents.tensor_types["int8"] > 3
    assert {"CONV_2D", "FULLY_CONNECTED"} <= set(contents.operators)
    assert not {"QUANTIZE", "DEQUANTIZE", "SOFTMAX"} & set(contents.operators)
    assert contents.size == len(int8_bytes)


def test_to_int8_takes_pixels_over_255_on_all_256_steps(int8_bytes):
    details = make_interpreter(int8_bytes).get_input_details()[0]
    assert details["quantization"] == (pytest.approx(1 / 255), -128)


def test_read_contents_of_a_file_with_metadata_is_the_same(export, int8_bytes, metadata_of):
    from garmentlite.edge.metadata import attach

    whole = read_contents(attach(int8_bytes, metadata_of()))
    assert whole.tensor_types == read_contents(int8_bytes).tensor_types


# --- every format


def formats_of(export, model, x):
    """The bytes of a network in every format."""
    return {
        "float32": export.to_float32(model),
        "float16": export.to_float16(model),
        "int8-weights": export.to_int8_weights(model),
        "int16x8": export.to_int16x8(model, x),
        **{f"int8, {io}": export.to_int8(model, x, io=io) for io in export.IO_TYPES},
    }


@pytest.fixture(scope="module")
def every_format(export, trained, x):
    return formats_of(export, trained, x)


def test_every_format_twice_gives_the_same_bytes(export, trained, x, every_format):
    again = formats_of(export, trained, x)
    assert {name: sha256(one) for name, one in again.items()} == {
        name: sha256(one) for name, one in every_format.items()
    }


@pytest.mark.parametrize(
    ("name", "border", "types"),
    [
        pytest.param("float32", "float32", {"float32"}, id="float32"),
        pytest.param("float16", "float32", {"float32", "float16"}, id="float16"),
        pytest.param("int8-weights", "float32", {"float32", "int8"}, id="int8-weights"),
        pytest.param("int16x8", "int16", {"int16", "int8", "int64"}, id="int16x8"),
        pytest.param("int8, int8", "int8", {"int8"}, id="int8"),
        pytest.param("int8, uint8", "uint8", {"int8", "uint8"}, id="int8-uint8"),
        pytest.param("int8, float32", "float32", {"int8", "float32"}, id="int8-float32"),
    ],
)
def test_every_format_has_its_types_in_its_bytes(every_format, name, border, types):
    contents = read_contents(every_format[name])
    assert (contents.input_type, contents.output_type) == (border, border)
    # Besides: shapes, and biases of int8 arithmetic.
    assert set(contents.tensor_types) - {"int32"} == types


@pytest.mark.parametrize("name", ["float32", "float16", "int8-weights"])
def test_weights_of_a_format_take_the_bytes_they_should(every_format, name):
    weights = 200 + 2880  # 5x5x1x8 and 6x6x8x10; the small kernel is not worth quantizing
    expected = {"float32": 4 * weights, "float16": 2 * weights, "int8-weights": 4 * 200 + 2880}
    tensors = read_contents(every_format[name]).tensors
    held = sum(one.num_bytes for one in tensors if one.is_constant and one.size >= 200)
    assert held == expected[name]


@pytest.mark.parametrize("io", ["uint8", "float32"])
def test_to_int8_with_another_border_gives_the_same_answers(every_format, made_data, tmp_path, io):
    logits = {}
    for one in ("int8", io):
        path = tmp_path / f"{one}.tflite"
        path.write_bytes(every_format[f"int8, {one}"])
        classifier = Classifier(path, input_range="0..1")
        assert classifier.input.dtype == classifier.output.dtype == np.dtype(one)
        logits[one] = classifier.logits(made_data.x_test)
    # The same integers inside, shifted or scaled at the border: a float32 rounding of at most 2**-24 apart.
    np.testing.assert_allclose(logits[io], logits["int8"], rtol=1e-6)


def test_to_int8_with_a_uint8_border_shifts_both_zero_points_by_128(every_format):
    int8, uint8 = (read_contents(every_format[f"int8, {io}"]) for io in ("int8", "uint8"))
    for one, other in ((int8.inputs, uint8.inputs), (int8.outputs, uint8.outputs)):
        assert other[0].scales == one[0].scales
        assert other[0].zero_points == (one[0].zero_points[0] + 128,)


def test_to_int16x8_answers_nearly_as_the_network(every_format, trained, x, tmp_path, made_data):
    path = tmp_path / "int16x8.tflite"
    path.write_bytes(every_format["int16x8"])
    logits = Classifier(path, input_range="0..1").logits(made_data.x_train[:200])
    expected = np.asarray(trained(x, training=False))
    # Weights have 8 bits: a relative error of up to 1/254 each, of either sign.
    assert np.abs(logits - expected).max() < np.abs(expected).max() / 50
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.98


# --- what is refused


def test_require_integers_refuses_a_float_file(export, every_format):
    with pytest.raises(ModelError, match="takes float32 and gives float32, expected int8 and int8"):
        export.require_integers(every_format["float32"], "int8")


@pytest.mark.parametrize("name", ["float32", "float16", "int8-weights"])
def test_require_integers_with_a_float_border_refuses_what_computes_in_float(
    export, every_format, name
):
    with pytest.raises(ModelError, match=r"computes with real numbers in CONV_2D, .*--allow-float"):
        export.require_integers(every_format[name], "float32")


@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_require_integers_takes_each_border(export, every_format, io):
    export.require_integers(every_format[f"int8, {io}"], io)


class WithSine:
    """What has no int8 kernel."""

    input_shape = (None, 28, 28, 1)

    def __init__(self, tensorflow):
        self.tf = tensorflow

    def __call__(self, x, training=False):
        return self.tf.math.sin(self.tf.reshape(x, (1, 784))) @ self.tf.fill((784, 10), 0.01)


def test_to_int8_refuses_float_inside_unless_asked_for(export, tensorflow, x):
    model = WithSine(tensorflow)
    with pytest.raises(ModelError, match=r"computes with real numbers in SIN, .*--allow-float"):
        export.to_int8(model, x[:10])
    contents = read_contents(export.to_int8(model, x[:10], allow_float=True))
    assert contents.input_type == "int8"
    assert {"SIN", "FULLY_CONNECTED"} <= set(contents.operators)


def test_to_int16x8_of_an_operator_without_such_a_kernel_names_it(export, tensorflow, x):
    with pytest.raises(ModelError, match=r"finds no operator .*none for SIN"):
        export.to_int16x8(WithSine(tensorflow), x[:10])


def test_to_float32_of_an_operator_that_does_not_exist_names_it(export, tensorflow):
    tf = tensorflow

    class WithGamma:
        input_shape = (None, 28, 28, 1)

        def __call__(self, x, training=False):
            return tf.math.igamma(x + 1.0, x)

    with pytest.raises(ModelError, match=r"finds no operator .*none for Igamma"):
        export.to_float32(WithGamma())


def test_require_integers_refuses_a_batch_that_is_not_1(export, tensorflow, twin, x):
    tf = tensorflow
    function = tf.function(lambda x: twin(x, training=False), jit_compile=False)
    concrete = function.get_concrete_function(tf.TensorSpec((None, 28, 28, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], twin)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in x[:10])
    with pytest.raises(ModelError, match=r"has input \(-1, 28, 28, 1\), expected batch 1"):
        export.require_integers(export.convert_quietly(converter), "int8")
