"""Whether reference and candidate still answer alike when images get worse: noise, blur, light, JPEG.

Both may lose accuracy, but together. Quantization can hide on clean images and show on others: activation
ranges that clean images never leave, for one. Every kind and strength is judged class by class by the same
counts as the parity check. Since that makes some two hundred judgements at once, Holm's correction is taken
over all of them: a candidate that loses nothing fails with probability at most alpha, all sets together. And
since the worst images lie closest to the borders between classes, a loss within the margin is no failure.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from garmentlite.convert.parity import holm, loss_bound, mcnemar_p
from garmentlite.edge.classifier import Classifier
from garmentlite.train.degradation import KINDS, degrade

CORRUPTION_IMAGES = 2000  # times 19 sets and two models: about half a minute on two cores of a desk
CLEAN = "none"

# apart: a class, or the accuracy, lost more than the margin, and that is more than chance.
# together: not apart, and the loss of accuracy is shown to be below the margin.
# unresolved: neither; more images would decide.
SetVerdict = Literal["together", "apart", "unresolved"]


@dataclass(frozen=True)
class CorruptedSet:
    """The same images under one corruption, through both models.

    Attributes:
        kind: A name in `train.degradation.KINDS`, or "none".
        strength: From 1, the weakest; 0 where nothing was done.
        amount: The strength in words.
        accuracy_reference: In [0, 1].
        accuracy_candidate: In [0, 1].
        accuracy_bound: Upper confidence bound of its loss, one-sided at alpha (`parity.loss_bound`).
        agreement: Share of images with the same answer.
        worst_label: The class that lost most recall.
        worst_loss: Its loss, in [-1, 1].
        lost: Classes that lost more than the margin and more than chance; "accuracy" for all together.
        p_holm: The smallest p value of this set, after Holm's correction over all sets.
        verdict: What may be said.
    """

    kind: str
    strength: int
    amount: str
    accuracy_reference: float
    accuracy_candidate: float
    accuracy_bound: float
    agreement: float
    worst_label: str
    worst_loss: float
    lost: tuple[str, ...]
    p_holm: float
    verdict: SetVerdict

    @property
    def name(self) -> str:
        """Kind and strength, such as "blur 2"."""
        return f"{self.kind} {self.strength}" if self.strength else "unchanged"


@dataclass(frozen=True)
class CorruptionsReport:
    """All sets, the unchanged images first.

    Attributes:
        passed: No set is apart.
        images: Images of each set.
        seed: Of what is random in the corruptions.
        margin: Largest loss that is accepted, in (0, 1).
        alpha: One-sided error rate of each bound, and of all that is called lost together.
        judgements: How many losses were tested together.
        least_images_lost: So many images of the smallest class must be lost, with none gained, for its
            loss to be more than the margin and more than chance.
        least_support: Images of the smallest class.
        sets: The sets.
    """

    passed: bool
    images: int
    seed: int
    margin: float
    alpha: float
    judgements: int
    least_images_lost: int
    least_support: int
    sets: tuple[CorruptedSet, ...]

    def with_verdict(self, verdict: SetVerdict) -> list[CorruptedSet]:
        """The sets that got this verdict."""
        return [one for one in self.sets if one.verdict == verdict]

    def as_document(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return asdict(self)


def compare_corrupted(
    reference: Classifier,
    candidate: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    most: int = CORRUPTION_IMAGES,
    on_progress: Callable[[int, int], None] | None = None,
) -> CorruptionsReport:
    """Gives both models the same images under every corruption, and judges each set.

    Args:
        reference: The model that is taken as right.
        candidate: The model that is to be proved; of the same labels and image size.
        images_u8: uint8, shape (N, H, W) or (N, H, W, 1).
        y_true: True class numbers, integer, shape (N,).
        margin: Largest loss that is accepted, in (0, 1).
        alpha: One-sided error rate, in (0, 0.5).
        classes: Labels of the classes that are judged; None for all.
        seed: Of what is random in the corruptions.
        most: Use at most so many images, evenly chosen.
        on_progress: Called with sets done and all sets, from the thread that called.

    Returns:
        The report.

    Raises:
        ModelError: If a model's outputs are not finite on some set.
    """
    count = min(len(y_true), most)
    chosen = np.arange(count) * len(y_true) // count
    images, y = images_u8[chosen], y_true[chosen]
    own = threading.local()  # an interpreter must not run in two threads

    def answers(task: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
        if not hasattr(own, "pair"):
            own.pair = [Classifier(one.path, labels=one.labels) for one in (reference, candidate)]
        kind, strength = task
        degraded = images if kind == CLEAN else degrade(images, kind, strength, seed=seed)
        before, after = (one.probabilities(degraded).argmax(axis=1) for one in own.pair)
        return before, after

    tasks = all_sets()
    found: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for task, pair in zip(tasks, pool.map(answers, tasks), strict=True):
            found[task] = pair
            if on_progress:
                on_progress(len(found), len(tasks))
    return judge_sets(
        y, found, reference.labels, margin=margin, alpha=alpha, classes=classes, seed=seed
    )


def all_sets() -> list[tuple[str, int]]:
    """Kind and strength of every set: the unchanged images, then every corruption."""
    corruptions = [
        (kind, strength)
        for kind, one in KINDS.items()
        for strength in range(1, len(one.amounts) + 1)
    ]
    return [(CLEAN, 0), *corruptions]


def judge_sets(
    y_true: np.ndarray,
    answers: Mapping[tuple[str, int], tuple[np.ndarray, np.ndarray]],
    labels: Sequence[str],
    *,
    margin: float,
    alpha: float,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> CorruptionsReport:
    """Judges the answers of two models to several sets of images.

    In every set each class is tested, and all images together, since a loss spread evenly over the
    classes shows only there.

    Args:
        y_true: True class numbers, the same for every set, integer, shape (N,).
        answers: Class numbers given by reference and candidate, each shape (N,), by kind and strength.
        labels: The C class names.
        margin: Largest loss that is accepted, in (0, 1).
        alpha: One-sided error rate, in (0, 0.5).
        classes: Labels of the classes that are judged; None for all. Those without images never are.
        seed: Of the corruptions, for the record.

    Returns:
        The report.
    """
    supports = np.bincount(y_true, minlength=len(labels)).tolist()
    judged = [
        number
        for number, label in enumerate(labels)
        if supports[number] and (classes is None or label in classes)
    ]
    names = [*(labels[number] for number in judged), "accuracy"]
    sizes = [*(supports[number] for number in judged), len(y_true)]
    # Lost and gained images of every class that is judged, then of all.
    counts: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for task, (before, after) in answers.items():
        sides = (before == y_true) & (after != y_true), (after == y_true) & (before != y_true)
        lost, gained = (
            np.bincount(y_true[side], minlength=len(labels))[judged].tolist() for side in sides
        )
        overall = int(sides[0].sum()), int(sides[1].sum())
        counts[task] = [*zip(lost, gained, strict=True), overall]
    corrected = holm([mcnemar_p(*pair) for pairs in counts.values() for pair in pairs])

    sets = []
    for number, (task, pairs) in enumerate(counts.items()):
        p_values = corrected[number * len(names) : (number + 1) * len(names)]
        bound = loss_bound(*pairs[-1], len(y_true), alpha)
        losses = [(b - c) / size for (b, c), size in zip(pairs, sizes, strict=True)]
        lost_names = tuple(
            name
            for name, loss, p_holm in zip(names, losses, p_values, strict=True)
            if loss > margin and p_holm < alpha
        )
        worst = max(range(len(judged)), key=lambda place: losses[place])
        before, after = answers[task]
        kind, strength = task
        verdict: SetVerdict = "together" if bound < margin else "unresolved"
        sets.append(
            CorruptedSet(
                kind=kind,
                strength=strength,
                amount=KINDS[kind].describe(strength) if strength else "",
                accuracy_reference=float(np.mean(before == y_true)),
                accuracy_candidate=float(np.mean(after == y_true)),
                accuracy_bound=bound,
                agreement=float(np.mean(before == after)),
                worst_label=names[worst],
                worst_loss=losses[worst],
                lost=lost_names,
                p_holm=min(p_values),
                verdict="apart" if lost_names else verdict,
            )
        )
    least_support = min(supports[number] for number in judged)
    # p is 2**-lost where none is gained; Holm's first factor is the number of judgements.
    more_than_chance = math.floor(math.log2(len(corrected) / alpha)) + 1
    return CorruptionsReport(
        passed=all(one.verdict != "apart" for one in sets),
        images=len(y_true),
        seed=seed,
        margin=margin,
        alpha=alpha,
        judgements=len(corrected),
        least_images_lost=max(more_than_chance, math.floor(margin * least_support) + 1),
        least_support=least_support,
        sets=tuple(sets),
    )
