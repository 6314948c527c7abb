"""Draws the test accuracy of the shipped int8 files against the instructions of an answer on Raspberry Pis.

    python benchmarks/accuracy_plot.py docs/accuracy.png

`pi_instructions.py` says what the emulator needs. The accuracies are those in the cards of models/. The
script prints the figures as a table in Markdown, then a line of JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

import pi_instructions
from matplotlib.figure import Figure

from garmentlite.edge.shipped import FOLDER, NETWORKS

BOARDS = {"cortex-a72": "Raspberry Pi 4 (Cortex-A72)", "cortex-a76": "Raspberry Pi 5 (Cortex-A76)"}

TICKS = (0.2, 0.5, 1, 2, 5, 10, 20)


def main() -> None:
    parser = pi_instructions.options(__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    counts = pi_instructions.count_models(
        [FOLDER / f"{name}_int8.tflite" for name in NETWORKS], arguments
    )
    rows = {
        name: {
            "accuracy": accuracy_of(name),
            "bytes": (FOLDER / f"{name}_int8.tflite").stat().st_size,
            **counts[f"{name}_int8.tflite"],
        }
        for name in NETWORKS
    }
    cores = arguments.core or list(pi_instructions.CORES)
    draw(rows, cores, arguments.picture)
    print(f"| network | test accuracy | kB | {' | '.join(f'{core}, million' for core in cores)} |")
    print("|---" * (3 + len(cores)) + "|")
    for name, row in rows.items():
        instructions = " | ".join(f"{row[core] / 1e6:.2f}" for core in cores)
        print(f"| `{name}` | {row['accuracy']:.2%} | {row['bytes'] / 1000:.0f} | {instructions} |")
    print(json.dumps(rows))


def accuracy_of(name: str) -> float:
    card = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return card["measured"]["int8"]["test"]["accuracy"]


def draw(rows: dict[str, dict], cores: list[str], path: Path) -> None:
    """Draws a point for each network and core, and the names beside the points of the first core."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for core, marker in zip(cores, "osD^", strict=False):
        x = [row[core] / 1e6 for row in rows.values()]
        y = [row["accuracy"] * 100 for row in rows.values()]
        axes.scatter(x, y, marker=marker, label=BOARDS.get(core, core))
    for name, row in rows.items():
        place = row[cores[0]] / 1e6, row["accuracy"] * 100
        axes.annotate(name, place, xytext=(6, -4), textcoords="offset points", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(right=40)  # room for the names
    axes.set_xticks(TICKS, labels=map(str, TICKS))
    axes.set_xlabel("instructions of one answer, million")
    axes.set_ylabel("accuracy on 10,000 test images, %")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
