"""Computes the answers of a Keras network to images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from garmentlite.train.data import as_input

if TYPE_CHECKING:
    import keras


def predict_logits(model: keras.Model, images_u8: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Computes the logits of images.

    Args:
        model: A network from pixel / 255, shape (N, H, W, 1), to logits.
        images_u8: uint8, shape (N, H, W).
        batch_size: Number of images that are computed at once.

    Returns:
        float32, shape (N, C).
    """
    parts = [
        np.asarray(model.predict_on_batch(as_input(images_u8[start : start + batch_size])))
        for start in range(0, len(images_u8), batch_size)
    ]
    return np.concatenate(parts).astype(np.float32)
