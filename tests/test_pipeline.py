"""`cli convert` as a whole, on a small network and a made data set."""

import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from edge import metrics
from edge.classifier import Classifier
from edge.errors import DataError, ModelError, OptionError, OutputError
from edge.files import sha256
from edge.labels import FASHION_MNIST_LABELS
from edge.preparation import PREPARATION
from train.data import validation_split


@pytest.fixture
def convert(pipeline, trained_keras, made_data):
    """Converts the small network into a folder, by calibration alone unless told otherwise."""

    def run(folder, source=None, *, fine_tune=False, **options):
        source = source or pipeline.find_source(trained_keras, None)
        return pipeline.convert(
            source, folder, made_data, fine_tune=fine_tune, epochs=1, seed=0, **options
        )

    return run


@pytest.fixture(scope="module")
def converted(pipeline, trained_keras, made_data, tmp_path_factory):
    """(what was written, what was said, reported progress), with fine-tuning."""
    said, progress = [], []
    done = pipeline.convert(
        pipeline.find_source(trained_keras, None), tmp_path_factory.mktemp("converted"), made_data,
        fine_tune=True, epochs=1, seed=0, say=said.append,
        on_progress=lambda *report: progress.append(report),
    )  # fmt: skip
    return done, said, progress


def test_convert_writes_four_files(converted):
    done, said, progress = converted
    folder = done.int8.parent
    assert sorted(os.listdir(folder)) == [
        "tiny.json", "tiny.keras", "tiny_float32.tflite", "tiny_int8.tflite",
    ]  # fmt: skip
    assert (done.float32.name, done.int8.name) == ("tiny_float32.tflite", "tiny_int8.tflite")
    assert said
    assert progress[-1][1] == progress[-1][2]


def test_convert_tries_every_way_and_takes_the_closest(converted):
    done, *_ = converted
    assert len(done.candidates) == 4
    assert len({one.way for one in done.candidates}) == 4
    assert done.chosen.changed == min(one.changed for one in done.candidates)
    assert done.int8.read_bytes().startswith(done.chosen.flatbuffer)


def test_convert_without_fine_tuning_tries_one_way_less(convert, tmp_path):
    assert len(convert(tmp_path).candidates) == 3


def test_converted_files_keep_the_contract(converted, export):
    done, *_ = converted
    export.require_int8(done.int8.read_bytes())
    for path, kind in ((done.float32, "float32"), (done.int8, "int8")):
        classifier = Classifier(path)
        assert classifier.warnings == []
        assert classifier.labels == list(FASHION_MNIST_LABELS)
        assert classifier.name == "tiny"
        assert classifier.input.dtype == classifier.output.dtype == np.dtype(kind)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None


def test_converted_files_and_the_card_name_one_float_model(converted, trained_keras):
    done, *_ = converted
    keras_sum = sha256(trained_keras.read_bytes())
    for path in (done.float32, done.int8):
        assert Classifier(path).metadata.reference_sha256 == keras_sum
    assert done.card["files"]["keras"]["sha256"] == keras_sum
    for kind, path in (("float32", done.float32), ("int8", done.int8)):
        assert done.card["files"][kind] == {
            "file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()),
        }  # fmt: skip


def test_card_has_its_fields_and_is_the_file_written(converted):
    done, *_ = converted
    card = json.loads(done.int8.with_name("tiny.json").read_text(encoding="utf-8"))
    assert card == done.card
    assert card["labels"] == list(FASHION_MNIST_LABELS)
    assert card["preparation"] == PREPARATION
    assert set(card["tensor_types"]) <= {"int8", "int32"}
    # Folded: 5x5x1x8 and 6x6x8x10 kernels with their biases, 8 + 10.
    assert card["parameters"] == 200 + 2880 + 8 + 10
    assert len(card["test_set_read"]) >= 1
    quantization = card["quantization"]
    assert [one["way"] for one in quantization["candidates"]] == [
        one.way for one in done.candidates
    ]
    assert quantization["way"] == done.chosen.way
    assert quantization["calibration"]["count"] == 900
    assert 0 <= quantization["folding_difference"] < 1e-5
    assert {"tensorflow", "tf_keras", "keras"} <= set(quantization["versions"])


