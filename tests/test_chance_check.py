"""A network that guesses is refused, and the cause is named; here the small trained network guesses."""

import re
from dataclasses import replace

import numpy as np
import pytest

from garmentlite.convert import material
from garmentlite.convert.chance_check import require_better_than_chance
from garmentlite.convert.network import load_network
from garmentlite.edge.errors import CheckFailedError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.model_input import RANGES

ALPHABETICAL = sorted(FASHION_MNIST_LABELS, key=str.casefold)


@pytest.fixture(scope="module")
def images(made_data):
    return material.from_fashion_mnist(made_data).validation


@pytest.fixture
def saved(keras, trained, tmp_path):
    """Saves the trained network with something before and after it; returns the file."""

    def save(before=lambda x: x, after=lambda x: x):
        inputs = keras.Input((28, 28, 1))
        keras.Model(inputs, after(trained(before(inputs)))).save(tmp_path / "own.keras")
        return tmp_path / "own.keras"

    return save


def outputs_as(keras, labels):
    """Gives the network outputs for these labels, in their order."""
    order = [FASHION_MNIST_LABELS.index(label) for label in labels]
    return lambda x: keras.ops.take(x, np.array(order), axis=-1)


def check(path, images, input_range=None, labels=FASHION_MNIST_LABELS):
    taken = RANGES[input_range] if input_range else None
    require_better_than_chance(load_network(path, taken), images, labels, seed=0)


def test_network_that_recognises_the_classes_passes(saved, images):
    check(saved(), images)


@pytest.mark.parametrize(
    ("before", "name"),
    [
        pytest.param(lambda x: x / 255.0, "0..255", id="0..255"),
        # Only numbers below 0 differ, so that all images look the same as 0..1 and as 0..255.
        pytest.param(lambda x: 1.0 - abs(x - abs(x)) / 2, "-1..1", id="-1..1"),
    ],
)
def test_scaling_inside_the_network_is_found_and_its_option_mends_it(saved, images, before, name):
    path = saved(before)
    with pytest.raises(
        CheckFailedError,
        match=rf"own\.keras recognises \d+% of .*, but \d+% with pixels as numbers {name} in place of "
        rf"0\.\.1; nothing was written, give --input-range {name}\.",
    ):
        check(path, images)
    check(path, images, name)


def test_classes_in_alphabetical_order_are_found_and_labels_mend_it(
    keras, saved, images, made_data
):
    path = saved(after=outputs_as(keras, ALPHABETICAL))
    with pytest.raises(CheckFailedError, match="alphabetical order: ") as caught:
        check(path, images)
    assert f"taken in alphabetical order: {', '.join(ALPHABETICAL)}; nothing" in str(caught.value)
    assert "--labels" in str(caught.value)
    ordered = material.from_fashion_mnist(made_data, ALPHABETICAL)
    check(path, ordered.validation, labels=ALPHABETICAL)


def test_any_other_order_of_the_classes_is_named(keras, saved, images):
    turned = [*FASHION_MNIST_LABELS[3:], *FASHION_MNIST_LABELS[:3]]
    path = saved(after=outputs_as(keras, turned))
    with pytest.raises(CheckFailedError, match=re.escape(f"this order: {', '.join(turned)};")):
        check(path, images)


def test_scaling_and_order_together_are_found(keras, saved, images):
    path = saved(lambda x: x / 255.0, outputs_as(keras, ALPHABETICAL))
    with pytest.raises(
        CheckFailedError,
        match=r"numbers 0\.\.255 .* and its outputs .*, give --input-range 0\.\.255 and write",
    ):
        check(path, images)


def test_network_without_trained_weights_is_refused_as_guessing(keras, saved, images):
    path = saved(after=lambda x: x * 0.0)  # always the first class
    with pytest.raises(
        CheckFailedError, match=r"recognises 10% of .*guessing gives 10%, so nothing"
    ) as caught:
        check(path, images)
    assert "for other classes, name them with --labels and give grey pictures" in str(caught.value)
    assert "untrained on purpose, let --calibration name a folder of" in str(caught.value)
    assert str(caught.value).endswith("without subfolders; then the network is not judged.")


def test_few_images_do_not_prove_that_a_network_guesses(keras, saved, images):
    few = images.take(np.concatenate([np.flatnonzero(images.y == one)[:1] for one in range(10)]))
    check(saved(after=lambda x: x * 0.0), few)


def test_images_of_one_class_say_nothing_about_guessing(keras, saved, images):
    check(saved(after=lambda x: x * 0.0), replace(images, y=np.full_like(images.y, 3)))
