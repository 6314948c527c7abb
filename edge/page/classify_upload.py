"""Names the garment in a picture that somebody sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments
from tornado.web import stream_request_body

from garmentlite.edge.errors import GarmentliteError, PictureError
from garmentlite.edge.page.handlers import Page, PageHandler
from garmentlite.edge.page.verdicts import TOP_K, image_text
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.recognizer import Recognizer

LARGEST_PICTURE = 10_000_000  # bytes
_FORM = 16 << 10  # bytes that a form may have around the picture
MOST_UPLOADS = 3  # pictures that are received or wait at a time


class Uploads:
    """Classifies pictures one after the other, in a thread of its own.

    Attributes:
        waiting: Number of pictures that are received, wait or are classified.
    """

    def __init__(self, make_recognizer: Callable[[], Recognizer]) -> None:
        """Keeps the function that makes a recognizer.

        Args:
            make_recognizer: Called for each picture, since two threads must not use one recognizer, and the
                model may have changed since the last picture.
        """
        self._make_recognizer = make_recognizer
        self._executor = ThreadPoolExecutor(1, "classify-upload")
        self.waiting = 0

    def close(self) -> None:
        """Waits for the picture that is being classified."""
        self._executor.shutdown(cancel_futures=True)

    async def answer_to(self, content: bytes) -> dict[str, Any]:
        """Classifies a picture.

        Args:
            content: The bytes of a picture file.

        Returns:
            The JSON object of the answer.

        Raises:
            GarmentliteError: If it is not a picture that can be read, or cannot be classified.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._classify, content
        )

    def _classify(self, content: bytes) -> dict[str, Any]:
        picture = read_picture(BytesIO(content))
        recognition = self._make_recognizer().recognize(picture)
        return {**recognition.as_document(TOP_K), "image": image_text(recognition)}


@stream_request_body
class ClassifyHandler(PageHandler):
    """Takes a picture as the body of a request, or as a file in a form."""

    def initialize(self, page: Page, uploads: Uploads | None = None, **_: Any) -> None:
        """Takes what the handlers share."""
        super().initialize(page)
        assert uploads is not None
        self._uploads = uploads
        self._body = bytearray()
        self._is_counted = False

    def prepare(self) -> None:
        """Refuses a picture that is too large before it is received."""
        super().prepare()
        if self._finished:
            return
        if self.request.method != "POST":
            self.write_error(405)
            return
        length = self.request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > LARGEST_PICTURE + _FORM:
            self.refuse(
                413, f"The picture is larger than {LARGEST_PICTURE // 10**6} MB; make it smaller."
            )
            return
        if self._uploads.waiting >= MOST_UPLOADS:
            self.refuse(503, "Other pictures are being classified; try again in a few seconds.")
            return
        self._uploads.waiting += 1
        self._is_counted = True
        self.connection.set_max_body_size(LARGEST_PICTURE + _FORM)

    def data_received(self, chunk: bytes) -> None:
        """Keeps a part of the body."""
        self._body += chunk

    async def post(self) -> None:
        """Answers with the garment's name, as `cli classify --json` does."""
        try:
            self.send_json(await self._uploads.answer_to(self._picture()))
        except PictureError as error:
            self.refuse(400, str(error))
        except GarmentliteError as error:
            self.refuse(500, str(error))

    def on_finish(self) -> None:
        """Makes room for another picture."""
        self._stop_counting()

    def on_connection_close(self) -> None:
        """Makes room for another picture if this one was not sent to its end."""
        self._stop_counting()

    def _stop_counting(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._uploads.waiting -= 1

    def _picture(self) -> bytes:
        content_type = self.request.headers.get("Content-Type", "")
        content = bytes(self._body)
        if content_type.startswith("multipart/form-data"):
            files: dict[str, list[HTTPFile]] = {}
            try:
                parse_body_arguments(content_type, content, {}, files)
            except HTTPInputError as error:
                raise PictureError(f"The form cannot be read ({error}); send it again.") from error
            content = next((one[0].body for one in files.values()), b"")
        if not content:
            raise PictureError("There is no picture in the request; send its file as the body.")
        if len(content) > LARGEST_PICTURE:
            raise PictureError(
                f"The picture is larger than {LARGEST_PICTURE // 10**6} MB; make it smaller."
            )
        return content
