"""Keeping the chatter of native libraries off the terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Drops what C++ code writes to file descriptor 2 while the block runs.

    LiteRT announces its delegate on every start ("INFO: Created TensorFlow Lite XNNPACK delegate for
    CPU.") and TensorFlow the accelerators it did not find, before any switch of theirs takes effect; so
    the descriptor itself is diverted. What goes wrong is in the exception as well, so nothing is lost.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError):  # standard error is closed: there is nothing to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
