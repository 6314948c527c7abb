"""Tests of Ctrl-C that comes where Python cannot raise an exception."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the signals are sent as on Unix")

# The interrupt comes while the callback of a weak reference runs.
_PROGRAM = """
import os, signal, time, weakref
from contextlib import nullcontext
from garmentlite.edge.interrupts import raise_lost_interrupts_again
from garmentlite.edge.stop_signals import ended_by_signals

class Forgotten: ...

def callback(_):
    os.kill(os.getpid(), signal.{signal})
    time.sleep(0.01)  # Python looks for signals here, where it cannot raise

def lose_an_interrupt_and_wait():
    forgotten = Forgotten()
    reference = weakref.ref(forgotten, callback)
    del forgotten
    {wait}

raise_lost_interrupts_again()
with {block}:
    try:
        lose_an_interrupt_and_wait()
    except KeyboardInterrupt:
        print("interrupted")
{after}
"""


def run(wait, block="nullcontext()", name="SIGINT", after=""):
    program = _PROGRAM.format(wait=wait, block=block, signal=name, after=after)
    reading, writing = os.pipe()  # nothing is ever written to it
    try:
        return subprocess.run(
            [sys.executable, "-P", "-c", program], stdin=reading, capture_output=True, text=True, timeout=50,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), check=False,
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("wait", ["time.sleep(60)", "while True: pass", "os.read(0, 1)"])
def test_ctrl_c_that_is_lost_interrupts_what_runs_next(wait):
    ended = run(wait)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_that_is_lost_in_the_camera_app_still_closes_what_is_open(name):
    """The app ignores a second signal, and would otherwise be ended without closing anything."""
    ended = run("time.sleep(60)", block="ended_by_signals()", name=name)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_ctrl_c_after_one_that_was_lost_is_handled_as_before():
    after = "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert run("time.sleep(60)", after=after).stdout == "interrupted\nTrue\n"


def test_other_errors_that_cannot_be_raised_are_still_reported():
    program = (
        "from garmentlite.edge.interrupts import raise_lost_interrupts_again as install; install()\n"
        "class Fails:\n"
        "    def __del__(self): raise ValueError('lost')\n"
        "Fails()"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "ValueError: lost" in ended.stderr
