"""Tests of recognition, from a picture to an answer, with the real parts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.metadata import attach
from garmentlite.edge.pictures import Picture
from garmentlite.edge.preparation import PREPARATION, fit_to_tile
from garmentlite.edge.recognition import (
    SURE,
    Recognition,
    answer_to,
    averaged_if_unsure,
    mean_over_views,
    name_of,
    recognize,
    views,
)
from garmentlite.edge.segmenters.registry import make_segmenter

LABELS = ["Bag", "Coat", "Dress", "Shirt"]


@pytest.fixture(scope="module")
def segmenter():
    pytest.importorskip("cv2")
    return make_segmenter("grabcut")


@pytest.fixture
def make(tmp_path, dense_model, metadata_of):
    """A classifier of 28x28 images with fixed logits, whatever it sees."""

    def build(logits, **fields):
        flatbuffer = dense_model(np.full((4, 784), 1e-9), np.array(logits), io="float32")
        path = tmp_path / "fixed.tflite"
        path.write_bytes(attach(flatbuffer, metadata_of(**fields)) if fields else flatbuffer)
        return Classifier(path, labels=None if fields else LABELS, input_range="0..1")

    return build


@pytest.fixture
def tile():
    """A picture in Fashion-MNIST's own form, which needs no segmentation."""
    image = np.zeros((28, 28, 3), np.uint8)
    image[4:24, 8:20] = 180
    return Picture(image)


# softmax of these: 0.643914, 0.236883, 0.087144, 0.032059
LOGITS = [3.0, 2.0, 1.0, 0.0]


def test_recognize_names_the_most_probable_class_and_times_every_stage(make, tile, segmenter):
    recognition = recognize(tile, make(LOGITS), segmenter)
    assert recognition.label == "Bag"
    assert recognition.confidence == pytest.approx(0.643914, abs=1e-5)
    assert list(recognition.latency_ms) == ["segment", "prepare", "infer"]
    np.testing.assert_array_equal(recognition.image_u8, tile.rgb[..., 0])


def test_recognize_where_nothing_stands_out_says_no_garment(make, segmenter):
    recognition = recognize(Picture(np.full((60, 60, 3), 90, np.uint8)), make(LOGITS), segmenter)
    assert (recognition.label, recognition.confidence) == (NO_GARMENT, 0.0)
    assert recognition.probabilities is None
    assert recognition.scores == []
    assert "infer" not in recognition.latency_ms
    document = recognition.as_document(3)
    assert document["top_k"] == []
    assert document["preparation"]["reason"]
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize(
    ("threshold", "label"), [(None, "Bag"), (0.64, "Bag"), (0.65, UNKNOWN), (0.0, "Bag")]
)
def test_recognize_below_the_files_threshold_is_unknown(make, tile, segmenter, threshold, label):
    classifier = make(LOGITS, unknown_threshold=threshold)
    recognition = recognize(tile, classifier, segmenter)
    assert recognition.label == label
    assert recognition.confidence == pytest.approx(0.643914, abs=1e-5)
    assert recognition.scores[0].label == "Bag"  # what it would have been


# --- mirrored images


BOTH_VIEWS = ("plain", "mirrored")


@pytest.fixture
def sided(tmp_path, dense_model, metadata_of):
    """A classifier to which what is bright on the left is the first class, on the right the second."""
    kernel = np.zeros((4, 28, 28))
    kernel[0, :, :14] = kernel[1, :, 14:] = 0.05

    def build(**fields):
        flatbuffer = dense_model(kernel.reshape(4, 784), np.zeros(4), io="float32")
        path = tmp_path / "sided.tflite"
        path.write_bytes(attach(flatbuffer, metadata_of(**fields)))
        return Classifier(path)

    return build


@pytest.fixture
def lopsided():
    """A tile that is much brighter on its left."""
    image = np.zeros((28, 28, 3), np.uint8)
    image[4:24, 6:14], image[4:24, 14:20] = 220, 60
    return Picture(image)


