"""The LiteRT runtime, imported here and nowhere else."""

from __future__ import annotations

from typing import Any, Literal

from edge import native_log
from edge.errors import MissingPartError, ModelError

# default: the kernels a device uses (XNNPACK), the same bytes on x86 and Arm.
# reference: plain C++ loops, slow, up to 4 output steps away from the default ones.
Kernels = Literal["default", "reference"]

FLATBUFFER_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite (schema.fbs, file_identifier)


def make_interpreter(
    flatbuffer: bytes, *, num_threads: int = 1, kernels: Kernels = "default"
) -> Any:
    """An interpreter with its tensors allocated.

    Args:
        flatbuffer: The bytes of a `.tflite` file; bytes behind the flatbuffer do no harm.
        num_threads: CPU threads of one inference.
        kernels: Which implementation of the operators runs.

    Returns:
        An `ai_edge_litert.interpreter.Interpreter`.

    Raises:
        MissingPartError: If ai-edge-litert is not installed or cannot be loaded.
        ModelError: If the bytes are not a model this runtime can run.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise MissingPartError(
            f"The LiteRT runtime cannot be loaded ({error}); install it with 'pip install "
            "ai-edge-litert' (64-bit Linux with glibc 2.34 or newer, macOS or Windows)."
        ) from error
    if flatbuffer[4:8] != FLATBUFFER_IDENTIFIER:
        raise ModelError("the bytes do not start like a TFLite model (no 'TFL3' identifier)")
    resolver = {"default": OpResolverType.AUTO, "reference": OpResolverType.BUILTIN_REF}[kernels]
    try:
        with native_log.held_back():
            interpreter = Interpreter(
                model_content=flatbuffer,
                num_threads=num_threads,
                experimental_op_resolver_type=resolver,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the LiteRT runtime refuses it ({reason})") from error
    return interpreter
