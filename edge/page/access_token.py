"""The token that lets people from the network look at the page; made once and kept in a file."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from garmentlite.edge.errors import OutputError

TOKEN_BYTES = 32  # 256 bits
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,}")  # 22 characters of base64 have at least 128 bits
_LARGEST = 1024  # bytes; a token has 43


def token_path() -> Path:
    """Returns the file of the token, in `$XDG_CONFIG_HOME` or `~/.config`."""
    root = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(root) / "garmentlite" / "page-token"


def read_or_make_token(path: Path) -> str:
    """Reads the token; if there is none, makes one that only this user can read.

    Raises:
        OutputError: If the file cannot be read or written, has no token in it, or can be read by other users.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # O_EXCL: of two apps that start at the same time, one makes the token and the other reads it.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read(path)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token + "\n")
        return token
    except OSError as error:
        raise OutputError(
            f"The token of the page cannot be kept in {path}: {error.strerror}; set XDG_CONFIG_HOME to a "
            "folder that this user can write."
        ) from error


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LARGEST)
        mode = os.fstat(file.fileno()).st_mode
    if os.name == "posix" and mode & 0o077:
        raise OutputError(
            f"Other users can read the token of the page in {path}; delete the file, and the next start "
            "makes a new token."
        )
    token = content.decode("ascii", errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        raise OutputError(
            f"There is no token in {path}; delete the file, and the next start makes a new token."
        )
    return token
