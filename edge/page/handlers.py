"""Answers the requests of browsers and programs; docs/camera.md describes each URL."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from garmentlite.edge.controls import Controls
from garmentlite.edge.documents import DocumentError
from garmentlite.edge.errors import OptionError
from garmentlite.edge.page.access import COOKIE, Access
from garmentlite.edge.page.control_request import changes_of
from garmentlite.edge.page.features import Feature
from garmentlite.edge.page.live_pictures import LivePictures
from garmentlite.edge.page.verdicts import Verdicts, settings_document

# Sent with every answer. The page loads nothing from elsewhere and cannot be framed.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "garmentlite",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
COOKIE_DAYS = 365
LARGEST_REQUEST = 64 << 10  # bytes of a body or a header; pictures have a limit of their own
HEARTBEAT_SECONDS = 5.0  # a silent connection is written to so often, so that a lost one is noticed
FIRST_PICTURE_SECONDS = 5.0  # how long a request for a picture waits while there is none
# Bytes that wait in the system until a viewer reads them. The usual buffer grows to megabytes, so it would
# take long to notice that a viewer does not read.
PICTURES_BUFFER, EVENTS_BUFFER = 128 << 10, 16 << 10
MOST_VIEWERS = 24  # connections without end at a time
BOUNDARY = "frame"


@dataclass(eq=False)
class Page:
    """What the handlers share.

    Attributes:
        access: Who may look.
        controls: Settings of the app.
        verdicts: Answers of the app.
        pictures: Live pictures.
        features: Panels that other parts of the app have added.
        files: Content type and content of each fixed URL.
        patience: Seconds after which a viewer is cut off that takes none of the bytes that wait for it. All
            bytes of a picture may take twice as long.
        viewers: Connections without end that are open.
    """

    access: Access
    controls: Controls
    verdicts: Verdicts
    pictures: LivePictures
    features: tuple[Feature, ...]
    files: Mapping[str, tuple[str, bytes]]
    patience: float
    viewers: int = 0


class PageHandler(RequestHandler):
    """Refuses requests that may not be answered, before a method such as `get` is called."""

    page: Page

    def initialize(self, page: Page, **_: Any) -> None:
        """Takes what the handlers share."""
        self.page = page

    def set_default_headers(self) -> None:
        """Adds the headers that every answer has."""
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Checks who asks."""
        own_address = str(self.own_end().getsockname()[0])
        refusal = self.page.access.refusal(self.request, own_address)
        if refusal:
            if refusal.status == 401:
                self.set_header("WWW-Authenticate", "Bearer")
            self.refuse(refusal.status, refusal.sentence)
        elif self._header_size() > LARGEST_REQUEST:
            self.refuse(
                431,
                f"The header of the request is larger than {LARGEST_REQUEST >> 10} kB; make its address or "
                "its fields shorter.",
            )

    def _header_size(self) -> int:
        fields = self.request.headers.get_all()
        return len(self.request.uri or "") + sum(len(name) + len(value) for name, value in fields)

    def own_end(self) -> socket.socket:
        """Returns the socket of the connection; raises `StreamClosedError` if it is closed."""
        own_end: socket.socket | None = self.connection.stream.socket
        if own_end is None:
            raise StreamClosedError
        return own_end

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Prints the traceback of an exception that is not the visitor's doing."""
        if not isinstance(value, StreamClosedError | HTTPError):
            super().log_exception(typ, value, tb)

    def refuse(self, status: int, sentence: str) -> None:
        """Answers with one sentence in plain text."""
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(sentence + "\n")

    def send_json(self, document: Any) -> None:
        """Answers with a JSON document."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json_text(document) + "\n")

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answers with a sentence if the method does not exist or an exception was raised."""
        sentences = {
            404: "There is no such address; docs/camera.md lists them.",
            405: "This address does not answer to this method; docs/camera.md lists them.",
        }
        unreadable = "The request cannot be answered; docs/camera.md says what each address takes."
        self.refuse(status_code, sentences.get(status_code, unreadable))

    @property
    def connection(self) -> HTTP1Connection:
        """The connection to the browser or program."""
        return cast(HTTP1Connection, self.request.connection)


class MissingHandler(PageHandler):
    """Answers to addresses that do not exist."""

    def prepare(self) -> None:
        """Checks who asks first, so that strangers learn nothing."""
        super().prepare()
        if not self._finished:
            self.write_error(404)


class FileHandler(PageHandler):
    """Answers with the page itself, its style or its script."""

    def get(self) -> None:
        """Sends a file, or a page that removes the token from the address."""
        token = self.get_query_argument("token", "")
        if self.request.path == "/" and token:
            self._let_in(token)
            return
        content_type, content = self.page.files[self.request.path]
        self.set_header("Content-Type", content_type)
        self.finish(content)

    def _let_in(self, token: str) -> None:
        if self.page.access.token is not None:
            self.set_cookie(
                COOKIE, token, expires_days=COOKIE_DAYS, httponly=True, samesite="Strict"
            )
        # After "302 Found" a browser that came from a link in another page would not send the cookie. After
        # this, it does, and the address with the token does not stay in its history either.
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(
            '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0;url=/">'
            '<title>garmentlite</title><p><a href="/">Open the page</a></p></html>'
        )


