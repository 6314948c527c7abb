"""Recognizes many picture files; one that cannot be read does not stop the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import GarmentliteError, ModelError, PictureError
from garmentlite.edge.files import refuse_to_overwrite, replacing
from garmentlite.edge.picture_files import find_pictures
from garmentlite.edge.recognition import Recognition
from garmentlite.edge.recognizer import Recognizer


@dataclass(frozen=True)
class FileAnswer:
    """The answer to one picture file.

    Attributes:
        path: The file, or the folder or pattern in which no picture was found.
        result: The answer, or the error that prevented one.
    """

    path: Path
    result: Recognition | GarmentliteError


@dataclass
class Tally:
    """Counts the answers to many pictures.

    Attributes:
        named: Pictures that got a label, or "unknown".
        without_garment: Pictures in which no garment was found.
        unreadable: Pictures that could not be read, and paths in which there is none.
    """

    named: int = 0
    without_garment: int = 0
    unreadable: int = 0

    def add(self, answer: FileAnswer) -> None:
        """Counts one answer."""
        if isinstance(answer.result, GarmentliteError):
            self.unreadable += 1
        elif answer.result.image_u8 is None:
            self.without_garment += 1
        else:
            self.named += 1

    @property
    def pictures(self) -> int:
        """Number of all pictures."""
        return self.named + self.without_garment + self.unreadable

    def in_words(self) -> str:
        """Says the numbers in one sentence."""
        return (
            f"{self.pictures:,} pictures: {self.named:,} have a garment, in {self.without_garment:,} no "
            f"garment was found, {self.unreadable:,} could not be read."
        )


def recognize_files(
    paths: Iterable[str | Path],
    recognizer: Recognizer,
    *,
    save_inputs: Path | None = None,
    force: bool = False,
    note: Say = say_nothing,
) -> Iterator[FileAnswer]:
    """Recognizes picture files one after the other.

    Args:
        paths: Files, folders and glob patterns, see `find_pictures`.
        recognizer: Names the garments.
        save_inputs: A folder in which the 28x28 image that the network saw is saved for each picture.
        force: Whether existing files in this folder are replaced.
        note: Called with a sentence for each folder in which files are left out, see `find_pictures`.

    Yields:
        First an error for each of `paths` that names no picture, and for each folder that cannot be read,
        then an answer or an error for each picture. No picture is recognized twice.

    Raises:
        OutputError: If an image cannot be saved, or would replace a file without `force`.
        MissingPartError: If OpenCV is needed and not installed.
    """
    found: dict[Path, None] = {}
    for path in paths:
        unreadable: list[str] = []
        try:
            found.update(dict.fromkeys(find_pictures([path], unreadable.append, note)))
        except PictureError as error:
            yield FileAnswer(Path(path), error)
        for sentence in unreadable:
            yield FileAnswer(Path(path), PictureError(sentence))
    saved_as = _input_files(found, save_inputs) if save_inputs else {}
    for target in saved_as.values():
        refuse_to_overwrite(target, force)
    for path in found:
        try:
            recognition = recognizer.recognize(path)
        except (PictureError, ModelError) as error:
            yield FileAnswer(path, error)
            continue
        if path in saved_as and recognition.image_u8 is not None:
            _save(saved_as[path], recognition.image_u8)
        yield FileAnswer(path, recognition)


def _input_files(pictures: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """Chooses a file in the folder for each picture; pictures of the same name get different files."""
    files: dict[Path, Path] = {}
    taken: set[str] = set()
    for path in pictures:
        name, number = f"{path.stem}.png", 2
        while name.casefold() in taken:
            name, number = f"{path.stem}-{number}.png", number + 1
        taken.add(name.casefold())
        files[path] = folder / name
    return files


def _save(path: Path, image_u8: np.ndarray) -> None:
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(image_u8).save(temporary)
