"""Makes training data for the segmenter: photographs, garments held up before rooms and people, empty scenes.

The photographs have no outlines drawn by hand; `cut_outs` finds their garments. Every batch is composed of
them and of the scenes by random choices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from multiprocessing import get_context

import numpy as np

from garmentlite.edge.garment_search import LEAST_ASPECT, MARGIN
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.network_file import SIDE
from garmentlite.train import held_up
from garmentlite.train.cut_outs import MaskedPhoto, cut_outs
from garmentlite.train.held_up import Placement
from garmentlite.train.scenes import Scene

# Shares of the kinds of samples. The remaining samples are garments that are held up.
PHOTO_SHARE = 0.28  # a photograph, turned, scaled and shifted
LAID_SHARE = 0.12  # a garment that lies on the ground of another photograph
GROUND_SHARE = 0.04  # the ground of a photograph alone
EMPTY_SHARE = 0.20  # a room or a person, with nothing held up
# Sizes of camera frames, reduced as on the device; most are 4:3.
CANVASES_WH = ((128, 96), (128, 96), (128, 96), (128, 72), (96, 128), (112, 112))
# Smallest and largest longer side of a garment that is held up, as shares of the picture's height.
HELD_SIZES = (0.2, 1.15)
# Half of the garments that are held up fill the picture as in the windows of `garment_search`, which follow a
# garment; the other half has any place and size, as when the search begins.
_FOLLOWED_SHARE = 0.5
_FOLLOWED_SIZE = 1 / (1 + 2 * MARGIN)  # the garment's box, as a share of such a window
# Shares of the held-up garments that `held_up.hands` and `held_up.two_hands` hold; no hands hold the others.
_HANDS_SHARE, _TWO_HANDS_SHARE = 0.35, 0.3
_TWO_COLOURS_SHARE = (
    0.12  # of the held-up garments are dyed, since the photographs show few of two colours
)
SCENE_SIDE = 256  # pixels; longest side of scenes
_NOISE_SIDE = 512  # pixels; side of the square of noise from which samples take pieces
REMEMBERED = 1000  # number of earlier batches that may be used again
_AHEAD = 3  # number of batches that each worker may make in advance


class Samples:
    """Makes pictures with their masks; a batch depends only on the seed and the number of the batch."""

    def __init__(self, photos: Sequence[MaskedPhoto], scenes: Sequence[Scene], seed: int) -> None:
        """Takes the photographs and scenes of which samples are composed.

        Args:
            photos: Photographs with their garments.
            scenes: Rooms and people; if there are none, walls are drawn in their place.
            seed: Seed of all random choices.

        Raises:
            ValueError: If no garment of the photographs can be cut out.
        """
        self._photos = list(photos)
        self._cut_outs = cut_outs(photos)
        if not self._cut_outs:
            raise ValueError(
                "no garment can be cut out: the methods agree enough on none of the photographs"
            )
        self._rooms = [frame for scene in scenes if not scene.has_person for frame in scene.frames]
        self._people = [frame for scene in scenes if scene.has_person for frame in scene.frames]
        self._seed = seed

    def batch(self, count: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Makes a batch of samples.

        Args:
            count: Number of samples.
            number: Number of the batch; each number gives other samples.

        Returns:
            Pictures, uint8, shape (count, SIDE, SIDE, 3), and targets, uint8, shape (count, SIDE, SIDE, 2):
            the share of the pixel that is garment, and its weight in the loss; 255 stands for 1.
        """
        rng = np.random.default_rng([self._seed, number])
        cv2 = load_opencv()
        cv2.setNumThreads(1)
        pictures = np.empty((count, SIDE, SIDE, 3), np.uint8)
        targets = np.empty((count, SIDE, SIDE, 2), np.uint8)
        makers = (self._photo, self._laid, self._bare_ground, self._empty, self._held)
        shares = (PHOTO_SHARE, LAID_SHARE, GROUND_SHARE, EMPTY_SHARE)
        kinds = np.searchsorted(np.cumsum(shares), rng.random(count), side="right")
        for row, kind in enumerate(kinds):
            picture, garment, sure = makers[kind](rng)
            planes = np.rint(np.clip(np.dstack((garment, sure)), 0, 1) * 255).astype(np.uint8)
            # On the device too, a picture is reduced and then resized to a square.
            for made, given in ((pictures, _relit(picture, rng)), (targets, planes)):
                made[row] = cv2.resize(given, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR_EXACT)
        return pictures, targets

    def batches(
        self, count: int, steps: int, workers: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the batches 0 to `steps` - 1 in order.

        Args:
            count: Number of samples in a batch.
            steps: Number of batches.
            workers: Number of processes that make samples; with 0 this process makes them. The samples do
                not depend on it.
        """
        if not workers:
            yield from (self.batch(count, number) for number in range(steps))
            return
        # A process in which a framework runs threads must not be forked.
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, context, _take, (self,)) as pool:
            numbers = iter(range(steps))
            waiting = deque(
                pool.submit(_batch, count, number) for number in islice(numbers, _AHEAD * workers)
            )
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(pool.submit(_batch, count, number) for number in islice(numbers, 1))
                yield made

    def _photo(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turns, scales and shifts a photograph.

        Returns:
            Like the methods below: the picture with levels in [0, 255], the share of each pixel that is
            garment, and the weight of each pixel, both in [0, 1].
        """
        cv2, photo = load_opencv(), self._photos[rng.integers(len(self._photos))]
        matrix = _turned(photo.rgb.shape, rng, np.exp(rng.uniform(-0.25, 0.45)))
        picture, garment, sure = (
            cv2.warpAffine(plane, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
            for plane in (photo.rgb, photo.garment, photo.sure)
        )
        return picture.astype(np.float32), garment / np.float32(255), sure / np.float32(255)

    def _laid(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lays a garment on the ground of another photograph, often with a shadow."""
        cv2 = load_opencv()
        ground = self._ground(rng)
        rgba = _one_of(self._cut_outs, rng)
        any_way = rng.random() < 0.2
        placement = Placement(
            tuple(SIDE * (0.5 + rng.normal(0, 0.07, 2))),
            SIDE * np.exp(rng.uniform(-0.7, 0.15)),
            rng.uniform(-180, 180) if any_way else rng.normal(0, 12),
            np.exp(rng.normal(0, 0.2)),
            bool(rng.random() < 0.5),
        )
        top = held_up.layer(rgba, placement, (SIDE, SIDE))
        if rng.random() < 0.5:
            shift = np.array([[1, 0, rng.uniform(-4, 4)], [0, 1, rng.uniform(-4, 4)]], np.float32)
            shadow = cv2.warpAffine(top[..., 3], shift, (SIDE, SIDE))
            shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(1, 4))
            ground = ground * (1 - rng.uniform(0.1, 0.6) * shadow[..., np.newaxis])
        garment = top[..., 3]
        return held_up.over(top, ground), garment, np.ones_like(garment)

    def _bare_ground(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Takes the ground of a photograph without a garment."""
        nothing = np.zeros((SIDE, SIDE), np.float32)
        return self._ground(rng), nothing, nothing + 1

    def _held(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Composes a garment that is held up before a room, a person or a wall."""
        rgba = _one_of(self._cut_outs, rng)
        if rng.random() < _TWO_COLOURS_SHARE:
            rgba = _in_two_colours(rgba, rng)
        is_followed = rng.random() < _FOLLOWED_SHARE
        size_wh, placement = _followed(rgba, rng) if is_followed else _anywhere(rng)
        width = size_wh[0]
        background, skin = self._background(size_wh, rng)
        top = held_up.layer(rgba, placement, size_wh)
        top[..., :3] *= np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.05, 3)).astype(np.float32)
        if rng.random() < 0.3:  # light falls on the garment from one side
            slope = np.linspace(-1, 1, width, dtype=np.float32) * rng.normal(0, 0.3)
            top[..., :3] *= np.clip(1 + slope, 0.3, 1.7)[np.newaxis, :, np.newaxis]
        top[..., :3] = np.minimum(top[..., :3], 255 * top[..., 3:])
        top = _moved(top, rng)
        picture = held_up.over(top, background)
        garment = top[..., 3].copy()
        held = rng.random()
        if held < _HANDS_SHARE + _TWO_HANDS_SHARE:
            draw = held_up.hands if held < _HANDS_SHARE else held_up.two_hands
            for hand in draw(top[..., 3], placement.size, rng, skin=skin):
                picture, garment = held_up.over(hand, picture), garment * (1 - hand[..., 3])
        return picture, garment, np.ones_like(garment)

    def _empty(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Composes a scene in which nothing is held up, sometimes with an empty hand."""
        size_wh = CANVASES_WH[rng.integers(len(CANVASES_WH))]
        picture, skin = self._background(size_wh, rng)
        nothing = np.zeros(picture.shape[:2], np.float32)
        if rng.random() < 0.35:
            somewhere = np.zeros_like(nothing)
            x, y = rng.uniform(0.15, 0.85, 2) * size_wh
            somewhere[int(y), int(x)] = 1
            size = size_wh[1] * rng.uniform(0.3, 0.9)
            for hand in held_up.hands(somewhere, size, rng, skin=skin):
                picture = held_up.over(hand, picture)
        return picture, nothing, nothing + 1

    def _background(
        self, size_wh: tuple[int, int], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Makes a background, float32 (H, W, 3); also returns the colour of the skin of a drawn person."""
        kind, skin = rng.random(), None
        if kind < 0.24 and self._people:
            background = held_up.crop(_one_of(self._people, rng), size_wh, rng, 1.6)
        elif kind < 0.75 and self._rooms:
            background = held_up.crop(_one_of(self._rooms, rng), size_wh, rng)
        elif kind < 0.85:
            cv2 = load_opencv()
            background = cv2.resize(self._ground(rng), size_wh, interpolation=cv2.INTER_LINEAR)
        else:
            background = held_up.texture(size_wh, rng)
        background = held_up.in_other_colours(background, rng)
        for _ in range(rng.integers(1, 4) if rng.random() < 0.35 else 0):
            background = self._with_thing(background, rng)
        if kind >= 0.24 and rng.random() < 0.2:
            worn = _one_of(self._cut_outs, rng)
            drawn, skin = held_up.person(worn, size_wh, rng)
            background = held_up.over(drawn, background)
        return np.clip(background, 0, 255).astype(np.float32), skin

    @staticmethod
    def _with_thing(background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws a thing of a simple shape, such as a box or a ball, into the scene."""
        cv2 = load_opencv()
        height, width = background.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        centre = rng.uniform(0, 1, 2) * (width, height)
        radii = rng.uniform(0.04, 0.3, 2) * height
        if rng.random() < 0.35:
            axes = [max(1, int(radius)) for radius in radii]
            cv2.ellipse(mask, [int(v) for v in centre], axes, rng.uniform(0, 180), 0, 360, 255, -1)
        else:
            corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) + rng.normal(0, 0.1, (4, 2))
            angle = rng.normal(0, 0.3)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            cv2.fillPoly(mask, [np.int32((corners * radii) @ turn + centre)], 255)
        alpha = cv2.GaussianBlur(mask, (0, 0), 0.6)[..., np.newaxis] / np.float32(255)
        return held_up.texture((width, height), rng) * alpha + background * (1 - alpha)

    def _ground(self, rng: np.random.Generator) -> np.ndarray:
        """Enlarges a piece of the ground of a photograph, or of the cloth of a garment, and mirrors it."""
        cv2 = load_opencv()
        cloth = rng.random() < 0.2
        # Largest piece as a share of the photograph's sides. It is reduced after each piece that is not free.
        largest = 0.65
        while True:
            photo = self._photos[rng.integers(len(self._photos))]
            height, width = (
                int(rng.integers(14, max(15, largest * side))) for side in photo.garment.shape
            )
            y = int(rng.integers(photo.garment.shape[0] - height + 1))
            x = int(rng.integers(photo.garment.shape[1] - width + 1))
            place = np.s_[y : y + height, x : x + width]
            inside = photo.garment[place] > 127
            if (inside.all() if cloth else not inside.any()) and photo.sure[place].all():
                break
            largest = max(0.15, 0.97 * largest)
        piece = photo.rgb[place]
        matrix = _turned(piece.shape, rng, np.exp(rng.uniform(0, 0.7)), covers=False)
        return cv2.warpAffine(
            piece, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.float32)


def replayed(
    batches: Iterable[tuple[np.ndarray, np.ndarray]], repeats: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each batch and, after it, `repeats` - 1 earlier ones, half of which are mirrored.

    It is meant for training on a GPU, where making samples takes longer than training on them.

    Args:
        batches: What `Samples.batches` yields.
        repeats: How often each batch is used on average.
        seed: Seed of the choice of the earlier batches.
    """
    rng = np.random.default_rng(seed)
    earlier: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=REMEMBERED)
    for made in batches:
        earlier.append(made)
        yield made
        for _ in range(repeats - 1):
            pictures, targets = earlier[rng.integers(len(earlier))]
            step = -1 if rng.random() < 0.5 else 1
            yield pictures[:, :, ::step], targets[:, :, ::step]


_samples: Samples  # set in each worker process


def _take(samples: Samples) -> None:
    global _samples
    _samples = samples


def _batch(count: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    return _samples.batch(count, number)


def _one_of(pictures: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return pictures[rng.integers(len(pictures))]


def _anywhere(rng: np.random.Generator) -> tuple[tuple[int, int], Placement]:
    """Chooses a frame's width and height, and a place and size in it for a garment."""
    size_wh = CANVASES_WH[rng.integers(len(CANVASES_WH))]
    size = size_wh[1] * np.exp(rng.uniform(*np.log(HELD_SIZES)))
    reach = 0.13 if rng.random() < 0.75 else 0.28  # with 0.28 the frame cuts some off
    centre = np.array(size_wh) * np.clip(0.5 + rng.normal(0, reach, 2), 0.03, 0.97)
    return size_wh, _placed(centre, size, rng)


def _followed(rgba: np.ndarray, rng: np.random.Generator) -> tuple[tuple[int, int], Placement]:
    """Chooses a window as `garment_search` lays it around a garment, and the garment's place in it."""
    height, width = rgba.shape[:2]
    aspect = float(
        np.clip(width / height * np.exp(rng.normal(0, 0.1)), LEAST_ASPECT, 1 / LEAST_ASPECT)
    )
    longest = max(map(max, CANVASES_WH))
    size_wh = (round(longest * min(1, aspect)), round(longest * min(1, 1 / aspect)))
    size = longest * _FOLLOWED_SIZE * np.exp(rng.normal(0, 0.12))
    centre = np.array(size_wh) * (0.5 + rng.normal(0, 0.04, 2))
    return size_wh, _placed(centre, size, rng)


def _placed(centre: np.ndarray, size: float, rng: np.random.Generator) -> Placement:
    """Places a garment with a random turn and stretch, and as it is or mirrored."""
    x, y = map(float, centre)
    return Placement(
        (x, y), size, rng.normal(0, 12), np.exp(rng.normal(0, 0.1)), bool(rng.random() < 0.5)
    )


def _in_two_colours(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dyes the left and the right of a garment, where a top has its sleeves, or all above or below a line.

    Args:
        rgba: uint8, shape (h, w, 4). Not changed.
        rng: Makes the random choices.

    Returns:
        uint8, shape (h, w, 4).
    """
    height, width = rgba.shape[:2]
    dyed = rgba.copy()
    if rng.random() < 0.5:
        sleeve = int(rng.uniform(0.15, 0.35) * width)
        parts = [dyed[:, :sleeve], dyed[:, width - sleeve :]]
    else:
        row = int(rng.uniform(0.2, 0.8) * height)
        parts = [dyed[:row] if rng.random() < 0.5 else dyed[row:]]
    order, gains = rng.permutation(3), np.exp(rng.normal(0, 0.5) + rng.normal(0, 0.25, 3))
    for part in parts:
        part[..., :3] = np.clip(part[..., order] * gains, 0, 255).astype(np.uint8)
    return dyed


def _turned(
    shape: tuple[int, ...], rng: np.random.Generator, scale: float, *, covers: bool = True
) -> np.ndarray:
    """Makes a random transform of a picture to the square: it turns, mirrors, stretches and shifts.

    Args:
        shape: Shape of the picture.
        rng: Makes the random choices.
        scale: Factor by which the picture is enlarged.
        covers: Whether the picture is first resized to fill the square. Otherwise `scale` applies to its own
            pixels.

    Returns:
        float32, shape (2, 3), for `cv2.warpAffine`.
    """
    any_way = rng.random() < 0.15
    angle = rng.uniform(-np.pi, np.pi) if any_way else rng.normal(0, 0.2)
    stretch = np.exp(rng.normal(0, 0.1, 2)) * scale
    size_wh = np.array(shape[1::-1])
    fit = SIDE / size_wh if covers else np.ones(2)
    mirror = 1 if rng.random() < 0.5 else -1
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(stretch * (mirror, 1) * fit)
    shift = SIDE * (0.5 + rng.normal(0, 0.07, 2)) - turn @ (size_wh / 2)
    return np.column_stack((turn, shift)).astype(np.float32)


def _moved(top: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurs 40% of all layers as motion does."""
    if rng.random() > 0.4:
        return top
    length = int(rng.integers(2, 6))
    size_wh = (length, 1) if rng.random() < 0.6 else (1, length)
    blurred: np.ndarray = load_opencv().blur(top, size_wh)
    return blurred


def _relit(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes light, colours, sharpness, noise and compression: uint8, shape (H, W, 3)."""
    cv2 = load_opencv()
    height, width = picture.shape[:2]
    if rng.random() < 0.15:
        picture = picture[..., rng.permutation(3)]
    picture = np.ascontiguousarray(picture, np.float32)
    if rng.random() < 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.4:  # light falls from one side
        along_y, along_x = (
            np.linspace(-1, 1, side, dtype=np.float32) * np.float32(rng.normal(0, 0.2))
            for side in (height, width)
        )
        picture = picture * (1 + along_y[:, np.newaxis] + along_x)[..., np.newaxis]
    gains = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.07, 3))
    levels = np.arange(256)[:, np.newaxis] / 255
    curve = np.clip(levels * gains, 0, 1) ** np.exp(rng.normal(0, 0.2)) * 255
    picture = cv2.LUT(
        np.clip(picture, 0, 255).astype(np.uint8), curve.astype(np.float32)[np.newaxis]
    )
    deviation = 255 * rng.exponential(0.012)
    y, x = rng.integers(0, _NOISE_SIDE - 130, 2)
    noise = _noise()[y : y + height, x : x + width] * np.float32(deviation)
    relit = np.rint(np.clip(picture + noise, 0, 255)).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        content = cv2.imencode(".jpg", relit, quality)[1]
        relit = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return relit


@cache
def _noise() -> np.ndarray:
    """Draws noise once for all samples; new noise for each would take a third of the time of a sample."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((_NOISE_SIDE, _NOISE_SIDE, 3), np.float32)
