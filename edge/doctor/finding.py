"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        passed: Whether all is well.
        sentence: What was found; if the check failed, what is wrong and what to do.
    """

    passed: bool
    sentence: str


@dataclass(frozen=True)
class NamedFinding:
    """A finding with the name of its check.

    Attributes:
        name: Name of the check, such as "camera".
        finding: Its result.
    """

    name: str
    finding: Finding

    def as_line(self) -> str:
        """Returns a line for a terminal, such as "ok       NumPy: 2.4.6"."""
        state = "ok" if self.finding.passed else "problem"
        return f"{state:7}  {self.name}: {self.finding.sentence}"

    def as_document(self) -> dict[str, Any]:
        """Returns the keys "check", "passed" and "found"."""
        return {
            "check": self.name,
            "passed": self.finding.passed,
            "found": self.finding.sentence,
        }


def ok(sentence: str) -> Finding:
    """Makes the finding of a check that passed."""
    return Finding(True, sentence)


def problem(sentence: str) -> Finding:
    """Makes the finding of a check that failed; the sentence ends with what to do."""
    return Finding(False, sentence)
