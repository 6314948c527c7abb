"""Signs of life for systemd, which starts the camera app again if they stop (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Self

from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.sinks.interface import Sighting

_SIGNS = 4  # signs of life in the time that systemd allows for one


class WatchdogSink:
    """Tells systemd that the app has started, and then that its loop still runs."""

    def __init__(self, address: str, allowed_s: float) -> None:
        """Chooses where to write.

        Args:
            address: Path of systemd's datagram socket; one that begins with "@" is not in the file system.
            allowed_s: Longest time in seconds that systemd waits for a sign of life.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._pause_s = allowed_s / _SIGNS
        self._last: float | None = None  # when the last sign was sent, by time.monotonic

    def __enter__(self) -> Self:
        """Opens a socket."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        return self

    def __exit__(self, *exception: object) -> None:
        """Tells systemd that the app ends, and closes the socket."""
        self._send("STOPPING=1")
        self._socket.close()

    def show(self, sighting: Sighting) -> bool:
        """Gives a sign of life if it is time for one."""
        self._give_sign()
        return True

    def show_state(self, camera: CameraState) -> bool:
        """Gives a sign of life; a loop that waits for a camera is alive too."""
        self._give_sign()
        return True

    def _give_sign(self) -> None:
        now = time.monotonic()
        if self._last is None:
            self._send("READY=1")
        if self._last is None or now - self._last >= self._pause_s:
            self._last = now
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        # If systemd does not listen, it starts the app again; to end here would help nobody.
        with suppress(OSError):
            self._socket.sendto(message.encode(), self._address)


def watchdog_from_environment() -> WatchdogSink | None:
    """Makes the sink if systemd started this process and waits for signs of life; None otherwise."""
    address, allowed_us = os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC", "")
    if not address or not allowed_us.isdecimal():
        return None
    return WatchdogSink(address, int(allowed_us) / 1e6)
