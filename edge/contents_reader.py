"""Reads what a TFLite file holds without running it, and checks every number in it.

Models with loops or branches are refused, because no classifier here has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from garmentlite.edge.contents import BITS, Contents, Operator, Tensor, arena_estimate, count_macs
from garmentlite.edge.errors import ModelError
from garmentlite.edge.flatbuffer import Flatbuffer, Table
from garmentlite.edge.runtime import FLATBUFFER_IDENTIFIER, builtin_operator

LARGEST_TENSOR = 256 << 20  # bytes
# Bytes of all activations at once; a board with 1 GB has no room for more.
LARGEST_ARENA = 512 << 20

# Positions of fields in their tables, from the schema of TFLite (tensorflow/compiler/mlir/lite/schema/
# schema.fbs).
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
# Lists and texts in the options of an operator, as (field, type) by the number of the type of the options.
_LISTS_IN_OPTIONS = {
    3: ((1, "i4"), (2, "i4")),  # ConcatEmbeddingsOptions
    8: ((5, "u1"),),  # FullyConnectedOptions
    17: ((0, "i4"),),  # ReshapeOptions
    30: ((0, "i4"),),  # SqueezeOptions
    111: ((0, "u1"), (1, "u1")),  # VarHandleOptions
    115: ((0, "f4"),),  # BucketizeOptions
}
# Operators whose meaning the format does not define, and operators that run other graphs.
_REFUSED = frozenset(
    ("CUSTOM", "DELEGATE", "IF", "WHILE", "CALL", "CALL_ONCE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
)
_DETECTION = "TFLite_Detection_PostProcess"  # the last operator of TensorFlow's object detectors
# Types of tensors by their number. Texts, complex numbers and resource handles are not supported here.
_TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8",
    10: "float64", 12: "uint64", 15: "uint32", 16: "uint16", 17: "int4", 18: "bfloat16",
}  # fmt: skip
# Lowest and highest value of each quantized type. A tensor of such a type needs a scale.
_QUANTIZED = {
    "int8": (-128, 127), "uint8": (0, 255), "int16": (-32_768, 32_767), "int4": (-8, 7),
}  # fmt: skip
# The least number of inputs that an operator needs, so that its multiplications can be counted.
_MACS_NEED = {"CONV_2D": 2, "FULLY_CONNECTED": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3}


def read_contents(flatbuffer: bytes) -> Contents:
    """Reads the bytes of a model and checks everything that the runtime would use without a check.

    It checks that offsets stay in the file, tensor numbers and buffers exist, constants have the size of
    their shape, an operator reads only what was written before, integers have scales, scales are finite and
    above 0, and no tensor is larger than `LARGEST_TENSOR`. The runtime is not called, so a hostile file
    cannot end the process here.

    Args:
        flatbuffer: A TFLite model; our metadata may follow it.

    Raises:
        ModelError: If the bytes are not a model, are damaged, or hold what is not supported here (control
            flow, custom operators, sparse tensors, texts). The message is a part of a sentence.
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
    operators = graph.tables(_GRAPH_OPERATORS)
    reads = [_numbers_of(one, _OPERATOR_INPUTS, len(tensors), optional=True) for one in operators]
    writes = [_numbers_of(one, _OPERATOR_OUTPUTS, len(tensors)) for one in operators]
    steps = [
        _operator_of(one, names, tensors, read, written)
        for one, read, written in zip(operators, reads, writes, strict=True)
    ]
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


def read_record(flatbuffer: bytes, name: str) -> bytes | None:
    """Reads the bytes that a converter or another program stored in a model under a name.

    Args:
        flatbuffer: A TFLite model.
        name: Such as "TFLITE_METADATA".

    Returns:
        The bytes; None if there is no such record.

    Raises:
        ModelError: If the file is damaged. The message is a part of a sentence.
    """
    model = Flatbuffer(flatbuffer).root()
    buffers = model.tables(_MODEL_BUFFERS)
    for record in model.tables(_MODEL_METADATA):
        number = record.integer(_RECORD_BUFFER, "u4")
        if record.text(_RECORD_NAME) == name and number < len(buffers):
            return buffers[number].numbers(_BUFFER_DATA, "u1").tobytes()
    return None


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
    dtype = _TYPES[number]
    is_float = dtype.startswith(("float", "bfloat"))  # their scales mean nothing and are not used
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
    num_bytes = -(-math.prod(shape) * BITS[dtype] // 8)
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
    """Reads the scales and zero points of a tensor."""
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


def _operator_of(
    stored: Table,
    names: Sequence[str],
    tensors: Sequence[Tensor],
    read: Sequence[int],
    written: Sequence[int],
) -> Operator:
    """Reads an operator.

    Args:
        stored: Its table.
        names: The types of operators in the file.
        tensors: The tensors of the graph.
        read: Numbers of the tensors that it reads.
        written: Numbers of the tensors that it writes.
    """
    number = stored.integer(_OPERATOR_CODE, "u4")
    if number >= len(names):
        raise ModelError("it is damaged: an operator in it has a type that is not in the file")
    _require_sound_options(stored, len(tensors))
    name = names[number]
    inputs, outputs = (tuple(tensors[one] for one in side) for side in (read, written))
    if not outputs or len(inputs) < _MACS_NEED.get(name, 0):
        raise ModelError(f"it is damaged: a {name} in it lacks an input or an output")
    return Operator(name, inputs, outputs, count_macs(name, inputs, outputs))


def _buffer_size(stored: Table) -> int:
    if stored.integer(_BUFFER_OFFSET, "u8") > 1:  # 0 and 1 mean that there is none
        raise ModelError("it keeps weights behind the flatbuffer")
    return len(stored.numbers(_BUFFER_DATA, "u1"))


def _numbers_of(
    stored: Table, field: int, count: int, *, optional: bool = False
) -> tuple[int, ...]:
    """Reads numbers of tensors; if `optional`, inputs that are left out (-1) are skipped."""
    numbers = [int(number) for number in stored.numbers(field, "i4")]
    if not all((-1 if optional else 0) <= number < count for number in numbers):
        raise ModelError(
            "it is damaged: an operator or the graph names a tensor that does not exist"
        )
    return tuple(number for number in numbers if number >= 0)


def _operator_name(code: Table) -> str:
    custom = code.text(_CODE_CUSTOM)
    # Old files have only the first field, a byte. In new files it is a placeholder if the number is larger.
    number = max(code.integer(_CODE_DEPRECATED, "i1"), code.integer(_CODE_BUILTIN, "i4"))
    name = builtin_operator(number)
    if name == "CUSTOM":
        raise ModelError(_why_not_custom(custom))
    if name in _REFUSED:
        raise ModelError(f"it holds the operator {name}, which is not run here")
    return name


def _why_not_custom(name: str) -> str:
    if name.startswith("Flex"):
        return (
            f"it holds the operator {name!r:.60}, which only TensorFlow itself can run; convert it with the "
            "operators of TFLite alone (TFLITE_BUILTINS)"
        )
    if name == _DETECTION:
        return f"it is an object detector (it holds {name}), and only image classifiers can be used"
    return f"it holds the operator {name!r:.60}, which TFLite does not define"


def _require_sound_options(operator: Table, count: int) -> None:
    """Checks the options of an operator and everything that they refer to."""
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
    """Checks what a file has beside the graph: texts, signatures and records of converters."""
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
    """Checks that a tensor is written before it is read, only once, and never if it is a constant."""
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
