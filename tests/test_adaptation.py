"""An adapted network gives the answers of the original one to the same images, and can be folded."""

from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError
from garmentlite.edge.model_input import RANGES
from garmentlite.edge.probabilities import softmax

IMAGES = np.random.default_rng(0).random((4, 28, 28, 1)).astype(np.float32)  # pixel / 255


@pytest.fixture
def adapt(keras):
    from garmentlite.convert.adaptation import adapt

    return lambda model, *options: adapt(model, Path("own.keras"), *options)


@pytest.fixture
def body(keras):
    """A small network from (28, 28, 1) to ten logits; its padding makes an offset count at the edges."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.ReLU()(layers.Conv2D(4, 3, padding="same")(inputs))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


@pytest.fixture
def chained(keras, body):
    """Builds a network that puts layers before and after the body."""

    def build(shape, before=(), after=()):
        inputs = x = keras.Input(shape)
        for layer in (*before, body, *after):
            x = layer(x)
        return keras.Model(inputs, x)

    return build


def require_same(adapted, original, numbers, *, is_probability=False):
    answers = adapted.model(IMAGES).numpy()
    found = softmax(answers) if is_probability else answers
    # A few roundings of float32 in numbers around 1.
    np.testing.assert_allclose(found, original(numbers).numpy(), atol=1e-5)


def test_network_that_needs_nothing_stays_as_it_is(adapt, keras):
    inputs = keras.Input((28, 28, 1))
    plain = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)))
    found = adapt(plain)
    assert found.model is plain
    assert (found.input_range, found.sentences) == (RANGES["0..1"], ())


@pytest.mark.parametrize("how", ["layer", "activation", "dense", "function"])
def test_softmax_at_the_end_becomes_logits(adapt, keras, chained, how):
    end = {
        "layer": lambda: keras.layers.Softmax(),
        "activation": lambda: keras.layers.Activation("softmax"),
        "dense": lambda: keras.layers.Dense(10, activation="softmax"),
        "function": lambda: keras.ops.softmax,
    }[how]()
    original = chained((28, 28, 1), after=[end])
    found = adapt(original)
    require_same(found, original, IMAGES, is_probability=True)
    assert found.sentences[0].startswith("It ends in a softmax, which is left out")


def test_sigmoid_at_the_end_is_refused(adapt, keras, chained):
    last = keras.layers.Dense(10, activation="sigmoid")
    with pytest.raises(ModelError, match=r"own\.keras ends in a sigmoid"):
        adapt(chained((28, 28, 1), after=[last]))


@pytest.mark.parametrize(
    ("scale", "offset", "name", "to_numbers"),
    [
        pytest.param(1 / 255, 0, "0..255", lambda x: x * 255, id="0..1-inside"),
        pytest.param(1 / 127.5, -1, "0..255", lambda x: x * 255, id="-1..1-inside"),
        pytest.param(1 / 256, 0, "0..255", lambda x: x * 255, id="256"),
        pytest.param(0.5, 0.5, "-1..1", lambda x: x * 2 - 1, id="from-minus-1"),
        pytest.param(7, 3, "0..1", lambda x: x, id="unusual"),
    ],
)
def test_rescaling_at_the_start_shows_the_range_and_is_folded(
    adapt, keras, folding, chained, scale, offset, name, to_numbers
):
    original = chained((28, 28, 1), before=[keras.layers.Rescaling(scale, offset)])
    found = adapt(original)
    assert found.input_range == RANGES[name]
    require_same(found, original, to_numbers(IMAGES))
    assert folding.fold(found.model)  # no Rescaling is left, for which there is no folded form
    assert (name == "0..1") == (found.sentences == ())


def test_input_range_that_is_given_goes_before_the_rescaling(adapt, keras, chained):
    original = chained((28, 28, 1), before=[keras.layers.Rescaling(1 / 255)])
    found = adapt(original, RANGES["0..1"])
    require_same(found, original, IMAGES)
    assert found.sentences == ()


def test_colour_input_gets_the_grey_image_in_every_channel(adapt, keras, folding, chained):
    rescaling = keras.layers.Rescaling([1 / 255] * 3, [-0.1, 0.0, 0.1])
    original = chained((28, 28, 3), before=[rescaling, keras.layers.Conv2D(1, 1)])
    found = adapt(original)
    require_same(found, original, np.repeat(IMAGES, 3, axis=3) * 255)
    assert "It takes colour images" in found.sentences[1]
    assert folding.fold(found.model)


@pytest.mark.parametrize(
    ("shape", "reshapes"),
    [
        pytest.param((784,), True, id="row"),
        pytest.param((28, 28), True, id="no-channel"),
        pytest.param((1, 28, 28), True, id="channel-first"),
        pytest.param((784,), False, id="row-into-dense"),
    ],
)
def test_other_shape_of_the_input_takes_the_same_pixels(
    adapt, keras, folding, chained, shape, reshapes
):
    if reshapes:
        original = chained(shape, before=[keras.layers.Reshape((28, 28, 1))])
    else:
        inputs = keras.Input(shape)
        original = keras.Model(inputs, keras.layers.Dense(10)(inputs))
    found = adapt(original)
    assert found.model.input_shape == (None, 28, 28, 1)
    require_same(found, original, IMAGES.reshape(4, *shape))
    assert f"It takes an input of shape {shape}" in found.sentences[0]
    assert folding.fold(found.model)


def test_tutorial_of_tensorflow_is_adapted_and_folded(adapt, keras, folding):
    """Flatten(input_shape=(28, 28)) and a Dense with softmax, as in TensorFlow's first tutorial."""
    layers = keras.layers
    original = keras.Sequential(
        [keras.Input((28, 28)), layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    found = adapt(original)
    require_same(found, original, IMAGES[..., 0], is_probability=True)
    assert [one.kind for one in folding.fold(found.model)] == ["input", "flatten", "dense"]


def test_networks_in_a_network_with_equal_names_are_folded(adapt, keras, folding):
    def inner(shape):
        inputs = keras.Input(shape)
        return keras.Model(inputs, keras.layers.Conv2D(1, 3, name="same")(inputs))

    layers = [keras.Input((28, 28, 1)), inner((28, 28, 1)), inner((26, 26, 1))]
    original = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(10)])
    found = adapt(original)
    require_same(found, original, IMAGES)
    assert [one.kind for one in folding.fold(found.model)] == [
        "input", "conv", "conv", "flatten", "dense",
    ]  # fmt: skip


def test_adapting_twice_leaves_the_original_as_it_is(adapt, keras, folding, chained):
    original = chained((28, 28, 1), after=[keras.layers.Dense(10, activation="softmax")])
    before = original(IMAGES).numpy()
    first, second = adapt(original), adapt(original, RANGES["0..255"])
    np.testing.assert_array_equal(original(IMAGES).numpy(), before)
    require_same(first, original, IMAGES, is_probability=True)
    require_same(second, original, IMAGES * 255, is_probability=True)
    assert folding.fold(second.model)
