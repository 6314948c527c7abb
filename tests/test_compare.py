"""Tests of comparing runs: stored figures, classes that gain or lose, chance, curves, and the page."""

import json

import numpy as np
import pytest

from garmentlite.convert.report import compare_report
from garmentlite.edge import metrics
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.train import compare
from garmentlite.train.compare_networks import Paired

LABELS = ["T-shirt/top", "Shirt", "<Coat>"]
FIRST = [[900, 90, 10], [240, 740, 20], [5, 45, 950]]
TRADED = [[800, 190, 10], [120, 860, 20], [5, 45, 950]]  # 12 points of Shirt for 10 of T-shirt


def document_of(matrix):
    """A document by `metrics.summary` with this confusion matrix."""
    counts = np.array(matrix)
    y_true, y_pred = (
        np.repeat(places.ravel(), counts.ravel()) for places in np.indices(counts.shape)
    )
    return metrics.summary(y_true, np.eye(len(counts))[y_pred], LABELS[: len(counts)])


@pytest.fixture
def run_of(tmp_path):
    """Writes the folder of a finished run with this confusion matrix; returns its path."""

    def write(name, matrix):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"test": document_of(matrix)}))
        return folder

    return write


@pytest.fixture
def difference(run_of):
    def between(first, other):
        return compare.compare(*compare.read([run_of("before", first), run_of("after", other)]))

    return between


# --- reading


def test_read_gives_the_figures_as_stored(run_of):
    (found,) = compare.read([run_of("one", FIRST)])
    assert (found.name, found.images, found.model) == ("one", 3000, None)
    assert found.accuracy == pytest.approx(2590 / 3000)
    np.testing.assert_allclose(found.recall, [0.9, 0.74, 0.95])
    assert found.labels[found.hardest] == "Shirt"
    document = json.loads(json.dumps(found.as_document(), allow_nan=False))
    assert document["lowest_recall"] == {"label": "Shirt", "recall": 0.74}
    assert document["precision"]["Shirt"] == pytest.approx(740 / 875)


def test_read_of_a_card_takes_the_int8_file(tmp_path):
    path = tmp_path / "net.json"
    measured = {"float32": {"test": document_of(FIRST)}, "int8": {"test": document_of(TRADED)}}
    path.write_text(json.dumps({"measured": measured}))
    (found,) = compare.read([path])
    assert found.name == "net (int8)"
    assert found.confusion.tolist() == TRADED


def test_read_of_two_runs_of_one_name_calls_them_by_their_paths(run_of):
    paths = [run_of("a/net", FIRST), run_of("b/net", FIRST), run_of("b/other", FIRST)]
    assert [found.name for found in compare.read(paths)] == [str(paths[0]), str(paths[1]), "other"]


def test_read_of_a_class_without_images_keeps_it_undefined(run_of):
    (found,) = compare.read([run_of("one", [[9, 1, 0], [2, 8, 0], [0, 0, 0]])])
    assert np.isnan(found.recall[2])
    assert found.macro_recall == pytest.approx(0.85)
    assert found.as_document()["recall"]["<Coat>"] is None


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(None, "is not a finished run", id="missing"),
        pytest.param("{", "is not a finished run", id="broken"),
        pytest.param("{}", "holds no figures on the test images", id="interrupted"),
        pytest.param('{"test": {"per_class": []}}', "lacks the confusion matrix", id="foreign"),
    ],
)
def test_read_of_an_unfinished_run_is_one_sentence(tmp_path, content, match):
    if content:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=match):
        compare.read([tmp_path])


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"name": "x"}'])
def test_read_of_what_is_no_card_is_one_sentence(tmp_path, content):
    path = tmp_path / "card.json"
    if content:
        path.write_text(content)
    with pytest.raises(DataError, match=r"card\.json"):
        compare.read([path])


def test_read_of_runs_with_other_classes_is_refused(run_of):
    with pytest.raises(OptionError, match="has other classes than"):
        compare.read([run_of("three", FIRST), run_of("two", [[9, 1], [1, 9]])])


# --- differences


def test_change_is_chance_within_two_standard_errors():
    # Of two samples of 1,000 at one half the error is sqrt(2 * 0.25 / 1000) = 2.24 points.
    within, beyond = (compare.change_of_share((500, 1000), (part, 1000)) for part in (544, 546))
    assert within.standard_error == pytest.approx(0.0223, abs=1e-4)
    assert (within.may_be_chance, beyond.may_be_chance) == (True, False)


