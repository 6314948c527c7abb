"""Tests of the criteria of a parity check, and of images that are too few for them."""

import numpy as np
import pytest

from garmentlite.convert.verify.criteria import Criteria
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"margin": 1e-308}, "at least 1e-06, got 1e-308"),
        ({"alpha": 1e-308}, "at least 1e-09, got 1e-308"),
    ],
)
def test_criteria_beyond_what_can_be_computed_are_refused(fields, message):
    with pytest.raises(OptionError, match=message):
        Criteria(**fields)


@pytest.mark.parametrize(
    "numbers",
    [{"margin": 0.0}, {"margin": 1.0}, {"alpha": 0.0}, {"alpha": 0.5}, {"min_support": 0}],
)
def test_criteria_with_a_number_out_of_range_are_an_option_error(numbers):
    with pytest.raises(OptionError):
        Criteria(**numbers)


def test_require_resolvable_of_a_margin_too_small_refuses_with_the_number_of_images():
    y_true = np.repeat(np.arange(10), 100)
    with pytest.raises(DataError, match=r"T-shirt/top \(100\).*at least 149 images of each class"):
        Criteria(margin=0.02).require_resolvable(y_true, FASHION_MNIST_LABELS)
    Criteria(margin=0.03).require_resolvable(y_true, FASHION_MNIST_LABELS)


def test_require_resolvable_of_a_class_without_images_names_it():
    y_true = np.repeat([0, 1, 2, 3, 4, 5, 7, 8, 9], 1000)
    with pytest.raises(DataError, match=r"for Shirt \(0\) even"):
        Criteria().require_resolvable(y_true, FASHION_MNIST_LABELS)


def test_require_resolvable_of_labels_beyond_the_classes_says_what_the_models_know():
    with pytest.raises(DataError, match="know 2 classes"):
        Criteria().require_resolvable(np.array([0, 1, 2]), ["left", "right"])


def test_reasons_not_judged_name_what_was_asked_for_and_the_number_of_images():
    y_true = np.repeat([0, 1, 2], [30, 200, 200])
    criteria = Criteria(classes=("bag", "COAT"), min_support=100)
    assert criteria.reasons_not_judged(y_true, ["Bag", "Coat", "Shirt"]) == [
        "30 images, fewer than 100", None, "not asked for",
    ]  # fmt: skip
