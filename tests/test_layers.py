"""Tests of layer errors: a damaged layer is named, the others keep theirs, and unusual files are matched."""

import json

import numpy as np
import pytest

from garmentlite.convert.report.layers_report import TEXT_WIDTH, findings, to_section, to_text
from garmentlite.convert.verify import layers
from garmentlite.convert.verify.layers import SNR_LIMIT, compare_layers
from garmentlite.edge import all_cores
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.runtime import pack, unpack

IMAGES = 4  # a layer has at least 10 outputs for each; the errors sought are large


@pytest.fixture(scope="module")
def images_u8(made_data) -> np.ndarray:
    return made_data.x_test[:IMAGES]


@pytest.fixture(scope="module")
def shipped_float32(shipped_int8):
    return Classifier(shipped_int8.with_name("weighted-cnn_float32.tflite"))


@pytest.fixture
def changed(tmp_path):
    """Writes a model file after changing it as schema objects; returns its classifier."""

    def write(path, change, name="changed.tflite") -> Classifier:
        model = unpack(path.read_bytes())
        change(model)
        (tmp_path / name).write_bytes(pack(model))
        return Classifier(tmp_path / name)

    return write


def weights_of(model, number):
    """The kernel of an operator: its tensor of rows and columns of constants, as int8, writable."""
    graph = model.subgraphs[0]
    (buffer,) = (
        model.buffers[graph.tensors[tensor].buffer]
        for tensor in graph.operators[number].inputs[1:]
        if tensor >= 0 and len(graph.tensors[tensor].shape) > 1
    )
    buffer.data = buffer.data.copy()
    return buffer.data.view(np.int8)


def own_errors(report):
    return {row.place: (row.own_snr_db, row.own_cosine) for row in report.layers}


# --- the shipped pair


@pytest.fixture(scope="module")
def sound(shipped_float32, shipped_int8, images_u8):
    return compare_layers(shipped_float32, Classifier(shipped_int8), images_u8)


def test_compare_of_the_shipped_pair_lists_its_layers_worst_first(sound):
    assert sound.images == IMAGES
    assert sound.kernels == "reference"
    errors = [row.own_snr_db for row in sound.layers]
    assert errors == sorted(errors)
    by_place = {row.place: row for row in sound.layers}
    assert [by_place[place].operator for place in range(1, 7)] == [
        "CONV_2D", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "FULLY_CONNECTED",
    ]  # fmt: skip
    # A maximum of integers adds nothing, but carries on what came before.
    assert by_place[2].own_snr_db == SNR_LIMIT
    assert by_place[2].snr_db < 60
    # 8 bits: at best about 50 dB, and more than 20 or the file would not pass the parity check.
    assert all(20 < by_place[place].own_snr_db < 60 for place in (1, 3, 5))


