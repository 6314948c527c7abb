"""Runs a shipped file with TFLite Micro on this computer: are the answers the same, and how much memory?

    pip install tflite-micro        # Python 3.10 to 3.12
    python benchmarks/microcontroller.py models/weighted-cnn_int8.tflite

Every test image goes through TFLite Micro, LiteRT's default kernels and LiteRT's reference kernels. Prints
how far the outputs are apart, and the arena that TFLite Micro took beside the estimate of `cli card`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.metadata import split
from garmentlite.train import data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--limit", type=int, default=10_000, help="Test images.")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    images = data.load(arguments.data_dir).x_test[: arguments.limit]
    flatbuffer, _ = split(arguments.model.read_bytes())
    micro = runtime.Interpreter.from_bytes(flatbuffer)
    default = Classifier(arguments.model)
    outputs = []
    for image in images:
        x = (image / np.float32(255)).astype(np.float32)
        micro.set_input(default.input.quantize(x).reshape(1, 28, 28, 1), 0)
        micro.invoke()
        outputs.append(micro.get_output(0)[0].astype(int))
    ours = np.array(outputs)
    others = {
        "default": default.raw_outputs(images).astype(int),
        "reference": Classifier(arguments.model, kernels="reference")
        .raw_outputs(images)
        .astype(int),
    }
    print(f"{arguments.model.name} on TFLite Micro, {len(images):,} test images")
    document = {"model": arguments.model.name, "images": len(images), "kernels": {}}
    for kernels, theirs in others.items():
        steps = int(np.abs(ours - theirs).max())
        changed = int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum())
        print(f"beside LiteRT's {kernels} kernels: at most {steps} steps, {changed} other answers")
        document["kernels"][kernels] = {"steps": steps, "changed": changed}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        micro.print_allocations()
    print(printed.getvalue(), end="")
    print(f"estimate of the activations: {read_contents(flatbuffer).arena_bytes:,} bytes")
    print(json.dumps(document))


if __name__ == "__main__":
    main()
