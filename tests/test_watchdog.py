"""Signs of life for systemd, received by a socket as systemd would receive them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from garmentlite.edge.sinks.watchdog import WatchdogSink, watchdog_from_environment

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(params=["file", "abstract"])
def systemd(request, tmp_path):
    """The socket on which systemd listens, and its address in $NOTIFY_SOCKET."""
    if request.param == "abstract" and not sys.platform.startswith("linux"):
        pytest.skip("only Linux has sockets without a file")
    address = str(tmp_path / "notify") if request.param == "file" else f"@garmentlite-{os.getpid()}"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(address.replace("@", "\0", 1) if request.param == "abstract" else address)
    with listening:
        yield listening, address


def messages(listening: socket.socket) -> list[str]:
    """What has arrived and was not read yet."""
    listening.setblocking(False)
    found = []
    while True:
        try:
            found.append(listening.recv(4096).decode())
        except BlockingIOError:
            return found


def test_first_answer_says_ready_and_the_end_says_stopping(systemd):
    listening, address = systemd
    with WatchdogSink(address, allowed_s=3600) as sink:
        assert messages(listening) == []
        assert sink.show(None)
        assert messages(listening) == ["READY=1", "WATCHDOG=1"]
        assert sink.show(None)  # a quarter of the allowed time is not over
        assert messages(listening) == []
    assert messages(listening) == ["STOPPING=1"]


def test_loop_that_waits_for_its_camera_is_alive(systemd):
    listening, address = systemd
    with WatchdogSink(address, allowed_s=0) as sink:
        assert sink.show_state(None)
        assert sink.show_state(None)
        assert messages(listening) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_systemd_that_does_not_listen_does_not_end_the_app(tmp_path):
    with WatchdogSink(str(tmp_path / "gone"), allowed_s=0) as sink:
        assert sink.show(None)


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": "@systemd"}, {"WATCHDOG_USEC": "30000000"},
     {"NOTIFY_SOCKET": "@systemd", "WATCHDOG_USEC": "soon"}],
)  # fmt: skip
def test_without_systemd_there_is_no_watchdog(monkeypatch, environment):
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_from_environment() is None


@pytest.mark.slow
def test_stopped_process_gives_no_sign_and_a_running_one_does(systemd):
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    listening, address = systemd
    process = subprocess.Popen(
        [sys.executable, "-m", "garmentlite.cli", "webcam", "--source", "test-pattern", "--headless"],
        cwd=ROOT, stdout=subprocess.DEVNULL,
        env=os.environ | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"},
    )  # fmt: skip
    try:
        listening.settimeout(120)
        assert listening.recv(4096) == b"READY=1"
        assert listening.recv(4096) == b"WATCHDOG=1"
        assert listening.recv(4096) == b"WATCHDOG=1"
        os.kill(process.pid, signal.SIGSTOP)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        messages(listening)
        time.sleep(0.5)  # five times what systemd would allow
        assert messages(listening) == []
        os.kill(process.pid, signal.SIGCONT)
        listening.settimeout(120)
        assert listening.recv(4096) == b"WATCHDOG=1"
    finally:
        process.kill()
        process.wait()
