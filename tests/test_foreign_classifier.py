"""Models of other programs are used as their files say, and refused in one sentence where they cannot be."""

import io
import zipfile

import numpy as np
import pytest

from garmentlite.edge import foreign_model
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.model_input import RANGES
from garmentlite.edge.recognition import recognize_whole
from garmentlite.edge.runtime import pack, unpack

SIDE = 6


@pytest.fixture(scope="module")
def kernel():
    return np.random.default_rng(1).normal(0, 0.4, (4, SIDE * SIDE * 3))


@pytest.fixture(scope="module")
def images_u8():
    return np.random.default_rng(2).integers(0, 256, (50, SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def write(tmp_path, kernel, dense_model):
    """Writes a model of RGB images, changed by a function; returns its path."""

    def build(change=lambda model: None, *, behind=b"", **options):
        options = {"io": "float32", "channels": 3} | options
        size = SIDE * SIDE * options["channels"]
        model = unpack(dense_model(kernel[:, :size], np.zeros(4), **options))
        change(model)
        path = tmp_path / "foreign.tflite"
        path.write_bytes(pack(model) + behind)
        return path

    return build


def logits_of(kernel, numbers):
    return numbers.reshape(len(numbers), -1) @ kernel.T


# --- the range


@pytest.mark.parametrize("name", list(RANGES))
def test_classifier_of_a_float_file_takes_the_range_that_is_given(write, kernel, images_u8, name):
    classifier = Classifier(write(), input_range=name)
    assert (classifier.model_input.range, classifier.model_input.known_by) == (
        RANGES[name],
        "option",
    )
    assert (classifier.model_input.channels, classifier.image_size) == (3, (SIDE, SIDE))
    numbers = (images_u8 - RANGES[name].mean[0]) / RANGES[name].std[0]
    # 108 products of float32, each rounded to 6e-8 of the largest sum, which is below 255 * 0.4 * 108.
    np.testing.assert_allclose(
        classifier.logits(images_u8), logits_of(kernel, numbers), rtol=1e-4, atol=0.05
    )


@pytest.mark.parametrize(
    ("io_type", "scale", "zero_point", "name"),
    [
        ("uint8", 1.0, 0, "0..255"),
        ("int8", 1.0, -128, "0..255"),
        ("uint8", 1 / 127.5, 128, "-1..1"),
        ("int8", 1 / 255, -128, "0..1"),
    ],
)
def test_classifier_of_an_integer_file_takes_the_range_that_it_states(
    write, images_u8, io_type, scale, zero_point, name
):
    def restate(model):
        image, _, bias, logits = (one.quantization for one in model.subgraphs[0].tensors)
        for depending in (bias, logits):
            depending.scale = [float(depending.scale[0]) * scale * 255]
        image.scale, image.zeroPoint = [scale], [zero_point]

    classifier = Classifier(write(restate, io=io_type))
    assert (classifier.model_input.range, classifier.model_input.known_by) == (
        RANGES[name], "quantization",
    )  # fmt: skip
    # Every pixel is represented, whatever the range: 0 and 255 are the ends of the type, to a step.
    quantized = classifier.input.quantize(classifier.model_input.range.table()).astype(int)
    limits = np.iinfo(io_type)
    np.testing.assert_allclose(quantized, np.arange(256) + limits.min, atol=1)


def test_classifier_of_a_float_file_that_nothing_decides_asks_for_the_range(write):
    def forget(model):
        kernel_tensor = model.subgraphs[0].tensors[1]
        size = len(model.buffers[kernel_tensor.buffer].data)
        model.buffers[kernel_tensor.buffer].data = np.zeros(size, np.uint8)

    with pytest.raises(
        ModelError,
        match=r"do not decide it; say what it was trained with by --input-range \(0\.\.1, 0",
    ):
        Classifier(write(forget))


def test_classifier_with_a_range_that_does_not_exist_lists_those_that_do(write):
    with pytest.raises(OptionError, match="choose one of"):
        Classifier(write(), input_range="0..2")


def test_classifier_of_our_own_file_keeps_to_the_contract(shipped_int8):
    classifier = Classifier(shipped_int8, input_range="0..255")
    assert (classifier.model_input.range.name, classifier.model_input.known_by) == (
        "0..1",
        "contract",
    )


# --- images


def test_classifier_of_rgb_images_takes_grey_ones_as_three_equal_channels(write, images_u8):
    classifier = Classifier(write(), input_range="0..1")
    grey = images_u8[..., 0]
    expected = classifier.logits(np.repeat(grey[..., np.newaxis], 3, axis=3))
    np.testing.assert_array_equal(classifier.logits(grey), expected)
    np.testing.assert_array_equal(classifier.logits(grey[..., np.newaxis]), expected)


def test_classifier_of_grey_images_refuses_rgb_ones(write, images_u8):
    classifier = Classifier(write(channels=1), input_range="0..1")
    with pytest.raises(ValueError, match=r"got uint8 of shape \(50, 6, 6, 3\)"):
        classifier.logits(images_u8)


# --- scores


@pytest.mark.parametrize("shape", [[1, 4], [1, 1, 1, 4], [4]])
def test_classifier_takes_one_row_of_scores_of_any_shape(write, images_u8, shape):
    def reshape(model):
        model.subgraphs[0].tensors[3].shape = shape

    expected = Classifier(write(), input_range="0..1").logits(images_u8)
    try:
        found = Classifier(write(reshape), input_range="0..1").logits(images_u8)
    except ModelError as error:  # the runtime sets the shape of a dense layer's output itself
        pytest.fail(str(error))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("is_softmax", [True, False])
def test_classifier_knows_by_the_last_operator_whether_it_gives_probabilities(
    write, images_u8, is_softmax
):
    plain = Classifier(write(), input_range="0..1").probabilities(images_u8)
    classifier = Classifier(write(softmax=is_softmax), input_range="0..1")
    assert classifier.outputs_probabilities == is_softmax
    # The softmax is not taken twice.
    np.testing.assert_allclose(classifier.probabilities(images_u8), plain, atol=1e-6)


def test_classifier_that_ends_in_a_sigmoid_is_refused(write):
    def end_in_sigmoid(model):
        for code in model.operatorCodes[1:]:
            code.builtinCode = code.deprecatedBuiltinCode = 14  # LOGISTIC
        step = model.subgraphs[0].operators[1]
        step.builtinOptionsType, step.builtinOptions = 0, None

    with pytest.raises(ModelError, match="it ends in a sigmoid, which judges each class alone"):
        Classifier(write(end_in_sigmoid, softmax=True), input_range="0..1")


def test_classifier_with_several_outputs_is_refused(write):
    def show_both(model):
        model.subgraphs[0].outputs = np.array([3, 4], np.int32)

    with pytest.raises(ModelError, match=r"1 input and 2 outputs.*object detectors"):
        Classifier(write(show_both, softmax=True), input_range="0..1")


# --- labels


def test_classifier_takes_the_labels_in_the_file(write):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.txt", "0 Hat\r\n1 Shoe\r\n2 Hat\r\n3 Scarf\r\n")
    path = write(behind=packed.getvalue())
    classifier = Classifier(path, input_range="0..1")
    assert classifier.labels == ["Hat (class 0)", "Shoe", "Hat (class 2)", "Scarf"]
    assert classifier.labels_source == "labels.txt in the file"
    assert Classifier(path, labels=list("abcd"), input_range="0..1").labels == list("abcd")


@pytest.mark.parametrize("given", [None, ["Hat", "Shoe", "Hat", "Shoe"]])
def test_classifier_of_labels_that_stand_twice_is_used_and_names_them(write, given):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.txt", "Hat\nShoe\nHat\nShoe\n")
    classifier = Classifier(write(behind=packed.getvalue()), labels=given, input_range="0..1")
    assert len(set(classifier.labels)) == 4
    (doubt,) = classifier.doubts()
    assert doubt.startswith(f"The labels of {classifier.path} have one name for several classes")
    assert "('Hat', 'Shoe')" in doubt
    assert "as in 'Hat (class 0)'" in doubt
    assert Classifier(classifier.path, labels=list("abcd"), input_range="0..1").doubts() == []


def test_classifier_of_labels_that_cannot_be_read_asks_for_them(write):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.txt", b"\xff\xff")
    path = write(behind=packed.getvalue())
    with pytest.raises(ModelError, match=r"'labels.txt' cannot be read.*give the class names with"):
        Classifier(path, input_range="0..1")
    assert Classifier(path, labels=list("abcd"), input_range="0..1").labels == list("abcd")


# --- pictures


def test_recognize_whole_names_what_a_picture_shows(write, images_u8):
    from garmentlite.edge.pictures import Picture

    classifier = Classifier(write(), labels=list("abcd"), input_range="0..1")
    rgb = np.kron(images_u8[0], np.ones((10, 10, 1), np.uint8))
    found = recognize_whole(Picture(rgb), classifier, "resize")
    # Pillow's filter reaches beyond a block of 10 x 10 pixels, so the image is not exactly the small one.
    expected = classifier.probabilities(found.image_u8[np.newaxis])[0]
    np.testing.assert_array_equal(found.probabilities, expected)
    assert found.label == "abcd"[int(expected.argmax())]
    assert list(found.latency_ms) == ["prepare", "infer"]
    document = found.as_document()["preparation"]
    assert (document["form"], document["found"], document["box"]) == (
        "resize",
        True,
        [0, 0, 60, 60],
    )


def test_classifier_of_a_file_that_this_process_made_takes_what_our_files_take(write, monkeypatch):
    monkeypatch.setattr(foreign_model, "_made_here", set())
    path = write(channels=1)
    foreign_model.trust(path.read_bytes())
    model_input = Classifier(path).model_input
    assert (model_input.range, model_input.known_by) == (RANGES["0..1"], "contract")
