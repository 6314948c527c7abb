"""Reaches recall targets by offsets of the outputs, which are chosen on validation images.

The offsets are added to the last bias. They cost nothing on the device and only shift the decision boundaries
between classes: the recall that one class gains is lost by its neighbours.

Only the outputs of classes with a target are raised, and by the smallest offset that suffices. The reason: if
probabilities are calibrated and all classes have equally many images, the answers with the highest macro
recall among those that keep the targets are argmax(logit + offset), where each offset is the logarithm of a
factor of the class (as for a class prior: Menon et al. 2021, arXiv 2007.07314), above 0 only where a target
binds. A search over the offsets of all outputs for the best macro recall gains half a point on the images of
the search and nothing, or less, on others; a search for class weights of the last layer ends at the same
offset (`benchmarks/target_recall.py` measures both). So class weights are left to the user. Whether class
weights during the whole training give better features is another question, which no such search answers.
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
from garmentlite.edge.text_table import text_table

if TYPE_CHECKING:
    import keras

EVERY_CLASS = "all"  # stands for the classes that have no target of their own

MARGIN = 1e-3  # added to a logit; far above a rounding of float32, far below what changes a recall
ROUNDS = 100  # a dozen suffice for easy targets; near the limit of what is possible they grow without end
SHORTFALL_STEPS = 10  # halvings; the last one is less than one image of 600
GIVEN_UP = 0.5  # recall below which a class is reported as given up


@dataclass(frozen=True)
class Outcome:
    """The effect of the offsets on the validation images.

    Attributes:
        targets: The recall targets by label.
        shortfall: How much every target had to be lowered so that all could be reached together; 0 if they
            were reached as they are.
        offsets: The offset that was added to each logit, by label.
        recall: Recall of each class before and after, by label; None for a class without images.
        macro_recall: Mean recall of all classes before and after.
        accuracy: Accuracy before and after.
    """

    targets: dict[str, float]
    shortfall: float
    offsets: dict[str, float]
    recall: dict[str, tuple[float | None, float | None]]
    macro_recall: tuple[float, float]
    accuracy: tuple[float, float]

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the outcome, with its sentences as `in_words`."""
        return asdict(self) | {"in_words": self.sentences()}

    def sentences(self) -> list[str]:
        """Says what was done, whether the targets were reached, and which classes lost recall."""
        raised = {label: offset for label, offset in self.offsets.items() if offset > 0}
        said = []
        if self.shortfall:
            said.append(
                "The targets cannot be reached together: the recall that one class gains, another loses. "
                f"Each was lowered by {100 * self.shortfall:.1f} points, the least that makes them possible."
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
            said.append(f"{paid} lost the most recall: {_change(known[paid])}.")
        lowest_before = min(before for before, _ in known.values())
        hardest = min(known, key=lambda label: known[label][1])
        lowest = known[hardest][1]
        if lowest < GIVEN_UP:
            said.append(f"{hardest} is given up for it: its recall is only {lowest:.1%}.")
        elif lowest < lowest_before:
            said.append(
                f"{hardest} is now the hardest class with a recall of {lowest:.1%}; before, no class was "
                f"below {lowest_before:.1%}."
            )
        return said


def parse(options: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Reads the values of `--target-recall`.

    Args:
        options: "NAME=RECALL" any number of times; "all=RECALL" is for the classes that are not named.
        labels: Class names in the order of their numbers.

    Returns:
        Recall in (0, 1) by label, for the classes with a target, in the order of the labels.

    Raises:
        OptionError: If an option has another form, a class is unknown, or a recall is not in (0, 1).
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
                "--target-recall takes NAME=RECALL with a recall between 0 and 1, or all=RECALL for the "
                f"other classes, got '{option}'; write for example --target-recall Shirt=0.9."
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
    """Finds the smallest offsets with which every target is reached.

    The output of a class that misses its target is raised until the target is reached. Other classes lose
    images by this, so all classes are checked again until no offset changes. Raising one class never helps
    another, so no offset ever exceeds that of any solution; the result is the smallest in every component.

    Args:
        y_true: Class numbers, shape (N,); at least one of each class with a target.
        logits: Shape (N, C).
        targets: Recall by class number; a recall of 0 or less is always reached.

    Returns:
        The offset of each logit, float64, shape (C,), at least 0, and 0 for a class without a target; None
        if `ROUNDS` rounds do not suffice, because the targets contradict each other, or nearly so.

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
    """Finds the smallest offsets; impossible targets are all lowered by the least that makes them possible.

    Args:
        y_true: Class numbers, shape (N,); at least one of each class with a target.
        logits: Shape (N, C).
        targets: Recall by class number, each in (0, 1).

    Returns:
        Offsets, float64, shape (C,), and how much the targets were lowered (0 if they are possible).
    """
    found = least_offsets(y_true, logits, targets)
    if found is not None:
        return found, 0.0
    too_little, enough = 0.0, max(targets.values())  # with this, every target is reached
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

    On other images than those they are chosen on, the recalls may be above or below the targets; with 600
    images of a class the standard error is about a point.

    Args:
        targets: Recall by label.
        model: A network that ends in a dense layer of logits.
        y_true: Class numbers of the validation images, shape (N,).
        logits: Logits of the network for these images, shape (N, C).
        labels: Class names in the order of their numbers.

    Returns:
        The effect on these images.
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


def price_table(document: dict[str, Any]) -> str:
    """Writes the recall that each class gained or lost as text, from `Outcome.as_document`."""
    rows = []
    for label, (before, after) in document["recall"].items():
        shares = (document["targets"].get(label), before, after)
        cells = ["-" if share is None else f"{share:.1%}" for share in shares]
        change = None if before is None or after is None else 100 * (after - before)
        rows.append([label, *cells, f"{change:+.1f}" if change else ""])
    table = text_table(["class", "target", "before", "after", "change"], rows)
    head = "Outputs were raised to reach the recall targets. On validation images:"
    return "\n".join([head, table, *document["in_words"]])


def _missing(logits: np.ndarray, class_id: int, recall: float) -> float:
    """Computes how much a class's logit must rise to reach its recall, from the logits of its images."""
    rivals = logits.copy()
    rivals[:, class_id] = -np.inf
    behind = rivals.max(axis=1) - logits[:, class_id]  # how much each image lacks to be recognised
    # In floats, a share of the images may be a rounding above the whole number that it is.
    place = math.ceil(recall * len(behind) - 1e-9) - 1
    last = float(np.partition(behind, place)[place])
    return last + MARGIN if last >= 0 else 0.0


def _macro_recall(matrix: np.ndarray) -> float:
    return float(np.nanmean(metrics.recall_per_class(matrix)))


def _change(shares: tuple[float, float]) -> str:
    before, after = shares
    return f"{before:.2%} -> {after:.2%}"
