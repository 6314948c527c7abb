"""Reads files up to a limit of size, and writes them so that a failure never loses an older file."""

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

from garmentlite.edge.documents import size_in_words
from garmentlite.edge.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no such locks, and an open file cannot be removed there
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

_UNFINISHED = ".part-"  # start of the names of temporary files
_WAY_OUT = "name another place or free this one"
# The process that makes a file may not have locked it yet if it is younger than this.
_BARELY_MADE_S = 1
_swept: set[Path] = set()  # folders in which this process has already removed old temporary files


def read_bytes(path: Path, largest: int) -> bytes:
    """Reads the bytes of a regular file; at most one byte more than the limit is ever in memory.

    Args:
        path: The file. Pipes and devices are refused, because reading them could block or never end.
        largest: The largest size that is read, in bytes.

    Raises:
        OSError: If it cannot be read, is not a regular file, or is too large; `strerror` is the reason.
    """
    with open_regular(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(
            errno.EFBIG,
            f"it is larger than {size_in_words(largest)}, the most that is read",
            str(path),
        )
    return content


def open_regular(path: Path) -> IO[bytes]:
    """Opens a file for reading in binary.

    Raises:
        OSError: If it cannot be opened, or is a folder, a pipe or a device; `strerror` is the reason.
    """
    # Without O_NONBLOCK, opening a pipe to which nobody writes would wait for ever. Files ignore the flag.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except ValueError as error:  # a null byte in the name
        raise OSError(errno.EINVAL, "its name contains a null byte", str(path)) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise OSError(errno.EINVAL, f"it is {kind}, expected a regular file", str(path))
    return os.fdopen(handle, "rb")


def is_file(path: Path) -> bool:
    """Tells whether there is a regular file; False if the name is too long or not allowed."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return False


def is_dir(path: Path) -> bool:
    """Tells whether there is a folder; False if the name is too long or not allowed."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def cache_root() -> Path:
    """Returns the folder of garmentlite's cache, in `$XDG_CACHE_HOME` or `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root) / "garmentlite"


@contextmanager
def replacing(path: Path, *, is_private: bool = False) -> Iterator[Path]:
    """Gives a temporary file that replaces `path` when the block ends, and is removed if the block fails.

    The temporary name has the suffix of `path`, since some writers choose the format by it.

    Args:
        path: The file to be written or replaced; its folder is made if it is missing.
        is_private: Whether only this user can read the file (mode 0600); otherwise the umask decides.

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
        # The lock shows other processes that the file is in use. It ends when this process ends.
        if not (_HAS_LOCKS and _lock(handle)):
            os.close(handle)
            handle = -1
        yield temporary
        if not is_private:  # mkstemp makes files that only the user can read
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
        _store(temporary)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    finally:
        if handle >= 0:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path, way_out: str = _WAY_OUT) -> None:
    """Makes sure that files can be written to a folder, which is made if it is missing.

    Call it before long work, so that the work is not lost.

    Args:
        folder: The folder to which files will be written.
        way_out: What the user can do if no file can be written there; it ends the sentence of the error.

    Raises:
        OutputError: If the folder cannot be made, or no file can be written there.
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


def write_bytes(path: Path, content: bytes, *, is_private: bool = False) -> None:
    """Writes a file whole or not at all; see `replacing` for the arguments and errors."""
    with replacing(path, is_private=is_private) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    r"""Writes a UTF-8 file whole or not at all; raises `OutputError` like `replacing`.

    Bytes of file names that are not UTF-8 are written as escapes such as `\udcff`, as in JSON.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, document: Any) -> None:
    """Writes an indented JSON document whole or not at all; NaN is refused, since JSON has no NaN."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def sha256(content: bytes) -> str:
    """Computes the SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _store(path: Path) -> None:
    """Waits until the content is on the disk; the new name could get there first when the power fails."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _lock(handle: int) -> bool:
    """Tries to lock an open file; returns whether this process now holds the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or this file system has no locks
        return False
    return True


def _sweep(folder: Path) -> None:
    """Removes temporary files of killed processes from a folder, once in each process."""
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
            pass  # the file belongs to another user or is gone; nothing depends on its removal
        finally:
            os.close(handle)


def _cannot_write(path: Path, error: OSError | ValueError, way_out: str = _WAY_OUT) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"Cannot write {path}: {reason}; {way_out}."
