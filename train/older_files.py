"""Archives that version 0.1.0 wrote: without a stated purpose and a checksum."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np


def read_0_1_0(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """Reads an archive of version 0.1.0.

    Args:
        path: The file.
        key: Name of an array that such an archive of this kind holds.

    Returns:
        The arrays by name; None if the file is no such archive. `edge.npz.read_npz` then reads it, or
        says what is wrong with it.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            if key not in stored.files or _states_a_purpose(stored):
                return None
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, MemoryError,
            zipfile.BadZipFile, zlib.error):  # fmt: skip
        return None


def _states_a_purpose(stored: np.lib.npyio.NpzFile) -> bool:
    return "about" in stored.files and str(stored["about"]).startswith('{"purpose"')