@pytest.mark.parametrize(
    ("operator", "place"),
    [(0, 1), (2, 3), (5, 5), (6, 6)],
    ids=["conv", "conv2", "dense", "logits"],
)
def test_compare_of_a_file_with_one_damaged_layer_names_it_worst(
    sound, shipped_float32, shipped_int8, images_u8, changed, operator, place
):
    def damage(model):
        weights = weights_of(model, operator)
        weights[:] = np.roll(weights, weights.size // 2)

    report = compare_layers(shipped_float32, changed(shipped_int8, damage), images_u8)
    assert report.layers[0].place == place
    assert report.layers[0].own_snr_db < 6  # the error is half the signal or more
    assert f"Most error enters at layer {place} " in findings(report)[0]
    before, after = own_errors(sound), own_errors(report)
    # Every other layer is given the same and answers the same, whatever came before it.
    assert {p: e for p, e in after.items() if p != place} == {
        p: e for p, e in before.items() if p != place
    }


def test_compare_of_a_file_with_itself_finds_no_error(shipped_float32, images_u8):
    report = compare_layers(shipped_float32, shipped_float32, images_u8[:1])
    assert {row.snr_db for row in report.layers} == {SNR_LIMIT}
    assert {row.own_snr_db for row in report.layers} == {SNR_LIMIT}
    assert {row.clipped for row in report.layers} == {0.0}
    assert findings(report) == ["No layer adds any error."]


# --- numbers, on one dense layer


@pytest.fixture
def dense(tmp_path, dense_model):
    """Writes a model of one dense layer from 4x4 images to 5 logits; the same weights every time."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(0, 1, (5, 16)), rng.normal(0, 1, 5)

    def write(io, **options) -> Classifier:
        name = "-".join([io, *map(str, options)])
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(dense_model(kernel, bias, io=io, **options))
        return Classifier(path, input_range="0..1", kernels="reference")

    return write


@pytest.fixture
def small_u8() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (30, 4, 4), np.uint8)


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_error_of_a_layer_is_the_one_of_its_outputs(dense, small_u8, io):
    reference, candidate = dense("float32"), dense(io, output_scale=0.1)
    (row,) = compare_layers(reference, candidate, small_u8).layers
    right, other = (one.logits(small_u8).astype(float) for one in (reference, candidate))
    snr = 10 * np.log10((right**2).sum() / ((other - right) ** 2).sum())
    cosine = (right * other).sum() / np.sqrt((right**2).sum() * (other**2).sum())
    # Sums of float32 products in another order: a relative 1e-6, amplified by signal over noise.
    assert (row.snr_db, row.cosine) == pytest.approx((snr, cosine), rel=1e-4)
    # Pixels / 255 are what the input can show, so that all the error is the layer's own.
    assert row.own_snr_db == pytest.approx(row.snr_db, rel=1e-3)


def test_outputs_beyond_the_range_are_counted_and_said(dense, small_u8):
    reference, candidate = dense("float32"), dense("int8", output_scale=0.02, zero_point=0)
    (row,) = compare_layers(reference, candidate, small_u8).layers
    right = reference.logits(small_u8)
    beyond = (right < -128.5 * 0.02) | (right > 127.5 * 0.02)
    assert 0.01 < row.clipped < 0.9
    assert row.clipped == np.mean(beyond)


def test_compare_runs_some_images_evenly_and_does_not_depend_on_threads(
    dense, small_u8, monkeypatch
):
    pair = dense("float32"), dense("int8")
    calls = []
    report = compare_layers(*pair, small_u8, on_progress=lambda *call: calls.append(call))
    assert calls == [(10, 30), (20, 30), (30, 30)]
    monkeypatch.setattr(all_cores.os, "cpu_count", lambda: 1)
    assert compare_layers(*pair, small_u8) == report
    monkeypatch.setattr(layers, "LAYER_IMAGES", 3)
    few = compare_layers(*pair, small_u8)
    assert few.images == 3
    assert few.layers == compare_layers(*pair, small_u8[[0, 10, 20]]).layers


# --- what does not fit


@pytest.mark.parametrize("order", [1, -1], ids=["candidate-has-more", "reference-has-more"])
def test_compare_of_files_with_other_layers_names_the_one_too_many(dense, small_u8, order):
    pair = [dense("float32"), dense("int8", softmax=True)][::order]
    with pytest.raises(
        ModelError, match=r"softmax\.tflite has a SOFTMAX to 5 .* leave --layers out"
    ):
        compare_layers(*pair, small_u8)


def test_compare_of_files_with_other_weights_shapes_is_refused(shipped_float32, dense, images_u8):
    with pytest.raises(ModelError, match="FULLY_CONNECTED to 5"):
        compare_layers(shipped_float32, dense("int8"), images_u8)


# --- residual networks, and the ways a converter may write them


@pytest.fixture(scope="module")
def residual(keras, folding, keras2, export, made_data, tmp_path_factory):
    """Files of a small residual network: float32, int8, and others by name."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    inputs = keras.Input((28, 28, 1))
    x = inputs
    for filters in (4, 6):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    y = keras.layers.Conv2D(8, 3, strides=2, padding="same")(x)
    y = keras.layers.ReLU()(y)
    y = keras.layers.Conv2D(8, 3, padding="same")(y)
    shortcut = keras.layers.Conv2D(8, 1, strides=2)(x)
    x = keras.layers.ReLU()(keras.layers.Add()([shortcut, y]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    twin = keras2.build_twin(folding.fold(model))
    x_calibration = made_data.x_train[:50, :, :, np.newaxis].astype(np.float32) / 255

    def with_settings(**settings):
        converter = export.converter_for(twin)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        for name, value in settings.items():
            setattr(converter, name, value)
        return export.convert_quietly(converter)

    def half_precision():
        converter = export.converter_for(twin)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return export.convert_quietly(converter)

    contents = {
        "float32": export.to_float32(model),
        "int8": export.to_int8(twin, x_calibration),
        "float-io": with_settings(
            representative_dataset=lambda: ([x[None]] for x in x_calibration)
        ),
        "int8-weights": with_settings(),
        "float16": half_precision(),
    }
    folder = tmp_path_factory.mktemp("residual")
    for name, flatbuffer in contents.items():
        (folder / f"{name}.tflite").write_bytes(flatbuffer)
    return {name: folder / f"{name}.tflite" for name in contents}


def number_of_shortcut(model):
    """The operator with the kernel of 1x1."""
    graph = model.subgraphs[0]
    (number,) = (
        number for number, operator in enumerate(graph.operators)
        if len(operator.inputs) == 3
        and list(graph.tensors[operator.inputs[1]].shape) == [8, 1, 1, 6]
    )  # fmt: skip
    return number


def operators_of(report):
    return [row.operator for row in sorted(report.layers, key=lambda row: row.place)]


@pytest.mark.parametrize("name", ["int8", "float-io", "int8-weights", "float16"])
def test_compare_of_a_residual_network_matches_every_layer(residual, images_u8, name):
    reference, candidate = (
        Classifier(residual[one], input_range="0..1") for one in ("float32", name)
    )
    report = compare_layers(reference, candidate, images_u8)
    assert sorted(operators_of(report)) == sorted(
        [*["CONV_2D"] * 5, "ADD", "MEAN", "FULLY_CONNECTED"]
    )
    # A pairing of the wrong branches would have a cosine of about 0.
    assert min(row.cosine for row in report.layers) > 0.99
    assert min(row.own_cosine for row in report.layers) > 0.99


def test_compare_of_a_residual_network_in_another_order_is_the_same(residual, images_u8, changed):
    reference = Classifier(residual["float32"], input_range="0..1")

    def rewrite(model):
        """The shortcut before the other branch, or behind it; the sum's inputs swapped; other names."""
        operators = model.subgraphs[0].operators
        written = {int(operator.outputs[0]) for operator in operators}
        (add,) = (one for one in operators if len(written.intersection(one.inputs)) == 2)
        add.inputs = list(add.inputs)[::-1]
        number = number_of_shortcut(model)
        shortcut = operators.pop(number)
        before_add = operators.index(add)
        behind_source = 1 + next(
            place for place, one in enumerate(operators) if one.outputs[0] == shortcut.inputs[0]
        )
        operators.insert(behind_source if number == before_add else before_add, shortcut)
        for place, tensor in enumerate(model.subgraphs[0].tensors):
            tensor.name = f"t{place}".encode()

    plain = compare_layers(reference, Classifier(residual["int8"]), images_u8)
    rewritten = compare_layers(reference, changed(residual["int8"], rewrite), images_u8)
    assert operators_of(rewritten) == operators_of(plain)
    assert all(row.tensor_candidate.startswith("t") for row in rewritten.layers)
    assert [row.place for row in rewritten.layers] != [row.place for row in plain.layers]
    assert [(row.own_snr_db, row.snr_db) for row in rewritten.layers] == [
        (row.own_snr_db, row.snr_db) for row in plain.layers
    ]


def test_compare_of_a_residual_network_with_a_damaged_shortcut_names_it(
    residual, images_u8, changed
):
    def damage(model):
        weights = weights_of(model, number_of_shortcut(model))
        weights[:] = np.roll(weights, 5)

    report = compare_layers(
        Classifier(residual["float32"], input_range="0..1"),
        changed(residual["int8"], damage),
        images_u8,
    )
    worst = report.layers[0]
    assert (worst.operator, worst.output_shape) == ("CONV_2D", (4, 4, 8))
    assert worst.own_snr_db < 6 < 20 < report.layers[1].own_snr_db


# --- words


def test_text_has_a_line_for_every_layer_and_fits_the_width(sound):
    text = to_text(sound)
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    assert all(row.name in text for row in sound.layers)
    assert "4 images" in text
    assert "reference kernels" in text
    assert "XNNPACK" in text


def test_section_has_a_chart_and_a_table_worst_first(sound):
    section = to_section(sound)
    assert section.count("<svg") == 1
    assert section.count("<rect") == 2 * len(sound.layers) + 2  # and the legend
    assert "reference kernels" in section
    places = [section.index(row.name) for row in sound.layers]
    assert places == sorted(places)


def test_document_is_json(sound):
    document = json.loads(json.dumps(sound.as_document(), allow_nan=False))
    assert document["images"] == IMAGES
    assert document["kernels"] == "reference"
    assert {
        "place", "operator", "output_shape", "own_snr_db", "own_cosine", "snr_db", "cosine", "clipped",
    } <= set(document["layers"][0])  # fmt: skip
