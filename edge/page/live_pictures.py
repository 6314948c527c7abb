"""The live picture: one JPEG for each frame, shared by all who look and made only if somebody does."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.overlay import outlined
from garmentlite.edge.page.verdicts import Verdicts
from garmentlite.edge.sinks.interface import Sighting

QUALITY = 80  # of the JPEG, in [0, 100]; a frame of 640x480 has about 40 kB
LONGEST_SIDE = 1280  # pixels; larger frames are reduced, to spare the network


class LivePictures:
    """Gives the newest frame, with the outline of the garment, as a JPEG.

    Attributes:
        encoded: Number of frames so far that were made a JPEG.
    """

    def __init__(self, verdicts: Verdicts, executor: Executor) -> None:
        """Starts without a picture.

        Args:
            verdicts: Where the frames come from.
            executor: Makes the pictures in a thread of its own.
        """
        self._verdicts = verdicts
        self._executor = executor
        self._number = 0
        self._encoding: asyncio.Future[bytes] | None = None
        self.encoded = 0

    async def newer_than(self, frame_number: int, patience: float) -> tuple[int, bytes] | None:
        """Waits for a frame; only the thread of the server may call it.

        Args:
            frame_number: The frame that the caller has already.
            patience: Longest time to wait, in seconds.

        Returns:
            The number of the newest frame and its JPEG; None if there is no newer one, or if the camera's
            frames are not answered.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        news = self._verdicts.news
        while news.sighting is None or news.frame_number <= frame_number:
            newer = await self._verdicts.newer_than(news.version, end - loop.time())
            if newer is None:
                return None
            news = newer
        if self._encoding is None or self._number != news.frame_number:
            self._number = news.frame_number
            self._encoding = loop.run_in_executor(self._executor, _encode, news.sighting)
            self.encoded += 1
        return news.frame_number, await asyncio.shield(self._encoding)


def _encode(sighting: Sighting) -> bytes:
    """Draws the outline on a frame and encodes it."""
    cv2 = load_opencv()
    bgr = outlined(sighting.frame.bgr, sighting.recognition)
    height, width = bgr.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    return bytes(jpeg)
