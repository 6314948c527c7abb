"""Saves drawn pictures of garments and a table of their labels in a folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.files import refuse_to_overwrite, replacing, write_text
from garmentlite.edge.labels import FASHION_MNIST_LABELS, label_key

TABLE = "labels.csv"


def draw_folder(folder: Path, per_class: int, seed: int, *, force: bool = False) -> int:
    """Draws pictures of all ten classes and saves them with their labels.

    Args:
        folder: It is made if it does not exist.
        per_class: Number of pictures of each class.
        seed: The same seed draws the same pictures.
        force: Whether the pictures of an earlier call are replaced.

    Returns:
        The number of pictures.

    Raises:
        OutputError: If the folder has a table already and `force` is False, or a file cannot be written.
    """
    from PIL import Image

    refuse_to_overwrite(folder / TABLE, force)
    rng = np.random.default_rng(seed)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "label"])
    for number in range(per_class):
        for label in FASHION_MNIST_LABELS:
            name = f"{label_key(label)}-{number}.png"
            with replacing(folder / name) as temporary:
                Image.fromarray(draw_scene(label, rng).rgb).save(temporary)
            writer.writerow([name, label])
    write_text(folder / TABLE, table.getvalue())
    return per_class * len(FASHION_MNIST_LABELS)
