"""What a TFLite file holds: its tensors and operators, and what a network of them costs.

`edge.contents_reader` reads them from the bytes of a file. Only the main graph is described.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

BITS = {
    "float32": 32, "float16": 16, "int32": 32, "uint8": 8, "int64": 64, "bool": 8, "int16": 16, "int8": 8,
    "float64": 64, "uint64": 64, "uint32": 32, "uint16": 16, "int4": 4, "bfloat16": 16,
}  # of an element, by the type of the tensor  # fmt: skip
ARENA_ALIGNMENT = 16  # bytes; of every buffer (TFLite Micro, MicroArenaBufferAlignment)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a model file.

    Attributes:
        name: As the converter called it.
        shape: Its sizes; 1 where the file leaves a size open.
        shape_signature: The same with -1 where the file leaves a size open.
        dtype: Name of the type, such as "int8".
        scales: One for the tensor, one for each channel, or none where nothing is quantized.
        zero_points: As many as there are scales.
        is_constant: Whether its values are in the file.
    """

    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    is_constant: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes of the values."""
        return -(-self.size * BITS[self.dtype] // 8)

    @property
    def is_float(self) -> bool:
        """Whether it holds real numbers, of whatever precision."""
        return self.dtype.startswith(("float", "bfloat"))

    def as_document(self) -> dict[str, Any]:
        """For JSON; a scale and a zero point where the whole tensor has one."""
        document: dict[str, Any] = {"shape": list(self.shape_signature), "dtype": self.dtype}
        if len(self.scales) == 1:
            document |= {"scale": self.scales[0], "zero_point": self.zero_points[0]}
        return document


@dataclass(frozen=True)
class Operator:
    """One operator of a model file.

    Attributes:
        name: In the format's own spelling, such as "CONV_2D".
        inputs: What it reads; an optional input that is left out is missing here.
        outputs: What it writes.
        macs: Multiplications with addition; counted for convolutions and dense layers, 0 for others.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    macs: int

    @property
    def touches_float(self) -> bool:
        """Whether it reads or writes real numbers."""
        return any(tensor.is_float for tensor in (*self.inputs, *self.outputs))

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "inputs": [tensor.dtype for tensor in self.inputs],
            "outputs": [tensor.dtype for tensor in self.outputs],
            "output_shape": list(self.outputs[0].shape) if self.outputs else [],
            "macs": self.macs,
        }


@dataclass(frozen=True)
class Contents:
    """What a TFLite file holds, read from its bytes.

    Attributes:
        inputs: Tensors that are given from outside.
        outputs: Tensors that are the answer.
        tensors: All that an operator reads or writes, in the order of their numbers.
        steps: The operators in the order in which they run.
        arena_bytes: What the activations take at the worst moment; see `arena_estimate`.
        size: Bytes that were read: the flatbuffer, and what may stand behind it.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]
    steps: tuple[Operator, ...]
    arena_bytes: int
    size: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the first input, with the batch, such as (1, 28, 28, 1); -1 where a size is open."""
        return self.inputs[0].shape_signature

    @property
    def input_type(self) -> str:
        """Of the first input, such as "int8"."""
        return self.inputs[0].dtype

    @property
    def output_type(self) -> str:
        """Of the first output."""
        return self.outputs[0].dtype

    @property
    def tensor_types(self) -> dict[str, int]:
        """How many tensors there are of each type."""
        return dict(Counter(tensor.dtype for tensor in self.tensors))

    @property
    def operators(self) -> dict[str, int]:
        """How many there are of each operator, in the order in which each is first met."""
        return dict(Counter(step.name for step in self.steps))

    @property
    def parameters(self) -> int:
        """Number of trained numbers: constants that are real or have a scale.

        Constants without a scale are shapes, axes and paddings.
        """
        return sum(
            tensor.size
            for tensor in self.tensors
            if tensor.is_constant and (tensor.is_float or tensor.scales)
        )

    @property
    def macs(self) -> int:
        """Multiplications with addition of one inference; see `Operator.macs`."""
        return sum(step.macs for step in self.steps)

    @property
    def is_integer(self) -> bool:
        """Whether activations are integers with a scale; all, but for the `float_islands`."""
        activations = [tensor for step in self.steps for tensor in step.outputs]
        return any(tensor.scales for tensor in (*self.inputs, *activations))

    @property
    def float_islands(self) -> tuple[Operator, ...]:
        """Operators that compute with real numbers in an integer file; none in a float file.

        The QUANTIZE of a float input and the DEQUANTIZE of a float output are the file's border, no
        islands.
        """
        if not self.is_integer:
            return ()
        return tuple(
            step for step in self.steps if step.touches_float and not self._is_at_border(step)
        )

    def _is_at_border(self, step: Operator) -> bool:
        if step.name == "QUANTIZE":
            return any(tensor is one for tensor in step.inputs for one in self.inputs)
        if step.name == "DEQUANTIZE":
            return any(tensor is one for tensor in step.outputs for one in self.outputs)
        return False

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "inputs": [tensor.as_document() for tensor in self.inputs],
            "outputs": [tensor.as_document() for tensor in self.outputs],
            "operators": [step.as_document() for step in self.steps],
            "tensor_types": self.tensor_types,
            "float_islands": [step.name for step in self.float_islands],
            "parameters": self.parameters,
            "macs": self.macs,
            "arena_bytes": self.arena_bytes,
        }


