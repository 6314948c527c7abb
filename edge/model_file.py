"""Model files from anybody: read and taken apart, and checked before anything in them is run.

A file of ours carries the checksum of its flatbuffer: where it is right, the file is run at once, where it is
wrong, never. A file without our metadata is read in Python first (`edge.contents`), then run once in a child
process with limits (`edge.trial`), since the runtime trusts a file and ends the process over a bad one. That
it held is remembered in the cache by checksum.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from garmentlite.edge import trial
from garmentlite.edge.contents import read_contents
from garmentlite.edge.documents import printable
from garmentlite.edge.errors import ModelError, OutputError
from garmentlite.edge.files import cache_root, is_file, read_bytes, sha256, write_bytes
from garmentlite.edge.metadata import Metadata, is_unchanged, split
from garmentlite.edge.runtime import require_runtime

WAY_OUT = "copy it again, or make one with 'cli convert'"
LARGEST_BYTES = 256 << 20  # of a model file; the largest published here has 7 MB
TRIAL_LIMIT_S = 120  # loading Python and LiteRT takes 0.3 s on a PC, 4 s on a Raspberry Pi 3
_CHECKED_FOLDER = "checked-models"
_CHECK_VERSION = 1  # rises when the check becomes stricter, so that files are checked again
_LONGEST_WORDS = 300  # characters of native code's last words in a message

_made_here: set[str] = set()  # checksums of flatbuffers that this process made itself


@dataclass(frozen=True)
class ModelFile:
    """A `.tflite` file that was read and not run.

    Attributes:
        path: Where it is.
        size: Bytes of the whole file.
        sha256: Checksum of the whole file.
        flatbuffer: The model without our metadata.
        metadata: What the file says about the model; None for a file without our metadata.
        is_unchanged: Whether the flatbuffer is the one that the metadata was written for; None without.
    """

    path: Path
    size: int
    sha256: str
    flatbuffer: bytes
    metadata: Metadata | None
    is_unchanged: bool | None


def read_model_file(path: Path, way_out: str = WAY_OUT) -> ModelFile:
    """Reads a model file and takes it apart; nothing in it is run.

    Args:
        path: A `.tflite` file.
        way_out: What the user can do if it cannot be used; it ends the sentence of the error.

    Raises:
        ModelError: If it cannot be read, is too large, or its metadata is broken.
    """
    try:
        content = read_bytes(path, LARGEST_BYTES)
    except OSError as error:
        raise ModelError(f"Cannot read the model {path}: {error.strerror}; {way_out}.") from error
    try:
        flatbuffer, metadata = split(content)
    except ModelError as error:
        raise unusable(path, error, way_out) from error
    return ModelFile(
        path=path,
        size=len(content),
        sha256=sha256(content),
        flatbuffer=flatbuffer,
        metadata=metadata,
        is_unchanged=is_unchanged(flatbuffer, metadata) if metadata else None,
    )


def open_model_file(path: Path, way_out: str = WAY_OUT) -> ModelFile:
    """Reads a model file that is to be run: it is ours and unchanged, or it was tried.

    Args:
        path: A `.tflite` file.
        way_out: See `read_model_file`.

    Raises:
        ModelError: If it cannot be read, was changed after it was made, or must not be run.
        MissingPartError: If the runtime is not installed.
    """
    file = read_model_file(path, way_out)
    if file.is_unchanged is False:
        raise ModelError(
            f"{path} was changed after it was made (its checksum is not the one in its metadata), so it is "
            f"not run; {way_out}."
        )
    if file.metadata is None:
        try:
            require_runnable(file.flatbuffer)
        except ModelError as error:
            raise unusable(path, error, way_out) from error
    return file


def unusable(path: Path, reason: ModelError, way_out: str = WAY_OUT) -> ModelError:
    """The sentence about a file that is not a model that can be used, of which `reason` is a part."""
    return ModelError(f"{path} is not a model that can be used here: {reason}; {way_out}.")


def trust(flatbuffer: bytes) -> None:
    """Spares this process the trial of a flatbuffer that it has just made itself."""
    _made_here.add(sha256(flatbuffer))


def require_runnable(flatbuffer: bytes) -> None:
    """Checks a model from another program before it is run.

    Args:
        flatbuffer: The bytes of the file.

    Raises:
        ModelError: If it is damaged, or did not run within the limits of memory and time.
        MissingPartError: If the runtime is not installed.
    """
    checksum = sha256(flatbuffer)
    if checksum in _made_here:
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
        _made_here.add(checksum)  # where the cache cannot be written, once in each process


def _try(flatbuffer: bytes) -> None:
    """Runs a model in a child process."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Threads of NumPy's would take address space for nothing.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    # -P: nothing is imported from the folder in which the user happens to work.
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
    """The last line that native code wrote, announcements left out, as the rest of a sentence."""
    lines = content.decode("utf-8", "backslashreplace").splitlines()
    said = [line.strip() for line in lines if line.strip() and not line.startswith("INFO:")]
    return f": {printable(said[-1])[:_LONGEST_WORDS]}" if said else ""
