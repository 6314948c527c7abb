"""Augmentation: random changes of the training images, drawn again for every batch.

NumPy draws what is changed (`draw`). The changes are then carried out here by Pillow and NumPy (`changed`),
or on an accelerator by `device_augmentation.changed`. Both work on uint8 images and are never part of a saved
network. So the same seed gives the same images under every Keras backend and on every device, and a run that
was interrupted continues with the images it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from garmentlite.edge.errors import OptionError
from garmentlite.edge.metadata import MIRRORED, PLAIN

WHOLE = 256  # the weight of an image that is not blended with another


@dataclass(frozen=True)
class Augmentation:
    """How far an image may be changed; every amount is drawn uniformly from [-limit, limit].

    Attributes:
        rotation: Limit of the rotation about the centre, in degrees.
        shift: Limit of the shift, horizontally and vertically, as a share of the image's side.
        shear: Limit of the horizontal shear, as the tangent of its angle.
        zoom: Limit of the share by which the image grows or shrinks, in each direction on its own.
        flip: Probability of a mirrored image, left for right.
        erase: Probability of a random rectangle painted over in one random grey (random erasing, Zhong
            et al. 2017, arXiv 1708.04896, with its 2% to 40% of the area and aspects up to 0.3).
        mixup: Probability that an image is blended with another one of its batch; the targets are blended
            too (Zhang et al. 2017, arXiv 1710.09412, with weights uniform in [0, 1]).
        cutmix: Probability that a rectangle of another image of its batch is pasted into an image; the
            targets are mixed by area (Yun et al. 2019, arXiv 1905.04899, with areas uniform in [0, 1]).
    """

    rotation: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    flip: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        """Raises OptionError if the probabilities of mixing add up to more than 1."""
        if self.mixup + self.cutmix > 1:
            raise OptionError(
                f"The probabilities of mixup and cutmix must add up to at most 1, got {self.mixup} and "
                f"{self.cutmix}."
            )

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that targets must be probabilities in place of class numbers."""
        return self.mixup + self.cutmix > 0

    @property
    def views(self) -> tuple[str, ...]:
        """The views of an image that a network trained with this augmentation can be asked about.

        A network that saw mirrored images in training answers better when the mean of its answers to the
        image itself, "plain", and to the "mirrored" image is taken.
        """
        return (PLAIN, MIRRORED) if self.flip > 0 else (PLAIN,)


@dataclass(frozen=True)
class Changes:
    """What is changed in each of N images, in this order.

    Attributes:
        matrices: Coefficients of Pillow's AFFINE, from result to source, float64, shape (N, 6).
        mirrored: Whether the image is mirrored, left for right, bool, shape (N,).
        erased: Rectangle that is painted over: top, left, bottom, right in pixels, int32, shape (N, 4); it
            is empty where nothing is erased.
        grey: The grey level that it is painted with, int32, shape (N,).
        partner: Number of the image in the batch that this one is mixed with, int32, shape (N,).
        weight: Weight of the image itself when it is blended with its partner, of `WHOLE`, int32, shape (N,).
        pasted: Rectangle that is taken from the partner, like `erased`.
    """

    matrices: np.ndarray
    mirrored: np.ndarray
    erased: np.ndarray
    grey: np.ndarray
    partner: np.ndarray
    weight: np.ndarray
    pasted: np.ndarray

    def own_share(self, height: int, width: int) -> np.ndarray:
        """Computes the share of each image's own target in the mixed one, float32, shape (N,)."""
        pasted = _areas(self.pasted) / (height * width)
        return (self.weight / WHOLE * (1 - pasted)).astype(np.float32)


def draw(
    count: int, height: int, width: int, limits: Augmentation, rng: np.random.Generator
) -> Changes:
    """Draws the changes of a batch.

    Args:
        count: Number of images, N.
        height: Height of an image in pixels.
        width: Its width.
        limits: How far each image may be changed.
        rng: Source of the random amounts; six are drawn for each image, whatever the limits, and more if
            images are flipped, erased or mixed.
    """
    matrices = _inverse_affine(count, height, width, limits, rng)
    mirrored = np.zeros(count, bool)
    if limits.flip:
        mirrored = rng.random(count) < limits.flip
    erased, grey = np.zeros((count, 4), np.int32), np.zeros(count, np.int32)
    if limits.erase:
        chosen, area, aspect, x, y, level = rng.random((6, count))
        area = 0.02 + (0.4 - 0.02) * area
        aspect = np.exp(np.log(0.3) * (2 * aspect - 1))  # 0.3 to 1 / 0.3, the same odds both ways
        heights = np.sqrt(area * aspect) * height
        widths = np.sqrt(area / aspect) * width
        erased = _rectangles(chosen < limits.erase, heights, widths, x, y, height, width)
        grey = (level * 256).astype(np.int32)
    partner = np.arange(count, dtype=np.int32)
    weight, pasted = np.full(count, WHOLE, np.int32), np.zeros((count, 4), np.int32)
    if limits.mixes:
        partner = rng.permutation(partner)
        chosen, share, x, y = rng.random((4, count))
        blended = chosen < limits.mixup
        weight[blended] = np.rint(share[blended] * WHOLE)
        cut = ~blended & (chosen < limits.mixup + limits.cutmix)
        heights, widths = np.sqrt(1 - share) * height, np.sqrt(1 - share) * width
        pasted = _rectangles(cut, heights, widths, x, y, height, width)
    return Changes(matrices, mirrored, erased, grey, partner, weight, pasted)


