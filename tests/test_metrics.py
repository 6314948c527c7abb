"""Metrics are compared with values worked out by hand and with scikit-learn."""

import json
import math

import numpy as np
import pytest

from garmentlite.edge.metrics import (
    accuracy,
    calibration_error,
    confidence_bins,
    confusion_matrix,
    defined,
    expected_calibration_error,
    f1_per_class,
    log_loss,
    matthews_correlation,
    precision_per_class,
    recall_per_class,
    summary,
)

#                   predicted 0  1  2
MATRIX = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]])  # class 2 neither occurs nor is predicted


@pytest.fixture(scope="module")
def answers():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 5, 400)
    logits = rng.normal(0, 1.5, (400, 5)) + 2 * np.eye(5)[y_true]
    return y_true, logits


def test_confusion_matrix_counts_true_in_rows_and_predicted_in_columns():
    y_true, y_pred = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    np.testing.assert_array_equal(confusion_matrix(y_true, y_pred, 3), expected)


def test_confusion_matrix_of_uint8_does_not_wrap():
    y = np.full(3, 200, np.uint8)
    assert confusion_matrix(y, y, 201)[200, 200] == 3


def test_confusion_matrix_of_nothing_is_zero():
    empty = np.array([], int)
    np.testing.assert_array_equal(confusion_matrix(empty, empty, 2), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([0, 1], [0], "the same shape"),
        ([[0]], [[0]], "the same shape"),
        ([0, 3], [0, 0], r"y_true must lie in \[0, 3\)"),
        ([0, 1], [0, -1], r"y_pred must lie in \[0, 3\)"),
    ],
)
def test_confusion_matrix_of_what_is_no_class_is_refused(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(y_true), np.array(y_pred), 3)


def test_figures_of_a_hand_made_matrix():
    nan = math.nan
    assert accuracy(MATRIX) == 17 / 20
    np.testing.assert_array_equal(recall_per_class(MATRIX), [0.8, 0.9, nan])
    np.testing.assert_array_equal(precision_per_class(MATRIX), [8 / 9, 9 / 11, nan])
    np.testing.assert_allclose(f1_per_class(MATRIX), [16 / 19, 18 / 21, nan])


def test_recall_of_a_class_that_is_only_predicted_is_nan_and_its_precision_0():
    matrix = np.array([[3, 1], [0, 0]])
    assert math.isnan(recall_per_class(matrix)[1])
    assert precision_per_class(matrix)[1] == 0
    assert f1_per_class(matrix)[1] == 0


def test_precision_of_a_class_never_predicted_is_nan_and_its_recall_0():
    matrix = np.array([[4, 0], [2, 0]])
    assert math.isnan(precision_per_class(matrix)[1])
    assert recall_per_class(matrix)[1] == 0


def test_accuracy_of_nothing_is_nan():
    assert math.isnan(accuracy(np.zeros((3, 3), int)))


def test_defined_of_nan_is_none():
    assert defined(math.nan) is None
    assert defined(np.float64(0.5)) == 0.5


@pytest.mark.parametrize("matrix", [np.diag([5, 0]), [[5, 0], [3, 0]], np.zeros((2, 2))])
def test_matthews_of_one_class_alone_is_0(matrix):
    assert matthews_correlation(np.array(matrix)) == 0


def test_matthews_of_right_and_wrong_answers_is_1_and_minus_1():
    assert matthews_correlation(np.diag([5, 9])) == pytest.approx(1)
    assert matthews_correlation(np.array([[0, 5], [5, 0]])) == pytest.approx(-1)


def test_matthews_of_60000_images_does_not_overflow():
    counts = np.full((10, 10), 10) + np.diag(np.full(10, 5900)).astype(np.int32)
    assert matthews_correlation(counts) == pytest.approx(5900 / 6000, rel=1e-9)


def test_log_loss_of_known_probabilities():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    expected = [-math.log(0.5), -math.log(0.8)]
    assert log_loss(np.array([0, 1]), logits) == pytest.approx(sum(expected) / 2)
    weighted = (3 * expected[0] + expected[1]) / 4
    assert log_loss(np.array([0, 1]), logits, np.array([3.0, 1.0])) == pytest.approx(weighted)


