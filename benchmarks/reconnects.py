"""Loses a camera again and again, and prints what the app holds after each tenth of the reconnects.

    python benchmarks/reconnects.py [--count 1000]

Two cameras are lost: one in this process, which opens a file each time, and one on the network, for which an
HTTP server in this process sends three pictures as MJPEG and hangs up. Both run through the loop of
'cli webcam'. The exit status is 1 if memory grows by more than 5 MB after the first tenth, or if threads or
descriptors increase.
"""

import argparse
import gc
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sources.connection import Device
from garmentlite.edge.sources.live import LiveSource
from garmentlite.edge.sources.network_camera import NetworkCamera
from garmentlite.edge.stream import GarmentStream
from garmentlite.edge.text_table import text_table

MOST_GROWTH_MB = 5.0
SIZE_HW = (480, 640)  # pixels


@dataclass(frozen=True)
class Holdings:
    """What this process holds.

    Attributes:
        reconnects: How often the camera was opened again by then.
        memory_mb: Resident memory in megabytes.
        threads: Number of threads of the operating system.
        descriptors: Number of open files and sockets.
    """

    reconnects: int
    memory_mb: float
    threads: int
    descriptors: int


class FakeCamera:
    """Gives three frames each time it is opened, and then none; it holds a file open meanwhile."""

    name = "Camera fake"

    def open(self) -> "FakeCapture":
        """Opens the camera."""
        return FakeCapture()


class FakeCapture:
    """One opening of the fake camera."""

    def __init__(self) -> None:
        self._descriptor = os.open(os.devnull, os.O_RDONLY)
        self._left = 3

    def read(self) -> object:
        """Returns a frame of noise, or None once it is lost."""
        self._left -= 1
        rng = np.random.default_rng()
        return rng.integers(60, 200, (*SIZE_HW, 3), np.uint8) if self._left >= 0 else None

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


class ThreePictures(http.server.BaseHTTPRequestHandler):
    """Answers each request with three pictures and hangs up."""

    def log_message(self, *_: object) -> None:
        """Writes nothing."""

    def do_GET(self) -> None:
        """Sends the pictures."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for _ in range(3):
            pixels = np.random.default_rng().integers(60, 200, (*SIZE_HW, 3), np.uint8)
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n")
            Image.fromarray(pixels).save(self.wfile, "JPEG")
            self.wfile.write(b"\r\n")


@contextmanager
def network_camera() -> Iterator[Device]:
    """Yields a camera that the HTTP server of this process serves."""
    with http.server.HTTPServer(("127.0.0.1", 0), ThreePictures) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield NetworkCamera(f"http://127.0.0.1:{server.server_port}/video")
        server.shutdown()


def holdings(reconnects: int) -> Holdings:
    """Measures this process through /proc."""
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return Holdings(
        reconnects=reconnects,
        memory_mb=int(fields["VmRSS"].split()[0]) / 1024,
        threads=int(fields["Threads"]),
        descriptors=len(os.listdir("/proc/self/fd")),
    )


def lose(device: Device, count: int, recognizer: Recognizer) -> list[Holdings]:
    """Runs the loop of the app until the camera was opened again `count` times."""
    source, measured = LiveSource(device, first_pause=0.0), []
    step = max(1, count // 10)
    with GarmentStream(source, recognizer) as stream:
        for _ in stream.events():
            reconnects = source.camera.reconnects
            if reconnects >= step * (len(measured) + 1):
                measured.append(holdings(reconnects))
            if len(measured) == 10:
                return measured
    raise RuntimeError("the source ended")


def has_grown(measured: list[Holdings]) -> bool:
    """Tells whether something has grown since the first tenth.

    Threads and descriptors depend on whether the camera is open at the moment of a measurement. So the
    largest numbers of the first and of the second half are compared.
    """
    first, second = measured[: len(measured) // 2], measured[len(measured) // 2 :]
    return (
        measured[-1].memory_mb - measured[0].memory_mb > MOST_GROWTH_MB
        or max(one.threads for one in second) > max(one.threads for one in first)
        or max(one.descriptors for one in second) > max(one.descriptors for one in first)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--count", type=int, default=1000, help="number of reconnects of each camera"
    )
    count = parser.parse_args().count
    recognizer, failed = Recognizer(), False
    with network_camera() as camera:
        for device in (FakeCamera(), camera):
            measured = lose(device, count, recognizer)
            failed |= has_grown(measured)
            print(f"{device.name}:")
            rows = [
                [
                    str(one.reconnects),
                    f"{one.memory_mb:.1f}",
                    str(one.threads),
                    str(one.descriptors),
                ]
                for one in measured
            ]
            print(text_table(["reconnects", "memory (MB)", "threads", "descriptors"], rows))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
