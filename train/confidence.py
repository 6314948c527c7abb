"""Calibrates the confidence on photographs: fits the temperature and the threshold of the answer "unknown".

Both are fitted on photographs that the network was not trained on. For a network that was trained on all
photographs, the networks of the folds are used: each answers for the photographs that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from garmentlite.edge import recognition
from garmentlite.edge.errors import DataError
from garmentlite.edge.metrics import calibration_error, confidence_bins, defined
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.recognition import averaged_if_unsure, mean_over_views
from garmentlite.train import runs
from garmentlite.train.photo_figures import group_cross_entropy
from garmentlite.train.stored_photos import read_photos
from garmentlite.train.temperature import temperature_of_least_loss

# Share of the photographs of garments that are answered with "unknown"; the answer to about 70% of them would
# have been wrong.
FALSE_REJECTIONS = 0.01

SUREST_REJECTED = 0.98  # an answer of this confidence is never "unknown"
FEWEST = 50  # photographs; with fewer, neither a quantile nor a temperature means anything
# What an image is made from: a photograph of the collection, a piece of the background around its garment, or
# a picture of a room; the last two only if a garment is found by mistake.
PHOTOGRAPH, GROUND, ROOM = "photograph", "ground", "room"
BINS = 10  # bins of equal width in the calibration table
_RESAMPLINGS = 1000  # for the interval, by the percentile bootstrap (Efron 1979)
_SEED = 1979

# Computes float32 logits (N, C) from the file of a network and uint8 images (N, H, W).
Predict = Callable[[Path, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class HeldOut:
    """The answers of networks to photographs that they were not trained on, for all folds together.

    Attributes:
        logits: float32, shape (2, V, N, C): the logits of V views (see `edge.recognition.views`) of every
            photograph, first as the first mask of the segmenter gives it, then by its second mask.
            Without a second mask they are the same; where it finds no garment, they are all 0.
        members: The right classes of each photograph, bool, shape (N, C); all False if it shows none.
        accepted: The classes that a careful person accepts for each photograph, bool, shape (N, C).
        groups: The classes that each group stands for, bool, shape (G, C).
        labels: Names of the groups.
        kinds: What each image is made from, `PHOTOGRAPH`, `GROUND` or `ROOM`, shape (N,).
        runs: Number of networks.
    """

    logits: np.ndarray
    members: np.ndarray
    accepted: np.ndarray
    groups: np.ndarray
    labels: tuple[str, ...]
    kinds: np.ndarray
    runs: int

    @property
    def is_garment(self) -> np.ndarray:
        """Whether it shows a garment of the classes: bool, shape (N,)."""
        return np.any(self.members, axis=1)

    def probabilities(self, temperature: float) -> np.ndarray:
        """Computes the same probabilities as the device: float32, shape (N, C)."""
        first, second = (mean_over_views(softmax(one, temperature)) for one in self.logits)
        return averaged_if_unsure(first, second)


@dataclass(frozen=True)
class Confidence:
    """Temperature and threshold, which are written into a model file, and the figures they give.

    Attributes:
        temperature: The logits are divided by it before softmax.
        unknown_threshold: Confidence below which the answer is "unknown".
        measured: Figures on the photographs that they were fitted on, as JSON can hold them.
    """

    temperature: float
    unknown_threshold: float
    measured: dict[str, Any]

    def in_words(self) -> str:
        """Says what was chosen, and what it costs."""
        found = self.measured
        return (
            f"Fitted on {found['photographs']:,} held-out photographs: temperature {self.temperature:g}, and "
            f"an answer below {self.unknown_threshold:.0%} is 'unknown'. This rejects "
            f"{found['garments_rejected']:.1%} of the garments, {found['wrong_among_them']:.0%} of which "
            f"would have been named wrongly; calibration error {found['calibration_error']:.3f}."
        )


def read_held_out(folders: Sequence[Path], predict: Predict, views: Sequence[str]) -> HeldOut:
    """Asks the network of every run about the photographs that it was not trained on.

    Args:
        folders: Folders of finished runs on photographs, at least one; each holds out other photographs.
        predict: Computes the logits of a `.keras` file.
        views: The views of an image that the device will ask the network about.

    Raises:
        DataError: If a run has no photographs, two runs hold out the same ones, or their labels differ.
    """
    seen: set[str] = set()
    logits, members, accepted, kinds = [], [], [], []
    groups: np.ndarray | None = None
    for folder in folders:
        stored = read_photos(folder)
        held, tiles = stored.is_held_out, stored.tiles
        names = {name for name, is_held in zip(stored.files, held, strict=True) if is_held}
        if names & seen:
            raise DataError(
                f"{folder} holds out photographs that another run holds out too, such as "
                f"{min(names & seen)}; name runs of different folds of one collection."
            )
        seen |= names
        if groups is not None and not np.array_equal(groups, stored.members):
            raise DataError(
                f"The photographs of {folder} are labelled otherwise than those of {folders[0]}; name runs "
                "of different folds of one collection."
            )
        y, groups = stored.y, stored.members
        shown, rooms = held & tiles.found, stored.rooms
        # Pieces of background are judged once, without a second mask.
        grounds = tiles.grounds_taken_for_garments(held)
        out = rooms.is_held_out
        images = np.concatenate([tiles.tiles_u8[shown, 0], grounds, rooms.tiles_u8[out]])
        second = np.concatenate([tiles.second_u8[shown], grounds, rooms.second_u8[out]])
        second_found = np.concatenate(
            [tiles.second_found[shown], np.ones(len(grounds), bool), rooms.second_found[out]]
        )
        ways = [way for each in (images, second) for way in recognition.views(each, views)]
        shape = (2, len(ways) // 2, len(images), groups.shape[1])
        if len(images):  # in one call, since the network is read and compiled for each
            answers = predict(runs.model_file(folder), np.concatenate(ways)).reshape(shape)
            answers[1, :, ~second_found] = 0
            logits.append(answers)
        else:
            logits.append(np.zeros(shape, np.float32))
        of_class = np.where(y[shown, np.newaxis] >= 0, groups[y[shown]], False)
        nothing = np.zeros((len(images) - len(of_class), groups.shape[1]), bool)
        members.append(np.concatenate([of_class, nothing]))
        accepted.append(np.concatenate([stored.accepted[shown], nothing]))
        kinds.append(np.repeat([PHOTOGRAPH, GROUND, ROOM], [shown.sum(), len(grounds), out.sum()]))
    assert groups is not None  # there is a folder
    return HeldOut(
        np.concatenate(logits, axis=2),
        np.concatenate(members),
        np.concatenate(accepted),
        groups,
        stored.groups,
        np.concatenate(kinds),
        len(folders),
    )


def fit(held_out: HeldOut) -> Confidence:
    """Chooses temperature and threshold, and measures their effect.

    Args:
        held_out: At least `FEWEST` photographs of garments.

    Raises:
        DataError: If they are fewer.
    """
    is_garment = held_out.is_garment
    if is_garment.sum() < FEWEST:
        raise DataError(
            f"{int(is_garment.sum())} photographs of garments were held out, at least {FEWEST} are needed "
            "to calibrate the confidence; name runs on more folds."
        )
    garments = replace(
        held_out,
        logits=held_out.logits[:, :, is_garment],
        members=held_out.members[is_garment],
        accepted=held_out.accepted[is_garment],
        kinds=held_out.kinds[is_garment],
    )

    def loss(temperature: float) -> float:
        log_probabilities = np.log(garments.probabilities(temperature) + 1e-12)
        return float(group_cross_entropy(log_probabilities, garments.members).mean())

    temperature = temperature_of_least_loss(loss)
    probabilities = held_out.probabilities(temperature)
    confidence = probabilities.max(axis=1)
    threshold = float(np.quantile(confidence[is_garment], FALSE_REJECTIONS))
    # If all photographs are easy, all answers are equally confident but for roundings, which differ in the
    # int8 file.
    threshold = min(threshold, SUREST_REJECTED)
    measured = _measured(held_out, probabilities, confidence, threshold)
    return Confidence(temperature, threshold, measured)


def calibration(
    probabilities: np.ndarray, members: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the confidence of each answer and whether it was right, where a label may be a group.

    If a group holds the class that was answered, only the group is known to be right or wrong; the confidence
    is then that in the group.

    Args:
        probabilities: Shape (N, C).
        members: The right classes of each photograph, bool, shape (N, C).
        groups: The classes that each group stands for, bool, shape (G, C).

    Returns:
        The confidence, float, shape (N,), and whether the answer was right, bool, shape (N,).
    """
    answer = probabilities.argmax(axis=1)
    together = np.eye(len(groups[0]), dtype=bool)
    for group in groups:
        together |= np.outer(group, group)
    rows = np.arange(len(answer))
    return (probabilities * together[answer]).sum(axis=1), members[rows, answer]


