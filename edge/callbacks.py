"""Functions that long work calls to tell its caller what happens and how far it is.

The caller decides where a sentence or a progress bar is shown, so that the same work can be done for a person
at a terminal, for a page and for a program. The types are:

Say: Called with a sentence that a person reads, such as a finding or a warning.
OnProgress: Called with `done` and `of`, the number of steps that are done and their total.
OnStageProgress: Called with `stage`, `done` and `of`: what is being done, such as "Comparing", and the number
    of its steps that are done and their total.
"""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
OnProgress = Callable[[int, int], None]
OnStageProgress = Callable[[str, int, int], None]


def say_nothing(sentence: str) -> None:
    """Ignores a sentence; for a caller who does not want to read any."""


def ignore_progress(done: int, of: int) -> None:
    """Ignores the progress; for a caller who does not show it."""


def ignore_stage_progress(stage: str, done: int, of: int) -> None:
    """Ignores the progress of a stage; for a caller who does not show it."""
