"""Shows the content of a model file and its metadata for `cli card`, and checks that they match."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from garmentlite.convert.range_images import RangeImagesCheck, check_alone, check_manifest
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents import Contents, Tensor
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.files import sha256
from garmentlite.edge.metadata import Metadata
from garmentlite.edge.model_file import read_model_file, unusable
from garmentlite.edge.model_input import ModelInput
from garmentlite.edge.preparer import PrepareWay, usual_way
from garmentlite.edge.shipped import find_file
from garmentlite.edge.text_table import text_table
from garmentlite.train import data

_LONGEST_LIST = 12  # entries shown of a list; some lists of indices have thousands


@dataclass(frozen=True)
class AsClassifier:
    """How a model file is used as an image classifier.

    Attributes:
        model_input: What it takes.
        gives_probabilities: Whether it ends in a softmax.
        labels: Class names in the order of the outputs.
        labels_source: Where the class names come from.
        way: How pictures become its input.
    """

    model_input: ModelInput
    gives_probabilities: bool
    labels: tuple[str, ...]
    labels_source: str
    way: PrepareWay

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of it."""
        return {
            "input": self.model_input.as_document(),
            "outputs": self._outputs,
            "labels": list(self.labels),
            "labels_source": self.labels_source,
            "prepare": self.way,
        }

    def as_text(self) -> str:
        """Writes it for a terminal."""
        return _section(
            "as an image classifier",
            {
                "input": self.model_input.in_words(),
                "pictures": f"prepared with {self.way}",
                "outputs": f"{len(self.labels):,} {self._outputs}",
                "labels": list(self.labels),
                "labels from": self.labels_source,
            },
        )

    @property
    def _outputs(self) -> str:
        return "probabilities" if self.gives_probabilities else "logits"


@dataclass(frozen=True)
class Card:
    """The content of a model file.

    Attributes:
        path: The file.
        size: Its size in bytes.
        sha256: Checksum of the whole file.
        flatbuffer_size: Size of the model without its metadata, in bytes.
        flatbuffer_sha256: Checksum of the model without its metadata.
        contents: The tensors and operators of the model; None if the model is damaged.
        damage: What is wrong with a damaged model, a part of a sentence; empty otherwise.
        metadata: The metadata in the file; None if it has none.
        range_images: The check of the images that set the quantization ranges; None if none are recorded.
        classifier: How it is used as an image classifier; None if it cannot be used as one.
        refusal: Why it cannot be used as one, a sentence; empty if it can, or is damaged or changed.
    """

    path: Path
    size: int
    sha256: str
    flatbuffer_size: int
    flatbuffer_sha256: str
    contents: Contents | None
    damage: str
    metadata: Metadata | None
    range_images: RangeImagesCheck | None
    classifier: AsClassifier | None
    refusal: str

    @property
    def unchanged(self) -> bool | None:
        """Whether the model still has the checksum in its metadata; None without metadata."""
        if self.metadata is None:
            return None
        return self.flatbuffer_sha256 == self.metadata.flatbuffer_sha256

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the file, one sentence for each fault."""
        found = []
        if self.unchanged is False:
            found.append(
                f"{self.path} was changed after it was made: its checksum differs from the one in its "
                "metadata, so its metadata may be wrong. It is not run; copy it again."
            )
        if self.damage:
            found.append(f"{self.path} holds a model that cannot be read: {self.damage}.")
        shape = self.contents.outputs[0].shape if self.contents else None
        if self.metadata and shape and shape[-1] != len(self.metadata.labels):
            found.append(
                f"{self.path} has {len(self.metadata.labels)} labels, but its output has shape {shape}."
            )
        if self.range_images and self.range_images.passed is False:
            found.append(
                f"{self.path}: images that set the quantization ranges: {self.range_images.sentence}."
            )
        return found

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the metadata's fields, null where there is none, and the contents."""
        stated = (
            asdict(self.metadata) if self.metadata else {f.name: None for f in fields(Metadata)}
        )
        return {
            **stated,
            "file": {"path": str(self.path), "bytes": self.size, "sha256": self.sha256},
            "flatbuffer": {"bytes": self.flatbuffer_size, "sha256": self.flatbuffer_sha256},
            "unchanged": self.unchanged,
            "warnings": self.warnings,
            "contents": self.contents.as_document() if self.contents else None,
            "calibration_check": self.range_images.as_document() if self.range_images else None,
            "classifier": self.classifier.as_document() if self.classifier else None,
            "not_a_classifier": self.refusal or None,
        }

    def as_text(self) -> str:
        """Writes the card for a terminal."""
        contents = _text_of_contents(self.contents) if self.contents else f"damaged: {self.damage}"
        blocks = [self._head(), contents]
        if self.classifier:
            blocks.append(self.classifier.as_text())
        elif self.refusal:
            blocks.append(_section("as an image classifier", {"not used": self.refusal}))
        if self.metadata:
            blocks += _text_of_metadata(self.metadata, self.range_images)
        text = "\n\n".join(blocks)
        # The metadata may come from anybody; it must not control the terminal.
        return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)

    def _head(self) -> str:
        behind = self.size - self.flatbuffer_size
        lines = [f"{self.path.name}: {self.size:,} bytes, SHA-256 {self.sha256}"]
        if not self.metadata:
            lines.append("no metadata of garmentlite: preparation and origin are not known")
            return "\n".join(lines)
        state = "unchanged since it was made" if self.unchanged else "CHANGED after it was made"
        lines.append(
            f"flatbuffer of {self.flatbuffer_size:,} bytes, {state}; {behind:,} bytes of metadata"
        )
        return "\n".join(lines)


