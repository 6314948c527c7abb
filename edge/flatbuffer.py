"""Reads the tables of a flatbuffer that may be hostile: every offset is checked before it is followed.

The format (flatbuffers.dev, "Internals"): a table begins with the distance to its vtable, which states the
size of the table and where in it each field lies, by the number of the field. Vectors, texts and inner
tables are reached by distances that go forward; vectors and texts begin with their length.
"""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np

from garmentlite.edge.errors import ModelError

_MOST_TABLES = 100_000  # read from one file; networks have some thousands
_FORMATS = {"i1": "<b", "u1": "<B", "u2": "<H", "i4": "<i", "u4": "<I", "i8": "<q", "u8": "<Q"}

Integer = Literal["i1", "u1", "i4", "u4", "i8", "u8"]


class Flatbuffer:
    """The bytes of a flatbuffer, with a limit to the number of tables that are read from them."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._tables_left = _MOST_TABLES

    def root(self) -> Table:
        """Returns the outermost table."""
        return self.table_at(self.number_at(0, "u4"))

    def number_at(self, at: int, kind: str) -> int:
        """Reads a little-endian integer."""
        if not 0 <= at <= len(self.content) - int(kind[1]):
            raise ModelError("it is damaged: an offset in it leads out of the file")
        (number,) = struct.unpack_from(_FORMATS[kind], self.content, at)
        return int(number)

    def table_at(self, at: int) -> Table:
        """Reads the table at a place; tables may share bytes, so there is a limit to how many are read."""
        self._tables_left -= 1
        if self._tables_left < 0:
            raise ModelError(f"it holds more than {_MOST_TABLES:,} tables")
        return Table(self, at)


class Table:
    """One table, whose fields are read by their numbers in the schema.

    Every method raises `ModelError` where the field would lie outside of the table or the file.
    """

    def __init__(self, buffer: Flatbuffer, at: int) -> None:
        self._buffer, self._at = buffer, at
        self._vtable = at - buffer.number_at(at, "i4")
        vtable_size = buffer.number_at(self._vtable, "u2")
        self._size = buffer.number_at(self._vtable + 2, "u2")
        if vtable_size < 4 or vtable_size % 2 or self._size < 4:
            raise ModelError("it is damaged: a table in it has no valid description")
        if max(self._vtable + vtable_size, at + self._size) > len(buffer.content):
            raise ModelError("it is damaged: a table in it leads out of the file")
        self.num_fields = (vtable_size - 4) // 2

    def integer(self, field: int, kind: Integer, default: int = 0) -> int:
        """Reads a number stored in the table itself."""
        at = self._place(field, int(kind[1]))
        return default if at is None else self._buffer.number_at(at, kind)

    def table(self, field: int) -> Table | None:
        """Reads an inner table; None if there is none."""
        at = self._target(field)
        return None if at is None else self._buffer.table_at(at)

    def tables(self, field: int) -> list[Table]:
        """Reads a vector of tables; empty if there is none."""
        places = self.numbers(field, "u4")
        start = (self._target(field) or 0) + 4
        return [self._buffer.table_at(start + 4 * i + int(place)) for i, place in enumerate(places)]

    def numbers(self, field: int, kind: str) -> np.ndarray:
        """Reads a vector of numbers of a NumPy type such as "i4" or "f4", as a view; may be empty."""
        dtype = np.dtype(f"<{kind}")
        at = self._target(field)
        if at is None:
            return np.empty(0, dtype)
        count = self._buffer.number_at(at, "u4")
        if at + 4 + count * dtype.itemsize > len(self._buffer.content):
            raise ModelError("it is damaged: a list in it is longer than the file")
        return np.frombuffer(self._buffer.content, dtype, count, at + 4)

    def text(self, field: int) -> str:
        """Reads a text; bytes that are not UTF-8 become escapes. Empty if there is none."""
        content = self.numbers(field, "u1").tobytes()
        end = (self._target(field) or 0) + 4 + len(content)
        if self._target(field) is not None and self._buffer.number_at(end, "u1") != 0:
            raise ModelError("it is damaged: a text in it does not end with a zero")
        return content.decode("utf-8", "backslashreplace")

    def require_within(self) -> None:
        """Checks that every field, whatever its type, begins in this table."""
        for field in range(self.num_fields):
            self._place(field, 1)

    def has(self, field: int) -> bool:
        """Whether the field is stored."""
        return self._place(field, 1) is not None

    def _place(self, field: int, size: int) -> int | None:
        if field >= self.num_fields:
            return None
        offset = self._buffer.number_at(self._vtable + 4 + 2 * field, "u2")
        if offset == 0:
            return None
        if offset < 4 or offset + size > self._size:
            raise ModelError("it is damaged: a field in it lies outside of its table")
        return self._at + offset

    def _target(self, field: int) -> int | None:
        at = self._place(field, 4)
        return None if at is None else at + self._buffer.number_at(at, "u4")
