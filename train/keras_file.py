"""Reads networks that Keras 2 or Keras 3 saved, as `.keras` or `.h5` files."""

from __future__ import annotations

import io
import json
import math
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from garmentlite.edge.documents import parse
from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import open_regular
from garmentlite.edge.read_errors import READ_ERRORS
from garmentlite.edge.zip_entries import UnpackError, open_archive, read_entry, require_honest_sizes
from garmentlite.train.keras2_config import as_keras_3, is_keras_2

if TYPE_CHECKING:
    import h5py
    import keras

LARGEST_BYTES = 512 << 20  # of a network's file, unpacked; the largest published here has 7 MB
_LARGEST_CONFIG = 16 << 20  # bytes
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
HDF5_SUFFIXES = (".h5", ".hdf5")


def read_network(path: Path, way_out: str) -> keras.Model:
    """Reads a network in safe mode: no code in the file is run.

    Its sizes are checked before Keras reads it, since Keras takes the memory that a file asks for.

    Args:
        path: A `.keras` file, or an `.h5` file of a whole network.
        way_out: What the user can do if it cannot be read; it ends the sentence of the error.

    Raises:
        ModelError: If it cannot be read, or holds Python code.
    """
    import keras

    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # Keras warns that the optimizer is not read, and of arguments that its own loader passes.
            warnings.simplefilter("ignore")
            readable = _readable(path, Path(folder))
            return keras.saving.load_model(readable, compile=False, safe_mode=True)
    except READ_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
        raise ModelError(
            f"{path} cannot be read as a Keras network ({reason}); {way_out}."
        ) from error


def _readable(path: Path, folder: Path) -> Path:
    """Checks a file; returns it, or a copy in the folder that Keras 3 can read if it is from Keras 2."""
    if path.suffix == ".keras":
        return _readable_archive(path, folder)
    if path.suffix in HDF5_SUFFIXES:
        return _readable_hdf5(path, folder)
    raise ValueError("its name ends neither in .keras nor in .h5")


def _readable_archive(path: Path, folder: Path) -> Path:
    with open_regular(path) as file, open_archive(file) as archive:
        require_honest_sizes(archive, LARGEST_BYTES)
        entries = {entry.filename: entry for entry in archive.infolist()}
        missing = [name for name in (_CONFIG, _WEIGHTS) if name not in entries]
        if missing:
            raise UnpackError(f"there is no {missing[0]} in it")

        def read(name: str, largest: int) -> bytes:
            return read_entry(archive, entries[name], largest)

        config = parse(read(_CONFIG, _LARGEST_CONFIG), _LARGEST_CONFIG).fields
        weights = read(_WEIGHTS, LARGEST_BYTES)
        _require_no_code(config, path)
        with _open_hdf5(io.BytesIO(weights)) as stored:
            _require_sane_widths(config, _count_weights(stored))
        metadata = read(_METADATA, _LARGEST_CONFIG) if _METADATA in entries else b"{}"
        if not is_keras_2(parse(metadata).fields.get("keras_version")):
            return path
    copy = folder / "network.keras"
    with zipfile.ZipFile(copy, "w") as archive:
        archive.writestr(_METADATA, metadata)
        archive.writestr(_CONFIG, json.dumps(as_keras_3(config, path)))
        archive.writestr(_WEIGHTS, weights)
    return copy


def _readable_hdf5(path: Path, folder: Path) -> Path:
    with open_regular(path) as file:
        if file.seek(0, io.SEEK_END) > LARGEST_BYTES:
            raise ValueError(f"it is larger than {LARGEST_BYTES >> 20} MiB")
    with _open_hdf5(path) as stored:
        stated = stored.attrs.get("model_config")
        if stated is None:
            raise ModelError(
                f"{path} holds weights without the network that they belong to; save both with "
                "model.save('network.keras')."
            )
        weights = _count_weights(stored)
        version = stored.attrs.get("keras_version", "2.0")  # older files do not state it
    config = parse(stated, _LARGEST_CONFIG).fields
    _require_no_code(config, path)
    _require_sane_widths(config, weights)
    if not is_keras_2(version):
        return path
    copy = folder / "network.h5"
    shutil.copyfile(path, copy)
    with _open_hdf5(copy, "r+") as stored:
        stored.attrs["model_config"] = json.dumps(as_keras_3(config, path))
    return copy


def _open_hdf5(file: Path | io.BytesIO, mode: str = "r") -> h5py.File:
    import h5py

    return h5py.File(file, mode)


def _require_no_code(config: Any, path: Path) -> None:
    """Refuses a network that holds Python code, which Keras would have to run."""
    if isinstance(config, list):
        for value in config:
            _require_no_code(value, path)
    elif isinstance(config, dict):
        if config.get("class_name") in ("Lambda", "__lambda__"):
            inner = config.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
            raise ModelError(
                f"{path} holds Python code in its layer '{name or 'lambda'}' (Lambda), and code from a "
                "file is never run; put a layer of Keras in its place, or save the network where it was "
                "made as a folder, tf.saved_model.save(model, 'folder'), and name that folder."
            )
        for value in config.values():
            _require_no_code(value, path)


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


def _count_weights(stored: h5py.File) -> int:
    """Counts the numbers that the HDF5 arrays state, which need no room in the file if none were written.

    Raises:
        UnpackError: If they have too many bytes, or are in another file.
    """
    import h5py

    total = count = 0

    def add(name: str, item: object) -> None:
        nonlocal total, count
        if isinstance(item, h5py.Dataset):
            count += math.prod(item.shape or ())
            total += math.prod(item.shape or ()) * item.dtype.itemsize
            if total > LARGEST_BYTES:
                raise UnpackError(f"its weights have more than {LARGEST_BYTES >> 20} MiB")
            if item.external or item.is_virtual:
                raise UnpackError("its weights are in another file")

    def refuse_other_files(name: str, link: object) -> None:
        if isinstance(link, h5py.ExternalLink):
            raise UnpackError("its weights are in another file")

    stored.visititems(add)
    stored.visititems_links(refuse_other_files)
    return count
