"""A `.tflite` classifier: built once, called per image, everything read from the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge import metadata as model_metadata
from garmentlite.edge.errors import ModelError
from garmentlite.edge.model_file import open_model_file, unusable
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.runtime import Kernels, make_interpreter


@dataclass(frozen=True)
class Prediction:
    """The answer of the network to one image.

    Attributes:
        class_id: The most probable class; the lowest number where several are equal.
        label: Its name.
        confidence: Its probability, in [0, 1].
        probabilities: float32, shape (C,), sum 1.
    """

    class_id: int
    label: str
    confidence: float
    probabilities: np.ndarray


class Classifier:
    """Classifies grey images of the size the file asks for.

    The contract of the input is: real value = pixel / 255, background 0. Types, scales and zero points
    are read from the file, so float32, int8 and uint8 files answer through the same calls.

    Attributes:
        name: Of the model, from its metadata; else the file's stem.
        labels: Class names in the order of the outputs.
        metadata: What the file says of itself; None for a file without our metadata.
        warnings: Sentences a user should read, such as that the file was changed.
        image_size: (height, width) of an input image.
        sha256: Checksum of the whole file.
        knows_mirrored: Whether its network was trained on images mirrored left for right.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        labels: Sequence[str] | None = None,
        num_threads: int = 1,
        kernels: Kernels = "default",
    ) -> None:
        """Reads a model file and gets ready to run it.

        Args:
            path: A `.tflite` file.
            labels: Class names, for a file that does not carry its own (they are numbered otherwise).
            num_threads: CPU threads of one inference.
            kernels: "default" (those a device uses) or "reference".

        Raises:
            ModelError: If the file cannot be read, is no TFLite model, does not take one grey image,
                or has another number of outputs than there are labels.
            MissingPartError: If the runtime is not installed.
        """
        self.path = Path(path)
        self.warnings: list[str] = []
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
        self.knows_mirrored = bool(self.metadata and model_metadata.MIRRORED in self.metadata.views)
        # A foreign file may end in a softmax: its outputs are probabilities, and their logarithms
        # are logits. Logits do not sum to 1 with none below 0, so one image tells.
        self.outputs_probabilities = False
        if self.metadata is None:
            blank = self.output.dequantize(
                self.raw_outputs(np.zeros((1, *self.image_size), np.uint8))
            )
            tolerance = 0.02 + len(self.labels) * self.output.scale / 2  # half a step an output
            self.outputs_probabilities = bool(
                blank.min() >= 0 and abs(float(blank.sum()) - 1) < tolerance
            )

    def raw_outputs(self, images_u8: np.ndarray) -> np.ndarray:
        """The outputs as the file gives them, in its own type.

        Args:
            images_u8: uint8, shape (N, H, W) or (N, H, W, 1), H and W as in `image_size`.

        Returns:
            Shape (N, C), dtype of the output tensor. A copy.

        Raises:
            ValueError: If dtype or shape is another one.
        """
        if images_u8.dtype != np.uint8 or images_u8.shape[1:3] != self.image_size:
            raise ValueError(
                f"images_u8 must be uint8 of shape (N, {self.image_size[0]}, {self.image_size[1]}), "
                f"got {images_u8.dtype} of shape {images_u8.shape}"
            )
        # All 256 pixel values are quantized once; an image is then one look-up.
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
        """Raw outputs, shape (N, C), to float32 logits of the same shape."""
        values = self.output.dequantize(raw)
        if self.outputs_probabilities:
            # Half a step stands for "below what the type can show", and keeps the logarithm finite.
            smallest = max(self.output.scale / 2, 1e-7)
            return np.log(np.maximum(values, smallest))
        return values

    def logits(self, images_u8: np.ndarray) -> np.ndarray:
        """Float32 logits, shape (N, C), of uint8 images; see `raw_outputs` for the images."""
        return self.logits_from_raw(self.raw_outputs(images_u8))

    def probabilities(self, images_u8: np.ndarray) -> np.ndarray:
        """Float32 probabilities, shape (N, C): softmax of the logits over the model's temperature.

        Raises:
            ModelError: If the network's outputs are not finite.
        """
        temperature = self.metadata.temperature if self.metadata else 1.0
        logits = self.logits(images_u8)
        if not np.isfinite(logits).all():
            raise ModelError(
                f"{self.path} gives outputs that are no finite numbers; convert it again."
            )
        return softmax(logits, temperature)

    def predict(self, image_u8: np.ndarray) -> Prediction:
        """The answer to one uint8 image of shape (H, W) or (H, W, 1)."""
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

    def _settle_labels(self, labels: Sequence[str] | None) -> list[str]:
        settled = list(labels or (self.metadata.labels if self.metadata else ()))
        settled = settled or [f"class {number}" for number in range(self.num_outputs)]
        if len(settled) != self.num_outputs:
            raise ModelError(
                f"{self.path} has {self.num_outputs} outputs but there are {len(settled)} labels; "
                "give one label for each output, in their order."
            )
        return settled


def _quantization_of(details: dict) -> Quantization:
    dtype = np.dtype(details["dtype"])
    if dtype not in (np.int8, np.uint8, np.int16, np.float32):
        raise ModelError(
            f"a tensor at its border is {dtype}, expected int8, uint8, int16 or float32"
        )
    scale, zero_point = details["quantization"]
    if not np.issubdtype(dtype, np.floating) and scale <= 0:
        raise ModelError("a tensor at its border holds integers without a scale")
    return Quantization(dtype, float(scale), int(zero_point))
