"""Breaks a shipped file on purpose, by scaling Shirt's last weights, and runs `cli verify` on it.

    python benchmarks/broken_model.py [--factor 0.93]

The exit status is that of the command, 1.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from garmentlite.cli import app
from garmentlite.edge.metadata import attach, split
from garmentlite.edge.runtime import pack, unpack
from garmentlite.edge.shipped import FOLDER

CLASS_NUMBER = 6  # Shirt


def broken(flatbuffer: bytes, factor: float) -> bytes:
    """Multiplies one row of the last dense kernel, int8, by `factor`."""
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    last = [operator for operator in graph.operators if len(operator.inputs) == 3][-1]
    kernel = graph.tensors[last.inputs[1]]
    buffer = model.buffers[kernel.buffer]
    values = np.asarray(buffer.data, np.uint8).view(np.int8).reshape(kernel.shape).copy()
    values[CLASS_NUMBER] = np.rint(values[CLASS_NUMBER] * factor)
    buffer.data = values.view(np.uint8).ravel()
    return pack(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factor", type=float, default=0.93)
    arguments = parser.parse_args()
    flatbuffer, metadata = split((FOLDER / "weighted-cnn_int8.tflite").read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "broken.tflite"
        path.write_bytes(attach(broken(flatbuffer, arguments.factor), metadata))
        app(["verify", str(FOLDER / "weighted-cnn_float32.tflite"), str(path)])


if __name__ == "__main__":
    main()
