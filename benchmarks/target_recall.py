"""Compares ways to reach a wanted recall at the smallest loss: offsets of outputs, or class weights.

    python benchmarks/target_recall.py runs/unweighted-cnn [RUN...]

Everything is measured on validation images, for a recall of `--class` (Shirt). Three tables in Markdown, then
one line of JSON:

1. The same network moved to several recalls by the offset of that one output, for each run.
2. Offsets chosen on one half of the validation images, judged on the other, both ways round over several
   splits: of that output alone, and of all outputs by a search for the highest macro recall. So that ways
   are compared at one recall, the judged half moves that one output to the target exactly.
3. The last layer trained anew on the features of the first run with the class weighted 1, 2 and 4 times, each
   then moved to the target by the offset: whether weights buy what an offset does not.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from garmentlite.edge import metrics
from garmentlite.edge.labels import FASHION_MNIST_LABELS, class_id_of
from garmentlite.train import compare, data, keras_file, target_recall

SPLITS = 20
LOWEST = -50.0  # from here the output of the class is raised, so that it can also end below 0
PENALTIES = (0.0, 1e-3, 1e-2)  # of macro recall for each squared unit of an offset
FARTHEST = 1.5  # an offset of the other outputs may move in one step of the search
CANDIDATES = 40  # offsets tried for each output, the most promising first
SWEEPS = 6
FACTORS = (1.0, 2.0, 4.0)
RIDGE = 1e-4  # on the kernel of the last layer


def recalls(y: np.ndarray, logits: np.ndarray) -> np.ndarray:
    matrix = metrics.confusion_matrix(y, logits.argmax(axis=1), logits.shape[1])
    return metrics.recall_per_class(matrix)


def moved_to(
    y: np.ndarray, logits: np.ndarray, class_id: int, target: float, offsets: np.ndarray
) -> np.ndarray:
    """Replaces the class's offset by the least one that reaches the target."""
    start = offsets.copy()
    start[class_id] = LOWEST
    return start + target_recall.least_offsets(y, logits + start, {class_id: target})


def all_free(
    y: np.ndarray, logits: np.ndarray, class_id: int, target: float, penalty: float
) -> np.ndarray:
    """Raises macro recall by coordinate ascent over the other outputs, the class held at its target.

    Between two offsets at which an answer changes nothing does, so the middles of all such gaps are what
    there is to try; the candidates are ranked with the class where it stands, then judged with it moved.
    """
    sizes = np.bincount(y, minlength=logits.shape[1])
    worth = 1 / (sizes[y] * logits.shape[1])  # of a right answer, in macro recall

    def value(offsets: np.ndarray) -> float:
        others = np.delete(offsets, class_id)
        return float(recalls(y, logits + offsets).mean() - penalty * (others**2).sum())

    best = moved_to(y, logits, class_id, target, np.zeros(logits.shape[1]))
    highest = value(best)
    for _ in range(SWEEPS):
        before = highest
        for k in np.delete(np.arange(logits.shape[1]), class_id):
            own = (logits + best)[:, k]
            rivals = logits + best
            rivals[:, k] = -np.inf
            gaps = rivals.max(axis=1) - own
            order = np.argsort(gaps)
            change = worth * ((y == k).astype(int) - (rivals.argmax(axis=1) == y))
            steps = (gaps[order][1:] + gaps[order][:-1]) / 2
            promise = np.cumsum(change[order])[:-1]
            promise = promise - penalty * (best[k] + steps) ** 2
            promise[np.abs(steps) > FARTHEST] = -np.inf
            for place in np.argsort(-promise)[:CANDIDATES]:
                trial = best.copy()
                trial[k] += steps[place]
                trial = moved_to(y, logits, class_id, target, trial)
                if value(trial) > highest + 1e-9:
                    best, highest = trial, value(trial)
                    break
        if highest == before:
            break
    return best


