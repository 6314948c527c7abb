"""Kills trainings with SIGKILL at random moments, resumes them, and compares their weights.

    python benchmarks/killed_trainings.py [--count 20] [--epochs 4] [--images 1500] [--seed 0]
        [--data-dir DIR]

First a small network is trained without a disturbance. It has all that a resumed training must restore:
batch normalization, dropout and augmentation. Then the same training is started again and again. Each is
killed (kill -9) at a random moment between its start and the time that the first one took, and is resumed.
The table counts the trainings by what the kill left behind. A training is equal if its weights are those of
the undisturbed training to the last bit, and so are its metrics and the validation figures of every epoch.
(The mean loss of the training images is not compared: it is rounded differently if an epoch is trained in
two parts.) The status is 1 if a training differs or leaves a temporary file.

Checkpoints within an epoch are written every 0.1 s instead of every minute, so that many kills find one. The
children are forked from a process that has imported TensorFlow, which would take each of them seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py

from garmentlite.edge.text_table import text_table
from garmentlite.train import data, runs

NETWORK, SAVE_EVERY_S = "killed", 0.1
# Resuming a training sweeps the temporary files of the killed one, but none that is younger than a second.
PAUSE_S = 1.5
MODULES = ["garmentlite.train.fit", "garmentlite.train.session", "garmentlite.train.plots"]
LEFT_BEHIND = (
    "nothing yet",
    "a checkpoint of the first epoch",
    "a checkpoint of a later epoch",
    "a finished run",
)


def train(folder: Path, epochs: int, images: int, data_dir: Path | None) -> None:
    """Trains the network, or continues its training; runs in a child process."""
    from garmentlite.train import fit, networks, session
    from garmentlite.train.augmentation import Augmentation
    from garmentlite.train.recipe import Recipe

    recipe = Recipe(
        epochs=epochs,
        batch_size=32,
        learning_rate=1e-3,
        augmentation=Augmentation(rotation=5, shift=0.05),
    )
    networks.NETWORKS[NETWORK] = networks.Network(build_network, recipe, {"Shirt": 2.0})
    fit.train = partial(fit.train, save_every_s=SAVE_EVERY_S)
    found = data.load(data_dir)
    first = replace(
        found,
        x_train=found.x_train[:images],
        y_train=found.y_train[:images],
        x_test=found.x_test[:images],
        y_test=found.y_test[:images],
    )
    session.load = lambda *_: first
    session.run(session.TrainRequest(network=NETWORK, output=folder, resume=True))


def build_network(num_classes: int) -> Any:
    """Builds a network of 12,000 parameters."""
    from keras import Input, Model, layers

    inputs = Input((28, 28, 1))
    x = layers.Conv2D(16, 5, strides=2, use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(16, activation="relu")(x)
    return Model(inputs, layers.Dense(num_classes)(x))


def result_of(folder: Path) -> dict[str, Any]:
    """Reads what a finished run must have in common with another one."""
    found: dict[str, Any] = {}
    with (
        zipfile.ZipFile(folder / runs.MODEL) as archive,
        h5py.File(BytesIO(archive.read("model.weights.h5"))) as weights,
    ):
        weights.visititems(
            lambda name, one: (
                found.update({name: one[()].tobytes()}) if isinstance(one, h5py.Dataset) else None
            )
        )
    history = json.loads((folder / runs.HISTORY).read_text(encoding="utf-8"))
    found["epochs"] = [{key: row[key] for key in row if key.startswith("val_")} for row in history]
    metrics = json.loads((folder / runs.METRICS).read_text(encoding="utf-8"))
    found["metrics"] = {key: metrics[key] for key in ("validation", "test")}
    return found


def left_behind(folder: Path) -> str:
    """Says how far a killed training came, one of `LEFT_BEHIND`."""
    if (folder / runs.METRICS).exists():
        return LEFT_BEHIND[3]
    if not (folder / runs.CHECKPOINT).exists():
        return LEFT_BEHIND[0]
    return LEFT_BEHIND[2] if (folder / runs.HISTORY).exists() else LEFT_BEHIND[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="trainings that are killed")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--images", type=int, default=1500, help="images to train on, and to test")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = (
        "2"  # keeps the announcements of TensorFlow off the terminal
    )
    given = (arguments.epochs, arguments.images, arguments.data_dir)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    rng = random.Random(arguments.seed)
    killed, equal, leftovers = Counter[str](), Counter[str](), []
    with tempfile.TemporaryDirectory() as place:

        def start(folder: Path) -> Any:
            child = context.Process(target=train, args=(folder, *given))
            child.start()
            return child

        def finish(folder: Path) -> float:
            began = time.perf_counter()
            child = start(folder)
            child.join()
            if child.exitcode:
                sys.exit(f"The training in {folder} ended with status {child.exitcode}.")
            return time.perf_counter() - began

        finish(Path(place) / "warm-up")  # the first start waits for the imports
        undisturbed = Path(place) / "undisturbed"
        took = finish(undisturbed)
        expected = result_of(undisturbed)
        for number in range(arguments.count):
            folder = Path(place) / str(number)
            child = start(folder)
            child.join(rng.uniform(0, took))
            child.kill()
            child.join()
            state = left_behind(folder)
            time.sleep(PAUSE_S)
            finish(folder)
            killed[state] += 1
            equal[state] += result_of(folder) == expected
            leftovers += [path for path in folder.rglob("*") if ".part-" in path.name]
            print(f"{number + 1} of {arguments.count}: {state}", file=sys.stderr, flush=True)
    print(f"The undisturbed training took {took:.1f} s; temporary files left: {len(leftovers)}.")
    rows = [[state, str(killed[state]), str(equal[state])] for state in LEFT_BEHIND]
    rows.append(["together", str(killed.total()), str(equal.total())])
    print(text_table(["the kill left", "trainings", "equal"], rows))
    sys.exit(1 if leftovers or equal.total() < killed.total() else 0)


if __name__ == "__main__":
    main()
