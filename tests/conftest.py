"""Fixtures for several test files: commands, model files built byte by byte, small data sets, TensorFlow."""

from __future__ import annotations

import csv
import gzip
import hashlib
import http.client
import importlib
import json
import os
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from waiting import PATIENCE_S

from garmentlite import cli
from garmentlite.edge import foreign_model
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.controls import Controls
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS, NO_GARMENT
from garmentlite.edge.metadata import Metadata, attach
from garmentlite.edge.recognition import Recognition, Score
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.runtime import FLATBUFFER_IDENTIFIER
from garmentlite.edge.segmenters.border import BorderSegmenter
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sources.interface import Frame
from garmentlite.train import data
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.collection import Columns, read_collection
from garmentlite.train.config import TrainConfig
from garmentlite.train.data import FashionMnist
from garmentlite.train.photo_set import PhotoSet
from garmentlite.train.recipe import Recipe
from garmentlite.train.tiles import GROUNDS, make_tiles

# TensorFlow on one thread, so that sums are always taken in one order; read when it starts.
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)  # before pytest selects by -m
def pytest_collection_modifyitems(items):
    """Marks every test that uses TensorFlow with `tf`, so that none can be forgotten."""
    for item in items:
        if "tensorflow" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.tf)


@pytest.fixture(autouse=True, scope="session")
def _records_of_tried_models_in_a_temporary_folder(tmp_path_factory):
    """Keeps the tests from writing into the user's cache that a model held when it was tried."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign_model, "cache_root", lambda: folder)
        yield


# --- modules that need TensorFlow: imported when a test asks for them, skipped where it is missing


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow, with all that comes with it."""
    for name in ("tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"):
        pytest.importorskip(name, reason=f"{name}, which comes with TensorFlow, is not installed")
    return importlib.import_module("tensorflow")


def _module_fixture(name):
    @pytest.fixture(scope="session", name=name.rpartition(".")[2])
    def imported(tensorflow):
        return importlib.import_module(name)

    return imported


keras = _module_fixture("keras")
networks = _module_fixture("garmentlite.train.networks")
fit = _module_fixture("garmentlite.train.fit")
folding = _module_fixture("garmentlite.convert.folding")
keras2 = _module_fixture("garmentlite.convert.keras2")
export = _module_fixture("garmentlite.convert.export")
int8 = _module_fixture("garmentlite.convert.int8")
int8_ways = _module_fixture("garmentlite.convert.int8_ways")
pipeline = _module_fixture("garmentlite.convert.pipeline")


# --- a network small enough to be trained in seconds


@pytest.fixture(scope="session")
def tiny(networks, keras):
    """Registers a network with all that a resumed run must restore: batch-norm, dropout; its name."""

    def build(num_classes):
        layers = keras.layers
        inputs = keras.Input((28, 28, 1))
        x = layers.Conv2D(8, 5, strides=4, use_bias=False)(inputs)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Dropout(0.2)(x)
        x = layers.Flatten()(x)
        return keras.Model(inputs, layers.Dense(num_classes)(x))

    protocol = networks.Network(
        build,
        Recipe(
            epochs=4, batch_size=64, learning_rate=1e-2,
            augmentation=Augmentation(rotation=5, shift=0.05),
        ),
        {"Shirt": 2.0},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.NETWORKS, "tiny", protocol)
        yield "tiny"


@pytest.fixture(scope="session")
def trained(fit, tiny, made_data):
    """The small network after four epochs on the made data set."""
    training, validation = data.validation_split(made_data.y_train)
    config = TrainConfig(
        network=tiny, labels=FASHION_MNIST_LABELS,
        augmentation=Augmentation(), epochs=4, batch_size=64, learning_rate=1e-2, seed=0,
    )  # fmt: skip
    x, y = made_data.x_train, made_data.y_train
    return fit.train(config, x[training], y[training], x[validation], y[validation]).model


@pytest.fixture(scope="session")
def trained_keras(trained, tmp_path_factory):
    """The same as a `.keras` file."""
    path = tmp_path_factory.mktemp("trained") / "tiny.keras"
    trained.save(path)
    return path


