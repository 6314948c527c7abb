"""Compares shapes of networks: the instructions of their int8 files on Raspberry Pis, and their accuracy.

    python benchmarks/network_shapes.py [--images 12000 --epochs 12]

`pi_instructions.py` says what the emulator needs. Instructions do not depend on the weights, so untrained
networks are counted. With --epochs every shape is also trained by the recipe of garment-net, taught by the
shipped teachers, for the same number of epochs on the same training images, and its accuracy on the 6,000
validation images is printed. The test images are not read. A shape that is trained already is not trained
again. Prints a table in Markdown, then a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import pi_instructions

from garmentlite.convert import export, folding, keras2
from garmentlite.edge.files import write_text
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import data, distillation, fit, networks
from garmentlite.train.config import TrainConfig
from garmentlite.train.residual_networks import Block, residual_network, stages

TEACHERS = sorted((Path(__file__).resolve().parent.parent / "models" / "teachers").glob("*.keras"))
SEED = 1


def _shape(stem: int, blocks: list[Block], stem_strides: int = 1) -> Callable[[int], keras.Model]:
    return lambda classes: residual_network(
        classes, stem=stem, blocks=blocks, name="shape", stem_strides=stem_strides
    )


SHAPES: dict[str, Callable[[int], keras.Model]] = {
    "garment-net: stem 32; 48, 48 at 14x14; 78, 78 at 7x7": networks.NETWORKS["garment-net"].build,
    "ResNet-20: stem 16; 3x16, 3x32, 3x64": networks.NETWORKS["resnet-20"].build,
    "ResNet-20 with averages on its shortcuts": _shape(16, stages((16, 32, 64), 3)),
    "ResNet-14: stem 16; 2x16, 2x32, 2x64": _shape(16, stages((16, 32, 64), 2)),
    "stem 16; 2x16, 3x32, 3x64": _shape(16, stages((16, 32, 64), 3)[1:]),
    "stem 16; 1x16, 2x48, 2x64": _shape(16, [(16, 1), (48, 2), (48, 1), (64, 2), (64, 1)]),
    "stem 32 of strides 2; 3x32, 3x64": _shape(32, stages((32, 64), 3), 2),
    "stem 32 of strides 2; 4x32, 3x80": _shape(32, [(32, 1), *stages((32, 80), 3)], 2),
    "stem 48 of strides 2; 2x48, 2x80": _shape(48, stages((48, 80), 2), 2),
}  # fmt: skip


def main() -> None:
    parser = pi_instructions.options(__doc__.splitlines()[0])
    parser.add_argument(
        "--images", type=int, default=54000, help="number of images, drawn at random"
    )
    parser.add_argument(
        "--epochs", type=int, default=0, help="epochs of training; 0 trains nothing"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/shapes"))
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    rows = {name: {"parameters": build(10).count_params()} for name, build in SHAPES.items()}
    for name, by_core in counted(arguments).items():
        rows[name] |= by_core
    for name in SHAPES if arguments.epochs else ():
        rows[name] |= accuracy_of(name, arguments)
    columns = list(next(iter(rows.values())))
    print("| shape | " + " | ".join(columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(in_words(row[column]) for column in columns) + " |")
    print(json.dumps(rows))


def in_words(value: float) -> str:
    """Writes parameters, instructions or an accuracy for the table."""
    if isinstance(value, float):
        return f"{value:.2%}" if value < 1 else f"{value:.2f}"
    return f"{value:,}"


def counted(arguments: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Counts the instructions of the shapes' int8 files, by shape and core."""
    x = np.random.default_rng(0).random((32, 28, 28, 1), np.float32)
    with TemporaryDirectory() as folder:
        paths = {}
        for number, (name, build) in enumerate(SHAPES.items()):
            paths[name] = Path(folder) / f"{number}.tflite"
            twin = keras2.build_twin(folding.fold(build(10)))
            paths[name].write_bytes(export.to_int8(twin, x))
        by_file = pi_instructions.count_models(list(paths.values()), arguments)
    return {name: by_file[path.name] for name, path in paths.items()}


def accuracy_of(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains a shape unless that is done; returns its accuracy and loss on the validation images."""
    number = list(SHAPES).index(name)
    result = arguments.folder / f"{number}-{arguments.images}-{arguments.epochs}.json"
    if not result.exists():
        write_text(result, json.dumps(trained(name, arguments, result.with_suffix(".npz"))))
    return json.loads(result.read_text(encoding="utf-8"))


def trained(name: str, arguments: argparse.Namespace, checkpoint: Path) -> dict[str, float]:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    found = data.load(arguments.data_dir)
    training, validation = data.validation_split(found.y_train)
    training = np.random.default_rng(SEED).permutation(training)[: arguments.images]
    x, y = found.x_train[training], found.y_train[training]
    teachers = distillation.load(TEACHERS, len(FASHION_MNIST_LABELS))
    cache = arguments.folder / f"teachers-{arguments.images}.npz"
    soft = distillation.soft_targets(teachers, x, y, cache=cache)
    recipe = networks.NETWORKS["garment-net"].recipe
    shorter = 54000 * recipe.epochs / (arguments.images * arguments.epochs)
    recipe = replace(
        recipe, epochs=arguments.epochs, averaging=max(0.0, 1 - (1 - recipe.averaging) * shorter)
    )
    networks.NETWORKS["shape"] = networks.Network(SHAPES[name], recipe)
    config = TrainConfig(
        network="shape", labels=FASHION_MNIST_LABELS, seed=SEED, mixed_precision=True,
        **(asdict(recipe) | {"augmentation": recipe.augmentation}),
    )  # fmt: skip
    history = fit.train(
        config, x, y, found.x_train[validation], found.y_train[validation],
        teacher=soft, checkpoint=checkpoint,
        on_epoch=lambda history: print(f"{name}: {history[-1].in_words()}", file=sys.stderr),
    ).history  # fmt: skip
    return {"validation accuracy": history[-1].val_accuracy, "loss": history[-1].val_loss}


if __name__ == "__main__":
    main()
