"""Runs a `.tflite` classifier; everything that it needs is read from the model file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge import metadata as model_metadata
from garmentlite.edge.errors import ModelError
from garmentlite.edge.labels import is_reserved
from garmentlite.edge.model_file import open_model_file, unusable
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.runtime import Kernels, make_interpreter
from garmentlite.edge.shipped import find_file


@dataclass(frozen=True)
class Prediction:
    """The answer of the network to one image.

    Attributes:
        class_id: Number of the most probable class; the lowest number if several are equally probable.
        label: Name of this class.
        confidence: Probability of this class, in [0, 1].
        probabilities: float32, shape (C,), sum 1.
    """

    class_id: int
    label: str
    confidence: float
    probabilities: np.ndarray


class Classifier:
    """Classifies grey images of the size that the model takes. Build it once and call it for every image.

    The file's input stands for pixel / 255 with background 0. Types, scales and zero points are read from
    the file, so float32, int8 and uint8 files are called in the same way.

    Attributes:
        path: The model file.
        name: Name of the model in its metadata; without metadata, the name of the file without suffix.
        labels: Class names in the order of the outputs.
        metadata: The metadata inside the file; None for a file that another program made.
        image_size: (height, width) of an input image in pixels.
        num_outputs: Number of classes.
        input: Type, scale and zero point of the input tensor.
        output: Type, scale and zero point of the output tensor.
        outputs_probabilities: Whether the network ends in a softmax.
        kernels: Which implementation of the operators runs.
        sha256: Checksum of the whole file.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        labels: Sequence[str] | None = None,
        num_threads: int = 1,
        kernels: Kernels = "default",
    ) -> None:
        """Reads a model file and prepares its interpreter.

        Args:
            path: A `.tflite` file, or the name of a shipped one such as "garment-net_int8.tflite".
            labels: Class names, for a file without metadata; such a file gets numbered names otherwise.
            num_threads: Number of CPU threads of one inference.
            kernels: "default" (the implementation that a device uses) or another of `runtime.Kernels`.

        Raises:
            ModelError: If the file cannot be read, is not a TFLite model, does not take one grey image, has
                another number of outputs than there are labels, or calls a class "unknown" or "no garment".
            MissingPartError: If the LiteRT runtime is not installed.
        """
        self.path = find_file(path)
        self.kernels = kernels
        file = open_model_file(self.path)
        self.metadata, self.sha256 = file.metadata, file.sha256
        try:
            self._interpreter = make_interpreter(
                file.flatbuffer, num_threads=num_threads, kernels=kernels
            )
            self._read_signature()
        except ModelError as error:
            raise unusable(self.path, error) from error
        self.labels = self._settle_labels(labels)
        self.name = self.metadata.name if self.metadata else self.path.stem
        self.outputs_probabilities = self.metadata is None and self._ends_in_softmax()

    @property
    def views(self) -> tuple[str, ...]:
        """The versions of an image that the network is asked about; their probabilities are averaged.

        It is ("plain",) or ("plain", "mirrored"), and ("plain",) for a file without metadata. A network that
        was trained on mirrored images answers better if it is asked about the mirrored image too.
        """
        return self.metadata.views if self.metadata else (model_metadata.PLAIN,)

    @property
    def unknown_threshold(self) -> float | None:
        """Confidence in [0, 1] below which the answer is "unknown"; None if the model has no threshold."""
        return self.metadata.unknown_threshold if self.metadata else None

    def raw_outputs(self, images_u8: np.ndarray) -> np.ndarray:
        """Computes the outputs in the type of the file.

        Args:
            images_u8: uint8, shape (N, H, W) or (N, H, W, 1), with H and W of `image_size`.

        Returns:
            Shape (N, C), dtype of the output tensor, a new array.

        Raises:
            ValueError: If the dtype or the shape is wrong.
        """
        if images_u8.dtype != np.uint8 or images_u8.shape[1:3] != self.image_size:
            raise ValueError(
                f"images_u8 must be uint8 of shape (N, {self.image_size[0]}, {self.image_size[1]}), "
                f"got {images_u8.dtype} of shape {images_u8.shape}"
            )
        # All 256 pixel values were quantized once, so that an image needs one look-up.
        quantized = self._pixel_table[images_u8].reshape(len(images_u8), *self._input_shape)
        outputs = np.empty((len(images_u8), self.num_outputs), self.output.dtype)
        set_tensor, invoke = self._interpreter.set_tensor, self._interpreter.invoke
        get_tensor, input_index = self._interpreter.get_tensor, self._input_index
        output_index = self._output_index
        for row, image in enumerate(quantized):
            set_tensor(input_index, image)
            invoke()
            outputs[row] = get_tensor(output_index)[0]
        return outputs

    def logits_from_raw(self, raw: np.ndarray) -> np.ndarray:
        """Turns raw outputs, shape (N, C), into float32 logits of the same shape."""
        values = self.output.dequantize(raw)
        if self.outputs_probabilities:
            # The logarithms of probabilities are logits. A probability too small for the type counts as
            # half a step, so that its logarithm is finite.
            smallest = max(self.output.scale / 2, 1e-7)
            return np.log(np.maximum(values, smallest))
        return values

    def logits(self, images_u8: np.ndarray) -> np.ndarray:
        """Computes float32 logits, shape (N, C); see `raw_outputs` for the images."""
        return self.logits_from_raw(self.raw_outputs(images_u8))

    def probabilities(self, images_u8: np.ndarray) -> np.ndarray:
        """Computes float32 probabilities, shape (N, C): the softmax of the logits over the temperature.

        See `raw_outputs` for the images.

        Raises:
            ModelError: If an output of the network is not finite.
        """
        temperature = self.metadata.temperature if self.metadata else 1.0
        logits = self.logits(images_u8)
        if not np.isfinite(logits).all():
            raise ModelError(
                f"{self.path} computes outputs that are not finite numbers; convert it again."
            )
        return softmax(logits, temperature)

    def predict(self, image_u8: np.ndarray) -> Prediction:
        """Classifies one uint8 image of shape (H, W) or (H, W, 1), as it is and not mirrored."""
        probabilities = self.probabilities(image_u8[np.newaxis])[0]
        class_id = int(probabilities.argmax())
        return Prediction(
            class_id=class_id,
            label=self.labels[class_id],
            confidence=float(probabilities[class_id]),
            probabilities=probabilities,
        )

    def _read_signature(self) -> None:
        try:
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        except UnicodeDecodeError as error:
            raise ModelError(f"a tensor's name is broken ({error})") from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"it has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each"
            )
        shape = tuple(int(size) for size in inputs[0]["shape"])
        if len(shape) not in (3, 4) or shape[0] != 1 or shape[3:] not in ((), (1,)):
            raise ModelError(
                f"its input has shape {shape}, expected one grey image such as (1, 28, 28, 1)"
            )
        output_shape = tuple(int(size) for size in outputs[0]["shape"])
        if len(output_shape) != 2 or output_shape[0] != 1:
            raise ModelError(
                f"its output has shape {output_shape}, expected one row such as (1, 10)"
            )
        self.image_size: tuple[int, int] = (shape[1], shape[2])
        self.num_outputs: int = output_shape[1]
        self.input = _quantization_of(inputs[0])
        self.output = _quantization_of(outputs[0])
        self._input_shape = shape
        self._input_index = inputs[0]["index"]
        self._output_index = outputs[0]["index"]
        self._pixel_table = self.input.quantize(np.arange(256, dtype=np.float32) / np.float32(255))

    def _ends_in_softmax(self) -> bool:
        """Whether a file without metadata gives probabilities.

        Logits are hardly ever non-negative with the sum 1, so the outputs for one image decide.
        """
        blank = np.zeros((1, *self.image_size), np.uint8)
        outputs = self.output.dequantize(self.raw_outputs(blank))
        tolerance = (
            0.02 + self.num_outputs * self.output.scale / 2
        )  # each output is half a step off
        return bool(outputs.min() >= 0 and abs(float(outputs.sum()) - 1) < tolerance)

    def _settle_labels(self, labels: Sequence[str] | None) -> list[str]:
        settled = list(labels or (self.metadata.labels if self.metadata else ()))
        settled = settled or [f"class {number}" for number in range(self.num_outputs)]
        if len(settled) != self.num_outputs:
            raise ModelError(
                f"{self.path} has {self.num_outputs} outputs but there are {len(settled)} labels; "
                "give one label for each output, in their order."
            )
        for label in settled:
            if is_reserved(label):
                raise ModelError(
                    f"{self.path} has a class called '{label}', but this name is reserved for an answer; "
                    "give the class another name."
                )
        return settled


def _quantization_of(details: dict) -> Quantization:
    dtype = np.dtype(details["dtype"])
    if dtype not in (np.int8, np.uint8, np.int16, np.float32):
        raise ModelError(f"its input or output is {dtype}, expected int8, uint8, int16 or float32")
    scale, zero_point = details["quantization"]
    if not np.issubdtype(dtype, np.floating) and scale <= 0:
        raise ModelError("its input or output holds integers without a scale")
    return Quantization(dtype, float(scale), int(zero_point))
