"""Tests of the comparison on corrupted images: the three verdicts, and a file that fails."""

import json

import numpy as np
import pytest

from garmentlite.convert.report.corruptions_report import TEXT_WIDTH, method, to_section, to_text
from garmentlite.convert.report.verify_words import conclude
from garmentlite.convert.verify.check import verify
from garmentlite.convert.verify.corruptions import all_sets, compare_corrupted, judge_sets
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.degradation import KINDS
from garmentlite.convert.verify.guards import GUARDS, AccuracyGuard
from garmentlite.edge import all_cores
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.metadata import attach

LABELS = ["Bag", "Coat", "Dress", "Shirt"]
Y = np.repeat(np.arange(4), 300)


def judge(*changed, y=Y, classes=None):
    """Judges sets on which both models are right but for (set, class, lost, gained)."""
    answers = {}
    for task in all_sets():
        before, after = y.copy(), y.copy()
        for where, class_id, lost, gained in changed:
            if task == where:
                members = np.flatnonzero(y == class_id)
                after[members[:lost]] = (class_id + 1) % 4
                before[members[lost : lost + gained]] = (class_id + 1) % 4
        answers[task] = (before, after)
    return judge_sets(y, answers, LABELS, Criteria(classes=classes))


# --- what may be said


def test_judge_of_equal_answers_finds_all_sets_together():
    report = judge()
    assert report.passed
    assert len(report.sets) == 19 == 1 + 3 * len(KINDS)
    assert {one.verdict for one in report.sets} == {"together"}
    assert report.judgements == 19 * 5
    assert "On no set" in report.finding


def test_judge_of_a_class_lost_in_one_set_names_both():
    report = judge((("blur", 3), 3, 30, 0))
    assert not report.passed
    (apart,) = report.with_verdict("apart")
    assert (apart.name, apart.worst_label, apart.worst_loss) == ("blur 3", "Shirt", 0.1)
    assert apart.lost == ("Shirt", "accuracy")
    assert "blur 3 (Shirt, accuracy)" in report.finding


def test_judge_proves_a_loss_from_the_stated_number_of_images_on():
    least = judge().least_images_lost
    # 2**-11 times 95 judgements is 0.046, 2**-10 is 0.09.
    assert least == 11
    # In a set by itself; of 1,200 images 11 lost ones do not refute that accuracy fell by less than 2 points.
    (apart,) = judge((("jpeg", 1), 2, least, 0)).with_verdict("apart")
    assert apart.lost == ("Dress",)
    assert judge((("jpeg", 1), 2, least - 1, 0)).passed


def test_judge_of_a_loss_within_the_margin_does_not_fail_however_sure_it_is():
    y = np.repeat(np.arange(4), 1000)
    assert judge((("jpeg", 1), 2, 19, 0), y=y).passed  # p 2e-6 times 95, but 1.9 points
    assert not judge((("jpeg", 1), 2, 21, 0), y=y).passed
    assert judge(y=y).least_images_lost == 21


def test_judge_of_a_loss_spread_over_the_classes_sees_it_in_the_accuracy():
    report = judge(*((("noise", 2), class_id, 8, 0) for class_id in range(4)))
    (apart,) = report.with_verdict("apart")
    assert apart.lost == ("accuracy",)


def test_judge_of_many_changes_both_ways_is_unresolved_and_does_not_fail():
    report = judge(*((("noise", 3), class_id, 70, 65) for class_id in range(4)))
    (unresolved,) = report.with_verdict("unresolved")
    assert report.passed
    assert unresolved.name == "noise 3"
    assert unresolved.accuracy_bound > 0.02
    assert "noise 3" in report.finding
    assert "--limit" in report.finding


def test_judge_leaves_out_a_class_without_images():
    report = judge(y=Y[Y != 1])
    assert report.judgements == 19 * 4
    assert report.least_support == 300


def test_judge_of_named_classes_leaves_the_others_to_the_accuracy():
    changed = (("blur", 3), 3, 15, 0)  # 5 points of Shirt, 1.25 of all
    assert not judge(changed).passed
    report = judge(changed, classes=("Bag", "Coat"))
    assert report.passed
    assert report.judgements == 19 * 3


def test_judge_of_candidates_that_lose_nothing_fails_at_most_at_alpha():
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(100):
        answers = {}
        for task in all_sets():
            before, after = Y.copy(), Y.copy()
            changed = rng.random(len(Y)) < 0.1  # as many as under the worst noise, either way alike
            loses = rng.random(len(Y)) < 0.5
            after[changed & loses] = (Y[changed & loses] + 1) % 4
            before[changed & ~loses] = (Y[changed & ~loses] + 1) % 4
            answers[task] = (before, after)
        failed += not judge_sets(Y, answers, LABELS).passed
    assert failed <= 14  # of a binomial of 100 at 0.05 more than 14 have probability 1e-4


# --- real files


