"""What a TFLite file holds, read from its bytes alone: nothing is run, and every number is checked.

Of the main graph; bodies of loops and branches, which no classifier here has, are refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from garmentlite.edge.errors import ModelError
from garmentlite.edge.flatbuffer import Flatbuffer, Table
from garmentlite.edge.runtime import FLATBUFFER_IDENTIFIER, builtin_operator

LARGEST_TENSOR = 256 << 20  # bytes
LARGEST_ARENA = 512 << 20  # bytes of activations at once; a board with 1 GB holds no more

# Numbers of the fields that are read, from the schema of TFLite (tensorflow/compiler/mlir/lite/schema/
# schema.fbs): the position of each in its table.
_MODEL_VERSION, _MODEL_CODES, _MODEL_SUBGRAPHS, _MODEL_DESCRIPTION, _MODEL_BUFFERS = range(5)
_MODEL_METADATA_BUFFERS, _MODEL_METADATA, _MODEL_SIGNATURES = range(5, 8)
_MODEL_EXTERNAL_GROUPS, _MODEL_EXTERNAL_BUFFERS = range(8, 10)
_CODE_DEPRECATED, _CODE_CUSTOM, _, _CODE_BUILTIN = range(4)
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS, _GRAPH_NAME = range(5)
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_QUANTIZATION = range(5)
_TENSOR_VARIABLE, _TENSOR_SPARSITY, _TENSOR_SIGNATURE, _, _TENSOR_VARIANTS = range(5, 10)
_QUANTIZATION_MIN, _QUANTIZATION_MAX, _QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT = range(4)
_QUANTIZATION_DETAILS, _QUANTIZATION_AXIS = 4, 6
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS = range(3)
_OPERATOR_OPTIONS_TYPE, _OPERATOR_OPTIONS, _OPERATOR_CUSTOM_OPTIONS = range(3, 6)
_OPERATOR_MUTATING, _OPERATOR_INTERMEDIATES, _OPERATOR_LARGE_OPTIONS = range(7, 10)
_OPERATOR_OPTIONS_2_TYPE = 11
_BUFFER_DATA, _BUFFER_OFFSET = range(2)
_RECORD_NAME, _RECORD_BUFFER = range(2)
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_KEY, _SIGNATURE_GRAPH = 0, 1, 2, 4
_ENTRY_NAME, _ENTRY_TENSOR = range(2)
# Lists and texts within an operator's settings: (field, type) by the number of the settings' type.
_LISTS_IN_OPTIONS = {
    3: ((1, "i4"), (2, "i4")),  # ConcatEmbeddingsOptions
    8: ((5, "u1"),),  # FullyConnectedOptions
    17: ((0, "i4"),),  # ReshapeOptions
    30: ((0, "i4"),),  # SqueezeOptions
    111: ((0, "u1"), (1, "u1")),  # VarHandleOptions
    115: ((0, "f4"),),  # BucketizeOptions
}
# Operators whose meaning is not in the format, and those that run other graphs.
_REFUSED = frozenset(
    ("CUSTOM", "DELEGATE", "IF", "WHILE", "CALL", "CALL_ONCE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
)
# Types of tensors by their number: name and bits of an element. Texts, complex numbers and handles of
# resources are not read here.
_TYPES = {
    0: ("float32", 32), 1: ("float16", 16), 2: ("int32", 32), 3: ("uint8", 8), 4: ("int64", 64),
    6: ("bool", 8), 7: ("int16", 16), 9: ("int8", 8), 10: ("float64", 64), 12: ("uint64", 64),
    15: ("uint32", 32), 16: ("uint16", 16), 17: ("int4", 4), 18: ("bfloat16", 16),
}  # fmt: skip
_BITS = dict(_TYPES.values())
# Types that stand for real numbers and therefore need a scale: the ends of each.
_QUANTIZED = {
    "int8": (-128, 127), "uint8": (0, 255), "int16": (-32_768, 32_767), "int4": (-8, 7),
}  # fmt: skip
# Inputs without which the multiplications of an operator cannot be counted.
_MACS_NEED = {"CONV_2D": 2, "FULLY_CONNECTED": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3}

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
        return -(-self.size * _BITS[self.dtype] // 8)

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


def read_contents(flatbuffer: bytes) -> Contents:
    """Reads a model's bytes; the runtime takes no part, so a hostile file can do no harm here.

    What the runtime would follow blindly is checked: that offsets stay in the file, tensor numbers and
    buffers exist, constants have the size of their shape, what an operator reads has been written, integers
    have scales, scales are finite and above 0, and sizes are sane.

    Args:
        flatbuffer: A TFLite model; metadata behind it does no harm.

    Raises:
        ModelError: If the bytes are no model, are damaged, or hold what is not run here (control flow,
            custom operators, sparse tensors, texts).
    """
    if flatbuffer[4:8] != FLATBUFFER_IDENTIFIER:
        raise ModelError("the bytes do not start like a TFLite model (no 'TFL3' identifier)")
    model = Flatbuffer(flatbuffer).root()
    version = model.integer(_MODEL_VERSION, "u4")
    if version != 3:
        raise ModelError(f"it is of version {version} of the TFLite format, expected 3")
    for field in (_MODEL_EXTERNAL_GROUPS, _MODEL_EXTERNAL_BUFFERS):
        if len(model.numbers(field, "u4")):
            raise ModelError("it keeps weights in other files")
    graphs = model.tables(_MODEL_SUBGRAPHS)
    if len(graphs) != 1:
        raise ModelError(f"it has {len(graphs)} graphs, expected one without loops and branches")
    (graph,) = graphs
    buffer_sizes = [_buffer_size(buffer) for buffer in model.tables(_MODEL_BUFFERS)]
    _require_sound_records(model, len(buffer_sizes))
    stored = graph.tables(_GRAPH_TENSORS)
    tensors = [_tensor_of(tensor, buffer_sizes) for tensor in stored]
    variables = {number for number, one in enumerate(stored) if one.integer(_TENSOR_VARIABLE, "u1")}
    inputs, outputs = (
        _numbers_of(graph, field, len(tensors)) for field in (_GRAPH_INPUTS, _GRAPH_OUTPUTS)
    )
    if not inputs or not outputs:
        raise ModelError("it has no input or no output")
    graph.text(_GRAPH_NAME)
    names = [_operator_name(code) for code in model.tables(_MODEL_CODES)]
    steps, reads, writes = [], [], []
    for operator in graph.tables(_GRAPH_OPERATORS):
        number = operator.integer(_OPERATOR_CODE, "u4")
        if number >= len(names):
            raise ModelError("it is damaged: an operator in it has a type that is not in the file")
        _require_sound_options(operator, len(tensors))
        read = _numbers_of(operator, _OPERATOR_INPUTS, len(tensors), optional=True)
        written = _numbers_of(operator, _OPERATOR_OUTPUTS, len(tensors))
        given, made = (tuple(tensors[one] for one in side) for side in (read, written))
        if not made or len(given) < _MACS_NEED.get(names[number], 0):
            raise ModelError(f"it is damaged: a {names[number]} in it lacks an input or an output")
        steps.append(Operator(names[number], given, made, _macs_of(names[number], given, made)))
        reads.append(read)
        writes.append(written)
    _require_order(tensors, variables, reads, writes, inputs, outputs)
    used = sorted({*inputs, *outputs, *chain(*reads), *chain(*writes)})
    contents = Contents(
        inputs=tuple(tensors[number] for number in inputs),
        outputs=tuple(tensors[number] for number in outputs),
        tensors=tuple(tensors[number] for number in used),
        steps=tuple(steps),
        arena_bytes=arena_estimate(dict(enumerate(tensors)), reads, writes, inputs, outputs),
        size=len(flatbuffer),
    )
    if contents.arena_bytes > LARGEST_ARENA:
        raise ModelError(
            f"its activations take {contents.arena_bytes >> 20} MiB, more than {LARGEST_ARENA >> 20}"
        )
    return contents


def arena_estimate(
    tensors: dict[int, Tensor],
    reads: Sequence[Sequence[int]],
    writes: Sequence[Sequence[int]],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> int:
    """Bytes of the activations at the worst moment, for a planner that reuses what is no longer needed.

    An activation lives from the operator that writes it to the last that reads it, an input from the first
    operator, an output to the last; an operator's inputs and outputs live at once (nothing is done in
    place). The sum over the living, each rounded up to `ARENA_ALIGNMENT`, is the least that any such
    planner can do with. A runtime needs more: its own records, and what its kernels ask for.

    Args:
        tensors: By number.
        reads: Numbers of the tensors that each operator reads, in the order of the operators.
        writes: Numbers of those it writes.
        inputs: Numbers of the graph's inputs.
        outputs: Numbers of its outputs.
    """
    first = dict.fromkeys(inputs, 0)
    last = dict.fromkeys(inputs, 0)
    for step, (read, written) in enumerate(zip(reads, writes, strict=True)):
        for number in written:
            first.setdefault(number, step)
        last |= dict.fromkeys((*read, *written), step)
    last |= dict.fromkeys(outputs, len(reads) - 1)
    living = [0] * len(reads)
    for number, begin in first.items():
        aligned = -(-tensors[number].num_bytes // ARENA_ALIGNMENT) * ARENA_ALIGNMENT
        for step in range(begin, last[number] + 1):
            living[step] += aligned
    return max(living, default=0)


def _tensor_of(stored: Table, buffer_sizes: Sequence[int]) -> Tensor:
    name = stored.text(_TENSOR_NAME)
    shape, signature = (
        tuple(int(size) for size in stored.numbers(field, "i4"))
        for field in (_TENSOR_SHAPE, _TENSOR_SIGNATURE)
    )
    number = stored.integer(_TENSOR_TYPE, "i1")
    if number not in _TYPES:
        raise ModelError(f"the tensor {name!r:.60} is of type {number}, which is not read here")
    if stored.has(_TENSOR_SPARSITY) or stored.has(_TENSOR_VARIANTS):
        raise ModelError(f"the tensor {name!r:.60} is sparse or holds other tensors")
    if any(size < 0 for size in shape) or any(size < -1 for size in signature):
        raise ModelError(f"the tensor {name!r:.60} has a size below 0")
    if signature and len(signature) != len(shape):
        raise ModelError(f"the tensor {name!r:.60} has {len(shape)} sizes and {len(signature)}")
    dtype, bits = _TYPES[number]
    is_float = dtype.startswith(("float", "bfloat"))  # whose scales mean nothing and are not used
    scales, zero_points = _quantization_of(
        stored.table(_TENSOR_QUANTIZATION), name, shape, is_used=not is_float
    )
    if dtype in _QUANTIZED and not scales:
        raise ModelError(f"the tensor {name!r:.60} holds {dtype} without a scale")
    lowest, highest = _QUANTIZED.get(dtype, (-(1 << 31), (1 << 31) - 1))
    if not all(lowest <= point <= highest for point in zero_points):
        raise ModelError(f"the tensor {name!r:.60} has a zero point outside of {dtype}")
    buffer = stored.integer(_TENSOR_BUFFER, "u4")
    if buffer >= len(buffer_sizes):
        raise ModelError(f"the tensor {name!r:.60} has its values where the file has none")
    num_bytes = -(-math.prod(shape) * bits // 8)
    if num_bytes > LARGEST_TENSOR:
        raise ModelError(
            f"the tensor {name!r:.60} has {num_bytes >> 20} MiB, more than {LARGEST_TENSOR >> 20}"
        )
    size = buffer_sizes[buffer]
    if size and size != num_bytes:
        raise ModelError(f"the tensor {name!r:.60} has {size:,} bytes, expected {num_bytes:,}")
    return Tensor(name, shape, signature or shape, dtype, scales, zero_points, size > 0)


def _quantization_of(
    stored: Table | None, name: str, shape: Sequence[int], *, is_used: bool
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scales and zero points of a tensor."""
    if stored is None:
        return (), ()
    if stored.integer(_QUANTIZATION_DETAILS, "u1"):
        raise ModelError(f"the tensor {name!r:.60} is quantized in a way that is not read here")
    for field in (_QUANTIZATION_MIN, _QUANTIZATION_MAX):
        stored.numbers(field, "f4")
    scales = stored.numbers(_QUANTIZATION_SCALE, "f4")
    zero_points = stored.numbers(_QUANTIZATION_ZERO_POINT, "i8")
    if not is_used:
        return (), ()
    if not np.isfinite(scales).all() or not (scales > 0).all():
        raise ModelError(f"the tensor {name!r:.60} has a scale that is not a finite number above 0")
    if len(zero_points) not in (0, len(scales)):
        raise ModelError(
            f"the tensor {name!r:.60} has {len(scales)} scales and {len(zero_points)} zero points"
        )
    if len(scales) > 1:
        axis = stored.integer(_QUANTIZATION_AXIS, "i4")
        if not 0 <= axis < len(shape) or shape[axis] != len(scales):
            raise ModelError(f"the tensor {name!r:.60} has {len(scales)} scales, not one a channel")
    points = zero_points if len(zero_points) else np.zeros(len(scales), np.int64)
    return tuple(map(float, scales)), tuple(map(int, points))


