"""The parity check on real model files, small ones built here without TensorFlow."""

import json
from dataclasses import replace

import numpy as np
import pytest

from garmentlite.convert import verify as checks
from garmentlite.convert.html import Html
from garmentlite.convert.verify import (
    compare_with_stored,
    data_sha256,
    has_tie,
    save_reference,
    verify,
)
from garmentlite.convert.verify_report import TEXT_WIDTH, conclude, to_html, to_text
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.metadata import Metadata, attach

LABELS = ["Bag", "Coat", "Dress", "Shirt"]
SHIRT = LABELS.index("Shirt")
SIZE = 6


def metadata(labels=LABELS, reference_sha256="a" * 64, temperature=1.0) -> Metadata:
    return Metadata(
        name="dense", labels=list(labels), preparation={}, temperature=temperature,
        unknown_threshold=None, reference_sha256=reference_sha256, flatbuffer_sha256="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def images_u8() -> np.ndarray:
    """300 noisy images of each of four patterns."""
    rng = np.random.default_rng(0)
    patterns = np.random.default_rng(1).uniform(90, 165, (len(LABELS), SIZE, SIZE))
    noise = rng.normal(0, 45, (300 * len(LABELS), SIZE, SIZE))
    return np.clip(np.repeat(patterns, 300, axis=0) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def y_true() -> np.ndarray:
    return np.repeat(np.arange(len(LABELS)), 300)


@pytest.fixture(scope="module")
def kernel() -> np.ndarray:
    patterns = np.random.default_rng(1).uniform(90, 165, (len(LABELS), SIZE * SIZE)) / 255
    return 8 * (patterns - patterns.mean(axis=0))


@pytest.fixture(scope="module")
def bias(kernel) -> np.ndarray:
    patterns = np.random.default_rng(1).uniform(90, 165, (len(LABELS), SIZE * SIZE)) / 255
    return -8 * (patterns**2).sum(axis=1) / 2 + 8 * (patterns.mean(axis=0) ** 2).sum() / 2


@pytest.fixture
def make(tmp_path, kernel, bias, dense_model):
    """Makes a classifier from a file: the sound network, or one changed on the way."""

    def build(
        name, *, new_kernel=kernel, new_bias=bias, card=None, labels=None, **options
    ) -> Classifier:
        path = tmp_path / f"{name}.tflite"
        flatbuffer = dense_model(new_kernel, new_bias, **options)
        path.write_bytes(attach(flatbuffer, card) if card else flatbuffer)
        return Classifier(path, labels=labels)

    return build


@pytest.fixture
def reference(make) -> Classifier:
    return make("dense_float32", io="float32", card=metadata())


@pytest.fixture
def candidate(make) -> Classifier:
    return make("dense_int8", io="int8", card=metadata())


def failed_guards(report) -> list[str]:
    return [guard.name for guard in report.guards if guard.passed is False]


# --- verify


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


def test_verify_of_the_same_classifier_twice_passes_and_says_so(reference, images_u8, y_true):
    report = verify(reference, reference, images_u8, y_true)
    assert report.passed
    assert report.agreement == 1.0
    assert "the same, byte for byte" in report.notes[0]


def test_verify_of_a_damaged_class_names_it(reference, make, bias, images_u8, y_true):
    damaged = bias.copy()
    damaged[SHIRT] -= 0.8
    candidate = make("damaged_int8", io="int8", new_bias=damaged, card=metadata())
    report = verify(reference, candidate, images_u8, y_true)
    assert not report.passed
    assert [row.label for row in report.with_verdict("lost")] == ["Shirt"]


@pytest.mark.parametrize("io", ["float32", "int8"])
def test_verify_of_an_added_softmax_that_is_taken_for_logits_fails_the_drift(
    reference, make, images_u8, y_true, io
):
    candidate = make("softmax", io=io, softmax=True, card=metadata())
    report = verify(reference, candidate, images_u8, y_true)
    assert {"confidence drift, mean", "logit offset"} <= set(failed_guards(report))


def test_verify_of_a_softmax_that_is_known_passes_and_does_not_judge_the_offset(
    reference, make, images_u8, y_true
):
    candidate = make("softmax", io="float32", softmax=True, labels=LABELS)
    report = verify(reference, candidate, images_u8, y_true)
    assert candidate.outputs_probabilities
    assert report.passed
    assert report.confidence_drift.logit_offset is None
    assert any("not say from which float model" in note for note in report.notes)
    assert any("softmax" in note for note in report.notes)


def test_verify_of_a_zero_point_that_saturates_fails_the_drift(reference, make, images_u8, y_true):
    candidate = make("shifted", io="int8", zero_point=120, card=metadata())
    report = verify(reference, candidate, images_u8, y_true)
    assert "logit offset" in failed_guards(report)


def test_verify_of_another_temperature_fails_the_drift(reference, make, images_u8, y_true):
    candidate = make("tempered", io="int8", card=metadata(temperature=2.0))
    report = verify(reference, candidate, images_u8, y_true)
    assert "confidence drift, mean" in failed_guards(report)


def test_verify_of_files_of_different_origin_says_so(reference, make, images_u8, y_true):
    candidate = make("elsewhere", io="int8", card=metadata(reference_sha256="b" * 64))
    report = verify(reference, candidate, images_u8, y_true)
    assert any("different float models" in note for note in report.notes)


def test_verify_reports_progress_up_to_all_images(reference, candidate, images_u8, y_true):
    seen = []
    verify(
        reference,
        candidate,
        images_u8,
        y_true,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (len(images_u8), len(images_u8))
    assert seen == sorted(seen)


def test_verify_of_images_with_a_channel_gives_the_same_report(
    reference, candidate, images_u8, y_true
):
    flat = verify(reference, candidate, images_u8, y_true)
    assert verify(reference, candidate, images_u8[..., np.newaxis], y_true) == flat


# --- on all cores


def raw_of(classifier, images_u8, monkeypatch, cores):
    monkeypatch.setattr(checks.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(checks, "_CHUNK", 50)
    (raw,) = checks._raw_outputs([(classifier, "default")], images_u8, None)
    return raw


@pytest.mark.parametrize("cores", [1, 3, 64])
def test_raw_outputs_on_any_number_of_cores_are_those_of_one_loop(
    candidate, images_u8, monkeypatch, cores
):
    expected = candidate.raw_outputs(images_u8)
    np.testing.assert_array_equal(raw_of(candidate, images_u8, monkeypatch, cores), expected)


def test_raw_outputs_never_run_one_interpreter_in_two_threads(candidate, images_u8, monkeypatch):
    running: dict[int, int] = {}
    seen = set()
    original = Classifier.raw_outputs

    def watched(self, part):
        running[id(self)] = running.get(id(self), 0) + 1
        assert running[id(self)] == 1
        seen.add(id(self))
        try:
            return original(self, part)
        finally:
            running[id(self)] -= 1

    monkeypatch.setattr(Classifier, "raw_outputs", watched)
    raw_of(candidate, images_u8, monkeypatch, 4)
    assert 1 <= len(seen) <= 4


def test_raw_outputs_of_a_file_that_changed_meanwhile_are_of_the_one_that_was_read(
    candidate, images_u8, monkeypatch
):
    expected = candidate.raw_outputs(images_u8)
    candidate.path.write_bytes(b"another")
    np.testing.assert_array_equal(raw_of(candidate, images_u8, monkeypatch, 4), expected)
    candidate.path.unlink()
    np.testing.assert_array_equal(raw_of(candidate, images_u8, monkeypatch, 4), expected)


def test_raw_outputs_that_fail_end_at_once(candidate, images_u8, monkeypatch):
    asked = []

    def broken(self, part):
        asked.append(len(part))
        raise RuntimeError("out of order")

    monkeypatch.setattr(Classifier, "raw_outputs", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        raw_of(candidate, images_u8, monkeypatch, 1)
    assert len(asked) < len(images_u8) // 50  # the others were never begun


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


def test_verify_of_permuted_labels_cannot_be_judged(reference, make, images_u8, y_true):
    candidate = make("permuted", io="int8", card=metadata(labels=LABELS[::-1]))
    with pytest.raises(ModelError, match="in another order"):
        verify(reference, candidate, images_u8, y_true)


def test_verify_of_permuted_outputs_under_equal_labels_cannot_be_judged(
    reference, make, kernel, bias, images_u8, y_true
):
    order = [0, 1, 3, 2]
    candidate = make(
        "swapped", io="int8", new_kernel=kernel[order], new_bias=bias[order], card=metadata()
    )
    with pytest.raises(ModelError, match="Dress -> Shirt, Shirt -> Dress"):
        verify(reference, candidate, images_u8, y_true)


def test_verify_of_a_dead_network_is_a_loss_and_no_permutation(
    reference, make, bias, images_u8, y_true
):
    candidate = make("dead", io="int8", new_bias=bias + np.array([9, 0, 0, 0]), card=metadata())
    report = verify(reference, candidate, images_u8, y_true)
    assert {row.label for row in report.with_verdict("lost")} == {"Coat", "Dress", "Shirt"}


def test_verify_of_other_labels_names_both(reference, make, images_u8, y_true):
    candidate = make("nameless", io="int8")
    with pytest.raises(ModelError, match=r"Bag, Coat, Dress, Shirt.*class 0, class 1"):
        verify(reference, candidate, images_u8, y_true)


def test_verify_of_outputs_that_are_not_finite_names_the_file(
    reference, make, bias, images_u8, y_true
):
    candidate = make("broken", io="float32", new_bias=bias * np.nan, card=metadata())
    with pytest.raises(
        ModelError, match=r"broken\.tflite gives outputs that are no finite numbers"
    ):
        verify(reference, candidate, images_u8, y_true)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda x, y: (x[:, :4], y), "takes uint8 images of 6x6", id="size"),
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
            margin=0.005,
            on_progress=lambda *_: pytest.fail("ran"),
        )


def test_has_tie_finds_shared_largest_outputs_only():
    raw = np.array([[1, 5, 5], [5, 1, 1], [3, 3, 3]], np.int8)
    np.testing.assert_array_equal(has_tie(raw), [True, False, True])


# --- stored outputs


@pytest.fixture
def stored(candidate, images_u8, y_true, tmp_path):
    path = tmp_path / "outputs.npz"
    save_reference(candidate, images_u8, y_true, path)
    return path


def test_compare_with_stored_on_the_same_machine_is_equal(candidate, images_u8, y_true, stored):
    comparison = compare_with_stored(candidate, images_u8, y_true, stored)
    assert comparison.passed
    assert comparison.equal
    assert comparison.largest_step == 0
    assert "bit for bit" in comparison.sentence
    json.dumps(comparison.as_document(), allow_nan=False)


def test_save_reference_to_a_name_without_suffix_writes_that_name(
    reference, images_u8, y_true, tmp_path
):
    save_reference(reference, images_u8, y_true, tmp_path / "outputs")
    assert compare_with_stored(reference, images_u8, y_true, tmp_path / "outputs").equal


def rewritten(path, change):
    """The stored file with its outputs changed, as another machine might have computed them."""
    with np.load(path) as archive:
        outputs, about = archive["outputs"], archive["about"]
    np.savez(path, outputs=change(outputs), about=about)
    return path


def test_compare_with_stored_of_one_step_passes_and_is_not_called_equal(
    candidate, images_u8, y_true, stored
):
    def raise_winners(outputs):
        rows = np.arange(10)
        outputs[rows, outputs[:10].argmax(axis=1)] += 1
        return outputs

    comparison = compare_with_stored(candidate, images_u8, y_true, rewritten(stored, raise_winners))
    assert comparison.passed
    assert not comparison.equal
    assert (comparison.differing_images, comparison.largest_step) == (10, 1)


def test_compare_with_stored_of_two_steps_fails(candidate, images_u8, y_true, stored):
    def raise_winner(outputs):
        outputs[0, outputs[0].argmax()] += 2
        return outputs

    comparison = compare_with_stored(candidate, images_u8, y_true, rewritten(stored, raise_winner))
    assert not comparison.passed
    assert comparison.changed_answers == 0


def test_compare_with_stored_of_a_changed_answer_fails(candidate, images_u8, y_true, stored):
    def raise_loser(outputs):
        outputs[0, outputs[0].argmin()] = 127
        return outputs

    comparison = compare_with_stored(candidate, images_u8, y_true, rewritten(stored, raise_loser))
    assert not comparison.passed
    assert comparison.changed_answers == 1
    assert "1 answers changed" in comparison.sentence


def test_compare_with_stored_of_float_outputs_allows_another_order_of_sums(
    reference, images_u8, y_true, tmp_path
):
    path = tmp_path / "outputs.npz"
    save_reference(reference, images_u8, y_true, path)
    comparison = compare_with_stored(
        reference,
        images_u8,
        y_true,
        rewritten(path, lambda outputs: outputs * np.float32(1 + 1e-6)),
    )
    assert comparison.passed
    assert not comparison.equal


def test_compare_with_stored_of_another_model_is_refused(reference, images_u8, y_true, stored):
    with pytest.raises(ModelError, match="outputs of another model"):
        compare_with_stored(reference, images_u8, y_true, stored)


def test_compare_with_stored_of_other_images_is_refused(candidate, images_u8, y_true, stored):
    with pytest.raises(DataError, match="other images or labels"):
        compare_with_stored(candidate, images_u8[:500], y_true[:500], stored)


@pytest.mark.parametrize("content", [None, b"", b"PK not really", b"text"])
def test_compare_with_stored_of_a_broken_file_is_one_sentence(
    candidate, images_u8, y_true, tmp_path, content
):
    path = tmp_path / "broken.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="--save-reference"):
        compare_with_stored(candidate, images_u8, y_true, path)


def test_compare_with_stored_of_a_foreign_npz_is_one_sentence(
    candidate, images_u8, y_true, tmp_path
):
    np.savez(tmp_path / "foreign.npz", outputs=np.zeros((2, 2)))
    with pytest.raises(DataError, match="does not hold stored outputs"):
        compare_with_stored(candidate, images_u8, y_true, tmp_path / "foreign.npz")


def test_compare_with_stored_of_pickled_objects_does_not_load_them(
    candidate, images_u8, y_true, tmp_path
):
    np.savez(tmp_path / "pickled.npz", outputs=np.array([{}], object), about=np.array([{}], object))
    with pytest.raises(DataError, match="does not hold stored outputs"):
        compare_with_stored(candidate, images_u8, y_true, tmp_path / "pickled.npz")


# --- the report in words


@pytest.fixture
def lost_report(reference, make, bias, images_u8, y_true):
    damaged = bias.copy()
    damaged[SHIRT] -= 0.8
    candidate = make("damaged_int8", io="int8", new_bias=damaged, card=metadata())
    return verify(reference, candidate, images_u8, y_true)


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


def test_conclude_of_a_failed_guard_alone_names_it(reference, make, images_u8, y_true):
    candidate = make("tempered", io="int8", card=metadata(temperature=2.0))
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
    reference, make, images_u8, y_true
):
    coarse = make("coarse_int8", io="int8", output_scale=0.5, card=metadata())
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
    report = verify(reference, candidate, images_u8, y_true, classes=["Shirt", "Coat"])
    conclusion = conclude(report)
    assert conclusion.heading.startswith("Every judged class is recognised as before")
    assert "Nothing is said of Bag (not asked for), Dress (not asked for)." in conclusion.sentences
    assert "not judged" in to_text(report)
    assert to_html(report).count(">not judged<") == 2


def test_to_html_with_more_sections_has_them_last(lost_report):
    page = to_html(lost_report, more=[Html('<section id="more"></section>')])
    assert page.index('id="more"') > page.index("Made from")
