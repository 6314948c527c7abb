"""Reads the constants with which a model scales its input, such as those of a Rescaling layer.

A converter multiplies such constants into the first convolution if it can. Then they cannot be read here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from garmentlite.edge.model_input import RANGES, InputRange
from garmentlite.edge.runtime import operator_name, unpack

# Ranges to which networks scale their input. The last is the mean of ImageNet's channels, (0 - 0.449) / 0.226
# to (1 - 0.449) / 0.226, with the mean and the standard deviation that torchvision's models use.
_USUAL_INSIDE = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (-1.99, 2.44))
_TOLERANCE = 0.1  # share of the range; constants such as 1/256 and 127 are close to the usual ones


def range_of_first_layers(flatbuffer: bytes) -> InputRange | None:
    """Finds the range for which the first layers of a model give one of the usual ranges.

    Args:
        flatbuffer: A model that `edge.contents_reader` accepts, with one input.

    Returns:
        One of `RANGES`; None if the model does not begin with constants, or they fit several ranges or none.
    """
    return range_before_scaling(*_scaling_of(unpack(flatbuffer)))


def range_before_scaling(factor: float, offset: float) -> InputRange | None:
    """Finds the range from which number * factor + offset leads to one of the usual ranges.

    Returns:
        One of `RANGES`; None if nothing is scaled, or several ranges or none fit.
    """
    if (factor, offset) == (1.0, 0.0):
        return None
    found = []
    for candidate in RANGES.values():
        low, high = (factor * end + offset for end in candidate.ends)
        if any(
            max(abs(low - usual_low), abs(high - usual_high))
            <= _TOLERANCE * (usual_high - usual_low)
            for usual_low, usual_high in _USUAL_INSIDE
        ):
            found.append(candidate)
    return found[0] if len(found) == 1 else None


def _scaling_of(model: Any) -> tuple[float, float]:
    """Computes factor and offset by which the first layers scale the input, each the mean of the channels."""
    graph = model.subgraphs[0]
    factor, offset = np.ones(1), np.zeros(1)
    tensor = int(graph.inputs[0])
    while True:
        readers = [one for one in graph.operators if tensor in [int(i) for i in one.inputs]]
        name = operator_name(model, readers[0]) if len(readers) == 1 else ""
        if name not in ("MUL", "ADD", "SUB", "DIV"):
            return float(factor.mean()), float(offset.mean())
        first, second = (int(number) for number in readers[0].inputs)
        constant = _constant(model, graph, second if first == tensor else first)
        if constant is None or (name in ("SUB", "DIV") and first != tensor):
            return float(factor.mean()), float(offset.mean())
        if name in ("MUL", "DIV"):
            by = constant if name == "MUL" else 1 / constant
            factor, offset = factor * by, offset * by
        else:
            offset = offset + (constant if name == "ADD" else -constant)
        tensor = int(readers[0].outputs[0])


def _constant(model: Any, graph: Any, tensor: int) -> np.ndarray | None:
    """Reads a constant of one number, or of one for each channel; None if the tensor is something else."""
    stored = graph.tensors[tensor]
    data = model.buffers[stored.buffer].data
    if data is None or stored.type != 0 or len(data) not in (4, 12):  # type 0 is float32
        return None
    values = np.frombuffer(bytes(data), np.float32).astype(np.float64)
    return values if np.isfinite(values).all() and (values != 0).all() else None
