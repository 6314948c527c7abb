"""Measures how similar prepared photographs are to Fashion-MNIST's training images.

    python benchmarks/fidelity.py --photos DIR [--segment network] [--plot FILE.png] [--limit N]

DIR holds images.csv (columns image, fashion_mnist_label) and, in DIR/images, the photographs; "footwear" is
any of Sandal, Sneaker and Ankle boot, "other" is left out. Every photograph in which a garment is found is
prepared as the device does, and also only resized. Both are compared with the training images of the same
labels, which are weighted so that each label has its share of the photographs. Prints two tables in
Markdown (median with the 5% and 95% points, and the Kolmogorov-Smirnov distance to the training images; how
often each property of `edge.preparation.acceptance` holds) and a line of JSON. The plot has a histogram of
each quantity.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent

from garmentlite.edge.files import replacing
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import TILE, acceptance, naive_tile, prepare
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.train import data

MEMBERS: dict[str, tuple[str, ...]] = {label: (label,) for label in FASHION_MNIST_LABELS}
MEMBERS["footwear"] = ("Sandal", "Sneaker", "Ankle boot")
SIDES = ("upright", "lying", "both", "neither")  # which sides of the tile a garment fills
QUANTITIES = {
    "corner_max": "brightest corner",
    "zero_share": "share of zero pixels",
    "mean": "mean of all pixels",
    "padding": "padding beside the shorter side, pixels",
    "aspect": "width / height",
    "off_centre": "padding left - right + above - below, pixels",
    "garment_mean": "mean inside the garment",
    "garment_sd": "standard deviation inside the garment",
    "neighbours": "difference of neighbours inside the garment",
    "inner_sd": "standard deviation without the outline",
    "inner_neighbours": "difference of neighbours without the outline",
    "outline": "mean of the outline / mean of the rest",
}
TRAINING, PREPARED, NAIVE = "training images", "prepared", "naive resize"
# Divided by the root of the number of images, this is the KS distance that chance reaches in 5% of cases.
CHANCE = 1.358
BINS = 40


def measured(image_u8: np.ndarray) -> dict[str, float]:
    """Quantities, properties and the sides that are filled, of an image, uint8, shape (28, 28)."""
    properties = acceptance(image_u8)
    left, top, right, bottom = properties.pop("padding")
    width, height = TILE - left - right, TILE - top - bottom
    garment, grey = image_u8 > 0, image_u8.astype(np.int32)
    # The outline is one pixel wide; of a thread, which is all outline, there is no inner part.
    inner = cv2.erode(garment.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    inner = inner if inner.any() else garment
    outline = garment & ~inner
    filled = {(False, True): "upright", (True, False): "lying", (True, True): "both"}
    side = filled.get((width == TILE, height == TILE), "neither")
    return properties | {
        "padding": TILE - min(width, height),
        "aspect": width / max(1, height),
        "off_centre": left - right + top - bottom,
        "garment_mean": mean_of(grey[garment]),
        "garment_sd": mean_of((grey[garment] - mean_of(grey[garment])) ** 2) ** 0.5,
        "neighbours": mean_of(neighbour_differences(grey, garment)),
        "inner_sd": mean_of((grey[inner] - mean_of(grey[inner])) ** 2) ** 0.5,
        "inner_neighbours": mean_of(neighbour_differences(grey, inner)),
        "outline": mean_of(grey[outline]) / max(1.0, mean_of(grey[inner])),
        **{name: name == side for name in SIDES},
    }


def neighbour_differences(grey: np.ndarray, garment: np.ndarray) -> np.ndarray:
    """Computes how much pixels of the garment differ from those beside and below them that are of it too."""
    beside, below = garment[:, 1:] & garment[:, :-1], garment[1:] & garment[:-1]
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    return np.concatenate((across[beside], down[below]))


def mean_of(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def columns(images: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Collects each measured value over all images: float64, shape (N,)."""
    rows = [measured(image) for image in images]
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}


def photographs(
    folder: Path, segment: str, limit: int | None
) -> tuple[list[str], list[np.ndarray], list[np.ndarray], Counter]:
    """Collects labels, prepared and naive tiles of photographs, and counts why no garment was found."""
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["fashion_mnist_label"] in MEMBERS]
    segmenter, reasons = make_segmenter(segment), Counter[str]()
    labels, prepared, naive = [], [], []
    for number in np.random.default_rng(1).permutation(len(rows))[:limit]:
        picture = read_picture(folder / "images" / rows[number]["image"])
        done = prepare(picture, segmenter)
        if done.image_u8 is None:
            reasons[done.reason] += 1
            continue
        labels.append(rows[number]["fashion_mnist_label"])
        prepared.append(done.image_u8)
        naive.append(naive_tile(picture.rgb))
    return labels, prepared, naive, reasons


def training_images(labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Collects those of the same labels, uint8 (N, 28, 28), and weights by label with sum 1."""
    found = data.load()
    weight_of_class = np.zeros(len(FASHION_MNIST_LABELS))
    sizes = np.bincount(found.y_train, minlength=len(weight_of_class))
    for label, count in Counter(labels).items():
        classes = [FASHION_MNIST_LABELS.index(name) for name in MEMBERS[label]]
        weight_of_class[classes] += count / len(labels) / sizes[classes].sum()
    weights = weight_of_class[found.y_train]
    return found.x_train[weights > 0], weights[weights > 0]


def points(values: np.ndarray, weights: np.ndarray) -> list[float]:
    """Computes the 5%, 50% and 95% points of weighted values."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return [
        float(values[order][np.searchsorted(reached, share * reached[-1])])
        for share in (0.05, 0.5, 0.95)
    ]


