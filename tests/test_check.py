"""Tests of the parity check on real model files, small ones built here without TensorFlow."""

import numpy as np
import pytest

from garmentlite.convert.report.verify_page import to_html
from garmentlite.convert.report.verify_text import to_text
from garmentlite.convert.verify.check import verify
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.provenance import data_sha256
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError, ModelError

SHIRT = 3
LABELS = ("Bag", "Coat", "Dress", "Shirt")


def failed_guards(report) -> list[str]:
    return [guard.name for guard in report.guards if guard.passed is False]


def test_verify_of_a_sound_int8_file_passes(reference, candidate, images_u8, y_true):
    report = verify(reference, candidate, images_u8, y_true)
    assert report.passed
    assert 0.8 < report.accuracy.reference < 1.0  # neither trivial nor broken
    assert report.provenance.candidate.input_type == "int8"
    assert report.provenance.reference.output_type == "float32"
    assert report.provenance.candidate.sha256 == candidate.sha256
    assert report.provenance.data_sha256 == data_sha256(images_u8, y_true)
    assert report.provenance.runtime.startswith("ai-edge-litert ")
    assert not report.notes


def test_verify_of_paths_is_that_of_their_classifiers(reference, candidate, images_u8, y_true):
    report = verify(reference, candidate, images_u8, y_true)
    assert verify(reference.path, str(candidate.path), images_u8, y_true) == report


def test_verify_with_a_margin_alone_is_that_with_its_criteria(
    reference, candidate, images_u8, y_true
):
    report = verify(reference, candidate, images_u8, y_true, margin=0.03)
    assert report == verify(reference, candidate, images_u8, y_true, Criteria(margin=0.03))
    assert report.margin == 0.03


def test_verify_of_the_same_classifier_twice_passes_and_says_so(reference, images_u8, y_true):
    report = verify(reference, reference, images_u8, y_true)
    assert report.passed
    assert report.agreement == 1.0
    assert "identical, byte for byte" in report.notes[0]


def test_verify_of_a_damaged_class_names_it(
    reference, make_classifier, patterns, images_u8, y_true
):
    damaged = patterns.bias.copy()
    damaged[SHIRT] -= 0.8
    candidate = make_classifier("damaged_int8", io="int8", bias=damaged, card={})
    report = verify(reference, candidate, images_u8, y_true)
    assert not report.passed
    assert [row.label for row in report.with_verdict("lost")] == ["Shirt"]


@pytest.mark.parametrize("io", ["float32", "int8"])
def test_verify_of_an_added_softmax_that_is_taken_for_logits_fails_the_drift(
    reference, make_classifier, images_u8, y_true, io
):
    candidate = make_classifier("softmax", io=io, softmax=True, card={})
    report = verify(reference, candidate, images_u8, y_true)
    assert {"confidence drift, mean", "logit offset"} <= set(failed_guards(report))


def test_verify_of_a_softmax_that_is_known_passes_and_does_not_judge_the_offset(
    reference, make_classifier, images_u8, y_true
):
    candidate = make_classifier("softmax", io="float32", softmax=True, labels=LABELS)
    report = verify(reference, candidate, images_u8, y_true)
    assert candidate.outputs_probabilities
    assert report.passed
    assert report.confidence_drift.logit_offset is None
    assert any("not say which float model" in note for note in report.notes)
    assert any("softmax" in note for note in report.notes)


def test_verify_of_a_zero_point_that_saturates_fails_the_drift(
    reference, make_classifier, images_u8, y_true
):
    candidate = make_classifier("shifted", io="int8", zero_point=120, card={})
    report = verify(reference, candidate, images_u8, y_true)
    assert "logit offset" in failed_guards(report)


def test_verify_of_another_temperature_fails_the_drift(
    reference, make_classifier, images_u8, y_true
):
    candidate = make_classifier("tempered", io="int8", card={"temperature": 2.0})
    report = verify(reference, candidate, images_u8, y_true)
    assert "confidence drift, mean" in failed_guards(report)


def test_verify_of_files_of_different_origin_says_so(reference, make_classifier, images_u8, y_true):
    candidate = make_classifier("elsewhere", io="int8", card={"reference_sha256": "b" * 64})
    report = verify(reference, candidate, images_u8, y_true)
    assert any("different float models" in note for note in report.notes)


