"""Tests of the parity report as text and as a page."""

import json
from dataclasses import replace

import pytest

from garmentlite.convert.report.verify_page import to_html
from garmentlite.convert.report.verify_text import TEXT_WIDTH, to_text
from garmentlite.convert.report.verify_words import conclude
from garmentlite.convert.verify.check import verify
from garmentlite.convert.verify.criteria import Criteria

LABELS = ("Bag", "Coat", "Dress", "Shirt")


@pytest.fixture
def lost_report(reference, lossy_classifier, images_u8, y_true):
    return verify(reference, lossy_classifier, images_u8, y_true)


def test_to_text_of_a_pass_is_narrow_and_ends_with_the_next_step(
    reference, candidate, images_u8, y_true
):
    text = to_text(verify(reference, candidate, images_u8, y_true))
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    assert "PASSED: Every class is recognised as before, to within 2 points." in text
    assert "--against outputs.npz" in text.split("Next: ")[1].replace("\n", " ")


def test_to_text_of_a_loss_names_the_class_and_every_label(lost_report):
    text = to_text(lost_report)
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    assert "NOT PASSED: Shirt is recognised less often than before." in text
    assert all(label in text for label in LABELS)
    assert "Do not ship damaged_int8.tflite" in text


def test_conclude_of_a_failed_guard_alone_names_it(reference, make_classifier, images_u8, y_true):
    candidate = make_classifier("tempered", io="int8", card={"temperature": 2.0})
    conclusion = conclude(verify(reference, candidate, images_u8, y_true))
    assert conclusion.tone == "bad"
    assert "failed (confidence drift, mean" in conclusion.heading


def test_to_html_of_a_loss_is_self_contained_and_shows_the_changed_images(lost_report, images_u8):
    page = to_html(lost_report, images_u8)
    assert "Shirt is recognised less often than before" in page
    assert page.count("<figure>") == min(60, len(lost_report.changed_images))
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert "<script" not in page
    assert lost_report.provenance.data_sha256 in page


def test_to_html_without_images_leaves_the_pictures_out(lost_report):
    page = to_html(lost_report)
    assert "<img" not in page
    assert "got another answer" in page


def test_every_report_states_each_guard_and_both_confidences_of_changed_answers(lost_report):
    text, page = " ".join(to_text(lost_report).split()), to_html(lost_report)
    document = json.loads(json.dumps(lost_report.as_document(), allow_nan=False))
    names = [guard["name"] for guard in document["guards"]]
    assert names == [
        "precision", "accuracy", "agreement", "confidence drift, mean",
        "confidence drift, 99th percentile", "logit offset", "calibration",
    ]  # fmt: skip
    for name in names:
        assert f"{name}: " in text
        assert f'<th scope="row">{name}</th>' in page
    first = max(lost_report.changed_images, key=lambda change: change.confidence_reference)
    assert first.label == first.label_reference  # a loss, and so the first of all
    for label, confidence in (
        (first.label_reference, first.confidence_reference),
        (first.label_candidate, first.confidence_candidate),
    ):
        assert f"{label} {confidence:.0%}" in text
        assert f"{label}, {confidence:.1%}" in page
    assert len(document["changed_images"]) == len(lost_report.changed_images)
    assert page.count("<tr><th") > len(lost_report.changed_images)


def test_every_report_states_the_ties_and_the_precision_of_each_class(
    reference, make_classifier, images_u8, y_true
):
    coarse = make_classifier("coarse_int8", io="int8", output_scale=0.5, card={})
    report = verify(reference, coarse, images_u8, y_true)
    ties = report.provenance.candidate.logit_ties
    assert ties > 0
    text, page = " ".join(to_text(report).split()), to_html(report)
    for made in (text, page):
        assert f"For {ties:,} images several classes share the largest output" in made
        for row in report.precision:
            assert f"{row.candidate:.2%}" in made


def test_to_text_of_long_labels_and_large_numbers_stays_narrow(lost_report):
    long = "A garment with a very long name indeed"
    rows = tuple(
        replace(row, label=f"{long} {i}", support=987_654)
        for i, row in enumerate(lost_report.classes)
    )
    changed = tuple(
        replace(one, label=long, label_reference=long, label_candidate=long, file=f"{long}.jpg")
        for one in lost_report.changed_images
    )
    report = replace(lost_report, classes=rows, changed_images=changed)
    assert max(map(len, to_text(report).splitlines())) <= TEXT_WIDTH


def test_conclude_of_classes_that_are_not_judged_names_them(
    reference, candidate, images_u8, y_true
):
    report = verify(reference, candidate, images_u8, y_true, Criteria(classes=("Shirt", "Coat")))
    conclusion = conclude(report)
    assert conclusion.heading.startswith("Every judged class is recognised as before")
    assert "Not judged: Bag (not asked for), Dress (not asked for)." in conclusion.sentences
    assert "not judged" in to_text(report)
    assert to_html(report).count(">not judged<") == 2


def test_reports_with_layers_and_corruptions_have_their_parts(
    reference, candidate, images_u8, y_true
):
    plain = verify(reference, candidate, images_u8, y_true)
    full = verify(reference, candidate, images_u8, y_true, layers=True, corruptions=True)
    for words in ("Layers, worst first", "Corrupted images: 1,200"):
        assert words in to_text(full)
        assert words not in to_text(plain)
    for heading in ("Layer by layer", "Corrupted images"):
        assert f"<h2>{heading}</h2>" in to_html(full)
        assert f"<h2>{heading}</h2>" not in to_html(plain)
    assert full.as_document()["corruptions"] == full.corruptions.as_document()
    assert "layers" not in plain.as_document()
    assert full.guards[-1].sentence == full.corruptions.finding