def test_recognize_shows_mirrored_images_to_a_network_trained_on_them(sided, lopsided, segmenter):
    classifier = sided(views=BOTH_VIEWS, temperature=2.0)
    assert classifier.views == BOTH_VIEWS
    recognition = recognize(lopsided, classifier, segmenter)
    image = lopsided.rgb[np.newaxis, ..., 0]
    one, other = classifier.probabilities(image)[0], classifier.probabilities(image[:, :, ::-1])[0]
    assert one[0] > 0.7  # as it is, it would be sure; mirrored, of the other class
    assert other[1] > 0.7
    # The mean of probabilities, not of logits; both are float32.
    np.testing.assert_allclose(recognition.probabilities, (one + other) / 2, atol=1e-7)
    assert recognition.probabilities.dtype == np.float32
    assert recognition.probabilities[0] == pytest.approx(recognition.probabilities[1], abs=1e-6)
    assert recognition.confidence < 0.5


def test_recognize_shows_nothing_mirrored_to_a_network_that_is_asked_about_the_plain_image(
    sided, lopsided, segmenter
):
    classifier = sided(views=("plain",), training={"augmentation": {"flip": 0.5}})
    assert classifier.views == ("plain",)
    recognition = recognize(lopsided, classifier, segmenter)
    expected = classifier.probabilities(lopsided.rgb[np.newaxis, ..., 0])[0]
    np.testing.assert_array_equal(recognition.probabilities, expected)
    assert recognition.label == "Bag"


def test_recognize_with_a_file_of_somebody_else_shows_nothing_mirrored(make, tile, segmenter):
    classifier = make(LOGITS)
    assert classifier.metadata is None
    assert classifier.views == ("plain",)
    assert recognize(tile, classifier, segmenter).label == "Bag"


def test_answer_to_is_below_the_threshold_where_the_views_disagree(sided, lopsided, segmenter):
    """The mean is what the threshold is compared with."""
    fields = {"unknown_threshold": 0.55}
    assert recognize(lopsided, sided(**fields), segmenter).label == "Bag"
    seen_twice = sided(views=BOTH_VIEWS, **fields)
    recognition = recognize(lopsided, seen_twice, segmenter)
    assert recognition.label == UNKNOWN
    answer = answer_to(lopsided.rgb[..., 0], seen_twice)
    assert recognition.confidence == float(answer.max())


def test_views_are_the_images_and_the_images_mirrored_left_for_right():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4), np.uint8)
    as_they_are, mirrored = views(images, ("plain", "mirrored"))
    np.testing.assert_array_equal(as_they_are, images)
    assert len(views(images, ("plain",))) == 1
    for image, other in zip(images, mirrored, strict=True):
        np.testing.assert_array_equal(other, np.fliplr(image))
    answers = np.array([[[0.2, 0.8], [1.0, 0.0]], [[0.6, 0.4], [0.5, 0.5]]])
    np.testing.assert_allclose(mean_over_views(answers), [[0.4, 0.6], [0.75, 0.25]], atol=1e-15)


class Doubtful:
    """Has a second mask: the lower part of the first, by default half."""

    name = "doubtful"

    def __init__(self, mask, share=0.5):
        self.masks = [mask, mask.copy()]
        self.masks[1][: round(len(mask) * (1 - share))] = False
        self.asked = 0

    def segment(self, rgb):
        return next(self.candidate_masks(rgb))

    def candidate_masks(self, rgb):
        for mask in self.masks:
            self.asked += 1
            yield mask


def test_recognize_in_doubt_gives_the_mean_of_the_answers_to_both_masks(shipped_int8):
    scene = draw_scene("Coat", np.random.default_rng(4))
    classifier, segmenter = Classifier(shipped_int8), Doubtful(scene.mask)
    found = recognize(Picture(scene.rgb), classifier, segmenter)
    each = [answer_to(fit_to_tile(scene.rgb, mask), classifier) for mask in segmenter.masks]
    assert each[0].max() < SURE
    assert np.abs(each[0] - each[1]).max() > 0.01  # so the mean says something
    np.testing.assert_allclose(found.probabilities, np.mean(each, axis=0), rtol=1e-6)
    assert found.probabilities.dtype == np.float32
    assert segmenter.asked == 2
    assert found.mask is segmenter.masks[0]


