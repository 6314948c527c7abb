"""Compares reference and candidate on corrupted images: noise, blur, light, JPEG and others.

Both models may lose accuracy, but they must lose it together. Quantization can be harmless on clean images
and harmful on others, for example through activation ranges that clean images never leave. Each kind and
strength of corruption is judged class by class by the same counts as the parity check. That makes about two
hundred tests at once, so Holm's correction is taken over all of them: a candidate that loses nothing fails
with probability at most alpha. The worst images lie closest to the decision boundaries, so a loss within the
margin is not a failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.degradation import KINDS, degrade
from garmentlite.convert.verify.statistics import (
    Flips,
    count_flips,
    holm,
    loss_bound,
    mcnemar_p,
    points,
)
from garmentlite.edge.all_cores import copies_of, num_workers, share_out
from garmentlite.edge.callbacks import OnProgress, ignore_progress
from garmentlite.edge.classifier import Classifier

# With 19 sets and two models, this takes half a minute on two cores of a desktop computer.
CORRUPTION_IMAGES = 2000
CLEAN = "none"

# The kind and strength of a corruption.
Corruption = tuple[str, int]

# "apart": a class, or the accuracy, lost more than the margin, and that is more than chance.
# "together": not apart, and the loss of accuracy is shown to be below the margin.
# "unresolved": neither of the two; more images would decide.
SetVerdict = Literal["together", "apart", "unresolved"]


@dataclass(frozen=True)
class CorruptedSet:
    """The same images under one corruption, through both models.

    Attributes:
        kind: A name in `degradation.KINDS`, or "none".
        strength: From 1, the weakest; 0 for the unchanged images.
        amount: The strength in words.
        accuracy_reference: Accuracy of the reference, in [0, 1].
        accuracy_candidate: Accuracy of the candidate, in [0, 1].
        accuracy_bound: Upper confidence bound of the loss of accuracy, one-sided at alpha.
        agreement: Share of images with the same answer.
        worst_label: The class that lost most recall.
        worst_loss: Its loss, in [-1, 1].
        lost: Classes that lost more than the margin and more than chance; "accuracy" for all together.
        p_holm: The smallest p value of this set, after Holm's correction over all sets.
        verdict: The verdict.
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
        images: Images of each set.
        seed: Seed of what is random in the corruptions.
        margin: Largest loss that is accepted, in (0, 1).
        alpha: One-sided error rate of each bound, and of everything called lost together.
        judgements: How many losses were tested together.
        least_images_lost: Number of images of the smallest class that must be lost, with none gained, for
            its loss to be more than the margin and more than chance.
        least_support: Images of the smallest class.
        sets: The sets.
    """

    images: int
    seed: int
    margin: float
    alpha: float
    judgements: int
    least_images_lost: int
    least_support: int
    sets: tuple[CorruptedSet, ...]

    @property
    def passed(self) -> bool:
        """Whether no set is apart."""
        return not self.with_verdict("apart")

    @property
    def finding(self) -> str:
        """The outcome in a sentence or two."""
        apart, unresolved = self.with_verdict("apart"), self.with_verdict("unresolved")
        if apart:
            listed = "; ".join(f"{one.name} ({', '.join(one.lost)})" for one in apart)
            return (
                f"On {len(apart)} of {len(self.sets)} sets the candidate recognises significantly less than "
                f"the reference: {listed}."
            )
        sentence = (
            f"On no set does the candidate lose more than {points(self.margin)} points against the reference "
            "by more than chance."
        )
        if unresolved:
            sentence += (
                f" For {', '.join(one.name for one in unresolved)} it is not shown that the loss of accuracy "
                f"is below {points(self.margin)} points; more images (--limit) would decide."
            )
        return sentence

    def with_verdict(self, verdict: SetVerdict) -> list[CorruptedSet]:
        """Returns the sets that got this verdict."""
        return [one for one in self.sets if one.verdict == verdict]

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the report, see docs/verify-json.md."""
        return {"passed": self.passed} | asdict(self)


