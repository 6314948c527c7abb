"""Measures where the error enters: compares each layer of a candidate with the same layer of its reference.

Two errors are told apart. The *whole* error of a layer is what has accumulated up to there: both files run
from the image on, and the outputs of the layer are compared. Its *own* error is what the layer itself adds:
both files are cut into single operators, both operators get what the reference computed (rounded to what
the candidate can represent), and their outputs are compared. An error that enters early is part of the
whole error of each later layer, so only the own error shows its source.

This runs on the reference kernels of the runtime, because the default kernels fuse operators and hide the
tensors between them.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from garmentlite.edge.all_cores import num_workers, share_out
from garmentlite.edge.callbacks import OnProgress, ignore_progress
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.model_input import ModelInput
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.runtime import Kernels, make_interpreter, operator_name, pack, unpack

LAYER_IMAGES = 200  # a layer has thousands of outputs for each image, so errors are known to 0.1 dB
# In dB: what sums of float32 can resolve. A layer without any error gets this value, not infinity.
SNR_LIMIT = 120.0
KERNELS: Kernels = "reference"

_CHUNK = 10  # images between two reports of progress
# Operators that pass their values on in another type or shape; they are not layers.
_SAME_VALUES = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_COMMUTATIVE = frozenset({"ADD", "MUL", "MAXIMUM", "MINIMUM"})


@dataclass(frozen=True)
class LayerError:
    """One layer under both models.

    Attributes:
        place: Its number among the layers, from 1, in the order in which the candidate computes them.
        operator: Name of its operator in the file format, such as "CONV_2D".
        output_shape: Shape of its output without the batch, such as (14, 14, 64).
        tensor_reference: Name of its output tensor in the reference file.
        tensor_candidate: Name of its output tensor in the candidate file.
        own_snr_db: Signal-to-noise ratio of this layer alone, 10 log10 of the ratio of the sums of squares.
            The signal is the reference's output, the noise the candidate's output minus it. In [-120, 120].
        own_cosine: Cosine similarity of the two outputs of this layer alone, in [-1, 1].
        snr_db: Signal-to-noise ratio of everything that has accumulated up to this layer.
        cosine: Cosine similarity of everything that has accumulated up to this layer.
        clipped: Share of the reference's outputs that lie outside the range that the candidate's type, scale
            and zero point can represent, in [0, 1].
    """

    place: int
    operator: str
    output_shape: tuple[int, ...]
    tensor_reference: str
    tensor_candidate: str
    own_snr_db: float
    own_cosine: float
    snr_db: float
    cosine: float
    clipped: float

    @property
    def name(self) -> str:
        """Number, operator and size of the output, by which a reader finds the layer."""
        return f"{self.place} {self.operator} {'x'.join(map(str, self.output_shape))}"


@dataclass(frozen=True)
class LayersReport:
    """All layers, the one with the largest own error first.

    Attributes:
        layers: The layers.
        images: How many images they were run on.
        kernels: Always "reference"; see the module.
    """

    layers: tuple[LayerError, ...]
    images: int
    kernels: Kernels = KERNELS

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the report, see docs/verify-json.md."""
        return asdict(self)


