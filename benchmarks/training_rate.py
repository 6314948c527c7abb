"""Prints how many images a second runs were trained with, and what that leaves time for.

    python benchmarks/training_rate.py runs/teacher runs/student
    python benchmarks/training_rate.py runs/trial --epochs-in 200

The rate is the median over the epochs without the first, in which the backend compiles; the time of an epoch
includes its validation. Images that rest count as shown. With --epochs-in it prints only how many epochs of
the last run fit into this number of seconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

from garmentlite.train import runs

COMPILING_S = 30  # time that a run takes before its first epoch and after its last one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--epochs-in", type=int, metavar="SECONDS")
    arguments = parser.parse_args()
    rows = [rate_of(folder) for folder in arguments.folders]
    if arguments.epochs_in is not None:
        time_left = arguments.epochs_in - COMPILING_S
        print(max(1, int(time_left / rows[-1]["seconds_per_epoch"])))
        return
    print("| run | network | epochs | images a second | validation accuracy | device |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['run']} | {row['network']} | {row['epochs']} | {row['images_per_second']:,.0f} | "
            f"{row['validation']:.2%} | {row['device']} |"
        )
    print(json.dumps(rows))


def rate_of(folder: Path) -> dict[str, Any]:
    """Reads the rate of a run, finished or not."""
    config, history = runs.read_json(folder, runs.CONFIG), runs.read_json(folder, runs.HISTORY)
    seconds = median(epoch["seconds"] for epoch in history[1:] or history)
    return {
        "run": folder.name,
        "network": config["network"],
        "epochs": len(history),
        "seconds_per_epoch": seconds,
        "images_per_second": config["images"]["training"] / seconds,
        "validation": history[-1]["val_accuracy"],
        "device": config["device"],
    }


if __name__ == "__main__":
    main()
