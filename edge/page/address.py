"""Where the page is served: reads HOST:PORT, opens the port, and finds the address for a browser."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from garmentlite.edge.errors import OptionError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
BACKLOG = 64  # connections that wait to be accepted
PORTS_TRIED = 100  # number of ports that are tried to find a free one
# An address that is reserved for documentation (RFC 5737). Choosing a route to it sends nothing.
_ELSEWHERE = ("192.0.2.1", 9)


@dataclass(frozen=True)
class Address:
    """A host and a port to listen on.

    Attributes:
        host: Host name or IP address of this machine; "0.0.0.0" or "::" for all of its addresses.
        port: In [0, 65535]; 0 lets the system choose a free one.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        """Returns HOST:PORT, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Reads HOST:PORT, HOST or PORT; what is missing has its default.

    Raises:
        OptionError: If the port is not a whole number from 0 to 65535.
    """
    if text.isascii() and text.isdecimal():
        host, port = "", text
    elif text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") > 1:  # an IPv6 address without brackets
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    port = port or str(DEFAULT_PORT)
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise OptionError(
            f"--serve needs HOST:PORT with a port from 0 to 65535, such as {DEFAULT_HOST}:{DEFAULT_PORT}; "
            f"it was '{text}'."
        )
    return Address(host or DEFAULT_HOST, int(port))


def open_sockets(address: Address) -> list[socket.socket]:
    """Opens the port.

    Returns:
        A listening socket for each IP address of the host.

    Raises:
        OptionError: If the port is taken (the sentence names a free one) or not allowed, or if the host is
            not this machine.
    """
    try:
        return _listening(address)
    except OSError as error:
        raise OptionError(_why_not(address, error)) from error
    except UnicodeError as error:  # a part of the host name is empty or too long
        raise OptionError(f"--serve {address} does not name a host; name another one.") from error


def is_loopback(sockets: list[socket.socket]) -> bool:
    """Tells whether only programs on this machine can reach the sockets."""
    return all(ip_of(one.getsockname()[0]).is_loopback for one in sockets)


def ip_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Reads an IP address; an IPv4 address in the form of IPv6 becomes IPv4.

    Raises:
        ValueError: If the text is not an IP address.
    """
    ip = ipaddress.ip_address(text.partition("%")[0])
    return getattr(ip, "ipv4_mapped", None) or ip


def host_for_browsers(host: str) -> str:
    """Finds a host under which other machines reach this one, if it listens on all of its addresses."""
    try:
        listens_everywhere = ip_of(host).is_unspecified
    except ValueError:  # a host name
        return host
    if not listens_everywhere:
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:  # there is no network
            return socket.gethostname()
        return str(probe.getsockname()[0])


def _listening(address: Address) -> list[socket.socket]:
    """Opens all sockets or none."""
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    with ExitStack() as failed:
        for family, kind, protocol, _, own in dict.fromkeys(found):
            one = failed.enter_context(socket.socket(family, kind, protocol))
            if os.name == "posix":  # elsewhere, the option would let two programs use one port
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind(own)
            one.listen(BACKLOG)
            sockets.append(one)
        failed.pop_all()
    return sockets


def _why_not(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        free = _next_free(address)
        way_out = f"'--serve {free}' is free" if free else "choose another one"
        return f"Port {address.port} of {address.host} is taken by another program; {way_out}."
    if error.errno == errno.EACCES:
        return (
            f"Port {address.port} is not allowed for this user; use one from 1024, such as "
            f"'--serve {Address(address.host)}'."
        )
    return (
        f"--serve {address}: '{address.host}' is not an address of this machine "
        f"({error.strerror or error}); use {DEFAULT_HOST} for this machine alone or 0.0.0.0 for the network."
    )


def _next_free(address: Address) -> Address | None:
    for port in range(address.port + 1, min(address.port + PORTS_TRIED, 1 << 16)):
        try:
            sockets = _listening(Address(address.host, port))
        except OSError:
            continue
        for one in sockets:
            one.close()
        return Address(address.host, port)
    return None
