"""Measures how long a training step takes, with our loop and others', and with several backends.

    python benchmarks/training_speed.py

First table: `weighted-cnn` on the same images by our loop, by our loop without augmentation and in the way of
the tutorials (ImageDataGenerator and `fit`), in turns in one run. Second table: single steps of a network by
backend, precision and batch-norm, each in a process of its own, in turns as well; backends that are not
installed are left out. The figures are medians of the rounds. Prints tables in Markdown, then a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import data, fit
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.backend import device_description
from garmentlite.train.config import TrainConfig
from garmentlite.train.networks import network_named
from garmentlite.train.training_copy import training_copy

WARM_UP = 5  # steps that are not timed: the first one compiles
BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="Timed steps of a loop, a round.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=["weighted-cnn", "garment-net"])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("NETWORK", "PRECISION", "BATCH_NORM"),
                        help=argparse.SUPPRESS)  # fmt: skip
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_step(*arguments.one)))
        return
    loops = compare_loops(arguments.steps, arguments.rounds, arguments.data_dir)
    print("\n| weighted-cnn, batches of 128 | ms a step | beside no augmentation |")
    print("|---|---|---|")
    bare = loops["our loop, no augmentation"]
    for name, ms in loops.items():
        print(f"| {name} | {ms:.0f} | {ms / bare - 1:+.1%} |")
    steps = compare_backends(arguments.networks, arguments.rounds)
    print(f"\n| ms a step of {BATCH} | " + " | ".join(arguments.networks) + " |")
    print("|---|" + "---|" * len(arguments.networks))
    for way, row in steps.items():
        print(f"| {way} | " + " | ".join(f"{row[name]:.0f}" for name in arguments.networks) + " |")
    where = f"{device_description()}, {platform.machine()}"
    print(f"\nMedians of {arguments.rounds} rounds in turns; {where}.")
    print(json.dumps({"device": where, "loops_ms": loops, "steps_ms": steps}))


# --- loops


def compare_loops(steps: int, rounds: int, data_dir: Path | None) -> dict[str, float]:
    """Measures milliseconds for a step of every loop."""
    found = data.load(data_dir)
    count = (steps + WARM_UP) * BATCH
    x, y = found.x_train[:count], found.y_train[:count]
    validation = found.x_train[-500:], found.y_train[-500:]
    recipe = replace(network_named("weighted-cnn").recipe, epochs=1, batch_size=BATCH)
    config = TrainConfig(
        network="weighted-cnn", seed=0, labels=FASHION_MNIST_LABELS,
        **vars(recipe),
    )  # fmt: skip
    plain = replace(config, augmentation=Augmentation())

    def ours(config: TrainConfig) -> list[float]:
        at = []
        fit.train(config, x, y, *validation, on_step=lambda *_: at.append(time.perf_counter()))
        return at

    ways: dict[str, Callable[[], list[float]]] = {
        "our loop, no augmentation": lambda: ours(plain),
        "our loop": lambda: ours(config),
        "ImageDataGenerator and fit": lambda: tutorial(x, y),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, run in ways.items():
            at = run()
            times[name].append((at[-1] - at[WARM_UP - 1]) / (len(at) - WARM_UP) * 1000)
            print(f"round {number + 1}, {name}: {times[name][-1]:.0f} ms", file=sys.stderr)
    return {name: median(row) for name, row in times.items()}


def tutorial(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Trains like the published experiment: rotation, shifts and zoom by ImageDataGenerator, then `fit`."""
    from tf_keras.preprocessing.image import ImageDataGenerator

    class Clock(keras.callbacks.Callback):
        at: list[float] = []  # noqa: RUF012

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            self.at.append(time.perf_counter())

    keras.utils.set_random_seed(0)
    model = network_named("weighted-cnn").build(10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    generator = ImageDataGenerator(
        rotation_range=5, width_shift_range=0.05, height_shift_range=0.05, zoom_range=0.1
    )
    flow = generator.flow(x[..., None].astype(np.float32) / 255, y, batch_size=BATCH, seed=0)
    clock = Clock()
    clock.at = []
    steps = len(x) // BATCH
    model.fit(
        (next(flow) for _ in range(steps)), steps_per_epoch=steps, verbose=0, callbacks=[clock]
    )
    return clock.at


# --- backends


def compare_backends(networks: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Measures milliseconds for a step, by way and network."""
    ways = {
        "TensorFlow, batch-norm in one operator (default)": ("tensorflow", "float32", "fused"),
        "TensorFlow, Keras' batch-norm": ("tensorflow", "float32", "keras"),
        "TensorFlow, bfloat16": ("tensorflow", "bfloat16", "fused"),
        "JAX": ("jax", "float32", "keras"),
        "JAX, bfloat16": ("jax", "bfloat16", "keras"),
        "PyTorch": ("torch", "float32", "keras"),
    }
    found = {name: way for name, way in ways.items() if find_spec(way[0])}
    times = {name: {network: [] for network in networks} for name in found}
    for _ in range(rounds):
        for name, (backend, precision, batch_norm) in found.items():
            for network in networks:
                ran = subprocess.run(
                    [sys.executable, __file__, "--one", network, precision, batch_norm],
                    env=os.environ | {"KERAS_BACKEND": backend},
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                times[name][network].append(json.loads(ran.stdout.splitlines()[-1]))
                print(f"{name}, {network}: {times[name][network][-1]:.0f} ms", file=sys.stderr)
    return {name: {n: median(row) for n, row in rows.items()} for name, rows in times.items()}


def one_step(network: str, precision: str, batch_norm: str, steps: int = 20) -> float:
    """Measures the milliseconds of a step on random images, in this process's backend."""
    model = network_named(network).build(10)
    if batch_norm == "fused" or precision == "bfloat16":
        model = training_copy(model, mixed_precision=precision == "bfloat16")
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() == "jax",
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((BATCH, 28, 28, 1), np.float32), rng.integers(0, 10, BATCH)
    times = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        model.train_on_batch(x, y)
        times.append((time.perf_counter() - start) * 1000)
    return median(times[WARM_UP:])


if __name__ == "__main__":
    main()
