"""Takes the picture of the page in docs/camera.md: on a phone and on a wide screen, in headless Chromium.

python benchmarks/page_picture.py [--output docs/page.png]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import threading
from pathlib import Path

import numpy as np
from chromium import Browser
from PIL import Image

from garmentlite.edge.controls import Controls
from garmentlite.edge.drawing import draw_moving_frame
from garmentlite.edge.page.address import Address
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sinks.page import PageSink
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.stream import GarmentStream

SECONDS = 17.0  # of the test pattern; the last frame shows a garment in the middle of its way
FPS = 15.0
SCREENS = ((390, 800, "light"), (1280, 800, "dark"))  # width and height in pixels, and the theme
GAP = 24  # pixels between the pictures


class Pattern:
    """The first seconds of the test pattern, as the frames of a camera."""

    camera = None

    def __enter__(self) -> Pattern:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self):
        for number in range(int(SECONDS * FPS)):
            rgb, _ = draw_moving_frame(number / FPS, (640, 480))
            yield Frame(np.ascontiguousarray(rgb[..., ::-1]), number / FPS, duration=1 / FPS)


async def pictures_of(url: str) -> list[Image.Image]:
    """Opens the page on each screen and takes a picture of it."""
    pictures = []
    async with Browser() as browser:
        for width, height, scheme in SCREENS:
            tab = await browser.tab()
            await tab.call("Page.bringToFront")
            await tab.open(url, width, height, scheme)
            await tab.until("document.querySelectorAll('#history li').length > 3")
            await tab.until("document.querySelector('#picture').dataset.frame > 0")
            pictures.append(Image.open(io.BytesIO(await tab.picture())))
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/page.png"))
    arguments = parser.parse_args()
    said: list[str] = []
    sink = PageSink(Address(port=0), Controls(), Recognizer, said.append)
    with GarmentStream(Pattern(), Recognizer()) as stream, sink:
        for event in stream.events():  # at the pattern's own speed
            assert isinstance(event, Sighting)
            sink.show(event)
        is_over = threading.Event()

        def repeat_last() -> None:
            while not is_over.wait(1 / FPS):
                sink.show(event)

        repeating = threading.Thread(target=repeat_last)
        repeating.start()
        try:
            pictures = asyncio.run(pictures_of(said[0].split()[-1]))
        finally:
            is_over.set()
            repeating.join()
    width = sum(one.width for one in pictures) + GAP * (len(pictures) - 1)
    whole = Image.new("RGB", (width, max(one.height for one in pictures)), "white")
    left = 0
    for one in pictures:
        whole.paste(one, (left, 0))
        left += one.width + GAP
    whole.quantize(255, dither=Image.Dither.NONE).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
