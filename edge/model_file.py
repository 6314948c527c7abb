"""Reads model files, and checks them before they are run.

A file with our metadata has the checksum of its flatbuffer. If the checksum is right, the file is run without
another check. If it is wrong, the file is never run. A file without our metadata is first checked by
`edge.foreign_model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import read_bytes, sha256
from garmentlite.edge.metadata import Metadata, is_unchanged, split

WAY_OUT = "copy it again, or make one with 'cli convert'"
LARGEST_BYTES = 256 << 20  # size of a model file; the largest published here has 7 MB


@dataclass(frozen=True)
class ModelFile:
    """A `.tflite` file that was read and not run.

    Attributes:
        path: The path of the file.
        size: Size of the whole file in bytes.
        sha256: Checksum of the whole file.
        flatbuffer: The model without our metadata.
        metadata: What the file says about the model; None for a file without our metadata.
        is_unchanged: Whether the flatbuffer is the one that the metadata was written for; None for a file
            without our metadata.
    """

    path: Path
    size: int
    sha256: str
    flatbuffer: bytes
    metadata: Metadata | None
    is_unchanged: bool | None


def read_model_file(path: Path, way_out: str = WAY_OUT) -> ModelFile:
    """Reads a model file and takes it apart; nothing in it is run.

    Args:
        path: A `.tflite` file.
        way_out: What the user can do if it cannot be used; it ends the sentence of the error.

    Raises:
        ModelError: If it cannot be read, is too large, or its metadata is broken.
    """
    try:
        content = read_bytes(path, LARGEST_BYTES)
    except OSError as error:
        raise ModelError(f"Cannot read the model {path}: {error.strerror}; {way_out}.") from error
    try:
        flatbuffer, metadata = split(content)
    except ModelError as error:
        raise unusable(path, error, way_out) from error
    return ModelFile(
        path=path,
        size=len(content),
        sha256=sha256(content),
        flatbuffer=flatbuffer,
        metadata=metadata,
        is_unchanged=is_unchanged(flatbuffer, metadata) if metadata else None,
    )


def open_model_file(path: Path, way_out: str = WAY_OUT) -> ModelFile:
    """Reads a model file and makes sure that it may be run.

    Args:
        path: A `.tflite` file.
        way_out: See `read_model_file`.

    Returns:
        The file. Either it has our metadata and the right checksum, or it passed the checks of
        `edge.foreign_model`.

    Raises:
        ModelError: If it cannot be read, was changed after it was made, or did not pass the checks.
        MissingPartError: If the runtime is not installed.
    """
    file = read_model_file(path, way_out)
    if file.is_unchanged is False:
        raise ModelError(
            f"{path} was changed after it was made (its checksum is not the one in its metadata), so it is "
            f"not run; {way_out}."
        )
    if file.metadata is None:
        # Imported here because files with our metadata do not need it.
        from garmentlite.edge.foreign_model import require_runnable

        try:
            require_runnable(file.flatbuffer)
        except ModelError as error:
            raise unusable(path, error, way_out) from error
    return file


def unusable(path: Path, reason: ModelError, way_out: str = WAY_OUT) -> ModelError:
    """Makes the error for a file that cannot be used as a model; `reason` is a part of its sentence."""
    return ModelError(f"{path} is not a model that can be used here: {reason}; {way_out}.")
