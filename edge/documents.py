"""Reads JSON documents with limits of size and depth, and checks the type of each field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

LARGEST_BYTES = 16 << 20  # the record of a long run has less than 1 MB
DEEPEST = 32  # levels of nesting; documents of garmentlite have fewer than 10
_SHOWN = 40  # characters of a wrong value that an error repeats


class DocumentError(ValueError):
    """A document is not JSON, too large, too deep, or a field has the wrong type or range."""


class Document:
    """A JSON object whose fields are read with a check of their type.

    A field that is missing or wrong raises `DocumentError`. Its message names the field, what was expected
    and what was found.

    Attributes:
        fields: The object as `json` returns it.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def require_fields(self, needed: Iterable[str], possible: Iterable[str]) -> None:
        """Refuses a document that lacks a needed field or has one that is not possible."""
        missing = [name for name in needed if name not in self.fields]
        if missing:
            raise DocumentError(f"the field '{missing[0]}' is missing")
        unknown = sorted(self.fields.keys() - set(possible))
        if unknown:
            raise DocumentError(f"the field {unknown[0]!r:.{_SHOWN}} is unknown")

    def text(self, name: str) -> str:
        """Reads a text."""
        value = self._value(name)
        if not isinstance(value, str):
            raise _wrong(name, "a text", value)
        return value

    def line(self, name: str) -> str:
        """Reads a text without line breaks and other control characters."""
        value = self.text(name)
        if not is_one_line(value):
            raise _wrong(name, "a text without control characters", value)
        return value

    def texts(self, name: str) -> list[str]:
        """Reads a list of texts without control characters, which could change what a terminal shows."""
        value = self._value(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise _wrong(name, "a list of texts", value)
        for one in value:
            if not is_one_line(one):
                raise _wrong(name, "texts without control characters", one)
        return value

    def integer(self, name: str, lowest: int, highest: int) -> int:
        """Reads a whole number in [lowest, highest]."""
        value = self._value(name)
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or not (lowest <= value <= highest)
        ):
            raise _wrong(name, f"a whole number from {lowest} to {highest}", value)
        return value

    def number(self, name: str, lowest: float = -math.inf, highest: float = math.inf) -> float:
        """Reads a finite number in [lowest, highest]."""
        value = _finite(self._value(name))
        if value is None or not lowest <= value <= highest:
            bounds = "" if math.isinf(lowest) else f" from {lowest} to {highest}"
            raise _wrong(name, f"a finite number{bounds}", self.fields[name])
        return value

    def positive_number(self, name: str) -> float:
        """Reads a finite number above 0."""
        value = _finite(self._value(name))
        if value is None or value <= 0:
            raise _wrong(name, "a finite number above 0", self.fields[name])
        return value

    def object(self, name: str) -> dict[str, Any]:
        """Reads an object as a dictionary."""
        value = self._value(name)
        if not isinstance(value, dict):
            raise _wrong(name, "an object", value)
        return value

    def is_null(self, name: str) -> bool:
        """Tells whether the field is null; a missing field is an error."""
        return self._value(name) is None

    def _value(self, name: str) -> Any:
        if name not in self.fields:
            raise DocumentError(f"the field '{name}' is missing")
        return self.fields[name]


def parse(content: bytes | str, largest: int = LARGEST_BYTES) -> Document:
    """Reads one JSON object.

    Args:
        content: The document in UTF-8, or as a text.
        largest: The largest size in bytes, or in characters of a text. A larger one is not parsed.

    Raises:
        DocumentError: If it is not an object; see also `parse_value`.
    """
    value = parse_value(content, largest)
    if not isinstance(value, dict):
        raise DocumentError("it is not a JSON object")
    return Document(value)


def parse_value(content: bytes | str, largest: int = LARGEST_BYTES) -> Any:
    """Reads one JSON value of any type; for the arguments see `parse`.

    Raises:
        DocumentError: If it is too large, nested deeper than `DEEPEST`, not UTF-8, not JSON (which has no
            NaN and no infinity), or holds one name twice.
    """
    if len(content) > largest:
        raise DocumentError(f"it is larger than {size_in_words(largest)}")
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        value = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_without_repetition
        )
    except DocumentError:
        raise
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is not UTF-8 (byte {error.start})") from error
    except ValueError as error:
        raise DocumentError(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise DocumentError(f"it is nested deeper than {DEEPEST} levels") from error
    if isinstance(value, dict | list):
        _require_shallow(value)
    return value


def is_one_line(text: str) -> bool:
    """Tells whether a text has no line break and no other control character."""
    return not any(_is_control(character) for character in text)


def size_in_words(size: int) -> str:
    """Writes a number of bytes in words, such as "4,096 bytes" or "8 MiB"."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size:,} bytes"


def printable(text: str) -> str:
    r"""Writes control characters and undecodable bytes of a text as escapes such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii") if _is_control(character) else character
        for character in text
    )


def _is_control(character: str) -> bool:
    # The ranges are C0, DEL with C1 (which some terminals obey), line and paragraph separators with marks of
    # text direction, further such marks, and surrogates, which stand for undecodable bytes.
    return (
        character < " "
        or "\x7f" <= character <= "\x9f"
        or "\u2028" <= character <= "\u202e"
        or "\u2066" <= character <= "\u2069"
        or "\ud800" <= character <= "\udfff"
    )


def _finite(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond 10^308
        return None
    return number if math.isfinite(number) else None


def _wrong(name: str, expected: str, value: object) -> DocumentError:
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # a number of more than 4,300 digits
        shown = f"a value of type {type(value).__name__}"
    return DocumentError(f"{name} must be {expected}, got {shown[:_SHOWN]}")


def _refuse_constant(name: str) -> None:
    raise DocumentError(f"{name} is not a number that JSON allows")


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DocumentError(f"the field {twice!r:.{_SHOWN}} is there twice")
    return found


def _require_shallow(value: dict[str, Any] | list[Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise DocumentError(f"it is nested deeper than {DEEPEST} levels")
