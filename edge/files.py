"""Writing results so that a failure half-way never leaves a broken file or loses an older one."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from garmentlite.edge.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends well, removed when it does not.

    The temporary name keeps the suffix, since some writers choose the format by it.

    Args:
        path: The file to be written or replaced; its folder is made if it is missing.

    Yields:
        The path to write to.

    Raises:
        OutputError: If the folder or the file cannot be written (rights, full disk, a file in the way).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private to the user; results follow the umask like any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Makes sure, before long work, that a folder takes files; it is made if it is missing.

    Raises:
        OutputError: If it cannot be made, or takes no file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(_cannot_write(folder, error)) from error


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raises `OutputError` if there is a file or folder at `path`, unless `force` is True."""
    if path.exists() and not force:
        raise OutputError(f"{path} is already there; --force replaces it, or name another place.")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file at once or not at all; raises `OutputError` like `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes a whole UTF-8 file at once or not at all; raises `OutputError` like `replacing`."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Writes a JSON document, indented, at once or not at all; NaN is refused (it is not JSON)."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _cannot_write(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"Cannot write {path}: {reason}; name another place with -o or free this one."