def _buffer_size(stored: Table) -> int:
    if stored.integer(_BUFFER_OFFSET, "u8") > 1:  # 0 and 1 stand for none
        raise ModelError("it keeps weights behind the flatbuffer")
    return len(stored.numbers(_BUFFER_DATA, "u1"))


def _numbers_of(
    stored: Table, field: int, count: int, *, optional: bool = False
) -> tuple[int, ...]:
    """Numbers of tensors; those of inputs that are left out (-1) are missing where that is allowed."""
    numbers = [int(number) for number in stored.numbers(field, "i4")]
    if not all((-1 if optional else 0) <= number < count for number in numbers):
        raise ModelError(
            "it is damaged: an operator or the graph names a tensor that does not exist"
        )
    return tuple(number for number in numbers if number >= 0)


def _operator_name(code: Table) -> str:
    code.text(_CODE_CUSTOM)
    # Old files know only the first, a byte; it is a placeholder where the number is larger.
    number = max(code.integer(_CODE_DEPRECATED, "i1"), code.integer(_CODE_BUILTIN, "i4"))
    name = builtin_operator(number)
    if name in _REFUSED:
        raise ModelError(f"it holds the operator {name}, which is not run here")
    return name


def _require_sound_options(operator: Table, count: int) -> None:
    """Follows what the settings of an operator lead to."""
    if operator.integer(_OPERATOR_OPTIONS_2_TYPE, "u1"):
        raise ModelError("it holds operators of StableHLO, which are not run here")
    if operator.integer(_OPERATOR_LARGE_OPTIONS, "u8"):
        raise ModelError("it keeps settings of operators behind the flatbuffer")
    for field in (_OPERATOR_CUSTOM_OPTIONS, _OPERATOR_MUTATING):
        operator.numbers(field, "u1")
    _numbers_of(operator, _OPERATOR_INTERMEDIATES, count, optional=True)
    options = operator.table(_OPERATOR_OPTIONS)
    kind = operator.integer(_OPERATOR_OPTIONS_TYPE, "u1")
    if (options is None) != (kind == 0):
        raise ModelError("it is damaged: an operator in it lacks its settings")
    if options is not None:
        options.require_within()
        for field, element in _LISTS_IN_OPTIONS.get(kind, ()):
            options.numbers(field, element)


