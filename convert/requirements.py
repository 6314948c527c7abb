"""Refuses networks that cannot be converted, with a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.convert.material import Material
from garmentlite.edge.errors import ModelError

if TYPE_CHECKING:
    import keras

_MOST_NAMED = 5  # classes that a sentence names


def require_no_loop(model: keras.Model) -> None:
    """Refuses the loop of a recurrent layer, which makes TensorFlow 2.21 end the process."""
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            raise ModelError(
                f"the layer '{layer.name}' is a {type(layer).__name__}, and no quantization ranges can be "
                "found in its loop; build it with unroll=True, or choose --float16 or --float32"
            )


def require_fit(path: Path, model: keras.Model, images: Material) -> None:
    """Refuses a network that does not fit the images.

    Args:
        path: The network's file, for the message.
        model: The network, from (N, H, W, 1) to logits (N, C).
        images: The images of the conversion.

    Raises:
        ModelError: If their sizes differ, or the number of outputs is not that of the classes.
    """
    (height, width), outputs = model.input_shape[1:3], model.output_shape[1]
    if (height, width) != images.image_size:
        there = " x ".join(map(str, images.image_size))
        raise ModelError(
            f"{path} takes images of {height} x {width}, but those of {images.name} have {there}; give "
            "--calibration FOLDER with grey pictures of the network's size."
        )
    if outputs != len(images.labels):
        raise ModelError(
            f"{path} has {outputs} outputs, but {len(images.labels)} classes are known "
            f"({', '.join(images.labels[:_MOST_NAMED])}, ...); give --labels FILE with the label of each "
            "output on a line, and pictures of these classes with --calibration FOLDER."
        )


def require_logits(path: Path, outputs: np.ndarray) -> None:
    """Refuses outputs that are probabilities: the files hold logits, and the device applies softmax."""
    # Rows of logits do not all sum to 1 with none below 0; those of a float32 softmax do to within 1e-5.
    if outputs.min() >= 0 and np.abs(outputs.sum(axis=1) - 1).max() < 1e-5:
        raise ModelError(
            f"{path} ends in a softmax, but softmax is applied where the model is used; save the network "
            "without its last activation, keras.Model(inputs, logits)."
        )
