"""The checks in their order. A new check is one function that returns a finding, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from garmentlite.edge.doctor.board import find_throttling
from garmentlite.edge.doctor.cameras import find_cameras, find_groups
from garmentlite.edge.doctor.display import find_display
from garmentlite.edge.doctor.finding import Finding, NamedFinding, problem
from garmentlite.edge.doctor.model import find_answer, find_model
from garmentlite.edge.doctor.packages import (
    find_numpy,
    find_opencv,
    find_pillow,
    find_runtime,
    find_xnnpack,
)
from garmentlite.edge.doctor.system import (
    find_architecture,
    find_glibc,
    find_python,
    find_system,
)

CHECKS: tuple[tuple[str, Callable[[], Finding]], ...] = (
    ("system", find_system),
    ("architecture", find_architecture),
    ("glibc", find_glibc),
    ("Python", find_python),
    ("NumPy", find_numpy),
    ("Pillow", find_pillow),
    ("OpenCV", find_opencv),
    ("runtime", find_runtime),
    ("XNNPACK", find_xnnpack),
    ("model", find_model),
    ("answer", find_answer),
    ("cameras", find_cameras),
    ("groups", find_groups),
    ("display", find_display),
    ("throttling", find_throttling),
)


def examine() -> Iterator[NamedFinding]:
    """Runs all checks and yields each finding as soon as it is there."""
    for name, check in CHECKS:
        try:
            finding = check()
        except Exception as error:  # a broken machine must not end the examination
            finding = problem(
                f"the check itself failed ({type(error).__name__}: {error}); report this as a defect."
            )
        yield NamedFinding(name, finding)
