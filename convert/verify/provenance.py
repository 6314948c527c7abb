"""Records the files, images and machine with which a result was computed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.convert.verify.output_comparison import has_tie
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.files import sha256


@dataclass(frozen=True)
class ModelFacts:
    """A model file.

    Attributes:
        file: Name of the file, without its folder.
        sha256: Checksum of the whole file.
        input_type: Type of its input tensor, such as "int8".
        output_type: Type of its output tensor.
        reference_sha256: Checksum of the float model that its metadata names as its origin; None without
            metadata.
        logit_ties: Images whose largest output is shared by several classes (the first one wins).
        changed_on_ties: Those of them to which the two models give different answers.
    """

    file: str
    sha256: str
    input_type: str
    output_type: str
    reference_sha256: str | None
    logit_ties: int
    changed_on_ties: int


@dataclass(frozen=True)
class Provenance:
    """The files, data and machine of a report.

    Attributes:
        reference: The reference file.
        candidate: The candidate file.
        data_sha256: Checksum of the bytes of images and labels.
        runtime: Name and version of the runtime.
        kernels: "default" (XNNPACK) or "reference".
        machine: Processor, architecture and system.
    """

    reference: ModelFacts
    candidate: ModelFacts
    data_sha256: str
    runtime: str
    kernels: str
    machine: str


def facts_of(classifier: Classifier, raw: np.ndarray, changed: list[int]) -> ModelFacts:
    """Returns the facts of a file.

    Args:
        classifier: The model.
        raw: Its raw outputs, shape (N, C).
        changed: Places of the images to which the two models give different answers.
    """
    tied = has_tie(raw)
    return ModelFacts(
        file=classifier.path.name,
        sha256=classifier.sha256,
        input_type=str(classifier.input.dtype),
        output_type=str(classifier.output.dtype),
        reference_sha256=classifier.metadata.reference_sha256 if classifier.metadata else None,
        logit_ties=int(tied.sum()),
        changed_on_ties=int(tied[changed].sum()),
    )


def data_sha256(images_u8: np.ndarray, y_true: np.ndarray) -> str:
    """Computes the checksum of the bytes of the images, then of the class numbers as little-endian int64."""
    return sha256(images_u8.tobytes() + y_true.astype("<i8").tobytes())


def computed_on(classifier: Classifier) -> str:
    """Describes the machine, runtime and kernels in one line."""
    return f"{machine()}; {runtime()}, {classifier.kernels} kernels"


def runtime() -> str:
    """Returns the name and version of the runtime."""
    return f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"


def machine() -> str:
    """Describes the processor, architecture, number of cores and system, as far as the system tells."""
    processor = _processor() or platform.processor()
    parts = [processor, platform.machine(), f"{os.cpu_count()} cores", platform.platform()]
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    """Returns the name of the board or processor where Linux tells it; empty elsewhere."""
    board, cpuinfo = Path("/proc/device-tree/model"), Path("/proc/cpuinfo")
    if board.exists():
        return board.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return ""