def test_change_of_an_undefined_share_is_nothing_to_speak_of():
    change = compare.change_of_share((0, 0), (5, 10))
    assert change.may_be_chance
    assert change.as_document()["difference"] is None


def test_sentences_name_gain_payment_and_chance(difference):
    assert difference(FIRST, TRADED).sentences() == [
        "Shirt gains 12.0 points of recall (74.0% -> 86.0%).",
        "Other classes lose recall: T-shirt/top -10.0 points (90.0% -> 80.0%), 100 more of its images taken "
        "for Shirt.",
        "The precision of Shirt falls: 84.6% -> 78.5%.",
        "Accuracy 86.3% -> 87.0%: the difference is within two standard errors and may be chance.",
        "The recall of <Coat> differs by less than two standard errors, which may be chance.",
    ]


def test_sentences_of_a_gain_without_a_payment_say_so(difference):
    better = [FIRST[0], [120, 860, 20], FIRST[2]]
    said = difference(FIRST, better).sentences()
    assert "No class loses more recall than chance may explain." in said
    assert "Accuracy 86.3% -> 90.3%: higher by more than two standard errors." in said
    assert not any("precision" in sentence for sentence in said)


def test_sentences_of_a_loss_alone_name_no_gain(difference):
    said = difference(FIRST, [[800, 100, 100], *FIRST[1:]]).sentences()
    assert said[0].startswith("No class gains recall, and these lose it: T-shirt/top -10.0 points")
    assert "90 more of its images taken for <Coat>" in said[0]


def test_sentences_of_equal_runs_name_no_class(difference):
    assert difference(FIRST, FIRST).sentences() == [
        "Accuracy 86.3% -> 86.3%: the difference is within two standard errors and may be chance.",
        "The recall of every class differs by less than two standard errors, which may be chance.",
    ]


def test_sentences_of_runs_on_other_images_subtract_no_counts(difference):
    fewer = [[80, 19, 1], *TRADED[1:]]
    assert "taken for" not in " ".join(difference(FIRST, fewer).sentences())


def test_difference_as_a_document_is_json(difference):
    document = json.loads(json.dumps(difference(FIRST, TRADED).as_document(), allow_nan=False))
    assert (document["first"], document["run"]) == ("before", "after")
    assert document["recall"]["Shirt"]["difference"] == pytest.approx(0.12)
    assert document["recall"]["Shirt"]["may_be_chance"] is False
    assert document["in_words"]


# --- the page


@pytest.fixture
def page(run_of):
    def make(*matrices, paired=None):
        measured = compare.read([run_of(f"run-{i}", matrix) for i, matrix in enumerate(matrices)])
        differences = [compare.compare(measured[0], other) for other in measured[1:]]
        return compare_report.to_html(measured, differences, paired or {}, 1, b"a picture")

    return make


def test_page_says_who_gained_and_who_paid_with_names_escaped(page):
    text = page(FIRST, TRADED)
    assert "run-1: Shirt gained, T-shirt/top lost recall" in text
    assert "&lt;Coat&gt;" in text
    assert "<Coat>" not in text
    assert "data:image/png;base64,YSBwaWN0dXJl" in text
    assert '<span class="badge good">+12.0</span>' in text
    assert '<span class="badge bad">-10.0</span>' in text
    assert '<span class="badge plain">+0.0</span>' in text


@pytest.mark.parametrize(
    ("other", "heading"),
    [
        pytest.param(FIRST, "No class differs by more than chance", id="equal"),
        pytest.param(
            [FIRST[0], [120, 860, 20], FIRST[2]],
            "Shirt gained, no class lost more than chance explains",
            id="gain",
        ),
        pytest.param(
            [[800, 100, 100], *FIRST[1:]], "T-shirt/top lost recall, no class gained", id="loss"
        ),
    ],
)
def test_page_heading_fits_what_happened(page, other, heading):
    assert heading in page(FIRST, other)


def test_page_shows_pairs_and_the_difference_only_where_there_are_any(page):
    rows = [Paired("Shirt", 600, 1, 30), Paired("<Coat>", 600, 30, 1)]
    text = page(FIRST, TRADED, [[9, 1, 0], [1, 9, 0], [0, 0, 10]], paired={"run-1": rows})
    assert "run-1 and run-0 image by image" in text
    assert "run-2 and run-0 image by image" not in text
    assert "better</span>" in text
    assert "worse</span>" in text
    assert "Difference: orange" not in text  # the last run has other images
