"""Measures accuracy on photographs of clothes by contributors that were not trained on, for several ways.

    python benchmarks/real_garments.py --photos DIR [--rooms DIR] [--runs 'runs/photo-fold-*']
        [--sheet FILE.png] [--errors]

DIR of the photographs holds images.csv (columns image, sender_id, fashion_mnist_label, seen_label and
seen_also) and, in DIR/images, the files. DIR of the rooms is a folder of scenes (`train.scenes`). The runs
are those of benchmarks/photo_folds.py: every photograph is answered by the int8 file of the network that has
not seen its contributor's, and every room by that of a network that was not shown it as an
example of "no class". Temperature and
threshold are those of the shipped garment-net-photo.

Prints tables in Markdown and a line of JSON:

- how many answers are accepted (one of the classes that a careful person gives), how many are the first label
  (strict), the macro recall over the classes, the share of sandals, sneakers and ankle boots that are told
  apart, and the accuracy by the collection's own labels, where "footwear" is any of these three; folds with
  their spread; CPU time of one thread in turns
- how other clothes, rooms and background without a garment are answered
- the parity of the shipped int8 file with its float32 file on the same photographs
- the CPU time that the installed command takes for a photograph

The sheet shows photograph, mask, 28x28 and verdict; with --errors, only those that are answered wrongly.

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
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent

from fold_networks import classifier_of, run_of_photographs, runs_named
from photo_folds import COLUMNS
from segmentation import DRAWN, PLAIN_GRABCUT, SIDE, FrameGrabCut, cpu_ms, piece_of_ground

from garmentlite.convert.verify.statistics import loss_bound
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS, NO_GARMENT, UNKNOWN
from garmentlite.edge.pictures import MAX_SIDE, Picture, read_picture
from garmentlite.edge.preparation import naive_tile, preparations, prepare
from garmentlite.edge.recognition import answer_to, recognize
from garmentlite.edge.segmenters.interface import Segmenter
from garmentlite.edge.segmenters.masks import reduced
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import FOLDER
from garmentlite.train import collection
from garmentlite.train.confidence import auroc
from garmentlite.train.folds import assign_folds
from garmentlite.train.labelling import find_labelling
from garmentlite.train.rooms import folds_of_places
from garmentlite.train.scenes import read_scenes

FOOTWEAR = frozenset({"Sandal", "Sneaker", "Ankle boot"})
OTHER = "other"  # the collection's label of hats, shorts and skirts
UNTRAINED, SHIPPED = "garment-net", "garment-net-photo"
ALWAYS, OURS = "network and border, folds, mirrored too", "border in doubt"
ALPHA = 0.05  # of the bound of a loss, as in 'cli verify'
FOLDS = 5  # of benchmarks/photo_folds.py
TIMED, ROUNDS = 300, 3  # photographs that the command is timed with, and how often
CELL, CELLS_IN_ROW = 96, 10  # of the sheet


@dataclass
class Way:
    """One way to an answer, and what it answered."""

    name: str
    answers: list[str] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Photo:
    """A photograph with its labels, and the number of the fold that its contributor belongs to.

    Attributes:
        path: The file.
        label: The class that one would name first, or what else it is.
        accepted: The classes that a careful person accepts.
        coarse: The classes that the collection's own label stands for.
        fold: Number of the run that holds it out, from 0.
    """

    path: Path
    label: str
    accepted: frozenset[str]
    coarse: frozenset[str]
    fold: int

    @property
    def is_garment(self) -> bool:
        """Whether it shows one of the ten classes."""
        return self.label in FASHION_MNIST_LABELS


def split_as_photo_folds(folder: Path) -> dict[str, int]:
    """Assigns each photograph to a fold as benchmarks/photo_folds.py does, without its runs."""
    photos, checksums = collection.with_files(collection.read(folder, COLUMNS), print)
    y = find_labelling([one.label for one in photos], FASHION_MNIST_LABELS).y
    folds = assign_folds(y, [one.contributor for one in photos], checksums, FOLDS)
    return {one.path.name: int(fold) for one, fold in zip(photos, folds, strict=True)}


def photographs(folder: Path, found: list[Path], limit: int | None) -> list[Photo]:
    """Reads all labelled photographs, each with the number of the run that holds it out."""
    fold_of = run_of_photographs(found) if found else split_as_photo_folds(folder)
    with (folder / "images.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image"] in fold_of]
    order = np.random.default_rng(1).permutation(len(rows))[:limit]
    return [_photo(folder, rows[i], fold_of[rows[i]["image"]]) for i in sorted(order)]


def _photo(folder: Path, row: dict[str, str], fold: int) -> Photo:
    own = row["fashion_mnist_label"]
    label = row["seen_label"] or own
    named = {label, *row["seen_also"].split("|")}
    coarse = FOOTWEAR if own == "footwear" else {own}
    classes = frozenset(FASHION_MNIST_LABELS)
    return Photo(folder / "images" / row["image"], label, classes & named, classes & coarse, fold)


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
    """Computes how many answers to photographs are right, over all folds and in each."""
    pairs = [(p, a) for p, a in zip(photos, answers, strict=True) if p.is_garment]
    labels = np.array([photo.label for photo, _ in pairs])
    fold = np.array([photo.fold for photo, _ in pairs])
    strict = labels == np.array([answer for _, answer in pairs])
    accepted = np.array([answer in photo.accepted for photo, answer in pairs])
    is_footwear = np.isin(labels, list(FOOTWEAR))

    def measures(chosen: np.ndarray) -> dict[str, float]:
        recalls = [strict[chosen & (labels == one)].mean() for one in set(labels[chosen])]
        return {
            "accepted": float(accepted[chosen].mean()),
            "strict": float(strict[chosen].mean()),
            "macro_recall": float(np.mean(recalls)),
            "footwear": float(strict[chosen & is_footwear].mean()),
        }

    own = [a in p.coarse for p, a in zip(photos, answers, strict=True) if p.coarse]
    answer, times = Counter(answer for _, answer in pairs).most_common(1)[0]
    return {
        **measures(np.ones(len(pairs), bool)),
        "of_folds": [measures(fold == number) for number in np.unique(fold)],
        "by_class": {
            label: {
                "photographs": int((labels == label).sum()),
                "recall": float(strict[labels == label].mean()),
                "accepted": float(accepted[labels == label].mean()),
                "answers": Counter(a for p, a in pairs if p.label == label),
            }
            for label in FASHION_MNIST_LABELS
            if label in labels
        },
        "by_collection_labels": float(np.mean(own)),
        "most_frequent": answer,
        "its_share": times / len(pairs),
    }


def print_ways(ways: dict[str, Way], photos: list[Photo]) -> list[dict]:
    reference = float(np.mean(ways["grabcut alone"].ms))
    print(
        "| way | accepted | strict | macro recall | footwear told apart | by the collection's labels | most "
        "frequent answer | ms | time relative to GrabCut |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    results = []
    for way in ways.values():
        result: dict = {"way": way.name}
        cells = [""] * 6
        if way.answers:
            result |= score(photos, way.answers)
            cells = []
            for name in ("accepted", "strict", "macro_recall", "footwear"):
                spread = np.array([one[name] for one in result["of_folds"]])
                cells.append(f"{result[name]:.1%} ({spread.mean():.1%} ± {spread.std(ddof=1):.1%})")
            cells.append(f"{result['by_collection_labels']:.1%}")
            cells.append(f"{result['most_frequent']} {result['its_share']:.0%}")
        times = ["", ""]
        if way.ms:
            result["cpu_ms"] = float(np.mean(way.ms))
            times = [f"{result['cpu_ms']:.1f}", f"{result['cpu_ms'] / reference:.1%}"]
        print(f"| {way.name} | {' | '.join([*cells, *times])} |", flush=True)
        results.append(result)
    return results


def print_classes(result: dict) -> None:
    """Prints recall and the most frequent wrong answers of each class."""
    print("\n| label | photographs | recall | accepted | most frequent wrong answers |")
    print("|---|---|---|---|---|")
    for label, row in result["by_class"].items():
        wrong = [(name, n) for name, n in row["answers"].most_common() if name != label][:3]
        listed = ", ".join(f"{name} {n / row['photographs']:.0%}" for name, n in wrong)
        shares = f"{row['recall']:.1%} | {row['accepted']:.1%}"
        print(f"| {label} | {row['photographs']} | {shares} | {listed} |")


def answers_to_rooms(
    folder: Path | None, folds: list[Classifier], segmenter: Segmenter
) -> list[float]:
    """Computes the confidence of the answer to each picture of a room; 0 for "no garment".

    A room is answered by the network that has not seen it, if there are networks of folds.
    """
    if folder is None:
        return []
    scenes = read_scenes(folder, MAX_SIDE, with_people=False)
    fold_of = folds_of_places({scene.place for scene in scenes}, len(folds))
    return [
        recognize(
            Picture.from_bgr(rgb[..., ::-1]), folds[fold_of[scene.place]], segmenter
        ).confidence
        for scene in scenes
        for rgb in scene.frames
    ]


def print_rejections(
    photos, looked, grounds, drawn, rooms: list[float], threshold: float | None
) -> dict:
    """Prints how other clothes and background are answered; "no garment" and "unknown" both reject.

    Without a threshold, the confidences are those of a network that was trained on the photographs, and
    only the shares of "no garment" are printed.
    """
    confidence = np.array([one["confidence"] for one in looked])
    is_garment = np.array([photo.is_garment for photo in photos])
    is_other = np.array([photo.label == OTHER for photo in photos])
    sets = {
        "garments": confidence[is_garment],
        "other clothes (hats, shorts, skirts ...)": confidence[is_other],
        "other shoes": confidence[[photo.label == "other shoe" for photo in photos]],
        "rooms": np.array(rooms),
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
        if not len(values):
            continue
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
    for label in FASHION_MNIST_LABELS:
        pairs = [
            [answer == label for answer in one["pair"]]
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
    """Times the installed `cli classify` for a photograph, in turns with GrabCut alone."""
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


def write_sheet(
    path: Path, photos: list[Photo], looked: list[dict], count: int, *, errors: bool
) -> None:
    """Draws photograph, garment, 28x28 image and verdict of some photographs, wrong ones in red."""

    def is_right(number: int) -> bool:
        photo, answer = photos[number], looked[number]["answer"]
        return answer in (photo.accepted if photo.is_garment else {UNKNOWN, NO_GARMENT})

    order = np.random.default_rng(2).permutation(len(photos)).tolist()
    chosen = [n for n in order if not errors or (photos[n].is_garment and not is_right(n))][:count]
    rows = -(-len(chosen) // CELLS_IN_ROW)
    sheet = Image.new("RGB", (CELLS_IN_ROW * 2 * CELL, rows * (CELL + 26)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, number in enumerate(chosen):
        photo, one = photos[number], looked[number]
        x, y = place % CELLS_IN_ROW * 2 * CELL, place // CELLS_IN_ROW * (CELL + 26)
        rgb = read_picture(photo.path, SIDE).rgb
        if one.get("mask") is not None:
            rgb = np.where(one["mask"][..., np.newaxis], rgb, rgb // 3)
        sheet.paste(Image.fromarray(reduced(rgb, CELL)), (x, y))
        if "tile" in one:
            tile = Image.fromarray(one["tile"]).resize((84, 84), Image.Resampling.NEAREST)
            sheet.paste(tile, (x + CELL, y))
        pen.text((x, y + CELL), photo.label, fill="black")
        verdict = f"{one['answer']} {one['confidence']:.0%}"
        pen.text((x, y + CELL + 11), verdict, fill="darkgreen" if is_right(number) else "red")
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--runs", default="runs/photo-fold-*", help="pattern of the folds' runs")
    parser.add_argument("--limit", type=int, help="photographs at most, a fixed random sample")
    parser.add_argument("--rooms", type=Path, help="a folder of scenes")
    parser.add_argument("--sheet", type=Path, help="a .png file")
    parser.add_argument("--errors", action="store_true", help="the sheet shows errors alone")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = runs_named(arguments.runs)
    photos = photographs(arguments.photos, found, arguments.limit)
    untrained = Classifier(FOLDER / f"{UNTRAINED}_int8.tflite")
    pair = [Classifier(FOLDER / f"{SHIPPED}_{kind}.tflite") for kind in ("float32", "int8")]
    folds = [classifier_of(run) for run in found]
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
        print_classes(next(one for one in results if one["way"] == ways[OURS].name))
    rooms = answers_to_rooms(arguments.rooms, folds or pair[1:], segmenters["network"])
    rejected = print_rejections(photos, looked, grounds, drawn, rooms, threshold)
    parity = print_parity(photos, looked)
    command = print_command(photos, segmenters[PLAIN_GRABCUT])
    folds_are = f"unknown below {threshold:.3f}" if folds else "without the networks of the folds"
    print(
        f"\n{len(photos):,} photographs, {len({photo.fold for photo in photos})} folds by sender_id; "
        f"{folds_are}; ms: CPU time a photograph, one thread, {platform.machine()}: segmentation and "
        "preparation, but for all of classify (reading, network, JSON too) and GrabCut alone."
    )
    if arguments.sheet:
        write_sheet(arguments.sheet, photos, looked, 100, errors=arguments.errors)
    document = {"ways": results, "rejected": rejected, "parity": parity, "command": command}
    print(json.dumps(document | {"threshold": threshold}))


if __name__ == "__main__":
    main()
