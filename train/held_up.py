"""Composes pictures of a garment that is held up, from a cut-out, a background and drawn hands or people.

The pictures that train the segmenter, some variants of the photographs that train the classifier
(`held_variants`), and the clips of `benchmarks/held_garments.py` are made with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.opencv import load_opencv

# Typical colours of skin under white light, as red, green and blue levels.
_SKIN_RGB = np.array([
    (240, 200, 180), (225, 180, 150), (200, 150, 120), (160, 110, 80), (110, 75, 55), (80, 55, 45)
])  # fmt: skip
# Standard deviation of the blur that softens the edge of a hand, as a share of the picture's height.
_SOFT_EDGE = 0.007


@dataclass(frozen=True)
class Placement:
    """Where a garment is held, in pixels of the picture.

    Attributes:
        centre: x and y of the middle of the garment's box.
        size: Pixels of the longer side of the garment's box.
        angle: Rotation in degrees, counter-clockwise.
        stretch: Factor by which the garment is widened; with 1 its proportions are those of the photograph.
        is_mirrored: Whether left and right are exchanged.
    """

    centre: tuple[float, float]
    size: float
    angle: float = 0.0
    stretch: float = 1.0
    is_mirrored: bool = False


def layer(rgba: np.ndarray, placement: Placement, size_wh: tuple[int, int]) -> np.ndarray:
    """Places a garment on a transparent layer of the size of the picture.

    Args:
        rgba: uint8, shape (h, w, 4); see `cut_outs.cut_out`.
        placement: The position, size and turn with which it is held.
        size_wh: Width and height of the picture in pixels.

    Returns:
        float32, shape (H, W, 4): colours in [0, 255] multiplied by the alpha in [0, 1], which is last.
    """
    cv2 = load_opencv()
    if placement.is_mirrored:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    scale = placement.size / max(rgba.shape[:2])
    if scale < 1:  # shrink by averaging first, since a warp samples single pixels
        shrunk_wh = [max(1, round(side * scale)) for side in rgba.shape[1::-1]]
        rgba = cv2.resize(rgba, shrunk_wh, interpolation=cv2.INTER_AREA)
        scale = 1.0
    alpha = rgba[..., 3:].astype(np.float32) / 255
    premultiplied = np.dstack((rgba[..., :3] * alpha, alpha)).astype(np.float32)
    height, width = rgba.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), placement.angle, scale)
    matrix[:, 0] *= placement.stretch
    middle = matrix[:, :2] @ (width / 2, height / 2)
    matrix[:, 2] = np.subtract(placement.centre, middle)
    made: np.ndarray = cv2.warpAffine(premultiplied, matrix, size_wh, flags=cv2.INTER_LINEAR)
    return made


def over(top: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Lays a layer over a picture: float32, shape (H, W, 3).

    Args:
        top: float32, shape (H, W, 4); see `layer`.
        background: A picture of shape (H, W, 3) with levels in [0, 255].
    """
    return top[..., :3] + background * (1 - top[..., 3:])


def crop(
    rgb: np.ndarray, size_wh: tuple[int, int], rng: np.random.Generator, largest_zoom: float = 2.0
) -> np.ndarray:
    """Cuts a random part out of a scene and resizes it; half of the parts are mirrored.

    The part has the proportions of the picture that is made.

    Args:
        rgb: uint8, shape (H, W, 3).
        size_wh: Width and height of the picture in pixels.
        rng: Chooses the place and size.
        largest_zoom: The largest factor by which the part is smaller than the scene.

    Returns:
        float32, shape (H, W, 3), levels in [0, 255].
    """
    cv2 = load_opencv()
    aspect = size_wh[0] / size_wh[1]
    height, width = rgb.shape[:2]
    part_h = min(height, width / aspect) / rng.uniform(1, largest_zoom)
    part_hw = max(1, int(part_h)), max(1, int(part_h * aspect))
    y, x = (
        int(rng.integers(side - part + 1)) for side, part in zip(rgb.shape, part_hw, strict=False)
    )
    part = rgb[y : y + part_hw[0], x : x + part_hw[1]]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    shrinks = part_hw[0] > size_wh[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), size_wh, interpolation=interpolation).astype(
        np.float32
    )


def in_other_colours(background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchanges the colours of a quarter of all backgrounds, and gives each a slight cast.

    Args:
        background: float32, shape (H, W, 3).
        rng: Makes the random choices.

    Returns:
        float32, shape (H, W, 3); levels may be above 255.
    """
    if rng.random() < 0.25:
        background = background[..., rng.permutation(3)]
    return background * np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)


def texture(size_wh: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draws a wall, wallpaper or a pattern of patches: float32, shape (H, W, 3), levels in [0, 255]."""
    cv2 = load_opencv()
    width, height = size_wh
    if rng.random() < 0.5:
        patches = rng.integers(0, 256, (*rng.integers(2, 12, 2), 3)).astype(np.uint8)
    else:
        patches = np.full((2, 2, 3), rng.integers(40, 240, 3), np.uint8)
    smooth = rng.random() < 0.6
    interpolation = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    wall = cv2.resize(patches, size_wh, interpolation=interpolation).astype(np.float32)
    grain = rng.normal(0, 25, (height, width)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 3))[..., np.newaxis]
    return np.clip(wall * rng.uniform(0.3, 1) + rng.uniform(0, 120) + grain, 0, 255)


