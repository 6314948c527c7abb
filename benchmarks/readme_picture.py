"""Draws the picture at the top of the README: pictures, what a naive resize makes of them, what we make.

python benchmarks/readme_picture.py docs/everything-is-bag.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.files import replacing
from garmentlite.edge.pictures import Picture
from garmentlite.edge.preparation import naive_tile
from garmentlite.edge.recognition import recognize
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import FOLDER, default_model

UNTRAINED = FOLDER / "weighted-cnn_int8.tflite"  # that never saw a photograph
LABELS = ("T-shirt/top", "Trouser", "Dress", "Coat", "Sneaker", "Ankle boot")
SIDE, GAP, MARGIN, LINE = 150, 14, 150, 26  # pixels
PAPER, INK, RIGHT, WRONG = "white", "#222222", "#1a7f37", "#cf222e"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    untrained, shipped = Classifier(UNTRAINED), Classifier(default_model())
    segmenter = make_segmenter("network")
    rng = np.random.default_rng(arguments.seed)
    height = SIDE * 3 + LINE * 3 + GAP * 2
    sheet = Image.new("RGB", (MARGIN + len(LABELS) * (SIDE + GAP), height), PAPER)
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(16), ImageFont.load_default(14)
    tops = [row * (SIDE + LINE + GAP) for row in range(3)]
    for top, text in zip(
        tops,
        ("the picture", "resized to 28x28", "segmented and\nprepared as the\ndata set was"),
        strict=True,
    ):
        draw.multiline_text((8, top + SIDE // 2 - 24), text, INK, font=font)
    for column, label in enumerate(LABELS):
        left = MARGIN + column * (SIDE + GAP)
        picture = Picture(draw_scene(label, rng).rgb)
        naive = naive_tile(picture.rgb)
        ours = recognize(picture, shipped, segmenter)
        tiles = (picture.rgb, naive, ours.image_u8)
        answers = (label, untrained.predict(naive).label, ours.label)
        for top, tile, answer in zip(tops, tiles, answers, strict=True):
            if tile is not None:
                image = (
                    Image.fromarray(tile)
                    .convert("RGB")
                    .resize((SIDE, SIDE), Image.Resampling.NEAREST)
                )
                sheet.paste(image, (left, top))
            colour = INK if top == 0 else RIGHT if answer == label else WRONG
            draw.text((left, top + SIDE + 3), answer, colour, font=small)
    with replacing(arguments.output) as temporary:
        sheet.quantize(256).save(temporary, optimize=True)


if __name__ == "__main__":
    main()
