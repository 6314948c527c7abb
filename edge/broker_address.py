"""The address of an MQTT broker, as an option gives it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from garmentlite.edge.errors import OptionError

PORTS = {"mqtt": 1883, "mqtts": 8883}  # registered with IANA for MQTT, without and with TLS
FORM = "mqtt://user:password@host:port/topic, or mqtts:// for a broker with TLS"
FIRST_TOPIC = "garmentlite"


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker is, who logs in, and below which topic the app publishes.

    Attributes:
        host: Name or IP address.
        port: TCP port.
        is_encrypted: Whether the connection uses TLS.
        user: Name of the user; None to log in without one.
        password: The password, which no message shows.
        topic: Topics of the app begin with it, without a slash at its end.
    """

    host: str
    port: int
    is_encrypted: bool
    user: str | None
    password: str | None = field(repr=False)
    topic: str

    def __str__(self) -> str:
        """Returns host and port, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_broker(url: str) -> BrokerAddress:
    """Reads an address such as `mqtt://user:password@host:1883/garmentlite/kitchen`.

    Only the host is needed. The topic is `garmentlite/` and the name of this computer if the address names
    none. User and password may have characters such as `%40`, which stands for `@`.

    Args:
        url: The address.

    Raises:
        OptionError: If it is not such an address. The message does not repeat it, since it may hold a
            password.
    """
    try:
        url.encode()
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:  # also UnicodeError; its message may quote a part of the password
        raise _refused(
            "its host or port cannot be read, or it is not UTF-8 (in a user or password, %40 stands for @, "
            "%2F for /, %3F for ? and %23 for #)"
        ) from None
    if parts.scheme not in PORTS:
        raise _refused("it does not begin with mqtt:// or mqtts://")
    if not host or port == 0:
        raise _refused("it names no host, or the port 0")
    if parts.query or parts.fragment:
        raise _refused("it has a '?' or '#' (in a user or password, %3F and %23 stand for them)")
    topic = unquote(parts.path).strip("/") or f"{FIRST_TOPIC}/{_name_of_this_computer()}"
    if any(character in topic for character in "+#\0"):
        raise _refused("its topic has a '+', a '#' or a null byte, which MQTT does not allow there")
    if parts.password is not None and not parts.username:
        raise _refused("it has a password without a user")
    return BrokerAddress(
        host=host,
        port=port or PORTS[parts.scheme],
        is_encrypted=parts.scheme == "mqtts",
        user=unquote(parts.username) if parts.username else None,
        password=None if parts.password is None else unquote(parts.password),
        topic=topic,
    )


def _refused(reason: str) -> OptionError:
    return OptionError(f"The address of --mqtt cannot be used: {reason}; write {FORM}.")


def _name_of_this_computer() -> str:
    # A topic must not have the two wildcards of MQTT, and a slash would begin another level.
    name = socket.gethostname().partition(".")[0]
    return "".join("-" if character in "+#/\0" else character for character in name) or "camera"