def auroc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Computes the probability that one of `higher` exceeds one of `lower`; ties count half, NaN without."""
    if not len(higher) or not len(lower):
        return float("nan")
    ordered = np.sort(lower)
    below, up_to = (np.searchsorted(ordered, higher, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(lower)))


def _measured(
    held_out: HeldOut, probabilities: np.ndarray, confidence: np.ndarray, threshold: float
) -> dict[str, Any]:
    is_garment, kinds = held_out.is_garment, held_out.kinds
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
    rejected = is_rejected[is_garment]  # may be none, if the least confident answers are equal
    members, answer = held_out.members[is_garment], probabilities[is_garment].argmax(axis=1)
    accepted = held_out.accepted[is_garment][np.arange(len(answer)), answer]
    per_group = []
    for label, group in zip(held_out.labels, held_out.groups, strict=True):
        of_group = (members == group).all(axis=1)
        row: dict[str, Any] = {"label": label, "photographs": int(of_group.sum())}
        for name, shares in (("recall", right), ("accepted", accepted)):
            row[name] = defined(float(shares[of_group].mean()) if of_group.any() else np.nan)
        row["answers"] = np.bincount(answer[of_group], minlength=group.size).tolist()
        per_group.append(row)
    recalls = [row["recall"] for row in per_group if row["recall"] is not None]
    document: dict[str, Any] = {
        "runs": held_out.runs,
        "photographs": len(right),
        "accuracy": float(right.mean()),
        "accuracy_with_threshold": float((right & ~rejected).mean()),
        "accepted": float(accepted.mean()),
        "accepted_with_threshold": float((accepted & ~rejected).mean()),
        "macro_recall": float(np.mean(recalls)),
        "per_group": per_group,
        "garments_rejected": float(rejected.mean()),
        "wrong_among_them": float((rejected & ~right).sum() / max(1, rejected.sum())),
        "calibration_error": calibration_error(sure, right, bin_of),
        "calibration_error_95": [float(edge) for edge in np.quantile(errors, (0.025, 0.975))],
        "bins": bins,
    }
    sets = {
        "others": ~is_garment & (kinds == PHOTOGRAPH),
        "grounds": kinds == GROUND,
        "rooms": kinds == ROOM,
    }
    for name, chosen in sets.items():
        if chosen.any():
            document[name] = {
                "images": int(chosen.sum()),
                "rejected": float(is_rejected[chosen].mean()),
                "auroc": auroc(confidence[is_garment], confidence[chosen]),
            }
    return document
