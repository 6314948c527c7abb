"""Reads TFLite Metadata, in which other programs record how a model file is to be used.

It is a flatbuffer of its own, stored in the model under a name. Its schema is `metadata_schema.fbs` of
github.com/tensorflow/tflite-support; the numbers below are the positions of its fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from garmentlite.edge.contents_reader import read_record
from garmentlite.edge.errors import ModelError
from garmentlite.edge.flatbuffer import Flatbuffer, Table
from garmentlite.edge.model_input import InputRange

_RECORD, _IDENTIFIER = "TFLITE_METADATA", b"M001"
_MODEL_SUBGRAPHS = 3
_SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS = 2, 3
_TENSOR_PROCESS_UNITS, _TENSOR_FILES = 4, 6
_UNIT_OPTIONS_TYPE, _UNIT_OPTIONS = 0, 1
_NORMALIZATION = 1  # type of the options
_NORMALIZATION_MEAN, _NORMALIZATION_STD = 0, 1
_FILE_NAME, _FILE_TYPE, _FILE_LOCALE = 0, 2, 3
_AXIS_LABELS = 2  # type of a file


@dataclass(frozen=True)
class TfliteMetadata:
    """What TFLite Metadata records about an image classifier.

    Attributes:
        input_range: The normalization of the image; None if none is recorded.
        label_file: Name of the text file of labels in the zip behind the model; None if none is recorded.
    """

    input_range: InputRange | None = None
    label_file: str | None = None


def read_tflite_metadata(flatbuffer: bytes) -> TfliteMetadata:
    """Reads the TFLite Metadata of a model with one input and one output.

    Args:
        flatbuffer: The model.

    Returns:
        What is recorded; all fields are None for a model without TFLite Metadata.

    Raises:
        ModelError: If the metadata is damaged. The message is a part of a sentence.
    """
    content = read_record(flatbuffer, _RECORD)
    if content is None or content[4:8] != _IDENTIFIER:
        return TfliteMetadata()
    subgraphs = Flatbuffer(content).root().tables(_MODEL_SUBGRAPHS)
    if not subgraphs:
        return TfliteMetadata()
    inputs, outputs = (
        subgraphs[0].tables(field) for field in (_SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS)
    )
    return TfliteMetadata(
        input_range=_range_of(inputs[0]) if inputs else None,
        label_file=_label_file_of(outputs[0]) if outputs else None,
    )


def _range_of(tensor: Table) -> InputRange | None:
    for unit in tensor.tables(_TENSOR_PROCESS_UNITS):
        if unit.integer(_UNIT_OPTIONS_TYPE, "u1") != _NORMALIZATION:
            continue
        options = unit.table(_UNIT_OPTIONS)
        if options is None:
            continue
        mean, std = (
            tuple(float(number) for number in options.numbers(field, "f4"))
            for field in (_NORMALIZATION_MEAN, _NORMALIZATION_STD)
        )
        if not mean or not std:
            continue
        longest = max(len(mean), len(std))
        if {len(mean), len(std)} - {1, longest} or not _is_possible(mean, std):
            raise ModelError("its TFLite Metadata states a normalization that is not possible")
        return InputRange(*(one * longest if len(one) < longest else one for one in (mean, std)))
    return None


def _is_possible(mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    # Numbers beyond these limits would not leave 256 different pixel values in float32.
    return all(abs(one) < 1e6 for one in mean) and all(1e-6 < one < 1e6 for one in std)


def _label_file_of(tensor: Table) -> str | None:
    files = [
        file
        for file in tensor.tables(_TENSOR_FILES)
        if file.integer(_FILE_TYPE, "i1") == _AXIS_LABELS
    ]
    # Labels in other languages name a locale.
    files.sort(key=lambda file: file.text(_FILE_LOCALE))
    return files[0].text(_FILE_NAME) if files else None
