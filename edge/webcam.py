"""The app: frames are captured, prepared, classified, smoothed and shown, by parts joined in one loop.

`run` is the loop. What it sees comes from a `Source`; where it goes is a `Sink`: a window, or lines of
JSON where there is no display. Another place to show things is one more class, and no other loop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

import numpy as np

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.overlay import draw_overlay
from garmentlite.edge.recognition import Recognition, recognize
from garmentlite.edge.segmentation import Segmenter, load_opencv
from garmentlite.edge.smoothing import Smoother
from garmentlite.edge.sources import Frame, Source

WINDOW_TITLE = "garmentlite"
WINDOW_WH = (960, 720)  # pixels, the largest first size of the window
QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 is Esc
WAIT_MS = 50  # at most between two looks at the window
RATE_FRAMES = 30  # over which frames per second are taken
TRIAL_SECONDS = 20.0  # for opening a window as a trial; a Raspberry Pi takes a few


@dataclass(frozen=True)
class Sighting:
    """What a sink gets for each frame.

    Attributes:
        frame: The frame as it was captured.
        recognition: The steady answer, with the preparation of this frame; its `latency_ms` has the
            stages "capture" (waiting for the frame), "segment", "prepare" and "infer".
        frames_per_second: Of the whole loop, over the last frames; 0 at the first one.
    """

    frame: Frame
    recognition: Recognition
    frames_per_second: float


class Sink(Protocol):
    """Where answers go, held open by a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, sighting: Sighting) -> bool:
        """Takes the answer to one frame; False where nobody wants another."""
        ...


def run(
    source: Source,
    classifier: Classifier,
    segmenter: Segmenter,
    sink: Sink,
    *,
    smoother: Smoother | None = None,
    max_frames: int | None = None,
) -> int:
    """Looks at frame after frame until the source ends, the sink has enough, or the limit is reached.

    Source and sink are closed however it ends, also by an exception such as KeyboardInterrupt.

    Args:
        source: Where frames come from; opened here.
        classifier: The model.
        segmenter: How the garment is told from its background.
        sink: Where the answers go; opened here, after the source.
        smoother: What makes the answers steady; by default one that fits the model.
        max_frames: The largest number of frames to look at; None for no limit.

    Returns:
        How many frames were looked at.

    Raises:
        SourceError: If the source cannot be opened or is lost.
    """
    smoother = smoother or _smoother_for(classifier)
    rate = FrameRate()
    looked_at, scene = 0, None
    with source, sink:
        for frame, capture_ms in islice(_timed(source), max_frames):
            if frame.name != scene:
                smoother.reset()
                scene = frame.name
            recognition = recognize(frame.picture(), classifier, segmenter)
            steady = _steadied(recognition, frame.time, smoother, capture_ms)
            looked_at += 1
            if not sink.show(Sighting(frame, steady, rate.tick(time.perf_counter()))):
                break
    return looked_at


class FrameRate:
    """Frames per second over the last frames."""

    def __init__(self) -> None:
        """Starts with none."""
        self._ticks: deque[float] = deque(maxlen=RATE_FRAMES)

    def tick(self, seconds: float) -> float:
        """Notes the time of a frame; returns the rate, 0 while it is unknown."""
        self._ticks.append(seconds)
        span = self._ticks[-1] - self._ticks[0]
        # n moments lie n - 1 intervals apart.
        return (len(self._ticks) - 1) / span if span > 0 else 0.0


