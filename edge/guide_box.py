"""The guide box: the part of the frame in which a garment is expected to be held."""

from __future__ import annotations

import math
from dataclasses import dataclass

from garmentlite.edge.errors import OptionError


@dataclass(frozen=True)
class GuideBox:
    """A rectangle in shares of the frame's width and height.

    Attributes:
        x: Left edge, in [0, 1].
        y: Top edge, in [0, 1].
        width: Share of the frame's width, above 0; `x + width` is at most 1.
        height: Share of the frame's height, above 0; `y + height` is at most 1.
    """

    x: float
    y: float
    width: float
    height: float

    def pixels(self, shape: tuple[int, ...], margin: float = 0.0) -> tuple[slice, slice]:
        """Converts the box to rows and columns of a picture, at least one of each.

        Args:
            shape: Shape of the picture, (H, W) or (H, W, channels).
            margin: How far the box is extended on each side, as a share of its own width and height. It is
                not extended beyond the picture.
        """
        rows = _span(self.y, self.height, margin, shape[0])
        columns = _span(self.x, self.width, margin, shape[1])
        return rows, columns


# People hold a garment up before their chest, which is in the middle of what a camera at eye height sees. If
# both hands are in view, the garment takes half to nine tenths of the frame's height. An adult's T-shirt is
# as wide as it is tall, and 0.6 of the width of a 4:3 frame equals 0.8 of its height.
DEFAULT_BOX = GuideBox(0.2, 0.1, 0.6, 0.8)
SMALLEST_SIDE = 0.05  # share of the frame; a smaller box is refused as a typing mistake
_RULE = (
    f"x and y must be at least 0, x + width and y + height at most 1, and width and height at least "
    f"{SMALLEST_SIDE}"
)


def parse_box(text: str) -> GuideBox:
    """Reads a box from a command-line option such as "0.2,0.1,0.6,0.8".

    Args:
        text: Left edge, top edge, width and height in shares of the frame, separated by commas.

    Raises:
        OptionError: If the text is not such a box, or the box does not lie within the frame.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4 or not all(math.isfinite(value) for value in values):
        raise OptionError(
            f"--box needs four numbers x,y,width,height in shares of the frame, such as 0.2,0.1,0.6,0.8; "
            f"it was '{text}'."
        )
    try:
        return box_within_frame(*values)
    except OptionError as error:
        raise OptionError(f"--box {text} does not lie within the frame: {_RULE}.") from error


def box_within_frame(x: float, y: float, width: float, height: float) -> GuideBox:
    """Makes a guide box of finite numbers.

    Raises:
        OptionError: If it does not lie within the frame, or is too small.
    """
    box = GuideBox(x, y, width, height)
    is_inside = min(x, y) >= 0 and max(x + width, y + height) <= 1 + 1e-9
    if not is_inside or min(width, height) < SMALLEST_SIDE:
        raise OptionError(f"The guide box does not lie within the frame: {_RULE}.")
    return box


def _span(start: float, length: float, margin: float, pixels: int) -> slice:
    """Converts one side of the box, extended by a share of its length, to pixels."""
    first = max(0, math.floor((start - margin * length) * pixels + 1e-6))
    last = min(pixels, math.ceil((start + length + margin * length) * pixels - 1e-6))
    first = min(first, pixels - 1)
    return slice(first, max(first + 1, last))
