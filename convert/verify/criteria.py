"""The criteria of a parity check: the margin, the error rate, and the classes to judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.convert.verify.statistics import points, smallest_margin, smallest_support
from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import class_id_of

MARGIN = 0.02
ALPHA = 0.05
LEAST_MARGIN = 1e-6  # a smaller loss is less than one image in a million, which no class has
LEAST_ALPHA = 1e-9  # rarer errors are beyond the rounding of the bounds


@dataclass(frozen=True)
class Criteria:
    """The margin to show, the classes to judge, and the error rate.

    Attributes:
        margin: The largest loss of recall that is accepted, in [`LEAST_MARGIN`, 1).
        alpha: The one-sided error rate of each bound, and of all classes called "lost" together, in
            [`LEAST_ALPHA`, 0.5).
        classes: Labels of the classes to judge; None judges all. The figures of the other classes are
            reported but do not decide.
        min_support: Classes with fewer images are not judged; None judges every class, or refuses.
    """

    margin: float = MARGIN
    alpha: float = ALPHA
    classes: tuple[str, ...] | None = None
    min_support: int | None = None

    def __post_init__(self) -> None:
        """Raises OptionError if a number is out of its range."""
        if not LEAST_MARGIN <= self.margin < 1:
            raise OptionError(
                f"The margin must lie between 0 and 1 and be at least {LEAST_MARGIN:g}, got {self.margin}; "
                "0.02 is two points."
            )
        if not LEAST_ALPHA <= self.alpha < 0.5:
            raise OptionError(
                f"Alpha must lie between 0 and 0.5 and be at least {LEAST_ALPHA:g}, got {self.alpha}; "
                "0.05 is usual."
            )
        if self.min_support is not None and self.min_support < 1:
            raise OptionError(
                f"The smallest number of images of a class must be at least 1, got {self.min_support}."
            )

    def reasons_not_judged(self, y_true: np.ndarray, labels: Sequence[str]) -> list[str | None]:
        """Says for each class why it is not judged; None for a class that is judged.

        Args:
            y_true: True class numbers, shape (N,), each in [0, C).
            labels: The C class names.

        Raises:
            OptionError: If a name in `classes` is not a label.
        """
        asked = (
            None if self.classes is None else {class_id_of(name, labels) for name in self.classes}
        )
        supports = np.bincount(y_true, minlength=len(labels)).tolist()
        reasons: list[str | None] = []
        for class_id, support in enumerate(supports):
            if asked is not None and class_id not in asked:
                reasons.append("not asked for")
            elif self.min_support is not None and support < self.min_support:
                reasons.append(f"{support:,} images, fewer than {self.min_support:,}")
            else:
                reasons.append(None)
        return reasons

    def require_resolvable(self, y_true: np.ndarray, labels: Sequence[str]) -> None:
        """Refuses images that could not show the margin even if none of them were lost.

        Args:
            y_true: True class numbers, integer, shape (N,).
            labels: The class names; a class without images cannot be judged either.

        Raises:
            OptionError: If a name in `classes` is not a label.
            DataError: If a class number has no label, no class is left to judge, or a judged class has too
                few images. The message names the class and the number of images it needs.
        """
        if y_true.size and not 0 <= y_true.min() <= y_true.max() < len(labels):
            raise DataError(
                f"The images are labelled {y_true.min()} to {y_true.max()} but the models know "
                f"{len(labels)} classes; verify with the data set the models were made for."
            )
        supports = np.bincount(y_true, minlength=len(labels)).tolist()
        reasons = self.reasons_not_judged(y_true, labels)
        judged = [
            (label, support)
            for label, support, reason in zip(labels, supports, reasons, strict=True)
            if reason is None
        ]
        if not judged:
            raise DataError(
                f"No class can be judged: none has the {self.min_support:,} images that --min-support asks "
                f"for (the largest has {max(supports):,}); give more images or ask for fewer."
            )
        needed = smallest_support(self.margin, self.alpha)
        short = [f"{label} ({support:,})" for label, support in judged if support < needed]
        if not short:
            return
        fewest = min(support for _, support in judged)
        reachable = math.ceil(1000 * smallest_margin(fewest, self.alpha)) / 1000 if fewest else 1.0
        wider = f", or a margin of at least {reachable:g}" if reachable < 1 else ""
        leave_out = (
            f", or leave such classes out with --min-support {needed}"
            if len(short) < len(judged)
            else ""
        )
        raise DataError(
            f"A margin of {points(self.margin)} points cannot be shown for {', '.join(short)} even if no "
            f"image were lost: it takes at least {needed} images of each class ('cli plan' says how many if "
            f"some change); give more images{wider}{leave_out}."
        )