def _require_sound_records(model: Table, num_buffers: int) -> None:
    """Follows what is in a file beside the graph: texts, names of the inputs, records of converters."""
    model.text(_MODEL_DESCRIPTION)
    for signature in model.tables(_MODEL_SIGNATURES):
        signature.text(_SIGNATURE_KEY)
        if signature.integer(_SIGNATURE_GRAPH, "u4"):
            raise ModelError(
                "it is damaged: a signature in it belongs to a graph that does not exist"
            )
        for field in (_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS):
            for entry in signature.tables(field):
                entry.text(_ENTRY_NAME)
                if entry.integer(_ENTRY_TENSOR, "u4") >= _count_of_tensors(model):
                    raise ModelError(
                        "it is damaged: a signature names a tensor that does not exist"
                    )
    for record in model.tables(_MODEL_METADATA):
        record.text(_RECORD_NAME)
        if record.integer(_RECORD_BUFFER, "u4") >= num_buffers:
            raise ModelError("it is damaged: a record in it has a buffer that does not exist")
    if (model.numbers(_MODEL_METADATA_BUFFERS, "i4") >= num_buffers).any():
        raise ModelError("it is damaged: a record in it has a buffer that does not exist")


def _count_of_tensors(model: Table) -> int:
    return len(model.tables(_MODEL_SUBGRAPHS)[0].numbers(_GRAPH_TENSORS, "u4"))


def _require_order(
    tensors: Sequence[Tensor],
    variables: set[int],
    reads: Sequence[Sequence[int]],
    writes: Sequence[Sequence[int]],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> None:
    """Checks that whatever is read has been written before, once, and constants never."""
    constants = {number for number, tensor in enumerate(tensors) if tensor.is_constant}
    # A tensor without elements has no bytes in the file and needs none.
    there = constants | variables | {i for i, tensor in enumerate(tensors) if tensor.size == 0}
    written = set(inputs)
    if constants & written or len(written) < len(inputs):
        raise ModelError("it is damaged: an input of it is a constant, or is there twice")
    for read, made in zip(reads, writes, strict=True):
        if not set(read) <= there | written:
            raise ModelError("it is damaged: an operator reads what no operator has written")
        if set(made) & (constants | written) or len(set(made)) < len(made):
            raise ModelError("it is damaged: an operator writes what is there already")
        written |= set(made)
    if not set(outputs) <= there | written:
        raise ModelError("it is damaged: no operator writes its output")


def _macs_of(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
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
