"""Tests of Ctrl-C and SIGTERM, sent to real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import PATIENCE_S

from garmentlite.edge.stop_signals import ended_by_signals

ROOT = Path(__file__).parent.parent
both = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
needs_hangup = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no SIGHUP")

HANGS_IN_NATIVE_CODE = """
import ctypes, threading
from garmentlite.edge.stop_signals import ended_by_signals
libc = ctypes.CDLL(None)
mutex = ctypes.create_string_buffer(64)
with ended_by_signals():
    # The signal must come after the main thread has entered the second lock, which never returns.
    threading.Timer(2, print, ["begun"], {"flush": True}).start()
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""
CLOSES_WHAT_IS_OPEN = """
import time
from contextlib import ExitStack
from garmentlite.edge.stop_signals import ended_by_signals
with ended_by_signals():
    with ExitStack() as opened:
        opened.callback(print, "closed", flush=True)
        opened.callback(time.sleep, 0.5)  # a second signal must not interrupt the closing
        print("begun", flush=True)
        time.sleep(100)
    print("never reached")
"""


def start(*words):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@both
def test_signal_closes_what_is_open_and_ends_with_0(number):
    process = start("-c", CLOSES_WHAT_IS_OPEN)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, "closed\n", "")


@needs_hangup
def test_closed_terminal_closes_what_is_open_and_ends_with_0():
    # The tests themselves may run under nohup.
    heeding = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    process = start("-c", heeding + CLOSES_WHAT_IS_OPEN)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, "closed\n", "")


@needs_hangup
def test_process_under_nohup_outlives_its_terminal():
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    process = start("-c", ignoring + CLOSES_WHAT_IS_OPEN)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=PATIENCE_S)[0] == "closed\n"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses Linux's C library")
@both
def test_signal_ends_a_process_that_hangs_in_native_code(number):
    process = start("-c", HANGS_IN_NATIVE_CODE)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "did not close in time" in err


def test_block_without_a_signal_leaves_the_handlers_as_they_were():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with ended_by_signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_error_in_the_block_is_raised():
    with pytest.raises(ValueError, match="as ever"), ended_by_signals():
        raise ValueError("as ever")


@pytest.mark.slow
@both
def test_app_that_runs_ends_with_0_and_without_a_word(number):
    process = start("-P", "cli.py", "webcam", "--source", "test-pattern", "--headless")
    assert process.stdout.readline().startswith("{")
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")


@pytest.mark.slow
@both
def test_app_that_waits_for_its_first_frame_ends_with_0(number):
    """Standard input stays silent, so the signal comes while the source is opened or just before."""
    process = start("-X", "importtime", "-P", "cli.py", "webcam", "--source", "-", "--headless")
    for line in process.stderr:
        if line.rpartition("|")[2].strip() == "garmentlite.edge.camera_app":
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    said = [line for line in err.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, said) == (0, [])


@pytest.mark.slow
def test_app_whose_reader_is_gone_ends_quietly():
    shell = f"{sys.executable} -P cli.py webcam --source test-pattern --headless | head -n 2"
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"], cwd=ROOT, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False, env=os.environ,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_app_on_a_full_disk_says_one_sentence():
    ended = subprocess.run(
        ["bash", "-c", f"{sys.executable} -P cli.py webcam --source test-pattern --headless > /dev/full"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: The answers cannot be written to standard output")
    assert ended.stderr.count("\n") == 1
