"""Compares the time of the whole parity check with that of its bare inferences, in turns in one run.

    python benchmarks/verify_speed.py

Bare: each model invoked on every image in one loop and one thread, nothing else. Whole: `verify`, the text,
the JSON and the HTML report with its pictures, without corruptions. Prints a table in Markdown, then one line
of JSON; exit status 1 where the whole takes more than 1.5 times the bare.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

from garmentlite.convert.report.verify_page import to_html
from garmentlite.convert.report.verify_text import to_text
from garmentlite.convert.verify.check import verify
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.metadata import split
from garmentlite.edge.runtime import make_interpreter
from garmentlite.edge.shipped import FOLDER
from garmentlite.train import data

LARGEST_RATIO = 1.5


class BareLoop:
    """One model's inferences and nothing else: inputs are quantized before the clock starts."""

    def __init__(self, path: Path, images_u8: np.ndarray):
        classifier = Classifier(path)
        flatbuffer, _ = split(path.read_bytes())
        self.interpreter = make_interpreter(flatbuffer)
        details = self.interpreter.get_input_details()[0]
        self.index = details["index"]
        real = images_u8 / np.float32(255)
        self.inputs = classifier.input.quantize(real).reshape(len(images_u8), *details["shape"])

    def run(self) -> None:
        """Invokes the model once for every image."""
        set_tensor, invoke = self.interpreter.set_tensor, self.interpreter.invoke
        for one in self.inputs:
            set_tensor(self.index, one)
            invoke()


def whole(paths: list[Path], images_u8: np.ndarray, y_true: np.ndarray) -> None:
    """Does all that `cli verify --report` does once data and program are loaded."""
    report = verify(*paths, images_u8, y_true)
    to_text(report)
    json.dumps(report.as_document())
    to_html(report, images_u8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="weighted-cnn", help="of the pair in models/")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    found = data.load(arguments.data_dir)
    images_u8, y_true = found.x_test[: arguments.images], found.y_test[: arguments.images]
    paths = [FOLDER / f"{arguments.name}_{kind}.tflite" for kind in ("float32", "int8")]
    loops = [BareLoop(path, images_u8) for path in paths]
    ways = {
        "bare inferences, one thread": lambda: [loop.run() for loop in loops],
        "whole parity check": lambda: whole(paths, images_u8, y_true),
    }
    warm = min(2000, len(y_true))
    whole(paths, images_u8[:warm], y_true[:warm])
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - start)
    print("| what | median s | fastest s | slowest s |")
    print("|---|---|---|---|")
    for way, times in seconds.items():
        print(f"| {way} | {np.median(times):.2f} | {min(times):.2f} | {max(times):.2f} |")
    bare, checked = (float(np.median(times)) for times in seconds.values())
    ratio = checked / bare
    where = f"{platform.machine()}, {os.cpu_count()} cores"
    print(
        f"\n{arguments.name}, {len(y_true):,} images, {arguments.rounds} rounds in turns, {where}: the whole "
        f"takes {ratio:.2f} times the bare time, at most {LARGEST_RATIO} is allowed."
    )
    print(json.dumps({"machine": where, "images": len(y_true), "seconds": seconds, "ratio": ratio}))
    return int(ratio > LARGEST_RATIO)


if __name__ == "__main__":
    sys.exit(main())
