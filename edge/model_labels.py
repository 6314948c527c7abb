"""The class names of a model that another program made: from a text file, or from the zip in the model file.

Text files have one label on each line, in the order of the outputs. Teachable Machine writes the number of
the class before each label ("0 Shirt"). TFLite Metadata and Ultralytics append a zip archive to the model
file: TFLite Metadata puts a text file into it, Ultralytics a `metadata.json` with the names.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from garmentlite.edge.documents import DocumentError, is_one_line, parse
from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.files import read_bytes
from garmentlite.edge.read_errors import READ_ERRORS
from garmentlite.edge.zip_entries import open_archive, read_entry

LARGEST_BYTES = 1 << 20  # of a list of labels; the 21,843 labels of ImageNet-21k take 0.4 MB
_MOST_NAMED = 5  # labels for several classes that a sentence names; further ones are only counted
_ULTRALYTICS = "metadata.json"
_USUAL = "labels.txt"
_NUMBERED = re.compile(r"(\d{1,6})[\s:,]+(\S.*)")


@dataclass(frozen=True)
class ModelLabels:
    """Class names, and where they were found.

    Attributes:
        names: One for each output of the model, in their order; a name may stand for several classes.
        source: The place where they were found, such as "labels.txt in the file".
    """

    names: tuple[str, ...]
    source: str

    def doubt(self, file: str) -> str | None:
        """Writes a sentence about names that stand for several classes; None if all are different.

        Args:
            file: Name of the model file.
        """
        repeated = [name for name, count in Counter(self.names).items() if count > 1]
        if not repeated:
            return None
        listed = ", ".join(f"'{name}'" for name in repeated[:_MOST_NAMED])
        more = f" and {len(repeated) - _MOST_NAMED:,} more" if len(repeated) > _MOST_NAMED else ""
        example = _numbered(repeated[0], self.names.index(repeated[0]))
        return (
            f"The labels of {file} have one name for several classes ({listed}{more}), so the answers add "
            f"the number of the class, as in '{example}'; if this is a mistake, give each class a name of "
            "its own with --labels."
        )


def read_label_file(path: Path) -> list[str]:
    """Reads the labels in a text file that the option --labels names.

    Args:
        path: A text file in UTF-8, with or without a byte order mark, with any line ends.

    Raises:
        OptionError: If it cannot be read, or holds no labels.
    """
    try:
        return _labels_of_text(read_bytes(path, LARGEST_BYTES))
    except OSError as error:
        reason = str(error.strerror)
    except DocumentError as error:
        reason = str(error)
    raise OptionError(
        f"--labels {path} cannot be used ({reason}); name a text file with one label on each line."
    )


def labels_in(file: bytes, recorded: str | None = None) -> ModelLabels | None:
    """Finds the labels in the zip archive that another program appended to a model file.

    Args:
        file: The bytes of the whole file.
        recorded: Name of the text file of labels according to the file's TFLite Metadata; None to look for
            "labels.txt".

    Returns:
        The labels; None if there is no archive, or no labels in it.

    Raises:
        ModelError: If there are labels that cannot be read. The message is a part of a sentence.
    """
    try:
        archive = open_archive(io.BytesIO(file))
    except READ_ERRORS:
        return None
    with archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        text = next((name for name in (recorded, _USUAL) if name in entries), None)
        name = text or (_ULTRALYTICS if _ULTRALYTICS in entries else None)
        if name is None:
            return None
        try:
            content = read_entry(archive, entries[name], LARGEST_BYTES)
            labels = _labels_of_text(content) if text else _labels_of_ultralytics(content)
        except READ_ERRORS as error:
            raise ModelError(f"the labels in its {name!r:.60} cannot be read ({error})") from error
    return ModelLabels(tuple(labels), f"{name} in the file") if labels else None


def distinct(labels: Sequence[str]) -> list[str]:
    """Adds the number of the class to labels that stand for several classes.

    Some lists repeat a label: the 1,000 labels of ImageNet have two classes "crane", a bird and a machine.
    """
    counts = Counter(labels)
    return [
        _numbered(label, number) if counts[label] > 1 else label
        for number, label in enumerate(labels)
    ]


def _numbered(label: str, number: int) -> str:
    return f"{label} (class {number})"


def _labels_of_text(content: bytes) -> list[str]:
    """Reads labels, one on each line; raises DocumentError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is not UTF-8, see byte {error.start}") from error
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    labels = _without_numbers([line for line in lines if line])
    if not labels:
        raise DocumentError("it is empty")
    return _checked(labels)


def _without_numbers(lines: list[str]) -> list[str]:
    """Removes numbers before the labels and sorts by them, if they count from 0 over all lines."""
    parts = [_NUMBERED.fullmatch(line) for line in lines]
    numbered = {int(part[1]): part[2] for part in parts if part}
    if sorted(numbered) != list(range(len(lines))):
        return lines
    return [numbered[number] for number in range(len(lines))]


def _labels_of_ultralytics(content: bytes) -> list[str]:
    """Reads the names in the metadata of Ultralytics; empty if there are none. Raises DocumentError."""
    names = parse(content, LARGEST_BYTES).fields.get("names")
    if isinstance(names, dict):
        numbers = [str(number) for number in range(len(names))]
        if set(names) != set(numbers):
            raise DocumentError("its names are not numbered from 0")
        names = [names[number] for number in numbers]
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DocumentError("its names are not a list of texts")
    return _checked(names)


def _checked(labels: list[str]) -> list[str]:
    if not all(is_one_line(label) for label in labels):
        raise DocumentError("it has control characters, expected plain text")
    return labels
