"""Checks models of other programs before they are run: in Python first, then once in a child process.

The runtime trusts a file, and a bad file can end the process. So `edge.contents_reader` first checks every
offset in the file. Then `edge.trial` runs the model in a child process with limits. The checksums of the
files that passed are kept in the cache.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile

from garmentlite.edge import trial
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.documents import printable
from garmentlite.edge.errors import ModelError, OutputError
from garmentlite.edge.files import cache_root, is_file, sha256, write_bytes
from garmentlite.edge.runtime import require_runtime

TRIAL_LIMIT_S = 120  # loading Python and LiteRT takes 0.3 s on a PC, some seconds on a Raspberry Pi
_CHECKED_FOLDER = "checked-models"
_CHECK_VERSION = 1  # raised when the check becomes stricter, so that files are checked again
_LONGEST_WORDS = 300  # characters of the runtime's last line that a message repeats

# Checksums of flatbuffers that this process made, and of those that it checked without a cache.
_made_here: set[str] = set()
_checked_here: set[str] = set()


def trust(flatbuffer: bytes) -> None:
    """Marks a flatbuffer that this process has just made.

    It is run without a check, and it takes and gives what every file of garmentlite does.
    """
    _made_here.add(sha256(flatbuffer))


def is_made_here(flatbuffer: bytes) -> bool:
    """Whether this process has made a flatbuffer, see `trust`."""
    return sha256(flatbuffer) in _made_here


def require_runnable(flatbuffer: bytes) -> None:
    """Checks a model from another program before it is run.

    Args:
        flatbuffer: The bytes of the file.

    Raises:
        ModelError: If it is damaged, or did not run within the limits of memory and time. The message is a
            part of a sentence.
        MissingPartError: If the runtime is not installed.
    """
    checksum = sha256(flatbuffer)
    if checksum in _made_here | _checked_here:
        return
    require_runtime()
    version = importlib.metadata.version("ai-edge-litert")
    record = cache_root() / _CHECKED_FOLDER / f"{checksum}-{version}-{_CHECK_VERSION}"
    if is_file(record):
        return
    read_contents(flatbuffer)
    _try(flatbuffer)
    try:
        write_bytes(record, b"")
    except OutputError:
        # The cache cannot be written, so each process checks the file once.
        _checked_here.add(checksum)


def _try(flatbuffer: bytes) -> None:
    """Runs a model in a child process."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Threads of NumPy would take address space, and nothing here needs them.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    # With -P, Python imports nothing from the current folder.
    command = [sys.executable, "-P", "-m", trial.__name__]
    with tempfile.TemporaryFile() as words:
        try:
            ended = subprocess.run(
                command, input=flatbuffer, stdout=subprocess.PIPE, stderr=words, env=environment,
                timeout=TRIAL_LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"it did not end within {TRIAL_LIMIT_S} s when it was tried"
            ) from error
        except OSError as error:
            raise ModelError(f"it cannot be tried in a process of its own ({error})") from error
        words.seek(0)
        last = _last_words(words.read(1 << 20))
    if ended.returncode == 0:
        return
    if ended.returncode == trial.REFUSED:
        reason = " ".join(ended.stdout.decode("utf-8", "backslashreplace").split())
        raise ModelError(printable(reason)[:_LONGEST_WORDS])
    raise ModelError(
        f"it ended the process in which it was tried ({_end_of(ended.returncode)}{last})"
    )


def _end_of(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"{name}, with {trial.MEMORY_LIMIT >> 30} GB of memory allowed"


def _last_words(content: bytes) -> str:
    """Returns the last line that native code wrote, without announcements, as the end of a sentence."""
    lines = content.decode("utf-8", "backslashreplace").splitlines()
    said = [line.strip() for line in lines if line.strip() and not line.startswith("INFO:")]
    return f": {printable(said[-1])[:_LONGEST_WORDS]}" if said else ""