def read_card(
    path: Path,
    data_dir: Path | None = None,
    *,
    labels: Sequence[str] | None = None,
    input_range: str | None = None,
) -> Card:
    """Reads a model file of any origin. It is run only if it passes the checks of `edge.model_file`.

    Args:
        path: A `.tflite` file, or the name of a shipped one.
        data_dir: Folder of Fashion-MNIST, with which the images that set the quantization ranges are
            compared; None to look where it usually is. Nothing is downloaded.
        labels: Class names in place of those in the file.
        input_range: The numbers that stand for the pixels in a file of another program; None to find them
            out.

    Raises:
        ModelError: If the file cannot be read, is not a model, or is a shipped one that is not installed.
        DataError: If `data_dir` does not hold the data set.
        OptionError: If no range has the given name.
    """
    path = find_file(path)
    file = read_model_file(path, "name a .tflite file")
    metadata, damage = file.metadata, ""
    contents: Contents | None = None
    try:
        contents = read_contents(file.flatbuffer)
    except ModelError as error:
        if metadata is None:
            raise unusable(path, error, "name a .tflite file") from error
        damage = str(error)
    manifest = metadata.quantization.get("calibration") if metadata else None
    classifier, refusal = None, ""
    if contents and file.is_unchanged is not False:
        try:
            classifier = _as_classifier(Classifier(path, labels=labels, input_range=input_range))
        except ModelError as error:
            if labels or input_range:
                raise
            refusal = str(error)
    return Card(
        path=path,
        size=file.size,
        sha256=file.sha256,
        flatbuffer_size=len(file.flatbuffer),
        flatbuffer_sha256=sha256(file.flatbuffer),
        contents=contents,
        damage=damage,
        metadata=metadata,
        range_images=_check_range_images(manifest, data_dir) if manifest else None,
        classifier=classifier,
        refusal=refusal,
    )


def _as_classifier(opened: Classifier) -> AsClassifier:
    return AsClassifier(
        model_input=opened.model_input,
        gives_probabilities=opened.outputs_probabilities,
        labels=tuple(opened.labels),
        labels_source=opened.labels_source,
        way=usual_way(opened.model_input),
    )


def _check_range_images(manifest: Any, data_dir: Path | None) -> RangeImagesCheck:
    alone = check_alone(manifest)
    if alone:
        return alone
    if data_dir is None and not os.environ.get("FASHION_MNIST_DIR"):
        # The data set is not downloaded for this, because printing a card must not take minutes.
        there = [folder for folder in (data.DEBIAN_FOLDER, data.cache_folder()) if folder.is_dir()]
        if not there:
            return RangeImagesCheck(
                None, "not checked, because Fashion-MNIST is not on this machine; see --data-dir"
            )
        try:
            return check_manifest(manifest, data.load(there[0]))
        except DataError as error:
            return RangeImagesCheck(None, f"not checked: {error}")
    return check_manifest(manifest, data.load(data_dir))


