"""Finds the garments of photographs without outlines drawn by hand, and cuts them out.

GrabCut runs from three different starts, which must find nearly the same garment. Pixels on which the three
masks differ are marked as not sure. If the masks agree closely, the garment can be cut out and laid on
another picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import PictureError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.npz import read_npz, write_npz
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.segmenters.grabcut import GrabCutSegmenter
from garmentlite.edge.segmenters.masks import cleaned, levels_of, reduced
from garmentlite.edge.segmenters.picture_border import border_mask

# Longest side in pixels. A garment that fills a training picture needs 110.
STORED_SIDE = 144
# A photograph is kept if the intersection over union of its two most different masks is at least this.
LOWEST_AGREEMENT = 0.8
CUT_OUT_AGREEMENT = 0.9  # the same for a garment that is cut out
# A garment that covers more than this share of the border's pixels counts as cut off by the frame.
BORDER_SHARE = 0.01
_JPEG_QUALITY = 92  # quality of stored photographs
_PURPOSE = "photographs with masks"
_SEED = 1708  # for OpenCV's random numbers, which GrabCut uses


@dataclass(frozen=True)
class MaskedPhoto:
    """A photograph with the garment that the methods agree on.

    Attributes:
        rgb: uint8, shape (H, W, 3), longest side `STORED_SIDE`.
        garment: uint8, shape (H, W): 255 where all methods see the garment, 0 elsewhere.
        sure: uint8, shape (H, W): 255 where the methods agree, 0 where they do not.
        agreement: Smallest intersection over union of two methods, in [0, 1].
    """

    rgb: np.ndarray
    garment: np.ndarray
    sure: np.ndarray
    agreement: float


def collect(
    paths: Iterable[Path], on_progress: Callable[[int], None] = lambda done: None
) -> list[MaskedPhoto]:
    """Reads photographs and keeps those on whose garment the methods agree.

    Args:
        paths: Picture files; those that cannot be read are skipped.
        on_progress: Called with the number of pictures that were tried so far.
    """
    kept = []
    for done, path in enumerate(paths, 1):
        on_progress(done)
        try:
            rgb = reduced(read_picture(path, 320).rgb, STORED_SIDE)
        except PictureError:
            continue
        photo = masked(rgb)
        if photo.agreement >= LOWEST_AGREEMENT:
            kept.append(photo)
    return kept


def masked(rgb: np.ndarray) -> MaskedPhoto:
    """Finds the garment of a photograph, and the pixels on which the methods agree.

    Args:
        rgb: uint8, shape (H, W, 3).
    """
    masks = masks_of(rgb)
    garment = np.logical_and.reduce(masks)
    sure = garment | ~np.logical_or.reduce(masks)
    agreement = min(_overlap(a, b) for a, b in combinations(masks, 2))
    return MaskedPhoto(rgb, levels_of(garment), levels_of(sure), agreement)


def masks_of(rgb: np.ndarray) -> list[np.ndarray]:
    """Finds the garment by GrabCut from three starts; each mask is bool of shape (H, W).

    The first start is the mask that colours along the border give, and the second takes the border as ground.
    The third is an ellipse in the middle: it takes only the corners as ground, so that a garment may touch
    the border.

    Args:
        rgb: uint8, shape (H, W, 3).
    """
    height, width = rgb.shape[:2]
    frame = np.where(border_mask(rgb.shape), 0, 3).astype(np.uint8)  # GC_BGD, GC_PR_FGD
    y, x = np.mgrid[:height, :width]
    radius = ((2 * x + 1) / width - 1) ** 2 + ((2 * y + 1) / height - 1) ** 2
    ellipse = np.select([radius < 0.65, radius <= 1.45], [3, 2], 0).astype(np.uint8)
    return [GrabCutSegmenter().segment(rgb), _grabcut(rgb, frame), _grabcut(rgb, ellipse)]


def drawn(count: int, seed: int) -> list[MaskedPhoto]:
    """Draws scenes whose garments are known exactly.

    Args:
        count: Number of scenes; the labels take turns.
        seed: Seed of all random choices.
    """
    rng = np.random.default_rng(seed)
    photos = []
    for number in range(count):
        scene = draw_scene(FASHION_MNIST_LABELS[number % len(FASHION_MNIST_LABELS)], rng)
        garment = reduced(levels_of(scene.mask), STORED_SIDE)
        rgb = reduced(scene.rgb, STORED_SIDE)
        photos.append(MaskedPhoto(rgb, garment, np.full_like(garment, 255), 1.0))
    return photos


def cut_out(rgb: np.ndarray, garment: np.ndarray) -> np.ndarray | None:
    """Cuts a garment out onto a transparent ground, trimmed to its box.

    One pixel is removed along its edge, so that no ground remains there.

    Args:
        rgb: uint8, shape (H, W, 3).
        garment: uint8, shape (H, W): 255 on the garment.

    Returns:
        uint8, shape (h, w, 4): red, green, blue, alpha. None if the frame cuts the garment off, or if it
        is nowhere three pixels wide, or covers less than a twentieth or more than four fifths of the picture.
    """
    cv2 = load_opencv()
    inside = garment > 127
    border = np.concatenate((inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    if border.mean() > BORDER_SHARE or not 0.05 < inside.mean() < 0.8:
        return None
    inner = cv2.erode(levels_of(inside), np.ones((3, 3), np.uint8))
    if not inner.any():
        return None
    x, y, width, height = cv2.boundingRect(inner)
    rgba = np.dstack((rgb, cv2.GaussianBlur(inner, (0, 0), 0.8)))
    return np.ascontiguousarray(rgba[y : y + height, x : x + width])


def cut_outs(photos: Sequence[MaskedPhoto]) -> list[np.ndarray]:
    """Cuts out the garments of all photographs that allow it; see `cut_out`."""
    made = [cut_out(p.rgb, p.garment) for p in photos if p.agreement >= CUT_OUT_AGREEMENT]
    return [rgba for rgba in made if rgba is not None]


def save(path: Path, photos: Sequence[MaskedPhoto]) -> None:
    """Writes photographs as JPEG and masks as PNG to an .npz file.

    Raises:
        OutputError: If the file cannot be written.
    """
    cv2 = load_opencv()
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    pieces = [cv2.imencode(".jpg", photo.rgb[..., ::-1], quality)[1] for photo in photos]
    pieces += [cv2.imencode(".png", np.dstack((p.garment, p.sure, p.sure)))[1] for p in photos]
    arrays = {
        "content": np.concatenate(pieces),
        "ends": np.cumsum([len(piece) for piece in pieces]),
        "agreement": np.array([photo.agreement for photo in photos]),
    }
    write_npz(path, _PURPOSE, {}, arrays)


def load(path: Path) -> list[MaskedPhoto]:
    """Reads what `save` wrote.

    Raises:
        DataError: If the file cannot be read, is damaged or holds something else.
    """
    cv2 = load_opencv()
    stored = read_npz(path, _PURPOSE, "remove it to have the masks made again").arrays
    pieces = np.split(stored["content"], stored["ends"][:-1])
    pictures = [cv2.imdecode(piece, cv2.IMREAD_COLOR) for piece in pieces]
    count = len(stored["agreement"])
    return [
        MaskedPhoto(
            np.ascontiguousarray(picture[..., ::-1]),
            np.ascontiguousarray(mask[..., 0]),
            np.ascontiguousarray(mask[..., 1]),
            float(agreement),
        )
        for picture, mask, agreement in zip(
            pictures[:count], pictures[count:], stored["agreement"], strict=True
        )
    ]


def _grabcut(rgb: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    cv2 = load_opencv()
    cv2.setRNGSeed(_SEED)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(rgb, trimap, None, background, foreground, 3, cv2.GC_INIT_WITH_MASK)
    return cleaned((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Computes the intersection over union of two masks, or 0 if both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0
