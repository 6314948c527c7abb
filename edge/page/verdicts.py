"""The newest answer of the camera app, the answers before it, and a way to wait for the next one."""

from __future__ import annotations

import asyncio
import threading
import time
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.controls import Settings
from garmentlite.edge.labels import NO_GARMENT
from garmentlite.edge.recognition import Recognition
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sinks.json_lines import sighting_document, state_document

NEWS_PER_SECOND = 15  # how often those who wait are told at most; smooth enough for people
KEPT = 30  # number of answers in the history
TOP_K = 5  # number of classes that are listed


@dataclass(frozen=True, eq=False)
class News:
    """What is known at one moment.

    Attributes:
        version: Grows with every change, by at least 1.
        frame_number: Number of the newest frame that was answered; 0 before the first one.
        sighting: Its answer; None while the camera's frames are not answered.
        camera: State of the camera; None for a source that is not a camera.
    """

    version: int = 0
    frame_number: int = 0
    sighting: Sighting | None = None
    camera: CameraState | None = None

    def as_document(self, settings: Settings) -> dict[str, Any]:
        """Makes the JSON object of `/verdict`.

        Args:
            settings: The present settings of the app.
        """
        if self.sighting:
            document = sighting_document(self.sighting, TOP_K)
            document["image"] = image_text(self.sighting.recognition)
        elif self.camera:
            document = state_document(self.camera)
        else:  # the first frame is not there yet
            document = {"label": None, "camera": None}
        return {"frame": self.frame_number, **document, "settings": settings_document(settings)}


@dataclass(frozen=True)
class PastVerdict:
    """An answer that was shown for a while.

    Attributes:
        number: Counts the answers from 1.
        label: One of the model's labels, or "unknown".
        confidence: The highest confidence while the answer was shown, in [0, 1].
        image: The 28x28 image at that moment, as `image_text` makes it; None if there was none.
        began: Seconds since 1970.
        ended: Seconds since 1970; None while the answer is shown.
    """

    number: int
    label: str
    confidence: float
    image: str | None
    began: float
    ended: float | None = None


class Verdicts:
    """Takes answers from the thread of the camera, and gives them to the thread of the server."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts without an answer.

        Args:
            loop: The event loop of the server.
        """
        self._loop = loop
        self._lock = threading.Lock()
        self._news = News()
        self._history: deque[PastVerdict] = deque(maxlen=KEPT)
        self._waiting: set[asyncio.Future[None]] = set()
        self._is_announced = False
        self._told_at = 0.0  # loop.time() at which those who wait were last told

    @property
    def news(self) -> News:
        """What is known now."""
        return self._news

    def history(self) -> list[PastVerdict]:
        """Lists the last answers, oldest first; "no garment" is left out."""
        with self._lock:
            return list(self._history)

    def take(self, sighting: Sighting) -> None:
        """Takes the answer to a frame. It returns at once."""
        with self._lock:
            self._remember(sighting)
            old = self._news
            self._news = News(old.version + 1, old.frame_number + 1, sighting, sighting.camera)
        self._announce()

    def take_state(self, camera: CameraState) -> None:
        """Takes the state of a camera whose frames are not answered. It returns at once."""
        with self._lock:
            old = self._news
            told = (camera.status, camera.message)
            if (
                old.sighting is None
                and old.camera
                and told == (old.camera.status, old.camera.message)
            ):
                return
            self._end_last(time.time())
            self._news = News(old.version + 1, old.frame_number, None, camera)
        self._announce()

    def settings_changed(self) -> None:
        """Tells those who wait that the settings of the app have changed."""
        with self._lock:
            self._news = replace(self._news, version=self._news.version + 1)
        self._announce()

    async def newer_than(self, version: int, patience: float) -> News | None:
        """Waits for a change; only the thread of the server may call it.

        Args:
            version: The version that the caller knows.
            patience: Longest time to wait, in seconds.

        Returns:
            The newest state, which may be several versions ahead; None if nothing has changed.
        """
        end = self._loop.time() + patience
        while self._news.version <= version:
            left = end - self._loop.time()
            if left <= 0:
                return None
            told = self._loop.create_future()
            self._waiting.add(told)
            await asyncio.wait({told}, timeout=left)
            self._waiting.discard(told)
        return self._news

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        """Wakes those who wait, in the thread of the server, but not too often."""
        wait = self._told_at + 1 / NEWS_PER_SECOND - self._loop.time()
        if wait > 0:
            self._loop.call_later(wait, self._tell)
            return
        self._is_announced = False
        self._told_at = self._loop.time()
        for told in self._waiting:
            if not told.done():
                told.set_result(None)

    def _remember(self, sighting: Sighting) -> None:
        recognition = sighting.recognition
        last = self._history[-1] if self._history else None
        if last is None or last.ended is not None or last.label != recognition.label:
            self._end_last(sighting.clock)
            if recognition.label != NO_GARMENT:
                number = 1 if last is None else last.number + 1
                self._history.append(
                    PastVerdict(
                        number,
                        recognition.label,
                        round(recognition.confidence, 6),
                        image_text(recognition),
                        sighting.clock,
                    )
                )
        elif recognition.confidence > last.confidence:
            self._history[-1] = replace(
                last, confidence=round(recognition.confidence, 6), image=image_text(recognition)
            )

    def _end_last(self, clock: float) -> None:
        if self._history and self._history[-1].ended is None:
            self._history[-1] = replace(self._history[-1], ended=clock)


def image_text(recognition: Recognition) -> str | None:
    """Writes the 784 bytes of the 28x28 image in base64, row by row; None if there is no image."""
    image_u8 = recognition.image_u8
    return None if image_u8 is None else b64encode(image_u8.tobytes()).decode("ascii")


def settings_document(settings: Settings) -> dict[str, Any]:
    """Makes the JSON object of the settings that the page shows and changes."""
    box = settings.box
    return {
        "box": [box.x, box.y, box.width, box.height],
        "mirrored": settings.is_mirrored,
        "paused": settings.is_paused,
    }
