"""Makes variants of a photograph in which somebody holds its garment up before a room, a person or a wall.

The camera app sees garments like that. Hands hide a part of a garment, and the segmenter takes a part of the
background for the garment, or misses a part of it. A classifier that has seen such images names them better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.callbacks import Say
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.preparation import box_of
from garmentlite.edge.segmenters.masks import levels_of, reduced
from garmentlite.train import held_up, photo_variants
from garmentlite.train.cut_outs import cut_out
from garmentlite.train.held_up import Placement
from garmentlite.train.scenes import KEPT_OUT, Scene, read_scenes

VERSION = 1  # raised whenever the same seed gives other variants

CUT_OUT_SIDE = 320  # pixels; longest side of a photograph whose garment is cut out
SCENE_SIDE = 512  # pixels; longest side of a scene
CANVASES_WH = ((320, 240), (320, 240), (240, 240), (240, 320))  # pixels
# Shares of the backgrounds; the others are drawn walls.
PEOPLE_SHARE, ROOM_SHARE = 0.35, 0.5
LARGEST_ZOOM_OF_PEOPLE = 1.6
SIZE_RANGE = (0.45, 0.95)  # longer side of the garment, as a share of the picture's shorter side
# Distances between the garment and the edge of the part that is segmented, as shares of the garment's longer
# side. The app looks at such a part too, once it has found a garment.
SURROUNDINGS_RANGE = (0.08, 0.5)
FEWEST_PIXELS = 200  # of a garment that is in sight

_ODDS = {"moved": 0.4, "hands": 0.55}


@dataclass(frozen=True)
class Backgrounds:
    """What may be behind a garment that is held up.

    Attributes:
        rooms: Pictures of rooms, each uint8, shape (H, W, 3); there may be none.
        people: Frames with a person, likewise.
    """

    rooms: list[np.ndarray]
    people: list[np.ndarray]

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Backgrounds:
        """Takes the frames of scenes."""
        return cls(
            [frame for scene in scenes if not scene.has_person for frame in scene.frames],
            [frame for scene in scenes if scene.has_person for frame in scene.frames],
        )

    @property
    def sha256(self) -> str:
        """Checksum of all pixels."""
        digest = hashlib.sha256()
        for frame in (*self.rooms, *self.people):
            digest.update(f"{frame.shape}".encode())
            digest.update(frame.tobytes())
        return digest.hexdigest()

    def drawn(self, size_wh: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Chooses a part of a scene, or draws a wall, in some light.

        Args:
            size_wh: Width and height in pixels.
            rng: Makes all random choices.

        Returns:
            float32, shape (H, W, 3), levels in [0, 255].
        """
        kind = rng.random()
        if kind < PEOPLE_SHARE and self.people:
            frame = self.people[rng.integers(len(self.people))]
            background = held_up.crop(frame, size_wh, rng, LARGEST_ZOOM_OF_PEOPLE)
        elif kind < PEOPLE_SHARE + ROOM_SHARE and self.rooms:
            background = held_up.crop(self.rooms[rng.integers(len(self.rooms))], size_wh, rng)
        else:
            background = held_up.texture(size_wh, rng)
        return np.clip(held_up.in_other_colours(background, rng), 0, 255)


def read_backgrounds(folder: Path, say: Say) -> Backgrounds:
    """Reads the scenes of a folder; those that `scenes.KEPT_OUT` names are left out.

    Args:
        folder: See `scenes.read_scenes`.
        say: Called with a sentence if scenes are left out.
    """
    scenes = read_scenes(folder, SCENE_SIDE)
    left_out = sorted({scene.place for scene in scenes} & KEPT_OUT)
    if left_out:
        say(
            f"No garment is held up before the scenes {', '.join(left_out)} of {folder}, since the project "
            "measures with scenes of these names; if they are others, give them other names."
        )
    return Backgrounds.of([scene for scene in scenes if scene.place not in KEPT_OUT])


def whole_garment(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Cuts the garment of a photograph out, to be held up.

    Args:
        rgb: uint8, shape (H, W, 3). Not changed.
        mask: bool, shape (H, W), True on the garment.

    Returns:
        uint8, shape (h, w, 4); None if the photograph does not show the whole garment, see
        `cut_outs.cut_out`.
    """
    cv2 = load_opencv()
    small = reduced(rgb, CUT_OUT_SIDE)
    size_wh = (small.shape[1], small.shape[0])
    return cut_out(small, cv2.resize(levels_of(mask), size_wh, interpolation=cv2.INTER_AREA))


def held_up_picture(
    rgba: np.ndarray, backgrounds: Backgrounds, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Composes a picture in which a garment is held up.

    Args:
        rgba: uint8, shape (h, w, 4); see `whole_garment`.
        backgrounds: What may be behind it.
        rng: Makes all random choices.

    Returns:
        rgb, uint8, shape (H, W, 3), with the garment and some of its surroundings, and where the garment is
        in it and not behind a hand, bool, shape (H, W). None if too little of the garment is in sight.
    """
    picture, garment = _composed(rgba, backgrounds, rng)
    seen = garment > 0.5
    if np.count_nonzero(seen) < FEWEST_PIXELS:
        return None
    x, y, width, height = box_of(seen)
    longer = max(width, height)
    left, top, right, bottom = (int(rng.uniform(*SURROUNDINGS_RANGE) * longer) for _ in range(4))
    rows = slice(max(0, y - top), y + height + bottom)
    columns = slice(max(0, x - left), x + width + right)
    part = np.rint(np.clip(picture[rows, columns], 0, 255)).astype(np.uint8)
    return photo_variants.exposed(part, rng), np.ascontiguousarray(seen[rows, columns])


def _composed(
    rgba: np.ndarray, backgrounds: Backgrounds, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Lays a garment over a background, and often hands over the garment.

    Returns:
        The picture, float32, shape (H, W, 3), and the share of each pixel that is garment, shape (H, W).
    """
    cv2 = load_opencv()
    size_wh = CANVASES_WH[rng.integers(len(CANVASES_WH))]
    background = backgrounds.drawn(size_wh, rng)
    size = min(size_wh) * rng.uniform(*SIZE_RANGE)
    placement = Placement(
        tuple(np.array(size_wh) * (0.5 + rng.normal(0, 0.06, 2))),
        size,
        rng.normal(0, 5),
        np.exp(rng.normal(0, 0.05)),
        bool(rng.random() < 0.5),
    )
    top = held_up.layer(rgba, placement, size_wh)
    top[..., :3] *= np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.03, 3)).astype(np.float32)
    top[..., :3] = np.minimum(top[..., :3], 255 * top[..., 3:])
    if rng.random() < _ODDS["moved"]:
        top = cv2.blur(top, (int(rng.integers(2, 5)), 1))
    picture, garment = held_up.over(top, background), top[..., 3].copy()
    if rng.random() < _ODDS["hands"]:
        for hand in held_up.hands(garment, size, rng):
            picture, garment = held_up.over(hand, picture), garment * (1 - hand[..., 3])
    return picture, garment
