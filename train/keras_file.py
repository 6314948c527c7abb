"""Reads `.keras` files."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from garmentlite.edge.documents import parse
from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import open_regular
from garmentlite.edge.read_errors import READ_ERRORS
from garmentlite.edge.zip_entries import UnpackError, open_archive, read_entry, require_honest_sizes

if TYPE_CHECKING:
    import keras

LARGEST_BYTES = 512 << 20  # of a network's file, unpacked; the largest published here has 7 MB
_LARGEST_CONFIG = 16 << 20  # bytes
_ALWAYS_THERE = ("config.json", "model.weights.h5")


def read_network(path: Path, way_out: str) -> keras.Model:
    """Reads a network in safe mode: no code in the file is run.

    Its sizes are checked before Keras reads it, since Keras takes the memory that a file asks for.

    Args:
        path: A `.keras` file.
        way_out: What the user can do if it cannot be read; it ends the sentence of the error.

    Raises:
        ModelError: If it cannot be read.
    """
    import keras

    try:
        if path.suffix == ".keras":
            _require_sane_sizes(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except READ_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
        raise ModelError(
            f"{path} cannot be read as a Keras network ({reason}); {way_out}."
        ) from error


def _require_sane_sizes(path: Path) -> None:
    with open_regular(path) as file, open_archive(file) as archive:
        require_honest_sizes(archive, LARGEST_BYTES)
        entries = {entry.filename: entry for entry in archive.infolist()}
        missing = [name for name in _ALWAYS_THERE if name not in entries]
        if missing:
            raise UnpackError(f"there is no {missing[0]} in it")
        config = read_entry(archive, entries["config.json"], _LARGEST_CONFIG)
        weights = _count_weights(read_entry(archive, entries["model.weights.h5"], LARGEST_BYTES))
        _require_sane_widths(parse(config, _LARGEST_CONFIG).fields, weights)


def _require_sane_widths(config: object, weights: int) -> None:
    """Refuses a layer with more units than the file has weights, which Keras would make before reading."""
    if isinstance(config, list):
        for value in config:
            _require_sane_widths(value, weights)
    elif isinstance(config, dict):
        for name, value in config.items():
            if name in ("units", "filters") and isinstance(value, int) and value > weights:
                raise UnpackError(
                    f"a layer in it has {value:,} {name}, but it has {weights:,} weights"
                )
            _require_sane_widths(value, weights)


def _count_weights(content: bytes) -> int:
    """Counts the numbers that the HDF5 arrays state, which need no room in the file if none were written."""
    import h5py

    total = count = 0

    def add(name: str, item: object) -> None:
        nonlocal total, count
        if isinstance(item, h5py.Dataset):
            count += math.prod(item.shape or ())
            total += math.prod(item.shape or ()) * item.dtype.itemsize
            if total > LARGEST_BYTES:
                raise UnpackError(f"its weights have more than {LARGEST_BYTES >> 20} MiB")

    with h5py.File(io.BytesIO(content), "r") as weights:
        weights.visititems(add)
    return count
