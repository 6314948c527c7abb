"""Tests of MJPEG on standard input, written through real pipes."""

import io
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources.standard_input import StandardInput

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "weighted-cnn_int8.tflite"


def jpeg(level, size_wh=(64, 48)):
    encoded = io.BytesIO()
    Image.new("RGB", size_wh, (level, 60, 20)).save(encoded, "JPEG", quality=95)
    return encoded.getvalue()


@pytest.fixture
def pipe():
    """The source at the reading end of a pipe, and a function that writes into it in a thread."""
    reading, writing = os.pipe()
    threads = []

    def write(data, *, ends=True):
        def work():
            with os.fdopen(writing, "wb", closefd=ends) as file:
                file.write(data)

        threads.append(threading.Thread(target=work))
        threads[0].start()

    yield StandardInput(reading).open(), write
    os.close(reading)
    for thread in threads:
        thread.join()


def test_standard_input_gives_each_picture_in_bgr_then_ends(pipe):
    source, write = pipe
    write(b"".join(jpeg(level) for level in (50, 150, 250)))
    frames = [source.read() for _ in range(3)]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    assert [round(int(frame[20, 20, 2]) / 50) for frame in frames] == [1, 3, 5]
    with pytest.raises(EOFError):
        source.read()


def test_standard_input_damaged_picture_is_none_and_the_next_one_is_read(pipe):
    source, write = pipe
    good = jpeg(200, (640, 480))
    write(b"noise before" + good[: len(good) // 2] + good)
    assert source.read() is None
    assert source.read().shape == (480, 640, 3)


def test_standard_input_of_something_else_ends(pipe):
    source, write = pipe
    write(b"This is a text and no picture. " * 1000)
    with pytest.raises(EOFError):
        source.read()


def test_standard_input_picture_of_too_many_pixels_is_none(pipe):
    source, write = pipe
    huge = bytearray(jpeg(100))
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"  # 65535 x 65535
    write(bytes(huge))
    assert source.read() is None


@pytest.mark.slow
def test_standard_input_that_stays_silent_is_lost(pipe):
    source, _ = pipe
    with pytest.raises(SourceError, match="gives no data"):
        source.read()


def test_standard_input_of_a_terminal_says_what_to_connect():
    terminal, other = pty.openpty()
    try:
        with pytest.raises(SourceError, match="rpicam-vid"):
            StandardInput(other).open()
    finally:
        os.close(terminal)
        os.close(other)


@pytest.mark.slow
def test_app_answers_the_pictures_of_a_pipe():
    script = (
        "import sys, time, io; import numpy as np; from PIL import Image\n"
        "for number in range(60):\n"
        "    pixels = np.full((240, 320, 3), 200, np.uint8); pixels[80:200, 80 + number:200 + number] = 60\n"
        "    Image.fromarray(pixels).save(sys.stdout.buffer, 'JPEG'); sys.stdout.flush(); time.sleep(0.05)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    app = subprocess.run(
        [sys.executable, "-P", "cli.py", "webcam", "--source", "-", "--headless", "--model", str(MODEL),
         "--segment", "plain"],
        cwd=ROOT, stdin=writer.stdout, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    writer.stdout.close()
    writer.wait(60)
    assert (app.returncode, app.stderr) == (0, "")
    assert '"frame_size": [320, 240]' in app.stdout


def test_array_of_a_picture_is_contiguous(pipe):
    source, write = pipe
    write(jpeg(90))
    assert isinstance(frame := source.read(), np.ndarray)
    assert frame.flags.c_contiguous
