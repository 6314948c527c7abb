"""The web server of the page, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application, RequestHandler

from garmentlite.edge.controls import Controls
from garmentlite.edge.page.access import Access
from garmentlite.edge.page.classify_upload import ClassifyHandler, Uploads
from garmentlite.edge.page.features import Feature
from garmentlite.edge.page.handlers import (
    LARGEST_REQUEST,
    ControlsHandler,
    EventsHandler,
    FeaturesHandler,
    FileHandler,
    MissingHandler,
    Page,
    SnapshotHandler,
    StreamHandler,
    VerdictHandler,
)
from garmentlite.edge.page.live_pictures import LivePictures
from garmentlite.edge.page.verdicts import Verdicts
from garmentlite.edge.recognizer import Recognizer

# A viewer is cut off when bytes have waited for it this long. Before any wait, the viewer's own system takes
# about 128 kB, which is 6 seconds of /events?live=1 at 10 frames a second.
PATIENCE_SECONDS = 2.5
IDLE_SECONDS = 60.0  # an open connection without a request is closed after this time
BODY_SECONDS = 60.0  # longest time for sending a body
# The connection is closed when a header has more bytes than this. A header that is smaller, but larger than
# `LARGEST_REQUEST`, is refused with a sentence.
LARGEST_HEADER = 512 << 10
# How tornado refuses what it cannot read, and what is sent in its place.
_BARE_REFUSAL = b"HTTP/1.1 400 Bad Request\r\n\r\n"
_UNREADABLE = (
    f"The request cannot be read; send HTTP/1.1, and a body below {LARGEST_REQUEST >> 10} kB.\n"
)
_REFUSAL = (
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    f"Content-Length: {len(_UNREADABLE)}\r\nConnection: close\r\n\r\n{_UNREADABLE}"
).encode()
STATIC = Path(__file__).parent / "static"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageServer:
    """Serves the page until it is stopped.

    Attributes:
        verdicts: Takes the answers of the app.
        pictures: Makes the live pictures.
    """

    verdicts: Verdicts
    pictures: LivePictures

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        access: Access,
        controls: Controls,
        make_recognizer: Callable[[], Recognizer],
        features: Sequence[Feature] = (),
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Starts the server; it answers when this returns.

        Args:
            sockets: Listening sockets; they are closed when the server stops.
            access: Who may look.
            controls: Settings of the app.
            make_recognizer: Makes a recognizer for pictures that are sent.
            features: Panels that other parts of the app have added.
            patience: Seconds after which a viewer is cut off that takes none of the bytes that wait for it.
                All bytes of a picture may take twice as long.
        """
        self._sockets = sockets
        self._access = access
        self._controls = controls
        self._make_recognizer = make_recognizer
        self._features = tuple(features)
        self._files = _files(features)
        self._patience = patience
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()
        self._is_ready.wait()

    def stop(self) -> None:
        """Closes the port and all connections; does nothing if the server was stopped already."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._is_stopped.set)
            self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_stopped = asyncio.Event()
        executor = ThreadPoolExecutor(1, "page-pictures")
        uploads = Uploads(self._make_recognizer)
        self.verdicts = Verdicts(self._loop)
        self.pictures = LivePictures(self.verdicts, executor)
        page = Page(
            access=self._access,
            controls=self._controls,
            verdicts=self.verdicts,
            pictures=self.pictures,
            features=self._features,
            files=self._files,
            patience=self._patience,
        )
        server = _SentenceServer(
            _application(page, uploads),
            idle_connection_timeout=IDLE_SECONDS,
            body_timeout=BODY_SECONDS,
            max_body_size=LARGEST_REQUEST,
            max_header_size=LARGEST_HEADER,
        )
        server.add_sockets(self._sockets)
        self._is_ready.set()
        try:
            await self._is_stopped.wait()
        finally:
            server.stop()
            await server.close_all_connections()
            uploads.close()
            executor.shutdown(cancel_futures=True)


class _SentenceServer(HTTPServer):
    """A server whose every refusal is a sentence."""

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serves a connection."""
        write = stream.write

        def write_with_sentence(data: bytes | memoryview) -> Any:
            return write(_REFUSAL if data == _BARE_REFUSAL else data)

        stream.write = write_with_sentence  # type: ignore[method-assign]
        super().handle_stream(stream, address)


def _application(page: Page, uploads: Uploads) -> Application:
    shared: dict[str, Any] = {"page": page}
    rules: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [
        *((path, FileHandler, shared) for path in page.files),
        ("/verdict", VerdictHandler, shared),
        ("/events", EventsHandler, shared),
        ("/snapshot.jpg", SnapshotHandler, shared),
        ("/stream.mjpg", StreamHandler, shared),
        ("/controls", ControlsHandler, shared),
        ("/classify", ClassifyHandler, shared | {"uploads": uploads}),
        ("/features", FeaturesHandler, shared),
    ]
    for feature in page.features:
        rules += [(path, handler, shared | more) for path, handler, more in feature.handlers]
    return Application(
        rules,
        default_handler_class=MissingHandler,
        default_handler_args=shared,
        log_function=lambda handler: None,  # addresses may contain the token
    )


def _files(features: Sequence[Feature]) -> dict[str, tuple[str, bytes]]:
    """Reads the fixed files; the address of a request never becomes the name of a file."""
    paths = {
        "/" if path.name == "index.html" else f"/{path.name}": path
        for path in sorted(STATIC.iterdir())
    }
    files = {url: (CONTENT_TYPES[path.suffix], path.read_bytes()) for url, path in paths.items()}
    for feature in features:
        files[f"/features/{feature.name}.js"] = (CONTENT_TYPES[".js"], feature.script.encode())
    return files
