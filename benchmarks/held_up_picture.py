"""Draws the picture of docs/camera.md: a garment held up in a room, found by two segmenters.

    git show 85c59f9:models/segmenter.tflite > before.tflite
    python benchmarks/held_up_picture.py docs --before before.tflite [--count]

Writes `held-up.png` into that folder. The room, the hands and the garment are drawn. From left to right the
picture shows the frame; what another segmenter, such as that of version 0.1.0, finds in this frame alone; and
what the shipped segmenter finds together with the guide box and the empty scene, after two seconds of the
empty room and one second of a garment that moves a little. The same classifier answers both times.

With --count, it also prints for each of the two ways how many of 40 such frames, one for each label and each
of four seeds, it names correctly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont

from garmentlite.edge.camera_recognizer import CameraRecognizer
from garmentlite.edge.drawing import draw_garment
from garmentlite.edge.files import replacing
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.recognition import Recognition
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.segmenters.network import NetworkSegmenter
from garmentlite.train.held_up import Placement, hand_layer, layer, over

SIZE_WH = (640, 480)
FPS, EMPTY_SECONDS, HELD_SECONDS = 10, 2, 1
GARMENT_SIZE, SWAY = 300, 8  # pixels: side of the garment's square, and how far it moves
NOISE = 3.0  # grey levels, standard deviation
SEEDS_COUNTED = 4  # for each label
SKIN = np.array((196, 150, 122), float)
PANEL_WH, GAP, LINE = (420, 315), 12, 50  # pixels
COLOURS = 128  # of the file
PAPER, INK, RIGHT, WRONG = "white", "#222222", "#1a7f37", "#cf222e"


def room(rng: np.random.Generator) -> np.ndarray:
    """Draws a living room: uint8, shape (H, W, 3)."""
    width, height = SIZE_WH
    image = Image.new("RGB", SIZE_WH, (206, 198, 184))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 375, width, height), (138, 104, 74))  # floor with planks
    for x in range(-300, width + 300, 70):
        draw.line((x, height, width / 2 + (x - width / 2) * 0.7, 375), (118, 87, 61), 2)
    draw.rectangle((0, 366, width, 376), (232, 228, 220))  # skirting board
    draw.rectangle((34, 50, 176, 226), (240, 238, 232))  # window
    for x, y in ((42, 58), (109, 58), (42, 146), (109, 146)):
        draw.rectangle((x, y, x + 59, y + 72), (176, 204, 224))
    for left in (8, 168):  # curtains
        for fold in range(5):
            shade = 128 + 18 * (fold % 2)
            draw.rectangle((left + 8 * fold, 40, left + 8 * fold + 8, 300), (shade, 74, 66))
    draw.rectangle((482, 40, 628, 372), (104, 74, 50))  # bookcase
    for top in (50, 132, 214, 296):
        draw.rectangle((490, top, 620, top + 70), (66, 46, 32))
        x = 492
        while (thick := int(rng.integers(8, 18))) + x < 618:
            tall, colour = int(rng.integers(44, 66)), tuple(rng.integers(50, 215, 3).tolist())
            draw.rectangle((x, top + 70 - tall, x + thick - 2, top + 70), colour)
            x += thick
    draw.rounded_rectangle((150, 236, 470, 350), 26, (86, 98, 116))  # sofa
    draw.rounded_rectangle((130, 318, 490, 400), 20, (98, 111, 130))
    for left in (118, 452):
        draw.rounded_rectangle((left, 280, left + 52, 410), 18, (78, 89, 106))
    draw.rounded_rectangle((180, 262, 268, 334), 14, (190, 142, 62))  # cushion
    draw.rectangle((250, 46, 404, 150), (70, 52, 40))  # picture on the wall
    draw.rectangle((260, 56, 394, 140), (150, 176, 168))
    draw.polygon(((260, 140), (310, 82), (346, 118), (368, 98), (394, 140)), (92, 118, 90))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.2)), float)
    light = 1.08 - 0.3 * np.hypot(
        (np.arange(width) - 120) / width, (np.arange(height)[:, np.newaxis] - 120) / height
    )
    return np.clip(soft * light[..., np.newaxis], 0, 255).astype(np.uint8)


def with_garment(empty_rgb: np.ndarray, label: str, seed: int, seconds: float) -> np.ndarray:
    """Draws a garment that two hands hold up: float, shape (H, W, 3)."""
    rng = np.random.default_rng(seed)
    garment = np.dstack(draw_garment(label, rng, GARMENT_SIZE))
    x = SIZE_WH[0] / 2 + SWAY * np.sin(9 * seconds)
    y = SIZE_WH[1] / 2 + SWAY * np.cos(7 * seconds) / 2
    top = layer(garment, Placement((x, y), GARMENT_SIZE, 2 * np.sin(5 * seconds)), SIZE_WH)
    picture = over(top, empty_rgb.astype(np.float32))
    rows, columns = np.nonzero(top[..., 3] > 0.5)
    upper = rows < rows.min() + 0.15 * GARMENT_SIZE
    for hold, side in ((columns[upper].min(), -1), (columns[upper].max(), 1)):
        hand = (float(hold), float(rows.min() + 0.08 * GARMENT_SIZE))
        elbow = (hold + side * 120.0, 1.1 * SIZE_WH[1])
        picture = over(hand_layer(SIZE_WH, hand, elbow, 34, rng, skin=SKIN), picture)
    return picture


def as_frame(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a camera makes of a view: uint8, shape (H, W, 3), BGR, with noise."""
    noisy = rgb + rng.normal(0, NOISE, rgb.shape)
    return np.ascontiguousarray(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)[..., ::-1])


