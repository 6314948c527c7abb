"""Tests of the whole of `cli convert`, with a small network and an invented data set."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from garmentlite.convert import material
from garmentlite.convert.source import find_source
from garmentlite.edge import footprint, metrics
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import (
    CheckFailedError,
    ModelError,
    OptionError,
    OutputError,
)
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.model_input import RANGES
from garmentlite.edge.preparation import PREPARATION
from garmentlite.edge.probabilities import softmax
from garmentlite.train.data import as_input, validation_split


@pytest.fixture
def convert(pipeline, trained_keras, made_material):
    """Converts the small network into a folder, to int8 by calibration alone unless told otherwise."""

    def run(folder, source=None, *, images=None, **options):
        source = source or find_source(trained_keras, None)
        request = pipeline.Request(**({"fine_tune": False} | options))
        return pipeline.convert(source, folder, images or made_material, request)

    return run


@pytest.fixture(scope="module")
def converted(pipeline, trained_keras, made_material, tmp_path_factory):
    """(what was written, what was said, reported progress), with fine-tuning."""
    said, progress = [], []
    done = pipeline.convert(
        find_source(trained_keras, None), tmp_path_factory.mktemp("converted"),
        made_material, pipeline.Request(), say=said.append,
        on_progress=lambda *report: progress.append(report),
    )  # fmt: skip
    return done, said, progress


def test_convert_writes_four_files(converted):
    done, said, progress = converted
    folder = done.paths["int8"].parent
    assert sorted(os.listdir(folder)) == [
        "tiny.json", "tiny.keras", "tiny_float32.tflite", "tiny_int8.tflite",
    ]  # fmt: skip
    for kind, path in done.paths.items():
        assert path.name == f"tiny_{kind}.tflite"
    assert said
    assert progress[-1][1] == progress[-1][2]


def test_convert_tries_every_way_and_takes_the_closest(converted):
    done, *_ = converted
    assert len(done.candidates) == 4
    assert len({one.way for one in done.candidates}) == 4
    assert done.chosen.changed == min(one.changed for one in done.candidates)
    assert done.paths["int8"].read_bytes().startswith(done.chosen.flatbuffer)


def test_convert_without_fine_tuning_tries_one_way_less(convert, tmp_path):
    assert len(convert(tmp_path).candidates) == 3


def test_converted_files_keep_the_contract(converted, export):
    done, *_ = converted
    export.require_integers(done.paths["int8"].read_bytes(), "int8")
    for path, kind in ((done.paths["float32"], "float32"), (done.paths["int8"], "int8")):
        classifier = Classifier(path)
        assert classifier.labels == list(FASHION_MNIST_LABELS)
        assert classifier.name == "tiny"
        assert classifier.input.dtype == classifier.output.dtype == np.dtype(kind)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None


def test_converted_files_and_the_card_name_one_float_model(converted, trained_keras):
    done, *_ = converted
    keras_sum = sha256(trained_keras.read_bytes())
    for path in done.paths.values():
        assert Classifier(path).metadata.reference_sha256 == keras_sum
    assert done.card["files"]["keras"]["sha256"] == keras_sum
    for kind, path in done.paths.items():
        assert done.card["files"][kind] == {
            "file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()),
        }  # fmt: skip


def test_card_has_its_fields_and_is_the_file_written(converted):
    done, *_ = converted
    card = json.loads(done.paths["int8"].with_name("tiny.json").read_text(encoding="utf-8"))
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
    for path, kind in ((done.paths["float32"], "float32"), (done.paths["int8"], "int8")):
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
    temperatures = {Classifier(p).metadata.temperature for p in done.paths.values()}
    assert temperatures == {done.card["temperature"]}
    assert 0.2 <= done.card["temperature"] <= 5


EVERY_FORMAT = ("float16", "int16x8", "int8-weights", "int8")


@pytest.fixture(scope="module")
def in_every_format(pipeline, trained_keras, made_material, tmp_path_factory):
    return pipeline.convert(
        find_source(trained_keras, None), tmp_path_factory.mktemp("formats"), made_material,
        pipeline.Request(EVERY_FORMAT, fine_tune=False),
    )  # fmt: skip


def test_convert_to_several_formats_writes_each_with_its_metadata(in_every_format, trained_keras):
    done = in_every_format
    assert set(done.paths) == {"float32", *EVERY_FORMAT}
    for name, path in done.paths.items():
        assert path.name == f"tiny_{name}.tflite"
        classifier = Classifier(path)
        assert classifier.metadata.reference_sha256 == sha256(trained_keras.read_bytes())
        assert classifier.metadata.temperature == done.card["temperature"]
        assert bool(classifier.metadata.quantization) == (name != "float32")
        assert classifier.metadata.measured["test"]["accuracy"] > 0.5  # chance is 0.1
    for name in ("int16x8", "int8"):
        manifest = Classifier(done.paths[name]).metadata.quantization["calibration"]
        assert (manifest["count"], manifest["also_in_test"]) == (900, 0)


def test_convert_to_several_formats_puts_them_side_by_side(in_every_format, made_data):
    done = in_every_format
    assert [row.format for row in done.table] == ["float32", *EVERY_FORMAT]
    assert done.card["formats"] == [row.as_document() for row in done.table]
    for row in done.table:
        path = done.paths[row.format]
        assert row.bytes == path.stat().st_size
        answers = Classifier(path).logits(made_data.x_test).argmax(axis=1)
        assert row.accuracy == (answers == made_data.y_test).mean()
    rows = {row.format: row for row in done.table}
    assert rows["int8"].bytes < rows["float32"].bytes
    assert rows["int16x8"].kernels == "built-in"
    assert rows["int8"].kernels == "XNNPACK"


def test_convert_twice_gives_the_same_files_and_card(in_every_format, convert, tmp_path):
    again = convert(tmp_path, formats=EVERY_FORMAT)
    for name, path in again.paths.items():
        assert sha256(path.read_bytes()) == sha256(in_every_format.paths[name].read_bytes()), name
    first, second = (json.loads(json.dumps(done.card)) for done in (in_every_format, again))
    for row in (*first["formats"], *second["formats"]):
        assert row.pop("machine")  # time and memory are measured, and never quite the same
    assert first == second


def test_convert_to_float_formats_alone_makes_no_int8_file(convert, tmp_path):
    done = convert(tmp_path, formats=("float16",))
    assert set(done.paths) == {"float32", "float16"}
    assert (done.candidates, done.chosen) == ((), None)
    assert done.card["quantization"] == {}
    assert set(done.card["tensor_types"]) <= {"float32", "int32"}


@pytest.mark.parametrize("io", ["uint8", "float32"])
def test_convert_with_another_border_answers_as_int8_does(convert, in_every_format, tmp_path, io):
    done = convert(tmp_path, io=io)
    assert done.card["quantization"]["io"] == io
    classifier = Classifier(done.paths["int8"])
    assert classifier.input.dtype == classifier.output.dtype == np.dtype(io)
    assert [one.changed for one in done.candidates] == [
        one.changed for one in in_every_format.candidates
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"formats": ()}, "No known format is named.*--int8, --int8-weights", id="nothing"
        ),
        pytest.param({"formats": ("int4",)}, "No known format is named", id="unknown"),
        pytest.param({"io": "int16"}, "--io is int8, uint8 or float32, got 'int16'", id="io"),
        pytest.param(
            {"formats": ("float16",), "c_array": True},
            "--c-array applies to the int8 file; give --int8 too",
            id="c-array",
        ),
    ],
)
def test_request_for_what_there_is_not_is_refused(pipeline, options, message):
    with pytest.raises(OptionError, match=message):
        pipeline.Request(**options)


# --- garment-net


@pytest.mark.slow
def test_convert_of_garment_net_is_int8_throughout_and_keeps_its_answers(
    convert, pipeline, networks, keras, export, made_data, tmp_path
):
    """Residual blocks, strided convolutions, averaging shortcuts; trained until it tells the classes."""
    keras.utils.set_random_seed(0)
    model = networks.NETWORKS["garment-net"].build(10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    from garmentlite.train.batch_norm import Recalibration

    model.fit(as_input(made_data.x_train), made_data.y_train, batch_size=32, epochs=3, verbose=0)
    Recalibration(model, made_data.x_train).apply()
    model.save(tmp_path / "garment-net.keras")
    images = material.from_fashion_mnist(made_data)
    source = find_source(tmp_path / "garment-net.keras", None)
    done = convert(tmp_path / "out", source, images=images, fine_tune=True)
    assert len(done.candidates) == 4
    for one in done.candidates:
        contents = export.require_integers(one.flatbuffer, "int8")
        assert set(contents.operators) == {"ADD", "CONV_2D", "MEAN", "FULLY_CONNECTED"}
        assert footprint.kernels_used(one.flatbuffer) == "XNNPACK"
        assert one.changed <= 0.05 * one.images
    assert done.table[0].accuracy > 0.8  # chance is 0.1: there were answers to keep


# --- other networks: their own size, classes and layers


@pytest.fixture
def own_pictures(tmp_path):
    """Grey pictures of 32 x 30 in three classes that a network can tell apart: dark, stripes, light."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, pattern in (("dark", 0), ("stripes", np.arange(30) % 2 * 200), ("light", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(24):
            pixels = pattern + rng.integers(0, 55, (32, 30))
            image.fromarray(pixels.astype(np.uint8)).save(
                tmp_path / "pictures" / name / f"{number}.png"
            )
    return tmp_path / "pictures"


