"""Files of Keras 2 give the same answers in Keras 3: `.keras` and `.h5`, of old and newer versions."""

import io
import json
import zipfile

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError
from garmentlite.train.keras2_config import as_keras_3, is_keras_2
from garmentlite.train.keras_file import read_network

h5py = pytest.importorskip("h5py")


@pytest.fixture
def keras_2(keras2):
    """Keras 2, as TensorFlow had it up to version 2.15."""
    return keras2.tf_keras


def with_batch_norm(k):
    inputs = k.Input((28, 28, 1))
    x = k.layers.Conv2D(4, 3, activation="relu")(inputs)
    return inputs, k.layers.DepthwiseConv2D(3)(k.layers.BatchNormalization()(x))


def of_tutorials(k):
    """Layers that the tutorials of TensorFlow use, with the arguments that Keras 3 no longer takes."""
    inputs, x = with_batch_norm(k)
    x = k.layers.SpatialDropout2D(0.2)(k.layers.RandomFlip()(x))
    x = k.layers.SeparableConv2D(4, 3)(k.layers.LeakyReLU(0.2)(x))
    x = k.layers.Conv2DTranspose(4, 3)(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    return k.Model(inputs, k.layers.Dense(10, activation="softmax", kernel_regularizer="l2")(x))


def nested(k):
    inputs, x = with_batch_norm(k)
    inner = k.Model(inputs, x)
    return k.Sequential([k.Input((28, 28, 1)), inner, k.layers.Flatten(), k.layers.Dense(10)])


def sequential(k):
    return k.Sequential([k.layers.Flatten(input_shape=(28, 28)), k.layers.Dense(10)])


def recurrent(k):
    cell = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True))
    return k.Sequential([k.Input((28, 28)), cell, k.layers.GRU(3), k.layers.Dense(10)])


def require_same_answers(k, path):
    """Fails unless Keras 3 answers with the file as Keras 2 does."""
    expected = k.models.load_model(path, compile=False)
    found = read_network(path, "save it again")
    x = np.random.default_rng(0).random((3, *expected.input_shape[1:])).astype(np.float32)
    answers = found(x, training=False).numpy()
    # The same kernels on the same numbers; only sums may be taken in another order.
    np.testing.assert_allclose(answers, expected(x, training=False).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", [of_tutorials, nested, sequential, recurrent])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_network_of_keras_2_gives_the_same_answers_in_keras_3(keras_2, tmp_path, build, suffix):
    path = tmp_path / f"network{suffix}"
    network = build(keras_2)
    for weights in network.trainable_variables:
        weights.assign_add(0.01 * np.ones(weights.shape))
    network.save(path)
    require_same_answers(keras_2, path)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_network_trained_in_mixed_precision_is_read_as_float32(keras_2, keras, tmp_path):
    keras_2.mixed_precision.set_global_policy("mixed_float16")
    try:
        sequential(keras_2).save(tmp_path / "mixed.h5")
    finally:
        keras_2.mixed_precision.set_global_policy("float32")
    found = read_network(tmp_path / "mixed.h5", "save it again")
    assert {layer.compute_dtype for layer in found.layers} == {"float32"}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_old_hdf5_file_without_version_and_input_layer_is_read(keras_2, tmp_path):
    path = tmp_path / "old.h5"
    network = sequential(keras_2)
    network.save(path)
    with h5py.File(path, "r+") as stored:
        config = json.loads(stored.attrs["model_config"])
        config["config"] = config["config"]["layers"][1:]  # a list of layers, before Keras 2.2.3
        assert config["config"][0]["config"]["batch_input_shape"] == [None, 28, 28]
        stored.attrs["model_config"] = json.dumps(config)
        del stored.attrs["keras_version"]
    found = read_network(path, "save it again")
    np.testing.assert_array_equal(found.get_weights()[0], network.get_weights()[0])


def test_keras_file_of_tensorflow_2_13_with_its_other_names_is_read(keras_2, tmp_path):
    """TensorFlow 2.12 and 2.13 called the group of layers `_layer_checkpoint_dependencies`."""
    network = sequential(keras_2)
    network.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(entries["model.weights.h5"])
    with h5py.File(weights, "r+") as stored:
        stored.move("layers", "_layer_checkpoint_dependencies")
    entries["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    found = read_network(tmp_path / "old.keras", "save it again")
    np.testing.assert_array_equal(found.get_weights()[0], network.get_weights()[0])


def test_function_of_tensorflow_between_layers_says_to_save_a_folder(keras_2, tmp_path):
    inputs = keras_2.Input((28, 28, 1))
    scaled = keras_2.layers.Flatten()(inputs / 255.0)
    keras_2.Model(inputs, keras_2.layers.Dense(10)(scaled)).save(tmp_path / "functions.keras")
    with pytest.raises(
        ModelError, match=r"functions of TensorFlow \(math\.truediv\).*tf\.saved_model\.save"
    ):
        read_network(tmp_path / "functions.keras", "save it again")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_lambda_of_keras_2_is_refused_and_not_run(keras_2, tmp_path, suffix):
    path = tmp_path / f"code{suffix}"
    code = keras_2.layers.Lambda(lambda x: x * 2, name="mine")
    keras_2.Sequential([keras_2.Input((28, 28)), code, keras_2.layers.Flatten()]).save(path)
    with pytest.raises(ModelError, match="holds Python code in its layer 'mine'"):
        read_network(path, "save it again")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.15.0", True),
        (b"2.4.0", True),
        ("1.2", True),
        ("3.13.0", False),
        (None, False),
        (2, False),
    ],
)
def test_is_keras_2_reads_the_version_of_a_file(version, expected):
    assert is_keras_2(version) == expected


def test_convolution_in_groups_keeps_them():
    layer = {
        "class_name": "Conv2D",
        "config": {"name": "c", "groups": 1, "kernel_initializer": None},
    }
    found = as_keras_3({"class_name": "Sequential", "config": {"layers": [layer]}}, "a.h5")
    assert found["config"]["layers"][0]["config"] == {"name": "c", "groups": 1}