def panel(frame_bgr: np.ndarray, answer: Recognition | None, colour: str) -> Image.Image:
    """The frame, with the mask of the answer outlined and the rest paler."""
    picture = np.ascontiguousarray(frame_bgr[..., ::-1])
    if answer is not None and answer.mask is not None:
        picture[~answer.mask] = picture[~answer.mask] // 2 + 60
        shape = cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        outlines, _ = cv2.findContours(answer.mask.astype(np.uint8), *shape)
        for rgb, thickness in ((ImageColor.getrgb(PAPER), 7), (ImageColor.getrgb(colour), 4)):
            cv2.drawContours(picture, outlines, -1, rgb, thickness)
    return Image.fromarray(picture).resize(PANEL_WH, Image.Resampling.LANCZOS)


def last_frame(
    label: str, seed: int, before: Recognizer, now: Recognizer
) -> tuple[np.ndarray, Recognition, Recognition]:
    """Shows a room and then a garment; the last frame, and the answers before and now."""
    rng = np.random.default_rng(seed)
    empty_rgb, camera = room(rng), CameraRecognizer(now)
    for number in range(EMPTY_SECONDS * FPS):
        camera.recognize(as_frame(empty_rgb, rng), number / FPS)
    for number in range(HELD_SECONDS * FPS + 1):
        seconds = number / FPS
        frame_bgr = as_frame(with_garment(empty_rgb, label, seed, seconds), rng)
        held_up = camera.recognize(frame_bgr, EMPTY_SECONDS + seconds)
    return frame_bgr, before.recognize(frame_bgr), held_up


def draw_sheet(
    label: str, frame_bgr: np.ndarray, earlier: Recognition, now: Recognition
) -> Image.Image:
    """Draws the three panels and the line of text below each."""
    font = ImageFont.load_default(18)
    step = PANEL_WH[0] + GAP
    sheet = Image.new("RGB", (3 * step - GAP, PANEL_WH[1] + LINE), PAPER)
    draw = ImageDraw.Draw(sheet)
    titles = ("the frame", "before: this frame alone", "now: with empty scene and guide box")
    for number, (title, answer) in enumerate(zip(titles, (None, earlier, now), strict=True)):
        colour, text = INK, f"{label} is held up"
        if answer is not None:
            colour = RIGHT if answer.label == label else WRONG
            text = f"{answer.label} {answer.confidence:.0%}" if answer.scores else answer.label
        sheet.paste(panel(frame_bgr, answer, colour), (number * step, 0))
        draw.text((number * step, PANEL_WH[1] + 4), title, INK, font=font)
        draw.text((number * step, PANEL_WH[1] + 26), text, colour, font=font)
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--before", type=Path, required=True, help="the segmenter of the middle panel"
    )
    parser.add_argument("--label", default="T-shirt/top", help="of the garment")
    parser.add_argument("--seed", type=int, default=1, help="of garment and room")
    parser.add_argument("--count", action="store_true", help="count the right answers of 40 frames")
    arguments = parser.parse_args()
    now = Recognizer()
    before = Recognizer(now.classifier, NetworkSegmenter(arguments.before))
    picture = draw_sheet(arguments.label, *last_frame(arguments.label, arguments.seed, before, now))
    with replacing(arguments.folder / "held-up.png") as temporary:
        picture.quantize(COLOURS).save(temporary, optimize=True)
    if arguments.count:
        is_right = np.array([
            [answer.label == label for answer in last_frame(label, seed, before, now)[1:]]
            for label in FASHION_MNIST_LABELS
            for seed in range(SEEDS_COUNTED)
        ])  # fmt: skip
        earlier, today = is_right.sum(axis=0)
        print(f"Named correctly, of {len(is_right)} frames: {earlier} before, {today} now.")


if __name__ == "__main__":
    main()
