"""NumPy archives with a stated purpose and a checksum, such as checkpoints and stored outputs."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge.errors import DataError
from garmentlite.edge.files import write_bytes

LARGEST_BYTES = 1 << 30  # unpacked; the tiles of 80,000 photographs take this much

_ABOUT = "about"
# The errors that zipfile, zlib, NumPy and json raise for damaged files.
_READ_ERRORS = (
    OSError, ValueError, TypeError, KeyError, EOFError, AttributeError, NotImplementedError, RuntimeError,
    OverflowError, RecursionError, MemoryError, SyntaxError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """The content of an archive.

    Attributes:
        about: The facts stored with the arrays, as JSON can hold them.
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
    """Writes arrays with facts about them; the file appears whole or not at all.

    Args:
        path: The file to write.
        purpose: What the file is for, such as "checkpoint"; `read_npz` asks for the same.
        about: Facts that JSON can hold.
        arrays: The arrays by name; no name may be "about", none may hold objects.
        compress: Whether to deflate them.

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
        document = json.loads(str(arrays.pop(_ABOUT)))
        if document["purpose"] != purpose:
            raise ValueError(f"it holds a {document['purpose']}")
        if document["sha256"] != _checksum(arrays):
            raise ValueError("its checksum is wrong, so it is damaged")
        return Archive(dict(document["facts"]), arrays)
    except _READ_ERRORS as error:
        reason = f"no '{error.args[0]}' in it" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path} cannot be read as a {purpose} ({reason}); {way_out}.") from error


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive, no byte of which is unpacked before its size is known."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > LARGEST_BYTES:
            raise ValueError(f"it unpacks to {total:,} bytes, more than {LARGEST_BYTES:,}")
        for entry in entries:
            with archive.open(entry) as packed:
                content = packed.read(entry.file_size + 1)
            arrays[entry.filename.removesuffix(".npy")] = _parse_array(content)
    return arrays


def _parse_array(content: bytes) -> np.ndarray:
    """An array in NumPy's own format; the size that its header states is checked first."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read_header(file)
    stated = int(dtype.itemsize)
    for size in shape:
        stated *= int(size)
    if stated != len(content) - file.tell():
        raise ValueError("an array in it has another size than its header states")
    file.seek(0)
    array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes of arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
