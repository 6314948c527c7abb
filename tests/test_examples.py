"""The programs of examples/ and the commands of docs/embedding.md are built and run."""

from __future__ import annotations

import ast
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import PATIENCE_S, wait_until

from garmentlite.convert.arena import Arena
from garmentlite.convert.c_array import file_names, resolver_method, to_c_array
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.drawn_folder import draw_folder
from garmentlite.edge.metadata import split
from garmentlite.edge.recognizer import Recognizer

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "embedding.md"
SHIPPED = sorted((ROOT / "models").glob("*_int8.tflite"))
FLAGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def require(program, package):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (apt install {package})")


def run_program(*words, cwd=None, **environment):
    """Runs a program to its end; what it printed, and its exit status."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with one drawn picture of each class."""
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    folder = tmp_path_factory.mktemp("pictures")
    draw_folder(folder, 1, 0)
    return sorted(folder.glob("*.png"))


# --- Python


def test_python_example_names_pictures_without_tensorflow(pictures):
    program = (
        "import runpy, sys\n"
        f"runpy.run_path({str(EXAMPLES / 'classify.py')!r}, run_name='__main__')\n"
        "assert not {'tensorflow', 'keras', 'jax', 'matplotlib'} & set(sys.modules)\n"
    )
    done = run_program(sys.executable, "-c", program, *pictures[:3])
    assert (done.returncode, done.stderr) == (0, "")
    recognizer = Recognizer()
    answers = [recognizer.recognize(path) for path in pictures[:3]]
    assert done.stdout.splitlines() == [
        f"{path}: {one.label} ({one.confidence:.0%})"
        for path, one in zip(pictures, answers, strict=False)
    ]


def test_python_example_has_ten_lines_at_most():
    lines = (EXAMPLES / "classify.py").read_text("utf-8").splitlines()
    assert len([line for line in lines if line]) <= 10


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_python_examples_use_the_public_names_alone(path):
    import garmentlite

    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    imported = {node.module: node.names for node in nodes if isinstance(node, ast.ImportFrom)}
    assert [module for module in imported if "garmentlite" in module] == ["garmentlite"]
    assert {alias.name for alias in imported["garmentlite"]} <= set(garmentlite.__all__)


# --- C, with the library of the LiteRT wheel


@pytest.fixture(scope="module")
def litert():
    """The folder of the LiteRT wheel."""
    import ai_edge_litert

    folder = Path(ai_edge_litert.__path__[0])
    if not (folder / "libLiteRt.so").is_file():
        pytest.skip("this wheel of ai-edge-litert has no libLiteRt.so (it is built for Linux)")
    return folder


@pytest.fixture(scope="module")
def c_program(litert, tmp_path_factory):
    """The compiled C program; it finds the library of the wheel by itself."""
    require("gcc", "gcc libc6-dev")
    program = tmp_path_factory.mktemp("c") / "classify"
    done = run_program(
        "gcc", "-std=c99", "-O2", *FLAGS, EXAMPLES / "c" / "classify.c", litert / "libLiteRt.so",
        f"-Wl,-rpath,{litert}", "-lm", "-o", program,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return program


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(Classifier(SHIPPED[0]).labels), encoding="utf-8")
    return path


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.pgm"
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_c_program_prints_the_label_and_the_logits_of_python(c_program, model, tmp_path):
    images_u8 = np.random.default_rng(0).integers(0, 256, (8, 28, 28), np.uint8)
    images_u8[:4] = np.arange(28, dtype=np.uint8)[:, np.newaxis] * [[[1]], [[3]], [[6]], [[9]]]
    paths = [tmp_path / f"{number}.pgm" for number in range(len(images_u8))]
    for path, image_u8 in zip(paths, images_u8, strict=True):
        Image.fromarray(image_u8).save(path)
    classifier = Classifier(model)
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(classifier.labels), encoding="utf-8")
    done = run_program(c_program, model, labels, *paths)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    logits = classifier.logits(images_u8)
    assert [row[0] for row in rows] == [str(path) for path in paths]
    assert [row[1] for row in rows] == [classifier.labels[i] for i in logits.argmax(axis=1)]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], np.float32), logits)


