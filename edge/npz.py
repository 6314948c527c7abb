"""Reads and writes NumPy archives that have a purpose and a checksum, such as checkpoints."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from garmentlite.edge import documents
from garmentlite.edge.errors import DataError
from garmentlite.edge.files import open_regular, write_bytes
from garmentlite.edge.read_errors import READ_ERRORS
from garmentlite.edge.zip_entries import UnpackError, open_archive, open_entry

LARGEST_BYTES = 1 << 30  # unpacked; the tiles of 80,000 photographs take this much

_ABOUT = "about"
# Kinds of dtype; objects are left out, since reading them could run code.
_NUMBERS_AND_TEXTS = "biufcU"
_CHUNK = 1 << 20  # bytes unpacked at once


@dataclass(frozen=True)
class Archive:
    """The content of an archive.

    Attributes:
        about: Facts about the arrays, as JSON values.
        arrays: The arrays by name.
    """

    about: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_npz(
    path: Path,
    purpose: str,
    about: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    compress: bool = False,
) -> None:
    """Writes arrays and facts about them; the file is written whole or not at all.

    Args:
        path: The file to write.
        purpose: What the file is for, such as "checkpoint"; `read_npz` must be given the same.
        about: Facts as JSON values.
        arrays: The arrays by name. No name may be "about", and no array may hold objects.
        compress: Whether to compress the arrays.

    Raises:
        OutputError: If the file cannot be written.
    """
    document = {"purpose": purpose, "sha256": _checksum(arrays), "facts": dict(about)}
    buffer = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    text = np.array(json.dumps(document, allow_nan=False))
    save(buffer, allow_pickle=False, **{_ABOUT: text}, **arrays)
    write_bytes(path, buffer.getvalue())


def read_npz(path: Path, purpose: str, way_out: str) -> Archive:
    """Reads an archive that `write_npz` wrote for the same purpose.

    Args:
        path: The file.
        purpose: What it must have been written for.
        way_out: What the user can do if it cannot be used; it ends the sentence of the error.

    Raises:
        DataError: If the file cannot be read, is damaged, too large or was written for another purpose.
    """
    try:
        arrays = _read_arrays(path)
        document = documents.parse(str(arrays.pop(_ABOUT)))
        found = documents.printable(document.text("purpose"))
        if found != purpose:
            raise ValueError(f"it holds a {found}")
        if document.text("sha256") != _checksum(arrays):
            raise ValueError("its checksum is wrong, so it is damaged")
        return Archive(document.object("facts"), arrays)
    except READ_ERRORS as error:
        raise _cannot_read(path, purpose, way_out, error) from error


def read_arrays(path: Path, purpose: str, way_out: str) -> dict[str, np.ndarray]:
    """Reads the arrays of any archive, such as one of version 0.1.0, with the limits of `read_npz`.

    Args:
        path: The file.
        purpose: What it is read as; the error names it.
        way_out: What the user can do if it cannot be used; it ends the sentence of the error.

    Raises:
        DataError: If the file cannot be read, is damaged or too large.
    """
    try:
        return _read_arrays(path)
    except READ_ERRORS as error:
        raise _cannot_read(path, purpose, way_out, error) from error


def _cannot_read(path: Path, purpose: str, way_out: str, error: BaseException) -> DataError:
    if isinstance(error, KeyError):
        reason = f"no '{error.args[0]}' in it"
    else:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(f"{path} cannot be read as a {purpose} ({reason}); {way_out}.")


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an archive, and unpacks no more than the limit."""
    arrays: dict[str, np.ndarray] = {}
    left = LARGEST_BYTES
    with open_regular(path) as file, open_archive(file) as archive:
        for entry in archive.infolist():
            with open_entry(archive, entry) as packed:
                array = _read_array(packed, left)
            left -= array.nbytes
            arrays[entry.filename.removesuffix(".npy")] = array
    return arrays


def _read_array(packed: IO[bytes], largest: int) -> np.ndarray:
    """Reads an array in NumPy's own format, and checks the size that its header states before it is read."""
    # Later versions of the format are for headers above 64 KiB, as of arrays with hundreds of fields.
    if np.lib.format.read_magic(packed) != (1, 0):
        raise UnpackError("an array in it is of another version than 1.0 of NumPy's format")
    shape, is_column_major, dtype = np.lib.format.read_array_header_1_0(packed)
    if dtype.kind not in _NUMBERS_AND_TEXTS or any(size < 0 for size in shape):
        raise UnpackError(f"an array in it is {dtype} of shape {shape}, expected numbers or texts")
    stated = math.prod(shape) * dtype.itemsize
    if stated > largest:
        raise UnpackError(f"it unpacks to more than {LARGEST_BYTES:,} bytes")
    content = bytearray()
    while chunk := packed.read(min(_CHUNK, stated + 1 - len(content))):
        content += chunk
    if len(content) != stated:
        raise UnpackError("an array in it has another size than its header states")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if is_column_major else "C")
    return array


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Computes the SHA-256 of the names, types, shapes and bytes of arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