def hand_layer(
    size_wh: tuple[int, int],
    hand: tuple[float, float],
    elbow: tuple[float, float],
    thickness: float,
    rng: np.random.Generator,
    *,
    skin: np.ndarray | None = None,
    sleeve: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a hand and the arm that leads to it.

    Args:
        size_wh: Width and height of the picture in pixels.
        hand: x and y of the palm in pixels.
        elbow: x and y of the other end of the arm, which is often outside the picture.
        thickness: Thickness of the arm in pixels.
        rng: Chooses fingers and shading.
        skin: Colour of the skin, float, shape (3,); None chooses one.
        sleeve: Colour of a sleeve that covers the arm up to the wrist; None leaves the arm bare.

    Returns:
        float32, shape (H, W, 4), as `layer` returns it.
    """
    cv2 = load_opencv()
    width, height = size_wh
    skin = skin_colour(rng) if skin is None else skin
    palm = np.array(hand)
    away = palm - elbow
    length = float(np.hypot(*away)) + 1e-6
    along = away / length
    arm, fist = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    wrist = palm - along * 0.9 * thickness

    def line(mask: np.ndarray, start: np.ndarray, end: np.ndarray, wide: float) -> None:
        points = [tuple(int(v) for v in np.clip(p, -4000, 4000)) for p in (start, end)]
        cv2.line(mask, *points, 255, max(1, round(wide)))

    line(arm, np.array(elbow), wrist, thickness)
    line(fist, wrist, palm, 0.9 * thickness)
    cv2.circle(fist, [int(v) for v in palm], max(1, round(0.6 * thickness)), 255, -1)
    for turn in np.linspace(-0.7, 0.7, 4) + rng.normal(0, 0.15, 4):  # fingers, spread or bent
        cosine, sine = np.cos(turn), np.sin(turn)
        towards = np.array([[cosine, -sine], [sine, cosine]]) @ along
        line(fist, palm, palm + towards * thickness * rng.uniform(0.5, 1.5), 0.3 * thickness)
    alpha = cv2.GaussianBlur(np.maximum(arm, fist), (0, 0), _SOFT_EDGE * height) / np.float32(255)
    colours = np.array([skin if sleeve is None else sleeve, skin], np.float32)
    colour = colours[(fist > 0).view(np.uint8)]
    # The arm is round, so it is darker towards one side.
    y, x = np.arange(height, dtype=np.float32)[:, np.newaxis], np.arange(width, dtype=np.float32)
    across = ((x - palm[0]) * -along[1] + (y - palm[1]) * along[0]) / max(thickness, 1)
    shade = 1 + np.clip(across, -1, 1) * np.float32(rng.uniform(-0.25, 0.25))
    colour = np.clip(colour * shade[..., np.newaxis], 0, 255)
    return np.dstack((colour * alpha[..., np.newaxis], alpha)).astype(np.float32)


def hands(
    garment: np.ndarray, size: float, rng: np.random.Generator, *, skin: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Draws one or two hands that hold a garment, mostly at its upper edge.

    Args:
        garment: Float, shape (H, W): the share of each pixel that is garment, in [0, 1].
        size: Pixels of the longer side of the garment's box, which the thickness of the arms depends on.
        rng: Chooses the number of hands, their places and colours.
        skin: Colour of the skin, float, shape (3,); None chooses one for each hand.

    Yields:
        Layers, float32, shape (H, W, 4), as `layer` returns them; none if no garment is in sight.
    """
    height, width = garment.shape
    ys, xs = np.nonzero(garment > 0.5)
    if not len(ys):
        return
    sleeve = _sleeve_colour(rng)
    upper = np.flatnonzero(ys <= np.quantile(ys, 0.25))
    for _ in range(rng.integers(1, 3)):
        chosen = rng.choice(upper) if rng.random() < 0.7 else rng.integers(len(ys))
        hand = (float(xs[chosen]), float(ys[chosen]))
        side = rng.random()
        if side < 0.55:
            elbow = (hand[0] + rng.normal(0, 0.35) * height, 1.1 * height)
        elif side < 0.9:
            elbow = (rng.choice([-0.1, 1.1]) * width, rng.uniform(0.2, 1.1) * height)
        else:
            elbow = (hand[0] + rng.normal(0, 0.2) * height, -0.1 * height)
        thickness = _thickness(size, height, rng)
        yield hand_layer((width, height), hand, elbow, thickness, rng, skin=skin, sleeve=sleeve)


def two_hands(
    garment: np.ndarray, size: float, rng: np.random.Generator, *, skin: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Draws two hands that hold a garment on its left and on its right, such as by the shoulders or sleeves.

    The arms come from below. Where one crosses the garment, the sleeve beyond it is separated from the rest.

    Args:
        garment: Float, shape (H, W): the share of each pixel that is garment, in [0, 1].
        size: Pixels of the longer side of the garment's box, which the thickness of the arms depends on.
        rng: Chooses the places and colours.
        skin: Colour of the skin, float, shape (3,); None chooses one for both hands.

    Yields:
        Two layers, float32, shape (H, W, 4), as `layer` returns them; none if no garment is in sight.
    """
    height, width = garment.shape
    ys, xs = np.nonzero(garment > 0.5)
    if not len(ys):
        return
    sleeve = _sleeve_colour(rng)
    skin = skin_colour(rng) if skin is None else skin
    thickness = _thickness(size, height, rng)
    reach = rng.uniform(0.02, 0.4)  # the hands are no farther down; a share of the garment's height
    upper = ys <= ys.min() + reach * (ys.max() - ys.min())
    # How far the elbows are beyond the hands; a negative value makes the arms cross the garment.
    outwards = rng.normal(0.15, 0.2) * height
    for side in (-1, 1):
        edge = xs[upper].max() if side > 0 else xs[upper].min()
        chosen = rng.choice(np.flatnonzero(upper & (np.abs(xs - edge) <= 0.06 * size)))
        hand = (float(xs[chosen]), float(ys[chosen]))
        elbow = (hand[0] + side * outwards, rng.uniform(1.05, 1.3) * height)
        yield hand_layer((width, height), hand, elbow, thickness, rng, skin=skin, sleeve=sleeve)


def _sleeve_colour(rng: np.random.Generator) -> np.ndarray | None:
    """Chooses the colour of the sleeves that cover the arms, float64, shape (3,); None for bare arms."""
    return rng.uniform(10, 245, 3) if rng.random() < 0.45 else None


def _thickness(size: float, height: int, rng: np.random.Generator) -> float:
    """Chooses the thickness of an arm in pixels."""
    return max(2.0, rng.uniform(0.05, 0.13) * min(height, size + 0.2 * height))


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """Chooses a colour of skin in some light: float64, shape (3,)."""
    colour: np.ndarray = (
        rng.choice(_SKIN_RGB) * rng.uniform(0.6, 1.1) * np.exp(rng.normal(0, 0.04, 3))
    )
    return np.clip(colour, 0, 255)


def person(
    worn: np.ndarray, size_wh: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the head, hair and neck of a person who wears a garment that was cut out.

    Args:
        worn: uint8, shape (h, w, 4): a garment for the upper body.
        size_wh: Width and height of the picture in pixels.
        rng: Chooses place, size and colours.

    Returns:
        float32, shape (H, W, 4), as `layer` returns it, and the colour of the skin.
    """
    cv2 = load_opencv()
    width, height = size_wh
    skin = skin_colour(rng)
    hair = np.clip(rng.uniform(10, 170) * np.exp(rng.normal(0, 0.25, 3)), 0, 255)
    torso = rng.uniform(0.5, 1.1) * height
    x = width * (0.5 + rng.normal(0, 0.15))
    top = height * rng.uniform(0.15, 0.45)
    placement = Placement((x, top + torso / 2), torso, rng.normal(0, 3), rng.uniform(0.8, 1.1))
    clothes = layer(worn, placement, size_wh)
    head_h, head_w = torso * rng.uniform(0.26, 0.36), torso * rng.uniform(0.19, 0.26)
    chin = top + 0.04 * torso
    head = np.zeros((height, width, 4), np.float32)

    def ellipse(centre: tuple[float, float], axes: tuple[float, float], colour: np.ndarray) -> None:
        mask = np.zeros((height, width), np.uint8)
        whole = [int(v) for v in centre], [max(1, int(v)) for v in axes]
        cv2.ellipse(mask, *whole, 0, 0, 360, 255, -1)
        alpha = cv2.GaussianBlur(mask, (0, 0), _SOFT_EDGE * height) / np.float32(255)
        alpha = alpha[..., np.newaxis]
        head[...] = np.dstack((alpha * colour.astype(np.float32), alpha)) + head * (1 - alpha)

    middle = chin - 0.5 * head_h
    long_hair = rng.random() < 0.4
    hair_reach = 0.95 if long_hair else 0.6
    ellipse(
        (x, middle + (0.2 if long_hair else -0.06) * head_h),
        (0.62 * head_w, hair_reach * head_h),
        hair,
    )
    ellipse((x, chin + 0.02 * torso), (0.28 * head_w, 0.3 * head_h), skin * 0.85)
    ellipse((x, middle), (0.5 * head_w, 0.5 * head_h), skin)
    if rng.random() < 0.6:
        ellipse((x, middle - 0.42 * head_h), (0.47 * head_w, 0.22 * head_h), hair)
    both = clothes + head * (1 - clothes[..., 3:])
    return both, skin
