"""Draws a new guide box with the mouse."""

from __future__ import annotations

from garmentlite.edge.guide_box import SMALLEST_SIDE, GuideBox
from garmentlite.edge.sinks.display import MouseAction


class BoxDrawing:
    """A guide box that is being drawn: the user drags the mouse, or clicks on two opposite corners.

    All positions are shares of the picture's width and height; those outside of it count as its edge.
    """

    def __init__(self) -> None:
        """Starts without a corner."""
        self._first: tuple[float, float] | None = None
        self._second = (0.0, 0.0)

    @property
    def box(self) -> GuideBox | None:
        """The box as it is now; None before the first corner is there."""
        if self._first is None:
            return None
        (x1, x2), (y1, y2) = (sorted(pair) for pair in zip(self._first, self._second, strict=True))
        return GuideBox(x1, y1, x2 - x1, y2 - y1)

    def mouse(self, action: MouseAction, x: float, y: float) -> GuideBox | None:
        """Follows the mouse.

        Args:
            action: What the left button did.
            x: Position from the left.
            y: Position from the top.

        Returns:
            The box when it is finished; None until then. A box that is too small is not finished: letting
            the button go at the first corner makes it the first of two clicks.
        """
        position = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
        if action is MouseAction.PRESSED and self._first is None:
            self._first = position
        self._second = position
        box = self.box
        if action is not MouseAction.RELEASED or box is None:
            return None
        return box if min(box.width, box.height) >= SMALLEST_SIDE else None
