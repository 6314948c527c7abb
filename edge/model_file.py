"""Model files from anybody: read and taken apart, and checked before anything in them is run.

A file of ours carries the checksum of its flatbuffer: where it is right, the file is run at once, where it is
wrong, never. A file without our metadata is tried first, see `edge.foreign_model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import read_bytes, sha256
from garmentlite.edge.metadata import Metadata, is_unchanged, split

WAY_OUT = "copy it again, or make one with 'cli convert'"
LARGEST_BYTES = 256 << 20  # of a model file; the largest published here has 7 MB


@dataclass(frozen=True)
class ModelFile:
    """A `.tflite` file that was read and not run.

    Attributes:
        path: Where it is.
        size: Bytes of the whole file.
        sha256: Checksum of the whole file.
        flatbuffer: The model without our metadata.
        metadata: What the file says about the model; None for a file without our metadata.
        is_unchanged: Whether the flatbuffer is the one that the metadata was written for; None without.
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
    """Reads a model file that is to be run: it is ours and unchanged, or it was tried.

    Args:
        path: A `.tflite` file.
        way_out: See `read_model_file`.

    Raises:
        ModelError: If it cannot be read, was changed after it was made, or must not be run.
        MissingPartError: If the runtime is not installed.
    """
    file = read_model_file(path, way_out)
    if file.is_unchanged is False:
        raise ModelError(
            f"{path} was changed after it was made (its checksum is not the one in its metadata), so it is "
            f"not run; {way_out}."
        )
    if file.metadata is None:
        # Imported here, since files of ours do without it.
        from garmentlite.edge.foreign_model import require_runnable

        try:
            require_runnable(file.flatbuffer)
        except ModelError as error:
            raise unusable(path, error, way_out) from error
    return file


def unusable(path: Path, reason: ModelError, way_out: str = WAY_OUT) -> ModelError:
    """The sentence about a file that is not a model that can be used, of which `reason` is a part."""
    return ModelError(f"{path} is not a model that can be used here: {reason}; {way_out}.")
