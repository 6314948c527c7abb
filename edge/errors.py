"""The errors that a user can cause; each message is one sentence that ends with what to do next.

The command line prints the sentence of such an error and exits with status 2, or 1 if a check failed.
Any other exception is a defect of the program and keeps its traceback.
"""

from garmentlite.edge.documents import printable


class GarmentliteError(Exception):
    """An expected error: the message names what is wrong, what was expected, and the next step.

    Names of files, labels and other people's texts are part of it: as a text, it is one line in which
    control characters are escapes.
    """

    def __str__(self) -> str:
        """Returns the message."""
        return printable(super().__str__())


class DataError(GarmentliteError):
    """A data set is missing or incomplete, or its content is not what its name says."""


class ModelError(GarmentliteError):
    """A model file cannot be read, or cannot be used for the task."""


class PictureError(GarmentliteError):
    """A file, image or array is not a picture that can be classified."""


class SourceError(GarmentliteError):
    """A camera, video or folder of pictures cannot be opened, or was lost."""


class OutputError(GarmentliteError):
    """A result cannot be written to the given place."""


class MissingPartError(GarmentliteError):
    """An optional package is missing or broken; the message says how to install it."""


class OptionError(GarmentliteError):
    """A value of an option is not possible, or options do not fit together."""


class TrainingError(GarmentliteError):
    """A training run cannot succeed; the message names the likely cause."""


class CheckFailedError(GarmentliteError):
    """What was asked for would be wrong, as a check has found, so it was not done; the exit status is 1."""
