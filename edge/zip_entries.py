"""Unpacks entries of zip files that may be hostile, with limits on their true size."""

from __future__ import annotations

import copy
import io
import struct
import zipfile
from typing import IO

_UNLIMITED = 1 << 62
_LARGEST_DIRECTORY = 4 << 20  # bytes; an entry takes 46 and its name
# The record at the end of a zip, and what stands before it where the zip has the 64-bit form.
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 1 << 16
_LOCATOR_64, _LOCATOR_64_SIZE = b"PK\x06\x07", 20
_ENCRYPTED = 0x1  # bit of the flags


class UnpackError(ValueError):
    """An entry is packed in a way that is not read here, or unpacks to more than is allowed."""


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Opens a zip archive after checking the size of its directory, which Python reads all at once.

    Raises:
        UnpackError: If the directory is too large or in the 64-bit form, which only files of more than
            4 GB or 65,535 entries need.
        zipfile.BadZipFile: If it is not a zip.
    """
    size = file.seek(0, io.SEEK_END)
    reach = _LOCATOR_64_SIZE + _END_SIZE + _LONGEST_COMMENT
    file.seek(max(0, size - reach))
    tail = file.read(reach)
    # Python takes a record without a comment at the very end, else the last one in the tail.
    for at in {len(tail) - _END_SIZE, tail.rfind(_END)}:
        if at < 0 or not tail.startswith(_END, at) or len(tail) < at + _END_SIZE:
            continue
        (directory_size,) = struct.unpack_from("<L", tail, at + 12)
        is_64 = (
            tail.startswith(_LOCATOR_64, at - _LOCATOR_64_SIZE) if at >= _LOCATOR_64_SIZE else False
        )
        if is_64 or directory_size > _LARGEST_DIRECTORY:
            raise UnpackError("its list of entries is too large")
    file.seek(0)
    return zipfile.ZipFile(file)


def open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    """Opens a stream of the unpacked bytes of an entry, to be read by amounts that fit into memory.

    Python's `ZipFile.read` unpacks first and cuts off at the stated size afterwards, so an entry that states
    a wrong size takes any amount of memory. Here the stated size is not used: every `read(n)` unpacks about
    n bytes, and the checksum of all bytes is checked at the end of the stream.

    Raises:
        UnpackError: If the entry is encrypted, or packed with another method than deflate (Python unpacks
            others without a limit).
    """
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnpackError(f"it is compressed with method {entry.compress_type}, expected deflate")
    if entry.flag_bits & _ENCRYPTED:
        raise UnpackError("it is encrypted")
    whole = copy.copy(entry)
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        whole.file_size = _UNLIMITED
    return archive.open(whole)


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, largest: int) -> bytes:
    """Reads the unpacked bytes of an entry; no more than one beyond the limit are ever in memory.

    Raises:
        UnpackError: See `open_entry`; also if there are more than `largest` bytes.
    """
    with open_entry(archive, entry) as packed:
        content = packed.read(largest + 1)
    if len(content) > largest:
        raise UnpackError(f"{entry.filename!r:.40} unpacks to more than {largest >> 20} MiB")
    return content


def require_honest_sizes(archive: zipfile.ZipFile, largest: int) -> None:
    """Unpacks every entry once, a megabyte at a time, before another library reads the whole archive.

    Raises:
        UnpackError: See `open_entry`; also if all entries together have more than `largest` bytes, or one
            has another size than it states.
        zipfile.BadZipFile: If a checksum is wrong.
    """
    left = largest
    for entry in archive.infolist():
        size = 0
        with open_entry(archive, entry) as packed:
            while chunk := packed.read(1 << 20):
                size += len(chunk)
                if size > left:
                    raise UnpackError(f"it unpacks to more than {largest >> 20} MiB")
        left -= size
        if size != entry.file_size:
            raise UnpackError(f"{entry.filename!r:.40} has another size than it states")