OWN_LABELS = ("dark", "light", "stripes")


def save_own(keras, path, middle, outputs=3, images=None):
    """A network for the pictures above, with a layer of the test's choice; trained if there are images."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 30, 1))
    x = keras.layers.Conv2D(4, 3, strides=2)(inputs)
    x = middle(x)
    if len(x.shape) > 2:
        x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(outputs)(x))
    if images:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-2), loss)
        model.fit(as_input(images.training.images_u8), images.training.y, epochs=20, verbose=0)
    model.save(path)
    return path


def unlabelled(pictures):
    """The pictures without their classes, so that a network may guess."""
    return replace(material.from_folder(pictures, OWN_LABELS), is_labelled=False)


def test_convert_to_a_c_array_that_is_refused_writes_nothing(
    convert, keras, own_pictures, tmp_path
):
    """TFLite Micro has no GELU."""
    path = save_own(keras, tmp_path / "own.keras", keras.layers.Activation("gelu"))
    with pytest.raises(ModelError, match="own_int8 needs GELU, which TFLite Micro does not have"):
        convert(
            tmp_path / "out", find_source(path, None), images=unlabelled(own_pictures), c_array=True
        )
    assert not (tmp_path / "out").exists()


def test_convert_of_another_size_and_other_classes_calibrates_on_its_pictures(
    convert, pipeline, keras, own_pictures, tmp_path
):
    images = material.from_folder(own_pictures, OWN_LABELS)
    path = save_own(keras, tmp_path / "own.keras", keras.layers.ReLU(), images=images)
    done = convert(
        tmp_path / "out", find_source(path, None), images=images, fine_tune=True,
        formats=EVERY_FORMAT,
    )  # fmt: skip
    assert len(done.candidates) == 4
    for name in done.paths:
        classifier = Classifier(done.paths[name])
        assert classifier.labels == list(OWN_LABELS)
        assert classifier.image_size == (32, 30)
        assert classifier.metadata.preparation == pipeline.AS_GIVEN
        # Two of six pictures of a class may change sides, since these are few for the ranges.
        before = Classifier(done.paths["float32"]).logits(images.test.images_u8).argmax(axis=1)
        after = classifier.logits(images.test.images_u8).argmax(axis=1)
        assert (before == after).mean() > 0.6
    assert done.card["data"] == "pictures in pictures"
    assert {row.verdict for row in done.table[1:]} == {"not judged: too few images"}


def test_convert_with_unlabelled_pictures_counts_changed_answers_alone(
    convert, pipeline, keras, own_pictures, tmp_path
):
    path = save_own(keras, tmp_path / "own.keras", keras.layers.ReLU())
    flat = tmp_path / "flat"
    flat.mkdir()
    for picture in own_pictures.rglob("*.png"):
        picture.rename(flat / f"{picture.parent.name}-{picture.name}")
    images = material.from_folder(flat, OWN_LABELS)
    done = convert(tmp_path / "out", find_source(path, None), images=images)
    assert done.card["measured"] == {"float32": {}, "int8": {}}
    assert done.card["temperature"] == 1.0
    row = done.table[-1]
    assert (row.accuracy, row.passed, row.verdict) == (None, None, "not judged: no labels")
    assert row.changed <= 9  # of 18


def test_convert_of_a_layer_that_does_not_fold_names_it_and_proposes_calibration(
    convert, pipeline, int8_ways, keras, own_pictures, tmp_path
):
    path = save_own(keras, tmp_path / "own.keras", keras.layers.Activation("gelu", name="smooth"))
    images = unlabelled(own_pictures)
    source = find_source(path, None)
    with pytest.raises(
        ModelError,
        match=r"own\.keras as int8: .*cannot be fine-tuned.*'smooth' is a Activation.*--int8 --ptq",
    ):
        convert(tmp_path / "out", source, images=images, fine_tune=True)
    done = convert(tmp_path / "out", source, images=images)
    assert [one.way for one in done.candidates] == [int8_ways.WAY_PLAIN]
    assert done.card["operators"]["GELU"] == 1
    assert done.card["quantization"]["folding_difference"] is None


def test_convert_of_a_layer_without_int8_kernels_needs_a_word(
    convert, pipeline, keras, own_pictures, tmp_path
):
    path = save_own(keras, tmp_path / "own.keras", keras.layers.LayerNormalization())
    images = unlabelled(own_pictures)
    source = find_source(path, None)
    with pytest.raises(
        ModelError, match=r"own\.keras as int8: .* real numbers in NEG.*--allow-float"
    ):
        convert(tmp_path / "out", source, images=images)
    done = convert(tmp_path / "out", source, images=images, allow_float=True)
    assert "float32" in done.card["tensor_types"]


@pytest.mark.parametrize("wanted", ["int8", "int16x8"])
def test_convert_of_a_recurrent_layer_is_refused_before_it_ends_the_process(
    convert, pipeline, keras, own_pictures, tmp_path, wanted
):
    def recurrent(x):
        return keras.layers.GRU(4, name="again")(keras.layers.Reshape((15, 56))(x))

    path = save_own(keras, tmp_path / "own.keras", recurrent)
    images = unlabelled(own_pictures)
    with pytest.raises(ModelError, match=f"as {wanted}: .*'again' is a GRU.*unroll=True"):
        convert(tmp_path / "o", find_source(path, None), images=images, formats=(wanted,))


def test_convert_of_a_network_that_does_not_fit_the_images_says_what_to_give(
    convert, pipeline, keras, tmp_path
):
    path = save_own(keras, tmp_path / "own.keras", keras.layers.ReLU())
    with pytest.raises(
        ModelError,
        match=r"images of 32 x 30, but those of Fashion-MNIST have 28 x 28; give --calibration",
    ):
        convert(tmp_path / "out", find_source(path, None))


def test_convert_that_would_ship_another_network_is_refused(
    convert, pipeline, export, keras, trained, tmp_path, monkeypatch
):
    """The float file is compared with the network before anything is written."""
    other = keras.models.clone_model(trained)
    to_float32 = export.to_float32
    monkeypatch.setattr(export, "to_float32", lambda model: to_float32(other))
    with pytest.raises(ModelError, match="as float32: the exported file differs from the original"):
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

    for name in ("tiny_float32.tflite", "tiny_int8.tflite", "tiny.json"):
        (tmp_path / name).write_text("older")

    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write = Path.write_bytes

    def full_below(path, content):
        """Files in the system's temporary folder are written, while the disk of the output is full."""
        return full(path, content) if path.is_relative_to(tmp_path) else write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_below)
        with pytest.raises(OutputError, match="No space left"):
            convert(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["tiny.json", "tiny_float32.tflite", "tiny_int8.tflite"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"older"}


# --- networks of other programs


@pytest.fixture
def of_keras_2(keras2, trained, tmp_path):
    """The small trained network as tutorials of Keras 2 save theirs: pixels 0..255, flat, with a softmax."""
    k = keras2.tf_keras
    inputs = k.Input((784,))
    x = k.layers.Reshape((28, 28, 1))(k.layers.Rescaling(1 / 255)(inputs))
    x = k.layers.Conv2D(8, 5, strides=4, use_bias=False)(x)
    x = k.layers.Flatten()(k.layers.ReLU()(k.layers.BatchNormalization()(x)))
    network = k.Model(inputs, k.layers.Dense(10, activation="softmax")(x))
    network.set_weights(trained.get_weights())
    return network


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_hdf5_file_of_keras_2_is_adapted_and_keeps_its_answers(
    convert, pipeline, of_keras_2, made_data, tmp_path
):
    path = tmp_path / "own.h5"
    of_keras_2.save(path)
    done = convert(tmp_path / "out", find_source(path, None), fine_tune=True)
    assert sorted(os.listdir(tmp_path / "out")) == [
        "own.json", "own_float32.tflite", "own_int8.tflite",
    ]  # fmt: skip
    x = made_data.x_test
    probabilities = of_keras_2(np.float32(x.reshape(len(x), 784))).numpy()
    float32, int8 = (Classifier(done.paths[name]) for name in ("float32", "int8"))
    np.testing.assert_allclose(softmax(float32.logits(x)), probabilities, atol=1e-5)
    assert (int8.logits(x).argmax(axis=1) == probabilities.argmax(axis=1)).mean() > 0.9
    assert len(done.candidates) == 4  # it was folded and fine-tuned
    adapted = done.card["training"]["adapted"]
    assert [sentence.split(";")[0] for sentence in adapted] == [
        "It takes pixels as numbers 0..255, as its Rescaling layer shows",
        "It takes an input of shape (784,)",
        "It ends in a softmax, which is left out: the files give logits, and softmax is applied where "
        "they are used.",
    ]
    assert int8.metadata.training["adapted"] == adapted
    assert int8.metadata.reference_sha256 == sha256(path.read_bytes())


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_what_was_adapted_is_said(pipeline, of_keras_2, made_material, tmp_path):
    of_keras_2.save(tmp_path / "own.h5")
    said = []
    done = pipeline.convert(
        find_source(tmp_path / "own.h5", None), tmp_path, made_material,
        pipeline.Request(("float32",)), say=said.append,
    )  # fmt: skip
    assert said[:3] == done.card["training"]["adapted"]


def test_saved_model_is_converted_by_calibration(
    convert, pipeline, of_keras_2, tensorflow, made_data, tmp_path
):
    tensorflow.saved_model.save(of_keras_2, str(tmp_path / "folder"))
    source = find_source(tmp_path / "folder", None)
    with pytest.raises(ModelError, match="--int8 --ptq quantizes it as it is"):
        convert(tmp_path / "out", source, fine_tune=True, input_range=RANGES["0..255"])
    done = convert(tmp_path / "out", source, input_range=RANGES["0..255"])
    x = made_data.x_test
    answers = of_keras_2(np.float32(x.reshape(len(x), 784))).numpy().argmax(axis=1)
    assert (Classifier(done.paths["int8"]).logits(x).argmax(axis=1) == answers).mean() > 0.9
    assert sorted(os.listdir(tmp_path / "out")) == [
        "folder.json", "folder_float32.tflite", "folder_int8.tflite",
    ]  # fmt: skip
    before = source.checksum()
    assert done.paths["int8"].exists()
    (tmp_path / "folder" / "fingerprint.pb").write_bytes(b"another")
    assert source.checksum() != before


def test_network_that_guesses_is_refused_and_nothing_is_written(convert, networks, tiny, tmp_path):
    network = networks.NETWORKS[tiny].build(10)
    network.layers[-1].set_weights([0 * weights for weights in network.layers[-1].get_weights()])
    network.save(tmp_path / "raw.keras")  # it always gives the first class
    with pytest.raises(CheckFailedError, match=r"raw\.keras recognises .*nothing was written"):
        convert(tmp_path / "out", find_source(tmp_path / "raw.keras", None))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("is_labelled", [True, False])
def test_pictures_of_few_classes_are_warned_of(
    pipeline, trained_keras, made_material, tmp_path, is_labelled
):
    def of_bags(images):
        return images.take(np.flatnonzero(images.y == FASHION_MNIST_LABELS.index("Bag")))

    bags = replace(
        made_material, training=of_bags(made_material.training), is_labelled=is_labelled,
    )  # fmt: skip
    said = []
    pipeline.convert(
        find_source(trained_keras, None), tmp_path, bags, pipeline.Request(("float32",)),
        say=said.append,
    )  # fmt: skip
    (warning,) = [one for one in said if one.startswith("Warning")]
    assert "of 10 classes (none is T-shirt/top" in warning
    assert "can lose it" in warning


def test_pictures_of_every_class_are_not_warned_of(converted):
    _, said, _ = converted
    assert not any(one.startswith("Warning") for one in said)
