"""How far a network may be believed on photographs: its temperature, and when it had better say "unknown".

Both are fitted on photographs that the network has not been trained on. Where one was trained on all there
are, the networks of the folds stand for it: each answers for the photographs that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge.errors import DataError
from garmentlite.edge.metadata import MIRRORED, PLAIN
from garmentlite.edge.metrics import calibration_error, confidence_bins, defined
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.recognition import after_second_opinion, mean_over_views, views
from garmentlite.train import runs
from garmentlite.train.adapt import losses

# Of the photographs of garments. Some 70% of them would have been named wrongly.
FALSE_REJECTIONS = 0.01

SUREST_REJECTED = 0.98  # an answer of this confidence is never "unknown"
FEWEST = 50  # photographs: with fewer, neither a quantile nor a temperature says anything
BINS = 10  # of equal width, of the calibration table
_TEMPERATURES = np.arange(20, 501) / 100
_RESAMPLINGS = 1000  # of the interval, by the percentile bootstrap (Efron 1979)
_SEED = 1979

# From the file of a network and images, uint8 (N, H, W), to float32 logits (N, C).
Predict = Callable[[Path, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class HeldOut:
    """What networks make of photographs that they were not trained on, all folds together.

    Attributes:
        logits: float32, shape (2, V, N, C), of V views (see `edge.recognition.views`) of every photograph as
            it is prepared, and as it is by the second opinion: the same again where there is none, and all
            alike where that finds no garment.
        members: bool, shape (N, C), the classes each may be; none where it is no garment of the classes.
        groups: bool, shape (G, C), what photographs are labelled with.
        labels: Names of these, G.
        is_empty: bool, shape (N,), whether it is a piece of ground.
        runs: Number of networks.
    """

    logits: np.ndarray
    members: np.ndarray
    groups: np.ndarray
    labels: tuple[str, ...]
    is_empty: np.ndarray
    runs: int

    @property
    def is_garment(self) -> np.ndarray:
        """Whether it shows a garment of the classes: bool, shape (N,)."""
        return np.any(self.members, axis=1)

    def probabilities(self, temperature: float) -> np.ndarray:
        """As the device computes them: float32, shape (N, C)."""
        first, second = (
            mean_over_views(softmax(one / np.float32(temperature))) for one in self.logits
        )
        return after_second_opinion(first, second)


@dataclass(frozen=True)
class Confidence:
    """What is written into a model file, and what it was found by.

    Attributes:
        temperature: Logits are divided by it before softmax.
        unknown_threshold: Confidence below which the answer is "unknown".
        measured: Figures of the photographs it was fitted on, as JSON can hold them.
    """

    temperature: float
    unknown_threshold: float
    measured: dict[str, Any]

    def in_words(self) -> str:
        """What was chosen, and what it costs."""
        found = self.measured
        return (
            f"Of {found['photographs']:,} photographs not trained on: logits are divided by "
            f"{self.temperature:g}, below {self.unknown_threshold:.0%} an answer is 'unknown': "
            f"{found['garments_rejected']:.1%} of the garments, {found['wrong_among_them']:.0%} of which "
            f"would have been named wrongly; calibration error {found['calibration_error']:.3f}."
        )


def read_held_out(folders: Sequence[Path], predict: Predict, *, mirrored: bool) -> HeldOut:
    """Asks every run's network about the photographs that it was not trained on.

    Args:
        folders: Of finished runs on photographs, each with others held out; at least one.
        predict: Computes the logits of a `.keras` file.
        mirrored: Whether the device will show it mirrored images too, as one that was trained on them.

    Raises:
        DataError: If a run has no photographs, the same are held out in two, or other labels.
    """
    seen: set[str] = set()
    logits, members, is_empty = [], [], []
    groups: np.ndarray | None = None
    for folder in folders:
        stored = runs.read_photos(folder)
        held = stored["is_held_out"]
        names = set(stored["files"][held].tolist())
        if names & seen:
            raise DataError(
                f"{folder} holds out photographs that another run holds out too, such as "
                f"{min(names & seen)}; name runs of different folds of one collection."
            )
        seen |= names
        if groups is not None and not np.array_equal(groups, stored["members"]):
            raise DataError(
                f"The photographs of {folder} are labelled otherwise than those of {folders[0]}; name runs "
                "of different folds of one collection."
            )
        y, groups = stored["y"], stored["members"]
        shown = held & stored["found"]
        tiles = stored["tiles_u8"]
        # Runs of an earlier version have no pieces of ground and no second opinions.
        grounds = stored.get("grounds_u8", tiles[:, :0])[held].reshape(-1, *tiles.shape[2:])
        is_taken = grounds.any(axis=(1, 2))
        images = np.concatenate([tiles[shown, 0], grounds[is_taken]])
        second = images.copy()
        if "second_u8" in stored:
            second[: shown.sum()] = stored["second_u8"][shown]
        asked = (PLAIN, MIRRORED) if mirrored else (PLAIN,)
        ways = [view for each in (images, second) for view in views(each, asked)]
        shape = (2, len(ways) // 2, len(images), groups.shape[1])
        if len(images):  # at once, since the network is read and compiled for every call
            answers = predict(runs.model_file(folder), np.concatenate(ways)).reshape(shape)
            answers[1, :, ~second.any(axis=(1, 2))] = 0  # where it finds no garment
            logits.append(answers)
        else:
            logits.append(np.zeros(shape, np.float32))
        of_class = np.where(y[shown, np.newaxis] >= 0, groups[y[shown]], False)
        none = np.zeros((int(is_taken.sum()), groups.shape[1]), bool)
        members.append(np.concatenate([of_class, none]))
        is_empty.append(np.arange(len(images)) >= len(of_class))
    assert groups is not None  # there is a folder
    return HeldOut(
        np.concatenate(logits, axis=2),
        np.concatenate(members),
        groups,
        tuple(stored["groups"].tolist()),
        np.concatenate(is_empty),
        len(folders),
    )


def fit(held_out: HeldOut) -> Confidence:
    """Chooses temperature and threshold, and measures what they are worth.

    Args:
        held_out: At least `FEWEST` photographs of garments.

    Raises:
        DataError: If they are fewer.
    """
    is_garment = held_out.is_garment
    if is_garment.sum() < FEWEST:
        raise DataError(
            f"{int(is_garment.sum())} photographs of garments were held out, at least {FEWEST} are needed "
            "to say how sure a network may be; name runs on more folds."
        )
    garments = replace(
        held_out,
        logits=held_out.logits[:, :, is_garment],
        members=held_out.members[is_garment],
        is_empty=held_out.is_empty[is_garment],
    )

    def loss(temperature: float) -> float:
        log_probabilities = np.log(garments.probabilities(temperature) + 1e-12)
        return float(losses(log_probabilities, garments.members).mean())

    temperature = float(min(_TEMPERATURES, key=loss))
    probabilities = held_out.probabilities(temperature)
    confidence = probabilities.max(axis=1)
    threshold = float(np.quantile(confidence[is_garment], FALSE_REJECTIONS))
    # Of photographs that are all told with ease, all are equally sure but for roundings, which the int8
    # file has others of.
    threshold = min(threshold, SUREST_REJECTED)
    measured = _measured(held_out, probabilities, confidence, threshold)
    return Confidence(temperature, threshold, measured)


def calibration(
    probabilities: np.ndarray, members: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and whether it was right, of photographs whose labels may be groups.

    Where a class is named that a group of the labels holds, only the group is known to be right or wrong:
    then the confidence is that in the group.

    Args:
        probabilities: Shape (N, C).
        members: bool, shape (N, C), the classes each may be.
        groups: bool, shape (G, C), what photographs are labelled with.

    Returns:
        float, shape (N,), and bool, shape (N,).
    """
    answer = probabilities.argmax(axis=1)
    together = np.eye(len(groups[0]), dtype=bool)
    for group in groups:
        together |= np.outer(group, group)
    rows = np.arange(len(answer))
    return (probabilities * together[answer]).sum(axis=1), members[rows, answer]


