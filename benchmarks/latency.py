"""Measures size and latency of model files, side by side in one run.

    python benchmarks/latency.py models/*_float32.tflite models/*_int8.tflite

The files take turns, so that other work on the machine affects all of them equally. Prints a table in
Markdown, then one line of JSON. A PC's figures are not a Raspberry Pi's.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from garmentlite.edge.classifier import Classifier

WARMUP_RUNS, TIMED_RUNS = 50, 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    classifiers = [Classifier(path, num_threads=arguments.threads) for path in arguments.models]
    image = np.random.default_rng(0).integers(0, 256, (1, 28, 28), dtype=np.uint8)
    times = np.empty((len(classifiers), TIMED_RUNS))
    for run in range(-WARMUP_RUNS, TIMED_RUNS):
        for row, classifier in enumerate(classifiers):
            start = time.perf_counter()
            classifier.raw_outputs(image)
            if run >= 0:
                times[row, run] = (time.perf_counter() - start) * 1000
    results = []
    print("| file | kB | median ms | p95 ms |")
    print("|---|---|---|---|")
    for classifier, row in zip(classifiers, times, strict=True):
        size = classifier.path.stat().st_size
        median, p95 = np.quantile(row, [0.5, 0.95])
        print(f"| {classifier.path.name} | {size / 1000:,.0f} | {median:.3f} | {p95:.3f} |")
        results.append(
            {"file": classifier.path.name, "bytes": size, "median_ms": median, "p95_ms": p95}
        )
    where = f"{platform.machine()}, {arguments.threads} thread, Python call included"
    print(f"\n{WARMUP_RUNS} warm-up and {TIMED_RUNS} timed runs each, taking turns; {where}.")
    print(json.dumps({"machine": where, "results": results}))


if __name__ == "__main__":
    main()
