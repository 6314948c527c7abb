"""TFLite Metadata is read from files as TensorFlow's and MediaPipe's writers make them."""

import flatbuffers
import numpy as np
import pytest

from garmentlite.edge.errors import ModelError
from garmentlite.edge.model_input import InputRange
from garmentlite.edge.runtime import pack, unpack
from garmentlite.edge.tflite_metadata import TfliteMetadata, read_tflite_metadata


def tflite_metadata(mean=(), std=(), files=()):
    """Builds the flatbuffer of the metadata, field by field (metadata_schema.fbs).

    `files` are the name, the type (2: labels of an axis) and the locale of the files of the output.
    """
    builder = flatbuffers.Builder()

    def table(*slots):
        """A table of (field, method that prepends, value)."""
        builder.StartObject(8)
        for field, prepend, value in slots:
            prepend(field, value, 0)
        return builder.EndObject()

    def vector(places):
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return builder.EndVector()

    offset, byte = builder.PrependUOffsetTRelativeSlot, builder.PrependUint8Slot
    numbers = [builder.CreateNumpyVector(np.array(one, np.float32)) for one in (mean, std)]
    options = table((0, offset, numbers[0]), (1, offset, numbers[1]))
    unit = table((0, byte, 1), (1, offset, options))
    image = table((4, offset, vector([unit])))
    names = [
        (builder.CreateString(name), kind, builder.CreateString(locale))
        for name, kind, locale in files
    ]
    entries = [
        table((0, offset, n), (2, byte, kind), (3, offset, place)) for n, kind, place in names
    ]
    scores = table((6, offset, vector(entries)))
    subgraph = table((2, offset, vector([image])), (3, offset, vector([scores])))
    builder.Finish(table((3, offset, vector([subgraph]))), file_identifier=b"M001")
    return bytes(builder.Output())


def with_metadata(flatbuffer, content, name=b"TFLITE_METADATA"):
    """Puts metadata into a model as the writers do: in a buffer of its own, under a name."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(flatbuffer)
    buffer, record = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    record.name, record.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [record]
    return pack(model)


@pytest.fixture(scope="module")
def flatbuffer(dense_model):
    return dense_model(np.ones((4, 36)), np.zeros(4), io="float32")


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        pytest.param((127.5,), (127.5,), id="one"),
        pytest.param((123.7, 116.3, 103.5), (58.4, 57.1, 57.4), id="channels"),
    ],
)
def test_read_tflite_metadata_gives_the_normalization(flatbuffer, mean, std):
    found = read_tflite_metadata(with_metadata(flatbuffer, tflite_metadata(mean, std)))
    np.testing.assert_allclose(found.input_range.mean, mean, rtol=1e-6)  # float32
    np.testing.assert_allclose(found.input_range.std, std, rtol=1e-6)


def test_read_tflite_metadata_repeats_a_single_deviation_for_all_channels(flatbuffer):
    content = tflite_metadata((1.0, 2.0, 3.0), (64.0,))
    found = read_tflite_metadata(with_metadata(flatbuffer, content))
    assert found.input_range == InputRange((1.0, 2.0, 3.0), (64.0, 64.0, 64.0))


def test_read_tflite_metadata_gives_the_file_of_the_labels_without_a_locale(flatbuffer):
    files = [("german.txt", 2, "de"), ("scores.csv", 4, ""), ("labels.txt", 2, "")]
    found = read_tflite_metadata(with_metadata(flatbuffer, tflite_metadata(files=files)))
    assert found == TfliteMetadata(None, "labels.txt")


def test_read_tflite_metadata_of_a_file_without_it_is_empty(flatbuffer):
    assert read_tflite_metadata(flatbuffer) == TfliteMetadata()
    other = with_metadata(flatbuffer, b"1.14.0\0\0\0", b"min_runtime_version")
    assert read_tflite_metadata(other) == TfliteMetadata()
    empty = with_metadata(flatbuffer, b"")
    assert read_tflite_metadata(empty) == TfliteMetadata()


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.0,), (0.0,)),
        ((0.0,), (-1.0,)),
        ((float("nan"),), (1.0,)),
        ((0.0,), (float("inf"),)),
        ((0.0, 0.0), (1.0, 1.0, 1.0)),
    ],
)
def test_read_tflite_metadata_of_a_normalization_that_is_not_possible_is_refused(
    flatbuffer, mean, std
):
    with pytest.raises(ModelError, match="states a normalization that is not possible"):
        read_tflite_metadata(with_metadata(flatbuffer, tflite_metadata(mean, std)))


def test_read_tflite_metadata_that_is_damaged_anywhere_is_a_model_error_or_read(flatbuffer):
    content = tflite_metadata((127.5,), (127.5,), [("labels.txt", 2, "")])
    refused = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        try:
            read_tflite_metadata(with_metadata(flatbuffer, bytes(damaged)))
        except ModelError:
            refused += 1
    assert refused > 0
