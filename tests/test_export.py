"""Networks as bytes, and the check of what those bytes hold, seen failing for every reason it has."""

import numpy as np
import pytest

from edge.errors import ModelError
from edge.runtime import make_interpreter
from train.data import as_input


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
    contents = export.read_contents(export.to_float32(trained))
    assert contents.input_shape == (1, 28, 28, 1)
    assert (contents.input_type, contents.output_type) == ("float32", "float32")


def test_to_int8_is_int8_in_every_tensor(export, int8_bytes):
    contents = export.require_int8(int8_bytes)
    assert contents.input_shape == (1, 28, 28, 1)
    assert (contents.input_type, contents.output_type) == ("int8", "int8")
    assert set(contents.tensor_types) <= export.INTEGER_TYPES
    assert contents.tensor_types["int8"] > 3
    assert {"CONV_2D", "FULLY_CONNECTED"} <= set(contents.operators)
    assert not {"QUANTIZE", "DEQUANTIZE", "SOFTMAX"} & set(contents.operators)
    assert contents.size == len(int8_bytes)


def test_to_int8_takes_pixels_over_255_on_all_256_steps(int8_bytes):
    details = make_interpreter(int8_bytes).get_input_details()[0]
    assert details["quantization"] == (pytest.approx(1 / 255), -128)


def test_to_int8_twice_gives_the_same_bytes(export, twin, x, int8_bytes):
    assert export.to_int8(twin, x) == int8_bytes


def test_read_contents_of_a_file_with_metadata_is_the_same(export, int8_bytes, metadata_of):
    from edge.metadata import attach

    whole = export.read_contents(attach(int8_bytes, metadata_of()))
    assert whole.tensor_types == export.read_contents(int8_bytes).tensor_types


def test_require_int8_refuses_a_float_file(export, trained):
    with pytest.raises(ModelError, match="takes float32 and gives float32, expected int8"):
        export.require_int8(export.to_float32(trained))


def test_require_int8_refuses_float_borders_around_int8_weights(export, tensorflow, twin):
    converter = export.converter_for(twin)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]  # weights only
    with pytest.raises(ModelError, match="takes float32 and gives float32"):
        export.require_int8(export.convert_quietly(converter))


def test_require_int8_refuses_float_inside(export, tensorflow, x):
    tf = tensorflow

    class WithSine(tf.Module):
        input_shape = (None, 28, 28, 1)

        def __call__(self, x, training=False):
            return tf.math.sin(tf.reshape(x, (1, 784))) @ tf.fill((784, 10), 0.01)

    converter = export.converter_for(WithSine())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in x[:10])
    with pytest.raises(ModelError, match=r"holds \{'float32': \d+\} besides integers"):
        export.require_int8(export.convert_quietly(converter))


def test_require_int8_refuses_a_batch_that_is_not_1(export, tensorflow, twin, x):
    tf = tensorflow
    function = tf.function(lambda x: twin(x, training=False), jit_compile=False)
    concrete = function.get_concrete_function(tf.TensorSpec((None, 28, 28, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], twin)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in x[:10])
    with pytest.raises(ModelError, match=r"has input \(-1, 28, 28, 1\), expected batch 1"):
        export.require_int8(export.convert_quietly(converter))
