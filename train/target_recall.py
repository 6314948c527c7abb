"""Reaching wanted recalls by offsets of the outputs, chosen on validation images.

The offsets are added to the last bias: they cost nothing on the device, and move the borders between
classes and nothing else. What one class gains, its neighbours pay.

Why only the outputs of classes with a target are raised, and by the least that will do: where
probabilities are calibrated and the classes equally large, the answers with the highest macro recall among
those that keep the targets are argmax(logit + offset), each offset the logarithm of a class's factor (as
for a class prior: Menon et al. 2021, arXiv 2007.07314), above 0 only where a target binds. Freeing all
outputs to search for the best macro recall gains half a point on the images it was searched on and nothing
or less on others; class weights searched for the last layer end where the offset ends
(`benchmarks/target_recall.py` measures both). So class weights stay with the user, and the offset does the
rest. Whether weights during the whole training make better features is another question, which no search
afterwards answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge import metrics
from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import class_id_of

if TYPE_CHECKING:
    import keras

EVERY_CLASS = "all"  # stands for the classes that have no target of their own

MARGIN = 1e-3  # of a logit; far above a rounding of float32, far below what moves a recall
ROUNDS = 100  # a dozen settle what is possible with ease; at its border they grow without end
SHORTFALL_STEPS = 10  # halvings: less than one image of 600
GIVEN_UP = 0.5  # a class of which more than half is missed


@dataclass(frozen=True)
class Outcome:
    """What the offsets did, on the validation images.

    Attributes:
        targets: The recall that was wanted, by label.
        shortfall: By how much every target had to be lowered so that all could be reached together; 0
            where they were reached as they are.
        offsets: What was added to each logit, by label.
        recall: Of each class, before and after, by label; None for a class without images.
        macro_recall: Mean recall of all classes, before and after.
        accuracy: Before and after.
    """

    targets: dict[str, float]
    shortfall: float
    offsets: dict[str, float]
    recall: dict[str, tuple[float | None, float | None]]
    macro_recall: tuple[float, float]
    accuracy: tuple[float, float]

    def as_document(self) -> dict[str, Any]:
        """The outcome as JSON can hold it, with its sentences as `in_words`."""
        return asdict(self) | {"in_words": self.sentences()}

    def sentences(self) -> list[str]:
        """What was done, whether it reached the targets, and who paid."""
        raised = {label: offset for label, offset in self.offsets.items() if offset > 0}
        said = []
        if self.shortfall:
            said.append(
                "The targets cannot be reached together: what one class gains, another loses. Each was "
                f"lowered by {100 * self.shortfall:.1f} points, the least with which they can."
            )
        if not raised:
            return [*said, "Every target is met already: no output was raised."]
        names = ", ".join(f"{label} by {offset:.3f}" for label, offset in raised.items())
        said.append(
            f"Raised outputs: {names}. Macro recall {_change(self.macro_recall)}, accuracy "
            f"{_change(self.accuracy)}."
        )
        known = {
            label: (before, after)
            for label, (before, after) in self.recall.items()
            if before is not None and after is not None
        }
        paid = min(known, key=lambda label: known[label][1] - known[label][0])
        before, after = known[paid]
        if after < before:
            said.append(f"{paid} paid most: {_change(known[paid])}.")
        lowest_before = min(before for before, _ in known.values())
        hardest = min(known, key=lambda label: known[label][1])
        lowest = known[hardest][1]
        if lowest < GIVEN_UP:
            said.append(f"{hardest} is given up for it: only {lowest:.1%} are recognised.")
        elif lowest < lowest_before:
            said.append(
                f"{hardest} is now the hardest class: {lowest:.1%} are recognised, where no class was below "
                f"{lowest_before:.1%} before."
            )
        return said


def parse(options: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Reads "NAME=RECALL" any number of times; "all=RECALL" is for the classes not named.

    Returns:
        Label to recall in (0, 1), in the order of the labels; only classes with a target.

    Raises:
        OptionError: If one is not of that form, a class is unknown, or a recall is not in (0, 1).
    """
    every: dict[str, float] = {}
    named: dict[str, float] = {}
    for option in options:
        name, _, share = option.rpartition("=")
        try:
            recall = float(share)
        except ValueError:
            recall = math.nan
        if not name or not 0 < recall < 1:
            raise OptionError(
                "--target-recall takes NAME=RECALL with a recall between 0 and 1, or all=RECALL for every "
                f"class not named, got '{option}'; write for example --target-recall Shirt=0.9."
            )
        if name.strip().casefold() == EVERY_CLASS:
            every = dict.fromkeys(labels, recall)
        else:
            named[labels[class_id_of(name, labels)]] = recall
    wanted = every | named
    return {label: wanted[label] for label in labels if label in wanted}


