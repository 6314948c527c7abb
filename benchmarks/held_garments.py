"""Measures the answers to a garment that is held up before a plain wall, a room or a person.

    python benchmarks/held_garments.py --photos DIR --scenes DIR [--runs 'runs/photo-fold-*']
        [--segmenter FILE.tflite] [--sheet FILE.png]

DIR of the photographs holds images.csv (columns image, seen_label, seen_also, seen_flags) and, in DIR/images,
the files that benchmarks/outlines.json names. DIR of the scenes holds index.csv (columns file, note),
pictures of rooms and clips of people. No segmenter is trained on the garments of the clips
(benchmarks/held_clips.py). The shipped segmenter, which answers by default, was trained on their scenes; for
figures on new scenes, let --segmenter name a file that was not. The loop of 'cli webcam' gives the answers.

It prints two tables in Markdown, by scene and size and by class, and then a line of JSON with the same
figures:

- steady: the share of frames with a garment in view whose steady answer is right, which means that it is one
  of the classes that a careful person accepts
- single: the same share if every frame is answered by itself
- true mask: the share of right steady answers if the true mask of every frame is given
- never right: the number of clips in which no steady answer is right
- median IoU: the median intersection over union of the mask and the true mask
- empty named: the share of frames of the empty scene that are named as a garment

The sheet shows the last frame of every clip with the mask that was found.

With --runs, which names the runs of benchmarks/photo_folds.py, every garment is answered by the int8 file of
the network that has not seen its contributor. Without it, the shipped classifier answers, which was trained
on the photographs of these garments, so the shares are too high for new garments.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from fold_networks import classifier_of, run_of_photographs, runs_named
from held_clips import (
    KINDS,
    SIZES,
    Clip,
    ClipFrame,
    clips_of,
    frames_of,
    read_garments,
    read_kept_out,
)

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.pictures import MAX_SIDE, Picture
from garmentlite.edge.recognition import Recognition, recognize
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.segmenters.masks import reduced
from garmentlite.edge.segmenters.network import NetworkSegmenter
from garmentlite.edge.smoothing import Smoother
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.stream import GarmentStream
from garmentlite.train.scenes import Scene

CELL = 160  # pixels; longest side of a cell of the sheet


@dataclass(frozen=True)
class Outcome:
    """The results of one clip.

    Attributes:
        kind: The kind of scene.
        size: Longer side of the garment as a share of the frame's height.
        label: The label of the garment.
        steady: For each frame with the garment, whether the steady answer is right.
        single: For each frame with the garment, whether the answer to this frame alone is right.
        true_mask: Like `steady`, if the true mask of every frame is given.
        overlaps: For each frame with the garment, the intersection over union of its mask.
        empty_named: For each frame of the empty scene, whether it is named as a garment.
        picture: uint8, shape (h, w, 3), RGB: the last frame with the mask that was found.
    """

    kind: str
    size: float
    label: str
    steady: list[bool]
    single: list[bool]
    true_mask: list[bool]
    overlaps: list[float]
    empty_named: list[bool]
    picture: np.ndarray


class ClipSource:
    """A source for the loop of the app that gives the frames of a clip."""

    camera = None

    def __init__(self, frames: Sequence[ClipFrame]) -> None:
        self._frames = frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        return (Frame(frame.bgr, frame.seconds) for frame in self._frames)


@dataclass(frozen=True)
class TrueMask:
    """A segmenter that returns the true mask of one frame."""

    mask: np.ndarray | None
    name = "true mask"
    version = 1

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """Returns the mask, which is empty if the frame shows the empty scene."""
        return np.zeros(rgb.shape[:2], bool) if self.mask is None else self.mask


def answers_of_loop(frames: Sequence[ClipFrame], recognizer: Recognizer) -> list[Recognition]:
    """Answers every frame as 'cli webcam --headless' does; only this function depends on the app's loop."""
    with GarmentStream(ClipSource(frames), recognizer) as stream:
        return [sighting.recognition for sighting in stream]


def labels_with_true_masks(frames: Sequence[ClipFrame], classifier: Classifier) -> list[str]:
    """Computes the steady answers to a clip from its true masks, without empty scene and guide box."""
    smoother = Smoother(classifier.labels, unknown_threshold=classifier.unknown_threshold)
    labels = []
    for frame in frames:
        picture, segmenter = Picture.from_bgr(frame.bgr, least_side=MAX_SIDE), TrueMask(frame.mask)
        answer = recognize(picture, classifier, segmenter)
        labels.append(smoother.update(frame.seconds, answer.probabilities).label)
    return labels


def outcome_of(clip: Clip, frames: Sequence[ClipFrame], recognizer: Recognizer) -> Outcome:
    """Answers a clip by the loop of the app, by single frames and by the true masks."""
    accepted = clip.garment.accepted
    answers = answers_of_loop(frames, recognizer)
    ideal = labels_with_true_masks(frames, recognizer.classifier)
    outcome = Outcome(
        clip.kind,
        clip.size,
        clip.garment.label,
        [],
        [],
        [],
        [],
        [],
        _pictured(frames[-1], answers[-1]),
    )
    for frame, answer, best in zip(frames, answers, ideal, strict=True):
        if frame.mask is None:
            outcome.empty_named.append(answer.label in FASHION_MNIST_LABELS)
            continue
        alone = recognizer.recognize(Picture.from_bgr(frame.bgr))
        mask = answer.mask
        outcome.steady.append(answer.label in accepted)
        outcome.single.append(alone.label in accepted)
        outcome.true_mask.append(best in accepted)
        union = np.count_nonzero(mask | frame.mask)
        outcome.overlaps.append(np.count_nonzero(mask & frame.mask) / max(1, union))
    return outcome


