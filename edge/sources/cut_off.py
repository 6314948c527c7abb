"""Tells what the container of a video file states: its size, and so whether the file was cut off."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_UNKNOWN_SIZE = -1


def is_avi(path: Path) -> bool:
    """Tells whether a file is an AVI, the only container here whose number of frames is always exact."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"AVI "


def is_cut_off(path: Path) -> bool:
    """Compares the size that an AVI, MP4, MOV, Matroska or WebM file states with that of the file.

    Args:
        path: A file of any kind.

    Returns:
        Whether the file is shorter than it states; False for containers that state no size.
    """
    size = os.path.getsize(path)
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
            return _boxes_end(file, size) > size
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _segment_end(file) > size
    return False


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Follows the boxes of an MP4 or MOV file; returns where the last one that was found ends."""
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the length follows in 64 bits
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0 means "up to the end of the file"
            return size
        position += length
    return position


def _segment_end(file: BinaryIO) -> int:
    """Returns where the segment of a Matroska or WebM file ends, or -1 if it does not state that."""
    file.seek(4)
    file.seek(_variable_size(file), os.SEEK_CUR)  # over the rest of the EBML header
    if file.read(4) != b"\x18\x53\x80\x67":
        return _UNKNOWN_SIZE
    length = _variable_size(file)
    return _UNKNOWN_SIZE if length == _UNKNOWN_SIZE else file.tell() + length


def _variable_size(file: BinaryIO) -> int:
    """Reads a size of EBML: the number of leading zero bits tells how many bytes follow."""
    first = file.read(1)[0]
    more = 8 - first.bit_length()
    raw = bytes([first & (0x7F >> more)]) + file.read(more)
    size = int.from_bytes(raw, "big")
    return _UNKNOWN_SIZE if size == (1 << (7 * (more + 1))) - 1 else size
