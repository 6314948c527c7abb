"""Finds the temperature and the "unknown" threshold of a network that is to be converted.

They are fitted on photographs that were held out of its training, or taken from its card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from garmentlite.convert.network import load_network
from garmentlite.convert.source import Source
from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import DataError
from garmentlite.train import runs
from garmentlite.train.confidence import FEWEST, Confidence, fit, read_held_out

_NEVER_UNKNOWN = "so the files never answer 'unknown'"


def find_confidence(
    source: Source, held_out: Sequence[Path] = (), say: Say = say_nothing
) -> Confidence | None:
    """Fits temperature and "unknown" threshold on photographs that were held out of training.

    Args:
        source: The network. Without `held_out`, the photographs that its own run held out are used, or the
            confidence in its card.
        held_out: Folders of runs on other folds of the same photographs, whose held-out photographs are used
            in place of the run's own.
        say: Called with a sentence about what was found, and if no threshold is known.

    Returns:
        None if no threshold is known.

    Raises:
        DataError: If the photographs that were named are missing, too few, or of other classes.
    """
    for folder in held_out:
        classes = runs.labels_of(runs.read_json(folder, runs.CONFIG))
        if source.labels and classes != source.labels:
            raise DataError(
                f"--held-out {folder} knows other classes ({', '.join(classes)}) than {source.path}; "
                "name runs on other folds of its photographs."
            )
    folders = list(held_out) or _own_held_out(source)
    if not folders:
        if source.confidence:
            return source.confidence
        say(
            f"No 'unknown' threshold is known for {source.name}, {_NEVER_UNKNOWN}; --held-out RUN fits one "
            "on the photographs that a run held out."
        )
        return None
    if not held_out and not (folders[0] / runs.PHOTOS).is_file():
        # The photographs of a rebalanced run are in the folder of the run that it was made from.
        say(
            f"{folders[0]} has no {runs.PHOTOS}, {_NEVER_UNKNOWN}; --held-out names the run that has it."
        )
        return None
    found = read_held_out(
        folders,
        lambda path, images_u8: load_network(path).predict(images_u8),
        views=source.views,
    )
    count = int(found.is_garment.sum())
    if not held_out and count < FEWEST:
        say(
            f"{count} photographs were held out, fewer than {FEWEST}: too few to fit an 'unknown' threshold, "
            f"{_NEVER_UNKNOWN}."
        )
        return None
    fitted = fit(found)
    say(fitted.in_words())
    return fitted


def _own_held_out(source: Source) -> list[Path]:
    """Returns the folder of the source's run, if photographs were held out of its training."""
    photos = source.training.get("photos", {})
    if source.run and photos and photos.get("fold") is not None:
        return [source.run]
    return []
