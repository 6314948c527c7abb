"""Loads a network of any kind that can be converted, and adapts it to one grey image and logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.edge.errors import OptionError
from garmentlite.edge.model_input import InputRange
from garmentlite.train.keras_file import read_network
from garmentlite.train.prediction import predict_logits

if TYPE_CHECKING:
    import keras

    from garmentlite.convert.adaptation import Adapted

_WAY_OUT = (
    "save it again with model.save('network.keras'), or as a folder with "
    "tf.saved_model.save(model, 'folder')"
)


@dataclass(frozen=True)
class Network:
    """A network that was loaded and adapted.

    Attributes:
        path: Its file or folder.
        original: The network as it is in the file.
        adapted: What is converted.
    """

    path: Path
    original: keras.Model
    adapted: Adapted

    @property
    def model(self) -> keras.Model:
        """The network that is converted, from float32 (N, H, W, 1) of pixel / 255 to logits (N, C)."""
        return self.adapted.model

    def predict(self, images_u8: np.ndarray) -> np.ndarray:
        """Computes the float32 logits, shape (N, C), of uint8 images (N, H, W)."""
        return predict_logits(self.model, images_u8)

    def with_input_range(self, input_range: InputRange) -> Network:
        """Adapts the same network for other numbers that stand for its pixels."""
        from garmentlite.convert.adaptation import adapt

        return Network(self.path, self.original, adapt(self.original, self.path, input_range))


def load_network(path: Path, input_range: InputRange | None = None) -> Network:
    """Reads a network, without running code in its file, and adapts it.

    Args:
        path: A `.keras` or `.h5` file of Keras 2 or 3, or the folder of a SavedModel.
        input_range: The numbers that stand for its pixels; None to find them in the network.

    Raises:
        ModelError: If it cannot be read, or does not go from one image to the logits of classes.
        OptionError: If Keras runs on another backend than TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise OptionError(
            f"Converting needs Keras on TensorFlow, but KERAS_BACKEND is "
            f"'{keras.backend.backend()}'; unset it (the .keras file fits every backend)."
        )
    from garmentlite.convert.adaptation import adapt
    from garmentlite.convert.saved_model import read_saved_model

    original = read_saved_model(path) if path.is_dir() else read_network(path, _WAY_OUT)
    return Network(path, original, adapt(original, path, input_range))
