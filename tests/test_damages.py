"""For each fault that a conversion can have, a verdict or guard detects it on the shipped model.

Each test damages the bytes of a shipped file and runs both files on real images. These are validation images,
because the test set is for the last measurement only. TensorFlow is needed only to set ranges on noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from garmentlite import cli
from garmentlite.convert.verify.check import verify
from garmentlite.convert.verify.judge import judge
from garmentlite.convert.verify.measurements import Answers
from garmentlite.convert.verify.parity_report import ParityReport
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import attach, split
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.runtime import pack, unpack
from garmentlite.edge.shipped import FOLDER
from garmentlite.train import data

SHIRT = FASHION_MNIST_LABELS.index("Shirt")
SHIRTS, OTHERS = 600, 400  # images of a class; with three of 400 lost, two points are still shown

pytestmark = pytest.mark.slow


# --- models taken apart and put together again


class Opened:
    """A `.tflite` model as objects of the format's schema."""

    def __init__(self, flatbuffer: bytes):
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model = unpack(flatbuffer)
        self.graph = self.model.subgraphs[0]

    def with_weights(self) -> list:
        """The operators that have a kernel and a bias, in order."""
        return [one for one in self.graph.operators if len(one.inputs) == 3]

    def change(self, operator, place: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replaces the values of an operator's input: 1 is its kernel, 2 its bias."""
        tensor = self.graph.tensors[operator.inputs[place]]
        types = self.schema.TensorType
        dtype = {types.FLOAT32: np.float32, types.INT8: np.int8, types.INT32: np.int32}[tensor.type]
        buffer = self.model.buffers[tensor.buffer]
        values = np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), dtype)
        changed = change(values.reshape(tensor.shape).astype(np.float64))
        if dtype != np.float32:
            limits = np.iinfo(dtype)
            changed = np.clip(np.rint(changed), limits.min, limits.max)
        buffer.data = np.frombuffer(changed.astype(dtype).tobytes(), np.uint8)

    def change_logits(self, shift: np.ndarray) -> None:
        """Adds real numbers, shape (10,), to the last bias."""
        last = self.with_weights()[-1]
        scale = self.graph.tensors[last.inputs[2]].quantization.scale[0]
        self.change(last, 2, lambda bias: bias + shift / scale)

    @property
    def output_scale(self) -> float:
        return float(self.graph.tensors[self.graph.outputs[0]].quantization.scale[0])

    def packed(self) -> bytes:
        return pack(self.model)


def nothing(opened: Opened) -> None:
    """Taken apart and put together, nothing else."""


def shirt_weights_scaled(opened: Opened) -> None:
    def scaled(kernel):
        kernel[SHIRT] *= 0.93
        return kernel

    opened.change(opened.with_weights()[-1], 1, scaled)


def zero_point_shifted(opened: Opened) -> None:
    """All outputs three steps higher, the zero point where it was."""
    opened.change_logits(np.full(10, 3 * opened.output_scale))


def shirt_raised(opened: Opened) -> None:
    shift = np.zeros(10)
    shift[SHIRT] = 0.4
    opened.change_logits(shift)


def outputs_permuted(opened: Opened) -> None:
    order = [*range(5), 6, 5, *range(7, 10)]
    for place in (1, 2):
        opened.change(opened.with_weights()[-1], place, lambda values: values[order])


def softmax_added(opened: Opened) -> None:
    schema, graph = opened.schema, opened.graph
    output, code, operator = schema.TensorT(), schema.OperatorCodeT(), schema.OperatorT()
    output.name, output.shape, output.type = "probabilities", [1, 10], schema.TensorType.INT8
    output.buffer = len(opened.model.buffers)
    output.quantization = schema.QuantizationParametersT()
    output.quantization.scale, output.quantization.zeroPoint = [1 / 256], [-128]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SOFTMAX
    code.version = 2
    operator.opcodeIndex = len(opened.model.operatorCodes)
    operator.inputs, operator.outputs = [int(graph.outputs[0])], [len(graph.tensors)]
    operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    operator.builtinOptions = schema.SoftmaxOptionsT()
    operator.builtinOptions.beta = 1.0
    graph.outputs = operator.outputs
    graph.tensors.append(output)
    graph.operators.append(operator)
    opened.model.buffers.append(schema.BufferT())
    opened.model.operatorCodes.append(code)


