"""Measures the CPU time from a camera's frame to its answer, with a garment in view, for several sizes.

    python benchmarks/camera_speed.py [--frames N]

The frames show a drawn room and, after two seconds, a drawn garment that sways, with the noise of a camera.
The loop of 'cli webcam' (`GarmentStream`) answers them. Only frames in which a network ran are measured. The
CPU time of this thread is taken, so other programs hardly matter. The sizes take turns. Drawing the frames is
not counted.

Prints a table in Markdown and a line of JSON. To compare two versions of garmentlite, run it for both in
turns on one machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from typing import Self

import cv2
import numpy as np

from garmentlite.edge.drawing import draw_garment
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.stream import GarmentStream

SIZES_WH = ((640, 480), (1280, 720), (1920, 1080))  # pixels
FPS = 10
EMPTY_FRAMES = 2 * FPS  # the time in which the empty scene is learned
WARM_UP = 10  # frames with the garment that are not measured
NOISE = 3.0  # levels, standard deviation
HEIGHT = 0.7  # of the garment, as a share of the frame's height


class SwayingGarment:
    """A source of drawn frames, which notes the CPU time at which each one was handed over."""

    is_live = False
    camera = None

    def __init__(self, size_wh: tuple[int, int], number: int) -> None:
        self._room = room(size_wh)
        side = round(HEIGHT * size_wh[1])
        rgb, alpha = draw_garment("Trouser", np.random.default_rng(3), side)
        self._layer = np.dstack((rgb[..., ::-1], alpha))
        self._noise = np.random.default_rng(1).normal(0, NOISE, (*self._room.shape[:2], 3))
        self._number = number
        self.handed_over_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        for index in range(EMPTY_FRAMES + self._number):
            frame_bgr = self._frame(index)
            self.handed_over_ns = time.thread_time_ns()
            yield Frame(frame_bgr, index / FPS)

    def _frame(self, index: int) -> np.ndarray:
        """Draws a frame: uint8, shape (H, W, 3)."""
        picture = self._room
        if index >= EMPTY_FRAMES:
            height, width = picture.shape[:2]
            side = self._layer.shape[0]
            x = (width - side) / 2 + 0.02 * width * np.sin(index)
            y = (height - side) / 2 + 0.01 * height * np.cos(index)
            shift = np.array([[1, 0, x], [0, 1, y]])
            layer = cv2.warpAffine(self._layer, shift, (width, height))
            share = layer[..., 3:] / 255
            picture = layer[..., :3] * share + picture * (1 - share)
        noise = np.roll(self._noise, 37 * index, axis=(0, 1))
        return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def room(size_wh: tuple[int, int]) -> np.ndarray:
    """Draws a wall with furniture along its lower edge: uint8, shape (H, W, 3)."""
    rng, (width, height) = np.random.default_rng(0), size_wh
    picture = np.full((height, width, 3), (178, 190, 196), np.uint8)
    for _ in range(12):
        x, y = int(rng.uniform(0, 0.8) * width), int(rng.uniform(0.6, 0.9) * height)
        wide, high = rng.uniform(0.08, 0.25, 2) * size_wh
        picture[y : y + int(high), x : x + int(wide)] = rng.integers(40, 200, 3)
    return picture


def cpu_ms_of(size_wh: tuple[int, int], number: int, recognizer: Recognizer) -> list[float]:
    """Measures the frames with a garment on which a network ran."""
    source = SwayingGarment(size_wh, number + WARM_UP)
    times = []
    with GarmentStream(source, recognizer) as stream:
        for index, sighting in enumerate(stream):
            ms = (time.thread_time_ns() - source.handed_over_ns) / 1e6
            is_measured = index >= EMPTY_FRAMES + WARM_UP
            if is_measured and "infer" in sighting.recognition.latency_ms:
                times.append(ms)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100, help="measured frames of each size")
    parser.add_argument("--rounds", type=int, default=2, help="how often the sizes take turns")
    arguments = parser.parse_args()
    recognizer = Recognizer()
    times: dict[tuple[int, int], list[float]] = {size_wh: [] for size_wh in SIZES_WH}
    for _ in range(arguments.rounds):
        for size_wh, measured in times.items():
            number = -(-arguments.frames // arguments.rounds)
            measured += cpu_ms_of(size_wh, number, recognizer)
    print("| frame | frames measured | median, CPU ms | p99, CPU ms |")
    print("|---|---|---|---|")
    results = []
    for (width, height), measured in times.items():
        median, p99 = np.quantile(measured, [0.5, 0.99])
        print(f"| {width}x{height} | {len(measured)} | {median:.1f} | {p99:.1f} |")
        results.append(
            {"size": [width, height], "frames": len(measured), "median_ms": median, "p99_ms": p99}
        )
    print(json.dumps({"machine": platform.machine(), "results": results}))


if __name__ == "__main__":
    main()
