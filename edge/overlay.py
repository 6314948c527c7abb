"""Draws an answer: marks in the picture, and a panel beside it, so that nothing hides the garment."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.errors import PictureError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.labels import NO_GARMENT
from garmentlite.edge.lettering import fill, write_box
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.panel import (
    OTHER_BAR,
    PAPER,
    SMALLEST_SCALE,
    TEXT,
    PanelSizes,
    colour_of,
    draw_panel,
    timing_texts,
)
from garmentlite.edge.recognition import Recognition

# Pixels; a smaller picture is enlarged by a whole factor, to at most this side, so that it can be seen.
ENLARGED_SIDE = 640
REFERENCE_PIXELS = 640 * 480  # size of the picture for which the panel has scale 1
# A window of this size has a panel of scale 1.
REFERENCE_WINDOW_WH = (800, 480)
# Length of the lines at the corners, as a share of the guide box's shorter side.
CORNER_SHARE = 0.12
INVITATION = "hold it here"
# Pixels; the mask is reduced to about this side to find its outline. Masks come from a network that sees
# 128 pixels, so nothing is lost.
OUTLINE_SIDE = 320
_FRACTION_BITS = 4  # the points of the outline have this many bits behind the point


@dataclass(frozen=True)
class Place:
    """A rectangle of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, picture: np.ndarray) -> np.ndarray:
        """Returns this part of a picture, as a view."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Layout:
    """Where the picture and the panel are drawn.

    Attributes:
        width: Width of the whole drawing in pixels.
        height: Height of the whole drawing in pixels.
        picture: Where the picture is. It has the picture's ratio of width and height.
        panel: Where the panel is.
        sizes: Sizes in the panel.
    """

    width: int
    height: int
    picture: Place
    panel: Place
    sizes: PanelSizes


def layout_around(frame_wh: tuple[int, int]) -> Layout:
    """Places the panel on the right of a picture that keeps its size, or is enlarged if it is small."""
    factor = max(1, ENLARGED_SIDE // max(frame_wh))
    width, height = frame_wh[0] * factor, frame_wh[1] * factor
    scale = max(SMALLEST_SCALE, math.sqrt(width * height / REFERENCE_PIXELS))
    sizes = PanelSizes(scale)
    whole_height = max(height, sizes.column_height)
    return Layout(
        width + sizes.width,
        whole_height,
        Place(0, (whole_height - height) // 2, width, height),
        Place(width, 0, sizes.width, whole_height),
        sizes,
    )


def layout_within(window_wh: tuple[int, int], frame_wh: tuple[int, int]) -> Layout:
    """Places the picture and the panel in a window: on the right or below, where the picture is larger.

    A picture is reduced to fit. It is enlarged by a whole factor, or by less than 2.
    """
    width, height = window_wh
    scale = min(width / REFERENCE_WINDOW_WH[0], height / REFERENCE_WINDOW_WH[1])
    sizes = PanelSizes(max(SMALLEST_SCALE, scale))
    beside = Place(0, 0, max(1, width - sizes.width), height)
    above = Place(0, 0, width, max(1, height - sizes.strip_height))
    picture_beside, picture_above = _fitted_in(beside, frame_wh), _fitted_in(above, frame_wh)
    if picture_beside.width >= picture_above.width:
        panel = Place(beside.width, 0, width - beside.width, height)
        return Layout(width, height, picture_beside, panel, sizes)
    panel = Place(0, above.height, width, height - above.height)
    return Layout(width, height, picture_above, panel, sizes)


def annotate(
    frame_bgr: np.ndarray,
    recognition: Recognition,
    *,
    frames_per_second: float = 0.0,
    guide_box: GuideBox | None = None,
    layout: Layout | None = None,
) -> np.ndarray:
    """Draws a frame with the outline of the garment, and a panel with the answer beside it.

    Args:
        frame_bgr: uint8, shape (H, W, 3), in OpenCV's order of channels. It is not changed.
        recognition: The answer to this frame.
        frames_per_second: Rate of the stream to show beside the times; 0 shows none.
        guide_box: Where a garment should be held. Its corners are drawn, and `INVITATION` while no garment
            is seen. None draws neither.
        layout: Where the frame and the panel are drawn; None for `layout_around`, which keeps the size of
            the frame and enlarges one below 320 pixels by a whole factor.

    Returns:
        A new picture, uint8, shape (layout.height, layout.width, 3), BGR.

    Raises:
        PictureError: If the frame is not such an array, or has another size than the picture of the answer.
        MissingPartError: If OpenCV is not installed.
    """
    _require_fitting(frame_bgr, recognition)
    if layout is None:
        layout = layout_around((frame_bgr.shape[1], frame_bgr.shape[0]))
    drawn = draw_frame(frame_bgr, layout)
    picture = layout.picture.of(drawn)
    line = layout.sizes.line
    if recognition.mask is not None and recognition.image_u8 is not None:
        _draw_outline(picture, recognition.mask, line, colour_of(recognition.label))
    if guide_box is not None:
        draw_guide_box(picture, guide_box, layout.sizes, invites=recognition.label == NO_GARMENT)
    timing = timing_texts(recognition.latency_ms, frames_per_second)
    draw_panel(layout.panel.of(drawn), layout.sizes, recognition, timing)
    return drawn


def outlined(frame_bgr: np.ndarray, recognition: Recognition) -> np.ndarray:
    """Draws the outline of the garment alone; returns a new frame of the same size.

    Args:
        frame_bgr: uint8, shape (H, W, 3), BGR. It is not changed.
        recognition: The answer to this frame.
    """
    drawn = frame_bgr.copy()
    if recognition.mask is not None and recognition.image_u8 is not None:
        line = layout_around((frame_bgr.shape[1], frame_bgr.shape[0])).sizes.line
        _draw_outline(drawn, recognition.mask, line, colour_of(recognition.label))
    return drawn


def draw_frame(frame_bgr: np.ndarray, layout: Layout) -> np.ndarray:
    """Draws a frame alone, with dark bars where it does not fill its part of the layout.

    Args:
        frame_bgr: uint8, shape (H, W, 3). It is not changed.
        layout: Says where the frame and the panel are drawn.

    Returns:
        A new picture, uint8, shape (layout.height, layout.width, 3).
    """
    cv2 = load_opencv()
    place = layout.picture
    drawn = np.empty((layout.height, layout.width, 3), np.uint8)
    fill(drawn, PAPER)
    part = place.of(drawn)
    height, width = frame_bgr.shape[:2]
    if (place.width, place.height) == (width, height):
        part[:] = frame_bgr
        return drawn
    is_whole = place.width % width == 0 and place.height % height == 0
    # INTER_AREA would be finer where the frame is reduced, but takes seven times as long.
    interpolation = cv2.INTER_NEAREST if is_whole else cv2.INTER_LINEAR
    part[:] = cv2.resize(frame_bgr, (place.width, place.height), interpolation=interpolation)
    return drawn


def draw_guide_box(
    picture_bgr: np.ndarray, box: GuideBox, sizes: PanelSizes, *, invites: bool
) -> None:
    """Draws the corners of the guide box into a picture and, if `invites`, `INVITATION` in it."""
    cv2 = load_opencv()
    rows, columns = box.pixels(picture_bgr.shape)
    left, right = columns.start, columns.stop - 1
    top, bottom = rows.start, rows.stop - 1
    arm = max(4, round(CORNER_SHARE * min(right - left, bottom - top)))
    corners = [
        np.array([(x + across, y), (x, y), (x, y + down)], np.int32)
        for x, across in ((left, arm), (right, -arm))
        for y, down in ((top, arm), (bottom, -arm))
    ]
    cv2.polylines(picture_bgr, corners, False, PAPER, sizes.line + 2)
    cv2.polylines(picture_bgr, corners, False, TEXT if invites else OTHER_BAR, sizes.line)
    if invites:
        middle = (left + right) // 2, bottom - 2 * sizes.text
        write_box(picture_bgr, [INVITATION], middle, sizes.text, TEXT, PAPER)


def _require_fitting(frame_bgr: np.ndarray, recognition: Recognition) -> None:
    if not isinstance(frame_bgr, np.ndarray):
        raise TypeError(f"frame_bgr must be a NumPy array, got {type(frame_bgr).__name__}")
    if frame_bgr.dtype != np.uint8 or frame_bgr.ndim != 3 or frame_bgr.shape[2] != 3:
        raise PictureError(
            f"A frame must be uint8 of shape (height, width, 3) in BGR, got {frame_bgr.dtype} of shape "
            f"{frame_bgr.shape}; read the picture with cv2.imread, or convert it with cv2.cvtColor."
        )
    if recognition.mask is not None and recognition.mask.shape != frame_bgr.shape[:2]:
        raise PictureError(
            f"The answer is for a picture of shape {recognition.mask.shape}, but the frame has shape "
            f"{frame_bgr.shape[:2]}; recognize this frame itself, since pictures from files are reduced."
        )


def _fitted_in(area: Place, frame_wh: tuple[int, int]) -> Place:
    """Places a picture in the middle of an area, as large as possible without stretching it."""
    width, height = frame_wh
    factor = min(area.width / width, area.height / height)
    if factor >= 2:
        factor = math.floor(factor)
    width = min(area.width, max(1, round(width * factor)))
    height = min(area.height, max(1, round(height * factor)))
    left = area.left + (area.width - width) // 2
    return Place(left, area.top + (area.height - height) // 2, width, height)


def _draw_outline(
    picture_bgr: np.ndarray, mask: np.ndarray, thickness: int, colour: tuple[int, int, int]
) -> None:
    """Draws the outline of a mask, bool (h, w), over a picture of any size: a bright line on a dark one."""
    cv2 = load_opencv()
    step = max(1, max(mask.shape) // OUTLINE_SIDE)
    small = np.ascontiguousarray(mask[::step, ::step]).view(np.uint8)
    contours, _ = cv2.findContours(small, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    # The middle of a pixel of the small mask, in pixels of the picture.
    scale = np.array(picture_bgr.shape[1::-1]) / mask.shape[::-1] * step
    points = [
        np.round(((contour + 0.5) * scale - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)
        for contour in contours
    ]
    for width, line_colour in ((thickness + 2, PAPER), (thickness, colour)):
        cv2.polylines(picture_bgr, points, True, line_colour, width, cv2.LINE_AA, _FRACTION_BITS)
