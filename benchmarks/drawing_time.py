"""Measures the CPU time of drawing an answer at three sizes of frame.

    python benchmarks/drawing_time.py

Prints the median of milliseconds of CPU time for each frame in two ways: the picture that is recorded, with
the panel beside the frame, and the picture of a window of 1280x720. All frames are drawn by the project.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from garmentlite.edge.drawing import draw_moving_frame
from garmentlite.edge.guide_box import DEFAULT_BOX
from garmentlite.edge.overlay import annotate, layout_within
from garmentlite.edge.recognition import Recognition
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.text_table import text_table

SIZES_WH = ((640, 480), (1280, 720), (1920, 1080))
WINDOW_WH = (1280, 720)
SECONDS = 0.5  # of the moving test pattern: a T-shirt


def cpu_ms(draw: Callable[[Recognition], object], recognition: Recognition, repeats: int) -> float:
    """Measures drawing; the times in the panel change from frame to frame, as in the app."""
    took = []
    for number in range(repeats):
        latency_ms = {stage: ms + number / 10 for stage, ms in recognition.latency_ms.items()}
        answer = replace(recognition, latency_ms=latency_ms)
        start = time.process_time()
        draw(answer)
        took.append((time.process_time() - start) * 1000)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    arguments = parser.parse_args()
    recognizer = Recognizer()
    rows = []
    for width, height in SIZES_WH:
        rgb, _ = draw_moving_frame(SECONDS, (width, height))
        frame_bgr = np.ascontiguousarray(rgb[..., ::-1])
        recognition = recognizer.recognize(frame_bgr)
        layout = layout_within(WINDOW_WH, (width, height))

        def recorded(answer: Recognition, frame_bgr: np.ndarray = frame_bgr) -> object:
            return annotate(frame_bgr, answer, frames_per_second=25, guide_box=DEFAULT_BOX)

        def shown(
            answer: Recognition, frame_bgr: np.ndarray = frame_bgr, layout: object = layout
        ) -> object:
            return annotate(
                frame_bgr, answer, frames_per_second=25, guide_box=DEFAULT_BOX, layout=layout
            )

        ways = (recorded, shown)
        rows.append(
            [f"{width}x{height}"]
            + [f"{cpu_ms(way, recognition, arguments.repeats):.2f}" for way in ways]
        )
    print(text_table(["frame", "recorded picture, ms", "window of 1280x720, ms"], rows))


if __name__ == "__main__":
    main()
