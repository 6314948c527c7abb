"""Measures how much time the checks before a model is run add to opening it, for each shipped file.

    python benchmarks/model_checks.py [--rounds 50]

"read" is reading the bytes and the metadata; "checks" are the checksums and what else is done before a file
of garmentlite is run. "from bytes" is the check in Python and "child" the trial in a process of its own,
which a file of another program meets once.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from garmentlite.edge import foreign_model, model_file
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.metadata import split
from garmentlite.edge.shipped import FOLDER
from garmentlite.edge.text_table import text_table


def median_ms(call: Callable[[], object], rounds: int) -> float:
    """Measures the median time of a call in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def row_of(path: Path, rounds: int) -> list[str]:
    """Measures the row of a file."""
    content = path.read_bytes()
    flatbuffer, _ = split(content)
    read = median_ms(lambda: split(path.read_bytes()), rounds)
    opened = median_ms(lambda: model_file.open_model_file(path), rounds)
    from_bytes = median_ms(lambda: read_contents(flatbuffer), rounds)
    child = median_ms(lambda: foreign_model._try(flatbuffer), 3)
    return [
        path.name, f"{len(content):,}", f"{read:.2f}", f"{opened - read:.2f}", f"{from_bytes:.2f}",
        f"{child:.0f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    head = ["file", "bytes", "read ms", "checks ms", "from bytes ms", "child ms"]
    paths = sorted(FOLDER.glob("*.tflite"))
    print(text_table(head, [row_of(path, arguments.rounds) for path in paths]))


if __name__ == "__main__":
    main()