@pytest.fixture
def run_folder(trained_keras, tmp_path):
    """The folder of a finished run of the small network, with the files that a conversion reads."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.keras").write_bytes(trained_keras.read_bytes())
    config = {
        "network": "tiny", "seed": 3, "class_weights": {"Shirt": 2.0},
        "augmentation": {"rotation": 5, "shift": 0.05, "shear": 0, "zoom": 0},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text("{}")
    return folder


@pytest.fixture(scope="session")
def made_material(made_data):
    """The made data set, divided for a conversion."""
    from garmentlite.convert import material

    return material.from_fashion_mnist(made_data)


@pytest.fixture(scope="module")
def config(fit, tiny):
    """A short training of the small network, with class weights and augmentation."""
    return TrainConfig(
        network=tiny, labels=FASHION_MNIST_LABELS, class_weights={"Shirt": 2.0},
        augmentation=Augmentation(rotation=5, shift=0.05),
        epochs=4, batch_size=64, learning_rate=1e-2, seed=7,
    )  # fmt: skip


@pytest.fixture(scope="session")
def contrary(images):
    """The same with every second validation label wrong, so that the validation loss rises in the end."""
    x, y, x_validation, y_validation = images
    wrong = np.arange(len(y_validation)) % 2
    return x, y, x_validation, (y_validation + wrong) % 10


@pytest.fixture(scope="session")
def interrupt_at():
    """Makes a report of steps that acts like Ctrl-C at one of them."""

    def at(epoch, step):
        def on_step(now, done, of):
            if (now, done) == (epoch, step):
                raise KeyboardInterrupt

        return on_step

    return at


# --- photographs


@pytest.fixture(scope="session")
def photograph_table(tmp_path_factory):
    """A CSV of 24 drawn photographs by eight contributors, with an empty wall and a broken file."""
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    image = pytest.importorskip("PIL.Image")
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(2)
    rows = []
    for number in range(24):
        label = ("Dress", "footwear", "Hat")[number % 3]
        drawn = {"footwear": "Sneaker", "Hat": "Bag"}.get(label, label)
        image.fromarray(draw_scene(drawn, rng, (96, 96)).rgb).save(root / f"{number}.png")
        rows.append([f"{number}.png", f"s{number // 3}", label])
    image.fromarray(np.full((80, 60, 3), 190, np.uint8)).save(root / "wall.png")
    (root / "broken.jpg").write_bytes(b"no picture")
    rows += [["wall.png", "s0", "Dress"], ["broken.jpg", "s0", "Dress"]]
    with (root / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "sender", "label"], *rows])
    return root / "images.csv"


@pytest.fixture
def photographs(photograph_table):
    """The same as a collection, whose labels are a class, a group of classes, and none of the classes."""
    footwear = "footwear=Sandal,Sneaker,Ankle boot"
    return read_collection(
        photograph_table,
        FASHION_MNIST_LABELS,
        columns=Columns(contributor="sender"),
        groups=[footwear],
    )


@pytest.fixture
def photograph_tiles(photographs):
    """Their tiles; in a piece of ground around every fifth photograph a garment was found by mistake."""
    tiles = make_tiles(
        photographs.photos, photographs.checksums, BorderSegmenter(), seed=1, variants=2
    )
    grounds = np.zeros((len(photographs.photos), GROUNDS, 28, 28), np.uint8)
    grounds[::5, 1] = np.arange(1, 1 + len(grounds[::5]), dtype=np.uint8)[:, None, None]
    return replace(tiles, grounds_u8=grounds, grounds_found=grounds.any(axis=(2, 3)))


@pytest.fixture(scope="session")
def grouped_photos(made_data):
    """Photographs whose classes 0 to 4 are known, and of 5 to 9 only that they are one of these."""
    x, y = made_data.x_test[:120], made_data.y_test[:120]
    # Unlike the images: in negative.
    tiles = np.stack([255 - x, 255 - np.roll(x, 1, axis=2)], axis=1)
    members = np.concatenate([np.eye(10, dtype=bool)[:5], [np.arange(10) >= 5]])
    group = np.minimum(y, 5).astype(np.int64)
    turned = np.rot90(made_data.x_test[120:160], axes=(1, 2))  # patterns of none of the classes
    return PhotoSet(
        tiles_u8=tiles[:80],
        y=group[:80],
        photo_factors=np.ones(80, np.float32),
        validation_u8=tiles[80:, 0],
        y_validation=group[80:],
        accepted_validation=members[group[80:]],
        missed=np.zeros(6, np.int64),
        groups=tuple("abcdef"),
        members=members,
        factors=np.ones(6, np.float32),
        outliers_u8=turned,
        outlier_kinds=np.arange(40) % 2,
        repeats=4,
        beside=700,  # of 900
        alone=False,
    )


# --- programs


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a command in this process, in an empty folder; by default no data set is to be found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)

    def invoke(*arguments, expect=0):
        result = CliRunner().invoke(cli.app, [str(one) for one in arguments], prog_name="cli")
        assert expect is None or result.exit_code == expect, result.stdout + result.stderr
        assert "--debug" in arguments or "Traceback" not in result.stderr
        return result

    return invoke


@pytest.fixture(scope="session")
def run_python():
    """Runs Python code in a process of its own, in the project's folder."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, **options,
        )  # fmt: skip

    return run


