"""Measures how much memory TFLite Micro needs to run a model: its arena.

The Python package tflite-micro (the `microcontroller` extra) is TFLite Micro with its portable kernels.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

PACKAGE = "tflite-micro"
# TFLite Micro writes its sizes to standard error, and a model that it cannot run may end its process. So it
# runs in a process of its own. The multiple of 16 bytes keeps both ends of the arena aligned.
_PROGRAM = """
import sys
from tflite_micro.python.tflite_micro import runtime
flatbuffer = sys.stdin.buffer.read()
runtime.Interpreter.from_bytes(flatbuffer, arena_size=16 * len(flatbuffer)).print_allocations()
"""


@dataclass(frozen=True)
class Arena:
    """The memory for activations, and for what TFLite Micro has to remember about a model.

    Attributes:
        num_bytes: Size of the arena in bytes.
        measured_by: The package, its version and the processor, such as "tflite-micro 0.1 on x86_64".
    """

    num_bytes: int
    measured_by: str


def measure_arena(flatbuffer: bytes) -> Arena | None:
    """Lets TFLite Micro prepare a model and asks it for the size of its arena.

    A microcontroller needs less than a 64-bit computer, because its pointers are smaller. Kernels made for
    one kind of processor may need more.

    Args:
        flatbuffer: The model without metadata.

    Returns:
        The arena; None if the package is not installed or cannot run the model.
    """
    try:
        installed = version(PACKAGE)
    except PackageNotFoundError:
        return None
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM], input=flatbuffer, capture_output=True, check=False
    )
    total = re.search(rb"Arena allocation total (\d+) bytes", done.stderr)
    if done.returncode or total is None:
        return None
    return Arena(int(total[1]), f"{PACKAGE} {installed} on {platform.machine()}")
