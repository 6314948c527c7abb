"""Measures how well and how fast garments are cut out, on photographs that were outlined by hand.

    python benchmarks/segmentation.py --photos DIR [--scenes DIR] [--segmenter FILE.tflite] [--sheet FILE.png]

DIR of the photographs holds images.csv and, in DIR/images, the photographs of benchmarks/outlines.json.
Prints two tables in Markdown and a line of JSON:

- how much the masks of every segmenter, and bands along their borders, overlap with the outlines
  (intersection over union), and the CPU time of one thread for a photograph, all ways in turns
- how often the answer is "no garment" for photographs, for pieces of ground without a garment, enlarged to
  whole pictures, and, with --scenes, for pictures of rooms and products. benchmarks/train_segmenter.py
  without --all-scenes keeps some of these out of the training; --segmenter may name its file.

The sheet shows every photograph cut out by its outline and by every segmenter.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.pictures import MAX_SIDE, Picture, read_picture
from garmentlite.edge.preparation import why_no_garment
from garmentlite.edge.recognition import recognize
from garmentlite.edge.segmenters.masks import reduced
from garmentlite.edge.segmenters.network import NetworkSegmenter
from garmentlite.edge.segmenters.network_file import FILE
from garmentlite.edge.segmenters.picture_border import border_mask
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import FOLDER, default_model
from garmentlite.train.empty_scenes import piece_of_ground
from garmentlite.train.scenes import KEPT_OUT, read_scenes

PLAIN_GRABCUT = "GrabCut from the frame"
SIDE = 320  # pixels, the photographs' longest side
BAND = 0.02  # of a picture's diagonal: width of the band along a border (Cheng et al. 2021, arXiv 2103.16562)
DRAWN = 100  # scenes whose ground is looked at


class FrameGrabCut:
    """GrabCut as it is commonly used: 160 pixels, 4 iterations, a frame of 6% is sure ground."""

    name = PLAIN_GRABCUT

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """Marks the garment: bool, shape (H, W)."""
        small = reduced(rgb, 160)
        trimap = np.where(border_mask(small.shape), cv2.GC_BGD, cv2.GC_PR_FGD).astype(np.uint8)
        cv2.setRNGSeed(0)
        cv2.grabCut(
            small, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK
        )
        found = ((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)).astype(np.uint8)
        size_wh = (rgb.shape[1], rgb.shape[0])
        return cv2.resize(found, size_wh, interpolation=cv2.INTER_NEAREST) > 0


def mask_of(outline: dict) -> np.ndarray:
    """Fills an outline: bool, shape (H, W), True on the garment."""
    width, height = outline["size_wh"]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.array(ring, np.int32) for ring in outline["rings"]], 1)
    return mask > 0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def band_of(mask: np.ndarray) -> np.ndarray:
    """Marks the part of a garment that is near its border."""
    width = max(1, round(BAND * float(np.hypot(*mask.shape))))
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width)
    return mask & (inner == 0)


def cpu_ms(call):
    start = time.process_time_ns()
    result = call()
    return result, (time.process_time_ns() - start) / 1e6


def share_rejected(segmenter, pictures) -> tuple[float, int]:
    """Computes the share of pictures that are answered "no garment", and counts the pictures."""
    reasons = [why_no_garment(segmenter.segment(rgb)) for rgb in pictures]
    return sum(reason is not None for reason in reasons) / max(1, len(reasons)), len(reasons)


def write_sheet(
    path: Path, rows: list[tuple[np.ndarray, list[np.ndarray]]], cell: int = 160
) -> None:
    """Draws one row for each photograph, cut out by each mask, the outline first; in two columns."""
    sheet = []
    for rgb, masks in rows:
        cells = []
        for mask in masks:
            picture = np.where(mask[..., np.newaxis], rgb, rgb // 3)
            small = reduced(picture, cell)
            pad = [(0, cell - side) for side in small.shape[:2]]
            cells.append(np.pad(small, [*pad, (0, 0)]))
        sheet.append(np.concatenate(cells, axis=1))
    half = (len(sheet) + 1) // 2
    sheet += [np.zeros_like(sheet[0])] * (2 * half - len(sheet))
    columns = [np.concatenate(sheet[:half]), np.concatenate(sheet[half:])]
    cv2.imwrite(str(path), np.concatenate(columns, axis=1)[..., ::-1])


def measure_overlap(folder: Path, outlines: dict, ways: list, classifier: Classifier):
    """Computes masks, overlaps and times of every way on every outlined photograph, in turns."""
    network = ways[-1]
    scores: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
    times: dict[str, list[float]] = {way.name: [] for way in ways} | {"classify": []}
    rows = []
    for name, outline in outlines.items():
        path, truth = folder / "images" / name, mask_of(outline)
        rgb, masks = read_picture(path, SIDE).rgb, [truth]
        for way in ways:
            mask, ms = cpu_ms(lambda way=way, rgb=rgb: way.segment(rgb))
            times[way.name].append(ms)
            scores[way.name].append((overlap(mask, truth), overlap(band_of(mask), band_of(truth))))
            masks.append(mask)
        _, ms = cpu_ms(lambda path=path: classify(path, classifier, network))
        times["classify"].append(ms)
        rows.append((rgb, masks))
    return rows, scores, times


def classify(path: Path, classifier: Classifier, segmenter) -> str:
    """Does all that the command does for one photograph."""
    document = recognize(read_picture(path, SIDE), classifier, segmenter).as_document(3)
    return json.dumps({"path": str(path)} | document)


def print_overlap(ways: list, scores: dict, times: dict) -> list[dict]:
    print("| segmenter | mean IoU | median | > 0.9 | < 0.6 | border IoU | CPU ms | kB |")
    print("|---|---|---|---|---|---|---|---|")
    results = []
    for way in ways:
        ious, bands = np.array(scores[way.name]).T
        result = {
            "mean_iou": ious.mean(), "median_iou": np.median(ious), "above_0.9": (ious > 0.9).mean(),
            "below_0.6": (ious < 0.6).mean(), "border_iou": bands.mean(),
            "cpu_ms": np.mean(times[way.name]),
        }  # fmt: skip
        size = f"{(FOLDER / FILE).stat().st_size / 1000:.0f}" if way.name == "network" else ""
        print(
            f"| {way.name} | {result['mean_iou']:.3f} | {result['median_iou']:.3f} | "
            f"{result['above_0.9']:.0%} | {result['below_0.6']:.0%} | {result['border_iou']:.3f} | "
            f"{result['cpu_ms']:.2f} | {size} |"
        )
        results.append({"segmenter": way.name} | {key: float(x) for key, x in result.items()})
    return results


def print_rejected(
    folder: Path, rows: list, limit: int | None, ways: list, scenes_folder: Path | None
) -> list[dict]:
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        names = [row["image"] for row in csv.DictReader(file)][:limit]
    rng = np.random.default_rng(1)
    scenes = [draw_scene(FASHION_MNIST_LABELS[i % 10], rng) for i in range(DRAWN)]
    grounds = [piece_of_ground(rgb, masks[0]) for rgb, masks in rows]
    drawn = [piece_of_ground(scene.rgb, scene.mask) for scene in scenes]
    sets = {
        "outlined photographs": lambda: (rgb for rgb, _ in rows),
        "all photographs": lambda: (read_picture(folder / "images" / n, SIDE).rgb for n in names),
        "drawn garments": lambda: (scene.rgb for scene in scenes),
        "ground of the outlined photographs": lambda: (g for g in grounds if g is not None),
        "drawn grounds": lambda: (g for g in drawn if g is not None),
    }
    if scenes_folder:
        found = read_scenes(scenes_folder, MAX_SIDE, with_people=False)
        for name, is_kept_out in (
            ("rooms and products, kept out", True),
            ("rooms and products, trained on", False),
        ):
            frames = [s.frames[0] for s in found if (s.place in KEPT_OUT) == is_kept_out]
            sets[name] = lambda frames=frames: (Picture(rgb).rgb for rgb in frames)
    print("| pictures | number | " + " | ".join(f"no garment, {way.name}" for way in ways) + " |")
    print("|---|---|" + "---|" * len(ways))
    results = []
    for name, pictures in sets.items():
        shares = {}
        for way in ways:
            shares[way.name], count = share_rejected(way, pictures())
        cells = " | ".join(f"{share:.1%}" for share in shares.values())
        print(f"| {name} | {count} | {cells} |", flush=True)
        results.append({"pictures": name, "number": count} | shares)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, help="a folder of scenes")
    parser.add_argument("--segmenter", type=Path, help="a .tflite file in place of the shipped one")
    parser.add_argument("--sheet", type=Path, help="a .png file for the pictures and masks")
    parser.add_argument("--limit", type=int, help="photographs at most in the second table")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    outlines = json.loads((ROOT / "benchmarks" / "outlines.json").read_text(encoding="utf-8"))[
        "outlines"
    ]
    ways = [FrameGrabCut(), *map(make_segmenter, ("grabcut", "border"))]
    ways.append(NetworkSegmenter(arguments.segmenter))
    classifier = Classifier(default_model())
    classify(arguments.photos / "images" / next(iter(outlines)), classifier, ways[-1])  # warm

    rows, scores, times = measure_overlap(arguments.photos, outlines, ways, classifier)
    results = print_overlap(ways, scores, times)
    whole, reference = np.mean(times["classify"]), np.mean(times[PLAIN_GRABCUT])
    print(
        f"\n{len(outlines)} photographs. All that classify does for one with network (reading at {SIDE} "
        f"pixels, segmentation, preparation, {classifier.path.name}, JSON): {whole:.2f} ms, "
        f"{whole / reference:.1%} of {PLAIN_GRABCUT}.\n"
    )
    if arguments.sheet:
        write_sheet(arguments.sheet, rows)
    rejected = print_rejected(arguments.photos, rows, arguments.limit, ways[-2:], arguments.scenes)
    print(
        json.dumps({"segmenters": results, "classify_cpu_ms": float(whole), "no_garment": rejected})
    )


if __name__ == "__main__":
    main()
