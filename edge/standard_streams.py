"""Makes standard input, output and error usable if they are closed, full or in another encoding."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from garmentlite.edge.errors import OutputError


def prepare() -> None:
    """Makes the three streams usable; call it once, before anything else is opened.

    The next file that is opened would get the number of a closed descriptor, and native libraries would write
    their messages into that file. So closed descriptors are opened on the null device.

    Raises:
        OutputError: If standard output is closed, because results would be lost.
    """
    is_output_closed = sys.stdout is None
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The system gives the lowest free number, which is usually that of the closed descriptor.
            opened = os.open(os.devnull, mode)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):  # file names may have bytes that are not text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if is_output_closed:
        raise OutputError(
            "Standard output is closed, so results cannot be written; leave out '>&-', or send them to "
            "/dev/null."
        )


def write_line(text: str) -> None:
    """Writes a line of results at once.

    Raises:
        OutputError: If it cannot be written (full disk).
        BrokenPipeError: If the reader, such as `| head`, has closed the pipe.
    """
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise OutputError(
            f"Standard output cannot be written ({error.strerror}); redirect it to another file."
        ) from error


def discard(stream: TextIO) -> None:
    """Sends a stream to nowhere after an error, so that Python's flush at exit does not fail again.

    Args:
        stream: A stream with a file descriptor. What is still buffered for it is lost.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
