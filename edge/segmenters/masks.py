"""The size at which pictures are segmented, the way back to their own size, and the cleaning of masks."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import halved

# Longest side in pixels while segmenting. Networks name garments that were cut out at 160 no better.
WORKING_SIDE = 128
_KEPT_COMPONENT = 0.15  # share of the largest component's area: keeps a second shoe, drops a crumb
_FILLED_HOLE = 0.0015  # share of the picture's area: fills a button, keeps the gap below an arm


def reduced(rgb: np.ndarray, side: int = WORKING_SIDE) -> np.ndarray:
    """Reduces a picture so that its longest side has at most `side` pixels; a smaller one is returned as is.

    Args:
        rgb: uint8, shape (H, W, 3).
        side: Pixels.

    Returns:
        uint8, shape (h, w, 3), the same on every machine.
    """
    cv2 = load_opencv()
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    rgb = halved(rgb, side)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size_wh, interpolation=cv2.INTER_LINEAR_EXACT)


def levels_of(mask: np.ndarray) -> np.ndarray:
    """Turns a mask into levels: uint8 of the same shape, 255 on the garment and 0 elsewhere."""
    levels: np.ndarray = mask.view(np.uint8) * np.uint8(255)
    return levels


def enlarged(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Brings the mask of a reduced picture to the size of the picture.

    Args:
        mask: bool, shape (h, w).
        shape: Shape of the picture, (H, W) or (H, W, channels).

    Returns:
        bool, shape (H, W).
    """
    cv2 = load_opencv()
    size_wh = (shape[1], shape[0])
    return cv2.resize(levels_of(mask), size_wh, interpolation=cv2.INTER_LINEAR_EXACT) >= 128


def cleaned(mask: np.ndarray) -> np.ndarray:
    """Removes crumbs and threads from a mask and fills its small holes.

    Args:
        mask: bool, shape (H, W). It is not changed.

    Returns:
        bool, shape (H, W).
    """
    cv2 = load_opencv()
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    kept = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, disk).view(bool)
    numbers, areas = components(kept, connectivity=8)
    if len(areas) > 1:
        is_kept = np.append(False, areas >= _KEPT_COMPONENT * areas.max())
        kept = is_kept.take(numbers)
    numbers, areas = components(~kept, connectivity=4)
    is_hole = np.append(False, areas < _FILLED_HOLE * mask.size)
    return kept | is_hole.take(numbers) if is_hole.any() else kept


def components(mask: np.ndarray, *, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the connected components of a mask.

    Args:
        mask: bool, shape (H, W).
        connectivity: 4 or 8 neighbours of a pixel.

    Returns:
        The number of its component for each pixel, from 1 and 0 outside the mask: int32, shape (H, W); and
        the areas of the components in pixels, shape (count,).
    """
    count, numbers = load_opencv().connectedComponents(
        mask.view(np.uint8), connectivity=connectivity
    )
    if count <= 2:  # counting pixels by component takes longer than finding one component
        return numbers, np.full(count - 1, np.count_nonzero(mask))
    return numbers, np.bincount(numbers.ravel(), minlength=count)[1:]
