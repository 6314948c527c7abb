"""Measures whether turning garments helps, by their principal axis or by right angles when unsure.

    python benchmarks/rotation.py --photos DIR [--runs 'runs/photo-fold-*']

As benchmarks/real_garments.py, every photograph is answered by the network of the fold that has not seen its
contributor. Prints a table in Markdown and a line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent

from fold_networks import classifier_of, runs_named
from real_garments import SIDE, named, photographs

from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import fit_to_tile, prepare
from garmentlite.edge.recognition import answer_to
from garmentlite.edge.segmenters.masks import levels_of
from garmentlite.edge.segmenters.registry import make_segmenter

# Degrees from upright; a smaller tilt shows in no pixel, a larger one may be meant.
TILT_RANGE = (8, 60)
LONGISH = 1.2  # ratio of the axes above which there is a principal one
UNSURE = 0.5


def tilt_of(mask: np.ndarray) -> tuple[float, float]:
    """Measures the principal axis's tilt from upright, in degrees, and the ratio of the axes."""
    y, x = np.nonzero(mask)
    values, vectors = np.linalg.eigh(np.cov(x, y))
    along = vectors[:, 1]
    degrees = float(np.degrees(np.arctan2(along[1], along[0])))
    return (degrees % 180) - 90, float(np.sqrt(values[1] / max(values[0], 1e-9)))


def turned(rgb: np.ndarray, mask: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Turns photograph and mask counter-clockwise and cuts nothing off."""
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    side = int(np.hypot(height, width)) + 2
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    levels = cv2.warpAffine(levels_of(mask), matrix, (side, side))
    return cv2.warpAffine(rgb, matrix, (side, side)), levels >= 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--runs", default="runs/photo-fold-*")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = runs_named(arguments.runs)
    folds = [classifier_of(run) for run in found]
    segmenter = make_segmenter("network")
    right: dict[str, list[bool]] = {}
    changed: dict[str, int] = {}
    for photo in photographs(arguments.photos, found, arguments.limit):
        if not photo.is_garment:
            continue
        picture = read_picture(photo.path, SIDE)
        prepared = prepare(picture, segmenter)
        if prepared.image_u8 is None or prepared.mask is None:
            continue
        tile, classifier = prepared.image_u8, folds[photo.fold]
        upright = answer_to(tile, classifier)
        answers = dict.fromkeys(
            ("as it is", "principal axis upright", "the same, when unsure",
             "the surest of four right angles, when unsure"), upright
        )  # fmt: skip
        unsure = upright.max() < UNSURE
        tilt, ratio = tilt_of(prepared.mask)
        if TILT_RANGE[0] < abs(tilt) < TILT_RANGE[1] and ratio > LONGISH:
            axis = answer_to(fit_to_tile(*turned(picture.rgb, prepared.mask, tilt)), classifier)
            answers["principal axis upright"] = axis
            answers["the same, when unsure"] = axis if unsure else upright
        if unsure:
            angles = [answer_to(np.rot90(tile, k), classifier) for k in range(4)]
            surest = max(angles, key=lambda one: float(one.max()))
            answers["the surest of four right angles, when unsure"] = surest
        for way, probabilities in answers.items():
            right.setdefault(way, []).append(named(probabilities) in photo.accepted)
            changed[way] = changed.get(way, 0) + (named(probabilities) != named(upright))
    print("| way | accepted | answers changed |\n|---|---|---|")
    for way, hits in right.items():
        print(f"| {way} | {np.mean(hits):.2%} | {changed[way]} of {len(hits):,} |")
    print(json.dumps({way: float(np.mean(hits)) for way, hits in right.items()}))


if __name__ == "__main__":
    main()