def least_offsets(
    y_true: np.ndarray, logits: np.ndarray, targets: Mapping[int, float]
) -> np.ndarray | None:
    """The smallest offsets, all at once, with which every target is reached.

    A class that misses its target is raised until it has it; that takes from the others, so they are looked
    at again until nothing moves. Raising one class never helps another, so no offset ever passes what any
    solution needs, and where nothing moves any more is the least solution in every component at once.

    Args:
        y_true: Class numbers, shape (N,); at least one of each class with a target.
        logits: Shape (N, C).
        targets: Recall by class number; a recall of 0 or less asks for nothing.

    Returns:
        What to add to each logit, float64, shape (C,), each at least 0 and 0 for a class without a
        target; None where `ROUNDS` do not settle it: the targets contradict each other, or nearly so.

    Raises:
        ValueError: If a class with a target has no image.
    """
    own = {k: logits[y_true == k].astype(np.float64) for k, recall in targets.items() if recall > 0}
    for class_id, rows in own.items():
        if len(rows) == 0:
            raise ValueError(f"class {class_id} has a target and no image")
    offsets = np.zeros(logits.shape[1])
    for _ in range(ROUNDS):
        moved = False
        for class_id, rows in own.items():
            missing = _missing(rows + offsets, class_id, targets[class_id])
            offsets[class_id] += missing
            moved |= missing > 0
        if not moved:
            return offsets
    return None


def nearest_offsets(
    y_true: np.ndarray, logits: np.ndarray, targets: Mapping[int, float]
) -> tuple[np.ndarray, float]:
    """The least offsets, with all targets lowered alike by the least that makes them possible.

    Args:
        y_true: Class numbers, shape (N,); at least one of each class with a target.
        logits: Shape (N, C).
        targets: Recall by class number, each in (0, 1).

    Returns:
        Offsets, float64, shape (C,), and by how much the targets were lowered (0 if they stand).
    """
    found = least_offsets(y_true, logits, targets)
    if found is not None:
        return found, 0.0
    too_little, enough = 0.0, max(targets.values())  # with which nothing is asked for
    best = np.zeros(logits.shape[1])
    for _ in range(SHORTFALL_STEPS):
        middle = (too_little + enough) / 2
        lowered = {class_id: recall - middle for class_id, recall in targets.items()}
        found = least_offsets(y_true, logits, lowered)
        if found is None:
            too_little = middle
        else:
            best, enough = found, middle
    return best, enough


def apply(
    targets: Mapping[str, float],
    model: keras.Model,
    y_true: np.ndarray,
    logits: np.ndarray,
    labels: Sequence[str],
) -> Outcome:
    """Adds the offsets to the last bias of a network, in place.

    On images they were not chosen on, the recalls come out on either side of the targets; with 600 images
    of a class the standard error is about a point.

    Args:
        targets: Recall by label.
        model: A network that ends in a dense layer of logits.
        y_true: Class numbers of the validation images, shape (N,).
        logits: What the network gives for them, shape (N, C).
        labels: Class names in the order of their numbers.

    Returns:
        What it did on these images.
    """
    numbered = {labels.index(label): recall for label, recall in targets.items()}
    offsets, shortfall = nearest_offsets(y_true, logits, numbered)
    shift = offsets.astype(np.float32)
    bias = model.layers[-1].bias
    bias.assign(np.asarray(bias) + shift)
    before, after = (
        metrics.confusion_matrix(y_true, answers.argmax(axis=1), len(labels))
        for answers in (logits, logits + shift)
    )
    recall = zip(
        map(metrics.defined, metrics.recall_per_class(before)),
        map(metrics.defined, metrics.recall_per_class(after)),
        strict=True,
    )
    return Outcome(
        targets=dict(targets),
        shortfall=shortfall,
        offsets=dict(zip(labels, offsets.tolist(), strict=True)),
        recall=dict(zip(labels, recall, strict=True)),
        macro_recall=(_macro_recall(before), _macro_recall(after)),
        accuracy=(metrics.accuracy(before), metrics.accuracy(after)),
    )


def _missing(logits: np.ndarray, class_id: int, recall: float) -> float:
    """By how much the logit of a class must rise for its recall, from the logits of its images; 0 if not."""
    rivals = logits.copy()
    rivals[:, class_id] = -np.inf
    behind = rivals.max(axis=1) - logits[:, class_id]  # how far each is from being recognised
    # In floats a share of the images can come out above the whole number that it is.
    place = math.ceil(recall * len(behind) - 1e-9) - 1
    last = float(np.partition(behind, place)[place])
    return last + MARGIN if last >= 0 else 0.0


def _macro_recall(matrix: np.ndarray) -> float:
    return float(np.nanmean(metrics.recall_per_class(matrix)))


def _change(shares: tuple[float, float]) -> str:
    before, after = shares
    return f"{before:.2%} -> {after:.2%}"