def compare_layers(
    reference: Classifier,
    candidate: Classifier,
    images_u8: np.ndarray,
    *,
    on_progress: OnProgress = ignore_progress,
) -> LayersReport:
    """Measures the error of each layer of a candidate.

    Layers are matched by their operator, the shapes of their output and weights, and the layers that their
    inputs come from. Names do not matter, nor does the order in which a converter wrote parallel branches.
    Layers that are alike in all of these are paired in their order.

    Args:
        reference: Usually the float32 file.
        candidate: Usually the int8 file, of the same network. Any types.
        images_u8: uint8, shape (N, H, W) or (N, H, W, channels); at most `LAYER_IMAGES` of them, evenly
            chosen, are run.
        on_progress: Called with the number of images done and their total.

    Returns:
        The report.

    Raises:
        ModelError: If the layers of the files cannot be matched, one by one.
    """
    count = min(len(images_u8), LAYER_IMAGES)
    chosen = images_u8[np.arange(count) * len(images_u8) // count]
    pair = _match(reference, candidate)
    totals = [_Sums() for _ in pair.layers]
    chunks = [chosen[start : start + _CHUNK] for start in range(0, count, _CHUNK)]
    runners = [_Runner(pair) for _ in range(num_workers(len(chunks)))]

    def on_done(done: int, _: int) -> None:
        on_progress(min(done * _CHUNK, count), count)

    # Added in the order of the chunks, so that the sums do not depend on the number of threads.
    for parts in share_out(runners, chunks, _Runner.measure, on_done):
        for total, part in zip(totals, parts, strict=True):
            total.add(part)
    rows = [
        LayerError(
            place=place,
            operator=after.operator,
            output_shape=after.output_shape,
            tensor_reference=before.name,
            tensor_candidate=after.name,
            own_snr_db=sums.own.snr_db,
            own_cosine=sums.own.cosine,
            snr_db=sums.whole.snr_db,
            cosine=sums.whole.cosine,
            clipped=sums.clipped / sums.values,
        )
        for place, ((before, after), sums) in enumerate(
            zip(pair.layers, totals, strict=True), start=1
        )
    ]
    return LayersReport(tuple(sorted(rows, key=lambda row: row.own_snr_db)), count)


# --- the two graphs and how they fit


@dataclass(frozen=True)
class _Layer:
    """An operator that computes something from the image.

    Attributes:
        number: Its place among all operators of the file.
        operator: Name of the operator.
        name: Name of its output tensor.
        output: Number of its output tensor.
        output_shape: Shape of its output without the batch.
        places: Which of the operator's inputs depend on the image. The inputs of a commutative operator are
            put into an order that is the same in both files.
        sources: Numbers of the tensors that are its inputs there.
        key: A number that equal layers of the two files share.
    """

    number: int
    operator: str
    name: str
    output: int
    output_shape: tuple[int, ...]
    places: tuple[int, ...]
    sources: tuple[int, ...]
    key: int


@dataclass(frozen=True)
class _Graph:
    """The layers of a file, and the tensors that depend on the image."""

    flatbuffer: bytes
    layers: tuple[_Layer, ...]
    activations: frozenset[int]


@dataclass(frozen=True)
class _Pair:
    """Two files, reference first.

    Attributes:
        inputs: The inputs of both files.
        layers: Their layers paired, in the candidate's order.
        whole: The bytes of both files.
        cut: The bytes of both files cut into single layers, see `_cut_apart`.
    """

    inputs: tuple[ModelInput, ModelInput]
    layers: tuple[tuple[_Layer, _Layer], ...]
    whole: tuple[bytes, bytes]
    cut: tuple[bytes, bytes]


def _match(reference: Classifier, candidate: Classifier) -> _Pair:
    # Both files share one table of keys, so that equal layers get equal keys.
    keys: dict[Hashable, int] = {}
    before, after = (_read(one.path.read_bytes(), keys) for one in (reference, candidate))
    waiting: dict[int, list[_Layer]] = defaultdict(list)
    for layer in reversed(before.layers):
        waiting[layer.key].append(layer)
    pairs = []
    for layer in after.layers:
        if not waiting[layer.key]:
            raise ModelError(_unmatched(layer, candidate, reference))
        pairs.append((waiting[layer.key].pop(), layer))
    for layer in before.layers:
        if layer in waiting[layer.key]:
            raise ModelError(_unmatched(layer, reference, candidate))
    return _Pair(
        inputs=(reference.model_input, candidate.model_input),
        layers=tuple(pairs),
        whole=(before.flatbuffer, after.flatbuffer),
        cut=(
            _cut_apart(before, [first for first, _ in pairs]),
            _cut_apart(after, [second for _, second in pairs]),
        ),
    )


def _unmatched(layer: _Layer, has: Classifier, lacks: Classifier) -> str:
    shape = "x".join(map(str, layer.output_shape))
    return (
        f"The layers cannot be compared one by one: {has.path} has a {layer.operator} to {shape} (operator "
        f"{layer.number}) and {lacks.path} has no layer like it; give two files of one network, as 'cli "
        "convert' makes them, or leave --layers out."
    )


def _read(flatbuffer: bytes, keys: dict[Hashable, int]) -> _Graph:
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    key_of = {int(tensor): -1 - place for place, tensor in enumerate(graph.inputs)}
    layers = []
    for number, operator in enumerate(graph.operators):
        name = operator_name(model, operator)
        given = [int(tensor) for tensor in operator.inputs]
        places = [place for place, tensor in enumerate(given) if tensor in key_of]
        if not places:
            continue  # it computes with constants alone, such as weights stored as float16
        outputs = [int(tensor) for tensor in operator.outputs]
        if name in _SAME_VALUES:
            key_of[outputs[0]] = key_of[given[places[0]]]
            continue
        if name in _COMMUTATIVE:
            places = [place for _, place in sorted((key_of[given[p]], p) for p in places)]
        sources = tuple(given[place] for place in places)
        # Only constants with rows and columns count, because a converter may leave out a bias of zeros.
        shapes = [
            tuple(graph.tensors[tensor].shape)
            for tensor in given
            if tensor >= 0 and tensor not in key_of
        ]
        weights = tuple(shape for shape in shapes if len(shape) > 1)
        inputs = tuple(key_of[tensor] for tensor in sources)
        for place, tensor in enumerate(outputs):
            made = (name, place, tuple(graph.tensors[tensor].shape), weights, inputs)
            key_of[tensor] = keys.setdefault(made, len(keys))
        output = graph.tensors[outputs[0]]
        layers.append(
            _Layer(
                number=number,
                operator=name,
                name=output.name.decode(errors="replace"),
                output=outputs[0],
                output_shape=tuple(int(size) for size in output.shape[1:]),
                places=tuple(places),
                sources=sources,
                key=key_of[outputs[0]],
            )
        )
    return _Graph(flatbuffer, tuple(layers), frozenset(key_of))


def _cut_apart(graph: _Graph, order: Sequence[_Layer]) -> bytes:
    """Makes a model in which each layer takes its inputs from outside and returns its output.

    Args:
        graph: The whole model.
        order: Its layers; the new model's inputs and outputs are in this order.
    """
    model = unpack(graph.flatbuffer)
    parts = model.subgraphs[0]
    inputs = []
    for layer in order:
        operator = parts.operators[layer.number]
        given = [int(tensor) for tensor in operator.inputs]
        for place in layer.places:
            outside = copy.copy(parts.tensors[given[place]])
            outside.buffer = 0  # the format's empty buffer: the values are set when it runs
            parts.tensors.append(outside)
            given[place] = len(parts.tensors) - 1
            inputs.append(given[place])
        operator.inputs = given
    numbers = {layer.number for layer in order}
    parts.operators = [
        operator
        for number, operator in enumerate(parts.operators)
        if number in numbers or not graph.activations.intersection(operator.outputs)
    ]
    parts.inputs, parts.outputs = inputs, [layer.output for layer in order]
    model.signatureDefs = []  # they would name the old inputs
    return pack(model)


# --- running them


class _Sums:
    """The sums over the images for one layer."""

    def __init__(self) -> None:
        self.own, self.whole = _Comparison(), _Comparison()
        self.clipped = self.values = 0

    def add(self, other: _Sums) -> None:
        self.own.add(other.own)
        self.whole.add(other.whole)
        self.clipped += other.clipped
        self.values += other.values


class _Comparison:
    """Sums of squares and products of two signals; the first is taken as right."""

    def __init__(self) -> None:
        self.signal = self.other = self.product = self.noise = 0.0

    def see(self, reference: np.ndarray, candidate: np.ndarray) -> None:
        right, other = (array.ravel().astype(np.float64) for array in (reference, candidate))
        noise = other - right
        self.signal += _dot(right, right)
        self.other += _dot(other, other)
        self.product += _dot(right, other)
        self.noise += _dot(noise, noise)

    def add(self, other: _Comparison) -> None:
        self.signal += other.signal
        self.other += other.other
        self.product += other.product
        self.noise += other.noise

    @property
    def snr_db(self) -> float:
        if self.noise == 0:
            return SNR_LIMIT
        if self.signal == 0:
            return -SNR_LIMIT
        return min(SNR_LIMIT, max(-SNR_LIMIT, 10 * math.log10(self.signal / self.noise)))

    @property
    def cosine(self) -> float:
        if self.signal == 0 or self.other == 0:
            return 1.0 if self.noise == 0 else 0.0
        return min(1.0, max(-1.0, self.product / math.sqrt(self.signal * self.other)))


def _dot(first: np.ndarray, second: np.ndarray) -> float:
    # `@` would start threads of BLAS within each of our threads.
    return float(np.einsum("i,i->", first, second))


class _Runner:
    """The interpreters of one thread: both files whole, and both cut apart."""

    def __init__(self, pair: _Pair) -> None:
        self.layers = pair.layers
        self.inputs = pair.inputs
        self.whole = [_Interpreter(flatbuffer) for flatbuffer in pair.whole]
        self.cut = [_Interpreter(flatbuffer) for flatbuffer in pair.cut]

    def measure(self, images_u8: np.ndarray) -> list[_Sums]:
        sums = [_Sums() for _ in self.layers]
        for images in zip(*(one.numbers(images_u8) for one in self.inputs), strict=True):
            self._measure_one(images, sums)
        return sums

    def _measure_one(self, images: tuple[np.ndarray, ...], sums: list[_Sums]) -> None:
        """Adds what both files compute for one image, given as the numbers that each file takes."""
        for whole, image in zip(self.whole, images, strict=True):
            whole.give(0, image)
            whole.run()
        reference, candidate = self.whole
        sources = [source for before, _ in self.layers for source in before.sources]
        for place, source in enumerate(sources):
            # Both get the same numbers, namely those that the candidate can represent.
            self.cut[0].give(place, self.cut[1].give(place, reference.read(source)))
        for cut in self.cut:
            cut.run()
        for place, ((before, after), layer) in enumerate(zip(self.layers, sums, strict=True)):
            signal = reference.read(before.output)
            layer.whole.see(signal, candidate.read(after.output))
            layer.own.see(*(cut.output(place) for cut in self.cut))
            layer.clipped += candidate.count_beyond(after.output, signal)
            layer.values += signal.size


class _Interpreter:
    """An interpreter whose tensors are written and read as real numbers."""

    def __init__(self, flatbuffer: bytes) -> None:
        self._interpreter = make_interpreter(flatbuffer, kernels=KERNELS, keep_intermediates=True)
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._quantizations: dict[int, Quantization] = {}
        for details in self._interpreter.get_tensor_details():
            number = details["index"]
            self._shapes[number] = tuple(details["shape"])
            scale, zero_point = details["quantization"]
            self._quantizations[number] = Quantization(
                np.dtype(details["dtype"]), float(scale), int(zero_point)
            )
        self._inputs = [one["index"] for one in self._interpreter.get_input_details()]
        self._outputs = [one["index"] for one in self._interpreter.get_output_details()]

    def give(self, place: int, values: np.ndarray) -> np.ndarray:
        """Sets an input; returns the values as this file represents them, float32."""
        number = self._inputs[place]
        quantized = self._quantizations[number].quantize(values.reshape(self._shapes[number]))
        self._interpreter.set_tensor(number, quantized)
        return self._quantizations[number].dequantize(quantized)

    def run(self) -> None:
        self._interpreter.invoke()

    def read(self, number: int) -> np.ndarray:
        """Reads a tensor's values, float32."""
        return self._quantizations[number].dequantize(self._interpreter.get_tensor(number))

    def output(self, place: int) -> np.ndarray:
        """Reads an output's values, float32."""
        return self.read(self._outputs[place])

    def count_beyond(self, number: int, values: np.ndarray) -> int:
        """Counts the values that lie more than half a step outside of a tensor's range."""
        quantization = self._quantizations[number]
        if quantization.is_float:
            return 0
        lowest, highest = quantization.ends
        half = quantization.scale / 2
        return int(np.count_nonzero((values < lowest - half) | (values > highest + half)))