def ks_distance(
    values: np.ndarray, others: np.ndarray, weights: np.ndarray, other_weights: np.ndarray
) -> float:
    """Computes the largest difference of two weighted distribution functions, in [0, 1]."""
    places = np.unique(np.concatenate((values, others)))

    def below(some: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        order = np.argsort(some, kind="stable")
        sums = np.concatenate(([0], np.cumsum(theirs[order]) / theirs.sum()))
        return sums[np.searchsorted(some[order], places, side="right")]

    return float(np.abs(below(values, weights) - below(others, other_weights)).max())


def write_plot(
    path: Path, found: dict[str, dict[str, np.ndarray]], weights: dict[str, np.ndarray]
) -> None:
    """Draws histograms of all quantities, the training images filled, the others as lines."""
    figure = Figure(figsize=(16, 14), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(4, 3).ravel(), QUANTITIES.items(), strict=True):
        ends = np.array([np.quantile(values[name], (0.002, 0.998)) for values in found.values()])
        low, high = ends[:, 0].min(), ends[:, 1].max()
        most = 0.0
        if name in ("corner_max", "padding", "off_centre") and high - low < BINS:  # whole numbers
            bins = np.arange(low, high + 2) - 0.5
        else:
            bins = np.linspace(low, high, BINS + 1)
        for which, colour in ((TRAINING, "silver"), (PREPARED, "C0"), (NAIVE, "C1")):
            heights, _, _ = axes.hist(
                np.clip(found[which][name], low, high), bins, weights=weights[which], color=colour,
                label=which, histtype="stepfilled" if which == TRAINING else "step", linewidth=1.6,
            )  # fmt: skip
            if which != NAIVE:  # whose equal values would dwarf the rest
                most = max(most, heights.max())
        axes.set(xlabel=title, ylabel="share", ylim=(0, 1.2 * most))
    figure.axes[0].set(yscale="log", ylim=(1e-5, 2))
    figure.axes[0].legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=80, metadata={"Software": None})


def print_tables(found: dict[str, dict[str, np.ndarray]], weights: dict[str, np.ndarray]) -> dict:
    """Prints both tables; the same figures for the line of JSON."""
    document: dict[str, dict] = {which: {} for which in found}
    print(f"| median (5% to 95%) | {TRAINING} | {PREPARED} | KS | {NAIVE} | KS |")
    print("|---|---|---|---|---|---|")
    for name, title in QUANTITIES.items():
        cells = [title]
        for which, values in found.items():
            low, middle, high = points(values[name], weights[which])
            document[which][name] = {"p5": low, "median": middle, "p95": high}
            cells.append(f"{middle:.3g} ({low:.3g} to {high:.3g})")
            if which != TRAINING:
                distance = ks_distance(
                    values[name], found[TRAINING][name], weights[which], weights[TRAINING]
                )
                document[which][name]["ks"] = distance
                cells.append(f"{distance:.3f}")
        print(f"| {' | '.join(cells)} |")
    shares = {
        "corners_dark": "corners dark", "fills_longest_side": "fills the longest side",
        "zero_share_usual": "zero share usual", "mean_usual": "mean usual", "centred": "centred",
        "accepted": "accepted: all five", "upright": "fills the height alone",
        "lying": "fills the width alone", "both": "fills both", "neither": "fills neither",
    }  # fmt: skip
    print(f"\n| share of images | {' | '.join(found)} |")
    print("|---|" + "---|" * len(found))
    for name, title in shares.items():
        for which, values in found.items():
            document[which][name] = float(np.average(values[name], weights=weights[which]))
        cells = [f"{document[which][name]:.1%}" for which in found]
        print(f"| {title} | {' | '.join(cells)} |")
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--segment", default="network")
    parser.add_argument("--plot", type=Path, help="a .png file for the histograms")
    parser.add_argument("--limit", type=int, help="photographs at most, drawn at random")
    arguments = parser.parse_args()
    labels, prepared, naive, reasons = photographs(
        arguments.photos, arguments.segment, arguments.limit
    )
    training, weights_of_training = training_images(labels)
    found = {
        TRAINING: columns(list(training)), PREPARED: columns(prepared), NAIVE: columns(naive)
    }  # fmt: skip
    even = np.full(len(labels), 1 / len(labels))
    weights = {TRAINING: weights_of_training, PREPARED: even, NAIVE: even}
    document = print_tables(found, weights)
    effective = 1 / (weights_of_training**2).sum()  # as many images of equal weight say as much
    chance = CHANCE * (1 / len(labels) + 1 / effective) ** 0.5
    nothing = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    print(
        f"\n{len(labels) + reasons.total():,} photographs, cut out by {arguments.segment}; no garment found "
        f"in {reasons.total():,} ({nothing or 'none'}). A KS distance up to {chance:.3f} may be chance.\n"
    )
    if arguments.plot:
        write_plot(arguments.plot, found, weights)
    print(
        json.dumps(
            {
                "photographs": len(labels) + reasons.total(),
                "labels": dict(Counter(labels)),
                "segmenter": arguments.segment,
                "no_garment": dict(reasons),
                "ks_by_chance": chance,
                **document,
            }
        )
    )


if __name__ == "__main__":
    main()
