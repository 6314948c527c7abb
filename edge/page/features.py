"""What other parts of the app add to the page: a panel with URLs of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tornado.web import RequestHandler


@dataclass(frozen=True)
class Feature:
    """A panel of the page, such as the collected pictures.

    The page asks `/features` which panels there are. For each it makes a section with the title, loads the
    script, and calls its exported function `mount(section, page)`; `static/page.js` says what `page` offers.

    Attributes:
        name: Lower-case letters; the script is served as `/features/NAME.js`.
        title: Heading of the panel.
        script: JavaScript module.
        handlers: Path (such as "/collected"), class derived from `edge.page.handlers.PageHandler`, and its
            further arguments. A path is a regular expression. No part of a URL may become a file name.
    """

    name: str
    title: str
    script: str
    handlers: list[tuple[str, type[RequestHandler], dict[str, Any]]] = field(default_factory=list)
