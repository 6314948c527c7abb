"""Compares a model's answers to pictures that were only resized with those to prepared pictures.

    python benchmarks/pictures.py                       pictures drawn by the project
    python benchmarks/pictures.py --photos DIR          and photographs: DIR/images.csv with the columns
                                                        image and fashion_mnist_label, files in DIR/images

Prints a table in Markdown, then one line of JSON. A label "footwear" stands for any of Sandal, Sneaker and
Ankle boot; photographs of anything else than the model's classes are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import time
from collections import Counter
from pathlib import Path

import numpy as np

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.pictures import Picture, read_picture
from garmentlite.edge.preparation import naive_tile
from garmentlite.edge.recognition import recognize
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import default_model

# Each way's name in the table, and its segmenter.
WAYS = {
    "plain resize to 28x28": None,
    "border": "border",
    "grabcut": "grabcut",
    "network, with border in doubt (default)": "network",
}
FOOTWEAR = {"Sandal", "Sneaker", "Ankle boot"}


def drawn(count: int, seed: int):
    """Draws `count` pictures of each class, with their labels."""
    rng = np.random.default_rng(seed)
    return [
        (Picture(draw_scene(label, rng).rgb), label)
        for _ in range(count)
        for label in FASHION_MNIST_LABELS
    ]


def photographs(folder: Path, limit: int | None, seed: int):
    """Reads photographs of the model's classes, a fixed random sample of `limit`."""
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["fashion_mnist_label"] != "other"]
    order = np.random.default_rng(seed).permutation(len(rows))[:limit]
    return [
        (read_picture(folder / "images" / rows[i]["image"]), rows[i]["fashion_mnist_label"])
        for i in order
    ]


def score(answers: list[tuple[str, str]]) -> dict:
    """Computes accuracy, macro recall over the true groups, and the most frequent answer with its share."""
    right = Counter(
        truth
        for answer, truth in answers
        if answer == truth or (truth == "footwear" and answer in FOOTWEAR)
    )
    support = Counter(truth for _, truth in answers)
    answer, times = Counter(answer for answer, _ in answers).most_common(1)[0]
    return {
        "accuracy": sum(right.values()) / len(answers),
        "macro_recall": float(np.mean([right[t] / n for t, n in support.items()])),
        "most_frequent": answer,
        "its_share": times / len(answers),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--limit", type=int, help="photographs at most")
    parser.add_argument("--count", type=int, default=20, help="drawn pictures of each class")
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    classifier = Classifier(arguments.model or default_model())
    sets = {"drawn by the project": drawn(arguments.count, arguments.seed)}
    if arguments.photos:
        sets["photographs"] = photographs(arguments.photos, arguments.limit, arguments.seed)
    results = []
    print("| pictures | way | accuracy | macro recall | most frequent answer | ms |")
    print("|---|---|---|---|---|---|")
    for name, pictures in sets.items():
        for way, segmenter_name in WAYS.items():
            segmenter = make_segmenter(segmenter_name) if segmenter_name else None
            start = time.process_time()
            answers = []
            for picture, truth in pictures:
                if segmenter is None:
                    answer = classifier.predict(naive_tile(picture.rgb)).label
                else:
                    answer = recognize(picture, classifier, segmenter).label
                answers.append((answer, truth))
            ms = (time.process_time() - start) / len(pictures) * 1000
            result = {"pictures": name, "images": len(pictures), "way": way, "ms": ms}
            result |= score(answers)
            results.append(result)
            print(
                f"| {name} ({len(pictures)}) | {way} | {result['accuracy']:.1%} | "
                f"{result['macro_recall']:.3f} | {result['most_frequent']} "
                f"{result['its_share']:.0%} | {ms:.1f} |",
                flush=True,
            )
    print(f"\n{classifier.path.name}; ms: CPU time a picture, all stages, on {platform.machine()}.")
    print(json.dumps({"model": classifier.path.name, "results": results}))


if __name__ == "__main__":
    main()