# --- model files


@pytest.fixture(scope="session")
def dense_model():
    """Builds a `.tflite` of one dense layer, byte by byte through the schema of the format.

    Called with a kernel of shape (C, H * W * channels) and a bias of shape (C,), both float; the image
    is square. `io` is the type of all tensors but the bias: "float32", "int8" or "uint8".
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    types, operators = schema.TensorType, schema.BuiltinOperator
    type_of = {"float32": types.FLOAT32, "int8": types.INT8, "uint8": types.UINT8}

    def tensor(name, shape, buffer, dtype, scale=0.0, zero_point=0):
        made = schema.TensorT()
        made.name, made.shape, made.buffer, made.type = name, shape, buffer, dtype
        if scale:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
        return made

    def buffer(values=None):
        made = schema.BufferT()
        if values is not None:
            made.data = np.frombuffer(values.tobytes(), np.uint8)
        return made

    def operator(code, inputs, output, options_type, options):
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, [output]
        made.builtinOptionsType, made.builtinOptions = options_type, options
        return made

    def build(
        kernel, bias, *, io, softmax=False, channels=1, output_scale=0.05, zero_point=5
    ) -> bytes:
        num_classes, side = len(bias), round((kernel.shape[1] / channels) ** 0.5)
        image, dtype = [1, side, side, channels], type_of[io]
        if io == "float32":
            weights, biases = kernel.astype(np.float32), bias.astype(np.float32)
            tensors = [
                tensor("image", image, 1, dtype),
                tensor("kernel", list(kernel.shape), 2, dtype),
                tensor("bias", [num_classes], 3, dtype),
                tensor("logits", [1, num_classes], 4, dtype),
                tensor("probabilities", [1, num_classes], 5, dtype),
            ]
        else:
            middle = 0 if io == "int8" else 128  # uint8 counts from 0 where int8 counts from -128
            kernel_scale, input_scale = float(np.abs(kernel).max() / 127), 1 / 255
            weights = (np.rint(kernel / kernel_scale) + middle).astype(io)
            biases = np.rint(bias / (kernel_scale * input_scale)).astype(np.int32)
            tensors = [
                tensor("image", image, 1, dtype, input_scale, middle - 128),
                tensor("kernel", list(kernel.shape), 2, dtype, kernel_scale, middle),
                tensor("bias", [num_classes], 3, types.INT32, kernel_scale * input_scale),
                tensor("logits", [1, num_classes], 4, dtype, output_scale, middle + zero_point),
                tensor("probabilities", [1, num_classes], 5, dtype, 1 / 256, middle - 128),
            ]
        dense_options = schema.FullyConnectedOptionsT()
        steps = [
            operator(0, [0, 1, 2], 3, schema.BuiltinOptions.FullyConnectedOptions, dense_options)
        ]
        codes = [(operators.FULLY_CONNECTED, 4 if io == "int8" else 1)]
        if softmax:
            options = schema.SoftmaxOptionsT()
            options.beta = 1.0
            steps.append(operator(1, [3], 4, schema.BuiltinOptions.SoftmaxOptions, options))
            codes.append((operators.SOFTMAX, 2 if io == "int8" else 1))
        graph = schema.SubGraphT()
        graph.tensors = tensors if softmax else tensors[:-1]
        graph.name, graph.operators = "main", steps
        graph.inputs, graph.outputs = [0], [len(graph.tensors) - 1]
        model = schema.ModelT()
        model.version, model.description, model.subgraphs = 3, "", [graph]
        model.buffers = [buffer(), buffer(), buffer(weights), buffer(biases), buffer(), buffer()]
        model.operatorCodes = []
        for code, version in codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, code, version
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), file_identifier=FLATBUFFER_IDENTIFIER)
        return bytes(builder.Output())

    return build


@pytest.fixture(scope="session")
def metadata_of():
    """Metadata with the given fields in place of its own."""

    def make(**fields) -> Metadata:
        plain = {
            "name": "made", "labels": ["Bag", "Coat", "Dress", "Shirt"], "preparation": {},
            "temperature": 1.0, "unknown_threshold": None, "reference_sha256": "a" * 64,
            "flatbuffer_sha256": "",
        }  # fmt: skip
        return Metadata(**(plain | fields))

    return make


@pytest.fixture(scope="session")
def shipped_int8() -> Path:
    """The int8 file in models/ that `cli` uses when none is named."""
    path = ROOT / "models" / "weighted-cnn_int8.tflite"
    assert path.is_file(), "models/ lacks the file that the command line uses"
    return path


# --- a small pair of files for the parity check


@dataclass(frozen=True)
class Patterns:
    """300 noisy 6x6 images of each of four patterns, and a dense layer that knows them."""

    labels: tuple[str, ...]
    images_u8: np.ndarray
    y_true: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray


@pytest.fixture(scope="session")
def patterns() -> Patterns:
    labels = ("Bag", "Coat", "Dress", "Shirt")
    means = np.random.default_rng(1).uniform(90, 165, (len(labels), 6, 6))
    noise = np.random.default_rng(0).normal(0, 45, (300 * len(labels), 6, 6))
    images_u8 = np.clip(np.repeat(means, 300, axis=0) + noise, 0, 255).astype(np.uint8)
    flat = means.reshape(len(labels), -1) / 255
    kernel = 8 * (flat - flat.mean(axis=0))
    bias = -8 * (flat**2).sum(axis=1) / 2 + 8 * (flat.mean(axis=0) ** 2).sum() / 2
    return Patterns(labels, images_u8, np.repeat(np.arange(len(labels)), 300), kernel, bias)


@pytest.fixture
def make_classifier(tmp_path, patterns, dense_model, metadata_of):
    """Makes a classifier of the patterns from a file: the sound network, or one changed on the way.

    `card` are fields of its metadata in place of the usual ones; None for a file without metadata.
    """

    def make(name, *, kernel=None, bias=None, card=None, labels=None, **options) -> Classifier:
        path = tmp_path / f"{name}.tflite"
        kernel = patterns.kernel if kernel is None else kernel
        flatbuffer = dense_model(kernel, patterns.bias if bias is None else bias, **options)
        fields = {"labels": list(patterns.labels)} | (card or {})
        whole = flatbuffer if card is None else attach(flatbuffer, metadata_of(**fields))
        path.write_bytes(whole)
        return Classifier(path, labels=labels, input_range="0..1")

    return make


@pytest.fixture
def float_classifier(make_classifier) -> Classifier:
    return make_classifier("dense_float32", io="float32", card={})


@pytest.fixture
def int8_classifier(make_classifier) -> Classifier:
    return make_classifier("dense_int8", io="int8", card={})


@pytest.fixture
def lossy_classifier(make_classifier, patterns) -> Classifier:
    """An int8 file that loses many images of the last class, Shirt."""
    return make_classifier("damaged_int8", io="int8", bias=patterns.bias - [0, 0, 0, 0.8], card={})


# The two models and the images of a parity check; a test file with others defines its own.


@pytest.fixture
def images_u8(patterns) -> np.ndarray:
    return patterns.images_u8


@pytest.fixture
def y_true(patterns) -> np.ndarray:
    return patterns.y_true


@pytest.fixture
def reference(float_classifier) -> Classifier:
    return float_classifier


@pytest.fixture
def candidate(int8_classifier) -> Classifier:
    return int8_classifier


# --- data sets


def made_images(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten coarse patterns with noise and uneven brightness, shape (10 * per_class, 28, 28), shuffled."""
    patterns = np.random.default_rng(0).integers(0, 2, (10, 6, 6)) * 200
    patterns = np.pad(np.kron(patterns, np.ones((4, 4), int)), ((0, 0), (2, 2), (2, 2)))
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), per_class))
    noise = rng.normal(0, 40, (len(y), 28, 28))
    images = patterns[y] * rng.uniform(0.5, 1, (len(y), 1, 1)) + noise
    return np.clip(images, 0, 255).astype(np.uint8), y