def test_c_program_with_the_library_of_another_version_says_what_to_install(
    c_program, litert, labels, image, tmp_path
):
    elsewhere = tmp_path / "package" / "ai_edge_litert"
    elsewhere.mkdir(parents=True)
    (elsewhere / "libLiteRt.so").symlink_to(litert / "libLiteRt.so")
    (elsewhere.parent / "ai_edge_litert-2.2.0.dist-info").mkdir()
    done = run_program(c_program, SHIPPED[0], labels, image, LD_LIBRARY_PATH=str(elsewhere))
    assert done.returncode == 2
    assert "this is not the library of ai-edge-litert 2.3.0" in done.stderr
    (elsewhere.parent / "ai_edge_litert-2.3.0.dist-info").mkdir()
    assert run_program(
        c_program, SHIPPED[0], labels, image, LD_LIBRARY_PATH=str(elsewhere)
    ).stdout.startswith(f"{image}\t")


def test_c_program_declares_the_version_that_is_pinned():
    header = (EXAMPLES / "c" / "litert.h").read_text("utf-8")
    (declared,) = re.findall(r'#define LITERT_VERSION "(.+)"', header)
    assert f"ai-edge-litert=={declared}\n" in (ROOT / "constraints.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"model": "gone.tflite"}, "gone.tflite: the model cannot be read", id="model"),
        pytest.param(
            {"model": ROOT / "models" / "garment-net_float32.tflite"},
            "the model: it is not an int8 model",
            id="float model",
        ),
        pytest.param(
            {"labels": "Shirt\nCoat\n"},
            "the number of labels is not the number of the model's outputs",
            id="labels",
        ),
        pytest.param(
            {"image": b"P5\n27 28\n255\n" + bytes(784)}, "is not a grey image of 28x28", id="size"
        ),
        pytest.param(
            {"image": b"P5\n28 28\n255\n" + bytes(783)}, "is not a grey image of 28x28", id="cut off"
        ),
    ],
)  # fmt: skip
def test_c_program_with_a_wrong_file_says_what_is_wrong(
    c_program, labels, image, tmp_path, change, sentence
):
    if "labels" in change:
        labels.write_text(change["labels"], encoding="utf-8")
    if "image" in change:
        image.write_bytes(change["image"])
    done = run_program(c_program, change.get("model", SHIPPED[0]), labels, image, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr.splitlines()[-1]


# --- a microcontroller; TFLite Micro's own headers are not in its Python package

# The declarations of TFLite Micro that main.cc uses, without their bodies.
TFLITE_MICRO = {
    "tensorflow/lite/schema/schema_generated.h": """
        namespace tflite { struct Model; const Model* GetModel(const void* buffer); }
    """,
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """
        enum TfLiteStatus { kTfLiteOk, kTfLiteError };
        namespace tflite {
        class MicroOpResolver {};
        template <unsigned int tOpCount> class MicroMutableOpResolver : public MicroOpResolver {
         public: METHODS
        };
        }
    """,
    "tensorflow/lite/micro/micro_interpreter.h": """
        #include <cstddef>
        #include <cstdint>
        #include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
        namespace tflite {
        struct Model;
        class MicroInterpreter {
         public:
          MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena, size_t size);
          TfLiteStatus AllocateTensors();
          TfLiteStatus Invoke();
          template <class T> T* typed_input_tensor(int index);
          template <class T> T* typed_output_tensor(int index);
        };
        }
    """,
}


@pytest.fixture
def sketch_folder(tmp_path):
    """The sketch, its model as a C array, and the declarations that stand in for TFLite Micro's headers."""
    flatbuffer, metadata = split((ROOT / "models" / "garment-net-photo_int8.tflite").read_bytes())
    array = to_c_array("garment", flatbuffer, metadata.labels, Arena(60_000, "a test"))
    source, header = file_names("garment")
    (tmp_path / source).write_text(array.source, encoding="utf-8")
    (tmp_path / header).write_text(array.header, encoding="utf-8")
    operators = read_contents(flatbuffer).operators
    methods = " ".join(f"TfLiteStatus {resolver_method(one)}();" for one in operators)
    for name, text in TFLITE_MICRO.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "#pragma once\n" + text.replace("METHODS", methods)
        path.write_text(text, encoding="utf-8")
    shutil.copy(EXAMPLES / "microcontroller" / "main.cc", tmp_path)
    return tmp_path


def compile_sketch(folder):
    require("g++", "g++")
    return run_program("g++", "-std=c++17", *FLAGS, "-I.", "-c", "main.cc", cwd=folder)


def test_sketch_compiles_against_the_declarations_of_tflite_micro(sketch_folder):
    done = compile_sketch(sketch_folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_sketch_with_an_arena_that_was_not_measured_does_not_compile(sketch_folder):
    header = sketch_folder / "garment.h"
    text = header.read_text("utf-8")
    header.write_text(re.sub("#define .*_ARENA_BYTES .*", "", text), encoding="utf-8")
    assert "GARMENT_ARENA_BYTES" in compile_sketch(sketch_folder).stderr


def test_sketch_adds_the_operators_that_the_model_needs():
    sketch = (EXAMPLES / "microcontroller" / "main.cc").read_text("utf-8")
    flatbuffer, _ = split((ROOT / "models" / "garment-net-photo_int8.tflite").read_bytes())
    needed = {resolver_method(one) for one in read_contents(flatbuffer).operators}
    assert set(re.findall(r"resolver\.(Add\w+)\(\)", sketch)) == needed


# --- MQTT


def is_open(port):
    """Tells whether a server takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def broker_port(tmp_path):
    """The port of a mosquitto that takes any client of this computer."""
    require("mosquitto", "mosquitto")
    settings = tmp_path / "mosquitto.conf"
    for _ in range(5):  # another program may take the port before mosquitto does
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", "utf-8")
        process = subprocess.Popen(
            ["mosquitto", "-c", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ready = partial(lambda one, at: one.poll() is not None or is_open(at), process, port)
        wait_until(ready, "mosquitto's port")
        if process.poll() is None:
            break
    yield port
    process.terminate()
    process.wait()


@pytest.fixture
def messages(broker_port):
    """What a client of the broker gets on the topic garmentlite, as a queue of documents."""
    mqtt = pytest.importorskip(
        "paho.mqtt.client", reason="paho-mqtt is not installed (the `mqtt` extra)"
    )
    received, is_subscribed = queue.SimpleQueue(), threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, _, message: received.put(json.loads(message.payload))
    client.on_subscribe = lambda *_: is_subscribed.set()
    client.connect("127.0.0.1", broker_port)
    client.subscribe("garmentlite")
    client.loop_start()
    assert is_subscribed.wait(PATIENCE_S)
    yield received
    client.disconnect()
    client.loop_stop()


def test_mqtt_example_publishes_each_other_garment(messages, broker_port, pictures):
    done = run_program(
        sys.executable, EXAMPLES / "mqtt_publisher.py", "127.0.0.1",
        "--port", broker_port, "--source", pictures[0].parent / "*.png",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    recognizer = Recognizer()
    answers = [recognizer.recognize(path) for path in pictures]
    firsts = [next(run) for _, run in groupby(answers, key=lambda one: one.label)]
    assert len(firsts) > 5
    published = [messages.get(timeout=PATIENCE_S) for _ in firsts]
    assert [one["label"] for one in published] == [one.label for one in firsts]
    assert [one["confidence"] for one in published] == [
        pytest.approx(one.confidence, abs=0.001) for one in firsts
    ]
    assert messages.empty()


# --- the page


def blocks():
    """The sh blocks of the page that need nothing from the network."""
    found = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [one for one in found if not re.search(r"(pip|apt) install|aarch64-linux-gnu", one)]


@pytest.mark.slow
def test_commands_of_the_page_run_from_top_to_bottom(tmp_path, broker_port, messages, litert):
    require("gcc", "gcc libc6-dev")
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    for name in ("examples", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, words in (("python", ""), ("cli", " -m garmentlite.cli")):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        (bin_folder / name).chmod(0o755)
    commands = "\n".join(blocks())
    commands, count = re.subn(
        "(mqtt_publisher.py) localhost", rf"\1 127.0.0.1 --port {broker_port}", commands
    )
    assert count == 1
    done = run_program(
        "sh", "-e", "-c", commands, cwd=tmp_path, PATH=f"{bin_folder}:{os.environ['PATH']}"
    )
    assert done.returncode == 0, done.stderr
    assert "drawn/coat-0.png: Coat" in done.stdout
    assert re.search(r"garment\.pgm\tCoat\t", done.stdout)
    assert (tmp_path / "firmware" / "garment.h").is_file()
    assert messages.get(timeout=PATIENCE_S)["label"]