def arena_estimate(
    tensors: dict[int, Tensor],
    reads: Sequence[Sequence[int]],
    writes: Sequence[Sequence[int]],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> int:
    """Computes the bytes of the activations at the worst moment, if memory is used again when it is free.

    An activation lives from the operator that writes it to the last one that reads it. An input lives from
    the first operator on, and an output to the last. The inputs and outputs of an operator live at the same
    time, since nothing is computed in place. The sizes of the living, each rounded up to `ARENA_ALIGNMENT`,
    are added up; no planner needs less. A runtime needs more, for its own records and for its kernels.

    Args:
        tensors: By number.
        reads: Numbers of the tensors that each operator reads, in the order of the operators.
        writes: Numbers of those it writes.
        inputs: Numbers of the graph's inputs.
        outputs: Numbers of its outputs.
    """
    first = dict.fromkeys(inputs, 0)  # the operator from which on a tensor lives, by its number
    last = dict.fromkeys(inputs, 0)
    for step, (read, written) in enumerate(zip(reads, writes, strict=True)):
        for number in written:
            first.setdefault(number, step)
        last |= dict.fromkeys((*read, *written), step)
    last |= dict.fromkeys(outputs, len(reads) - 1)
    change = [0] * (len(reads) + 2)  # of the bytes that live, at each operator
    for number, begin in first.items():
        aligned = -(-tensors[number].num_bytes // ARENA_ALIGNMENT) * ARENA_ALIGNMENT
        change[begin] += aligned
        change[last[number] + 1] -= aligned
    return max(accumulate(change[: len(reads)]), default=0)


def count_macs(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    """Counts the multiplications with addition of an operator; 0 unless it is a convolution or dense.

    Args:
        name: In the format's own spelling.
        inputs: What it reads.
        outputs: What it writes.
    """
    # Layouts of the weights, the second input (TFLite operator reference): CONV_2D (out, height, width,
    # in), DEPTHWISE_CONV_2D (1, height, width, out), FULLY_CONNECTED (out, in), TRANSPOSE_CONV as CONV_2D.
    # Options such as strides and padding are in the output's shape already.
    if name in ("CONV_2D", "FULLY_CONNECTED"):
        return outputs[0].size * math.prod(inputs[1].shape[1:])
    if name == "DEPTHWISE_CONV_2D":
        return outputs[0].size * math.prod(inputs[1].shape[1:3])
    if name == "TRANSPOSE_CONV":  # inputs: shape of the output, weights, image
        return inputs[2].size * math.prod(inputs[1].shape[:3])
    return 0
