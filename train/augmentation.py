"""Augmentation: random changes of the training images, drawn again for every batch.

It uses Pillow and NumPy on uint8 images and is never part of a saved network. So the same seed gives the same
images under every Keras backend, and a run that was interrupted continues with the images it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from garmentlite.edge.metadata import MIRRORED, PLAIN


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
    """

    rotation: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    flip: float = 0.0
    erase: float = 0.0

    @property
    def views(self) -> tuple[str, ...]:
        """The views of an image that a network trained with this augmentation can be asked about.

        A network that saw mirrored images in training answers better when the mean of its answers to the
        image itself, "plain", and to the "mirrored" image is taken.
        """
        return (PLAIN, MIRRORED) if self.flip > 0 else (PLAIN,)


def augment(images_u8: np.ndarray, limits: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Makes randomly rotated, sheared, zoomed and shifted copies of images.

    Pixels from outside the image are 0, the background of Fashion-MNIST. (The default of Keras' layers
    mirrors the garment at the border instead.) The nearest pixel is taken, without interpolation, since
    the images themselves were made by leaving out rows and columns: bilinear interpolation would remove a
    good part of the variance between neighbouring pixels, and the network would be trained on blurrier
    images than those it is asked about.

    Args:
        images_u8: uint8, shape (N, H, W). Not changed.
        limits: How far each image may be changed.
        rng: Source of the random amounts; six are drawn for each image, whatever the limits, and more if
            images are flipped or erased.

    Returns:
        uint8, shape (N, H, W).
    """
    from PIL import Image

    count, height, width = images_u8.shape
    matrices = _inverse_affine(count, height, width, limits, rng)
    result = np.empty_like(images_u8)
    for row, (image, matrix) in enumerate(zip(images_u8, matrices.tolist(), strict=True)):
        result[row] = Image.fromarray(image).transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=0
        )
    if limits.flip:
        chosen = rng.random(count) < limits.flip
        result[chosen] = result[chosen, :, ::-1]
    if limits.erase:
        _erase(result, limits.erase, rng)
    return result


def _erase(images_u8: np.ndarray, probability: float, rng: np.random.Generator) -> None:
    """Paints over one rectangle in some of the images, in place."""
    count, height, width = images_u8.shape
    chosen, area, aspect, x, y, grey = rng.random((6, count))
    area = 0.02 + (0.4 - 0.02) * area
    aspect = np.exp(np.log(0.3) * (2 * aspect - 1))  # 0.3 to 1 / 0.3, the same odds for both ways
    heights = np.minimum(height, np.rint(np.sqrt(area * aspect) * height)).astype(int)
    widths = np.minimum(width, np.rint(np.sqrt(area / aspect) * width)).astype(int)
    tops = (y * (height - heights + 1)).astype(int)
    lefts = (x * (width - widths + 1)).astype(int)
    for row in np.flatnonzero(chosen < probability):
        top, left = tops[row], lefts[row]
        bottom, right = top + heights[row], left + widths[row]
        images_u8[row, top:bottom, left:right] = int(grey[row] * 256)


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
