"""Reads archives that version 0.1.0 wrote, which state no purpose and have no checksum."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from garmentlite.edge.errors import DataError
from garmentlite.edge.npz import read_arrays


def read_0_1_0(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """Reads an archive of version 0.1.0.

    Args:
        path: The file.
        key: Name of an array that such an archive of this kind holds.

    Returns:
        The arrays by name; None if the file is not such an archive. `edge.npz.read_npz` then reads it, or
        says what is wrong with it.
    """
    try:
        stored = read_arrays(path, "file of version 0.1.0", "make it again")
    except DataError:
        return None
    states_a_purpose = str(stored.get("about", "")).startswith('{"purpose"')
    return stored if key in stored and not states_a_purpose else None
