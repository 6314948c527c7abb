"""Tests of the classifier on real model files of every type, and on files that are not models."""

import json

import numpy as np
import pytest

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.metadata import attach
from garmentlite.edge.probabilities import softmax

LABELS = ["Bag", "Coat", "Dress", "Shirt"]
SIDE = 6
TYPES = ("float32", "int8", "uint8")


@pytest.fixture(scope="module")
def kernel():
    return np.random.default_rng(1).normal(0, 0.4, (len(LABELS), SIDE * SIDE))


@pytest.fixture(scope="module")
def bias():
    return np.array([0.3, -0.2, 0.1, 0.0])


@pytest.fixture(scope="module")
def images_u8():
    return np.random.default_rng(2).integers(0, 256, (200, SIDE, SIDE), np.uint8)


@pytest.fixture
def write(tmp_path, kernel, bias, dense_model):
    """Writes a model file; returns its path."""

    def build(*, metadata=None, new_kernel=kernel, new_bias=bias, **options):
        flatbuffer = dense_model(new_kernel, new_bias, **({"io": "int8"} | options))
        path = tmp_path / "model.tflite"
        path.write_bytes(attach(flatbuffer, metadata) if metadata else flatbuffer)
        return path

    return build


def expected_logits(kernel, bias, images_u8):
    return (images_u8.reshape(len(images_u8), -1) / 255) @ kernel.T + bias


# --- answers


def test_logits_of_a_float_file_are_those_of_numpy(write, kernel, bias, images_u8):
    logits = Classifier(write(io="float32"), input_range="0..1").logits(images_u8)
    assert logits.dtype == np.float32
    # Sums of 36 float32 products of size 1: 36 roundings of 6e-8 each, with room for their order.
    np.testing.assert_allclose(logits, expected_logits(kernel, bias, images_u8), atol=1e-5)


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_logits_of_an_integer_file_are_those_of_numpy_to_a_step(write, kernel, bias, images_u8, io):
    scale = 0.05
    classifier = Classifier(write(io=io, output_scale=scale))
    assert classifier.input.dtype == classifier.output.dtype == np.dtype(io)
    exact = expected_logits(kernel, bias, images_u8)
    # Weights are off by half a step each: 36 of them add up to sqrt(36) * step / sqrt(12) on average,
    # four times that at most; and the output is rounded to half its step.
    weight_step = np.abs(kernel).max() / 127
    tolerance = scale / 2 + 4 * np.sqrt(36 / 12) * weight_step
    np.testing.assert_allclose(classifier.logits(images_u8), exact, atol=tolerance)


def test_predict_of_every_type_gives_the_same_class(write, kernel, bias, images_u8):
    exact = np.sort(expected_logits(kernel, bias, images_u8), axis=1)
    clear = images_u8[exact[:, -1] - exact[:, -2] > 0.2]  # further apart than the roundings reach
    assert len(clear) > 100
    answers = []
    for io in TYPES:
        classifier = Classifier(write(io=io), labels=LABELS, input_range="0..1")
        answers.append([classifier.predict(image).label for image in clear])
    assert answers[0] == answers[1] == answers[2]
    assert len(set(answers[0])) >= 3  # not one class for everything


def test_predict_is_the_first_row_of_probabilities(write, images_u8):
    classifier = Classifier(write(), labels=LABELS)
    prediction = classifier.predict(images_u8[0])
    np.testing.assert_array_equal(
        prediction.probabilities, classifier.probabilities(images_u8[:1])[0]
    )
    assert prediction.label == LABELS[prediction.class_id]
    assert prediction.confidence == prediction.probabilities.max()
    # A float32 sum of four numbers below 1.
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-6)


def test_predict_of_equal_logits_is_the_lowest_class(write, images_u8):
    path = write(new_kernel=np.full((4, 36), 1e-6), new_bias=np.zeros(4))
    assert Classifier(path).predict(images_u8[0]).class_id == 0


def test_raw_outputs_with_a_channel_axis_are_the_same(write, images_u8):
    classifier = Classifier(write())
    flat = classifier.raw_outputs(images_u8)
    assert (flat.dtype, flat.shape) == (np.int8, (200, 4))
    np.testing.assert_array_equal(classifier.raw_outputs(images_u8[..., np.newaxis]), flat)


def test_raw_outputs_do_not_depend_on_the_images_before(write, images_u8):
    classifier = Classifier(write())
    together = classifier.raw_outputs(images_u8)
    alone = np.concatenate([classifier.raw_outputs(images_u8[i : i + 1]) for i in range(200)])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(classifier.raw_outputs(images_u8), together)


