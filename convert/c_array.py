"""Writes a model as C++ source for microcontrollers: the flatbuffer, its labels and its constants.

NAME.cc   the bytes, 16-byte aligned, and the labels
NAME.h    their declarations, the constants of input and output, and the size of the arena, for C and C++

The same model gives the same text, if the same version of TFLite Micro measured its arena.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.convert.arena import Arena, UnknownArena, measure_arena
from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents import Contents, Tensor
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import refuse_to_overwrite, write_text
from garmentlite.edge.metadata import split

_BYTES_PER_LINE = 16

# Method of tflite::MicroMutableOpResolver by operator (tensorflow/lite/micro/micro_mutable_op_resolver.h
# of github.com/tensorflow/tflite-micro). Most spell the operator's words with capitals; these do not.
_IRREGULAR_METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}
_REGULAR_OPERATORS = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_ARGS
BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS DEPTHWISE_CONV_2D DEPTH_TO_SPACE
DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR
FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF
L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR
LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD
PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX
SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE
STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""


@dataclass(frozen=True)
class CArray:
    """A model as source text.

    Attributes:
        source: The `.cc` file, which includes the header.
        header: The `.h` file.
    """

    source: str
    header: str


def file_names(name: str) -> tuple[str, str]:
    """Names the `.cc` and the `.h` file; a character that an #include cannot hold becomes "_"."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return f"{stem}.cc", f"{stem}.h"


def paths_in(folder: Path, name: str) -> tuple[Path, Path]:
    """Returns the `.cc` and the `.h` file of this name in a folder; see `file_names`."""
    source, header = file_names(name)
    return folder / source, folder / header


def identifier(name: str) -> str:
    """Makes a C identifier of any name: letters, digits and single underscores inside, no digit in front.

    C++ reserves names with two underscores in a row or one in front.
    """
    words = "_".join(re.findall(r"[A-Za-z0-9]+", name)).lower()
    return f"model_{words}".rstrip("_") if not words or words[0].isdigit() else words


def string_literal(text: str) -> str:
    """Writes any text as a C string of its UTF-8 bytes.

    A byte that is not printable ASCII is written as three octal digits, because a hexadecimal escape would
    include a digit that follows it. A question mark is escaped, so that no trigraph arises.
    """
    escaped = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}
    parts = [
        escaped.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
        for byte in text.encode("utf-8", "surrogatepass")
    ]
    return f'"{"".join(parts)}"'


def resolver_method(operator: str) -> str | None:
    """Returns the method of `MicroMutableOpResolver` that adds an operator; None if there is none."""
    if operator in _REGULAR_OPERATORS.split():
        words = operator.split("_")
        return "Add" + "".join(word if word == "2D" else word.capitalize() for word in words)
    return _IRREGULAR_METHODS.get(operator)


def to_c_array(
    name: str,
    flatbuffer: bytes,
    labels: Sequence[str],
    arena: Arena | UnknownArena = UnknownArena("no measurement was asked for"),  # noqa: B008
) -> CArray:
    """Writes a model as C++ source and a header for C and C++.

    Args:
        name: Name of the files, such as "weighted-cnn_int8"; the identifiers are made from it.
        flatbuffer: The model without metadata.
        labels: Class names in the order of the outputs.
        arena: The memory that TFLite Micro needs. If it is unknown, the header says why.

    Raises:
        ModelError: If TFLite Micro lacks an operator of the model.
    """
    contents = read_contents(flatbuffer)
    lacking = [operator for operator in contents.operators if resolver_method(operator) is None]
    if lacking:
        raise ModelError(
            f"{name} needs {', '.join(lacking)}, which TFLite Micro does not have; use a network "
            "without it."
        )
    methods = [str(resolver_method(operator)) for operator in contents.operators]
    _, header_name = file_names(name)
    return CArray(
        _source(header_name, identifier(name), flatbuffer, labels, methods),
        _header(identifier(name), contents, len(flatbuffer), len(labels), methods, arena),
    )


def with_measured_arena(name: str, flatbuffer: bytes, labels: Sequence[str], say: Say) -> CArray:
    """Measures the arena of a model, if that is possible here, and writes its source; see `to_c_array`.

    Args:
        name: Name of the files.
        flatbuffer: The model without metadata.
        labels: Class names in the order of the outputs.
        say: Called with a sentence if the arena was not measured.

    Raises:
        ModelError: If TFLite Micro lacks an operator of the model.
    """
    arena = measure_arena(flatbuffer)
    array = to_c_array(name, flatbuffer, labels, arena)
    if isinstance(arena, UnknownArena):
        say(f"The size of the arena was not measured, because {arena.reason}.")
    return array


def write(array: CArray, folder: Path, name: str) -> tuple[Path, Path]:
    """Writes the source and the header; older files of this name are replaced.

    Returns:
        The `.cc` and the `.h` file.

    Raises:
        OutputError: If a file cannot be written.
    """
    source, header = paths_in(folder, name)
    write_text(source, array.source)
    write_text(header, array.header)
    return source, header


