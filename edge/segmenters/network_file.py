"""The file of a segmentation network: it takes a small square picture and gives a logit for each pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from garmentlite.edge.errors import ModelError
from garmentlite.edge.metadata import Metadata, attach
from garmentlite.edge.model_file import open_model_file, unusable
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.runtime import make_interpreter
from garmentlite.edge.shipped import FOLDER

SIDE = 96  # pixels, both sides of the square that the network takes and gives
FILE = "segmenter.tflite"
WAY_OUT = "install garmentlite again, or use '--segment grabcut'"


def with_checksum(flatbuffer: bytes) -> bytes:
    """Makes the bytes of a segmenter's file: the flatbuffer, and behind it metadata with its checksum."""
    metadata = Metadata(
        name="segmenter", labels=["garment"], preparation={}, temperature=1.0, unknown_threshold=None,
        reference_sha256="", flatbuffer_sha256="",
    )  # fmt: skip
    return attach(flatbuffer, metadata)


def garment_weights(logits: np.ndarray) -> np.ndarray:
    """Computes how much each pixel counts as garment when colours are counted.

    Args:
        logits: float32, any shape: the logit of the probability that a pixel is garment.

    Returns:
        float32, same shape: that probability in multiples of 1/256, whose sums are the same on every
        machine; or 0 where it is at most 0.5, since the many pixels that are hardly garment would together
        outweigh a small garment.
    """
    weights = np.rint(256 / (1 + np.exp(-logits))) / 256
    return np.where(logits > 0, weights, np.float32(0))


class SegmentationNetwork:
    """An int8 network that computes for each pixel how certainly it belongs to the garment.

    The file's input is pixel / 255 and its output a logit. Build it once and call it for every picture.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Reads the network.

        Args:
            path: A `.tflite` file; None reads the shipped one.

        Raises:
            ModelError: If the file is missing, or is not a segmentation network.
            MissingPartError: If the LiteRT runtime is not installed.
        """
        path = path or FOLDER / FILE
        file = open_model_file(path, WAY_OUT)
        try:
            self._interpreter = make_interpreter(file.flatbuffer)
            self._read_signature()
        except ModelError as error:
            raise unusable(path, error, WAY_OUT) from error

    def levels(self, square_rgb: np.ndarray) -> np.ndarray:
        """Runs the network and gives integers, which every machine resizes to the same values.

        Args:
            square_rgb: uint8, shape (SIDE, SIDE, 3).

        Returns:
            uint8, shape (SIDE, SIDE); `logits` turns them into real numbers.
        """
        quantized = load_opencv().LUT(square_rgb, self._pixel_table)
        self._interpreter.set_tensor(self._input_index, quantized[np.newaxis])
        self._interpreter.invoke()
        quantized = self._interpreter.get_tensor(self._output_index)[0, ..., 0]
        return quantized.view(np.uint8) ^ np.uint8(128)  # int8 -128..127 to 0..255

    def logits(self, levels: np.ndarray) -> np.ndarray:
        """Turns levels, uint8 of any shape, into logits, float32 of the same shape; above 0 means garment."""
        return self._logit_table.take(levels)

    def garment_weights(self, levels: np.ndarray) -> np.ndarray:
        """Turns levels, uint8 of any shape, into the weights that `garment_weights` gives to their logits."""
        return self._weight_table.take(levels)

    def _read_signature(self) -> None:
        (taken,) = self._interpreter.get_input_details()
        (given,) = self._interpreter.get_output_details()
        for details, channels in ((taken, 3), (given, 1)):
            shape, dtype = tuple(int(side) for side in details["shape"]), np.dtype(details["dtype"])
            if shape != (1, SIDE, SIDE, channels) or dtype != np.int8:
                raise ModelError(
                    f"it has a tensor {dtype} of shape {shape}, expected int8 of shape "
                    f"{(1, SIDE, SIDE, channels)}"
                )
        pixels = Quantization(np.dtype(np.int8), *taken["quantization"])
        self._pixel_table = pixels.quantize(np.arange(256, dtype=np.float32) / np.float32(255))
        logits = Quantization(np.dtype(np.int8), *given["quantization"])
        self._logit_table = logits.dequantize(np.arange(-128, 128).astype(np.int8))
        self._weight_table = garment_weights(self._logit_table)
        self._input_index, self._output_index = taken["index"], given["index"]