def disturbed(seed: int) -> Callable[[Opened], None]:
    """Every weight moved by a tenth of their spread: another network, as good as its sisters."""

    def disturb(opened: Opened) -> None:
        rng = np.random.default_rng(seed)
        for operator in opened.with_weights():
            opened.change(
                operator,
                1,
                lambda kernel: kernel + rng.normal(0, 0.1 * kernel.std(), kernel.shape),
            )

    return disturb


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Makes a classifier of a shipped file that was changed on the way."""
    folder = tmp_path_factory.mktemp("damaged")

    def make(kind: str, change: Callable[[Opened], None] = nothing, **fields) -> Classifier:
        flatbuffer, metadata = split((FOLDER / f"weighted-cnn_{kind}.tflite").read_bytes())
        opened = Opened(flatbuffer)
        change(opened)
        path = folder / f"{len(list(folder.iterdir()))}_{kind}.tflite"
        path.write_bytes(attach(opened.packed(), replace(metadata, **fields)))
        return Classifier(path)

    return make


@pytest.fixture(scope="module")
def shipped_float32() -> Classifier:
    return Classifier(FOLDER / "weighted-cnn_float32.tflite")


@pytest.fixture(scope="module")
def images(real_data_dir) -> tuple[np.ndarray, np.ndarray]:
    """Validation images and their class numbers, most of them shirts."""
    found = data.load(real_data_dir)
    _, validation = data.validation_split(found.y_train)
    y_true = found.y_train[validation].astype(np.int64)
    chosen = np.concatenate(
        [
            np.flatnonzero(y_true == class_id)[: SHIRTS if class_id == SHIRT else OTHERS]
            for class_id in range(10)
        ]
    )
    return found.x_train[validation][chosen], y_true[chosen]


def failed_guards(report: ParityReport) -> dict[str, str]:
    return {guard.name: guard.sentence for guard in report.guards if guard.passed is False}


# --- the table


@dataclass(frozen=True)
class Damage:
    """What is done to which file, and what must be said.

    Attributes:
        change: What is done to the candidate.
        lost: Classes that must be lost, and no others; None where that is left open.
        guards: Guards that must fail, with a word that their sentence must hold.
        quiet: Guards that must not fail, since nothing of theirs is damaged.
        kind: Which shipped file the candidate is made from.
        fields: Changes of the candidate's metadata.
        reference: What is done to the reference.
    """

    change: Callable[[Opened], None]
    lost: frozenset[str] | None = frozenset()
    guards: tuple[tuple[str, str], ...] = ()
    quiet: tuple[str, ...] = ()
    kind: str = "int8"
    fields: tuple[tuple[str, object], ...] = ()
    reference: Callable[[Opened], None] | None = None


DAMAGES = {
    "weights of one class scaled": Damage(
        shirt_weights_scaled,
        lost=frozenset({"Shirt"}),
        guards=(("precision", "T-shirt/top"),),
        quiet=("confidence drift, mean", "calibration"),
    ),
    "output zero point shifted": Damage(
        zero_point_shifted,
        guards=(("logit offset", "zero point"),),
        quiet=("precision", "accuracy", "agreement", "confidence drift, mean", "calibration"),
    ),
    "softmax added": Damage(
        softmax_added,
        guards=(
            ("confidence drift, mean", "softmax"),
            ("confidence drift, 99th percentile", "99 of 100"),
            ("logit offset", "softmax"),
            ("calibration", "temperature"),
        ),
        quiet=("precision", "accuracy", "agreement"),
    ),
    "temperature too high": Damage(
        nothing,
        guards=(("calibration", "temperature"),),
        quiet=("precision", "accuracy", "agreement", "logit offset"),
        fields=(("temperature", 1.25),),
    ),
    "precision of one class drowned": Damage(
        shirt_raised,
        lost=frozenset({"T-shirt/top", "Pullover"}),  # their images are answered Shirt now
        guards=(("precision", "Shirt"),),
        quiet=("logit offset",),
    ),
    "another network of equal accuracy": Damage(
        disturbed(2),
        lost=None,
        guards=(("agreement", "another classifier"),),
        kind="float32",
        reference=disturbed(1),
    ),
}  # fmt: skip


UNDAMAGED = Damage(nothing)


@pytest.fixture(scope="module")
def report_of(build, shipped_float32, images):
    """The report on a damage; each is made once."""
    reports: dict[Damage, ParityReport] = {}

    def make(damage: Damage) -> ParityReport:
        if damage not in reports:
            reference = shipped_float32
            if damage.reference:
                reference = build("float32", damage.reference)
            candidate = build(damage.kind, damage.change, **dict(damage.fields))
            reports[damage] = verify(reference, candidate, *images)
        return reports[damage]

    return make


@pytest.mark.parametrize("name", DAMAGES)
def test_verify_of_a_damage_fails_and_names_it(report_of, name):
    damage = DAMAGES[name]
    report = report_of(damage)
    assert not report.passed
    if damage.lost is not None:
        assert {row.label for row in report.with_verdict("lost")} == damage.lost
    failed = failed_guards(report)
    for guard, word in damage.guards:
        assert word in failed[guard]
    assert not set(damage.quiet) & set(failed)


def test_verify_of_an_undamaged_copy_says_nothing(report_of):
    report = report_of(UNDAMAGED)
    assert report.passed
    assert not failed_guards(report)
    assert {row.verdict for row in report.classes} == {"shown"}
    assert [guard.passed for guard in report.guards] == [True] * 7


# --- that the damages are what the table calls them


def test_scaled_weights_cost_the_class_three_points(report_of):
    report = report_of(DAMAGES["weights of one class scaled"])
    assert report.classes[SHIRT].loss >= 0.03
    assert report.accuracy.candidate > report.accuracy.reference - 0.015


@pytest.mark.parametrize("name", ["output zero point shifted", "softmax added"])
def test_damage_of_the_output_alone_leaves_the_answers(report_of, name):
    report = report_of(DAMAGES[name])
    sound = report_of(UNDAMAGED)
    assert report.accuracy.candidate == pytest.approx(sound.accuracy.candidate, abs=0.001)
    assert {row.verdict for row in report.classes} == {"shown"}


def test_other_network_is_as_accurate_as_the_first(report_of):
    report = report_of(DAMAGES["another network of equal accuracy"])
    assert report.accuracy.candidate == pytest.approx(report.accuracy.reference, abs=0.005)


def test_drowned_class_keeps_its_recall(report_of):
    report = report_of(DAMAGES["precision of one class drowned"])
    assert report.classes[SHIRT].verdict == "shown"


# --- damages of answers and of labels


def test_judge_of_precision_drowned_alone_names_the_class_while_every_recall_stands(
    build, shipped_float32, images
):
    images_u8, y_true = images
    before, after = (one.logits(images_u8) for one in (shipped_float32, build("int8")))
    wrong = (y_true != SHIRT) & (before.argmax(axis=1) != y_true) & (after.argmax(axis=1) != y_true)
    after[wrong, SHIRT] = after[wrong].max(axis=1) + 0.01
    reference, candidate = (Answers(logits, softmax(logits)) for logits in (before, after))
    report = judge(y_true, reference, candidate, FASHION_MNIST_LABELS)
    assert {row.verdict for row in report.classes} == {"shown"}
    failed = failed_guards(report)
    assert "Shirt" in failed["precision"]
    assert not report.passed


def test_verify_of_permuted_labels_cannot_be_judged(build, shipped_float32, images):
    candidate = build("int8", labels=list(FASHION_MNIST_LABELS[::-1]))
    with pytest.raises(ModelError, match="in another order"):
        verify(shipped_float32, candidate, *images)


def test_verify_of_permuted_outputs_cannot_be_judged(build, shipped_float32, images):
    candidate = build("int8", outputs_permuted)
    with pytest.raises(ModelError, match="Sandal -> Shirt, Shirt -> Sandal"):
        verify(shipped_float32, candidate, *images)


# --- the exit status


@pytest.mark.parametrize(
    ("change", "fields", "status"),
    [
        pytest.param(nothing, {}, 0, id="undamaged"),
        pytest.param(shirt_weights_scaled, {}, 1, id="class-lost"),
        pytest.param(softmax_added, {}, 1, id="guard-failed"),
        pytest.param(
            nothing, {"labels": list(FASHION_MNIST_LABELS[::-1])}, 2, id="labels-permuted"
        ),
        pytest.param(outputs_permuted, {}, 2, id="outputs-permuted"),
    ],
)
def test_cli_verify_of_a_damage_ends_with_its_status(build, real_data_dir, change, fields, status):
    candidate = build("int8", change, **fields)
    arguments = [
        "verify", FOLDER / "weighted-cnn_float32.tflite", candidate.path, "--data-dir", real_data_dir,
        "--limit", 2000, "--margin", 0.05, "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(cli.app, [str(one) for one in arguments], prog_name="cli")
    assert result.exit_code == status, result.stderr
    if status < 2:
        assert json.loads(result.stdout)["passed"] is (status == 0)
    else:
        assert result.stderr.startswith("Error: ")


# --- calibration on noise


def test_verify_of_a_calibration_on_noise_says_which_class_was_lost(
    export, keras, shipped_float32, images, tmp_path
):
    model = keras.saving.load_model(FOLDER / "weighted-cnn.keras", compile=False)
    # Dim noise: the ranges that it spans are left by every real image.
    noise = np.random.default_rng(0).uniform(0, 0.1, (100, 28, 28, 1)).astype(np.float32)
    path = Path(tmp_path / "noise_int8.tflite")
    path.write_bytes(attach(export.to_int8(model, noise), shipped_float32.metadata))
    report = verify(shipped_float32, Classifier(path), *images)
    assert not report.passed
    assert report.with_verdict("lost")
    assert "agreement" in failed_guards(report)