def test_verify_reports_progress_up_to_all_images(reference, candidate, images_u8, y_true):
    seen = []
    verify(
        reference,
        candidate,
        images_u8,
        y_true,
        on_progress=lambda *report: seen.append(report),
    )
    assert seen[-1] == ("Comparing", len(images_u8), len(images_u8))
    assert seen == sorted(seen)


def test_verify_of_images_with_a_channel_gives_the_same_report(
    reference, candidate, images_u8, y_true
):
    flat = verify(reference, candidate, images_u8, y_true)
    assert verify(reference, candidate, images_u8[..., np.newaxis], y_true) == flat


# --- kernels


def test_verify_that_compares_kernels_states_what_differs(reference, candidate, images_u8, y_true):
    assert verify(reference, candidate, images_u8, y_true).kernel_comparison is None
    report = verify(reference, candidate, images_u8, y_true, compare_kernels=True)
    comparison = report.kernel_comparison
    slow = Classifier(candidate.path, kernels="reference").raw_outputs(images_u8)
    steps = np.abs(slow.astype(int) - candidate.raw_outputs(images_u8))
    assert comparison.images == len(images_u8)
    assert comparison.largest_step == steps.max() <= 4
    assert comparison.differing_images == np.count_nonzero(steps.any(axis=1))
    assert "reference kernels" in " ".join(to_text(report).split())
    assert "reference kernels" in to_html(report)


# --- what cannot be judged


def test_verify_of_permuted_labels_cannot_be_judged(reference, make_classifier, images_u8, y_true):
    candidate = make_classifier("permuted", io="int8", card={"labels": list(LABELS[::-1])})
    with pytest.raises(ModelError, match="in another order"):
        verify(reference, candidate, images_u8, y_true)


def test_verify_of_permuted_outputs_under_equal_labels_cannot_be_judged(
    reference, make_classifier, patterns, images_u8, y_true
):
    order = [0, 1, 3, 2]
    candidate = make_classifier(
        "swapped", io="int8", kernel=patterns.kernel[order], bias=patterns.bias[order], card={}
    )
    with pytest.raises(ModelError, match="Dress -> Shirt, Shirt -> Dress"):
        verify(reference, candidate, images_u8, y_true)


def test_verify_of_a_dead_network_is_a_loss_and_no_permutation(
    reference, make_classifier, patterns, images_u8, y_true
):
    candidate = make_classifier(
        "dead", io="int8", bias=patterns.bias + np.array([9, 0, 0, 0]), card={}
    )
    report = verify(reference, candidate, images_u8, y_true)
    assert {row.label for row in report.with_verdict("lost")} == {"Coat", "Dress", "Shirt"}


def test_verify_of_other_labels_names_both(reference, make_classifier, images_u8, y_true):
    candidate = make_classifier("nameless", io="int8")
    with pytest.raises(ModelError, match=r"Bag, Coat, Dress, Shirt.*class 0, class 1"):
        verify(reference, candidate, images_u8, y_true)


def test_verify_of_outputs_that_are_not_finite_names_the_file(
    reference, make_classifier, patterns, images_u8, y_true
):
    candidate = make_classifier("broken", io="float32", bias=patterns.bias * np.nan, card={})
    with pytest.raises(
        ModelError, match=r"broken\.tflite gives outputs that are not finite numbers"
    ):
        verify(reference, candidate, images_u8, y_true)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda x, y: (x[:, :4], y), "takes 6x6 grey images as uint8", id="size"),
        pytest.param(lambda x, y: (x.astype(np.float32), y), "these are float32", id="dtype"),
        pytest.param(lambda x, y: (x, y[:-1]), "1200 images and 1199 labels", id="labels-missing"),
        pytest.param(lambda x, y: (x[:0], y[:0]), "0 images", id="empty"),
        pytest.param(lambda x, y: (x[:400], y[:400]), r"Dress \(0\)", id="class-without-images"),
        pytest.param(lambda x, y: (x, y + 1), "know 4 classes", id="labels-beyond"),
    ],
)
def test_verify_of_images_that_do_not_fit_is_refused(
    reference, candidate, images_u8, y_true, change, message
):
    with pytest.raises(DataError, match=message):
        verify(reference, candidate, *change(images_u8, y_true))


def test_verify_of_a_margin_too_small_is_refused_before_a_model_runs(
    reference, candidate, images_u8, y_true
):
    with pytest.raises(DataError, match="at least 598 images of each class"):
        verify(
            reference,
            candidate,
            images_u8,
            y_true,
            Criteria(margin=0.005),
            on_progress=lambda *_: pytest.fail("ran"),
        )
