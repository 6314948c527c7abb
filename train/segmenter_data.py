"""What the segmentation network learns from: photographs whose garment several slow methods agree on.

Nobody has outlined them. Three starts of GrabCut must find nearly the same garment, pixels that they
dispute do not count, and what is learnt is varied: turned, cropped, relit, and laid on other grounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import PictureError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.segmenters.grabcut import GrabCutSegmenter
from garmentlite.edge.segmenters.masks import cleaned, reduced
from garmentlite.edge.segmenters.network_file import SIDE
from garmentlite.edge.segmenters.picture_border import frame_of

STORED_SIDE = 112  # pixels; a little more than the network sees, so that a crop stays sharp
LOWEST_AGREEMENT = (
    0.8  # smallest intersection over union of two methods on a photograph that is kept
)
CUT_OUT_AGREEMENT = 0.93  # the same for a garment that is cut out and laid elsewhere
LAID_SHARE = 0.35  # of all samples: a cut-out garment on another ground
EMPTY_SHARE = 0.07  # of all samples: a ground without a garment
_SEED = 1708  # GrabCut draws from OpenCV's generator


@dataclass(frozen=True)
class Photos:
    """Photographs squeezed to a square, with what the methods agree on.

    Attributes:
        rgb: uint8, shape (N, STORED_SIDE, STORED_SIDE, 3).
        garment: uint8, same shape without channels: 255 where all methods see the garment.
        sure: uint8, same shape: 255 where they agree, on the garment or on the ground.
        agreement: float32, shape (N,): smallest intersection over union of two methods.
    """

    rgb: np.ndarray
    garment: np.ndarray
    sure: np.ndarray
    agreement: np.ndarray


def collect(
    paths: Iterable[Path], on_progress: Callable[[int], None] = lambda done: None
) -> Photos:
    """Reads photographs and keeps those whose garment is beyond doubt.

    Args:
        paths: Picture files; what cannot be read is left out.
        on_progress: Called with the number of pictures looked at.
    """
    cv2 = load_opencv()
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]] = []
    for done, path in enumerate(paths, 1):
        on_progress(done)
        try:
            rgb = reduced(read_picture(path, 320).rgb, STORED_SIDE)
        except PictureError:
            continue
        masks = masks_of(rgb)
        agreement = min(_overlap(a, b) for a, b in combinations(masks, 2))
        if agreement < LOWEST_AGREEMENT:
            continue
        garment = np.logical_and.reduce(masks)
        sure = garment | ~np.logical_or.reduce(masks)
        size_wh, area = (STORED_SIDE, STORED_SIDE), cv2.INTER_AREA
        kept.append((
            cv2.resize(rgb, size_wh, interpolation=area),
            cv2.resize(garment.astype(np.uint8) * 255, size_wh, interpolation=area),
            cv2.resize(sure.astype(np.uint8) * 255, size_wh, interpolation=area),
            agreement,
        ))  # fmt: skip
    columns = list(zip(*kept, strict=True)) or [(), (), (), ()]
    square = (-1, STORED_SIDE, STORED_SIDE)
    return Photos(
        np.array(columns[0], np.uint8).reshape(*square, 3),
        np.array(columns[1], np.uint8).reshape(square),
        np.array(columns[2], np.uint8).reshape(square),
        np.array(columns[3], np.float32),
    )


def drawn(count: int, seed: int) -> Photos:
    """Scenes drawn by the project, whose garments are known exactly; a row as in `collect`.

    Args:
        count: How many, the labels by turns.
        seed: Of everything random.
    """
    cv2, rng = load_opencv(), np.random.default_rng(seed)
    scenes = [
        draw_scene(FASHION_MNIST_LABELS[number % len(FASHION_MNIST_LABELS)], rng)
        for number in range(count)
    ]
    size_wh, area = (STORED_SIDE, STORED_SIDE), cv2.INTER_AREA
    masks = [scene.mask.astype(np.uint8) * 255 for scene in scenes]
    return Photos(
        np.stack([cv2.resize(scene.rgb, size_wh, interpolation=area) for scene in scenes]),
        np.stack([cv2.resize(mask, size_wh, interpolation=area) for mask in masks]),
        np.full((count, STORED_SIDE, STORED_SIDE), 255, np.uint8),
        np.ones(count, np.float32),
    )


def joined(first: Photos, second: Photos) -> Photos:
    """All photographs of both."""
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return Photos(*(np.concatenate(pair) for pair in pairs))


def masks_of(rgb: np.ndarray) -> list[np.ndarray]:
    """The garment by GrabCut from three starts, bool of shape (H, W) each.

    The starts are the colours along the border, the border alone, and an ellipse in the middle, which
    lets a garment touch the border and only takes the corners for ground.

    Args:
        rgb: uint8, shape (H, W, 3).
    """
    height, width = rgb.shape[:2]
    frame = np.where(frame_of(rgb.shape), 0, 3).astype(np.uint8)  # GC_BGD, GC_PR_FGD
    y, x = np.mgrid[:height, :width]
    radius = ((2 * x + 1) / width - 1) ** 2 + ((2 * y + 1) / height - 1) ** 2
    ellipse = np.select([radius < 0.65, radius <= 1.45], [3, 2], 0).astype(np.uint8)
    return [GrabCutSegmenter().segment(rgb), _grabcut(rgb, frame), _grabcut(rgb, ellipse)]


class Samples:
    """Varied pictures with their masks, drawn anew at every call."""

    def __init__(self, photos: Photos, seed: int) -> None:
        """Takes the photographs and the seed of everything random.

        Raises:
            ValueError: If on no photograph the methods agree enough for a cut-out.
        """
        self._photos = photos
        self._cut_outs = np.flatnonzero(photos.agreement >= CUT_OUT_AGREEMENT)
        if not len(self._cut_outs):
            raise ValueError("on no photograph the methods agree enough for a cut-out")
        self._rng = np.random.default_rng(seed)

    def batch(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Some samples.

        Returns:
            float32 pictures in [0, 1], shape (count, SIDE, SIDE, 3), and float32 of shape
            (count, SIDE, SIDE, 2): how much of a pixel is garment, and how much it counts.
        """
        pictures = np.empty((count, SIDE, SIDE, 3), np.float32)
        targets = np.empty((count, SIDE, SIDE, 2), np.float32)
        for row in range(count):
            kind = self._rng.random()
            if kind < EMPTY_SHARE:
                picture, garment = self._ground(), np.zeros((SIDE, SIDE), np.float32)
                sure = np.ones_like(garment)
            elif kind < EMPTY_SHARE + LAID_SHARE:
                picture, garment, sure = self._laid()
            else:
                picture, garment, sure = self._varied(
                    int(self._rng.integers(len(self._photos.rgb)))
                )
            pictures[row] = self._relit(picture)
            targets[row] = np.stack((garment, sure), axis=2)
        return pictures, targets

    def _varied(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A photograph turned, scaled, shifted: levels in [0, 255], garment and sureness in [0, 1]."""
        cv2, photos = load_opencv(), self._photos
        matrix = self._placement(np.exp(self._rng.uniform(-0.25, 0.45)))
        size_wh, mirrored = (SIDE, SIDE), cv2.BORDER_REFLECT_101
        picture, garment, sure = (
            cv2.warpAffine(plane[index], matrix, size_wh, borderMode=mirrored).astype(np.float32)
            for plane in (photos.rgb, photos.garment, photos.sure)
        )
        return picture, garment / 255, sure / 255

    def _laid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A cut-out garment on another ground, often with a shadow."""
        cv2, photos, rng = load_opencv(), self._photos, self._rng
        index = int(rng.choice(self._cut_outs))
        matrix = self._placement(np.exp(rng.uniform(-0.45, 0.35)))
        garment = cv2.warpAffine(photos.garment[index], matrix, (SIDE, SIDE)) / np.float32(255)
        picture = cv2.warpAffine(photos.rgb[index], matrix, (SIDE, SIDE)).astype(np.float32)
        ground = self._ground()
        if rng.random() < 0.5:
            shift = np.array([[1, 0, rng.uniform(-4, 4)], [0, 1, rng.uniform(-4, 4)]], np.float32)
            shadow = cv2.warpAffine(garment, shift, (SIDE, SIDE))
            shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(1, 4))
            ground = ground * (1 - rng.uniform(0.1, 0.6) * shadow[..., np.newaxis])
        share = garment[..., np.newaxis]
        return share * picture + (1 - share) * ground, garment, np.ones_like(garment)

    def _ground(self) -> np.ndarray:
        """A piece of some photograph's ground, or of a garment's cloth, enlarged and mirrored."""
        cv2, photos, rng = load_opencv(), self._photos, self._rng
        cloth = rng.random() < 0.2
        piece = None
        while piece is None:
            index = int(rng.choice(self._cut_outs))
            height, width = rng.integers(16, 72, 2)
            y, x = (int(rng.integers(STORED_SIDE - side + 1)) for side in (height, width))
            inside = photos.garment[index, y : y + height, x : x + width] > 127
            disputed = photos.sure[index, y : y + height, x : x + width] < 128
            if not disputed.any() and (inside.all() if cloth else not inside.any()):
                piece = photos.rgb[index, y : y + height, x : x + width]
        matrix = self._placement(np.exp(rng.uniform(0, 0.7)), piece.shape)
        return cv2.warpAffine(
            piece, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.float32)

    def _placement(self, scale: float, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """How a picture is turned, mirrored, stretched and shifted: float32, shape (2, 3)."""
        rng = self._rng
        any_way = rng.random() < 0.15
        angle = rng.uniform(-np.pi, np.pi) if any_way else rng.normal(0, 0.2)
        stretch = np.exp(rng.normal(0, 0.1, 2)) * scale
        if shape is None:
            shape = (STORED_SIDE, STORED_SIDE)
            stretch *= SIDE / STORED_SIDE
        mirror = 1 if rng.random() < 0.5 else -1
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(stretch * (mirror, 1))
        centre = np.array(shape[1::-1]) / 2
        shift = SIDE * (0.5 + rng.normal(0, 0.07, 2)) - turn @ centre
        return np.column_stack((turn, shift)).astype(np.float32)

    def _relit(self, picture: np.ndarray) -> np.ndarray:
        """Other light, colours, sharpness and noise; float32 in [0, 1]."""
        cv2, rng = load_opencv(), self._rng
        if rng.random() < 0.15:
            picture = picture[..., rng.permutation(3)]
        picture = np.clip(picture, 0, 255) / np.float32(255)
        if rng.random() < 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
        if rng.random() < 0.4:  # light from one side
            across = np.linspace(-1, 1, SIDE, dtype=np.float32) * rng.normal(0, 0.2, (2, 1))
            picture = picture * (1 + across[0][:, np.newaxis] + across[1])[..., np.newaxis]
        gains = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.07, 3))
        picture = np.clip(picture * gains, 0, 1) ** np.exp(rng.normal(0, 0.2))
        picture = picture + rng.normal(0, rng.exponential(0.01), picture.shape)
        return np.rint(np.clip(picture, 0, 1) * 255) / 255


def _grabcut(rgb: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    cv2 = load_opencv()
    cv2.setRNGSeed(_SEED)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(rgb, trimap, None, background, foreground, 3, cv2.GC_INIT_WITH_MASK)
    return cleaned((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union; 0 where both are empty."""
    union: Any = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0
