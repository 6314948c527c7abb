"""Loads and runs a model in a child process, so that a model that crashes ends only this process.

It reads a flatbuffer from standard input. The exit status is 0 if the model ran. It is `REFUSED`, with a part
of a sentence on standard output, if the runtime refused the model. Any other status means that the model
ended the process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress

import numpy as np

from garmentlite.edge.errors import ModelError
from garmentlite.edge.runtime import Kernels, make_interpreter

ALL_KERNELS: tuple[Kernels, ...] = ("default", "undelegated", "reference")
REFUSED = 3
MEMORY_LIMIT = (
    1 << 30
)  # bytes of address space; Python, NumPy and LiteRT take 132 MB (measured on x86)
CPU_LIMIT_S = 60


def limit_resources() -> None:
    """Bounds memory and CPU time of this process, and keeps it from writing a core file."""
    try:
        import resource
    except ImportError:  # Windows has only the parent's time limit
        return
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_LIMIT),
        (resource.RLIMIT_CPU, CPU_LIMIT_S),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(OSError, ValueError):  # macOS does not limit the address space
            resource.setrlimit(limit, (allowed, allowed))


def run(flatbuffer: bytes, kernels: Sequence[Kernels] = ALL_KERNELS) -> None:
    """Loads and runs a model with each of some kernels, by default all that garmentlite uses.

    Raises:
        ModelError: If the runtime refuses the model; the message is a part of a sentence.
    """
    for name in kernels:
        # The reference kernels lack some operators, which is not the model's fault.
        with suppress(ModelError) if name == "reference" else nullcontext():
            _run_with(flatbuffer, name)


def main() -> int:
    """Runs the model on standard input; see the module."""
    limit_resources()
    try:
        run(sys.stdin.buffer.read())
    except ModelError as error:
        sys.stdout.write(str(error))
        return REFUSED
    return 0


def _run_with(flatbuffer: bytes, kernels: Kernels) -> None:
    # What native code writes stays on standard error, where the parent reads the last lines.
    interpreter = make_interpreter(flatbuffer, kernels=kernels, hold_back=False)
    rng = np.random.default_rng(0)
    try:
        for highest in (0, 255):  # an image of zeros, and noise
            for details in interpreter.get_input_details():
                image = np.zeros(details["shape"], details["dtype"])
                noise = rng.integers(0, highest, image.nbytes, np.uint8, endpoint=True)
                image = np.nan_to_num(noise.view(image.dtype)).reshape(image.shape)
                interpreter.set_tensor(details["index"], image)
            interpreter.invoke()
            for details in interpreter.get_output_details():
                interpreter.get_tensor(details["index"])
    except (ValueError, RuntimeError, OverflowError, TypeError, MemoryError) as error:
        raise ModelError(f"the LiteRT runtime cannot run it ({error})") from error


if __name__ == "__main__":
    sys.exit(main())
