"""Files: read no further than a limit, written so that a failure half-way never loses an older one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from garmentlite.edge.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed in any case
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

_UNFINISHED = ".part-"  # how the names of files begin that are being written
_WAY_OUT = "name another place or free this one"
_BARELY_MADE_S = 1  # a file younger than this may not be locked yet by the process that makes it
_swept: set[Path] = set()  # folders where this process has looked for what others left


def read_bytes(path: Path, largest: int) -> bytes:
    """The bytes of a regular file, of which no more than one beyond the limit are ever in memory.

    Args:
        path: The file. A pipe or a device, which could block or never end, is refused unread.
        largest: Bytes that it may have.

    Raises:
        OSError: If it cannot be read, is not a regular file, or is larger; `strerror` says which.
    """
    with open_regular(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(
            errno.EFBIG, f"it is larger than {_in_words(largest)}, the most that is read", str(path)
        )
    return content


def open_regular(path: Path) -> IO[bytes]:
    """Opens a file for reading in binary.

    Raises:
        OSError: If it cannot be opened, or is a folder, a pipe or a device; `strerror` says which.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. It is of no effect on files.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except ValueError as error:  # a null byte in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise OSError(errno.EINVAL, f"it is {kind}, expected a regular file", str(path))
    return os.fdopen(handle, "rb")


def is_file(path: Path) -> bool:
    """Whether there is a regular file; False where the name is too long or not allowed."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return False


def is_dir(path: Path) -> bool:
    """Whether there is a folder; False where the name is too long or not allowed."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def cache_root() -> Path:
    """Where garmentlite keeps what it can make again: below `$XDG_CACHE_HOME`, or `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root) / "garmentlite"


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
        _sweep(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED, suffix=path.suffix)
    except (OSError, ValueError) as error:
        raise OutputError(_cannot_write(path, error)) from error
    temporary = Path(name)
    try:
        # The lock shows other processes that somebody is writing here; it ends with this process.
        if not (_HAS_LOCKS and _lock(handle)):
            os.close(handle)
            handle = -1
        yield temporary
        # mkstemp makes files private to the user; results follow the umask like any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    finally:
        if handle >= 0:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path, way_out: str = _WAY_OUT) -> None:
    """Makes sure, before long work, that a folder takes files; it is made if it is missing.

    Args:
        folder: Where files will be written.
        way_out: What the user can do if it takes none, for the message.

    Raises:
        OutputError: If it cannot be made, or takes no file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise OutputError(_cannot_write(folder, error, way_out)) from error


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raises `OutputError` if there is a file or folder at `path`, unless `force` is True."""
    if path.exists() and not force:
        raise OutputError(f"{path} is already there; --force replaces it, or name another place.")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file at once or not at all; raises `OutputError` like `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    r"""Writes a whole UTF-8 file at once or not at all; raises `OutputError` like `replacing`.

    Names of files that are not UTF-8 are written with escapes such as `\udcff`, as JSON has them too.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, document: Any) -> None:
    """Writes a JSON document, indented, at once or not at all; NaN is refused (it is not JSON)."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _in_words(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size:,} bytes"


def _lock(handle: int) -> bool:
    """Whether this process now holds the lock of an open file."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody else holds it, or this file system has no locks
        return False
    return True


def _sweep(folder: Path) -> None:
    """Removes what processes that were killed were writing in a folder; once in each process."""
    if folder in _swept or not _HAS_LOCKS:
        return
    _swept.add(folder)
    for entry in os.scandir(folder):
        if not entry.name.startswith(_UNFINISHED) or not entry.is_file(follow_symlinks=False):
            continue
        try:
            handle = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            if time.time() - entry.stat().st_mtime > _BARELY_MADE_S and _lock(handle):
                os.unlink(entry.path)
        except OSError:
            pass  # of another user, or gone already: nothing of ours depends on it
        finally:
            os.close(handle)


def _cannot_write(path: Path, error: OSError | ValueError, way_out: str = _WAY_OUT) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"Cannot write {path}: {reason}; {way_out}."