def write_files(
    classifier: Classifier,
    folder: Path,
    name: str,
    *,
    force: bool = False,
    say: Say = say_nothing,
) -> tuple[Path, Path]:
    """Writes the source and the header of a model file; see `with_measured_arena`.

    Args:
        classifier: The model file, opened.
        folder: The folder to write to.
        name: Name of the files.
        force: Whether existing files may be replaced.
        say: Called with a sentence if the arena was not measured.

    Returns:
        The `.cc` and the `.h` file.

    Raises:
        ModelError: If TFLite Micro lacks an operator of the model.
        OutputError: If a file exists and may not be replaced, or cannot be written.
    """
    for path in paths_in(folder, name):
        refuse_to_overwrite(path, force)
    flatbuffer, _ = split(classifier.path.read_bytes())
    return write(with_measured_arena(name, flatbuffer, classifier.labels, say), folder, name)


def _header(
    prefix: str,
    contents: Contents,
    length: int,
    num_labels: int,
    methods: Sequence[str],
    arena: Arena | UnknownArena,
) -> str:
    upper = prefix.upper()
    calls = "\n".join(f" *   resolver.{method}();" for method in methods)
    return f"""\
/* A classifier for TFLite Micro, written by garmentlite; do not edit.
 *
 * The operators it needs, and no others:
 *
 *   tflite::MicroMutableOpResolver<{upper}_NUM_OPERATORS> resolver;
{calls}
 */
#ifndef GARMENTLITE_{upper}_H_
#define GARMENTLITE_{upper}_H_

#include <stddef.h>

/* Size of the model in bytes. */
#define {upper}_MODEL_LENGTH {length}

/* Number of classes, which is the number of outputs. */
#define {upper}_NUM_LABELS {num_labels}

#define {upper}_NUM_OPERATORS {len(methods)}

{_arena_size(upper, contents.arena_bytes, arena)}
{_constants(f"{upper}_INPUT", "input", contents.inputs[0])}
{_constants(f"{upper}_OUTPUT", "output", contents.outputs[0])}
#ifdef __cplusplus
extern "C" {{
#endif

/* The model, aligned to 16 bytes. */
extern const unsigned char {prefix}_model[{upper}_MODEL_LENGTH];
extern const size_t {prefix}_model_length;

/* Class names in the order of the outputs, UTF-8. */
extern const char* const {prefix}_labels[{upper}_NUM_LABELS];

/* Methods of tflite::MicroMutableOpResolver that add the operators. */
extern const char* const {prefix}_operators[{upper}_NUM_OPERATORS];

#ifdef __cplusplus
}}  /* extern "C" */
#endif

#endif  /* GARMENTLITE_{upper}_H_ */
"""


def _arena_size(upper: str, activation_bytes: int, arena: Arena | UnknownArena) -> str:
    if isinstance(arena, UnknownArena):
        text = (
            f"The size of the arena was not measured, because {arena.reason}. So {upper}_ARENA_BYTES is not "
            f"defined. Without a measurement, define a size above the {activation_bytes} bytes that the "
            "activations alone take."
        )
        lines = textwrap.fill(
            text, 105, initial_indent="/* ", subsequent_indent=" * ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        return f"{lines}\n */\n"
    return f"""\
/* Size of the arena in bytes, measured by {arena.measured_by}.
 * Align the arena to 16 bytes. A processor of 32 bits needs less, because its pointers are smaller. Kernels
 * made for one kind of processor, such as CMSIS-NN, may need more; AllocateTensors() fails in an arena that
 * is too small.
 */
#define {upper}_ARENA_BYTES {arena.num_bytes}
"""


def _constants(prefix: str, side: str, tensor: Tensor) -> str:
    shape = " x ".join(str(size) for size in tensor.shape)
    if not tensor.scales:
        return f"/* {side.capitalize()}: {shape}, {tensor.dtype}, not scaled. */\n"
    return (
        f"/* {side.capitalize()}: {shape}, {tensor.dtype}; real = ({side} - zero point) * scale. */\n"
        f"#define {prefix}_SCALE {_float_literal(tensor.scales[0])}\n"
        f"#define {prefix}_ZERO_POINT ({tensor.zero_points[0]})\n"
    )


def _float_literal(value: float) -> str:
    """Writes a float32 with the nine digits that bring back the same bits."""
    digits = f"{np.float32(value):.9g}"
    return f"{digits}f" if re.search("[.e]", digits) else f"{digits}.0f"


def _source(
    header_name: str, prefix: str, flatbuffer: bytes, labels: Sequence[str], methods: Sequence[str]
) -> str:
    upper = prefix.upper()
    lines = (
        "    0x" + flatbuffer[start : start + _BYTES_PER_LINE].hex(",").replace(",", ", 0x") + ",\n"
        for start in range(0, len(flatbuffer), _BYTES_PER_LINE)
    )
    return f"""\
// Written by garmentlite; do not edit.
#include "{header_name}"

alignas(16) const unsigned char {prefix}_model[{upper}_MODEL_LENGTH] = {{
{"".join(lines)}}};

const size_t {prefix}_model_length = {upper}_MODEL_LENGTH;

const char* const {prefix}_labels[{upper}_NUM_LABELS] = {{
{_string_lines(labels)}}};

const char* const {prefix}_operators[{upper}_NUM_OPERATORS] = {{
{_string_lines(methods)}}};
"""


def _string_lines(texts: Sequence[str]) -> str:
    return "".join(f"    {string_literal(text)},\n" for text in texts)
