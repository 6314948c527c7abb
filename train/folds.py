"""Splits photographs into folds, so that a part of them can be held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from garmentlite.train.data import SPLIT_SEED

FEWEST_TO_VALIDATE = 5  # photographs of a label: with five folds, one of them is held out


def assign_folds(
    y: np.ndarray,
    contributors: Sequence[str],
    checksums: Sequence[str],
    count: int,
) -> np.ndarray:
    """Splits photographs into folds: related ones stay together, and every label is spread evenly.

    The photographs of one contributor stay together, and so do files with the same bytes. The split is
    the same for every run, so that runs with different seeds are compared on the same photographs.

    Args:
        y: Label of each photograph, shape (N,); any integers.
        contributors: Who took each photograph; empty if it is not known.
        checksums: Checksum of each file.
        count: Number of folds, at least 2.

    Returns:
        Fold of each photograph, int64, shape (N,), in [0, count); -1 for photographs of unknown
        contributors whose label has fewer than `FEWEST_TO_VALIDATE`: they are always trained on.
    """
    units = _units(contributors, checksums)
    strata = np.unique(y, return_inverse=True)[1]
    shares = np.zeros((units.max(initial=-1) + 1, strata.max(initial=-1) + 1))
    np.add.at(shares, (units, strata), 1)
    sizes = shares.sum(axis=1)
    shares /= shares.sum(axis=0)
    # The largest units come first, so that small ones can even out the rest; equal sizes are shuffled.
    shuffled = np.random.default_rng(SPLIT_SEED).permutation(len(sizes))
    filled, fold_of_unit = np.zeros((count, shares.shape[1])), np.zeros(len(sizes), np.int64)
    for unit in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        # The fold with the smallest share of these labels: the sum of squares then grows least.
        fullness = filled @ shares[unit]
        fold = min(range(count), key=lambda i: (fullness[i], filled[i].sum()))
        fold_of_unit[unit] = fold
        filled[fold] += shares[unit]
    folds = fold_of_unit[units]
    is_rare = np.bincount(strata)[strata] < FEWEST_TO_VALIDATE
    folds[is_rare & np.array([not one for one in contributors], bool)] = -1
    return folds


def _units(contributors: Sequence[str], checksums: Sequence[str]) -> np.ndarray:
    """Numbers the photographs that stay together with the same number, int64, shape (N,)."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    keys = []
    for contributor, checksum in zip(contributors, checksums, strict=True):
        own = f"contributor {contributor}" if contributor else f"file {checksum}"
        parent[root(f"file {checksum}")] = root(own)
        keys.append(own)
    return np.unique([root(key) for key in keys], return_inverse=True)[1]
