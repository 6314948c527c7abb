"""Reads what a user changes on the page."""

from __future__ import annotations

from typing import Any

from garmentlite.edge.documents import DocumentError, parse
from garmentlite.edge.guide_box import box_within_frame

LARGEST = 4 << 10  # bytes


def changes_of(body: bytes) -> dict[str, Any]:
    """Reads the settings to be changed from a JSON object.

    Args:
        body: An object with any of `box` ([x, y, width, height] in shares of the frame), `mirrored` and
            `paused` (true or false).

    Returns:
        The arguments for `Controls.change`.

    Raises:
        DocumentError: If it is not such an object.
        OptionError: If the box does not lie within the frame.
    """
    fields = parse(body, LARGEST).fields
    unknown = sorted(fields.keys() - {"box", "mirrored", "paused"})
    if unknown:
        raise DocumentError(
            f"there is no control '{unknown[0]:.40}'; there are box, mirrored and paused"
        )
    changes: dict[str, Any] = {}
    for name in ("mirrored", "paused"):
        if name in fields:
            if not isinstance(fields[name], bool):
                raise DocumentError(f"{name} must be true or false")
            changes[f"is_{name}"] = fields[name]
    if "box" in fields:
        box = fields["box"]
        is_box = isinstance(box, list) and len(box) == 4
        if not is_box or not all(type(one) in (int, float) for one in box):
            raise DocumentError(
                "box must be four numbers [x, y, width, height] in shares of the frame"
            )
        changes["box"] = box_within_frame(*map(float, box))
    return changes