@pytest.fixture(scope="session")
def made_data() -> FashionMnist:
    """A data set in the form of Fashion-MNIST: 1,000 images to train on, 200 to test on."""
    x_train, y_train = made_images(100, seed=1)
    x_test, y_test = made_images(20, seed=2)
    return FashionMnist(x_train, y_train, x_test, y_test, Path("made"))


@pytest.fixture(scope="session")
def images(made_data):
    """The made images to train on with their labels, and those that validate with theirs."""
    training, validation = data.validation_split(made_data.y_train)
    x, y = made_data.x_train, made_data.y_train
    return x[training], y[training], x[validation], y[validation]


def idx_of(found: FashionMnist) -> dict[str, bytes]:
    """The four files of a data set, decompressed, by name."""
    content = {}
    for part, x, y in (
        ("train", found.x_train, found.y_train), ("t10k", found.x_test, found.y_test)
    ):  # fmt: skip
        head = struct.pack(">4I", 0x803, *x.shape)
        content[f"{part}-images-idx3-ubyte"] = head + x.tobytes()
        content[f"{part}-labels-idx1-ubyte"] = struct.pack(">2I", 0x801, len(y)) + y.tobytes()
    return content


def md5_of(content: dict[str, bytes]) -> dict[str, str]:
    return {
        name: hashlib.md5(part, usedforsecurity=False).hexdigest() for name, part in content.items()
    }


