"""What one inference costs on this machine: time, memory, and which kernels do the work."""

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
from garmentlite.edge.runtime import make_interpreter

WARMUP_RUNS, TIMED_RUNS = 10, 50
_PROCESS_STATUS = Path("/proc/self/status")  # Linux; other systems have no such figures
_PROCESS_CLEAR_REFS = Path("/proc/self/clear_refs")

# XNNPACK: the fast kernels do the whole network. in part: some operators run in the plain ones that
# come with the runtime. built-in: all of them do, which is often a hundred times slower.
KernelsUsed = Literal["XNNPACK", "in part", "built-in"]


def latency_ms(classifiers: Sequence[Classifier]) -> np.ndarray:
    """Times of single answers, the files taking turns so that other work on the machine hits all alike.

    Args:
        classifiers: As they are to be timed, with their number of threads.

    Returns:
        float64, shape (files, TIMED_RUNS), milliseconds from uint8 image to raw outputs in Python.
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
    """Memory that a file takes: of a fresh process, resident at its worst, less before the file is read.

    Counts the file, what the runtime makes of it, its kernels as far as they are touched, and one answer.

    Args:
        path: A `.tflite` file.

    Returns:
        Bytes; None where the system does not say (it takes Linux).
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
    """Writes what `peak_memory_bytes` returns, as JSON; for a process that has done nothing else."""
    with suppress(ModelError):
        make_interpreter(b"")  # loads the runtime, which is not the file's memory
    try:
        _PROCESS_CLEAR_REFS.write_text(
            "5", encoding="ascii"
        )  # the peak begins anew (man proc_pid_clear_refs)
    except OSError:
        sys.stdout.write("null")
        return
    before = _resident_bytes("VmRSS")
    classifier = Classifier(path)
    classifier.raw_outputs(np.zeros((1, *classifier.image_size), np.uint8))
    sys.stdout.write(json.dumps(_resident_bytes("VmHWM") - before))


def kernels_used(flatbuffer: bytes) -> KernelsUsed:
    """Which kernels run a model, by what the runtime's default delegate took over.

    Args:
        flatbuffer: A model that `make_interpreter` accepts.
    """
    interpreter = make_interpreter(flatbuffer)
    inputs = {details["index"] for details in interpreter.get_input_details()}
    outputs = {details["index"] for details in interpreter.get_output_details()}
    # No public call lists the operators; the runtime's own benchmark uses this one.
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
