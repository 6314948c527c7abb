"""Draws the two pictures of the README: the effect of preparation, and a recording of the camera app.

    python benchmarks/readme_picture.py docs

Writes `preparation.png` and `camera-app.webp` into that folder. All garments are drawn by the project. In
`preparation.png` both rows of answers are given by the same network, the default one, which sees each
28x28 image once. Only the way from the picture to the 28x28 image differs.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.files import replacing
from garmentlite.edge.overlay import annotate
from garmentlite.edge.pictures import Picture
from garmentlite.edge.preparation import naive_tile, prepare
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.segmenters.interface import Segmenter
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import default_model
from garmentlite.edge.sources.moving_pattern import FPS
from garmentlite.edge.sources.registry import open_source
from garmentlite.edge.stream import GarmentStream

LABELS = ("T-shirt/top", "Trouser", "Dress", "Coat", "Sneaker", "Ankle boot")
ROWS = ("the picture", "resized to 28x28", "garment found,\nthen prepared as\nthe data set was")
SIDE, GAP, MARGIN, LINE = 150, 14, 158, 26  # pixels
PAPER, INK, RIGHT, WRONG = "white", "#222222", "#1a7f37", "#cf222e"
APP_WH = (640, 480)
APP_SECONDS = 12.0  # of the moving test pattern: three garments
APP_FPS = 5  # frames a second in the recording of the app


@dataclass(frozen=True)
class Cell:
    """One image of the sheet with the line of text below it.

    Attributes:
        image: uint8, shape (H, W) or (H, W, 3); None if no garment was found.
        text: The label, with the confidence where a network gave it.
        colour: Colour of the text.
    """

    image: np.ndarray | None
    text: str
    colour: str


def answered(image_u8: np.ndarray | None, label: str, classifier: Classifier) -> Cell:
    """Makes a cell of a 28x28 image and the network's answer, green if that is the true label."""
    if image_u8 is None:
        return Cell(None, "no garment", WRONG)
    answer = classifier.predict(image_u8)
    colour = RIGHT if answer.label == label else WRONG
    return Cell(image_u8, f"{answer.label} {answer.confidence:.0%}", colour)


def column(
    label: str, rng: np.random.Generator, classifier: Classifier, segmenter: Segmenter
) -> tuple[Cell, Cell, Cell]:
    """Makes the three cells of one drawn picture, from top to bottom."""
    picture = Picture(draw_scene(label, rng).rgb)
    naive, prepared = naive_tile(picture.rgb), prepare(picture, segmenter).image_u8
    return (
        Cell(picture.rgb, label, INK),
        answered(naive, label, classifier),
        answered(prepared, label, classifier),
    )


def draw_preparation(seed: int) -> Image.Image:
    """Draws the sheet of six drawn pictures."""
    classifier, segmenter = Classifier(default_model()), make_segmenter("network")
    rng = np.random.default_rng(seed)
    height = SIDE * 3 + LINE * 3 + GAP * 2
    sheet = Image.new("RGB", (MARGIN + len(LABELS) * (SIDE + GAP), height), PAPER)
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(16), ImageFont.load_default(14)
    tops = [row * (SIDE + LINE + GAP) for row in range(len(ROWS))]
    for top, text in zip(tops, ROWS, strict=True):
        draw.multiline_text((8, top + SIDE // 2 - 24), text, INK, font=font)
    for number, label in enumerate(LABELS):
        left = MARGIN + number * (SIDE + GAP)
        for top, cell in zip(tops, column(label, rng, classifier, segmenter), strict=True):
            if cell.image is not None:
                image = Image.fromarray(cell.image).convert("RGB")
                sheet.paste(image.resize((SIDE, SIDE), Image.Resampling.NEAREST), (left, top))
            draw.text((left, top + SIDE + 3), cell.text, cell.colour, font=small)
    return sheet


def record_camera_app() -> list[Image.Image]:
    """Runs the camera app before the test pattern and keeps some of its pictures."""
    source = open_source("test-pattern", resolution_wh=APP_WH)
    pictures = []
    with GarmentStream(source, Recognizer()) as stream:
        for sighting in stream:
            if sighting.frame.time >= APP_SECONDS:
                break
            # Without the times, which depend on the computer.
            answer = replace(sighting.recognition, latency_ms={})
            drawn_bgr = annotate(sighting.frame.bgr, answer, guide_box=sighting.guide_box)
            if round(sighting.frame.time * FPS) % (FPS // APP_FPS) == 0:
                pictures.append(Image.fromarray(np.ascontiguousarray(drawn_bgr[..., ::-1])))
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    with replacing(arguments.folder / "preparation.png") as temporary:
        draw_preparation(arguments.seed).quantize(256).save(temporary, optimize=True)
    first, *others = record_camera_app()
    with replacing(arguments.folder / "camera-app.webp") as temporary:
        first.save(
            temporary, save_all=True, append_images=others, duration=1000 // APP_FPS, loop=0,
            quality=60, method=6,
        )  # fmt: skip


if __name__ == "__main__":
    main()
