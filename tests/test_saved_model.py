"""SavedModel folders are read as networks; those that do more than computing are refused before they run."""

from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError

X = np.random.default_rng(0).random((3, 28, 28, 1)).astype(np.float32)


@pytest.fixture
def read(keras):
    from garmentlite.convert.saved_model import read_saved_model

    return read_saved_model


@pytest.fixture
def network(keras):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Flatten()(layers.BatchNormalization()(layers.Conv2D(2, 3)(inputs)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


@pytest.fixture
def save_function(tensorflow, tmp_path):
    """Saves a function of a batch of images; returns the folder."""

    def save(function, shape=(None, 28, 28, 1), owner=None):
        owner = owner or tensorflow.Module()
        spec = tensorflow.TensorSpec(shape, tensorflow.float32)
        owner.serve = tensorflow.function(function, input_signature=[spec])
        tensorflow.saved_model.save(owner, str(tmp_path / "own"), signatures=owner.serve)
        return tmp_path / "own"

    return save


def flat(tensorflow, x):
    return tensorflow.reshape(x, (-1, 784))[:, :10]


@pytest.mark.parametrize("way", ["export", "tf.saved_model.save", "keras-2"])
def test_saved_model_answers_as_the_network_does_and_its_softmax_is_a_layer(
    read, tensorflow, keras, keras2, network, tmp_path, way
):
    folder = str(tmp_path / "own")
    if way == "export":
        network.export(folder, verbose=False)
    elif way == "tf.saved_model.save":
        tensorflow.saved_model.save(network, folder)
    else:
        k = keras2.tf_keras
        network = k.Sequential(
            [k.Input((28, 28, 1)), k.layers.Flatten(), k.layers.Dense(10, activation="softmax")]
        )
        network.save(folder)
    found = read(Path(folder))
    assert isinstance(found.layers[-1], keras.layers.Softmax)
    assert (found.input_shape, found.output_shape) == ((None, 28, 28, 1), (None, 10))
    np.testing.assert_allclose(found(X).numpy(), network(X).numpy(), atol=1e-6)


def test_graph_that_writes_a_file_is_refused_and_not_run(read, tensorflow, save_function, tmp_path):
    written = tmp_path / "written"

    def writing(x):
        tensorflow.io.write_file(str(written), "x")
        return flat(tensorflow, x)

    with pytest.raises(ModelError, match=r"own does more than computing \(WriteFile\)"):
        read(save_function(writing))
    assert not written.exists()


def test_graph_that_reads_a_file_is_refused(read, tensorflow, save_function):
    def reading(x):
        size = tensorflow.strings.length(tensorflow.io.read_file("/etc/hostname"))
        return flat(tensorflow, x) + tensorflow.cast(size, tensorflow.float32)

    with pytest.raises(ModelError, match=r"does more than computing \(ReadFile\)"):
        read(save_function(reading))


def test_graph_with_a_table_that_is_filled_while_loading_is_refused(
    read, tensorflow, save_function
):
    owner = tensorflow.Module()
    filled = tensorflow.lookup.KeyValueTensorInitializer([1], [2.0])
    owner.table = tensorflow.lookup.StaticHashTable(filled, 0.0)

    def looking_up(x):
        return flat(tensorflow, x) + owner.table.lookup(tensorflow.constant(1))

    with pytest.raises(ModelError, match="does more than computing"):
        read(save_function(looking_up, owner=owner))


def test_two_outputs_or_a_fixed_number_of_images_are_refused(read, tensorflow, save_function):
    def two(x):
        return {"a": flat(tensorflow, x), "b": flat(tensorflow, x)}

    with pytest.raises(ModelError, match="has 1 inputs and 2 outputs"):
        read(save_function(two))
    one = save_function(lambda x: flat(tensorflow, x), shape=(1, 28, 28, 1))
    with pytest.raises(ModelError, match=r"takes float32 of shape .*expected float32 with an open"):
        read(one)


@pytest.mark.parametrize("content", [b"", b"text", bytes(100)])
def test_broken_folder_is_one_sentence(read, tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as a SavedModel") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_folder_without_its_weights_is_one_sentence(read, network, tmp_path):
    network.export(str(tmp_path / "own"), verbose=False)
    for path in (tmp_path / "own" / "variables").iterdir():
        path.unlink()
    with pytest.raises(ModelError, match="cannot be read as a SavedModel") as caught:
        read(tmp_path / "own")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["registered_name", "saveable_objects"])
def test_graph_whose_functions_run_while_it_is_loaded_is_refused(
    read, tensorflow, save_function, what
):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    folder = save_function(lambda x: flat(tensorflow, x))
    stored = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    changed = stored.meta_graphs[0].object_graph_def.nodes[-1]
    if what == "registered_name":
        changed.registered_name = "tf.StaticHashTable"
    else:
        changed.saveable_objects["x"].save_function = 1
    (folder / "saved_model.pb").write_bytes(stored.SerializeToString())
    with pytest.raises(ModelError, match="functions that run while it is loaded"):
        read(folder)


def test_graph_that_ends_in_a_sigmoid_is_refused(read, tensorflow, save_function):
    folder = save_function(lambda x: tensorflow.sigmoid(flat(tensorflow, x)))
    with pytest.raises(ModelError, match="ends in a sigmoid"):
        read(folder)


def test_graph_that_writes_for_debugging_is_refused(read, tensorflow, save_function, tmp_path):
    def debugging(x):
        url = f"file://{tmp_path}/seen"
        return tensorflow.raw_ops.DebugIdentity(input=flat(tensorflow, x), debug_urls=[url])

    with pytest.raises(ModelError, match=r"does more than computing \(DebugIdentity\)"):
        read(save_function(debugging))
    assert not (tmp_path / "seen").exists()
