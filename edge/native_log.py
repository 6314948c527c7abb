"""Keeps messages of native libraries off the terminal, without losing those before a crash."""

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
    """Holds back what C++ code writes to standard error (file descriptor 2) while the block runs.

    LiteRT announces its delegate on every start ("INFO: Created TensorFlow Lite XNNPACK delegate for
    CPU.") and TensorFlow lists the accelerators that it did not find. Both do so before their own settings
    take effect, so the descriptor itself is redirected. If the block raises, what was held back becomes a
    note of the exception, which a traceback shows. If native code ends the process, Python's own message,
    which names the signal and the place, still reaches the terminal.
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
