"""Measures what viewers of the page cost the camera app: frames a second, memory, and time to answer.

    python benchmarks/page_viewers.py [--rounds 5] [--seconds 6]

The app recognizes drawn frames of 640x480: 15 or 30 times a second, or as fast as it can. Viewers run in a
process of their own. Rounds without viewers alternate with rounds with five viewers of /stream.mjpg and a
sixth that never reads, while /verdict is asked for ten times a second. "ms a frame" is the median time of
recognizing a frame and handing it to the page.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from garmentlite.edge.controls import Controls
from garmentlite.edge.drawing import draw_moving_frame
from garmentlite.edge.page.address import Address
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sinks.page import PageSink
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.stream import GarmentStream
from garmentlite.edge.text_table import text_table

VIEWERS = 5
FRAMES = 90  # drawn once and repeated
FPS = 15.0


class DrawnCamera:
    """Frames of the test pattern, drawn beforehand, that come as those of a camera do."""

    camera = None

    def __init__(self, fps: float | None) -> None:
        self._fps = fps
        self._frames = [
            np.ascontiguousarray(draw_moving_frame(number / FPS, (640, 480))[0][..., ::-1])
            for number in range(FRAMES)
        ]

    def __enter__(self) -> DrawnCamera:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        begin = time.perf_counter()
        for number in itertools.count():
            if self._fps:
                time.sleep(max(0.0, begin + number / self._fps - time.perf_counter()))
            yield Frame(self._frames[number % FRAMES].copy(), number / FPS)


def resident_mb() -> float:
    """Reads how much memory this process uses, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("there is no VmRSS")


class Viewers:
    """A process with viewers; `stop` returns the milliseconds in which /verdict answered."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, __file__, "--view", str(port)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Linux shares the CPU out among sessions, and viewers are other computers.
            start_new_session=True,
        )
        self._process.stdout.readline()  # they are connected

    def stop(self) -> list[float]:
        """Ends the process."""
        output, _ = self._process.communicate("stop\n")
        return [float(one) for one in output.split()]


def view(port: int) -> None:
    """Looks at the page until something is written to standard input."""
    head = f"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    stuck = socket.create_connection(("127.0.0.1", port))
    stuck.sendall(head)

    def read() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head)
            while connection.recv(1 << 16):
                pass

    for _ in range(VIEWERS):
        threading.Thread(target=read, daemon=True).start()
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), is_over.set()), daemon=True).start()
    print("connected", flush=True)
    while not is_over.wait(0.1):
        begin = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/verdict")
        connection.getresponse().read()
        connection.close()
        print(f"{1000 * (time.perf_counter() - begin):.2f}")
    stuck.close()


def measure(fps: float | None, rounds: int, seconds: float) -> list[str]:
    """Measures a row: frames without and with viewers, memory, and the answers to /verdict."""
    said: list[str] = []
    controls = Controls()
    sink = PageSink(Address(port=0), controls, Recognizer, said.append)
    rates: dict[bool, list[float]] = {False: [], True: []}
    work_ms: dict[bool, list[float]] = {False: [], True: []}
    memory: dict[bool, list[float]] = {False: [], True: []}
    answers: list[float] = []
    with GarmentStream(DrawnCamera(fps), Recognizer(), controls=controls) as stream, sink:
        port = int(said[0].rpartition(":")[2].strip("/"))
        events = stream.events()

        def run(length: float) -> tuple[float, list[float]]:
            begin, times = time.perf_counter(), []
            while time.perf_counter() < begin + length:
                event = next(events)
                assert isinstance(event, Sighting)
                start = time.perf_counter()
                sink.show(event)
                shown_ms = 1000 * (time.perf_counter() - start)
                _, *stages = event.recognition.latency_ms.values()
                times.append(sum(stages) + shown_ms)
            return len(times) / (time.perf_counter() - begin), times

        run(3)
        for _ in range(rounds):
            for has_viewers in (False, True):
                viewers = Viewers(port) if has_viewers else None
                run(0.5)
                rate, times = run(seconds)
                rates[has_viewers].append(rate)
                work_ms[has_viewers] += times
                memory[has_viewers].append(resident_mb())
                if viewers:
                    answers += viewers.stop()
    rate, rate_with = (statistics.median(rates[one]) for one in (False, True))
    work, work_with = (statistics.median(work_ms[one]) for one in (False, True))
    return [
        f"{fps:.0f} frames/s" if fps else "as fast as possible",
        f"{rate:.1f}",
        f"{rate_with:.1f}",
        f"{100 * (rate_with / rate - 1):+.1f}%",
        f"{work:.2f}",
        f"{work_with:.2f}",
        f"{max(memory[True]) - memory[False][0]:+.1f}",
        f"{statistics.median(answers):.1f}",
        f"{statistics.quantiles(answers, n=100)[98]:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--view", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.view:
        view(arguments.view)
    else:
        head = [
            "the app runs", "frames/s", "with viewers", "change", "ms a frame", "with viewers", "MB more",
            "/verdict ms", "99 of 100 below",
        ]  # fmt: skip
        rows = [measure(fps, arguments.rounds, arguments.seconds) for fps in (15.0, 30.0, None)]
        print(text_table(head, rows))


if __name__ == "__main__":
    main()
