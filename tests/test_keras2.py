"""Tests of the quantization-aware network: the source of its ranges, and what fine-tuning changes."""

import numpy as np
import pytest

from garmentlite.train.augmentation import Augmentation
from garmentlite.train.data import as_input


@pytest.fixture(scope="module")
def x(made_data):
    """Images that are nowhere quite white, so that their range is not that of all pixels."""
    return as_input(made_data.x_train[:300] // 2)


@pytest.fixture(scope="module")
def operations(trained, folding):
    return folding.fold(trained)


@pytest.fixture
def twin(operations, keras2):
    return keras2.build_twin(operations)


def ranges_of(model):
    """(low, high) by the name of the float layer, and under "input" those of the pixels."""
    found = {}
    for layer in model.layers:
        values = {
            v.name.split("/")[-1].split(":")[0]: float(v.numpy())
            for v in layer.variables
            if not v.shape.rank
        }
        if type(layer).__name__ == "QuantizeLayer":
            low, high = (values[f"{layer.name}_{end}"] for end in ("min", "max"))
            found["input"] = (low, high)
        for kind in ("output", "post_activation"):
            if f"{kind}_min" in values:
                found[layer.layer.name] = (values[f"{kind}_min"], values[f"{kind}_max"])
    return found


def test_quantization_aware_takes_its_ranges_from_the_calibration_images(keras2, twin, x):
    import tf_keras

    limits = (-3.0, 7.5)
    ranges = ranges_of(keras2.quantization_aware(twin, x, limits))
    assert ranges.pop("input") == (0.0, 1.0)
    last = twin.layers[-1].name
    assert ranges.pop(last) == limits
    assert ranges  # at least the convolution
    for name, (low, high) in ranges.items():
        result = tf_keras.Model(twin.inputs, twin.get_layer(name).output)(x).numpy()
        assert high == pytest.approx(float(result.max()), rel=1e-5)
        assert low == pytest.approx(min(float(result.min()), 0), rel=1e-5, abs=1e-6)


def test_quantization_aware_a_second_time_has_the_same_ranges(keras2, twin, x):
    """Keras counts layer names up within a process; a range must not be looked for by a counted name."""
    first = ranges_of(keras2.quantization_aware(twin, x, (-3.0, 7.5)))
    assert ranges_of(keras2.quantization_aware(twin, x, (-3.0, 7.5))) == first


def test_quantization_aware_of_an_output_range_above_0_keeps_0_in_it(keras2, twin, x):
    ranges = ranges_of(keras2.quantization_aware(twin, x, (1.0, 7.5)))
    assert ranges[twin.layers[-1].name] == (0.0, 7.5)


def test_quantization_aware_stays_close_to_the_twin(keras2, twin, x):
    logits = keras2.predict_logits(twin, x)
    limits = (float(logits.min()), float(logits.max()))
    model = keras2.quantization_aware(twin, x, limits)
    found = keras2.predict_logits(model, x)
    step = (limits[1] - limits[0]) / 255
    # Half a step of the output, and as much again and more from weights and inner results: some steps.
    assert np.abs(found - logits).max() < 8 * step
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).mean() > 0.97


def test_quantization_aware_does_not_change_the_twin(keras2, twin, x):
    before = [weight.copy() for weight in twin.get_weights()]
    keras2.quantization_aware(twin, x, (-5.0, 5.0))
    for old, new in zip(before, twin.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_quantization_aware_of_a_residual_depthwise_network_gives_int8_bytes(
    keras, folding, keras2, export, x
):
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x1 = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, 2, padding="same")(inputs)))
    x2 = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x1))
    joined = layers.ReLU()(layers.Add()([x1, x2]))
    pooled = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(joined))
    twin = keras2.build_twin(folding.fold(keras.Model(inputs, layers.Dense(10)(pooled))))
    logits = keras2.predict_logits(twin, x)
    model = keras2.quantization_aware(twin, x, (float(logits.min()), float(logits.max())))
    contents = export.require_integers(export.to_int8(model), "int8")
    assert {"ADD", "DEPTHWISE_CONV_2D", "MEAN"} <= set(contents.operators)


