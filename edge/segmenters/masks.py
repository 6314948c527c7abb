"""The size at which pictures are segmented, the way back to their own size, and the cleaning of masks."""

from __future__ import annotations

import numpy as np

from garmentlite.edge.opencv import load_opencv

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
        uint8, shape (h, w, 3).
    """
    cv2 = load_opencv()
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA)


def enlarged(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Brings the mask of a reduced picture to the size of the picture.

    Args:
        mask: bool, shape (h, w).
        shape: Shape of the picture, (H, W) or (H, W, channels).

    Returns:
        bool, shape (H, W).
    """
    cv2 = load_opencv()
    levels = mask.astype(np.uint8) * 255
    size_wh = (shape[1], shape[0])
    return cv2.resize(levels, size_wh, interpolation=cv2.INTER_LINEAR_EXACT) >= 128


def cleaned(mask: np.ndarray) -> np.ndarray:
    """Removes crumbs and threads from a mask and fills its small holes.

    Args:
        mask: bool, shape (H, W). It is not changed.

    Returns:
        bool, shape (H, W).
    """
    cv2 = load_opencv()
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    is_kept = areas >= _KEPT_COMPONENT * areas[1:].max(initial=0)
    is_kept[0] = False  # component 0 is the background
    kept = is_kept.take(numbers)
    ground = (~kept).astype(np.uint8)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(ground, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < _FILLED_HOLE * mask.size
    return kept | small.take(numbers)
