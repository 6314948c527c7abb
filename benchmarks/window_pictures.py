"""Takes pictures of the camera app's window on virtual screens, for docs/camera.md.

    python benchmarks/window_pictures.py docs

Needs the extra `desktop` and the programs Xvfb, openbox and xdotool. Writes two pictures of the test pattern
into the folder: `window.png`, on a screen of 800x480, the size of a Raspberry Pi display, and
`window-keys.png`, with the list of keys on a screen of 640x480.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from garmentlite.edge.files import replacing
from garmentlite.edge.panel import NAMED

ROOT = Path(__file__).parent.parent
PATIENCE_S = 60.0
WAIT_S = 9.0  # the first message in the window is gone by then, and a pullover is shown


def read_screen(path: Path) -> np.ndarray:
    """Reads the XWD file in which Xvfb keeps its screen; uint8, shape (H, W, 3), RGB."""
    content = path.read_bytes()
    header = np.frombuffer(content[:100], ">u4")
    start = header[0] + header[19] * 12  # after the header and the table of colours
    rows = np.frombuffer(content[start:], np.uint8)[: header[5] * header[12]]
    return rows.reshape(header[5], header[12] // 4, 4)[:, : header[4], 2::-1]


def take_picture(size: str, key: str | None) -> np.ndarray:
    """Runs the app on a screen of a size such as "800x480", presses a key, and reads the screen."""
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        server = subprocess.Popen(
            [
                "Xvfb",
                "-displayfd",
                str(writing),
                "-screen",
                "0",
                f"{size}x24",
                "-fbdir",
                folder,
                "-noreset",
            ],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        environment = {**os.environ, "DISPLAY": f":{os.read(reading, 16).decode().strip()}"}
        manager = subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL)
        time.sleep(1)
        app = subprocess.Popen(
            [sys.executable, ROOT / "cli.py", "webcam", "--source", "test-pattern"], env=environment
        )
        screen = Path(folder) / "Xvfb_screen0"
        try:
            until = time.monotonic() + PATIENCE_S
            while not (read_screen(screen) == NAMED[::-1]).all(axis=2).any():
                if time.monotonic() > until:
                    raise SystemExit("The window shows no answer.")
                time.sleep(0.1)
            time.sleep(WAIT_S)
            # Xvfb draws the mouse, so it is moved into the corner.
            subprocess.run(["xdotool", "mousemove", "9999", "9999"], env=environment, check=True)
            if key:
                subprocess.run(["xdotool", "key", key], env=environment, check=True)
                time.sleep(1)
            return read_screen(screen)
        finally:
            app.terminate()
            app.wait()
            manager.kill()
            manager.wait()
            server.terminate()
            server.wait()
            os.close(reading)  # not before: Xvfb would end at the next byte that it writes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name, size, key in (("window.png", "800x480", None), ("window-keys.png", "640x480", "h")):
        picture = Image.fromarray(np.ascontiguousarray(take_picture(size, key)))
        with replacing(folder / name) as temporary:
            picture.quantize(128).save(temporary, optimize=True)


if __name__ == "__main__":
    main()
