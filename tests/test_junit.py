"""JUnit XML has a test case for each class and guard, a sentence for each failure, and allows any label."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from garmentlite.convert.report.junit import to_junit
from garmentlite.convert.report.verify_words import conclude
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.judge import judge
from garmentlite.convert.verify.measurements import Answers
from garmentlite.edge.probabilities import softmax

LABELS = ["Bag", "Coat", "Dress", "Shirt"]
# Elements and attributes of jenkins-junit.xsd (the xUnit plugin's), which GitLab's and GitHub's readers take
# too; those it requires first.
SCHEMA = {
    "testsuites": ((), ("name", "time", "tests", "failures", "disabled", "errors"), ("testsuite",)),
    "testsuite": (
        ("name", "tests"),
        ("failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"),
        ("properties", "testcase", "system-out", "system-err"),
    ),
    "testcase": (
        ("name",),
        ("assertions", "time", "classname", "status"),
        ("skipped", "error", "failure", "system-out", "system-err"),
    ),
    "failure": ((), ("type", "message"), ()),
    "skipped": ((), ("message",), ()),
    "system-out": ((), (), ()),
}  # fmt: skip


def report_of(*, lost=0, balanced=0, labels=LABELS, softened=False, **options):
    """A report on 300 images a class: so many shirts lost, so many of coats lost and gained."""
    y_true = np.repeat(np.arange(4), 300)
    wrong = np.arange(len(y_true)) % 300 >= 270
    answers = np.where(wrong, (y_true + 1) % 4, y_true)
    changed = answers.copy()
    changed[900 : 900 + lost] = 1
    changed[300 : 300 + balanced] = 2
    changed[600 - balanced : 600] = 1
    spread = np.random.default_rng(0).uniform(4, 6, (len(y_true), 1))
    logits = [(np.eye(4)[one] * spread).astype(np.float32) for one in (answers, changed)]
    if softened:
        logits[1] = softmax(logits[1])
    return judge(
        y_true, *(Answers(one, softmax(one)) for one in logits), labels, Criteria(**options)
    )


def read(report) -> ElementTree.Element:
    text = to_junit(report)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ElementTree.fromstring(text.encode())
    assert_valid(root)
    return root


def assert_valid(element: ElementTree.Element) -> None:
    required, optional, children = SCHEMA[element.tag]
    assert set(required) <= set(element.attrib) <= {*required, *optional}
    for number in ("tests", "failures", "errors", "skipped"):
        assert element.attrib.get(number, "0").isdigit()
    for child in element:
        assert child.tag in children
        assert_valid(child)


def cases(root: ElementTree.Element, group: str) -> dict[str, ElementTree.Element]:
    return {
        case.attrib["name"]: case
        for case in root.iter("testcase")
        if case.attrib["classname"] == f"parity.{group}"
    }


def test_to_junit_of_a_pass_has_a_case_for_each_class_and_guard_and_no_failure():
    report = report_of()
    root = read(report)
    assert list(cases(root, "recall")) == LABELS
    assert list(cases(root, "guard")) == [guard.name for guard in report.guards]
    suite = root.find("testsuite")
    assert suite.attrib["tests"] == str(len(LABELS) + len(report.guards))
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")
    assert not list(root.iter("failure"))
    assert "PASSED" in suite.find("system-out").text


def test_to_junit_of_a_lost_class_fails_its_case_with_the_sentence_of_the_report():
    report = report_of(lost=30)
    root = read(report)
    failure = cases(root, "recall")["Shirt"].find("failure")
    assert failure.attrib["type"] == "lost"
    assert failure.attrib["message"] == failure.text == conclude(report).sentences[0]
    assert "30 are no longer recognised" in failure.text
    assert cases(root, "recall")["Bag"].find("failure") is None


def test_to_junit_of_an_unresolved_class_fails_its_case_and_says_how_many_images():
    failure = cases(read(report_of(balanced=20)), "recall")["Coat"].find("failure")
    assert failure.attrib["type"] == "unresolved"
    assert "images of the class would decide" in failure.text


def test_to_junit_of_a_failed_guard_fails_its_case():
    report = report_of(softened=True)
    root = read(report)
    failed = {guard.name for guard in report.guards if guard.passed is False}
    assert "confidence drift, mean" in failed
    with_failure = {
        name for name, case in cases(root, "guard").items() if case.find("failure") is not None
    }
    assert with_failure == failed
    assert root.find("testsuite").attrib["failures"] == str(len(failed))


def test_to_junit_of_what_is_not_judged_skips_it_with_the_reason():
    report = report_of(classes=("Bag",))
    few = replace(
        report,
        guards=tuple(replace(g, passed=None) if g.name == "accuracy" else g for g in report.guards),
    )
    root = read(few)
    assert cases(root, "recall")["Shirt"].find("skipped").attrib["message"] == "not asked for"
    assert cases(root, "recall")["Bag"].find("skipped") is None
    assert cases(root, "guard")["accuracy"].find("skipped") is not None
    assert root.find("testsuite").attrib["skipped"] == "4"


@pytest.mark.parametrize(
    "label", ['<a & "b">', "\x00\x1b[31mred", "\ud800", "]]>", "hemd\N{DRESS}"]
)
def test_to_junit_of_any_label_is_well_formed(label):
    root = read(report_of(labels=[label, *LABELS[1:]], lost=5))
    (name,) = set(cases(root, "recall")) - set(LABELS)
    assert len(name) == len(label)


def test_to_junit_of_the_same_report_gives_the_same_bytes():
    assert to_junit(report_of(lost=3)) == to_junit(report_of(lost=3))
