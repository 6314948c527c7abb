"""Whether a Raspberry Pi runs slower than it could, because of its power supply or its temperature."""

from __future__ import annotations

import shutil
import subprocess

from garmentlite.edge.doctor.finding import Finding, ok, problem

_POWER = "use the power supply that belongs to the board, and a short cable"
_HEAT = "give it a heat sink or a fan, and take it out of a closed box"
# Bits of `vcgencmd get_throttled` (documentation of Raspberry Pi OS); bit n + 16 says the same of any time
# since the board was started.
_BITS = {
    0: ("its voltage is too low", _POWER),
    1: ("its frequency is limited", _HEAT),
    2: ("it is slowed down", _HEAT),
    3: ("it has reached its temperature limit", _HEAT),
}
_SINCE_START = 16


def find_throttling() -> Finding:
    """Asks the firmware of the board."""
    program = shutil.which("vcgencmd")
    if program is None:
        return ok("not known, because there is no vcgencmd on this machine")
    try:
        told = subprocess.run(
            [program, "get_throttled"], capture_output=True, text=True, timeout=10, check=False
        )
        flags = int(told.stdout.strip().removeprefix("throttled="), 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ok("not known, because vcgencmd gave no answer")
    for shift, when in ((0, "now"), (_SINCE_START, "since it was started")):
        for bit, (state, way_out) in _BITS.items():
            if flags >> (bit + shift) & 1:
                return problem(
                    f"the board is slow: {state} ({when}, throttled={flags:#x}); {way_out}."
                )
    return ok("the board has not been slowed down since it was started")
