"""Runs a `.tflite` classifier; everything that it needs is read from the model file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge import metadata as model_metadata
from garmentlite.edge.errors import ModelError
from garmentlite.edge.labels import is_reserved
from garmentlite.edge.model_file import ModelFile, open_model_file, unusable
from garmentlite.edge.model_input import (
    CONTRACT,
    RANGES,
    InputRange,
    KnownBy,
    ModelInput,
    image_shape,
    range_of,
)
from garmentlite.edge.model_labels import ModelLabels, distinct
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.runtime import Kernels, make_interpreter
from garmentlite.edge.shipped import find_file

_WAY_OUT = "use a file that takes one image and gives one score for each class"


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
    """Classifies images of the size that the model takes. Build it once and call it for every image.

    Images are uint8, whatever numbers and types the file takes. Its types, scales and zero points are read
    from it. The files of garmentlite take pixel / 255. Which numbers stand for the pixels in a file that
    another program made is found out.

    Attributes:
        path: The model file.
        name: Name of the model in its metadata; without metadata, the name of the file without suffix.
        labels: Class names in the order of the outputs; all different.
        metadata: The metadata inside the file; None for a file that another program made.
        num_outputs: Number of classes.
        model_input: The size and the channels of an image, and the numbers that stand for its pixels.
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
        input_range: str | InputRange | None = None,
        num_threads: int = 1,
        kernels: Kernels = "default",
    ) -> None:
        """Reads a model file and prepares its interpreter.

        Args:
            path: A `.tflite` file, or the name of a shipped one such as "garment-net_int8.tflite".
            labels: Class names; None to take those in the file, or numbered names if it has none.
            input_range: The numbers that stand for the pixels in a file that another program made: "0..1",
                "0..255" or "-1..1"; None to find them out. The files of garmentlite take "0..1" always.
            num_threads: Number of CPU threads of one inference.
            kernels: "default" (the implementation that a device uses) or another of `runtime.Kernels`.

        Raises:
            ModelError: If the file cannot be read, is not a TFLite model, does not take one image or give
                one row of scores, has another number of outputs than there are labels, or calls a class
                "unknown" or "no garment"; or if no range is given and it cannot be found out.
            OptionError: If no range has the given name.
            MissingPartError: If the LiteRT runtime is not installed.
        """
        self.path = find_file(path)
        self.kernels = kernels
        chosen = range_of(input_range) if isinstance(input_range, str) else input_range
        file = open_model_file(self.path)
        self.metadata, self.sha256 = file.metadata, file.sha256
        try:
            self._interpreter = make_interpreter(
                file.flatbuffer, num_threads=num_threads, kernels=kernels
            )
            self._read_signature()
        except ModelError as error:
            raise unusable(self.path, error, _WAY_OUT) from error
        self._settle_input(file, chosen)
        self._found_labels = self._find_labels(file, labels)
        self.labels = self._checked_labels(self._found_labels.names)
        self.name = self.metadata.name if self.metadata else self.path.stem

    @property
    def labels_source(self) -> str:
        """Where the class names come from, in words."""
        return self._found_labels.source

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of an image in pixels."""
        return self.model_input.image_size

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

    def doubts(self, file: str | None = None) -> list[str]:
        """Writes a sentence on each thing that a user should check in a file of another program.

        These are a range that was found out with drawn pictures, and labels that stand for several classes.

        Args:
            file: Name of the model in the sentences; None for its path.
        """
        name = str(self.path) if file is None else file
        found = (self.model_input.doubt(name), self._found_labels.doubt(name))
        return [sentence for sentence in found if sentence]

    def raw_outputs(self, images_u8: np.ndarray) -> np.ndarray:
        """Computes the outputs in the type of the file.

        Args:
            images_u8: uint8, shape (N, H, W) or (N, H, W, 1) for grey images, or (N, H, W, 3) for RGB
                images if the model takes them; H and W are those of `image_size`. A model for RGB images
                takes grey ones too.

        Returns:
            Shape (N, C), dtype of the output tensor, a new array.

        Raises:
            ValueError: If the dtype or the shape is wrong.
        """
        channels = images_u8.shape[3:]
        if (
            images_u8.dtype != np.uint8
            or images_u8.shape[1:3] != self.image_size
            or channels not in ((), (1,), (self.model_input.channels,))
        ):
            height, width = self.image_size
            raise ValueError(
                f"images_u8 must be uint8 of shape (N, {height}, {width}) or (N, {height}, {width}, "
                f"{self.model_input.channels}), got {images_u8.dtype} of shape {images_u8.shape}"
            )
        if self.model_input.channels > 1 and channels != (self.model_input.channels,):
            grey = images_u8.reshape(*images_u8.shape[:3], 1)
            images_u8 = np.broadcast_to(grey, (*grey.shape[:3], self.model_input.channels))
        return self._run(images_u8, self._pixel_table)

    def _run(self, images_u8: np.ndarray, pixel_table: np.ndarray) -> np.ndarray:
        """Computes raw outputs for images of all channels and a table of the numbers for the pixel values."""
        outputs = np.empty((len(images_u8), self.num_outputs), self.output.dtype)
        set_tensor, invoke = self._interpreter.set_tensor, self._interpreter.invoke
        get_tensor, input_index = self._interpreter.get_tensor, self._input_index
        output_index, shape = self._output_index, self._input_shape
        # A table of two axes has other numbers for each channel.
        channels = () if pixel_table.ndim == 1 else (np.arange(pixel_table.shape[1]),)
        for row, image_u8 in enumerate(images_u8):
            set_tensor(input_index, pixel_table[(image_u8, *channels)].reshape(shape))
            invoke()
            outputs[row] = get_tensor(output_index).reshape(-1)
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
        """Reads the shapes and types of the input and the output."""
        try:
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        except UnicodeDecodeError as error:
            raise ModelError(f"a tensor's name is broken ({error})") from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"it has {_counted(inputs, 'input')} and {_counted(outputs, 'output')}, expected one of "
                "each; object detectors and other networks with several cannot be used"
            )
        shape, signature, output_shape = (
            tuple(int(size) for size in sizes)
            for sizes in (inputs[0]["shape"], inputs[0]["shape_signature"], outputs[0]["shape"])
        )
        self._image_shape = image_shape(shape, signature)
        if not output_shape or any(size != 1 for size in output_shape[:-1]):
            raise ModelError(
                f"its output has shape {output_shape}, expected one row of scores such as (1, 10); object "
                "detectors and segmentation networks cannot be used"
            )
        if output_shape[-1] < 2:
            raise ModelError(
                "its output is a single number, expected a score for each of at least two classes"
            )
        self.num_outputs: int = output_shape[-1]
        self.input = _quantization_of(inputs[0])
        self.output = _quantization_of(outputs[0])
        self._input_shape = shape
        self._input_index = inputs[0]["index"]
        self._output_index = outputs[0]["index"]

    def _settle_input(self, file: ModelFile, chosen: InputRange | None) -> None:
        """Settles the numbers that stand for the pixels, and whether the file gives probabilities."""
        input_range: InputRange | None = CONTRACT
        known_by: KnownBy = "contract"
        self.outputs_probabilities = False
        if _is_foreign(file):
            # Imported here because the files of garmentlite do not need it.
            from garmentlite.edge.foreign_classifier import find_out_usage

            try:
                usage = find_out_usage(
                    file.flatbuffer, self._image_shape, self.input, chosen, self._real_outputs
                )
            except ModelError as error:
                raise unusable(self.path, error, _WAY_OUT) from error
            input_range, known_by = usage.input_range, usage.known_by
            self.outputs_probabilities = usage.gives_probabilities
        if input_range is None:
            raise ModelError(self._why_no_range())
        height, width, channels = self._image_shape
        self.model_input = ModelInput((height, width), channels, self.input, input_range, known_by)
        # All 256 pixel values are quantized once, so that an image needs one look-up.
        self._pixel_table = self.input.quantize(input_range.table())

    def _why_no_range(self) -> str:
        ask = f"say what it was trained with by --input-range ({', '.join(RANGES)})"
        if self.input.dtype not in (np.int8, np.uint8):
            return (
                f"{self.path} does not show which numbers stand for the pixels in its input, and its answers "
                f"to drawn pictures do not decide it; {ask}."
            )
        low, high = self.input.ends
        return (
            f"{self.path} states the range {low:.3g}..{high:.3g} for its input, which is none of the usual "
            f"ones; {ask}, and quantize it again with images of all classes if it loses some."
        )

    def _real_outputs(self, input_range: InputRange, images_u8: np.ndarray) -> np.ndarray:
        """Computes outputs as real numbers for images of all channels, if pixels stand for this range."""
        table = self.input.quantize(input_range.table())
        return self.output.dequantize(self._run(images_u8, table))

    def _find_labels(self, file: ModelFile, given: Sequence[str] | None) -> ModelLabels:
        if given:
            return ModelLabels(tuple(given), "given")
        if file.metadata:
            return ModelLabels(tuple(file.metadata.labels), "metadata of garmentlite in the file")
        from garmentlite.edge.foreign_classifier import labels_of_file

        numbered = tuple(f"class {number}" for number in range(self.num_outputs))
        try:
            return labels_of_file(file.flatbuffer) or ModelLabels(numbered, "none in the file")
        except ModelError as error:
            raise unusable(self.path, error, "give the class names with --labels") from error

    def _checked_labels(self, names: Sequence[str]) -> list[str]:
        if len(names) != self.num_outputs:
            raise ModelError(
                f"{self.path} has {self.num_outputs} outputs but there are {len(names)} labels; "
                "give one label for each output, in their order."
            )
        for label in names:
            if is_reserved(label):
                raise ModelError(
                    f"{self.path} has a class called '{label}', but this name is reserved for an answer; "
                    "give the class another name with --labels."
                )
        return distinct(names)


def _counted(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _is_foreign(file: ModelFile) -> bool:
    if file.metadata:
        return False
    from garmentlite.edge.foreign_model import is_made_here

    return not is_made_here(file.flatbuffer)


def _quantization_of(details: dict) -> Quantization:
    dtype = np.dtype(details["dtype"])
    if dtype not in (np.int8, np.uint8, np.int16, np.float32):
        raise ModelError(f"its input or output is {dtype}, expected int8, uint8, int16 or float32")
    scale, zero_point = details["quantization"]
    if not np.issubdtype(dtype, np.floating) and scale <= 0:
        raise ModelError("its input or output holds integers without a scale")
    return Quantization(dtype, float(scale), int(zero_point))
