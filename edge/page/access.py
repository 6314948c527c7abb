"""Who may look: checks the host, the origin and the token of each request."""

from __future__ import annotations

import hmac
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from garmentlite.edge.page.address import ip_of

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

COOKIE = "garmentlite"


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: Status code of HTTP.
        sentence: What is wrong and what to do.
    """

    status: int
    sentence: str


@dataclass(frozen=True)
class Access:
    """The rules.

    A web page of a stranger that is open in the same browser can send requests to this server, too. It is
    kept out by its origin, and by the host if the stranger's name was made to point here (DNS rebinding).

    Attributes:
        token: What a request must know; None if only this machine can reach the server.
        host_names: Names of this machine in lower case. Its IP addresses need not be listed.
    """

    token: str | None
    host_names: frozenset[str]

    def refusal(self, request: HTTPServerRequest, own_address: str) -> Refusal | None:
        """Checks a request; returns None if it may be answered.

        Args:
            request: The request.
            own_address: The IP address of this machine to which the request was sent.
        """
        host = request.headers.get("Host", "")
        if not self._is_own(host, own_address):
            return Refusal(
                403,
                f"This server does not answer to the host '{host}'; open it by its IP address, or start "
                "the app with --allow-host and this name.",
            )
        if not _is_same_origin(request, host):
            return Refusal(403, "Requests of other web pages are refused; open the page itself.")
        if not self.knows_token(_token_of(request)):
            return Refusal(
                401,
                "This page needs a token; open the address that the app printed when it started, or send "
                "the token as 'Authorization: Bearer TOKEN'.",
            )
        return None

    def knows_token(self, token: str) -> bool:
        """Compares a token with the right one, in a time that does not depend on how much of it is right."""
        return self.token is None or hmac.compare_digest(token.encode(), self.token.encode())

    def _is_own(self, host: str, own_address: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:  # brackets that do not match
            return False
        if name in self.host_names:
            return True
        try:
            return ip_of(name) == ip_of(own_address)
        except ValueError:  # a name, not an IP address
            return False


def own_host_names(allowed: tuple[str, ...] = ()) -> frozenset[str]:
    """Lists the names under which this machine may be asked for.

    Args:
        allowed: More names, such as that of a proxy.
    """
    name = socket.gethostname()
    return frozenset(one.lower() for one in ("localhost", name, f"{name}.local", *allowed))


def _is_same_origin(request: HTTPServerRequest, host: str) -> bool:
    origin = request.headers.get("Origin")
    # A proxy in front of the server may speak HTTPS with the browser.
    if origin is not None and origin.lower() not in (
        f"http://{host}".lower(),
        f"https://{host}".lower(),
    ):
        return False
    # Browsers send no origin for a picture that a foreign page shows, but most of them send these.
    fetched = {name: request.headers.get(f"Sec-Fetch-{name}") for name in ("Site", "Mode", "Dest")}
    if fetched["Site"] in (None, "same-origin", "none"):
        return True
    is_link = (fetched["Mode"], fetched["Dest"]) == ("navigate", "document")
    return is_link and request.method == "GET"


def _token_of(request: HTTPServerRequest) -> str:
    """Finds the token that a request brings; "" if there is none.

    Programs send it in a header. A browser brings it in the address that the app printed, and after that in
    a cookie.
    """
    if request.path == "/" and "token" in request.query_arguments:
        return request.query_arguments["token"][0].decode(errors="replace")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    cookie = request.cookies.get(COOKIE)
    return cookie.value if cookie else ""