class VerdictHandler(PageHandler):
    """Answers with the newest verdict."""

    def get(self) -> None:
        """Sends it as JSON."""
        self.send_json(self.page.verdicts.news.as_document(self.page.controls.settings))


class ControlsHandler(PageHandler):
    """Changes the settings of the app."""

    def post(self) -> None:
        """Changes the settings that the JSON object of the body names; answers with all of them."""
        try:
            changes = changes_of(self.request.body)
        except (DocumentError, OptionError) as error:
            self.refuse(400, f"The controls cannot be changed: {error}")
            return
        settings = self.page.controls.change(**changes)
        self.page.verdicts.settings_changed()
        self.send_json(settings_document(settings))


class FeaturesHandler(PageHandler):
    """Lists the panels that other parts of the app have added."""

    def get(self) -> None:
        """Sends their names, titles and scripts."""
        self.send_json(
            [
                {"name": one.name, "title": one.title, "script": f"/features/{one.name}.js"}
                for one in self.page.features
            ]
        )


class SnapshotHandler(PageHandler):
    """Answers with one picture."""

    async def get(self) -> None:
        """Sends the newest frame, or the first one after the frame that `after` names."""
        after = self.get_query_argument("after", "0")
        number = int(after) if after.isascii() and after.isdecimal() else 0
        found = await self.page.pictures.newer_than(number, FIRST_PICTURE_SECONDS)
        if found is not None:
            self.set_header("Content-Type", "image/jpeg")
            self.set_header("X-Frame", str(found[0]))
            with suppress(StreamClosedError):
                await self.finish(found[1])
        elif number:
            self.set_status(204)
        else:
            self.refuse(
                503, "There is no picture at the moment; /verdict tells the camera's state."
            )


class EndlessHandler(PageHandler):
    """Sends something again and again until the viewer goes away or does not read any more.

    Attributes:
        send_buffer: Size of the system's buffer in bytes.
    """

    send_buffer = PICTURES_BUFFER

    def prepare(self) -> None:
        """Refuses one viewer too many."""
        super().prepare()
        if not self._finished and self.page.viewers >= MOST_VIEWERS:
            self.refuse(503, "Too many viewers are connected; try again when one has left.")

    async def get(self) -> None:
        """Sends until the viewer is gone."""
        own_end = self.own_end()
        own_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Linux ends the connection when bytes have waited for so long and the viewer has taken none.
            patience_ms = round(1000 * self.page.patience)
            own_end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
        self.page.viewers += 1
        try:
            await self.send_all()
        except (StreamClosedError, asyncio.CancelledError):
            pass  # the viewer has gone away, or the server is stopped
        finally:
            self.page.viewers -= 1

    async def send_all(self) -> None:
        """Sends until `StreamClosedError` is raised."""
        raise NotImplementedError

    async def send(self, chunk: bytes) -> None:
        """Writes and waits until the system has taken all of it, which a slow viewer may delay.

        Raises:
            StreamClosedError: If the viewer has gone away, or has not read for too long and was cut off.
        """
        self.write(chunk)
        try:
            await asyncio.wait_for(self.flush(), 2 * self.page.patience)
        except TimeoutError:
            self.connection.stream.close()
            raise StreamClosedError from None


class StreamHandler(EndlessHandler):
    """Sends each frame as a JPEG (Motion JPEG); frames that a slow viewer has no time for are left out."""

    async def send_all(self) -> None:
        """Sends the parts of a multipart document."""
        self.set_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        await self.send(f"--{BOUNDARY}\r\n".encode())
        number = 0
        while True:
            found = await self.page.pictures.newer_than(number, HEARTBEAT_SECONDS)
            if found is None:
                # Browsers skip empty lines between the boundary and the headers of a part.
                await self.send(b"\r\n" if number else b"")
                continue
            number, jpeg = found
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\nX-Frame: {number}\r\n\r\n"
            # A browser shows a picture as soon as it has read the boundary that follows.
            await self.send(head.encode() + jpeg + f"\r\n--{BOUNDARY}\r\n".encode())


class EventsHandler(EndlessHandler):
    """Sends the verdict when it changes, as server-sent events; with `live=1` for every frame."""

    send_buffer = EVENTS_BUFFER

    async def send_all(self) -> None:
        """Sends the present verdict at once, and then what changes."""
        self.set_header("Content-Type", "text/event-stream")
        is_live = self.get_query_argument("live", "") == "1"
        version, told = -1, None
        past: dict[int, float | None] = {}
        while True:
            news = await self.page.verdicts.newer_than(version, HEARTBEAT_SECONDS)
            if news is None:
                await self.send(b": still here\n\n")
                continue
            version = news.version
            events = []
            if is_live:
                for entry in self.page.verdicts.history():
                    if past.get(entry.number, -1) != entry.ended:
                        past[entry.number] = entry.ended
                        events.append(_event("history", asdict(entry)))
            document = news.as_document(self.page.controls.settings)
            important = [document[name] for name in ("label", "camera", "settings")]
            if is_live or important != told:
                told = important
                events.append(_event("verdict", document))
            if events:
                await self.send(b"".join(events))


def json_text(document: Any) -> str:
    """Writes a JSON document on one line."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _event(name: str, document: Any) -> bytes:
    return f"event: {name}\ndata: {json_text(document)}\n\n".encode()
