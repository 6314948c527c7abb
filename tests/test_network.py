"""Tests of reading a network of any kind that can be converted, and of files that are none."""

import numpy as np
import pytest

from garmentlite.convert.network import load_network
from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.model_input import RANGES
from garmentlite.edge.probabilities import softmax


def save_network(keras, path, *, shape=(28, 28, 1), outputs=10, extra=None):
    inputs = keras.Input(shape)
    x = extra(inputs) if extra else inputs
    keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.Flatten()(x))).save(path)
    return path


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        pytest.param(
            {"shape": (28, 28, 4)}, r"\(None, 28, 28, 4\) to \(None, 10\)", id="4-channels"
        ),
        pytest.param({"outputs": 1}, r"\(None, 28, 28, 1\) to \(None, 1\)", id="one-output"),
        pytest.param({"shape": (783,)}, r"\(None, 783\)", id="no-square"),
    ],
)
def test_load_network_of_what_is_no_image_classifier_says_what_was_expected(
    keras, tmp_path, options, shapes
):
    path = save_network(keras, tmp_path / "other.keras", **options)
    with pytest.raises(
        ModelError, match=f"goes from {shapes}.*, expected one grey or colour image"
    ):
        load_network(path)


def test_load_network_of_an_open_size_or_two_outputs_is_refused(keras, tmp_path):
    layers = keras.layers
    open_size, two = keras.Input((None, None, 1)), keras.Input((28, 28, 1))
    mean = layers.GlobalAveragePooling2D()
    keras.Model(open_size, layers.Dense(3)(mean(open_size))).save(tmp_path / "open.keras")
    flat = layers.Flatten()(two)
    keras.Model(two, [layers.Dense(3)(flat), layers.Dense(3)(flat)]).save(tmp_path / "two.keras")
    for name in ("open", "two"):
        with pytest.raises(ModelError, match="expected one grey or colour image"):
            load_network(tmp_path / f"{name}.keras")


def test_load_network_of_another_size_and_other_classes_is_possible(keras, tmp_path):
    path = save_network(keras, tmp_path / "other.keras", shape=(20, 16, 1), outputs=4)
    assert load_network(path).model.output_shape == (None, 4)


def test_load_network_of_a_lambda_runs_no_code_of_the_file(keras, tmp_path):
    path = save_network(
        keras, tmp_path / "code.keras", extra=keras.layers.Lambda(lambda x: x * 2, output_shape=(28, 28, 1))
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"code\.keras holds Python code in its layer 'lambda"):
        load_network(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"a text file\n", id="text"),
        pytest.param(lambda content: content[: len(content) // 2], id="cut-off"),
        pytest.param(lambda content: content[:2000] + bytes(500) + content[2500:], id="corrupt"),
    ],
)
def test_load_network_of_a_broken_file_is_one_sentence(trained_keras, tmp_path, damage):
    path = tmp_path / "broken.keras"
    path.write_bytes(damage(trained_keras.read_bytes()))
    with pytest.raises(
        ModelError, match=r"broken\.keras cannot be read as a Keras network"
    ) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


def test_load_network_with_a_layer_that_is_not_known_is_one_sentence(keras, tmp_path):
    class Mine(keras.layers.Layer):
        def call(self, x):
            return x

    path = save_network(keras, tmp_path / "own.keras", extra=Mine())
    with pytest.raises(ModelError, match="cannot be read as a Keras network") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


def test_load_network_on_another_backend_says_what_to_unset(keras, trained_keras, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OptionError, match="KERAS_BACKEND is 'jax'; unset it"):
        load_network(trained_keras)


def test_load_network_of_a_folder_reads_a_saved_model_and_adapts_it(tensorflow, keras, tmp_path):
    inputs = keras.Input((784,))
    network = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(inputs))
    tensorflow.saved_model.save(network, str(tmp_path / "saved"))
    found = load_network(tmp_path / "saved")
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    expected = network(images.reshape(5, 784) / np.float32(255)).numpy()
    np.testing.assert_allclose(softmax(found.predict(images)), expected, atol=1e-6)
    assert len(found.adapted.sentences) == 2  # of its shape and its softmax


def test_network_with_another_input_range_takes_the_same_images_as_other_numbers(keras, tmp_path):
    path = save_network(keras, tmp_path / "own.keras")
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    found = load_network(path, RANGES["-1..1"])
    expected = found.original(images[..., np.newaxis] / np.float32(127.5) - 1).numpy()
    np.testing.assert_allclose(found.predict(images), expected, atol=1e-5)
    expected = found.original(np.float32(images[..., np.newaxis])).numpy()
    np.testing.assert_allclose(
        found.with_input_range(RANGES["0..255"]).predict(images), expected, rtol=1e-5, atol=1e-3
    )


def test_load_network_that_was_saved_before_it_was_built_is_refused(keras, tmp_path):
    with pytest.warns(UserWarning, match="has not yet been built"):
        keras.Sequential([keras.layers.Dense(10)]).save(tmp_path / "unbuilt.keras")
    with pytest.raises(ModelError, match=r"unbuilt\.keras"):
        load_network(tmp_path / "unbuilt.keras")


def test_load_network_whose_weights_are_parts_of_another_file_is_refused(keras, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = save_network(keras, tmp_path / "own.h5")
    (tmp_path / "own.h5").rename(tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5") as other, h5py.File(path, "w") as stored:
        stored.attrs.update(other.attrs)
        other.copy("model_weights", stored)
        whole = other["model_weights"]
        names = []
        whole.visititems(
            lambda name, one: names.append(name) if isinstance(one, h5py.Dataset) else None
        )
        for name in names:
            kind = whole[name]
            layout = h5py.VirtualLayout(kind.shape, kind.dtype)
            layout[...] = h5py.VirtualSource(
                tmp_path / "other.h5", f"model_weights/{name}", kind.shape
            )
            del stored[f"model_weights/{name}"]
            stored.create_virtual_dataset(f"model_weights/{name}", layout)
    with pytest.raises(ModelError, match="its weights are in another file"):
        load_network(path)
