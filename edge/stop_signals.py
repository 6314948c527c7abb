"""Ends a program at Ctrl-C or SIGTERM within seconds, whatever its libraries are doing."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

DEADLINE_SECONDS = 2.5  # after the signal; then the process ends without waiting for its libraries
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ends the process with status 0 if Ctrl-C or SIGTERM comes while the block runs.

    The first signal raises KeyboardInterrupt in the block, so that everything that is open is closed. Later
    signals are ignored, so that closing is not interrupted. If the process is still there after 2.5 seconds,
    for example since a camera's driver hangs, it is ended at once. Call it in the main thread.

    Raises:
        SystemExit: With status 0, after the block was left because of a signal.
    """
    was_stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if not was_stopped.is_set():
            was_stopped.set()
            raise KeyboardInterrupt

    # Python calls `stop` only between two of its own instructions, but it writes the number of a signal to
    # this socket at once. So the other thread learns of it even if the main thread hangs in native code.
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    threading.Thread(
        target=_end_after_signal, args=(reading,), name="deadline", daemon=True
    ).start()
    handlers = {number: signal.signal(number, stop) for number in SIGNALS}
    earlier = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(
            0
        )  # the handlers stay, so that a second signal does not interrupt the end of the program
    finally:
        if not was_stopped.is_set():
            signal.set_wakeup_fd(earlier)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            writing.close()  # ends the thread


def _end_after_signal(reading: socket.socket) -> None:
    """Ends the process when the deadline after a signal is over; returns if the socket is closed first."""
    with reading:
        while received := reading.recv(1):
            if received[0] in SIGNALS:
                threading.Event().wait(DEADLINE_SECONDS)
                with suppress(OSError):
                    os.write(
                        2,
                        b"The camera did not close in time; the app ends without it.\n",
                    )
                os._exit(0)
