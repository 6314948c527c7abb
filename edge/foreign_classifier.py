"""Finds out how to use an image classifier that another program made: what it takes and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from garmentlite.edge.contents import Contents
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError
from garmentlite.edge.first_layers import range_of_first_layers
from garmentlite.edge.model_input import (
    CONTRACT,
    InputRange,
    KnownBy,
    stated_range,
)
from garmentlite.edge.model_labels import ModelLabels, labels_in
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.range_probe import probe_range
from garmentlite.edge.tflite_metadata import read_tflite_metadata

# Operators that pass scores on in another type or shape.
_SAME_SCORES = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE"})
# The last operators of a softmax that a converter wrote out in single steps.
_LAST_OF_A_SOFTMAX = frozenset({"DIV", "MUL"})

# Computes outputs as real numbers, shape (N, C), for uint8 images, (N, H, W, channels), in a range.
Run = Callable[[InputRange, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Usage:
    """How an image classifier is used.

    Attributes:
        input_range: The numbers that stand for the pixels; None if they cannot be found out.
        known_by: How the range is known.
        gives_probabilities: Whether the model ends in a softmax.
    """

    input_range: InputRange | None
    known_by: KnownBy
    gives_probabilities: bool


def find_out_usage(
    file: bytes,
    shape: tuple[int, int, int],
    tensor: Quantization,
    chosen: InputRange | None,
    run: Run,
) -> Usage:
    """Finds out how an image classifier is used.

    Args:
        file: The bytes of the whole file, which passed the checks of `edge.foreign_model`.
        shape: Height, width and channels of its image.
        tensor: Type, scale and zero point of its input.
        chosen: The range that the user chose; None to find it out.
        run: Runs the model.

    Raises:
        ModelError: If the file does not give one answer for an image. The message is a part of a sentence.
    """
    contents = read_contents(file)
    gives_probabilities = _gives_probabilities(contents, shape, run)
    if chosen:
        return Usage(chosen, "option", gives_probabilities)
    stated = _stated_by_integers(contents, tensor)
    if stated:
        return Usage(stated, "quantization", gives_probabilities)
    recorded = read_tflite_metadata(file).input_range
    if recorded and len(recorded.mean) in (1, shape[2]):
        return Usage(recorded, "metadata", gives_probabilities)
    if tensor.dtype in (np.int8, np.uint8):
        return Usage(None, "quantization", gives_probabilities)
    seen = range_of_first_layers(file)
    if seen:
        return Usage(seen, "first layers", gives_probabilities)

    def answer(input_range: InputRange, images_u8: np.ndarray) -> np.ndarray:
        outputs = run(input_range, images_u8)
        return outputs if gives_probabilities else softmax(outputs)

    return Usage(probe_range(answer, shape), "drawn pictures", gives_probabilities)


def labels_of_file(file: bytes) -> ModelLabels | None:
    """Finds the class names that another program put into a model file; None if there are none.

    Raises:
        ModelError: If they cannot be read. The message is a part of a sentence.
    """
    return labels_in(file, read_tflite_metadata(file).label_file)


def _gives_probabilities(contents: Contents, shape: tuple[int, int, int], run: Run) -> bool:
    """Whether the model ends in a softmax; its last operators tell."""
    tensor, name = contents.outputs[0], ""
    for step in reversed(contents.steps):
        if any(output is tensor for output in step.outputs):
            name = step.name
            if name not in _SAME_SCORES:
                break
            tensor = step.inputs[0]
    if name == "LOGISTIC":
        raise ModelError(
            "it ends in a sigmoid, which judges each class alone, and only classifiers that choose one "
            "class (with a softmax) can be used"
        )
    if name not in _LAST_OF_A_SOFTMAX:
        return name == "SOFTMAX"
    # Logits are hardly ever non-negative with the sum 1, so the scores of one image decide.
    scores = run(CONTRACT, np.zeros((1, *shape), np.uint8))
    return bool(scores.min() >= 0 and abs(float(scores.sum()) - 1) < 0.02)


def _stated_by_integers(contents: Contents, tensor: Quantization) -> InputRange | None:
    """Finds the range that an integer input states, or the first quantization of a float input."""
    stated = stated_range(tensor)
    if stated or not tensor.is_float:
        return stated
    given = contents.inputs[0]
    readers = [step for step in contents.steps if any(one is given for one in step.inputs)]
    if len(readers) != 1 or readers[0].name != "QUANTIZE":
        return None
    inside = readers[0].outputs[0]
    if inside.dtype not in ("int8", "uint8") or len(inside.scales) != 1:
        return None
    return stated_range(
        Quantization(np.dtype(inside.dtype), inside.scales[0], inside.zero_points[0])
    )