class JsonLinesSink:
    """Writes one JSON object a line, for machines and for boards without a screen."""

    def __init__(self, stream: TextIO, *, top_k: int = 3) -> None:
        """Remembers where to write, and how many of the most probable classes to list."""
        self._stream = stream
        self._top_k = top_k

    def __enter__(self) -> Self:
        """The stream is the caller's, open already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """The stream stays open."""

    def show(self, sighting: Sighting) -> bool:
        """Writes a line at once; False where nobody reads any more."""
        frame = sighting.frame
        document: dict[str, Any] = {"time": round(frame.time, 3)}
        if frame.name is not None:
            document["name"] = frame.name
        document |= sighting.recognition.as_document(self._top_k)
        try:
            self._stream.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            _divert_to_nowhere(self._stream)
            return False
        return True


class WindowSink:
    """Shows frame and answer in a window; q, Esc and closing the window end the loop."""

    def __init__(self, title: str = WINDOW_TITLE) -> None:
        """Remembers the title. `why_no_window` tells beforehand whether a window can be opened."""
        self._title = title

    def __enter__(self) -> Self:
        """Gets ready; the window itself opens at the first frame, whose size it takes.

        Raises:
            MissingPartError: If no window can be opened; trying would end the process.
        """
        obstacle = why_no_window()
        if obstacle:
            raise MissingPartError(f"No window can be opened: {obstacle}")
        # The Qt inside the wheel complains of fonts it does not need here.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        self._cv2 = load_opencv()
        # The moment of time.monotonic at which a frame of time 0 was, or would have been, shown.
        self._time_zero: float | None = None
        self._draw_ms: float | None = None  # of the last frame: that of this one is not known yet
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the window."""
        # The user may have closed it, and then OpenCV knows no window of this name.
        with suppress(self._cv2.error):
            self._cv2.destroyWindow(self._title)

    def show(self, sighting: Sighting) -> bool:
        """Draws a frame and stays with it for as long as its source says; False to end the loop."""
        start = time.perf_counter()
        recognition = sighting.recognition
        if self._draw_ms is not None:
            recognition = replace(
                recognition, latency_ms={**recognition.latency_ms, "draw": self._draw_ms}
            )
        picture = draw_overlay(
            sighting.frame.bgr, recognition, frames_per_second=sighting.frames_per_second
        )
        self._draw_ms = (time.perf_counter() - start) * 1000
        frame = sighting.frame
        if self._time_zero is None:
            self._open(picture)
            self._time_zero = time.monotonic() - frame.time
        self._cv2.imshow(self._title, picture)
        # A recording is shown at its own pace, a live frame until the next one is there.
        is_recorded = frame.duration > 0
        return self._wait(self._time_zero + frame.time + frame.duration if is_recorded else 0.0)

    def _open(self, picture: np.ndarray) -> None:
        cv2 = self._cv2
        height, width = picture.shape[:2]
        scale = min(WINDOW_WH[0] / width, WINDOW_WH[1] / height)
        # GUI_NORMAL: without the buttons that Qt adds above the picture.
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(self._title, flags)
        cv2.resizeWindow(self._title, round(width * scale), round(height * scale))

    def _wait(self, until: float) -> bool:
        """Lets the window live until a moment of time.monotonic; False if the user wants to end."""
        while True:
            left_ms = round((until - time.monotonic()) * 1000)
            # In steps, so that a window closed by its button is noticed soon.
            key = self._cv2.waitKey(min(max(left_ms, 1), WAIT_MS))
            if key & 0xFF in QUIT_KEYS or not self._is_visible():
                return False
            if left_ms <= WAIT_MS:
                return True

    def _is_visible(self) -> bool:
        try:
            return self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) > 0
        except self._cv2.error:  # some of OpenCV's toolkits raise when the window is gone
            return False


def has_display() -> bool:
    """Whether a window can be opened here; see `why_no_window`."""
    return why_no_window() is None


def why_no_window() -> str | None:
    """What stands in the way of a window, found without opening one in this process.

    OpenCV's window toolkit does not raise where it reaches no display: it ends the process. So on Linux
    a window is opened in another process first (half a second on a PC).

    Returns:
        None where a window can be opened; else half a sentence that says why not and what to do.

    Raises:
        MissingPartError: If OpenCV is not installed.
    """
    if not _has_gui(load_opencv().getBuildInformation()):
        return (
            "this OpenCV was built without windows; in a fresh environment install "
            "'garmentlite[desktop]' in place of 'garmentlite[headless]'."
        )
    if not sys.platform.startswith("linux"):
        return None
    displays = [os.environ.get(name, "") for name in ("DISPLAY", "WAYLAND_DISPLAY")]
    if not any(displays):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)."
    if not _opens_in_trial(*displays):
        return "the display that DISPLAY or WAYLAND_DISPLAY names cannot be used by this OpenCV."
    return None


def _has_gui(build_information: str) -> bool:
    for line in build_information.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "GUI":
            return value.strip() not in ("", "NONE")
    return True  # an unknown form of the text: the trial decides


@cache
def _opens_in_trial(display: str, wayland_display: str) -> bool:
    """Whether a window opens in another process; tried once for the displays in the environment."""
    trial = "import cv2; cv2.namedWindow('garmentlite'); cv2.destroyAllWindows()"
    try:
        result = subprocess.run(
            [sys.executable, "-c", trial], capture_output=True, timeout=TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def _smoother_for(classifier: Classifier) -> Smoother:
    threshold = classifier.metadata.unknown_threshold if classifier.metadata else None
    return Smoother(classifier.labels, unknown_threshold=threshold)


def _timed(frames: Iterable[Frame]) -> Iterator[tuple[Frame, float]]:
    """Frames, each with the milliseconds that were spent waiting for it."""
    iterator = iter(frames)
    while True:
        start = time.perf_counter()
        try:
            frame = next(iterator)
        except StopIteration:
            return
        yield frame, (time.perf_counter() - start) * 1000


def _steadied(
    recognition: Recognition, seconds: float, smoother: Smoother, capture_ms: float
) -> Recognition:
    """The answer to one frame with the steady label and probabilities in place of its own."""
    steady = smoother.update(seconds, recognition.probabilities)
    return replace(
        recognition,
        label=steady.label,
        confidence=0.0 if steady.probabilities is None else float(steady.probabilities.max()),
        probabilities=steady.probabilities,
        latency_ms={"capture": capture_ms, **recognition.latency_ms},
    )


def _divert_to_nowhere(stream: TextIO) -> None:
    """Lets Python's last flush of a broken pipe, at exit, go where it harms nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
