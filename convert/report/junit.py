"""Writes the parity report as JUnit XML, which CI systems show as test results.

The file has one `testsuite` with a `testcase` for each class and each guard. A class that is lost or
unresolved and a guard that failed are failures with their sentence; a class or guard that is not judged is
skipped. Only elements and attributes that Jenkins, GitLab and GitHub's reporters all accept are used, and
no time stamp, so that the same report gives the same bytes.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from garmentlite.convert.report.verify_text import to_text
from garmentlite.convert.report.verify_words import class_sentence, names_of
from garmentlite.convert.verify.guards import GuardResult
from garmentlite.convert.verify.parity_report import ClassParity, ParityReport

# Characters that XML 1.0 cannot hold even as a reference (its production [2], Char).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: ParityReport) -> str:
    """Makes a JUnit XML document of the report.

    Args:
        report: The result of `verify`.

    Returns:
        The text of the file, to be written as UTF-8.
    """
    candidate, reference = names_of(report)
    cases = [
        *(_case_of_class(row, report) for row in report.classes),
        *(_case_of_guard(guard) for guard in report.guards),
    ]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": "0",
    }
    name = _allowed(f"{candidate} beside {reference}")
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", {"name": name} | counts)
    suite.extend(cases)
    ElementTree.SubElement(suite, "system-out").text = _allowed(to_text(report))
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )


def _case_of_class(row: ClassParity, report: ParityReport) -> ElementTree.Element:
    case = _case("parity.recall", row.label)
    if row.verdict == "not judged":
        ElementTree.SubElement(case, "skipped", {"message": _allowed(row.reason or "")})
    elif row.verdict != "shown":
        _fail(case, row.verdict, class_sentence(row, report))
    return case


def _case_of_guard(guard: GuardResult) -> ElementTree.Element:
    case = _case("parity.guard", guard.name)
    if guard.passed is None:
        ElementTree.SubElement(case, "skipped", {"message": _allowed(guard.sentence)})
    elif not guard.passed:
        _fail(case, "guard", guard.sentence)
    return case


def _case(group: str, name: str) -> ElementTree.Element:
    return ElementTree.Element(
        "testcase", {"classname": group, "name": _allowed(name), "time": "0"}
    )


def _fail(case: ElementTree.Element, kind: str, sentence: str) -> None:
    failure = ElementTree.SubElement(case, "failure", {"type": kind, "message": _allowed(sentence)})
    failure.text = _allowed(sentence)


def _allowed(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
