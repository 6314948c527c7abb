"""Reads and writes the metadata inside a model file, a small zip archive behind the flatbuffer.

The zip holds `metadata.json` and `labels.txt`; `unzip model.tflite` reads it, and the LiteRT runtime
ignores it, because a flatbuffer is addressed from its start and a zip from its end. Dates in the zip are
fixed, so the same model gives the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from garmentlite.edge.documents import Document, DocumentError, parse
from garmentlite.edge.errors import ModelError
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import is_reserved
from garmentlite.edge.read_errors import READ_ERRORS
from garmentlite.edge.zip_entries import open_archive, read_entry

FORMAT_VERSION = 2
PLAIN, MIRRORED = "plain", "mirrored"  # the views that a device can ask a network about
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold
# A `metadata.json` with neither of these fields is another program's, such as that of Ultralytics.
_OWN_FIELDS = {"format_version", "flatbuffer_sha256"}
_LARGEST_ENTRY = 1 << 20  # bytes; a card is a few kB, more is a broken or hostile file
# How the zip begins: version 2.0 of the format, no flags, deflated, the fixed date, as `attach` writes it.
_FIRST_ENTRY = b"PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x21\x00"


@dataclass(frozen=True)
class Metadata:
    """What is known about a model, stored inside its file.

    Attributes:
        name: Name of the model, such as "weighted-cnn".
        labels: The class names in the order of the outputs; all different.
        preparation: Name and version of the picture preparation it was made for.
        temperature: Logits are divided by this before softmax; above 0, fitted on validation data.
        unknown_threshold: Confidence in [0, 1] below which the answer is "unknown"; None if it never is.
        reference_sha256: Checksum of the float `.keras` file the model came from.
        flatbuffer_sha256: Checksum of the flatbuffer in front of the zip.
        training: How the float model was trained: network, seed, protocol, class weights, versions.
        quantization: How it was quantized: the way, the images that set the ranges, what each way changed.
        measured: Recall and precision per class and accuracy, by data set.
        views: The versions of an image that the network is asked about; their probabilities are averaged.
            "plain" is the image itself and comes first, "mirrored" is it mirrored left for right.
        format_version: Version of the document that was read; `attach` writes `FORMAT_VERSION`.
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
    views: tuple[str, ...] = (PLAIN,)
    format_version: int = FORMAT_VERSION


def attach(flatbuffer: bytes, metadata: Metadata) -> bytes:
    """Makes the bytes of a model file: the flatbuffer with its metadata behind it.

    Args:
        flatbuffer: A TFLite model without metadata.
        metadata: What the file says about the model; `flatbuffer_sha256` and `format_version` are
            filled in here.

    Returns:
        The whole file; the same arguments give the same bytes.

    Raises:
        ValueError: If `split` would refuse the metadata.
    """
    document = asdict(metadata) | {
        "flatbuffer_sha256": sha256(flatbuffer), "format_version": FORMAT_VERSION,
    }  # fmt: skip
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True)
    _from_document(parse(text, _LARGEST_ENTRY))
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
            # Unix on every system, because the bytes must not depend on the machine.
            entry.create_system = 3
            archive.writestr(entry, content)
    return buffer.getvalue()


def split(content: bytes) -> tuple[bytes, Metadata | None]:
    """Takes a model file apart.

    Args:
        content: The bytes of a `.tflite` file from any program.

    Returns:
        The flatbuffer, and the metadata behind it; None if garmentlite wrote none.

    Raises:
        ModelError: If there is metadata but it is broken, cut off or of a newer format.
    """
    try:
        archive = open_archive(io.BytesIO(content))
    except READ_ERRORS:
        if _FIRST_ENTRY in content[-_LARGEST_ENTRY:]:
            raise ModelError("its end is missing or broken, and its metadata with it") from None
        return content, None
    with archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if "metadata.json" not in entries:
            return content, None
        flatbuffer = content[: min(entry.header_offset for entry in entries.values())]
        try:
            document = parse(read_entry(archive, entries["metadata.json"], _LARGEST_ENTRY))
            if not document.fields.keys() & _OWN_FIELDS:
                return content, None
            version = document.integer("format_version", 1, 1 << 31)
            if version > FORMAT_VERSION:
                raise ModelError(
                    f"its metadata is of format {version}, this program reads up to {FORMAT_VERSION}; "
                    "update garmentlite"
                )
            return flatbuffer, _from_document(document)
        except READ_ERRORS as error:
            raise ModelError(f"its metadata cannot be read ({error})") from error


def is_unchanged(flatbuffer: bytes, metadata: Metadata) -> bool:
    """Whether the flatbuffer is still the one that the metadata was written for."""
    return sha256(flatbuffer) == metadata.flatbuffer_sha256


def _from_document(document: Document) -> Metadata:
    """Reads the metadata of any format up to `FORMAT_VERSION` and checks every field."""
    version = document.integer("format_version", 1, FORMAT_VERSION)
    names = [one.name for one in fields(Metadata) if version > 1 or one.name != "views"]
    document.require_fields(
        [name for name in names if name not in ("training", "quantization", "measured")], names
    )
    threshold = (
        None
        if document.is_null("unknown_threshold")
        else document.number("unknown_threshold", 0, 1)
    )
    given = document.fields
    provenance = {
        name: document.object(name) if name in given else {}
        for name in ("training", "quantization", "measured")
    }
    return Metadata(
        name=document.line("name"),
        labels=_labels_of(document),
        preparation=document.object("preparation"),
        temperature=document.positive_number("temperature"),
        unknown_threshold=threshold,
        reference_sha256=document.text("reference_sha256"),
        flatbuffer_sha256=document.text("flatbuffer_sha256"),
        **provenance,
        views=_views_of(document) if version > 1 else _views_of_format_1(provenance["training"]),
        format_version=version,
    )


def _labels_of(document: Document) -> list[str]:
    labels = document.texts("labels")
    if not labels or not all(label.strip() for label in labels):
        raise DocumentError("labels must name at least one class, and none may be empty")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise DocumentError(f"labels must be different, got {twice!r:.40} twice")
    reserved = next((label for label in labels if is_reserved(label)), None)
    if reserved is not None:
        raise DocumentError(
            f"no class may be called {reserved!r:.40}, a name reserved for an answer"
        )
    return labels


def _views_of(document: Document) -> tuple[str, ...]:
    views = tuple(document.texts("views"))
    if views not in ((PLAIN,), (PLAIN, MIRRORED)):
        raise DocumentError(
            f"views must be ['{PLAIN}'] or ['{PLAIN}', '{MIRRORED}'], got {list(views)!r:.40}"
        )
    return views


def _views_of_format_1(training: dict[str, Any]) -> tuple[str, ...]:
    """Derives the views of a file of format 1 from whether its augmentation mirrored images."""
    augmentation = Document({"augmentation": training.get("augmentation", {})})
    return (PLAIN, MIRRORED) if augmentation.object("augmentation").get("flip") else (PLAIN,)
