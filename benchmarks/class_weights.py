"""Shows what class weights gain and what they cost: finished runs side by side, on the test set.

    cli train --network weighted-cnn -o runs/weighted-cnn
    cli train --network weighted-cnn --class-weight none -o runs/unweighted-cnn
    python benchmarks/class_weights.py runs/unweighted-cnn runs/weighted-cnn

Reads metrics.json of every run; prints a table in Markdown, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from garmentlite.train import runs

# The published experiment's own confusion matrix (github.com/HimmetDemir45/fashion-mnist).
PUBLISHED = {
    "accuracy": 0.9122,
    "T-shirt/top": 0.780,
    "Coat": 0.808,
    "Shirt": 0.879,
    "precision": 0.645,
}
HARD = ("T-shirt/top", "Pullover", "Coat", "Shirt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    rows = []
    for folder in arguments.runs:
        test = runs.read_json(folder, runs.METRICS)["test"]
        classes = {row["label"]: row for row in test["per_class"]}
        lowest = min(test["per_class"], key=lambda row: row["recall"])
        rows.append(
            {
                "run": folder.name,
                "accuracy": test["accuracy"],
                **{label: classes[label]["recall"] for label in HARD},
                "lowest": f"{lowest['label']} {lowest['recall']:.3f}",
                "precision": classes["Shirt"]["precision"],
            }
        )
    print("| run | accuracy | " + " | ".join(HARD) + " | lowest recall | Shirt precision |")
    print("|---|---|" + "---|" * (len(HARD) + 2))
    published = [PUBLISHED.get(label) for label in HARD]
    cells = [f"{value:.3f}" if value else "-" for value in published]
    print(f"| published, weighted | 91.22% | {' | '.join(cells)} | - | {PUBLISHED['precision']} |")
    for row in rows:
        cells = [f"{row[label]:.3f}" for label in HARD]
        print(
            f"| {row['run']} | {row['accuracy']:.2%} | {' | '.join(cells)} | {row['lowest']} | "
            f"{row['precision']:.3f} |"
        )
    print()
    print(json.dumps({"published": PUBLISHED, "runs": rows}))


if __name__ == "__main__":
    main()
