"""Measures accuracy on photographs of clothes by contributors that were not trained on, for several ways.

    python benchmarks/real_garments.py --photos DIR [--runs 'runs/photo-fold-*'] [--sheet FILE.png]

DIR holds images.csv (columns image, sender_id, fashion_mnist_label) and, in DIR/images, the files. The runs
are those of benchmarks/photo_folds.py: every photograph is answered by the int8 file of the network that has
not seen its contributor's. Temperature and threshold are those of the shipped garment-net-photo. Prints
tables in Markdown and a line of JSON: accuracy and macro recall over the labels ("footwear" is any of Sandal,
Sneaker and Ankle boot), folds with their spread, CPU time of one thread in turns; how other clothes and
background without a garment are answered; the parity of the shipped int8 file with its float32 file on the
same photographs; and what the command costs a photograph as it is installed. The sheet shows photograph,
mask, 28x28 and verdict.

Without such runs, it prints only what needs no network of a fold: the accuracy of garment-net, the times, the
shares of "no garment", and the parity.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent

from segmentation import DRAWN, PLAIN_GRABCUT, SIDE, FrameGrabCut, cpu_ms, piece_of_ground

from garmentlite.convert.verify.statistics import loss_bound
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS, NO_GARMENT, UNKNOWN
from garmentlite.edge.metadata import attach
from garmentlite.edge.pictures import Picture, read_picture
from garmentlite.edge.preparation import naive_tile, preparations, prepare
from garmentlite.edge.recognition import answer_to, recognize
from garmentlite.edge.segmenters.masks import reduced
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import FOLDER
from garmentlite.train import collection, runs
from garmentlite.train.confidence import auroc
from garmentlite.train.folds import assign_folds

MEMBERS = {label: {label} for label in FASHION_MNIST_LABELS}
MEMBERS["footwear"] = {"Sandal", "Sneaker", "Ankle boot"}
UNTRAINED, SHIPPED = "garment-net", "garment-net-photo"
ALWAYS, OURS = "network and border, folds, mirrored too", "border in doubt"
ALPHA = 0.05  # of the bound of a loss, as in 'cli verify'
FOLDS = 5  # of benchmarks/photo_folds.py
TIMED, ROUNDS = 300, 3  # photographs that the command is timed with, and how often
CELL, COLUMNS = 96, 10  # of the sheet


@dataclass
class Way:
    """One way to an answer, and what it answered."""

    name: str
    answers: list[str] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Photo:
    """A photograph with its label, and the number of the fold that its contributor belongs to."""

    path: Path
    label: str
    fold: int


def split_as_photo_folds(folder: Path) -> dict[str, int]:
    """Assigns each photograph to a fold as benchmarks/photo_folds.py does, without its runs."""
    listed = collection.read(
        folder, label_column="fashion_mnist_label", contributor_column="sender_id"
    )
    photos, checksums = collection.with_files(listed, print)
    labels = list(MEMBERS)
    y = np.array([labels.index(one.label) if one.label in MEMBERS else -1 for one in photos])
    folds = assign_folds(y, [one.contributor for one in photos], checksums, FOLDS)
    return {one.path.name: int(fold) for one, fold in zip(photos, folds, strict=True)}


def photographs(folder: Path, found: list[Path], limit: int | None) -> list[Photo]:
    """Reads all labelled photographs, each with the number of the run that holds it out."""
    fold_of: dict[str, int] = {} if found else split_as_photo_folds(folder)
    for number, run in enumerate(found):
        stored = runs.read_photos(run)
        held = zip(stored.files, stored.is_held_out, strict=True)
        fold_of |= {name: number for name, is_held_out in held if is_held_out}
    with (folder / "images.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image"] in fold_of]
    order = np.random.default_rng(1).permutation(len(rows))[:limit]
    return [
        Photo(
            folder / "images" / rows[i]["image"],
            rows[i]["fashion_mnist_label"],
            fold_of[rows[i]["image"]],
        )
        for i in sorted(order)
    ]


def of_folds(found: list[Path], shipped: Classifier) -> list[Classifier]:
    """Opens the networks of the folds, each with temperature, threshold and views of the shipped one."""
    assert shipped.metadata is not None
    classifiers = []
    with TemporaryDirectory() as folder:
        for number, run in enumerate(found):
            path = Path(folder) / f"{number}.tflite"
            path.write_bytes(attach((run / "fold_int8.tflite").read_bytes(), shipped.metadata))
            classifiers.append(Classifier(path))
    return classifiers


def named(probabilities: np.ndarray) -> str:
    return FASHION_MNIST_LABELS[int(probabilities.argmax())]


def look(photo: Photo, ways: dict[str, Way], untrained, folds, pair, segmenters) -> dict:
    """Answers one photograph in every way; returns what the sheet and the thresholds need."""
    picture = read_picture(photo.path, SIDE)
    classifier = folds[photo.fold] if folds else pair[1]
    ways["naive"].answers.append(untrained.predict(naive_tile(picture.rgb)).label)
    for name, segmenter in segmenters.items():
        prepared, ms = cpu_ms(lambda segmenter=segmenter: prepare(picture, segmenter))
        tile = prepared.image_u8
        for way, of_way in ((name, untrained), (f"{name}, folds", classifier)):
            if way in ways:
                ways[way].answers.append(NO_GARMENT if tile is None else of_way.predict(tile).label)
        ways[name].ms.append(ms)
    network = segmenters["network"]
    tiles = [one.image_u8 for one in preparations(picture, network) if one.image_u8 is not None]
    found = recognize(picture, classifier, network)
    if folds:
        always = NO_GARMENT
        if tiles:
            always = named(np.mean([answer_to(tile, classifier) for tile in tiles], axis=0))
        ways[ALWAYS].answers.append(always)
        ways[OURS].answers.append(found.scores[0].label if found.scores else NO_GARMENT)
        ways[OURS + ", threshold"].answers.append(found.label)
    ours = {"confidence": found.confidence, "answer": found.label}
    if tiles:
        ours |= {"tile": tiles[0], "mask": found.mask}
        ours["pair"] = [named(answer_to(tiles[0], one)) for one in pair]

    def classify() -> str:
        document = recognize(read_picture(photo.path, SIDE), classifier, network)
        return json.dumps({"path": str(photo.path)} | document.as_document(3))

    ways[OURS].ms.append(cpu_ms(classify)[1])
    grabcut = segmenters[PLAIN_GRABCUT]
    ways["grabcut alone"].ms.append(cpu_ms(lambda: grabcut.segment(picture.rgb))[1])
    return ours


def score(photos: list[Photo], answers: list[str]) -> dict:
    """Computes the accuracy, macro recall and spread over folds of answers to photographs of garments."""
    right = np.array([a in MEMBERS[p.label] for a, p in zip(answers, photos, strict=True)])
    labels = np.array([photo.label for photo in photos])
    fold = np.array([photo.fold for photo in photos])
    recall = {label: float(right[labels == label].mean()) for label in sorted(set(labels))}
    in_fold = [float(right[fold == number].mean()) for number in np.unique(fold)]
    macro_in_fold = [
        np.mean([right[(fold == n) & (labels == one)].mean() for one in set(labels[fold == n])])
        for n in np.unique(fold)
    ]
    answer, times = Counter(answers).most_common(1)[0]
    return {
        "accuracy": float(right.mean()),
        "macro_recall": float(np.mean(list(recall.values()))),
        "recall": recall,
        "accuracy_of_folds": in_fold,
        "macro_recall_of_folds": [float(one) for one in macro_in_fold],
        "most_frequent": answer,
        "its_share": times / len(answers),
    }


def print_ways(ways: dict[str, Way], photos: list[Photo]) -> list[dict]:
    is_garment = [photo.label in MEMBERS for photo in photos]
    garments = [photo for photo, kept in zip(photos, is_garment, strict=True) if kept]
    reference = float(np.mean(ways["grabcut alone"].ms))
    print(
        "| way | accuracy | folds, mean ± sd | macro recall | most frequent answer | ms | time relative to "
        "GrabCut |"
    )
    print("|---|---|---|---|---|---|---|")
    results = []
    for way in ways.values():
        result: dict = {"way": way.name}
        cells = ["", "", "", ""]
        if way.answers:
            kept = [a for a, is_kept in zip(way.answers, is_garment, strict=True) if is_kept]
            result |= score(garments, kept)
            spread = np.array(result["accuracy_of_folds"])
            cells = [
                f"{result['accuracy']:.1%}",
                f"{spread.mean():.1%} ± {spread.std(ddof=1):.1%}",
                f"{result['macro_recall']:.3f}",
                f"{result['most_frequent']} {result['its_share']:.0%}",
            ]
        times = ["", ""]
        if way.ms:
            result["cpu_ms"] = float(np.mean(way.ms))
            times = [f"{result['cpu_ms']:.1f}", f"{result['cpu_ms'] / reference:.1%}"]
        print(f"| {way.name} | {' | '.join([*cells, *times])} |", flush=True)
        results.append(result)
    return results


def print_rejections(photos, looked, grounds, drawn, threshold: float | None) -> dict:
    """Prints how other clothes and background are answered; "no garment" and "unknown" both reject.

    Without a threshold, the confidences are those of a network that was trained on the photographs, and
    only the shares of "no garment" are printed.
    """
    confidence = np.array([one["confidence"] for one in looked])
    is_garment = np.array([photo.label in MEMBERS for photo in photos])
    sets = {
        "garments": confidence[is_garment],
        "other clothes (hats, shorts, skirts ...)": confidence[~is_garment],
        "pieces of the background in the photographs, enlarged": np.array(grounds),
        "drawn backgrounds": np.array(drawn),
    }
    at_5 = float(np.quantile(sets["garments"], 0.05))
    head = ["pictures", "number", '"no garment"']
    if threshold is not None:
        head += ["rejected", "rejected at the stricter threshold", "AUROC"]
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    result: dict = {}
    for name, values in sets.items():
        row = {"number": len(values), "no_garment": float((values == 0).mean())}
        result[name] = row
        cells = f"| {name} | {row['number']:,} | {row['no_garment']:.1%} |"
        if threshold is None:
            print(cells)
            continue
        row |= {
            "rejected": float((values < threshold).mean()),
            "rejected_at_5": float((values < at_5).mean()),
            "auroc": auroc(sets["garments"], values),
        }
        last = "" if name == "garments" else f"{row['auroc']:.3f}"
        print(f"{cells} {row['rejected']:.1%} | {row['rejected_at_5']:.1%} | {last} |")
    return result


def print_parity(photos: list[Photo], looked: list[dict]) -> list[dict]:
    """Prints what int8 loses and gains against float32 on photographs in which a garment was found."""
    print("\n| label | photographs | float32 | int8 | lost | gained | loss at most, points |")
    print("|---|---|---|---|---|---|---|")
    results = []
    for label in MEMBERS:
        pairs = [
            [answer in MEMBERS[label] for answer in one["pair"]]
            for photo, one in zip(photos, looked, strict=True)
            if photo.label == label and "pair" in one
        ]
        if not pairs:
            continue
        before, after = np.array(pairs).T
        lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
        bound = loss_bound(lost, gained, len(pairs), ALPHA)
        print(
            f"| {label} | {len(pairs)} | {before.mean():.1%} | {after.mean():.1%} | {lost} | {gained} | "
            f"{bound * 100:.2f} |"
        )
        results.append({"label": label, "lost": lost, "gained": gained, "loss_at_most": bound})
    return results


def print_command(photos: list[Photo], grabcut: FrameGrabCut) -> dict:
    """Times `cli classify` for a photograph as it is installed, in turns with GrabCut alone."""
    paths = [str(photo.path) for photo in photos[:TIMED]]

    def cpu_s(count: int) -> float:
        before = os.times()
        command = [sys.executable, str(ROOT / "cli.py"), "classify", "--json", *paths[:count]]
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])  # of children, user and system

    pictures = [read_picture(path, SIDE).rgb for path in paths]
    rows = []
    for _ in range(ROUNDS):
        start = cpu_s(1)
        ours = (cpu_s(len(paths)) - start) / (len(paths) - 1) * 1000
        alone = np.mean([cpu_ms(lambda rgb=rgb: grabcut.segment(rgb))[1] for rgb in pictures])
        rows.append((ours, float(alone)))
    ours, alone = np.median(rows, axis=0).tolist()
    share = float(np.median([one / two for one, two in rows]))
    print(
        f"\nThe command 'cli classify --json' as installed: {ours:.1f} ms of CPU a photograph, all threads, "
        f"less its start; GrabCut alone: {alone:.1f} ms; {share:.1%} (medians of rounds with "
        f"{len(paths)} photographs: {', '.join(f'{one / two:.1%}' for one, two in rows)})."
    )
    return {"cpu_ms": ours, "grabcut_ms": alone, "of_grabcut": share}


def write_sheet(path: Path, photos: list[Photo], looked: list[dict], count: int) -> None:
    """Draws photograph, garment, 28x28 image and verdict of some photographs, wrong ones in red."""
    chosen = np.random.default_rng(2).permutation(len(photos))[:count]
    rows = -(-len(chosen) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * 2 * CELL, rows * (CELL + 26)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, number in enumerate(chosen):
        photo, one = photos[number], looked[number]
        x, y = place % COLUMNS * 2 * CELL, place // COLUMNS * (CELL + 26)
        rgb = read_picture(photo.path, SIDE).rgb
        if one.get("mask") is not None:
            rgb = np.where(one["mask"][..., np.newaxis], rgb, rgb // 3)
        sheet.paste(Image.fromarray(reduced(rgb, CELL)), (x, y))
        if "tile" in one:
            tile = Image.fromarray(one["tile"]).resize((84, 84), Image.Resampling.NEAREST)
            sheet.paste(tile, (x + CELL, y))
        right = one["answer"] in MEMBERS.get(photo.label, {UNKNOWN, NO_GARMENT})
        pen.text((x, y + CELL), photo.label, fill="black")
        verdict = f"{one['answer']} {one['confidence']:.0%}"
        pen.text((x, y + CELL + 11), verdict, fill="darkgreen" if right else "red")
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--runs", default="runs/photo-fold-*", help="pattern of the folds' runs")
    parser.add_argument("--limit", type=int, help="photographs at most, a fixed random sample")
    parser.add_argument("--sheet", type=Path, help="a .png file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = [Path(name) for name in sorted(glob(arguments.runs)) if Path(name).is_dir()]
    photos = photographs(arguments.photos, found, arguments.limit)
    untrained = Classifier(FOLDER / f"{UNTRAINED}_int8.tflite")
    pair = [Classifier(FOLDER / f"{SHIPPED}_{kind}.tflite") for kind in ("float32", "int8")]
    folds = of_folds(found, pair[1])
    threshold = (pair[1].metadata.unknown_threshold or 0.0) if folds else None
    segmenters = {PLAIN_GRABCUT: FrameGrabCut()}
    segmenters |= {name: make_segmenter(name) for name in ("border", "network")}
    ways = {
        "naive": Way(f"whole picture resized to 28x28, {UNTRAINED}"),
        **{name: Way(f"{name}, {UNTRAINED}") for name in segmenters},
    }
    if folds:
        ways |= {f"{name}, folds": Way(f"{name}, adapted") for name in segmenters}
        ways[ALWAYS] = Way("network and border, adapted, mirrored too")
        ways[OURS] = Way("the same, border only in doubt: what `cli classify` does")
        ways[OURS + ", threshold"] = Way('the same, with "unknown" counted as wrong')
    else:
        ways[OURS] = Way(f"what `cli classify` does, {SHIPPED}")
    ways["grabcut alone"] = Way("GrabCut alone: 160 pixels, 4 iterations, frame of 6%")
    recognize(read_picture(photos[0].path, SIDE), pair[1], segmenters["network"])  # warm
    looked, grounds = [], []
    for number, photo in enumerate(photos, start=1):
        looked.append(look(photo, ways, untrained, folds, pair, segmenters))
        if looked[-1].get("mask") is not None:
            rgb = read_picture(photo.path, SIDE).rgb
            piece = piece_of_ground(rgb, looked[-1]["mask"])
            if piece is not None:
                classifier = folds[photo.fold] if folds else pair[1]
                answer = recognize(Picture(piece), classifier, segmenters["network"])
                grounds.append(answer.confidence)
        if number % 500 == 0:
            print(f"{number} of {len(photos)}", file=sys.stderr)
    rng = np.random.default_rng(1)
    scenes = [draw_scene(FASHION_MNIST_LABELS[i % 10], rng) for i in range(DRAWN)]
    pieces = [piece_of_ground(scene.rgb, scene.mask) for scene in scenes]
    drawn = [
        recognize(Picture(piece), (folds or pair[1:])[0], segmenters["network"]).confidence
        for piece in pieces
        if piece is not None
    ]
    results = print_ways(ways, photos)
    if folds:
        print("\n| label | photographs | recall |\n|---|---|---|")
        ours = next(one for one in results if one["way"] == ways[OURS].name)
        counts = Counter(photo.label for photo in photos)
        for label, recall in ours["recall"].items():
            print(f"| {label} | {counts[label]} | {recall:.1%} |")
    rejected = print_rejections(photos, looked, grounds, drawn, threshold)
    parity = print_parity(photos, looked)
    command = print_command(photos, segmenters[PLAIN_GRABCUT])
    folds_are = f"unknown below {threshold:.3f}" if folds else "without the networks of the folds"
    print(
        f"\n{len(photos):,} photographs, {len({photo.fold for photo in photos})} folds by sender_id; "
        f"{folds_are}; ms: CPU time a photograph, one thread, {platform.machine()}: segmentation and "
        "preparation, but for all of classify (reading, network, JSON too) and GrabCut alone."
    )
    if arguments.sheet:
        write_sheet(arguments.sheet, photos, looked, 100)
    document = {"ways": results, "rejected": rejected, "parity": parity, "command": command}
    print(json.dumps(document | {"threshold": threshold}))


if __name__ == "__main__":
    main()
