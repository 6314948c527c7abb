"""Keeping the chatter of native libraries off the terminal, without losing their last words."""

from __future__ import annotations

import faulthandler
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LONGEST_WORDS = 2000  # characters of what C++ code wrote that an exception carries along


@contextmanager
def held_back() -> Iterator[None]:
    """Holds back what C++ code writes to file descriptor 2 while the block runs.

    LiteRT announces its delegate on every start ("INFO: Created TensorFlow Lite XNNPACK delegate for
    CPU.") and TensorFlow the accelerators it did not find, before any switch of theirs takes effect; so
    the descriptor itself is diverted. If the block raises, what was held back becomes a note of the
    exception, which a traceback shows. If native code ends the process, Python's own last words, which
    name the signal and the place, still reach the terminal.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):  # standard error is closed: nothing to hold back
        yield
        return
    was_enabled = faulthandler.is_enabled()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        faulthandler.enable(saved)
        try:
            yield
        except Exception as error:
            held.seek(0)
            words = held.read(_LONGEST_WORDS).decode("utf-8", "backslashreplace").strip()
            if words:
                error.add_note(f"Native code wrote: {words}")
            raise
        finally:
            os.dup2(saved, 2)
            faulthandler.disable()
            if was_enabled:
                with suppress(OSError, ValueError):
                    faulthandler.enable()
            os.close(saved)
