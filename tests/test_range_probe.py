"""The answers to drawn pictures decide the input range of a float model, or leave it open."""

from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.metadata import split
from garmentlite.edge.model_input import RANGES
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.range_probe import (
    PICTURES_PER_CLASS,
    decide,
    drawn_images,
    information,
    probe_range,
)
from garmentlite.edge.runtime import make_interpreter

MODELS = Path(__file__).resolve().parent.parent / "models"


@pytest.fixture(scope="module", params=["garment-net", "garment-net-photo", "weighted-cnn"])
def network(request):
    """Answers as one of the shipped networks: a function from numbers in 0..1 to probabilities."""
    flatbuffer, _ = split((MODELS / f"{request.param}_float32.tflite").read_bytes())
    interpreter = make_interpreter(flatbuffer)
    place, answer = (
        details[0]["index"]
        for details in (interpreter.get_input_details(), interpreter.get_output_details())
    )

    def run(numbers):
        logits = []
        for image in numbers.astype(np.float32):
            interpreter.set_tensor(place, image[np.newaxis])
            interpreter.invoke()
            logits.append(interpreter.get_tensor(answer)[0])
        return softmax(np.stack(logits))

    return run


@pytest.mark.parametrize("name", list(RANGES))
def test_probe_range_finds_the_range_of_every_shipped_network(network, name):
    (mean,), (std,) = RANGES[name].mean, RANGES[name].std

    def answer(tried, images_u8):
        """The answers of a model that takes the range `name` and is given the range `tried`."""
        given = (images_u8 - tried.mean[0]) / tried.std[0]
        return network((given * std + mean) / 255)

    assert probe_range(answer, (28, 28, 1)) == RANGES[name]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda tried, images: np.full((len(images), 10), 0.1), id="never-sure"),
        pytest.param(lambda tried, images: np.eye(10)[np.zeros(len(images), int)], id="one-class"),
        pytest.param(
            lambda tried, images: np.eye(10)[np.arange(len(images)) % 10], id="all-ranges"
        ),
        pytest.param(lambda tried, images: np.full((len(images), 10), np.nan), id="not-finite"),
    ],
)
def test_probe_range_of_answers_that_do_not_depend_on_it_is_none(answer):
    assert probe_range(answer, (28, 28, 1)) is None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param((2.0, 0.7, 0.6), "0..1", id="unit"),
        pytest.param((2.0, 1.9, 0.3), "0..1", id="large-numbers-are-sure-of-anything"),
        pytest.param((0.5, 1.8, 2.0), "-1..1", id="symmetric"),
        pytest.param((0.0, 2.0, 0.1), "0..255", id="pixels"),
        pytest.param((2.0, 0.5, 1.7), None, id="two-alike"),
        pytest.param((0.6, 2.0, 0.6), None, id="all-say-something"),
        pytest.param((0.1, 0.2, 0.1), None, id="none-says-much"),
        pytest.param((0.0, 0.0, 0.0), None, id="nothing"),
    ],
)
def test_decide_chooses_only_what_is_clear(scores, expected):
    unit, pixels, symmetric = scores
    assert decide({"0..1": unit, "0..255": pixels, "-1..1": symmetric}) == expected


def test_information_of_right_answers_is_the_entropy_of_the_classes():
    y_true = np.arange(20) % 10
    assert information(np.eye(10)[y_true], y_true) == pytest.approx(np.log(10))
    renamed = (y_true + 3) % 10
    assert information(np.eye(10)[renamed], y_true) == pytest.approx(np.log(10))
    assert information(np.full((20, 10), 0.1), y_true) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shape", [(28, 28, 1), (24, 40, 3)])
def test_drawn_images_have_the_shape_of_the_input_and_all_classes(shape):
    images_u8, y_true = drawn_images(shape)
    assert images_u8.shape == (len(y_true), *shape)
    assert images_u8.dtype == np.uint8
    assert np.bincount(y_true).tolist() == [PICTURES_PER_CLASS] * 10
    np.testing.assert_array_equal(images_u8, drawn_images(shape)[0])
