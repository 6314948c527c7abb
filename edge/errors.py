"""The errors a user can cause or meet; each message is one sentence that ends with what to do next.

The command line turns any of them into that sentence and exit status 2. Everything else is a defect
of the program and keeps its traceback.
"""

import struct
import zipfile
import zlib

from garmentlite.edge.documents import printable

# What zipfile, zlib, NumPy, Pillow and json raise for a damaged or hostile file, depending on the format
# and the place. A reader turns them into one of the errors below.
READ_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, EOFError,
    MemoryError, SyntaxError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class GarmentliteError(Exception):
    """An expected error: the message names what is wrong, what was expected, and the next step.

    Names of files, labels and other people's texts are part of it: as a text, it is one line in which
    control characters are escapes.
    """

    def __str__(self) -> str:
        """The message."""
        return printable(super().__str__())


class DataError(GarmentliteError):
    """A data set is missing, incomplete, or not the one it claims to be."""


class ModelError(GarmentliteError):
    """A model file cannot be read, or does not fit what it is asked to do."""


class PictureError(GarmentliteError):
    """A file is not a picture that can be classified."""


class SourceError(GarmentliteError):
    """A camera, video or folder of frames cannot be opened, or was lost."""


class OutputError(GarmentliteError):
    """A result cannot be written where it was asked for."""


class MissingPartError(GarmentliteError):
    """An optional package is not installed; the message names the extra that brings it."""


class OptionError(GarmentliteError):
    """A value given by the user is not one of those that are possible."""


class TrainingError(GarmentliteError):
    """A training run cannot come to anything; the message names the likely cause."""