def compare_corrupted(
    reference: Classifier,
    candidate: Classifier,
    images_u8: np.ndarray,
    y_true: np.ndarray,
    criteria: Criteria | None = None,
    *,
    seed: int = 0,
    most: int = CORRUPTION_IMAGES,
    on_progress: OnProgress = ignore_progress,
) -> CorruptionsReport:
    """Gives both models the same images under each corruption, and judges each set.

    Args:
        reference: The model that is taken as right.
        candidate: The model that is checked; it has the same labels and image size.
        images_u8: uint8, shape (N, H, W) or (N, H, W, 1).
        y_true: True class numbers, integer, shape (N,).
        criteria: Margin, error rate and the classes to judge; None for the defaults.
        seed: Seed of what is random in the corruptions.
        most: The largest number of images to use; they are chosen evenly.
        on_progress: Called with the number of sets done and their total.

    Raises:
        ModelError: If a model's outputs are not finite on some set.
    """
    count = min(len(y_true), most)
    chosen = np.arange(count) * len(y_true) // count
    images, y = images_u8[chosen], y_true[chosen]

    def answers(pair: list[Classifier], corruption: Corruption) -> tuple[np.ndarray, np.ndarray]:
        kind, strength = corruption
        degraded = images if kind == CLEAN else degrade(images, kind, strength, seed=seed)
        before, after = (one.probabilities(degraded).argmax(axis=1) for one in pair)
        return before, after

    corruptions = all_sets()
    workers = copies_of([reference, candidate], num_workers(len(corruptions)))
    found = share_out(workers, corruptions, answers, on_progress)
    answers_of = dict(zip(corruptions, found, strict=True))
    return judge_sets(y, answers_of, reference.labels, criteria, seed=seed)


def all_sets() -> list[Corruption]:
    """Lists the unchanged images, then each kind at each strength."""
    corruptions = [
        (kind, strength)
        for kind, one in KINDS.items()
        for strength in range(1, len(one.amounts) + 1)
    ]
    return [(CLEAN, 0), *corruptions]


def judge_sets(
    y_true: np.ndarray,
    answers: Mapping[Corruption, tuple[np.ndarray, np.ndarray]],
    labels: Sequence[str],
    criteria: Criteria | None = None,
    *,
    seed: int = 0,
) -> CorruptionsReport:
    """Judges the answers of two models to several sets of images.

    In each set every class is tested, and all images together, since a loss spread evenly over the classes
    shows only there.

    Args:
        y_true: True class numbers, the same for every set, integer, shape (N,).
        answers: Class numbers given by reference and candidate, each shape (N,), by kind and strength.
        labels: The C class names.
        criteria: Margin, error rate and the classes to judge; None for the defaults. A class without images
            is never judged.
        seed: Seed of the corruptions, for the report.
    """
    criteria = criteria or Criteria()
    supports = np.bincount(y_true, minlength=len(labels)).tolist()
    reasons = criteria.reasons_not_judged(y_true, labels)
    judged = [i for i, reason in enumerate(reasons) if reason is None and supports[i]]
    names = [*(labels[i] for i in judged), "accuracy"]
    sizes = [*(supports[i] for i in judged), len(y_true)]
    flips = {one: count_flips(y_true, *pair, len(labels)) for one, pair in answers.items()}
    counts = {one: _counts_of(found, judged) for one, found in flips.items()}
    corrected = holm([mcnemar_p(*pair) for pairs in counts.values() for pair in pairs])

    sets = []
    for number, (corruption, pairs) in enumerate(counts.items()):
        p_values = corrected[number * len(names) : (number + 1) * len(names)]
        bound = loss_bound(*pairs[-1], len(y_true), criteria.alpha)
        losses = [(b - c) / size for (b, c), size in zip(pairs, sizes, strict=True)]
        lost_names = tuple(
            name
            for name, loss, p_holm in zip(names, losses, p_values, strict=True)
            if loss > criteria.margin and p_holm < criteria.alpha
        )
        worst = max(range(len(judged)), key=lambda place: losses[place])
        before, after = answers[corruption]
        kind, strength = corruption
        verdict: SetVerdict = "together" if bound < criteria.margin else "unresolved"
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
    least_support = min(supports[i] for i in judged)
    # If none is gained, p is 2**-lost; Holm's first factor is the number of judgements.
    more_than_chance = math.floor(math.log2(len(corrected) / criteria.alpha)) + 1
    return CorruptionsReport(
        images=len(y_true),
        seed=seed,
        margin=criteria.margin,
        alpha=criteria.alpha,
        judgements=len(corrected),
        least_images_lost=max(more_than_chance, math.floor(criteria.margin * least_support) + 1),
        least_support=least_support,
        sets=tuple(sets),
    )


def _counts_of(flips: Flips, judged: Sequence[int]) -> list[tuple[int, int]]:
    """Counts lost and gained images of each judged class, then of all images."""
    lost, gained = flips.lost[judged].tolist(), flips.gained[judged].tolist()
    return [*zip(lost, gained, strict=True), (flips.all_lost, flips.all_gained)]
