"""Trains the published experiments with our protocol and compares them with what their authors report.

    python benchmarks/published_experiments.py              # hours on two cores
    python benchmarks/published_experiments.py lenet-bn shallow

Each is trained (6,000 images of the training set select, the test set is read once at the end) and
converted by post-training quantization. A finished run is not repeated, an interrupted one is continued. At
the end all int8 files are timed side by side, taking turns. The published figures mostly are of the best
epoch on the test set. Prints a table in Markdown, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from own_process import in_own_process

from garmentlite.convert import job, pipeline
from garmentlite.edge import footprint
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.metadata import split
from garmentlite.train import runs, session


@dataclass(frozen=True)
class Experiment:
    """One line of the table.

    Attributes:
        published: What its author reports.
        network: Name of the network.
        class_weights: Class weights as for `cli train`; the network's own by default.
    """

    published: str
    network: str
    class_weights: tuple[str, ...] = ()


EXPERIMENTS = {
    "weighted-cnn": Experiment(
        "91.22%, Shirt 0.879, T-shirt 0.780, precision 0.645", "weighted-cnn"
    ),
    "unweighted-cnn": Experiment("91.5%, Shirt 0.71", "weighted-cnn", ("none",)),
    "batchnorm-cnn": Experiment("92.80%, Shirt 0.81, precision 0.75", "batchnorm-cnn"),
    "compact-cnn": Experiment("90.95%", "compact-cnn"),
    "compact-cnn-deep": Experiment("90.41%", "compact-cnn-deep"),
    "lenet-bn": Experiment("89%", "lenet-bn"),
    "shallow": Experiment("88.66%", "shallow"),
    "simple-cnn": Experiment("91.05%", "simple-cnn"),
    "deep-cnn": Experiment("91.05%", "deep-cnn"),
    "deeper-cnn": Experiment("-", "deeper-cnn"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(EXPERIMENTS):
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    names = arguments.names or list(EXPERIMENTS)
    for name in names:
        run(name, arguments.folder / name)
    rows = [row_of(name, arguments.folder / name) for name in names]
    classifiers = [Classifier(int8_file(arguments.folder / name)) for name in names]
    for row, times in zip(rows, footprint.latency_ms(classifiers), strict=True):
        row["int8_ms"] = float(np.median(times))
    print(
        "| experiment | published | accuracy | Shirt | T-shirt/top | lowest recall | Shirt precision | "
        "parameters | MACs | int8 kB | int8 accuracy | int8 ms |"
    )
    print("|---|---|" + "---|" * 10)
    for row in rows:
        print(
            f"| `{row['experiment']}` | {row['published']} | {row['accuracy']:.2%} | {row['shirt']:.3f} | "
            f"{row['tshirt']:.3f} | {row['lowest']} | {row['shirt_precision']:.3f} | "
            f"{row['parameters']:,} | {row['macs'] / 1e6:.1f} M | {row['int8_bytes'] / 1000:,.0f} | "
            f"{row['int8_accuracy']:.2%} | {row['int8_ms']:.2f} |"
        )
    print()
    print(json.dumps(rows))


def run(name: str, folder: Path) -> None:
    """Trains and converts, unless that is done."""
    if not (folder / runs.METRICS).exists():
        experiment = EXPERIMENTS[name]
        request = session.TrainRequest(
            network=experiment.network,
            class_weights=experiment.class_weights,
            resume=True,
            output=folder,
            command=shlex.join(["python", *sys.argv]),
        )
        if not in_own_process(session.run, request, say=print).is_finished:
            sys.exit(f"{folder} was interrupted; the same command continues it.")
    if not int8_file(folder).exists():
        in_own_process(convert_by_ranges, folder, name)


def convert_by_ranges(folder: Path, name: str) -> None:
    """Converts a run to int8 by quantization ranges alone, without fine-tuning."""
    request = pipeline.Request(fine_tune=False)
    prepared = job.prepare(folder, request, job.Inputs(), folder=None, name=name, force=False)
    job.run(prepared, say=print)


def int8_file(folder: Path) -> Path:
    return folder / f"{folder.name}_int8.tflite"


def row_of(name: str, folder: Path) -> dict:
    """Reads what was measured."""
    test = runs.read_json(folder, runs.METRICS)["test"]
    classes = {row["label"]: row for row in test["per_class"]}
    lowest = min(test["per_class"], key=lambda row: row["recall"])
    file = int8_file(folder)
    flatbuffer, _ = split(file.read_bytes())
    contents = read_contents(flatbuffer)
    card = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return {
        "experiment": name,
        "published": EXPERIMENTS[name].published,
        "accuracy": test["accuracy"],
        "shirt": classes["Shirt"]["recall"],
        "tshirt": classes["T-shirt/top"]["recall"],
        "lowest": f"{lowest['label']} {lowest['recall']:.3f}",
        "shirt_precision": classes["Shirt"]["precision"],
        "parameters": contents.parameters,
        "macs": contents.macs,
        "int8_bytes": len(flatbuffer),
        "int8_accuracy": card["measured"]["int8"]["test"]["accuracy"],
    }


if __name__ == "__main__":
    main()
