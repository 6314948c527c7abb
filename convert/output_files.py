"""Names the files that a conversion writes, and refuses a place that cannot or may not be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from garmentlite.convert import formats
from garmentlite.convert.source import KERAS_SUFFIX, Source
from garmentlite.edge.errors import OutputError
from garmentlite.edge.files import require_writable


def output_paths(folder: Path, name: str, wanted: Sequence[str] = ("int8",)) -> dict[str, Path]:
    """Names the files of a conversion.

    Args:
        folder: The folder to write to.
        name: Name of the network's files.
        wanted: Names of the formats beside the reference, see `formats.FORMATS`.

    Returns:
        The file of each format by its name, "keras" for the network itself, and "card".
    """
    made = [one for one in formats.FORMATS if one == formats.REFERENCE or one in wanted]
    return {one: folder / f"{name}_{one}.tflite" for one in made} | {
        "keras": folder / f"{name}.keras",
        "card": folder / f"{name}.json",
    }


def paths_for(source: Source, folder: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """Names the files of a network, see `output_paths`; only a network in a `.keras` file is copied."""
    paths = output_paths(folder, source.name, wanted)
    if source.path.suffix != KERAS_SUFFIX:
        del paths["keras"]
    return paths


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, however they are written."""
    return one.resolve() == other.resolve()


def folder_beside(path: Path) -> Path:
    """Returns the folder that a file or folder is in, also for a path such as `.` that does not name it."""
    return path.parent if path.name not in ("", "..") else path.resolve().parent


def require_place_for(paths: dict[str, Path], *, force: bool) -> None:
    """Raises OutputError if a file exists and may not be replaced, or a folder cannot be written."""
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not force:
        raise OutputError(
            f"{', '.join(there)} already there; --force replaces them, -o names another folder."
        )
    for folder in {path.parent for path in paths.values()}:
        # The folder itself is made with its first file, so that a refused network leaves no empty one.
        above = (folder, *folder.absolute().parents)
        require_writable(next(one for one in above if one.exists()))