@pytest.fixture
def made_data_dir(made_data, monkeypatch, tmp_path) -> Path:
    """The made data set as files, which `train.data` takes for the released ones in this process."""
    content = idx_of(made_data)
    monkeypatch.setattr(data, "MD5", md5_of(content))
    folder = tmp_path / "made-data"
    folder.mkdir()
    for name, part in content.items():
        (folder / name).write_bytes(part)
    return folder


@pytest.fixture
def idx_files(monkeypatch) -> dict[str, bytes]:
    """The four files of 30 and 10 random images, which `train.data` takes for the released ones."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 256, (40, 28, 28), np.uint8), (np.arange(40) % 10).astype(np.uint8)
    content = idx_of(FashionMnist(x[:30], y[:30], x[30:], y[30:], Path("made")))
    monkeypatch.setattr(data, "MD5", md5_of(content))
    return content


@pytest.fixture
def write_idx(idx_files):
    """Writes the made files into a folder, compressed or not; returns the folder."""

    def write(folder: Path, *, compressed: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in idx_files.items():
            if compressed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(part, mtime=0))
            else:
                (folder / name).write_bytes(part)
        return folder

    return write


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """Fashion-MNIST where it lies on this machine; nothing is downloaded by a test."""
    named = os.environ.get("FASHION_MNIST_DIR")
    for folder in (Path(named) if named else None, data.DEBIAN_FOLDER, data.cache_folder()):
        if folder and all((folder / f"{name}.gz").is_file() for name in data.MD5):
            return folder
    pytest.skip("Fashion-MNIST is not on this machine ('cli data' brings it)")


# --- the page of the camera app


def make_sighting(
    label="Shirt", confidence=0.9, *, clock=1_800_000_000.0, frame_bgr=None, camera=None
):
    """An answer to a grey frame, or to `frame_bgr`."""
    bgr = np.full((48, 64, 3), 120, np.uint8) if frame_bgr is None else frame_bgr
    is_seen = label != NO_GARMENT
    mask = np.zeros(bgr.shape[:2], bool)
    mask[8:40, 16:48] = True
    recognition = Recognition(
        label=label,
        confidence=confidence if is_seen else 0.0,
        scores=[Score(label, confidence)] if is_seen else [],
        probabilities=None,
        image_u8=np.full((28, 28), 7, np.uint8) if is_seen else None,
        mask=mask if is_seen else None,
        box=(16, 8, 32, 32) if is_seen else None,
        reason=None if is_seen else "nothing moved",
        form="photo",
        segmenter="plain",
        latency_ms={"capture": 1.0, "segment": 2.0},
    )
    return Sighting(Frame(bgr, 0.0), recognition, recognition, 10.0, clock, camera)


@pytest.fixture(name="make_sighting")
def make_sighting_fixture():
    return make_sighting


class ServedPage:
    """A page that is served on a free port of the loopback address."""

    def __init__(self, token, features, patience):
        from garmentlite.edge.page.access import Access, own_host_names
        from garmentlite.edge.page.address import Address, open_sockets
        from garmentlite.edge.page.server import PageServer

        sockets = open_sockets(Address("127.0.0.1", 0))
        self.port = sockets[0].getsockname()[1]
        self.controls = Controls()
        self.server = PageServer(
            sockets,
            Access(token, own_host_names(("shop.example",))),
            self.controls,
            lambda: Recognizer(Classifier(ROOT / "models" / "weighted-cnn_int8.tflite"), "plain"),
            features,
            patience=patience,
        )

    def ask(self, path, *, method="GET", body=None, **headers):
        """Sends a request; the status, the headers and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def open(self, path):
        """Opens a connection without end, of which nothing is read; HTTP/1.0 has no chunks."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        return connection


@pytest.fixture
def serve():
    """Serves pages, which are stopped at the end."""
    served = []

    def start(token=None, features=(), patience=5.0):
        served.append(ServedPage(token, features, patience))
        return served[-1]

    yield start
    for one in served:
        one.server.stop()
