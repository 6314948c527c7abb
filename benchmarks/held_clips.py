"""Clips of a garment held up to a camera, composed of outlined photographs and scenes.

The garments are those of benchmarks/outlines.json, by contributors on whom no segmenter was trained. The
scenes are those that `garmentlite.train.scenes.KEPT_OUT` names. The shipped segmenter was trained on these
scenes, too. A clip depends on its own settings alone.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np

from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.pictures import read_picture
from garmentlite.train.cut_outs import cut_out
from garmentlite.train.held_up import Placement, hand_layer, layer, over, skin_colour
from garmentlite.train.scenes import KEPT_OUT, Scene, read_scenes

ROOT = Path(__file__).resolve().parent.parent
SIZE_WH = (640, 480)  # pixels of a frame
FPS = 10  # frames a second
EMPTY_SECONDS, HELD_SECONDS = 2.0, 2.5
KINDS = ("plain wall", "interior", "room", "person behind")
SIZES = (0.3, 0.5, 0.7)  # of the frame's height: the longer side of the garment
_JPEG_QUALITY = 85
_NOISE = 2.5  # levels, standard deviation of a frame's noise
# Photographs on which the garment is not seen as somebody would hold it up.
_LEFT_OUT_FLAGS = {"worn", "several", "cut", "crumpled"}


@dataclass(frozen=True)
class Garment:
    """A garment cut out by its outline.

    Attributes:
        name: File name of its photograph.
        label: The class one would name first.
        accepted: All classes that a careful person could give.
        rgba: uint8, shape (H, W, 4).
    """

    name: str
    label: str
    accepted: frozenset[str]
    rgba: np.ndarray


@dataclass(frozen=True)
class Clip:
    """What is seen in one clip.

    Attributes:
        garment: What is held up.
        kind: One of `KINDS`.
        size: The garment's longer side in shares of the frame's height.
        begins_empty: Whether the scene is seen without the garment at first.
        has_hands: Whether drawn hands hold it.
    """

    garment: Garment
    kind: str
    size: float
    begins_empty: bool
    has_hands: bool

    @property
    def seed(self) -> int:
        """Of everything random in it."""
        return crc32(f"{self.garment.name} {self.kind} {self.size}".encode())


@dataclass(frozen=True)
class ClipFrame:
    """A frame and the truth about it.

    Attributes:
        bgr: uint8, shape (480, 640, 3).
        seconds: Since the clip began.
        mask: bool, shape (480, 640), True on the garment; None while the scene is empty.
    """

    bgr: np.ndarray
    seconds: float
    mask: np.ndarray | None


def read_garments(photos: Path, a_class: int) -> list[Garment]:
    """The outlined garments, at most `a_class` of a class, in the order of the outlines."""
    document = json.loads((ROOT / "benchmarks" / "outlines.json").read_text(encoding="utf-8"))
    outlines = document["outlines"]
    with (photos / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    garments, taken = [], Counter[str]()
    for name, outline in outlines.items():
        row = rows[name]
        label = row["seen_label"]
        flags = set(row["seen_flags"].split("|"))
        if label not in FASHION_MNIST_LABELS or flags & _LEFT_OUT_FLAGS or taken[label] >= a_class:
            continue
        width, height = outline["size_wh"]
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.array(ring, np.int32) for ring in outline["rings"]], 255)
        rgba = cut_out(read_picture(photos / "images" / name, 320).rgb, mask)
        if rgba is not None:
            accepted = frozenset({label, *filter(None, row["seen_also"].split("|"))})
            garments.append(Garment(name, label, accepted, rgba))
            taken[label] += 1
    return garments


def clips_of(garment: Garment, sizes: tuple[float, ...] = SIZES) -> list[Clip]:
    """A garment's clips; half of them begin with the empty scene, and half show hands."""
    every = [(kind, size) for kind in KINDS for size in sizes]
    start = crc32(garment.name.encode())
    return [
        Clip(garment, kind, size, (start + n) % 2 == 0, (start // 2 + n // 2) % 2 == 0)
        for n, (kind, size) in enumerate(every)
    ]


def read_kept_out(folder: Path) -> dict[str, list[Scene]]:
    """The scenes that `KEPT_OUT` names, by the kind of clip they are the background of."""
    scenes = [scene for scene in read_scenes(folder, SIZE_WH[0]) if scene.place in KEPT_OUT]
    return {
        "interior": [scene for scene in scenes if scene.is_photograph],
        "room": [s for s in scenes if not s.is_photograph and not s.has_person],
        "person behind": [scene for scene in scenes if scene.has_person],
    }


def frames_of(clip: Clip, scenes: dict[str, list[Scene]]) -> Iterator[ClipFrame]:
    """The frames of a clip: slow motion, flickering light, noise and JPEG."""
    rng = np.random.default_rng(clip.seed)
    backgrounds = _backgrounds(clip.kind, scenes, rng)
    centre = np.array(SIZE_WH) * (0.5 + rng.normal(0, 0.05, 2))
    phases = rng.uniform(0, 2 * np.pi, 5)
    speeds = rng.uniform(0.15, 0.4, 5) * 2 * np.pi  # radians a second
    gain, tint = np.exp(rng.normal(0, 0.12)), np.exp(rng.normal(0, 0.03, 3))
    sleeve = rng.uniform(20, 235, 3) if rng.random() < 0.5 else None
    skin, hand_seed = skin_colour(rng), int(rng.integers(2**31))
    empty = round(EMPTY_SECONDS * FPS) if clip.begins_empty else 0
    for number in range(empty + round(HELD_SECONDS * FPS)):
        seconds = number / FPS
        picture, mask = backgrounds[number % len(backgrounds)], None
        if number >= empty:
            swing = np.sin(phases + speeds * seconds)
            size = clip.size * SIZE_WH[1] * (1 + 0.04 * swing[2])
            placement = Placement(tuple(centre + swing[:2] * 0.03 * SIZE_WH[1]), size, 5 * swing[3])
            top = layer(clip.garment.rgba, placement, SIZE_WH)
            top[..., :3] = np.minimum(top[..., :3] * (gain * tint), 255 * top[..., 3:])
            picture, visible = over(top, picture), top[..., 3].copy()
            if clip.has_hands:
                for hand in _hands(placement, top[..., 3], skin, sleeve, hand_seed):
                    picture, visible = over(hand, picture), visible * (1 - hand[..., 3])
            mask = visible > 0.5
        flicker = 1 + 0.02 * np.sin(9 * seconds + phases[4]) + rng.normal(0, 0.005)
        noise = rng.standard_normal(picture.shape, np.float32) * _NOISE
        rgb = np.rint(np.clip(picture * flicker + noise, 0, 255)).astype(np.uint8)
        content = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        yield ClipFrame(cv2.imdecode(content, cv2.IMREAD_COLOR), seconds, mask)


def _backgrounds(
    kind: str, scenes: dict[str, list[Scene]], rng: np.random.Generator
) -> list[np.ndarray]:
    """What is behind the garment in one frame after the other, forth and back."""
    if kind == "plain wall":
        width, height = SIZE_WH
        colour = rng.uniform(90, 225) * np.exp(rng.normal(0, 0.08, 3))
        slope = np.linspace(-1, 1, width) * rng.normal(0, 0.1)
        light = 1 + slope + np.linspace(-1, 1, height)[:, np.newaxis] * rng.normal(0, 0.06)
        return [np.clip(light[..., np.newaxis] * colour, 0, 255).astype(np.float32)]
    frames = scenes[kind][rng.integers(len(scenes[kind]))].frames
    covering = [_covering(frame) for frame in frames]
    return covering + covering[-2:0:-1]


def _covering(rgb: np.ndarray) -> np.ndarray:
    """The middle of a picture at the size of a frame."""
    width, height = SIZE_WH
    scale = max(width / rgb.shape[1], height / rgb.shape[0])
    wide, high = (round(side * scale) for side in rgb.shape[1::-1])
    enlarged = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_LINEAR)
    y, x = (high - height) // 2, (wide - width) // 2
    return enlarged[y : y + height, x : x + width]


def _hands(
    placement: Placement,
    alpha: np.ndarray,
    skin: np.ndarray,
    sleeve: np.ndarray | None,
    seed: int,
) -> Iterator[np.ndarray]:
    """Two hands at the upper corners of what is held."""
    rows, columns = np.nonzero(alpha > 0.5)
    upper = rows < rows.min() + 0.15 * placement.size
    y, rng = rows.min() + 0.08 * placement.size, np.random.default_rng(seed)
    for x, side in ((columns[upper].min(), -1), (columns[upper].max(), 1)):
        elbow = (x + side * 0.25 * SIZE_WH[1], 1.1 * SIZE_WH[1])
        thickness = 0.05 * SIZE_WH[1] + 0.03 * placement.size
        yield hand_layer(
            SIZE_WH, (float(x), float(y)), elbow, thickness, rng, skin=skin, sleeve=sleeve
        )