def test_raw_outputs_of_no_image_are_empty(write, images_u8):
    assert Classifier(write()).raw_outputs(images_u8[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(np.zeros((1, SIDE, SIDE), np.float32), id="float"),
        pytest.param(np.zeros((1, 28, 28), np.uint8), id="size"),
        pytest.param(np.zeros((SIDE, SIDE), np.uint8), id="no-batch"),
        pytest.param(np.zeros((1, SIDE, SIDE, 3), np.uint8), id="colour"),
    ],
)
def test_raw_outputs_of_images_that_do_not_fit_are_refused(write, images):
    with pytest.raises(ValueError):
        Classifier(write()).raw_outputs(images)


def test_probabilities_are_tempered_by_the_files_own_temperature(write, metadata_of, images_u8):
    classifier = Classifier(write(metadata=metadata_of(temperature=2.5)))
    logits = classifier.logits(images_u8)
    np.testing.assert_array_equal(classifier.probabilities(images_u8), softmax(logits / 2.5))


def test_probabilities_of_outputs_that_are_not_finite_are_refused(write, images_u8):
    path = write(io="float32", new_bias=np.array([0, np.nan, 0, 0]))
    classifier = Classifier(path, input_range="0..1")
    with pytest.raises(ModelError, match="not finite numbers"):
        classifier.probabilities(images_u8[:1])


def test_softmax_of_large_logits_does_not_overflow():
    probabilities = softmax(np.array([[1e4, 0, -1e4], [0, 0, 0]], np.float32))
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities[0], [1, 0, 0])
    np.testing.assert_array_equal(probabilities[1], np.full(3, np.float32(1) / 3))


@pytest.mark.parametrize("threads", [1, 2])
def test_raw_outputs_do_not_depend_on_threads(write, images_u8, threads):
    expected = Classifier(write()).raw_outputs(images_u8)
    found = Classifier(write(), num_threads=threads).raw_outputs(images_u8)
    np.testing.assert_array_equal(found, expected)


def test_classifier_with_reference_kernels_stays_within_steps(write, images_u8):
    default = Classifier(write()).raw_outputs(images_u8).astype(int)
    reference = Classifier(write(), kernels="reference").raw_outputs(images_u8).astype(int)
    assert np.abs(default - reference).max() <= 4  # seen at most with any network so far


# --- a foreign file that ends in a softmax


@pytest.mark.parametrize("io", TYPES)
def test_classifier_of_a_foreign_softmax_takes_its_outputs_for_probabilities(write, images_u8, io):
    plain = Classifier(write(io=io, output_scale=0.02, zero_point=0))
    assert not plain.outputs_probabilities
    expected = plain.probabilities(images_u8)
    classifier = Classifier(write(io=io, output_scale=0.02, zero_point=0, softmax=True))
    assert classifier.outputs_probabilities
    found = classifier.probabilities(images_u8)
    # Integers show probabilities in steps of 1/256, and none of the four is known better than that.
    tolerance = 1e-6 if io == "float32" else 4 / 256
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert np.isfinite(classifier.logits(images_u8)).all()


def test_classifier_of_our_own_file_takes_its_outputs_for_logits(write, metadata_of):
    assert not Classifier(write(softmax=True, metadata=metadata_of())).outputs_probabilities


# --- labels


def test_labels_of_a_file_without_metadata_are_numbers(write):
    classifier = Classifier(write())
    assert classifier.labels == ["class 0", "class 1", "class 2", "class 3"]
    assert (classifier.metadata, classifier.name) == (None, "model")


def test_labels_given_go_before_those_of_the_file(write, metadata_of):
    path = write(metadata=metadata_of(name="named"))
    assert Classifier(path).labels == LABELS
    assert Classifier(path).name == "named"
    assert Classifier(path, labels=LABELS[::-1]).labels == LABELS[::-1]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_labels_of_another_number_are_refused(write, metadata_of, number):
    labels = [f"label {i}" for i in range(number)]
    with pytest.raises(ModelError, match=f"has 4 outputs but there are {number} labels"):
        Classifier(write(), labels=labels)
    with pytest.raises(ModelError, match=f"has 4 outputs but there are {number} labels"):
        Classifier(write(metadata=metadata_of(labels=labels)))


# --- files that are no model of ours


@pytest.mark.parametrize("label", ["unknown", "No  Garment"])
def test_labels_that_stand_for_no_class_are_refused(write, label):
    with pytest.raises(ModelError, match=f"has a class called '{label}'.*another name"):
        Classifier(write(), labels=["Bag", "Coat", label, "Shirt"])


