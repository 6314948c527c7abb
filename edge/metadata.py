"""What a model file says of itself: a small zip behind the flatbuffer, in the same file.

The zip holds `metadata.json` and `labels.txt`; `unzip model.tflite` reads it, and the LiteRT runtime
ignores it, because a flatbuffer is addressed from its start and a zip from its end. Dates in the zip are
fixed, so the same model gives the same bytes.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import sha256

FORMAT_VERSION = 1
PLAIN, MIRRORED = "plain", "mirrored"  # the views that a device can ask a network about
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold
_LARGEST_ENTRY = 1 << 20  # bytes; a card is a few kB, more is a broken or hostile file
# How the zip begins: version 2.0 of the format, no flags, deflated, the fixed date, as `attach` writes it.
_FIRST_ENTRY = b"PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x21\x00"
# What a broken zip or document is met with, depending on the place.
_READ_ERRORS = (
    ValueError, TypeError, KeyError, EOFError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """What travels inside a model file.

    Attributes:
        name: Name of the model, such as "weighted-cnn".
        labels: The class names in the order of the outputs.
        preparation: Name and version of the picture preparation it was made for.
        temperature: Logits are divided by this before softmax; fitted on validation data.
        unknown_threshold: Confidence below which the answer is "unknown"; None where none was chosen.
        reference_sha256: Checksum of the float `.keras` file the model came from.
        flatbuffer_sha256: Checksum of the flatbuffer in front of the zip.
        training: How the float model was trained: network, seed, protocol, class weights, versions.
        quantization: How the integers were found: way, calibration manifest, changed images of each way.
        measured: Recall and precision per class and accuracy, by data set.
        format_version: Of this document.
    """

    name: str
    labels: list[str]
    preparation: dict[str, Any]
    temperature: float
    unknown_threshold: float | None
    reference_sha256: str
    flatbuffer_sha256: str
    training: dict[str, Any] = field(default_factory=dict)
    quantization: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


def attach(flatbuffer: bytes, metadata: Metadata) -> bytes:
    """The bytes of a model file: the flatbuffer with its metadata behind it.

    Args:
        flatbuffer: A TFLite model without metadata.
        metadata: What it says of itself; `flatbuffer_sha256` is filled in here.

    Returns:
        The whole file; the same arguments give the same bytes.
    """
    document = asdict(metadata) | {"flatbuffer_sha256": sha256(flatbuffer)}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True)
    buffer = io.BytesIO(flatbuffer)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            ("metadata.json", text + "\n"),
            ("labels.txt", "\n".join(metadata.labels) + "\n"),
        ):
            entry = zipfile.ZipInfo(name, _FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = (
                3  # Unix, whatever wrote it: the bytes must not depend on the machine
            )
            archive.writestr(entry, content)
    return buffer.getvalue()


def split(content: bytes) -> tuple[bytes, Metadata | None]:
    """Takes a model file apart.

    Args:
        content: The bytes of a `.tflite` file, anybody's.

    Returns:
        The flatbuffer, and the metadata behind it; None where there is none of ours.

    Raises:
        ModelError: If there is metadata but it is broken, cut off or of a newer format.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        if _FIRST_ENTRY in content[-_LARGEST_ENTRY:]:
            raise ModelError("its end is missing or broken, and its metadata with it") from None
        return content, None
    with archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if "metadata.json" not in entries:
            return content, None
        flatbuffer = content[: min(entry.header_offset for entry in entries.values())]
        if entries["metadata.json"].file_size > _LARGEST_ENTRY:
            raise ModelError("its metadata is larger than 1 MiB")
        try:
            document = json.loads(archive.read("metadata.json"), parse_constant=_refuse_constant)
            version = document["format_version"]
            if not isinstance(version, int) or version > FORMAT_VERSION:
                raise ModelError(
                    f"its metadata is of format {version}, this program reads up to {FORMAT_VERSION}; "
                    "update garmentlite"
                )
            metadata = Metadata(**document)
            _require_usable(metadata)
        except _READ_ERRORS as error:
            raise ModelError(f"its metadata cannot be read ({error})") from error
        return flatbuffer, metadata


def _require_usable(metadata: Metadata) -> None:
    """Raises ValueError if a field is not of the type or range that the program relies on."""
    if not isinstance(metadata.labels, list) or not all(
        isinstance(label, str) for label in metadata.labels
    ):
        raise ValueError("labels must be a list of names")
    for name in ("name", "reference_sha256", "flatbuffer_sha256"):
        if not isinstance(getattr(metadata, name), str):
            raise ValueError(f"{name} must be a text, got {getattr(metadata, name)!r:.40}")
    for name in ("preparation", "training", "quantization", "measured"):
        if not isinstance(getattr(metadata, name), dict):
            raise ValueError(f"{name} must be an object, got {getattr(metadata, name)!r:.40}")
    temperature, threshold = metadata.temperature, metadata.unknown_threshold
    if not _is_number(temperature) or not temperature > 0:
        raise ValueError(f"temperature must be a number above 0, got {temperature}")
    if threshold is not None and not _is_number(threshold):
        raise ValueError(f"unknown_threshold must be a number or null, got {threshold}")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def is_unchanged(flatbuffer: bytes, metadata: Metadata) -> bool:
    """Whether the flatbuffer is still the one that the metadata was written for."""
    return sha256(flatbuffer) == metadata.flatbuffer_sha256
