"""The panel with the collected pictures: it keeps, labels and deletes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from garmentlite.edge.collected import CollectedPicture
from garmentlite.edge.documents import Document, DocumentError, parse
from garmentlite.edge.errors import GarmentliteError, OptionError
from garmentlite.edge.files import read_bytes
from garmentlite.edge.page.features import Feature
from garmentlite.edge.page.handlers import LARGEST_REQUEST, Page, PageHandler
from garmentlite.edge.sinks.collected import CollectedSink

MOST_LISTED = 300  # newest pictures; with more of them, the page says how many there are
LARGEST_CROP = 10_000_000  # bytes; a crop of 640x640 pixels has at most 1.7 MB
_SCRIPT = Path(__file__).parent / "static" / "collected.js"
_KEY_LENGTH = 16

Result = TypeVar("Result")


def collected_panel(sink: CollectedSink) -> Feature:
    """Makes the panel.

    Args:
        sink: Keeps the pictures.
    """
    shared: dict[str, Any] = {"sink": sink, "paths": {}}
    return Feature(
        name="collected",
        title="Collected pictures",
        script=_SCRIPT.read_text(encoding="utf-8"),
        handlers=[
            ("/collected", ListHandler, shared),
            ("/collected/picture", PictureHandler, shared),
            ("/collected/keep", KeepHandler, shared),
            ("/collected/label", LabelHandler, shared),
            ("/collected/delete", DeleteHandler, shared),
        ],
    )


class CollectedHandler(PageHandler):
    """Reads and changes files in another thread, so that the page never waits for them."""

    def initialize(
        self,
        page: Page,
        sink: CollectedSink | None = None,
        paths: dict[str, Path] | None = None,
        **_: Any,
    ) -> None:
        """Takes what the handlers share; `paths` are the files of the pictures in the last list."""
        super().initialize(page)
        assert sink is not None
        assert paths is not None
        self.sink, self.collected, self.paths = sink, sink.collected, paths

    async def answer(self, work: Callable[[], dict[str, Any]]) -> None:
        """Answers with the document that `work` returns, or with the sentence of its error."""
        try:
            document = await in_thread(work)
        except DocumentError as error:
            self.refuse(400, f"The request cannot be used: {error}")
        except OptionError as error:
            self.refuse(400, str(error))
        except GarmentliteError as error:
            self.refuse(500, str(error))
        else:
            self.send_json(document)


class ListHandler(CollectedHandler):
    """Lists the pictures."""

    async def get(self) -> None:
        """Sends the newest pictures, the names of the classes and the size of everything."""
        await self.answer(self._list)

    def _list(self) -> dict[str, Any]:
        pictures = self.collected.pictures()
        self.paths.clear()
        self.paths.update((_key(picture), picture.path) for picture in pictures)
        return {
            "labels": list(self.collected.labels),
            "count": len(pictures),
            "bytes": sum(picture.size for picture in pictures),
            "pictures": [_document(picture) for picture in pictures[:MOST_LISTED]],
        }


class PictureHandler(CollectedHandler):
    """Sends the crop of one picture."""

    async def get(self) -> None:
        """Sends the PNG file of a picture that was listed."""
        path = self.paths.get(self.get_query_argument("key", ""))
        try:
            content = await in_thread(lambda: read_bytes(path, LARGEST_CROP)) if path else None
        except OSError:  # it was deleted or moved since
            content = None
        if content is None:
            self.write_error(404)
            return
        self.set_header("Content-Type", "image/png")
        self.finish(content)


class KeepHandler(CollectedHandler):
    """Keeps the garment that is in view."""

    async def post(self) -> None:
        """Takes an object with the field `label`, which may be null."""
        await self.answer(lambda: {"sentence": self.sink.keep(_label(_body(self)))})


class LabelHandler(CollectedHandler):
    """Labels pictures."""

    async def post(self) -> None:
        """Takes an object with the fields `keys`, a list, and `label`, which may be null."""
        await self.answer(self._relabel)

    def _relabel(self) -> dict[str, Any]:
        document = _body(self)
        ids = _ids(document, self.collected.pictures())
        return {"changed": self.collected.relabel(ids, _label(document))}


class DeleteHandler(CollectedHandler):
    """Deletes pictures."""

    async def post(self) -> None:
        """Takes an object with the field `keys`, a list, or the field `all`, which is true."""
        await self.answer(self._delete)

    def _delete(self) -> dict[str, Any]:
        document = _body(self)
        if document.fields.get("all") is True:
            return {"deleted": self.collected.delete_all()}
        ids = _ids(document, self.collected.pictures())
        return {"deleted": self.collected.delete(ids)}


async def in_thread(work: Callable[[], Result]) -> Result:
    """Does some work in another thread."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def _key(picture: CollectedPicture) -> str:
    """Returns the random part of a picture's id, by which the page calls the picture."""
    return picture.id[-_KEY_LENGTH:]


def _document(picture: CollectedPicture) -> dict[str, Any]:
    return {
        "key": _key(picture),
        "label": picture.label,
        "answer": picture.answer,
        "confidence": picture.confidence,
        "time": picture.time,
        "held_out": picture.is_held_out,
    }


def _body(handler: PageHandler) -> Document:
    return parse(handler.request.body, LARGEST_REQUEST)


def _label(document: Document) -> str | None:
    return None if document.is_null("label") else document.line("label")


def _ids(document: Document, pictures: list[CollectedPicture]) -> list[str]:
    wanted = set(document.texts("keys"))
    return [picture.id for picture in pictures if _key(picture) in wanted]
