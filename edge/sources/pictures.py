"""Pictures: a folder, a pattern or a single one."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Self

import numpy as np

from garmentlite.edge.callbacks import Say
from garmentlite.edge.errors import PictureError, SourceError
from garmentlite.edge.picture_files import find_pictures
from garmentlite.edge.picture_formats import PICTURE_SUFFIXES
from garmentlite.edge.pictures import MAX_SIDE, read_picture
from garmentlite.edge.sources.interface import Frame, SourceSettings

SECONDS_PER_PICTURE = 2.0  # how long a window shows each picture


def from_text(text: str, settings: SourceSettings) -> Pictures | None:
    """Makes a source of a folder, a pattern such as '*.jpg', or a file with the suffix of a picture."""
    is_pattern = glob.has_magic(text) and not os.path.exists(text)
    if is_pattern or os.path.isdir(text) or Path(text).suffix.lower() in PICTURE_SUFFIXES:
        return Pictures(text, settings.warn, settings.note)
    return None


class Pictures:
    """Pictures in the order of their names; one that cannot be read is skipped."""

    camera = None

    def __init__(self, path: str, warn: Say, note: Say) -> None:
        """Chooses the pictures.

        Args:
            path: A folder, a single picture or a pattern.
            warn: Called with one sentence for each picture that cannot be read.
            note: Called with one sentence about the files of a folder that are no pictures.
        """
        self.path = path
        self._warn, self._note = warn, note

    def __enter__(self) -> Self:
        """Lists the pictures; raises `SourceError` if there is none."""
        try:
            self._files = find_pictures([self.path], note=self._note)
        except PictureError as error:
            raise SourceError(str(error)) from error
        return self

    def __exit__(self, *exception: object) -> None:
        """Does nothing, since no file is held open."""

    def __iter__(self) -> Iterator[Frame]:
        """Yields the pictures."""
        shown = count()
        for file in self._files:
            try:
                picture = read_picture(file, MAX_SIDE)
            except PictureError as error:
                self._warn(str(error))
                continue
            yield Frame(
                bgr=np.ascontiguousarray(picture.rgb[..., ::-1]),
                time=next(shown) * SECONDS_PER_PICTURE,
                name=str(file),
                # A single picture stays until the user presses a key.
                duration=SECONDS_PER_PICTURE if len(self._files) > 1 else math.inf,
                alpha=picture.alpha,
            )
