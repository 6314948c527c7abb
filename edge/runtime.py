"""The LiteRT runtime and the schema of its files, imported here and nowhere else."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from typing import Any, Literal

from garmentlite.edge import native_log
from garmentlite.edge.errors import MissingPartError, ModelError

# default: the kernels that a device uses (XNNPACK); on x86 and Arm they compute the same bytes, except that a
# mean may differ by one step where it is almost halfway between two (docs/pi.md).
# reference: plain C++ loops, which are slow; on 3,000 images up to 6 output steps away from the default.
# undelegated: the runtime's own fast kernels without XNNPACK, which leave the graph as the file has it.
Kernels = Literal["default", "reference", "undelegated"]

FLATBUFFER_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite (schema.fbs, file_identifier)


def require_runtime() -> None:
    """Loads the runtime.

    Raises:
        MissingPartError: If ai-edge-litert is not installed or cannot be loaded.
    """
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise MissingPartError(
            f"The LiteRT runtime cannot be loaded ({error}); install it with 'pip install "
            "ai-edge-litert' (64-bit Linux with glibc 2.34 or newer, macOS or Windows)."
        ) from error


def make_interpreter(
    flatbuffer: bytes,
    *,
    num_threads: int = 1,
    kernels: Kernels = "default",
    keep_intermediates: bool = False,
    hold_back: bool = True,
) -> Any:
    """Makes an interpreter and allocates its tensors.

    Args:
        flatbuffer: The bytes of a `.tflite` file; bytes behind the flatbuffer are ignored.
        num_threads: Number of CPU threads of one inference.
        kernels: Which implementation of the operators runs.
        keep_intermediates: Whether every tensor can be read after an inference; otherwise their memory is
            reused. The default kernels fuse operators, and the tensors between those are never available.
        hold_back: Whether what native code writes to standard error is kept from it.

    Returns:
        An `ai_edge_litert.interpreter.Interpreter`.

    Raises:
        MissingPartError: If ai-edge-litert is not installed or cannot be loaded.
        ModelError: If the bytes are not a model that this runtime can run.
    """
    require_runtime()
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if flatbuffer[4:8] != FLATBUFFER_IDENTIFIER:
        raise ModelError("the bytes do not start like a TFLite model (no 'TFL3' identifier)")
    resolver = {
        "default": OpResolverType.AUTO,
        "reference": OpResolverType.BUILTIN_REF,
        "undelegated": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    }[kernels]
    try:
        with native_log.held_back() if hold_back else nullcontext():
            interpreter = Interpreter(
                model_content=flatbuffer,
                num_threads=num_threads,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep_intermediates,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the LiteRT runtime refuses it ({reason})") from error
    return interpreter


def uses_xnnpack(interpreter: Any) -> bool:
    """Tells whether XNNPACK runs a part of the model that an interpreter holds.

    It reads the processor's features from /proc and /sys. Where these cannot be read, the runtime silently
    takes its other kernels, which are slower and compute other bytes.
    """
    # The runtime has no public function for this. It lists what XNNPACK took over as one operator.
    return any(operator["op_name"] == "DELEGATE" for operator in interpreter._get_ops_details())


def unpack(flatbuffer: bytes) -> Any:
    """Turns a model into objects that can be changed.

    Args:
        flatbuffer: The bytes of a `.tflite` file that `make_interpreter` accepts.

    Returns:
        A `ModelT` of the format's schema; a tensor's shape and an operator's inputs are NumPy arrays.
    """
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(flatbuffer, 0)


def pack(model: Any) -> bytes:
    """Turns the objects of `unpack`, with any changes, back into a flatbuffer."""
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=FLATBUFFER_IDENTIFIER)
    return bytes(builder.Output())


def operator_name(model: Any, operator: Any) -> str:
    """Returns the format's own name of an operator of an unpacked model, such as "CONV_2D"."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files know only the first, a byte; it is a placeholder where the number is larger.
    return builtin_operator(max(code.deprecatedBuiltinCode, code.builtinCode))


def builtin_operator(number: int) -> str:
    """Returns the format's own name of an operator from its number.

    Raises:
        ModelError: If the format has no operator of this number.
    """
    names = _builtin_operators()
    if number not in names:
        raise ModelError(f"it holds an operator of type {number}, which TFLite does not have")
    return names[number]


@cache
def _builtin_operators() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {
        value: name
        for name, value in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
