"""Makes standard input, output and error usable if a shell left them closed, full or in another encoding."""

from __future__ import annotations

import io
import os
import sys

from garmentlite.edge.errors import OutputError


def prepare() -> None:
    """Makes the three streams usable; called once, before anything else is opened.

    A closed descriptor would be given to the next file that is opened, into which native libraries then
    write their messages. So input and error become the null device where they are closed.

    Raises:
        OutputError: If standard output is closed: results would be lost.
    """
    is_output_closed = sys.stdout is None
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, mode)  # the lowest number that is free: the closed one
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):  # the name of a file need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if is_output_closed:
        raise OutputError(
            "Standard output is closed, so results cannot be written; leave out '>&-', or send them to "
            "/dev/null."
        )


def finish_output() -> None:
    """Writes what is still buffered.

    Raises:
        OutputError: If it cannot be written (full disk).
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (`| head`) closed the pipe, which is fine
        discard_output()
    except OSError as error:
        discard_output()
        raise OutputError(
            f"Standard output cannot be written ({error.strerror}); redirect it to another file."
        ) from error


def discard_output() -> None:
    """Discards what is still buffered for standard output, so that writing it does not fail at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
