"""Finds the meaning of the labels of photographs: classes, and groups of classes.

A group is a coarser word that stands for several classes ("footwear" for Sandal, Sneaker or Ankle boot) where
it is not known which of them a photograph shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import RESERVED, class_id_of, label_key

_NONE = -1  # number of a label that is neither a class nor a group


@dataclass(frozen=True)
class Labelling:
    """What the labels of photographs mean to a network.

    Attributes:
        classes: Class names in the order of the outputs.
        groups: The labels that the photographs have, G names: classes, and words for several of them.
        members: The classes that each group stands for, bool, shape (G, C).
        y: Number of each photograph's group, int64, shape (N,); -1 if its label is not a group.
        accepted: The classes that a careful person accepts for each photograph, bool, shape (N, C): those of
            its group, if its label is one, and those that it could also be.
        own: Whether the labels themselves are the classes.
    """

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    members: np.ndarray
    y: np.ndarray
    accepted: np.ndarray
    own: bool


def class_of(name: str, labels: Sequence[str]) -> int | None:
    """Finds the number of a class from a folder's name, which cannot hold "/"; None if it is not a class."""
    folders = [label_key(label) for label in labels]
    wanted = label_key(name)
    return folders.index(wanted) if wanted in folders else None


def find_labelling(
    written: Sequence[str],
    classes: Sequence[str],
    *,
    also: Sequence[Sequence[str]] | None = None,
    groups: Sequence[str] = (),
    own_classes: bool = False,
    say: Say = say_nothing,
) -> Labelling:
    """Finds the class or group that the label of each photograph means.

    If no label is one of the classes, the labels become the classes.

    Args:
        written: The labels of N photographs, as they are written.
        classes: Class names in the order of the outputs.
        also: Further labels that a careful person could also give to each of the N photographs.
        groups: Values of `--group`: "NAME=CLASS,CLASS", any number of them.
        own_classes: Whether the labels become the classes in any case.
        say: Called with a sentence about labels that are used or left out.

    Raises:
        OptionError: If a group names no classes, or has the name of a class.
        DataError: If the labels become the classes and there are fewer than two, or one of them is
            "unknown" or "no garment".
    """
    known: dict[str, tuple[int, ...]] = {name: (i,) for i, name in enumerate(classes)}
    known |= dict(_parse_group(option, classes) for option in groups)
    names = list(known)
    found = {label: class_of(label, names) for label in written}
    if own_classes or (not groups and all(number is None for number in found.values())):
        return _own_classes(written, also, forced=own_classes, say=say)
    if all(number is None for number in found.values()):
        raise DataError(
            f"No photograph is labelled {' or '.join(option.partition('=')[0] for option in groups)} or as "
            f"one of the classes, but for example '{next(iter(found))}'; check --group and --label-column."
        )
    used = [name for number, name in enumerate(names) if number in found.values()]
    members = np.zeros((len(used), len(classes)), bool)
    for row, name in enumerate(used):
        members[row, list(known[name])] = True
    numbers = [found[label] for label in written]
    y = np.array(
        [_NONE if number is None else used.index(names[number]) for number in numbers], np.int64
    )
    others = Counter(label for label in written if found[label] is None)
    if others:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(others.items()))
        say(
            f"{others.total():,} photographs have a label that is none of the classes ({listed}); the "
            "network learns to be unsure of them. (--own-classes makes every label a class; --group "
            "NAME=CLASS,CLASS makes one label stand for several classes.)"
        )
    accepted = _accepted(y, members, also, known, say)
    return Labelling(tuple(classes), tuple(used), members, y, accepted, own=False)


def _accepted(
    y: np.ndarray,
    members: np.ndarray,
    also: Sequence[Sequence[str]] | None,
    known: Mapping[str, tuple[int, ...]],
    say: Say,
) -> np.ndarray:
    """Finds the accepted classes of each photograph, bool, shape (N, C).

    Args:
        y: Number of each photograph's group, shape (N,); -1 if its label is not a group.
        members: The classes that each group stands for, bool, shape (G, C).
        also: Further labels of each photograph.
        known: The classes that each name stands for.
        say: Called with a sentence about further labels that are none of these names.
    """
    accepted = np.where(y[:, np.newaxis] >= 0, members[y], False)
    names, others = list(known), Counter[str]()
    for row, further in enumerate(also or ()):
        for label in further:
            number = class_of(label, names)
            if number is None:
                others[label] += 1
            else:
                accepted[row, list(known[names[number]])] = True
    if others:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(others.items()))
        say(
            f"Of the labels that a photograph could also have, {listed} are not classes; they are ignored."
        )
    return accepted


def _own_classes(
    written: Sequence[str], also: Sequence[Sequence[str]] | None, *, forced: bool, say: Say
) -> Labelling:
    names: dict[str, str] = {}  # the first spelling of each
    for label in written:
        names.setdefault(label_key(label), label)
    classes = tuple(sorted(names.values()))
    for label in classes:
        if label_key(label) in map(label_key, RESERVED):
            raise DataError(
                f"A class cannot be called '{label}', since the program gives that answer itself when the "
                "network is not sure or sees no garment; rename that folder or label."
            )
    listed = ", ".join(classes) or "none"
    if len(classes) < 2:
        raise DataError(
            f"The photographs have {len(classes)} label ({listed}), and a classifier needs two classes or "
            "more; add a folder of photographs of something else."
        )
    reason = "" if forced else "No label is one of Fashion-MNIST's, so "
    say(
        f"{reason}{'the' if reason else 'The'} labels are the classes ({listed}); Fashion-MNIST is not used."
    )
    y = np.array([class_of(label, classes) for label in written], np.int64)
    members, known = (
        np.eye(len(classes), dtype=bool),
        {name: (i,) for i, name in enumerate(classes)},
    )
    return Labelling(
        classes, classes, members, y, _accepted(y, members, also, known, say), own=True
    )


def _parse_group(option: str, classes: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    name, _, members = option.partition("=")
    named = [one.strip() for one in members.split(",") if one.strip()]
    if not name.strip() or not named:
        raise OptionError(
            f"--group takes NAME=CLASS,CLASS, got '{option}'; write for example --group "
            '"footwear=Sandal,Sneaker,Ankle boot".'
        )
    if class_of(name, classes) is not None:
        raise OptionError(
            f"--group {option}: '{name.strip()}' is a class itself; give the group another name."
        )
    return name.strip(), tuple(class_id_of(one, classes) for one in named)
