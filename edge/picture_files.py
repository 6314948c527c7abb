"""Finds the picture files that paths, folders and patterns name."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import PictureError
from garmentlite.edge.files import is_dir
from garmentlite.edge.picture_formats import FORMATS_IN_WORDS, PICTURE_SUFFIXES

_MOST_NAMED = 5  # files left out that are named; further ones are only counted


def find_pictures(
    paths: Iterable[str | Path],
    warn: Say | None = None,
    note: Say = say_nothing,
) -> list[Path]:
    """Lists the picture files that files, folders and patterns name.

    Args:
        paths: Files with any suffix; folders, which are searched with their subfolders for known suffixes
            (hidden folders and files are left out); and glob patterns (`**` for any depth).
        warn: Called with a sentence for each folder below `paths` that this user may not read; without
            it, that is an error.
        note: Called with a sentence for each folder of `paths` in which files are left out, because their
            suffix is not that of a picture. It counts and names them.

    Returns:
        Files in the order of the arguments, sorted within each; no file is listed twice.

    Raises:
        PictureError: If one of `paths` names no picture.
    """

    def cannot_read(error: OSError) -> None:
        sentence = f"The folder {error.filename} cannot be read ({error.strerror})"
        if warn is None:
            raise PictureError(f"{sentence}; allow it with 'chmod +rx'.") from error
        warn(f"{sentence}; it is left out.")

    found: dict[Path, None] = {}
    for path in paths:
        refuse_empty(path)
        if os.path.exists(path):  # before globbing: a file may be called 'shirt[1].jpg'
            matches = [Path(path)]
        else:
            matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        inside = {match: _files_of(match, cannot_read) for match in matches}
        taken = [one for match in matches for one in inside[match] if _is_taken(one, match)]
        if not taken:
            raise PictureError(_nothing_found(path, matches))
        found.update(dict.fromkeys(taken))
        for match in matches:
            if left_out := [one for one in inside[match] if not _is_taken(one, match)]:
                note(_left_out(match, left_out))
    return list(found)


def _files_of(path: Path, cannot_read: Callable[[OSError], None]) -> list[Path]:
    """Lists the files below a folder that are not hidden; any other path is returned alone."""
    if not is_dir(path):
        return [path]
    files = []
    for folder, subfolders, names in os.walk(path, onerror=cannot_read):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(files)


def _is_taken(file: Path, named: Path) -> bool:
    return file == named or file.suffix.lower() in PICTURE_SUFFIXES


def _left_out(folder: Path, files: Sequence[Path]) -> str:
    names = ", ".join(str(file.relative_to(folder)) for file in files[:_MOST_NAMED])
    more = f" and {len(files) - _MOST_NAMED:,} more" if len(files) > _MOST_NAMED else ""
    count = "1 file is" if len(files) == 1 else f"{len(files):,} files are"
    return (
        f"In {folder} {count} left out, because the name does not end like that of a picture: "
        f"{names}{more}."
    )


def _nothing_found(path: str | Path, matches: list[Path]) -> str:
    if matches:
        return f"There is no picture in {path} ({FORMATS_IN_WORDS}); name another folder or a file."
    if glob.has_magic(str(path)):
        return f"Nothing matches {path}; check the pattern and the folder."
    return not_a_file(path)


def refuse_empty(path: str | Path) -> None:
    """Raises PictureError if a path is an empty text."""
    if not str(path):  # Path("") would be the current folder
        raise PictureError("The path of the picture is an empty text; name a picture file.")


def not_a_file(path: str | Path) -> str:
    """Says in one sentence why a path that is neither file nor folder holds no picture."""
    if os.path.exists(path):
        return f"{path} is a pipe or a device, expected a picture file; save the picture as a file."
    return f"There is no picture {path}; check the name and the folder."