def test_log_loss_of_large_logits_is_finite():
    assert log_loss(np.array([1]), np.array([[1e4, 0.0]], np.float32)) == pytest.approx(1e4)


def test_figures_are_those_of_scikit_learn(answers):
    theirs = pytest.importorskip("sklearn.metrics")
    y_true, logits = answers
    y_pred = logits.argmax(axis=1)
    matrix = confusion_matrix(y_true, y_pred, 5)
    np.testing.assert_array_equal(matrix, theirs.confusion_matrix(y_true, y_pred))
    precision, recall, f1, _ = theirs.precision_recall_fscore_support(y_true, y_pred)
    np.testing.assert_allclose(precision_per_class(matrix), precision, rtol=1e-12)
    np.testing.assert_allclose(recall_per_class(matrix), recall, rtol=1e-12)
    np.testing.assert_allclose(f1_per_class(matrix), f1, rtol=1e-12)
    assert accuracy(matrix) == pytest.approx(theirs.accuracy_score(y_true, y_pred))
    assert matthews_correlation(matrix) == pytest.approx(theirs.matthews_corrcoef(y_true, y_pred))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(y_true))
    assert log_loss(y_true, logits) == pytest.approx(theirs.log_loss(y_true, probabilities))
    assert log_loss(y_true, logits, weights) == pytest.approx(
        theirs.log_loss(y_true, probabilities, sample_weight=weights)
    )


def test_confidence_bins_of_an_edge_are_the_upper_and_of_1_the_last():
    confidence = np.array([0, 0.249, 0.25, 0.5, 0.749, 0.75, 1])
    assert confidence_bins(confidence, 4).tolist() == [0, 0, 1, 2, 2, 3, 3]


def test_calibration_error_is_that_of_bins_by_hand():
    def error(confidence, right):
        return calibration_error(confidence, right, confidence_bins(confidence, 10))

    confidence = np.array([0.31, 0.35, 0.39, 0.81, 0.89, 1.0, 0.95, 1.0])
    right = np.array([True, False, False, True, True, True, False, True])
    # Bins [0.3, 0.4), [0.8, 0.9) and [0.9, 1]: sums of right less sums of confidence.
    expected = (abs(1 - 1.05) + abs(2 - 1.70) + abs(2 - 2.95)) / 8
    assert error(confidence, right) == pytest.approx(expected, abs=1e-12)
    # Too sure here and not sure enough there do not make up for each other, but within a bin they do.
    assert error(np.array([0.2, 0.8]), np.array([True, False])) == 0.8
    assert error(np.array([0.5, 0.5]), np.array([True, False])) == 0


def test_expected_calibration_error_of_hand_made_bins():
    # Two answers of 0.9 of which one is right, two of 0.6 of which both are: |0.5 - 0.9| and |1 - 0.6|.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    error = expected_calibration_error(np.array([0, 1, 0, 0]), probabilities, bins=10)
    assert error == pytest.approx(0.4)


def test_expected_calibration_error_of_sure_and_right_answers_is_0():
    assert expected_calibration_error(np.array([0, 1]), np.eye(2)) == 0


def test_summary_is_json_and_consistent(answers):
    y_true, logits = answers
    labels = ["a", "b", "c", "d", "e"]
    document = summary(y_true, logits, labels)
    json.dumps(document, allow_nan=False)
    matrix = np.array(document["confusion_matrix"])
    assert document["images"] == matrix.sum() == 400
    assert [row["label"] for row in document["per_class"]] == labels
    assert [row["support"] for row in document["per_class"]] == np.bincount(y_true).tolist()
    recalls = [row["recall"] for row in document["per_class"]]
    assert document["macro_recall"] == pytest.approx(np.mean(recalls))


def test_summary_of_a_class_without_images_has_none_and_leaves_it_out_of_the_mean():
    logits = np.array([[2.0, 0, 0], [2.0, 0, 0], [0, 2.0, 0]])
    document = summary(np.array([0, 1, 1]), logits, ["a", "b", "c"])
    assert document["per_class"][2] == {
        "label": "c", "support": 0, "recall": None, "precision": None, "f1": None,
    }  # fmt: skip
    assert document["macro_recall"] == 0.75
    json.dumps(document, allow_nan=False)
