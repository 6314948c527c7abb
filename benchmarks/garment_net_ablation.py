"""Measures what helps `garment-net`: short runs of its recipe, each with one change, on validation images.

    python benchmarks/garment_net_ablation.py               # some five minutes a line on two cores
    python benchmarks/garment_net_ablation.py recipe sgd --images 54000 --epochs 80
    python benchmarks/garment_net_ablation.py recipe teachers consistent --network garment-net-tiny

All lines have the same seed, images and number of epochs, with the whole schedule in them, and average their
weights over the same share of the run as the recipe. Few images are seen many times over, so that what keeps
a network from learning them by heart can show; how much a long run on all images gains is another matter. A
line that is finished is not repeated, one that was interrupted is continued. Prints a table in Markdown,
then a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

import numpy as np

from garmentlite.edge.files import write_text
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import data, distillation, fit
from garmentlite.train.config import TrainConfig
from garmentlite.train.networks import network_named

SEED = 1
TEACHERS = sorted((ROOT / "models" / "teachers").glob("*.keras"))


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        words: What is changed.
        changes: Changes of the recipe.
        augmentation: Changes of the recipe's augmentation.
        teacher_sees: Which images the teachers answer about, see `TrainConfig`; None without teachers.
    """

    words: str
    changes: dict[str, Any]
    augmentation: dict[str, float]
    teacher_sees: str | None = None


LINES = {
    "recipe": Line("the recipe", {}, {}),
    "teachers": Line("learns from two wider networks", {}, {}, teacher_sees="clean"),
    "consistent": Line(
        "learns from what they answer to the changed images", {}, {}, teacher_sees="augmented"
    ),
    "mixing": Line("cutmix of half of the images", {}, {"cutmix": 0.5}),
    "both": Line(
        "cutmix of half of the images, with answers to the mixed images",
        {}, {"cutmix": 0.5}, teacher_sees="augmented",
    ),
    "sgd": Line(
        "SGD with Nesterov momentum, rate 0.1",
        {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-3}, {},
    ),
    "adam": Line(
        "Adam, rate 0.002", {"optimizer": "adam", "learning_rate": 2e-3, "weight_decay": 0.05}, {}
    ),
    "half-rate": Line("half the learning rate", {"learning_rate": 0.005}, {}),
    "no-decay": Line("no weight decay", {"weight_decay": 0.0}, {}),
    "no-averaging": Line("weights not averaged", {"averaging": 0.0}, {}),
    "all-images": Line("no image rests", {"rest": 0.0}, {}),
    "smoothing": Line("label smoothing 0.1", {"label_smoothing": 0.1}, {}),
    "no-erasing": Line("no erasing", {}, {"erase": 0.0}),
    "no-flip": Line("no mirrored images", {}, {"flip": 0.0}),
    "no-shift": Line("no shift", {}, {"shift": 0.0}),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(LINES))
    parser.add_argument("--network", default="garment-net")
    parser.add_argument("--mixed-precision", action="store_true")
    parser.add_argument("--images", type=int, default=4000, help="to train on, drawn at random")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(LINES):
        parser.error(f"no such line: {', '.join(sorted(unknown))}")
    rows = [row_of(name, arguments) for name in arguments.names or LINES]
    print(
        f"\n| {arguments.network}, {arguments.images:,} images, {arguments.epochs} epochs | "
        "validation accuracy | loss | Shirt | s |"
    )
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['line']} | {row['val_accuracy']:.2%} | {row['val_loss']:.4f} | "
            f"{row['shirt']:.3f} | {row['seconds']:.0f} |"
        )
    print()
    print(json.dumps(rows))


def row_of(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains a line, unless that is done; what was measured."""
    stem = f"{arguments.network}-{name}-{arguments.images}-{arguments.epochs}"
    result = arguments.folder / f"{stem}.json"
    if not result.exists():
        row = measured(LINES[name], arguments, result.with_suffix(".npz"))
        write_text(result, json.dumps(row))
    return json.loads(result.read_text(encoding="utf-8"))


def measured(line: Line, arguments: argparse.Namespace, checkpoint: Path) -> dict[str, Any]:
    """Reads the last epoch of a line's run."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    found = data.load(arguments.data_dir)
    training, validation = data.validation_split(found.y_train)
    recipe = network_named(arguments.network).recipe
    shorter = len(training) * recipe.epochs / (arguments.images * arguments.epochs)
    averaging = max(0.0, 1 - (1 - recipe.averaging) * shorter)
    changes = {"epochs": arguments.epochs, "averaging": averaging} | line.changes
    recipe = replace(recipe, **changes)
    augmentation = replace(recipe.augmentation, **line.augmentation)
    config = TrainConfig(
        network=arguments.network,
        labels=FASHION_MNIST_LABELS,
        seed=SEED,
        mixed_precision=arguments.mixed_precision,
        **(asdict(recipe) | {"augmentation": augmentation}),
    )
    training = np.random.default_rng(SEED).permutation(training)[: arguments.images]
    soft = answers = None
    teachers = distillation.load(TEACHERS, len(FASHION_MNIST_LABELS))
    if line.teacher_sees == "clean":
        soft = distillation.soft_targets(teachers, found.x_train[training], found.y_train[training])
    elif line.teacher_sees == "augmented":
        answers = distillation.ConsistentTeacher(
            teachers, mixed_precision=arguments.mixed_precision
        )
    history = fit.train(
        config,
        found.x_train[training],
        found.y_train[training],
        found.x_train[validation],
        found.y_train[validation],
        teacher=soft,
        answers=answers,
        checkpoint=checkpoint,
        on_epoch=lambda history: print(
            f"{line.words}: epoch {len(history)}, {history[-1].val_accuracy:.2%}", file=sys.stderr
        ),
    ).history
    return {
        "line": line.words,
        "epochs": len(history),
        "val_accuracy": history[-1].val_accuracy,
        "val_loss": history[-1].val_loss,
        "shirt": history[-1].val_recall[FASHION_MNIST_LABELS.index("Shirt")],
        "seconds": sum(epoch.seconds for epoch in history),
    }


if __name__ == "__main__":
    main()
