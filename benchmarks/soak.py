"""Runs the camera app with all its outputs for minutes, disturbs it, and prints what it holds.

    python benchmarks/soak.py [--minutes 10]

The app, 'cli webcam', watches a camera on the network: the page of a second app that shows the test pattern.
It serves a page, collects pictures, watches a model file and publishes to an MQTT broker (if mosquitto is
installed). Meanwhile, two viewers watch the live picture, a third one never reads, and a fourth one comes and
goes every second. Each minute the camera is lost for three seconds, the broker is restarted, and another
model is copied over the watched file. All connections stay on this computer.

The exit status is 1 if the app ends, if its memory grows by more than 10 MB after the third minute, or if it
holds more threads or descriptors at the end than then. In the first three minutes, both models and the camera
have been opened again at least once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from garmentlite.edge.text_table import text_table

ROOT = Path(__file__).resolve().parent.parent
MODELS = [ROOT / "models" / f"garment-net{kind}_int8.tflite" for kind in ("-photo", "")]
MOST_GROWTH_MB = 10.0
CALM_MINUTES = 3  # after them, the app holds everything that it needs
SAMPLE_S = 10.0
DISTURB_S = 60.0
CAMERA_AWAY_S = 3.0
START_S = 60.0  # longest time to wait for a process to answer


@dataclass(frozen=True)
class Holdings:
    """What the app holds.

    Attributes:
        seconds: Time since the start.
        memory_mb: Resident memory in megabytes.
        threads: Number of its threads.
        descriptors: Number of open files and sockets.
        frames_per_second: Rate of answered frames; 0 while the camera is away.
        label: The answer, or the state of the camera.
    """

    seconds: float
    memory_mb: float
    threads: int
    descriptors: int
    frames_per_second: float
    label: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_reached: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + START_S
    while not is_reached():
        if time.monotonic() > until:
            sys.exit(f"{what} did not start within {START_S:.0f} s.")
        time.sleep(0.1)


def is_answering(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Program:
    """A program that answers on a port of this computer, and can be ended and started again."""

    def __init__(self, command: list[str], port: int, complaints: Path) -> None:
        self._command, self.port, self._complaints = command, port, complaints
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Program:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and waits until it answers."""
        with self._complaints.open("ab") as file:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=file
            )
        wait_until(lambda: is_answering(self.port), " ".join(self._command))

    def stop(self) -> None:
        """Ends it as systemd does, by a signal that it may handle."""
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(START_S)
            self.process.kill()
            self.process.wait()


def webcam(complaints: Path, *options: str) -> Program:
    port = free_port()
    command = [sys.executable, "cli.py", "webcam", "--headless", "--serve", f"127.0.0.1:{port}"]
    return Program([*command, *options], port, complaints)


def mosquitto(complaints: Path) -> Program:
    port = free_port()
    settings = complaints.with_name("mosquitto.conf")
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n", encoding="utf-8"
    )
    return Program(["mosquitto", "-c", str(settings)], port, complaints)


def view(port: int, is_over: threading.Event, *, reads: bool, seconds: float | None) -> None:
    """Watches the live picture again and again, for some seconds each time; None until it is cut off."""
    while not is_over.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as viewer:
            viewer.sendall(f"GET /stream.mjpg HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            until = None if seconds is None else time.monotonic() + seconds
            while not is_over.is_set() and (until is None or time.monotonic() < until):
                if reads and not viewer.recv(1 << 16):
                    break
                if not reads:
                    is_over.wait(1)
                    viewer.sendall(b"x")  # raises an error once the viewer was cut off
        is_over.wait(0.2)


def holdings_of(process: int, port: int, began: float) -> Holdings:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    verdict = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError, ValueError):
        connection.request("GET", "/verdict")
        verdict = json.loads(connection.getresponse().read())
    connection.close()
    camera = (verdict.get("camera") or {}).get("status", "")
    return Holdings(
        seconds=time.monotonic() - began,
        memory_mb=int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024,
        threads=int(re.findall(r"Threads:\s+(\d+)", status)[0]),
        descriptors=len(list(Path(f"/proc/{process}/fd").iterdir())),
        frames_per_second=float(verdict.get("frames_per_second") or 0),
        label=str(verdict.get("label") or camera),
    )


def judge(samples: list[Holdings]) -> list[str]:
    """Says what has grown; memory and descriptors change from moment to moment, so maxima are compared."""
    early = [one for one in samples if one.seconds <= CALM_MINUTES * 60]
    late = samples[-len(early) :]
    if len(samples) < 2 * len(early):
        return []
    complaints = []
    growth = max(one.memory_mb for one in late) - max(one.memory_mb for one in early)
    if growth > MOST_GROWTH_MB:
        complaints.append(
            f"Memory grew by {growth:.1f} MB, at most {MOST_GROWTH_MB:g} are allowed."
        )
    for name in ("threads", "descriptors"):
        before, after = (max(getattr(one, name) for one in part) for part in (early, late))
        if after > before:
            complaints.append(f"The number of {name} grew from {before} to {after}.")
    return complaints


def soak(minutes: float, folder: Path) -> tuple[list[Holdings], str]:
    """Runs the app and disturbs it; returns what it held, and what it and the others said."""
    said, watched = folder / "said.txt", folder / "current.tflite"
    shutil.copy(MODELS[0], watched)
    options = ["--collect", str(folder / "collected"), "--watch-model", str(watched)]
    samples: list[Holdings] = []
    with ExitStack() as running:
        camera = running.enter_context(webcam(folder / "camera.txt", "--source", "test-pattern"))
        disturbed = [camera]
        if shutil.which("mosquitto"):
            broker = running.enter_context(mosquitto(folder / "broker.txt"))
            disturbed.append(broker)
            options += ["--mqtt", f"mqtt://127.0.0.1:{broker.port}/soak"]
        source = f"http://127.0.0.1:{camera.port}/stream.mjpg"
        app = running.enter_context(webcam(said, "--source", source, *options))
        is_over = threading.Event()
        viewers = [
            threading.Thread(target=view, args=(app.port, is_over), kwargs=how)
            for how in (
                {"reads": True, "seconds": None},
                {"reads": True, "seconds": None},
                {"reads": False, "seconds": None},
                {"reads": True, "seconds": 1.0},
            )
        ]
        for viewer in viewers:
            viewer.start()
        running.callback(is_over.set)
        assert app.process
        began, disturbances = time.monotonic(), 0
        while time.monotonic() - began < minutes * 60 and app.process.poll() is None:
            time.sleep(SAMPLE_S)
            samples.append(holdings_of(app.process.pid, app.port, began))
            if time.monotonic() - began > DISTURB_S * (disturbances + 0.5):
                disturbances += 1
                for one in disturbed:
                    one.stop()
                time.sleep(CAMERA_AWAY_S)
                for one in disturbed:
                    one.start()
                shutil.copy(MODELS[disturbances % 2], watched)
        if app.process.poll() is not None:
            sys.exit(
                f"The app ended with the status {app.process.returncode}:\n{said.read_text(encoding='utf-8')}"
            )
    return samples, said.read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        samples, said = soak(minutes, Path(folder))
    print(said)
    head = ("minutes", "memory MB", "threads", "descriptors", "frames/s", "answer")
    rows = [
        (
            f"{one.seconds / 60:.1f}", f"{one.memory_mb:.1f}", str(one.threads), str(one.descriptors),
            f"{one.frames_per_second:.1f}", one.label,
        )
        for one in samples
    ]  # fmt: skip
    print(text_table(head, rows))
    complaints = judge(samples)
    print("\n".join(complaints) or "Nothing has grown.")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
