"""Keeps the passwords in addresses out of messages and out of the list of processes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HIDDEN = "***"


def redacted(text: str) -> str:
    """Hides user name, password and query in every URL of a text; they may hold a secret.

    Args:
        text: A URL, or a text that may contain URLs, such as a message of a library.
    """
    # A user may type a password with "/" or "@" as it is, so all up to the last "@" of a word is hidden.
    text = re.sub(r"(?<=://)\S*@", f"{HIDDEN}@", text)
    return re.sub(r"(://[^\s?]*\?)[^\s'\";,]+", rf"\1{HIDDEN}", text)


def hide_in_process_list(url: str) -> None:
    """Hides what `redacted` hides in this process's own command line, which `ps` shows to every user.

    It works on Linux, where a process may overwrite its command line in memory, and does nothing elsewhere.

    Args:
        url: An argument of the command line.
    """
    if not sys.platform.startswith("linux") or redacted(url) == url:
        return
    import ctypes

    # The fields of /proc/self/stat from the third on, since the second may hold spaces; see man proc.
    fields = (
        Path("/proc/self/stat")
        .read_text(encoding="ascii", errors="replace")
        .rpartition(")")[2]
        .split()
    )
    start, end = int(fields[45]), int(fields[46])  # fields 48 and 49, arg_start and arg_end
    line = ctypes.string_at(start, end - start)
    secret = url.encode("utf-8", "surrogateescape")
    shown = redacted(url).encode("utf-8", "surrogateescape").ljust(len(secret))[: len(secret)]
    ctypes.memmove(start, line.replace(secret, shown), end - start)
