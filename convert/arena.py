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

from garmentlite.edge.contents import ARENA_ALIGNMENT, Contents
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError

PACKAGE = "tflite-micro"
# On a PC, TFLite Micro prepares each shipped model within a quarter of a second.
TIMEOUT_S = 60
LARGEST_ARENA = 256 << 20  # bytes; no microcontroller has so much memory

# Upper limits of what TFLite Micro puts into the arena beside the activations, on a 64-bit computer. The
# record of a tensor (TfLiteEvalTensor, TfLiteTensor and the planner's request) and that of an operator (its
# node and the data of its kernel) have a few hundred bytes. The multiplier and the shift that are made of a
# scale have 8 bytes. A kernel's scratch buffers hold copies of its inputs and outputs, with at most 4 bytes
# for each element.
_RECORD_BYTES = 1024
_SCALE_BYTES = 8
_SCRATCH_BYTES = 4
_INTERPRETER_BYTES = 16 << 10

# TFLite Micro writes its sizes to standard error, and a model that it cannot run may end its process. So it
# runs in a process of its own.
_PROGRAM = """
import sys
from tflite_micro.python.tflite_micro import runtime
flatbuffer = sys.stdin.buffer.read()
runtime.Interpreter.from_bytes(flatbuffer, arena_size=int(sys.argv[1])).print_allocations()
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


@dataclass(frozen=True)
class UnknownArena:
    """An arena that was not measured.

    Attributes:
        reason: Why not, and what to do; a part of a sentence that follows "because".
    """

    reason: str


def measure_arena(flatbuffer: bytes) -> Arena | UnknownArena:
    """Lets TFLite Micro prepare a model and asks it for the size of its arena.

    A microcontroller needs less than a 64-bit computer, because its pointers are smaller. Kernels made for
    one kind of processor may need more.

    Args:
        flatbuffer: The model without metadata.

    Returns:
        The arena, or why it is unknown: the package is not installed, it cannot run the model in
        `LARGEST_ARENA`, or it takes longer than `TIMEOUT_S`.
    """
    try:
        installed = version(PACKAGE)
    except PackageNotFoundError:
        return UnknownArena(
            f"the Python package {PACKAGE} is not installed; install it and convert again"
        )
    try:
        size = most_arena_bytes(read_contents(flatbuffer))
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(size)], input=flatbuffer,
            capture_output=True, check=False, timeout=TIMEOUT_S,
        )  # fmt: skip
    except ModelError as error:
        return UnknownArena(f"the model cannot be read ({error})")
    except subprocess.TimeoutExpired:
        return UnknownArena(
            f"{PACKAGE} did not prepare the model within {TIMEOUT_S} s; convert again while the computer has "
            "less to do"
        )
    total = re.search(rb"Arena allocation total (\d+) bytes", done.stderr)
    if done.returncode or total is None:
        return UnknownArena(
            f"{PACKAGE} {installed} cannot run the model in {size / 1e6:,.1f} MB of memory"
        )
    return Arena(int(total[1]), f"{PACKAGE} {installed} on {platform.machine()}")


def most_arena_bytes(contents: Contents) -> int:
    """Computes a size in bytes that is enough for TFLite Micro to run a model, at most `LARGEST_ARENA`.

    No memory is used twice in this sum: it has all activations, the scratch buffers of all operators, and all
    records. Weights stay in the flatbuffer.
    """
    activations = sum(
        one.num_bytes + ARENA_ALIGNMENT for one in contents.tensors if not one.is_constant
    )
    scratch = sum(
        _SCRATCH_BYTES * sum(one.size for one in (*step.inputs, *step.outputs)) + ARENA_ALIGNMENT
        for step in contents.steps
    )
    records = _INTERPRETER_BYTES + _RECORD_BYTES * (len(contents.tensors) + len(contents.steps))
    records += _SCALE_BYTES * sum(len(one.scales) for one in contents.tensors)
    # A multiple of 16 bytes keeps both ends of the arena aligned.
    aligned = -(-(activations + scratch + records) // ARENA_ALIGNMENT) * ARENA_ALIGNMENT
    return min(aligned, LARGEST_ARENA)