def auroc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Probability that one of `higher` exceeds one of `lower`, ties counting half; NaN without either."""
    if not len(higher) or not len(lower):
        return float("nan")
    ordered = np.sort(lower)
    below, up_to = (np.searchsorted(ordered, higher, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(lower)))


def _measured(
    held_out: HeldOut, probabilities: np.ndarray, confidence: np.ndarray, threshold: float
) -> dict[str, Any]:
    is_garment, is_empty = held_out.is_garment, held_out.is_empty
    sure, right = calibration(
        probabilities[is_garment], held_out.members[is_garment], held_out.groups
    )
    bin_of = confidence_bins(sure, BINS)
    rng = np.random.default_rng(_SEED)
    drawn = rng.integers(len(right), size=(_RESAMPLINGS, len(right)))
    errors = [calibration_error(sure[i], right[i], bin_of[i]) for i in drawn]
    bins = [
        {
            "photographs": int((bin_of == number).sum()),
            "confidence": float(sure[bin_of == number].mean()),
            "accuracy": float(right[bin_of == number].mean()),
        }
        for number in np.unique(bin_of)
    ]
    is_rejected = confidence < threshold
    rejected = is_rejected[is_garment]  # none where the least sure answers are equally sure
    members = held_out.members[is_garment]
    per_group = []
    for label, group in zip(held_out.labels, held_out.groups, strict=True):
        of_group = right[(members == group).all(axis=1)]
        recall = defined(float(of_group.mean()) if len(of_group) else np.nan)
        per_group.append({"label": label, "photographs": len(of_group), "recall": recall})
    document: dict[str, Any] = {
        "runs": held_out.runs,
        "photographs": len(right),
        "accuracy": float(right.mean()),
        "accuracy_with_threshold": float((right & ~rejected).mean()),
        "per_group": per_group,
        "garments_rejected": float(rejected.mean()),
        "wrong_among_them": float((rejected & ~right).sum() / max(1, rejected.sum())),
        "calibration_error": calibration_error(sure, right, bin_of),
        "calibration_error_95": [float(edge) for edge in np.quantile(errors, (0.025, 0.975))],
        "bins": bins,
    }
    for name, chosen in (("others", ~is_garment & ~is_empty), ("grounds", is_empty)):
        if chosen.any():
            document[name] = {
                "images": int(chosen.sum()),
                "rejected": float(is_rejected[chosen].mean()),
                "auroc": auroc(confidence[is_garment], confidence[chosen]),
            }
    return document