@pytest.fixture(scope="module")
def images_u8() -> np.ndarray:
    """300 noisy images of each of four patterns, 6x6."""
    rng = np.random.default_rng(0)
    patterns = np.random.default_rng(1).uniform(60, 150, (4, 6, 6))
    noise = rng.normal(0, 40, (len(Y), 6, 6))
    return np.clip(np.repeat(patterns, 300, axis=0) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def make(tmp_path_factory, dense_model, metadata_of, images_u8):
    """Makes a classifier of the patterns.

    All logits rise by `common` times the brightness of the image, which changes no float answer. The int8
    output covers `headroom` times what the clean images above need.
    """
    means = np.stack([images_u8[class_id == Y].mean(axis=0).ravel() / 255 for class_id in range(4)])
    folder = tmp_path_factory.mktemp("models")

    def build(io, *, common, headroom=1.0) -> Classifier:
        kernel = 8 * (means - means.mean(axis=0)) + common
        bias = -4 * (means**2).sum(axis=1)
        logits = images_u8.reshape(len(Y), -1) / 255 @ kernel.T + bias
        middle = (logits.max() + logits.min()) / 2
        scale = headroom * (logits.max() - logits.min()) / 255
        path = folder / f"{io}-{common}-{headroom}.tflite"
        flatbuffer = dense_model(kernel, bias - middle, io=io, output_scale=scale, zero_point=0)
        path.write_bytes(attach(flatbuffer, metadata_of(labels=LABELS)))
        return Classifier(path)

    return build


def test_compare_of_a_sound_int8_file_passes(make, images_u8):
    calls = []
    report = compare_corrupted(
        make("float32", common=0.3), make("int8", common=0.3, headroom=1.5), images_u8, Y,
        on_progress=lambda *call: calls.append(call),
    )  # fmt: skip
    assert report.passed
    assert report.images == len(Y)
    assert calls == [(done, 19) for done in range(1, 20)]
    clean, *others = report.sets
    assert clean.name == "unchanged"
    # Neither trivial nor broken, or the corruptions would show nothing.
    assert 0.8 < clean.accuracy_reference < 1
    assert min(one.accuracy_reference for one in others) < clean.accuracy_reference - 0.2


def test_compare_of_a_file_that_breaks_only_under_a_corruption_fails_there(make, images_u8):
    reference, narrow = make("float32", common=0.8), make("int8", common=0.8)
    # The parity check on clean images cannot see it. (So few do not resolve half a point of accuracy.)
    criteria = Criteria(margin=0.03)
    guards = tuple(
        AccuracyGuard(limit=0.01) if guard.name == "accuracy" else guard for guard in GUARDS
    )
    clean = verify(reference, narrow, images_u8, Y, criteria, guards=guards)
    assert clean.passed
    report = compare_corrupted(reference, narrow, images_u8, Y, criteria)
    assert not report.passed
    (worst,) = report.with_verdict("apart")
    assert worst.name == "brightness 3"  # all logits leave the range, and the answer is lost
    assert "accuracy" in worst.lost
    assert worst.accuracy_reference > worst.accuracy_candidate + 0.2
    together = verify(reference, narrow, images_u8, Y, criteria, guards=guards, corruptions=True)
    assert together.corruptions == report
    assert not together.passed
    assert [guard.name for guard in together.guards if guard.passed is False] == [
        "corrupted images"
    ]
    assert "brightness 3 (" in conclude(together).sentences[0]


def test_compare_takes_some_images_evenly_and_repeats(make, images_u8, monkeypatch):
    pair = make("float32", common=0.8), make("int8", common=0.8)
    report = compare_corrupted(*pair, images_u8, Y, most=100)
    assert (report.images, report.least_support) == (100, 25)  # though they lie class by class
    monkeypatch.setattr(all_cores.os, "cpu_count", lambda: 1)
    assert compare_corrupted(*pair, images_u8, Y, most=100) == report
    assert compare_corrupted(*pair, images_u8, Y, most=100, seed=1) != report


# --- words


@pytest.fixture(params=["apart", "unresolved", "together"])
def any_report(request):
    changes = {
        "apart": [(("blur", 3), 3, 30, 0)],
        "unresolved": [(("noise", 3), class_id, 70, 65) for class_id in range(4)],
        "together": [],
    }
    return judge(*changes[request.param])


def test_text_names_every_set_and_fits_the_width(any_report):
    text = to_text(any_report)
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    for kind, strength in all_sets()[1:]:
        assert f"{kind} {strength}" in text
    assert ("ok:" in text) == any_report.passed
    assert ("FAILED:" in text) != any_report.passed
    assert "95 losses" in method(any_report)


def test_section_has_a_chart_for_every_kind_and_the_verdicts(any_report):
    section = to_section(any_report)
    assert section.count("<svg") == len(KINDS)
    assert section.count("<polyline") == 2 * len(KINDS)
    verdicts = {one.verdict for one in any_report.sets}
    assert all(verdict in section for verdict in verdicts)


def test_document_is_json_and_holds_every_set(any_report):
    document = json.loads(json.dumps(any_report.as_document(), allow_nan=False))
    assert document["passed"] == any_report.passed
    assert [one["verdict"] for one in document["sets"]] == [one.verdict for one in any_report.sets]
