"""Tests of the question whether a new model is better, on the small models of the parity check."""

import json

import numpy as np
import pytest

from garmentlite.convert.verify.improvement import compare_models
from garmentlite.edge.model_comparison import FEWEST_PICTURES, Progress


@pytest.fixture
def few(patterns):
    """The images of a data set in which each class has some number of images."""

    def choose(per_class):
        chosen = np.flatnonzero(np.arange(len(patterns.y_true)) % 300 < per_class)
        return patterns.images_u8[chosen], patterns.y_true[chosen]

    return choose


def verdicts(comparison):
    return {row.label: row.verdict for row in comparison.classes}


def test_compare_models_of_a_model_with_its_int8_file_is_as_good(
    float_classifier, int8_classifier, few
):
    comparison = compare_models(float_classifier, int8_classifier, *few(300))
    assert set(verdicts(comparison).values()) == {Progress.AS_GOOD}
    assert comparison.verdict is Progress.AS_GOOD


def test_compare_models_calls_a_class_that_is_lost_worse_and_the_way_back_better(
    float_classifier, lossy_classifier, few
):
    images = few(300)
    worse = compare_models(float_classifier, lossy_classifier, *images)
    assert (worse.verdict, verdicts(worse)["Shirt"]) == (Progress.WORSE, Progress.WORSE)
    better = compare_models(lossy_classifier, float_classifier, *images)
    assert verdicts(better)["Shirt"] is Progress.BETTER
    shirt = next(row for row in better.classes if row.label == "Shirt")
    true_shirts = images[1] == 3
    right = float_classifier.probabilities(images[0][true_shirts]).argmax(axis=1) == 3
    assert shirt.support == 300
    assert shirt.recall_new == pytest.approx(right.mean())
    assert shirt.recall_old < shirt.recall_new
    assert (
        f"Shirt {shirt.recall_old:.0%} -> {shirt.recall_new:.0%} of 300 (better)"
        in better.in_words()
    )


def test_compare_models_with_a_model_that_gains_in_every_class_is_better(
    float_classifier, make_classifier, patterns, few
):
    # Knows every pattern, and gives it the name of the next class.
    poor = make_classifier(
        "poor", io="float32", card={},
        kernel=np.roll(patterns.kernel, 1, axis=0), bias=np.roll(patterns.bias, 1),
    )  # fmt: skip
    assert compare_models(poor, float_classifier, *few(300)).verdict is Progress.BETTER
    assert compare_models(float_classifier, poor, *few(300)).verdict is Progress.WORSE


def test_compare_models_with_one_picture_too_few_never_says_better(
    float_classifier, lossy_classifier, few
):
    comparison = compare_models(lossy_classifier, float_classifier, *few(FEWEST_PICTURES - 1))
    assert set(verdicts(comparison).values()) == {Progress.TOO_FEW}
    assert comparison.verdict is Progress.TOO_FEW
    assert "no class has 30 pictures" in comparison.in_words()
    assert "better" not in comparison.in_words()


def test_compare_models_with_the_fewest_pictures_judges(float_classifier, few):
    comparison = compare_models(float_classifier, float_classifier, *few(FEWEST_PICTURES))
    assert comparison.verdict is Progress.AS_GOOD


def test_compare_models_without_pictures_says_so(float_classifier, int8_classifier, few):
    comparison = compare_models(float_classifier, int8_classifier, *few(0))
    assert comparison.verdict is Progress.TOO_FEW
    assert "No held-out picture" in comparison.in_words()
    assert json.loads(json.dumps(comparison.as_document()))["verdict"] == "not enough pictures"


def test_compare_models_with_other_classes_gives_the_obstacle(
    float_classifier, make_classifier, few
):
    other = make_classifier(
        "other", io="float32", card={"labels": ["Hat", "Coat", "Dress", "Shirt"]}
    )
    comparison = compare_models(float_classifier, other, *few(40))
    assert comparison.classes == ()
    assert "other classes" in comparison.in_words()
