"""Tests of the guards, each of which has a limit, a measurement and a sentence."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from garmentlite.convert.report.verify_page import to_html
from garmentlite.convert.report.verify_text import to_text
from garmentlite.convert.verify.guards import GUARDS, Evidence, Guard
from garmentlite.convert.verify.judge import judge
from garmentlite.convert.verify.measurements import Answers
from garmentlite.edge.probabilities import softmax

LABELS = ("Bag", "Coat")


@pytest.fixture
def answers() -> tuple[np.ndarray, Answers]:
    y_true = np.repeat([0, 1], 600)
    logits = (8 * np.eye(2)[y_true]).astype(np.float32)
    return y_true, Answers(logits, softmax(logits))


@dataclass(frozen=True)
class MostImages(Guard):
    """A guard that a program adds."""

    limit: float = 1000
    name: ClassVar[str] = "number of images"

    def measure(self, evidence: Evidence) -> float:
        return evidence.images

    def judge(self, evidence: Evidence) -> tuple[bool | None, str]:
        return evidence.images < self.limit, f"There are {evidence.images} images."


def test_added_guard_is_in_every_report_and_decides(answers):
    y_true, same = answers
    report = judge(y_true, same, same, LABELS, guards=(*GUARDS, MostImages()))
    assert not report.passed
    document = report.as_document()
    assert not document["passed"]
    assert document["guards"][-1] == {
        "name": "number of images", "value": 1200, "limit": 1000, "passed": False,
        "sentence": "There are 1200 images.",
    }  # fmt: skip
    assert "FAILED     number of images: There are 1200 images." in to_text(report)
    assert "There are 1200 images." in to_html(report)


def test_guards_of_the_check_have_different_names_and_state_their_limit(answers):
    y_true, same = answers
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)
    limits = {guard.name: guard.limit for guard in GUARDS}
    for found in judge(y_true, same, same, LABELS).guards:
        assert found.limit == limits[found.name]
        assert found.sentence.endswith(".")


def test_guard_that_does_not_apply_is_left_out(answers):
    y_true, same = answers
    from_softmax = Answers(same.logits, same.probabilities, from_softmax=True)
    names = [guard.name for guard in judge(y_true, same, from_softmax, LABELS).guards]
    assert "logit offset" not in names
    assert "corrupted images" not in names