def _text_of_contents(contents: Contents) -> str:
    lines = [f"input   {_tensor_text(tensor)}" for tensor in contents.inputs]
    lines += [f"output  {_tensor_text(tensor)}" for tensor in contents.outputs]
    rows = [
        [
            step.name,
            _shape(step.outputs[0].shape) if step.outputs else "",
            " ".join(tensor.dtype for tensor in step.inputs),
            " ".join(tensor.dtype for tensor in step.outputs),
            f"{step.macs:,}" if step.macs else "",
        ]
        for step in contents.steps
    ]
    lines += ["", text_table(["operator", "output", "reads", "writes", "MACs"], rows), ""]
    types = ", ".join(f"{count} {dtype}" for dtype, count in contents.tensor_types.items())
    islands = ", ".join(step.name for step in contents.float_islands) or "none"
    inside = f"float islands: {islands}" if contents.is_integer else "activations: float"
    lines += [
        f"{len(contents.steps)} operators, {contents.parameters:,} parameters, {contents.macs:,} MACs",
        f"tensors: {types}; {inside}",
        f"arena: at least {contents.arena_bytes:,} bytes of activations (an estimate; a runtime adds "
        "its own records)",
    ]
    return "\n".join(lines)


def _text_of_metadata(metadata: Metadata, range_images: RangeImagesCheck | None) -> list[str]:
    threshold = metadata.unknown_threshold
    blocks = [
        _section(
            metadata.name,
            {
                "labels": ", ".join(metadata.labels),
                "preparation": _plain(metadata.preparation),
                "views": ", ".join(metadata.views),
                "temperature": metadata.temperature,
                "unknown": "never" if threshold is None else f"below a confidence of {threshold}",
                "float model": f"SHA-256 {metadata.reference_sha256}",
            },
        )
    ]
    if metadata.training:
        blocks.append(_section("training", metadata.training))
    if metadata.quantization:
        stated = dict(metadata.quantization)
        manifest = stated.pop("calibration", {})
        stated["candidates"] = _ways(stated.get("candidates", []))
        blocks.append(_section("quantization", stated))
        checked = {"disjoint": range_images.sentence} if range_images else {}
        blocks.append(
            _section("images that set the quantization ranges", {**_as_dict(manifest), **checked})
        )
    if metadata.measured:
        blocks.append(_measured(metadata))
    return blocks


def _section(title: str, entries: dict[str, Any]) -> str:
    """Writes a title, and below it a line for each entry that is not empty; long lines are wrapped."""
    lines = [title]
    width = max((len(key) for key in entries), default=0)
    for key, value in entries.items():
        if value not in (None, "", [], {}):
            indent = " " * (width + 4)
            first = f"  {key.replace('_', ' '):<{width}}  "
            text = textwrap.fill(
                _plain(value), 100, initial_indent=first, subsequent_indent=indent,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
            lines.append(text)
    return "\n".join(lines)


def _plain(value: Any) -> str:
    """Formats a value of a JSON document as plain text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list):
        shown = [_plain(one) for one in value[:_LONGEST_LIST]]
        more = [f"and {len(value) - len(shown):,} more"] if len(value) > len(shown) else []
        return ", ".join([*shown, *more])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ways(candidates: Any) -> Any:
    """Lists the ways to int8 that were tried, with the validation images that each changed."""
    try:
        return "; ".join(
            f"{one['way']}: {one['changed']} of {one['validation_images']:,} changed"
            for one in candidates
        )
    except (KeyError, TypeError, ValueError):
        return candidates  # written by another program, so it is shown as it is


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"record": value}


def _measured(metadata: Metadata) -> str:
    """Lists recall and precision of each class, side by side for each data set."""
    try:
        head, columns, accuracy = ["class"], [], ["accuracy"]
        for part, figures in metadata.measured.items():
            head += [f"{part} recall", "precision"]
            columns += [figures["recall_per_class"], figures["precision_per_class"]]
            accuracy += [f"{figures['accuracy']:.2%}", ""]
        rows = [
            [label, *(_percent(column[label]) for column in columns)] for label in metadata.labels
        ]
        return text_table(head, [*rows, accuracy])
    except (KeyError, TypeError, ValueError, AttributeError):
        return _section("measured", metadata.measured)  # written by another program


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _tensor_text(tensor: Tensor) -> str:
    text = f"{_shape(tensor.shape_signature)} {tensor.dtype}"
    if len(tensor.scales) == 1:
        text += f", scale {tensor.scales[0]:.9g}, zero point {tensor.zero_points[0]}"
    return text


def _shape(shape: Sequence[int]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)
