"""Ends a program at Ctrl-C, SIGTERM or SIGHUP within seconds, whatever its libraries are doing."""

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
_TOO_LATE = b"The camera did not close in time; the app ends without it.\n"
SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # Windows has none
    SIGNALS.append(signal.SIGHUP)  # the terminal was closed, or its connection was lost


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ends the process with status 0 if Ctrl-C, SIGTERM or SIGHUP comes while the block runs.

    The first signal raises KeyboardInterrupt in the block, so that everything that is open is closed. Later
    signals are ignored, so that closing is not interrupted. Then the process ends without Python's usual
    cleaning up, during which a thread that returns from a camera's driver would crash. If it is still there
    after 2.5 seconds, for example since a driver hangs, it is ended at once. A SIGHUP that the process
    ignores, as under nohup, stays ignored. Call it in the main thread.
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
    handlers = {number: signal.signal(number, stop) for number in SIGNALS if _ends(number)}
    earlier = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield
    except KeyboardInterrupt:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # it is closed, or nobody reads it any more
                stream.flush()
        os._exit(0)
    finally:
        if not was_stopped.is_set():
            signal.set_wakeup_fd(earlier)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            writing.close()  # ends the thread


def _ends(number: signal.Signals) -> bool:
    """Tells whether a signal is to end the process; shells let a job in the background ignore SIGINT."""
    return number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN


def _end_after_signal(reading: socket.socket) -> None:
    """Ends the process when the deadline after a signal is over; returns if the socket is closed first."""
    with reading:
        while received := reading.recv(1):
            if received[0] in SIGNALS:
                threading.Event().wait(DEADLINE_SECONDS)
                with suppress(OSError):
                    os.write(2, _TOO_LATE)
                os._exit(0)