def _pictured(frame: ClipFrame, answer: Recognition) -> np.ndarray:
    rgb = frame.bgr[..., ::-1]
    mask = answer.mask
    shown = np.where(mask[..., np.newaxis], rgb, rgb // 3)
    small = np.ascontiguousarray(reduced(np.ascontiguousarray(shown), CELL))
    cv2.putText(
        small, answer.label, (3, small.shape[0] - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0)
    )
    return small


def _outcomes_of(
    garment_number: int, photos: Path, scenes_folder: Path, segmenter_file: Path | None, a_class: int,
    sizes: tuple[float, ...], run_of: dict[str, Path],
) -> list[Outcome]:  # fmt: skip
    """Computes the outcomes of one garment's clips; it runs in a worker process."""
    cv2.setNumThreads(1)
    garment = read_garments(photos, a_class)[garment_number]
    scenes = _scenes(scenes_folder)
    classifier = classifier_of(run_of[garment.name]) if run_of else None
    recognizer = Recognizer(classifier, NetworkSegmenter(segmenter_file))
    return [
        outcome_of(clip, list(frames_of(clip, scenes)), recognizer)
        for clip in clips_of(garment, sizes)
    ]


_read: dict[Path, dict[str, list[Scene]]] = {}


def _scenes(folder: Path) -> dict[str, list[Scene]]:
    """Reads the scenes, once in each process."""
    if folder not in _read:
        _read[folder] = read_kept_out(folder)
    return _read[folder]


def print_tables(outcomes: Sequence[Outcome]) -> list[dict]:
    """Prints the tables by scene and size and by class; returns their rows for JSON."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.kind, f"{outcome.size:g}"].append(outcome)
        groups[outcome.kind, "all"].append(outcome)
        if outcome.kind != KINDS[0]:
            groups["real scenes", f"{outcome.size:g}"].append(outcome)
            groups["real scenes", "all"].append(outcome)
    print(
        "| scene | size | clips | steady | single | true mask | never right | median IoU | empty named |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    results = [_printed(kind, size, group) for (kind, size), group in sorted(groups.items())]
    print(
        "\n| class | | clips | steady | single | true mask | never right | median IoU | empty named |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for label in FASHION_MNIST_LABELS:
        group = [one for one in outcomes if one.label == label and one.kind != KINDS[0]]
        if group:
            results.append(_printed(label, "real scenes", group))
    return results


def _printed(name: str, part: str, group: Sequence[Outcome]) -> dict:
    """Prints one row of a table and returns it for JSON."""

    def share(field: str) -> float | None:
        values = [value for outcome in group for value in getattr(outcome, field)]
        return float(np.mean(values)) if values else None

    result = {
        "name": name, "part": part, "clips": len(group), "steady": share("steady"), "single": share("single"),
        "true_mask": share("true_mask"), "never_right": sum(not any(one.steady) for one in group),
        "median_iou": float(np.median([iou for one in group for iou in one.overlaps])),
        "empty_named": share("empty_named"),
    }  # fmt: skip
    cells = (
        f"{v:.2f}" if isinstance(v, float) else "-" if v is None else str(v)
        for v in result.values()
    )
    print(f"| {' | '.join(cells)} |")
    return result


def write_sheet(path: Path, outcomes: Sequence[Outcome], columns: int = 12) -> None:
    """Writes a contact sheet with a frame of every clip; clips of one garment are side by side."""
    cells = [outcome.picture for outcome in outcomes]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--runs", default="", help="pattern of the folds' runs")
    parser.add_argument("--segmenter", type=Path, help="a .tflite file in place of the shipped one")
    parser.add_argument("--sheet", type=Path, help="a .png file for the contact sheet")
    parser.add_argument(
        "--garments", type=int, default=4, help="largest number of garments of a class"
    )
    parser.add_argument("--sizes", type=float, nargs="+", default=list(SIZES))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    garments = read_garments(arguments.photos, arguments.garments)
    count = len(garments)
    runs = runs_named(arguments.runs)
    if arguments.runs and not runs:
        parser.error(f"--runs {arguments.runs} names no folder")
    run_of = {name: runs[number] for name, number in run_of_photographs(runs).items()}
    missing = [g.name for g in garments if g.name not in run_of] if runs else []
    if missing:
        parser.error(f"none of the runs {arguments.runs} holds out {missing[0]}")
    measure = partial(
        _outcomes_of, photos=arguments.photos, scenes_folder=arguments.scenes,
        segmenter_file=arguments.segmenter, a_class=arguments.garments, sizes=tuple(arguments.sizes),
        run_of=run_of,
    )  # fmt: skip
    # A forked process would wait for ever for the threads of OpenCV, which read the garments in this one.
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        outcomes = [outcome for made in pool.map(measure, range(count)) for outcome in made]
    print(f"{count} garments, {len(outcomes)} clips.\n")
    results = print_tables(outcomes)
    if arguments.sheet:
        write_sheet(arguments.sheet, outcomes)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