def test_recognize_in_doubt_is_less_confident_if_the_second_mask_is_empty(shipped_int8):
    scene = draw_scene("Coat", np.random.default_rng(4))
    classifier, segmenter = Classifier(shipped_int8), Doubtful(scene.mask, share=0)
    found = recognize(Picture(scene.rgb), classifier, segmenter)
    first = answer_to(fit_to_tile(scene.rgb, scene.mask), classifier)
    np.testing.assert_allclose(found.probabilities, (first + 0.1) / 2, rtol=1e-6)
    assert found.probabilities.dtype == np.float32
    assert segmenter.asked == 2
    assert found.mask is segmenter.masks[0]


def test_recognize_sure_answer_computes_no_second_mask(shipped_int8):
    scene = draw_scene("Trouser", np.random.default_rng(4))
    classifier, segmenter = Classifier(shipped_int8), Doubtful(scene.mask)
    found = recognize(Picture(scene.rgb), classifier, segmenter)
    assert found.confidence >= SURE
    assert segmenter.asked == 1
    tile = fit_to_tile(scene.rgb, scene.mask)
    np.testing.assert_array_equal(found.probabilities, answer_to(tile, classifier))


def test_averaged_if_unsure_keeps_confident_answers_and_averages_the_others():
    first = np.array([[SURE, 1 - SURE], [0.6, 0.4]])
    second = np.array([[0.0, 1.0], [0.2, 0.8]])
    np.testing.assert_allclose(averaged_if_unsure(first, second), [first[0], [0.4, 0.6]])
    np.testing.assert_allclose(averaged_if_unsure(first[1], second[1]), [0.4, 0.6])


def test_name_of_without_metadata_has_no_threshold(make):
    assert name_of(np.array([0.1, 0.2, 0.3, 0.4]), make(LOGITS)) == ("Shirt", 0.4)


@pytest.mark.parametrize(("k", "count"), [(0, 0), (-1, 0), (1, 1), (3, 3), (99, 4)])
def test_as_document_lists_so_many_classes_best_first(make, tile, segmenter, k, count):
    rows = recognize(tile, make(LOGITS), segmenter).as_document(k)["top_k"]
    assert [row["label"] for row in rows] == LABELS[:count]
    probabilities = [row["probability"] for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)


def test_scores_of_equal_probabilities_keep_the_order_of_the_labels(make, tile, segmenter):
    recognition = recognize(tile, make([1.0, 1.0, 1.0, 1.0]), segmenter)
    assert [score.label for score in recognition.scores] == LABELS


def test_as_document_has_the_documented_fields(make, tile, segmenter):
    recognition = recognize(tile, make(LOGITS), segmenter)
    assert isinstance(recognition, Recognition)
    document = json.loads(json.dumps(recognition.as_document(2), allow_nan=False))
    assert list(document) == ["label", "confidence", "top_k", "latency_ms", "preparation"]
    assert document["top_k"][0] == {"label": "Bag", "probability": document["confidence"]}
    assert document["preparation"] == {
        "preparation": PREPARATION["name"], "version": PREPARATION["version"],
        "form": "fashion-mnist", "segmenter": None, "found": True, "reason": None,
        "box": [0, 0, 28, 28],
    }  # fmt: skip
    assert all(ms >= 0 for ms in document["latency_ms"].values())


def test_in_words_gives_the_share_of_a_label_that_smoothing_has_kept(make, tile, segmenter):
    recognition = recognize(tile, make(LOGITS), segmenter)
    second = recognition.scores[1]
    kept = replace(recognition, label=second.label)
    assert kept.share_of_label == second.probability < kept.confidence
    assert kept.in_words().startswith(f"{second.label} {second.probability:.0%} (")
    assert replace(recognition, label=UNKNOWN).share_of_label is None


def test_in_words_names_classes_or_the_reason(make, tile, segmenter):
    words = recognize(tile, make(LOGITS), segmenter).in_words(2)
    assert words.startswith("Bag 64% (Bag 64%, Coat 24%), ")
    # "unknown" has no percentage of its own, but the two likeliest classes.
    unsure = replace(recognize(tile, make(LOGITS), segmenter), label=UNKNOWN)
    assert unsure.in_words(1).startswith("unknown (perhaps Bag 64% or Coat 24%), ")
    blank = Picture(np.full((60, 60, 3), 90, np.uint8))
    words = recognize(blank, make(LOGITS), segmenter).in_words(2)
    assert words.startswith("no garment (no garment stands out from the background), ")
    assert words.endswith(" ms")
