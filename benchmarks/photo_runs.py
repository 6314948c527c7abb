"""Measures the float networks of runs on photographs, with several shares of the weights they began with.

    python benchmarks/photo_runs.py RUN ... --photos DIR --scenes DIR --init FILE.keras [--shares 0 0.1 0.2]

A RUN is a folder of 'cli train --photos --init FILE.keras' or of benchmarks/photo_folds.py; several are the
folds of one recipe, whose answers are counted together. Only answers to photographs of contributors that a
network was not trained on count. Prints a row of a table in Markdown for each share:

- accepted and strict: the share of answers that a careful person accepts, and that are the first label, to
  photographs in which a garment was found; answered as on the device, with a second mask in doubt
- macro recall: the mean of the classes' shares of strict answers
- footwear: the share of sandals, sneakers and ankle boots that get their own name
- held up: the share of accepted answers to composed pictures in which the same garments are held up before
  scenes that are no background in the training of a classifier; "no garment" counts as wrong. The shipped
  segmenter was trained on these scenes, so only the differences between rows mean something
- Fashion-MNIST: the accuracy on the 6,000 validation images; the test images are not read
- AUROC: the probability that a garment gets a higher confidence than a photograph of other clothes or shoes,
  and than a picture of a room in which a garment was found by mistake
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import fold_networks
import numpy as np
from photo_folds import COLUMNS, SEGMENTER
from real_garments import FOOTWEAR

from garmentlite.edge.opencv import use_one_thread
from garmentlite.edge.pictures import Picture, read_picture
from garmentlite.edge.preparation import prepare
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.recognition import mean_over_views, views
from garmentlite.edge.segmenters.interface import Segmenter
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.train import backend, collection, confidence, data, runs
from garmentlite.train.batch_norm import RECALIBRATION_IMAGES, Recalibration
from garmentlite.train.held_variants import (
    SCENE_SIDE,
    Backgrounds,
    held_up_picture,
    whole_garment,
)
from garmentlite.train.keras_file import read_network
from garmentlite.train.prediction import predict_logits
from garmentlite.train.recipe import START_SHARE
from garmentlite.train.scenes import KEPT_OUT, read_scenes
from garmentlite.train.stored_photos import read_photos
from garmentlite.train.validation import SETTLING_PHOTO_SHARE

VIEWS = ("plain", "mirrored")
PICTURES, SEED = 2, 31  # of each garment that is held up


def network_of(run: Path, first: list[np.ndarray], share: float, images_u8: np.ndarray):
    """Opens the network of a run with another share of its first weights.

    Args:
        run: Folder of the run.
        first: The weights that its training began with.
        share: Share of these weights, in [0, 1].
        images_u8: Training images of Fashion-MNIST, uint8, shape (N, 28, 28).
    """
    network = read_network(run / runs.MODEL, "train the run again")
    own = runs.read_json(run, runs.CONFIG)["start_share"]
    pairs = list(zip(network.get_weights(), first, strict=True))
    last = [(kept - own * one) / (1 - own) for kept, one in pairs]
    network.set_weights([share * a + (1 - share) * b for a, b in zip(first, last, strict=True)])
    stored = read_photos(run)
    trains = ~stored.is_held_out & stored.tiles.found & (stored.y >= 0)
    clean_u8 = np.random.default_rng(0).permutation(stored.tiles.tiles_u8[trains, 0])
    clean_u8 = clean_u8[: round(RECALIBRATION_IMAGES * SETTLING_PHOTO_SHARE)]
    Recalibration(network, np.concatenate([clean_u8, images_u8])).apply()
    return network


def held_up_tiles(
    paths: list[Path], scenes: Path, segmenter: Segmenter
) -> dict[str, list[np.ndarray | None]]:
    """Holds the garments of photographs up before scenes that are kept out, and segments the pictures.

    Returns:
        By file name, the 28x28 images of the pictures; None for a picture in which no garment was found.
    """
    kept_out = [scene for scene in read_scenes(scenes, SCENE_SIDE) if scene.place in KEPT_OUT]
    backgrounds, tiles = Backgrounds.of(kept_out), {}
    for path in paths:
        rng = np.random.default_rng([SEED, *path.name.encode()])
        picture = read_picture(path)
        mask = prepare(picture, segmenter).mask
        if mask is not None and mask.any():
            rgba = whole_garment(picture.rgb, mask)
            if rgba is None:
                continue
            made = [held_up_picture(rgba, backgrounds, rng) for _ in range(PICTURES)]
            found = [prepare(Picture(one[0]), segmenter).image_u8 for one in made if one]
            tiles[path.name] = found
    return tiles


def accepted_held_up(network, run: Path, tiles: dict[str, list[np.ndarray | None]]) -> list[bool]:
    """Finds which answers to the pictures of the garments that a run holds out are accepted."""
    stored = read_photos(run)
    held = np.flatnonzero(stored.is_held_out & (stored.y >= 0))
    pictures = [(n, tile) for n in held for tile in tiles.get(Path(stored.files[n]).name, [])]
    found = [(n, tile) for n, tile in pictures if tile is not None]
    if not found:
        return [False] * len(pictures)
    seen = np.concatenate(views(np.stack([tile for _, tile in found]), VIEWS))
    probabilities = softmax(predict_logits(network, seen)).reshape(len(VIEWS), len(found), -1)
    answers = mean_over_views(probabilities).argmax(axis=1)
    accepted = [bool(stored.accepted[n, a]) for (n, _), a in zip(found, answers, strict=True)]
    return accepted + [False] * (len(pictures) - len(found))


def row_of(
    folders: list[Path],
    first: list[np.ndarray],
    share: float,
    fashion_mnist: data.FashionMnist,
    tiles: dict[str, list[np.ndarray | None]],
) -> dict[str, float]:
    """Measures the networks of all runs with a share of their first weights."""
    training, validation = data.validation_split(fashion_mnist.y_train)
    accuracies: list[float] = []
    held_up: list[bool] = []

    def predict(path: Path, images_u8: np.ndarray) -> np.ndarray:
        network = network_of(path.parent, first, share, fashion_mnist.x_train[training])
        answers = predict_logits(network, fashion_mnist.x_train[validation]).argmax(axis=1)
        accuracies.append(float((answers == fashion_mnist.y_train[validation]).mean()))
        held_up.extend(accepted_held_up(network, path.parent, tiles))
        return predict_logits(network, images_u8)

    measured = confidence.fit(confidence.read_held_out(folders, predict, VIEWS)).measured
    shoes = [row for row in measured["per_group"] if row["label"] in FOOTWEAR]
    right = sum(row["recall"] * row["photographs"] for row in shoes if row["photographs"])
    return {
        "accepted": measured["accepted"],
        "strict": measured["accuracy"],
        "macro recall": measured["macro_recall"],
        "footwear": right / sum(row["photographs"] for row in shoes),
        "held up": float(np.mean(held_up)),
        "Fashion-MNIST": float(np.mean(accuracies)),
        "AUROC, other clothes": measured["others"]["auroc"],
        "AUROC, rooms": measured.get("rooms", {}).get("auroc", float("nan")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument(
        "--init", type=Path, required=True, help="the file that training began with"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[START_SHARE])
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    use_one_thread()
    backend.start()
    photos, _ = collection.with_files(collection.read(arguments.photos, COLUMNS, warn=print), print)
    held_out = fold_networks.run_of_photographs(arguments.runs)
    paths = [photo.path for photo in photos if photo.name in held_out]
    tiles = held_up_tiles(paths, arguments.scenes, make_segmenter(SEGMENTER))
    fashion_mnist = data.load(arguments.data_dir)
    first = read_network(arguments.init, "name another file").get_weights()
    rows = {}
    for share in arguments.shares:
        row = row_of(arguments.runs, first, share, fashion_mnist, tiles)
        rows[f"{share:.0%}"] = row
        if len(rows) == 1:
            print(f"| share of the first weights | {' | '.join(row)} |")
            print("|---" * (1 + len(row)) + "|")
        cells = (f"{v:.3f}" if name.startswith("AUROC") else f"{v:.1%}" for name, v in row.items())
        print(f"| {share:.0%} | {' | '.join(cells)} |", flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