def halves(y: np.ndarray, splits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Divides each class evenly into pairs of index arrays; every half chooses once and judges once."""
    for seed in range(splits):
        rng = np.random.default_rng(seed)
        members = [rng.permutation(np.flatnonzero(y == k)) for k in np.unique(y)]
        first = np.concatenate([one[: len(one) // 2] for one in members])
        second = np.concatenate([one[len(one) // 2 :] for one in members])
        yield from ((first, second), (second, first))


def held_out(
    y: np.ndarray, logits: np.ndarray, class_id: int, target: float, splits: int
) -> list[dict]:
    zeros = np.zeros(logits.shape[1])
    ways: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "that output alone": lambda y, z: moved_to(y, z, class_id, target, zeros)
    }
    for penalty in PENALTIES:
        ways[f"all outputs, penalty {penalty:g}"] = lambda y, z, penalty=penalty: all_free(
            y, z, class_id, target, penalty
        )
    rows, baseline = [], None
    for way, choose in ways.items():
        figures = []
        for chosen, judged in halves(y, splits):
            offsets = choose(y[chosen], logits[chosen])
            there = recalls(y[judged], logits[judged] + offsets)
            exact = moved_to(y[judged], logits[judged], class_id, target, offsets)
            figures.append(
                (
                    recalls(y[chosen], logits[chosen] + offsets).mean(),
                    there.mean(),
                    there[class_id],
                    recalls(y[judged], logits[judged] + exact).mean(),
                )
            )
        table = np.array(figures)
        if baseline is None:
            baseline = table[:, 3]
        gain = table[:, 3] - baseline
        names = ("macro_on_chosen", "macro_on_judged", "recall_on_judged", "macro_at_target")
        row = dict(zip(names, table.mean(axis=0).tolist(), strict=True))
        rows.append(
            {"way": way, "target": target, **row, "gain": float(gain.mean())}
            | {"gain_spread": float(gain.std())}
        )
    return rows


def weighted_last_layers(
    run: compare.Measured, found: data.FashionMnist, class_id: int, images: int
) -> dict[float, np.ndarray]:
    """Trains last layers anew on the features of the first run; returns validation logits by factor."""
    import keras
    from scipy.optimize import minimize

    training, validation = data.validation_split(found.y_train)
    training = training[:images]
    model = network_of(run)
    body = keras.Model(model.inputs, model.layers[-1].input)

    def features_of(places: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [
                np.asarray(body.predict_on_batch(data.as_input(found.x_train[places[i : i + 500]])))
                for i in range(0, len(places), 500)
            ]
        )

    x, y = features_of(training), found.y_train[training]
    x_validation = features_of(validation)
    kernel, bias = (np.asarray(part, np.float64) for part in model.layers[-1].get_weights())
    one_hot = np.eye(len(bias))[y]
    logits = {}
    for factor in FACTORS:
        weights = np.where(y == class_id, factor, 1.0)
        weights /= weights.sum()

        def loss_and_gradient(
            values: np.ndarray, weights: np.ndarray = weights
        ) -> tuple[float, np.ndarray]:
            kernel_now = values[: kernel.size].reshape(kernel.shape)
            z = x @ kernel_now + values[kernel.size :]
            z -= z.max(axis=1, keepdims=True)
            exponentials = np.exp(z)
            sums = exponentials.sum(axis=1, keepdims=True)
            loss = -(weights * (z[np.arange(len(y)), y] - np.log(sums[:, 0]))).sum()
            slope = (exponentials / sums - one_hot) * weights[:, np.newaxis]
            gradient = (x.T @ slope + 2 * RIDGE * kernel_now).ravel()
            return loss + RIDGE * (kernel_now**2).sum(), np.append(gradient, slope.sum(axis=0))

        start = np.append(kernel.ravel(), bias)
        options = {"maxiter": 60}
        fit = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options).x
        logits[factor] = x_validation @ fit[: kernel.size].reshape(kernel.shape)
        logits[factor] += fit[kernel.size :]
    return logits


def at_target(
    way: str, y: np.ndarray, logits: np.ndarray, class_id: int, target: float
) -> dict[str, object]:
    offsets = moved_to(y, logits, class_id, target, np.zeros(logits.shape[1]))
    matrix = metrics.confusion_matrix(y, (logits + offsets).argmax(axis=1), logits.shape[1])
    recall = metrics.recall_per_class(matrix)
    return {
        "way": way, "target": target, "offset": float(offsets[class_id]),
        "macro_recall": float(recall.mean()), "lowest": float(recall.min()),
        "precision": float(metrics.precision_per_class(matrix)[class_id]),
    }  # fmt: skip


def print_at_target(title: str, rows: list[dict], label: str) -> None:
    print(f"\n{title}\n")
    print(f"| way | {label} recall | offset | macro recall | lowest recall | {label} precision |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['way']} | {row['target']:.2f} | {row['offset']:+.2f} | {row['macro_recall']:.2%} | "
            f"{row['lowest']:.1%} | {row['precision']:.1%} |"
        )


def network_of(run: compare.Measured):
    return keras_file.read_network(run.model, "train the run again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--class", dest="label", default="Shirt")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.85, 0.9, 0.93])
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--training-images", type=int, default=54_000, help="for table 3")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    class_id = class_id_of(arguments.label)
    label = FASHION_MNIST_LABELS[class_id]

    from garmentlite.train.prediction import predict_logits

    found = data.load(arguments.data_dir)
    _, validation = data.validation_split(found.y_train)
    y = found.y_train[validation]
    measured = compare.read(arguments.runs)
    images = found.x_train[validation]
    logits = {run.name: predict_logits(network_of(run), images) for run in measured}

    moved = [
        at_target(name, y, given, class_id, target)
        for target in arguments.targets
        for name, given in logits.items()
    ]
    print_at_target("Each network, its output moved to the target", moved, label)

    print(f"\nOffsets chosen on one half, judged on the other ({arguments.splits} splits)\n")
    print(
        f"| run | {label} target | outputs | macro recall where chosen | on the other half | {label} there "
        "| macro there at the target | against that output alone, points |"
    )
    print("|---|---|---|---|---|---|---|---|")
    judged = []
    for name, given in logits.items():
        for target in arguments.targets:
            for row in held_out(y, given.astype(np.float64), class_id, target, arguments.splits):
                judged.append({"run": name, **row})
                print(
                    f"| {name} | {target:.2f} | {row['way']} | {row['macro_on_chosen']:.2%} | "
                    f"{row['macro_on_judged']:.2%} | {row['recall_on_judged']:.1%} | "
                    f"{row['macro_at_target']:.2%} | {100 * row['gain']:+.2f} "
                    f"(spread {100 * row['gain_spread']:.2f}) |",
                    flush=True,
                )

    first = measured[0]
    layers = weighted_last_layers(first, found, class_id, arguments.training_images)
    weighted = []
    for target in arguments.targets:
        weighted.append(at_target("as the run left it", y, logits[first.name], class_id, target))
        weighted += [
            at_target(f"trained anew, {label} x {factor:g}", y, given, class_id, target)
            for factor, given in layers.items()
        ]
    print_at_target(f"The last layer of {first.name} under class weights", weighted, label)
    print()
    print(json.dumps({"moved": moved, "held_out": judged, "last_layer": weighted}))


if __name__ == "__main__":
    main()
