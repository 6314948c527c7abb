"""Reads the text of a table of photographs or scenes, as spreadsheets write it."""

from __future__ import annotations

import codecs
from pathlib import Path

from garmentlite.edge.files import read_bytes

LARGEST_TABLE = 64 << 20  # bytes; a line has about 100
_DELIMITERS = ",;\t"  # Excel writes ";" in many countries


def read_table_text(path: Path) -> tuple[str, str]:
    """Reads a table in UTF-8, or in UTF-16, in which Excel saves "Unicode text".

    Returns:
        The text, and the character that separates the columns: the one of `,`, `;` and tab that occurs most
        often in the first line.

    Raises:
        OSError: If the file cannot be read or is larger than `LARGEST_TABLE`.
        UnicodeDecodeError: If it is in another encoding.
    """
    content = read_bytes(path, LARGEST_TABLE)
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    return text, max(_DELIMITERS, key=text.split("\n", 1)[0].count)
