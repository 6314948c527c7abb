"""The cost of one inference on this machine: its time, its memory, and the kernels that compute it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.model_input import CONTRACT
from garmentlite.edge.runtime import make_interpreter

WARMUP_RUNS, TIMED_RUNS = 10, 50
_PROCESS_STATUS = Path("/proc/self/status")  # Linux only
_PROCESS_CLEAR_REFS = Path("/proc/self/clear_refs")

# "XNNPACK": the fast kernels compute the whole network. "in part": some operators run in the runtime's
# built-in kernels. "built-in": all operators do, which is often a hundred times slower.
KernelsUsed = Literal["XNNPACK", "in part", "built-in"]


def latency_ms(classifiers: Sequence[Classifier]) -> np.ndarray:
    """Times single inferences. The files take turns, so that other work on the machine affects all equally.

    Args:
        classifiers: The classifiers, each with its own number of threads.

    Returns:
        float64, shape (files, TIMED_RUNS), milliseconds from the uint8 image to the raw outputs.
    """
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (1, *one.image_size), np.uint8) for one in classifiers]
    times = np.empty((len(classifiers), TIMED_RUNS))
    for run in range(-WARMUP_RUNS, TIMED_RUNS):
        for row, (classifier, image) in enumerate(zip(classifiers, images, strict=True)):
            start = time.perf_counter()
            classifier.raw_outputs(image)
            if run >= 0:
                times[row, run] = (time.perf_counter() - start) * 1000
    return times


def peak_memory_bytes(path: Path) -> int | None:
    """Measures the memory that a model needs: by how much the resident memory of a fresh process grows.

    This counts the file, the runtime's copy of it, the parts of the runtime that it uses, and one inference.

    Args:
        path: A `.tflite` file.

    Returns:
        Bytes at the peak; None on systems other than Linux, which do not tell.
    """
    if not _PROCESS_STATUS.exists():
        return None
    code = (
        "import sys; from garmentlite.edge import footprint; "
        "footprint.print_peak_memory(sys.argv[1])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    figure = json.loads(result.stdout)
    return None if figure is None else int(figure)


def print_peak_memory(path: str) -> None:
    """Prints the result of `peak_memory_bytes` as JSON. It must run in a process that did nothing else."""
    with suppress(ModelError):
        make_interpreter(b"")  # loads the runtime, whose own memory is not counted
    try:
        # This resets the peak (man proc_pid_clear_refs).
        _PROCESS_CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        sys.stdout.write("null")
        return
    before = _resident_bytes("VmRSS")
    classifier = Classifier(path, input_range=CONTRACT)  # the memory is the same for any range
    classifier.raw_outputs(np.zeros((1, *classifier.image_size), np.uint8))
    sys.stdout.write(json.dumps(_resident_bytes("VmHWM") - before))


def kernels_used(flatbuffer: bytes) -> KernelsUsed:
    """Finds out which kernels compute a model, by the operators that the default delegate took over.

    Args:
        flatbuffer: A model that `make_interpreter` accepts.
    """
    interpreter = make_interpreter(flatbuffer)
    inputs = {details["index"] for details in interpreter.get_input_details()}
    outputs = {details["index"] for details in interpreter.get_output_details()}
    # No public function lists the operators; the runtime's own benchmark uses this one.
    taken = [node for node in interpreter._get_ops_details() if node["op_name"] == "DELEGATE"]
    if not taken:
        return "built-in"
    whole = any(inputs <= set(node["inputs"]) and outputs <= set(node["outputs"]) for node in taken)
    return "XNNPACK" if whole else "in part"


def _resident_bytes(field: str) -> int:
    for line in _PROCESS_STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024  # the file counts in KiB
    raise ValueError(f"{_PROCESS_STATUS} has no {field}")
