"""The Fashion-MNIST labels in the order of their numbers, reserved names, and the search for a label."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from garmentlite.edge.errors import OptionError

# Order and spelling of the data set's README (github.com/zalandoresearch/fashion-mnist, "Labels").
FASHION_MNIST_LABELS: tuple[str, ...] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Answers that do not name a class, so no class may have one of these names.
UNKNOWN = "unknown"  # the network is not sure enough
NO_GARMENT = "no garment"  # there is nothing in the picture to ask the network about
RESERVED = (UNKNOWN, NO_GARMENT)
UNLABELLED = "unlabelled"  # folder of collected pictures that nobody has labelled yet


def is_reserved(label: str) -> bool:
    """Whether a class name is reserved for an answer: "unknown" or "no garment"."""
    return " ".join(label.split()).casefold() in RESERVED


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Finds the known name that is most similar to a mistyped one; None if none is similar."""
    # Each part of a label such as "T-shirt/top" stands for the label too.
    folded = {part.casefold(): label for label in known for part in (label, *label.split("/"))}
    matches = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return folded[matches[0]] if matches else None


def label_key(label: str) -> str:
    """Makes a key that is the same for all spellings of a label, to compare labels with folders' names.

    A folder's name cannot hold "/", and people type labels in their own way: the key of "T-shirt/top",
    "T-shirt-top" and "t shirt top" is "t-shirt-top".
    """
    return re.sub(r"[\W_]+", "-", label.casefold()).strip("-")


def class_id_of(name: str, labels: Sequence[str] = FASHION_MNIST_LABELS) -> int:
    """Finds the number of a class by its name, in upper or lower case.

    Args:
        name: A label as the user typed it.
        labels: The labels in the order of their numbers.

    Returns:
        The class number, in [0, len(labels)).

    Raises:
        OptionError: If no label has this name; the message proposes the nearest one.
    """
    for class_id, label in enumerate(labels):
        if label.casefold() == name.strip().casefold():
            return class_id
    guess = nearest(name, labels)
    hint = f"did you mean '{guess}'?" if guess else f"the classes are: {', '.join(labels)}."
    raise OptionError(f"No class is called '{name}'; {hint}")