def test_classifier_remembers_its_kernels(write):
    assert Classifier(write()).kernels == "default"
    assert Classifier(write(), kernels="reference").kernels == "reference"


@pytest.mark.parametrize("threshold", [None, 0.4])
def test_unknown_threshold_is_that_of_the_metadata(write, metadata_of, threshold):
    path = write(metadata=metadata_of(unknown_threshold=threshold))
    assert Classifier(path).unknown_threshold == threshold
    assert Classifier(write()).unknown_threshold is None


def test_classifier_of_a_missing_file_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"Cannot read the model .*none\.tflite: No such file"):
        Classifier(tmp_path / "none.tflite")


def test_classifier_of_a_folder_says_so(tmp_path):
    with pytest.raises(ModelError, match="Cannot read the model"):
        Classifier(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"labels\n", b"TFL3" * 10, b"\x1c\0\0\0TFL3", b"PK\x03\x04" * 8]
)
def test_classifier_of_a_file_that_is_no_model_is_one_sentence(tmp_path, content):
    path = tmp_path / "text.tflite"
    path.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"text\.tflite is not a model that can be used here"
    ) as caught:
        Classifier(path)
    assert "\n" not in str(caught.value)


def test_classifier_of_four_channels_is_refused(write):
    kernel = np.ones((4, SIDE * SIDE * 4))
    with pytest.raises(
        ModelError, match=r"input has shape \(1, 6, 6, 4\), expected one grey or RGB"
    ):
        Classifier(write(new_kernel=kernel, channels=4))


# A runtime that crashed would take the test run with it, so this one is in a process of its own.
CUT_OFF = """
import json, sys
from pathlib import Path
import numpy as np
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError

path, cut = Path(sys.argv[1]), Path(sys.argv[2])
content = path.read_bytes()
seen = {}
for length in json.loads(sys.argv[3]):
    cut.write_bytes(content[:length])
    try:
        classifier = Classifier(cut)
        classifier.probabilities(np.zeros((1, *classifier.image_size), np.uint8))
        seen[length] = "ran"
    except ModelError as error:
        seen[length] = str(error)
print(json.dumps(seen))
"""


def cut_off(run_python, path, tmp_path, lengths):
    result = run_python("-c", CUT_OFF, str(path), str(tmp_path / "cut.tflite"), json.dumps(lengths))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_classifier_of_a_file_cut_off_anywhere_is_refused(write, metadata_of, run_python, tmp_path):
    path = write(metadata=metadata_of())
    size = path.stat().st_size
    flatbuffer_size = path.read_bytes().index(b"PK\x03\x04")
    # Between the flatbuffer and its metadata, it is a whole model that says nothing of itself.
    lengths = [
        n for n in range(0, size, 7) if not flatbuffer_size - 64 <= n <= flatbuffer_size + 13
    ]
    seen = cut_off(run_python, path, tmp_path, [*lengths, size])
    assert seen.pop(str(size)) == "ran"
    assert len(seen) > 150
    assert all("is not a model that can be used here" in sentence for sentence in seen.values())


def test_classifier_of_the_shipped_file_cut_off_is_refused(shipped_int8, run_python, tmp_path):
    size = shipped_int8.stat().st_size
    lengths = [
        8,
        100,
        5_000,
        size // 10,
        size // 2,
        size * 9 // 10,
        size - 5_000,
        size - 100,
        size - 1,
    ]
    seen = cut_off(run_python, shipped_int8, tmp_path, lengths)
    assert all("is not a model that can be used here" in sentence for sentence in seen.values())


CORRUPTED = """
import sys
from pathlib import Path
import numpy as np
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError

path, broken = Path(sys.argv[1]), Path(sys.argv[2])
content = np.frombuffer(path.read_bytes(), np.uint8)
rng = np.random.default_rng(0)
refused = 0
for _ in range(300):
    damaged = content.copy()
    damaged[rng.integers(0, len(damaged), 3)] = rng.integers(0, 256, 3)
    broken.write_bytes(damaged.tobytes())
    try:
        classifier = Classifier(broken)
        classifier.probabilities(np.zeros((1, *classifier.image_size), np.uint8))
    except ModelError:
        refused += 1
print(refused)
"""


def test_classifier_of_damaged_bytes_refuses_or_runs_and_never_crashes(write, run_python, tmp_path):
    result = run_python("-c", CORRUPTED, str(write()), str(tmp_path / "broken.tflite"))
    assert result.returncode == 0, result.stderr
    assert 0 < int(result.stdout) <= 300
