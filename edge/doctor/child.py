"""Runs a part of a check in a child process, so that a broken package cannot take the doctor along."""

from __future__ import annotations

import signal
import subprocess
import sys

from garmentlite.edge.doctor.finding import Finding, ok, problem

# Seconds. Importing NumPy, OpenCV and the runtime takes about five seconds on a slow board with a slow card.
TIME_LIMIT = 120.0

# The code prints what it found. An expected error is printed as its sentence, and the status is then 3.
_FRAME = """
import sys
sys.path[:] = {path!r}
from garmentlite.edge.errors import GarmentliteError
try:
    {call}
except GarmentliteError as error:
    print(error)
    sys.exit({expected})
"""
_EXPECTED_ERROR = 3


def found_by_child(module: str, function: str) -> Finding:
    """Calls a function without arguments in a child process.

    Args:
        module: Name of the function's module.
        function: Name of the function. It returns the sentence of a finding; an error of garmentlite that it
            raises is a problem, and its message is the sentence.

    Returns:
        What it found. If the child ends in another way, the finding says how.
    """
    call = f"from {module} import {function}; print({function}())"
    code = _FRAME.format(path=sys.path, call=call, expected=_EXPECTED_ERROR)
    try:
        child = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return problem(
            f"it took longer than {TIME_LIMIT:.0f} seconds; run 'cli doctor' again on an idle machine."
        )
    sentence = child.stdout.strip().rpartition("\n")[2]
    if child.returncode == 0:
        return ok(sentence)
    if child.returncode == _EXPECTED_ERROR:
        return problem(sentence)
    return problem(_how_it_ended(child))


def _how_it_ended(child: subprocess.CompletedProcess[str]) -> str:
    way_out = "make the environment anew as docs/pi.md describes."
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        if name == "SIGILL":
            return f"this processor lacks an instruction that the package uses (SIGILL); {way_out}"
        return f"the process was ended by {name}; {way_out}"
    last = child.stderr.strip().rpartition("\n")[2]
    return f"{last or f'the process ended with status {child.returncode}'}; {way_out}"