def test_quantization_aware_of_pools_adds_no_operator_that_rounds_once_more(
    keras, folding, keras2, export, x
):
    """A pool's kernel has one scale on both sides: with a range of its own, a QUANTIZE would be added."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    pooled = layers.AveragePooling2D(2)(layers.Conv2D(4, 3, activation="relu")(inputs))
    pooled = layers.AveragePooling2D(2)(layers.MaxPooling2D(2)(layers.Conv2D(4, 3)(pooled)))
    last = layers.Dense(10)(layers.Flatten()(pooled))
    twin = keras2.build_twin(folding.fold(keras.Model(inputs, last)))
    model = keras2.quantization_aware(twin, x, (-5.0, 5.0))
    contents = export.require_integers(export.to_int8(model), "int8")
    assert contents.operators["AVERAGE_POOL_2D"] == 2
    assert "QUANTIZE" not in contents.operators


def test_quantization_aware_of_a_pool_at_the_input_has_its_range(keras, folding, keras2, x):
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    first = layers.AveragePooling2D(4, name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(first)))
    twin = keras2.build_twin(folding.fold(model))
    assert ranges_of(keras2.quantization_aware(twin, x, (-5.0, 5.0)))["first"] == (0.0, 1.0)


def test_shift_last_bias_moves_every_logit_by_its_own_amount(keras2, twin, x):
    model = keras2.quantization_aware(twin, x, (-50.0, 50.0))
    before = keras2.predict_logits(model, x)
    shift = np.linspace(-3, 3, 10, dtype=np.float32)
    keras2.shift_last_bias(model, shift)
    step = 100 / 255  # the output is shown in these steps, so a difference is right to one of them
    np.testing.assert_allclose(
        keras2.predict_logits(model, x) - before, np.tile(shift, (len(x), 1)), atol=step * 1.01
    )


@pytest.fixture
def distilled(keras2, twin, operations, made_data, x):
    """Fine-tunes a student whose last bias was spoilt; gives (student, divergence before, after, steps)."""
    teacher = keras2.build_twin(operations)

    def divergence(student):
        wanted, found = (np.asarray(keras2.predict_logits(m, x), float) for m in (teacher, student))
        wanted, found = (z - np.log(np.exp(z).sum(axis=1, keepdims=True)) for z in (wanted, found))
        return float((np.exp(wanted) * (wanted - found)).sum(axis=1).mean())

    def run(weights=None, seed=0):
        logits = keras2.predict_logits(teacher, x)
        limits = (float(logits.min()) - 2, float(logits.max()) + 2)
        student = keras2.quantization_aware(keras2.build_twin(operations), x, limits)
        keras2.shift_last_bias(student, np.linspace(-1, 1, 10, dtype=np.float32))
        before, steps = divergence(student), []
        keras2.distil(
            student, made_data.x_train, lambda x: keras2.predict_logits(teacher, x),
            np.ones(len(made_data.x_train)) if weights is None else weights,
            Augmentation(shift=0.05), epochs=2, learning_rate=1e-2, seed=seed, batch_size=64,
            on_step=lambda step, of: steps.append((step, of)),
        )  # fmt: skip
        return student, before, divergence(student), steps

    return run


def test_distil_moves_the_student_towards_the_teacher(distilled):
    _, before, after, steps = distilled()
    assert after < before / 2
    assert steps == [(i + 1, 30) for i in range(30)]  # 1,000 images in batches of 64, twice


def test_distil_leaves_the_calibrated_ranges_where_they_are(distilled, keras2, twin, x, operations):
    logits = keras2.predict_logits(twin, x)
    limits = (float(logits.min()) - 2, float(logits.max()) + 2)
    start = ranges_of(keras2.quantization_aware(keras2.build_twin(operations), x, limits))
    student, *_ = distilled()
    assert ranges_of(student) == start


def test_distil_of_one_seed_is_one_result(distilled):
    first, again, other = distilled()[0], distilled()[0], distilled(seed=1)[0]
    pairs = list(zip(first.get_weights(), again.get_weights(), strict=True))
    assert all((one == two).all() for one, two in pairs)
    assert any(
        (one != two).any()
        for one, two in zip(first.get_weights(), other.get_weights(), strict=True)
    )


def test_distil_with_weight_0_for_all_moves_nothing(distilled, made_data):
    _, before, after, _ = distilled(weights=np.zeros(len(made_data.x_train)))
    assert after == pytest.approx(before, rel=1e-6)
