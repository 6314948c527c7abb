"""The numbers that networks of other programs take for the pixels of an image."""

from __future__ import annotations

from collections.abc import Mapping

# The numbers that stand for the pixels 0 and 255, by the name of the range.
INPUT_RANGES: Mapping[str, tuple[float, float]] = {
    "0..1": (0.0, 1.0),
    "0..255": (0.0, 255.0),
    "-1..1": (-1.0, 1.0),
}
OWN_RANGE = "0..1"

# Ranges that networks compute with; a Rescaling layer at the start leads to one of them.
_USUAL_INSIDE = ((0.0, 1.0), (-1.0, 1.0))
_NEAR = 0.1  # share of the range; scales such as 1/256 or 1/128 are as usual as 1/255


def range_before(scale: float, offset: float) -> str | None:
    """Finds the range from which input * scale + offset leads to a usual range.

    Returns:
        A name in `INPUT_RANGES`; None if none or several fit.
    """
    found = []
    for name, ends in INPUT_RANGES.items():
        low, high = (scale * end + offset for end in ends)
        if any(
            max(abs(low - usual_low), abs(high - usual_high)) <= _NEAR * (usual_high - usual_low)
            for usual_low, usual_high in _USUAL_INSIDE
        ):
            found.append(name)
    return found[0] if len(found) == 1 else None