def changed(images_u8: np.ndarray, changes: Changes) -> np.ndarray:
    """Carries out changes with Pillow and NumPy.

    Pixels from outside the image are 0, the background of Fashion-MNIST. (The default of Keras' layers
    mirrors the garment at the border instead.) The nearest pixel is taken, without interpolation, since
    the images themselves were made by leaving out rows and columns: bilinear interpolation would remove a
    good part of the variance between neighbouring pixels, and the network would be trained on blurrier
    images than those it is asked about.

    Args:
        images_u8: uint8, shape (N, H, W). Not changed.
        changes: What is changed in each.

    Returns:
        uint8, shape (N, H, W).
    """
    from PIL import Image

    _, height, width = images_u8.shape
    result = np.empty_like(images_u8)
    for row, (image, matrix) in enumerate(zip(images_u8, changes.matrices.tolist(), strict=True)):
        result[row] = Image.fromarray(image).transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=0
        )
    mirrored = changes.mirrored
    result[mirrored] = result[mirrored, :, ::-1]
    for row in np.flatnonzero(_areas(changes.erased)).tolist():
        top, left, bottom, right = changes.erased[row]
        result[row, top:bottom, left:right] = changes.grey[row]
    unmixed = result.copy()
    for row in np.flatnonzero(changes.weight < WHOLE).tolist():
        own, other = unmixed[row].astype(np.int32), unmixed[changes.partner[row]]
        weight = changes.weight[row]
        result[row] = (own * weight + other * (WHOLE - weight) + WHOLE // 2) // WHOLE
    for row in np.flatnonzero(_areas(changes.pasted)).tolist():
        top, left, bottom, right = changes.pasted[row]
        result[row, top:bottom, left:right] = unmixed[changes.partner[row], top:bottom, left:right]
    return result


def augment(images_u8: np.ndarray, limits: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Makes randomly changed copies of images; see `draw` and `changed`.

    Args:
        images_u8: uint8, shape (N, H, W). Not changed.
        limits: How far each image may be changed.
        rng: Source of the random amounts.

    Returns:
        uint8, shape (N, H, W).
    """
    count, height, width = images_u8.shape
    return changed(images_u8, draw(count, height, width, limits, rng))


def _rectangles(
    chosen: np.ndarray,
    heights: np.ndarray,
    widths: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    height: int,
    width: int,
) -> np.ndarray:
    """Places rectangles in images, int32, shape (N, 4); they are empty where they are not chosen.

    Args:
        chosen: Whether the image has a rectangle, shape (N,).
        heights: Their heights in pixels, not yet rounded.
        widths: Their widths.
        x: Their places from left to right, in [0, 1).
        y: Their places from top to bottom.
        height: Height of an image in pixels.
        width: Its width.
    """
    heights = np.minimum(height, np.rint(heights)).astype(int)
    widths = np.minimum(width, np.rint(widths)).astype(int)
    tops = (y * (height - heights + 1)).astype(int)
    lefts = (x * (width - widths + 1)).astype(int)
    corners = np.stack([tops, lefts, tops + heights, lefts + widths], axis=1)
    return np.where(chosen[:, np.newaxis], corners, 0).astype(np.int32)


def _areas(rectangles: np.ndarray) -> np.ndarray:
    top, left, bottom, right = rectangles.T
    return (bottom - top) * (right - left)


def _inverse_affine(
    count: int, height: int, width: int, limits: Augmentation, rng: np.random.Generator
) -> np.ndarray:
    """Computes the coefficients of Pillow's AFFINE, from result to source, for each image: shape (N, 6)."""
    angle, shift_x, shift_y, shear, zoom_x, zoom_y = rng.uniform(-1, 1, (6, count))
    angle = np.deg2rad(limits.rotation * angle)
    shear = limits.shear * shear
    scale_x, scale_y = 1 + limits.zoom * zoom_x, 1 + limits.zoom * zoom_y
    cos, sin = np.cos(angle), np.sin(angle)
    # rotation @ shear @ diag(scale), applied to coordinates counted from the centre
    a, b = cos * scale_x, (cos * shear - sin) * scale_y
    d, e = sin * scale_x, (sin * shear + cos) * scale_y
    centre_x, centre_y = width / 2, height / 2  # Pillow counts to pixel edges, not pixel centres
    c = centre_x - a * centre_x - b * centre_y + limits.shift * width * shift_x
    f = centre_y - d * centre_x - e * centre_y + limits.shift * height * shift_y
    return np.stack([a, b, c, d, e, f], axis=1)