def test_card_measures_what_the_files_do(converted, made_data):
    done, *_ = converted
    _, validation = validation_split(made_data.y_train)
    parts = {
        "validation": (made_data.x_train[validation], made_data.y_train[validation]),
        "test": (made_data.x_test, made_data.y_test),
    }
    for path, kind in ((done.float32, "float32"), (done.int8, "int8")):
        classifier = Classifier(path)
        for part, (x, y) in parts.items():
            expected = metrics.summary(y, classifier.logits(x), FASHION_MNIST_LABELS)
            assert done.card["measured"][kind][part] == expected
            inside = classifier.metadata.measured[part]
            assert inside["accuracy"] == expected["accuracy"]
            assert list(inside["recall_per_class"].values()) == [
                row["recall"] for row in expected["per_class"]
            ]
    assert done.card["measured"]["float32"]["test"]["accuracy"] > 0.5  # chance is 0.1


def test_float_file_has_the_temperature_of_the_int8_file(converted):
    done, *_ = converted
    temperatures = {Classifier(p).metadata.temperature for p in (done.float32, done.int8)}
    assert temperatures == {done.card["temperature"]}
    assert 0.2 <= done.card["temperature"] <= 5


@pytest.mark.slow
def test_convert_twice_gives_the_same_files(convert, tmp_path):
    first, again = convert(tmp_path / "a"), convert(tmp_path / "b")
    for name in os.listdir(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert first.chosen.way == again.chosen.way


def test_convert_of_an_untrained_network_is_possible(convert, pipeline, networks, tiny, tmp_path):
    networks.NETWORKS[tiny].build(10).save(tmp_path / "raw.keras")
    convert(tmp_path, pipeline.find_source(tmp_path / "raw.keras", "other"))
    assert (tmp_path / "other_int8.tflite").exists()


def test_convert_that_would_ship_another_network_is_refused(
    convert, pipeline, export, keras, trained, tmp_path, monkeypatch
):
    """The float file is compared with the network before anything is written."""
    other = keras.models.clone_model(trained)
    to_float32 = export.to_float32
    monkeypatch.setattr(export, "to_float32", lambda model: to_float32(other))
    with pytest.raises(ModelError, match="the exported float32 file differs from the original"):
        convert(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_convert_of_a_twin_that_differs_is_refused(convert, folding, tmp_path, monkeypatch):
    fold = folding.fold

    def wrong(model):
        *before, last = fold(model)
        return [*before, replace(last, bias=last.bias + 0.01)]

    monkeypatch.setattr(folding, "fold", wrong)
    with pytest.raises(ModelError, match="the folded network differs from the original"):
        convert(tmp_path / "out")


def test_convert_on_a_full_disk_keeps_the_older_files(convert, tmp_path, monkeypatch):
    import errno
    from pathlib import Path

    for name in ("tiny_float32.tflite", "tiny_int8.tflite", "tiny.json"):
        (tmp_path / name).write_text("older")

    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        patch.setattr("convert.int8._classifier_of", _classifier_in_memory(tmp_path))
        with pytest.raises(OutputError, match="No space left"):
            convert(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["tiny.json", "tiny_float32.tflite", "tiny_int8.tflite"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"older"}


def _classifier_in_memory(folder):
    """Files in the system's temporary folder are written as usual, while the output's disk is full."""

    def make(flatbuffer):
        import tempfile

        with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
            file.write(flatbuffer)
            file.flush()
            return Classifier(file.name)

    return make


# --- what is to be converted


@pytest.fixture
def run_folder(trained_keras, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.keras").write_bytes(trained_keras.read_bytes())
    config = {
        "network": "tiny", "seed": 3, "class_weights": {"Shirt": 2.0},
        "augmentation": {"rotation": 5, "shift": 0.05, "shear": 0, "zoom": 0},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text("{}")
    return folder


def test_find_source_of_a_run_knows_its_protocol(pipeline, run_folder):
    source = pipeline.find_source(run_folder, None)
    assert source.name == "tiny"
    assert source.keras_path == run_folder / "model.keras"
    assert source.class_weights.tolist() == [1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert (source.augmentation.rotation, source.augmentation.shift) == (5, 0.05)
    assert pipeline.find_source(run_folder, "mine").name == "mine"


def test_find_source_of_a_keras_file_alone_knows_nothing_more(pipeline, trained_keras):
    source = pipeline.find_source(trained_keras, None)
    assert (source.name, source.training) == ("tiny", {})
    assert source.class_weights.tolist() == [1] * 10
    assert source.augmentation == type(source.augmentation)()


@pytest.mark.parametrize("missing", ["metrics.json", "config.json"])
def test_find_source_of_an_unfinished_run_says_how_to_finish_it(pipeline, run_folder, missing):
    (run_folder / missing).unlink()
    with pytest.raises(DataError, match=f"not a finished run: {missing} .*--resume"):
        pipeline.find_source(run_folder, None)


@pytest.mark.parametrize("name", ["none.keras", "model.h5", "model.tflite"])
def test_find_source_of_another_file_is_refused(pipeline, tmp_path, name):
    if not name.startswith("none"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"neither a run's folder nor a \.keras file"):
        pipeline.find_source(tmp_path / name, None)


def test_require_place_for_files_that_are_there_needs_force(pipeline, tmp_path):
    paths = pipeline.output_paths(tmp_path, "net")
    pipeline.require_place_for(paths, force=False)
    paths["card"].write_text("older")
    with pytest.raises(OutputError, match=r"net\.json already there; --force replaces"):
        pipeline.require_place_for(paths, force=False)
    pipeline.require_place_for(paths, force=True)
    assert paths["card"].read_text() == "older"


def test_require_place_below_a_file_is_refused_before_the_work(pipeline, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        pipeline.require_place_for(
            pipeline.output_paths(tmp_path / "file" / "out", "net"), force=True
        )


# --- files that are no network of ours


def save_network(keras, path, *, shape=(28, 28, 1), outputs=10, extra=None):
    inputs = keras.Input(shape)
    x = extra(inputs) if extra else inputs
    keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.Flatten()(x))).save(path)
    return path


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        pytest.param({"shape": (32, 32, 3)}, r"\(None, 32, 32, 3\) to \(None, 10\)", id="colour"),
        pytest.param({"outputs": 5}, r"\(None, 28, 28, 1\) to \(None, 5\)", id="five-classes"),
        pytest.param({"shape": (784,)}, r"\(None, 784\)", id="flat"),
    ],
)
def test_load_keras_of_another_shape_says_what_was_expected(
    pipeline, keras, tmp_path, options, shapes
):
    path = save_network(keras, tmp_path / "other.keras", **options)
    with pytest.raises(ModelError, match=f"goes from {shapes}.*, expected .*28, 28, 1"):
        pipeline.load_keras(path)


def test_load_keras_of_a_lambda_runs_no_code_of_the_file(pipeline, keras, tmp_path):
    path = save_network(
        keras, tmp_path / "code.keras", extra=keras.layers.Lambda(lambda x: x * 2, output_shape=(28, 28, 1))
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"code\.keras cannot be read as a Keras network"):
        pipeline.load_keras(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"a text file\n", id="text"),
        pytest.param(lambda content: content[: len(content) // 2], id="cut-off"),
        pytest.param(lambda content: content[:2000] + bytes(500) + content[2500:], id="corrupt"),
    ],
)
def test_load_keras_of_a_broken_file_is_one_sentence(pipeline, trained_keras, tmp_path, damage):
    path = tmp_path / "broken.keras"
    path.write_bytes(damage(trained_keras.read_bytes()))
    with pytest.raises(
        ModelError, match=r"broken\.keras cannot be read as a Keras network"
    ) as caught:
        pipeline.load_keras(path)
    assert "\n" not in str(caught.value)


def test_load_keras_with_a_layer_that_is_not_known_is_one_sentence(pipeline, keras, tmp_path):
    class Mine(keras.layers.Layer):
        def call(self, x):
            return x

    path = save_network(keras, tmp_path / "own.keras", extra=Mine())
    with pytest.raises(ModelError, match="cannot be read as a Keras network") as caught:
        pipeline.load_keras(path)
    assert "\n" not in str(caught.value)


def test_load_keras_on_another_backend_says_what_to_unset(
    pipeline, keras, trained_keras, monkeypatch
):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OptionError, match="KERAS_BACKEND is 'jax'; unset it"):
        pipeline.load_keras(trained_keras)
