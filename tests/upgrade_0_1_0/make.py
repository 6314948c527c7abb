"""Makes the files beside it. This script runs with garmentlite 0.1.0 (commit 85c59f9) only.

    git worktree add ../garmentlite-0.1.0 85c59f9
    cd ../garmentlite-0.1.0
    PYTHONPATH=. python -P PATH-OF-THIS-SCRIPT

`tests/test_upgrade.py` shows that later versions read what 0.1.0 left behind. So no later version may make
these files, and there is no need to make them again: another processor rounds otherwise when it trains, and
then the weights in them change.

data/                  a data set in the form of Fashion-MNIST: 1,000 images to train on, 200 to test on
finished/              a finished run on it
rebalanced/            what `cli rebalance` made of that run, without the network
lenet-bn.json          the card of that run, which was converted to int8
broken_off/            a run of two epochs that was killed after the first
resumed.npz            the weights that 0.1.0 reached from there with --resume
photo_run/             a finished run on drawn pictures of three classes that are not Fashion-MNIST's, and the
                       int8 file made of it; each picture is there nine times, so that enough are held out
photographs/           these pictures, each once
photo_run_broken_off/  a run on them that Ctrl-C ended while they were prepared
mirrored_int8.tflite   a tiny model with the metadata of garment-net-photo: a threshold for "unknown" (set so
                       high that some answers are below it), and a training with mirrored images, for which
                       0.1.0 shows the model each image mirrored as well
plain_int8.tflite      the same model without threshold and mirrored images
tiles/                 three drawn pictures as a network sees them
reference.npz          outputs of plain_int8.tflite, stored by `cli verify --save-reference`
expected.json          what 0.1.0 answers with all these files

Two things differ from what 0.1.0 writes, so that the files are small. The archives (.npz and .keras) are
compressed; their content is the same. And most units of the networks have weights of zero from the start.
They keep them in training, so that some 2,500 of LeNet's 81,000 parameters are left to store.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import struct
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

# TensorFlow on one thread, so that sums are always taken in one order; read when it starts.
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="2")

import keras
import numpy as np
from PIL import Image
from typer.testing import CliRunner

import cli
from edge import metadata
from edge.drawing import draw_scene
from edge.shipped import FOLDER as SHIPPED
from edge.version import __version__
from train import data, networks, runs, tiles

HERE = Path(__file__).resolve().parent
NETWORK = "lenet-bn"  # the registered network with the fewest parameters
# How many units keep their weights in a layer of so many; in layers of other sizes all do.
LIVE_UNITS = {16: 4, 128: 10, 32: 10}
TRAINING = ("--network", NETWORK, "--class-weight", "Shirt=1.5", "--learning-rate", "0.004")
PHOTO_TRAINING = ("--network", NETWORK, "--epochs", "1", "--folds", "2", "--learning-rate", "0.001")
DATA = ("--data-dir", "data")
TARGET = "Sandal=0.95"
SIDE, QUALITY = 112, 86  # of a photograph: pixels, and quality of the JPEG file
# The classes of photographs: the garment that is drawn, seeds, and pixels to cut off at each edge. In the
# last bag no garment is found, in the last but one the second mask shows none. With JPEG files of this
# quality both are held out, since photographs are dealt to the folds by their checksums.
OWN_CLASSES = {
    "blouse": ("Shirt", {0: 0, 1: 0, 2: 0, 4: 0, 11: 26}),
    "hoodie": ("Pullover", {1: 0, 2: 0, 3: 0, 7: 0, 18: 0}),
    "tote bag": ("Bag", {0: 0, 1: 0, 2: 0, 10: 26, 5: 160}),
}
COPIES = 9  # of each photograph
THRESHOLD = 0.4  # of mirrored_int8.tflite
PREPARED = 4  # photographs before the run on them is broken off
TILES = ("Sneaker", "Bag", "Pullover")
REFERENCE_IMAGES = 50
KEPT = (
    "data/*",
    *(f"finished/{name}" for name in ("config.json", "history.*", "metrics.json", "model.keras")),
    *(f"rebalanced/{name}" for name in ("config.json", "metrics.json")),
    "lenet-bn.json",
    "broken_off/*",
    "resumed.npz",
    "photographs/*/*",
    *(f"photo_run/{name}" for name in ("config.json", "history.*", "metrics.json", "model.keras")),
    "photo_run/photos.npz",
    "photo_run/lenet-bn_int8.tflite",
    "photo_run_broken_off/*",
    "mirrored_int8.tflite",
    "plain_int8.tflite",
    "tiles/*",
    "reference.npz",
)


def main() -> None:
    assert __version__ == "0.1.0", f"this script needs garmentlite 0.1.0, not {__version__}"
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)  # all paths are relative, so that no file names a folder of this machine
        write_data(Path("data"))
        write_photographs(Path("photographs"), Path("copies"))
        expected = {
            "finished": make_finished_run(),
            "broken_off": make_broken_off_run(),
            "photo_run": make_photo_run(),
            "photo_run_broken_off": make_broken_off_photo_run(),
        }
        make_tiny_models()
        expected["reference"] = make_reference()
        expected["answers"] = answers_to_tiles()
        keep()
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def run(*arguments: str, expect: int = 0) -> str:
    """Runs a command of 0.1.0 in this process; returns what it prints."""
    sys.argv = ["cli", *arguments]  # which a run keeps in its config.json
    result = CliRunner().invoke(cli.app, arguments, prog_name="cli", catch_exceptions=False)
    assert result.exit_code == expect, result.output
    return result.stdout


# --- images and pictures


def write_data(folder: Path) -> None:
    """Ten coarse patterns of eight grey levels, each image brighter or darker and with some noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2, (10, 5, 5)) * 5
    for part, per_class in (("train", 100), ("t10k", 20)):
        y = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), per_class))
        levels = patterns[y] + rng.integers(-2, 3, (len(y), 1, 1)) * (patterns[y] > 0)
        levels = np.clip(levels + rng.choice([-2, 0, 0, 2], levels.shape), 0, 7)
        levels = np.pad(levels, ((0, 0), (1, 1), (1, 1)))
        x = np.kron(levels * 36, np.ones((1, 4, 4))).astype(np.uint8)
        for kind, head, array in (
            ("images-idx3", struct.pack(">4I", 0x803, *x.shape), x),
            ("labels-idx1", struct.pack(">2I", 0x801, len(y)), y),
        ):
            content = head + array.tobytes()
            name = f"{part}-{kind}-ubyte"
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            data.MD5[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_photographs(folder: Path, copies: Path) -> None:
    """Writes each picture once into one folder, and several times into the other."""
    for own, (garment, drawings) in OWN_CLASSES.items():
        (folder / own).mkdir(parents=True)
        (copies / own).mkdir(parents=True)
        for seed, edge in drawings.items():
            size_wh = (SIDE + 2 * edge, SIDE + 2 * edge)
            rgb = draw_scene(garment, np.random.default_rng(seed), size_wh).rgb
            picture = Image.fromarray(rgb[edge : edge + SIDE, edge : edge + SIDE])
            path = folder / own / f"{seed}.jpg"
            picture.save(path, quality=QUALITY)
            for copy in range(COPIES):
                shutil.copyfile(path, copies / own / f"{seed}-{copy}.jpg")


# --- runs


@contextmanager
def thinned_out() -> Iterator[None]:
    """Runs that start in here begin with weights of zero in most units.

    Training leaves those at zero: the gradient of a ReLU is zero where its input is.
    """

    def build(num_classes: int) -> keras.Model:
        model = original.build(num_classes)
        is_live = np.ones(1, bool)  # by input of the next layer
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
                kernel, *bias = layer.get_weights()
                # Flattened images are in the order height, width, channels.
                is_live = np.tile(is_live, kernel.shape[-2] // len(is_live))
                kernel[..., ~is_live, :] = 0
                is_live = np.arange(kernel.shape[-1]) < LIVE_UNITS.get(kernel.shape[-1], 10)
                kernel[..., ~is_live] = 0
                layer.set_weights([kernel, *bias])
        return model

    registry = networks.NETWORKS
    original = registry[NETWORK]
    networks.NETWORKS = {**registry, NETWORK: replace(original, build=build)}
    yield
    networks.NETWORKS = registry


def make_finished_run() -> dict[str, Any]:
    """A run, the same with an output raised, and what `cli compare` says of the two."""
    with thinned_out():
        run("train", *TRAINING, "--epochs", "4", "-o", "finished", *DATA)
    run("rebalance", "finished", "--target-recall", TARGET, "-o", "rebalanced", *DATA)
    run("convert", "finished", "--int8", "--ptq", "-o", ".", *DATA)
    return {
        "test": json.loads(Path("finished/metrics.json").read_text())["test"],
        "target_recall": json.loads(Path("rebalanced/metrics.json").read_text())["target_recall"],
        "compare": json.loads(run("compare", "finished", "rebalanced", "--json")),
    }


def make_broken_off_run() -> dict[str, Any]:
    """A run that is killed after the first of two epochs, and how it ends when it is resumed."""
    write_history = runs.write_history

    def write_and_die(*arguments: Any, **options: Any) -> None:
        write_history(*arguments, **options)
        raise SystemExit(137)

    command = ["train", *TRAINING, "--epochs", "2", "--seed", "3"]
    runs.write_history = write_and_die
    with thinned_out():
        run(*command, "-o", "broken_off", *DATA, expect=137)
    runs.write_history = write_history
    shutil.copytree("broken_off", "resumed")
    run(*command, "-o", "resumed", *DATA, "--resume")
    weights = keras.models.load_model("resumed/model.keras").get_weights()
    np.savez("resumed.npz", *weights)
    return {
        "command": command,
        "machine": machine(),
        "weights_sha256": sha256(b"".join(array.tobytes() for array in weights)),
        "history": json.loads(Path("resumed/history.json").read_text()),
    }


def make_photo_run() -> dict[str, Any]:
    """A run on photographs of classes of one's own, converted."""
    with thinned_out():
        run("train", "--photos", "copies", *PHOTO_TRAINING, "-o", "photo_run")
    run("convert", "photo_run", "--int8", "--ptq")
    card = json.loads(Path("photo_run/lenet-bn.json").read_text())
    names = ("labels", "temperature", "unknown_threshold", "photographs")
    return {name: card[name] for name in names} | {
        "validation": json.loads(Path("photo_run/metrics.json").read_text())["validation"],
    }


def make_broken_off_photo_run() -> dict[str, Any]:
    """A run that is broken off, by Ctrl-C, while photographs are prepared."""
    tiles_of, count = tiles._tiles_of, iter(range(PREPARED))

    def prepare_some(*arguments: Any) -> np.ndarray:
        if next(count, None) is None:
            raise KeyboardInterrupt
        return tiles_of(*arguments)

    command = ["train", "--photos", "photographs", *PHOTO_TRAINING]
    tiles._tiles_of = prepare_some
    run(*command, "-o", "photo_run_broken_off", expect=2)
    tiles._tiles_of = tiles_of
    return {"command": command, "prepared": PREPARED}


# --- model files


def make_tiny_models() -> None:
    """One flatbuffer with two different metadata: its own, and those of a shipped file."""
    found = data.load(Path("data"))
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, strides=4, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(data.as_input(found.x_train), found.y_train, batch_size=50, epochs=3, verbose=0)
    model.save("tiny.keras")
    run("convert", "tiny.keras", "--int8", "--ptq", *DATA)
    flatbuffer, own = metadata.split(Path("tiny_int8.tflite").read_bytes())
    _, shipped = metadata.split((SHIPPED / "garment-net-photo_int8.tflite").read_bytes())
    assert own is not None
    assert shipped is not None
    assert shipped.training["augmentation"]["flip"]
    own = replace(own, quantization={})  # which is long, and not read for an answer
    photo = replace(
        shipped,
        quantization={},
        reference_sha256=own.reference_sha256,
        unknown_threshold=THRESHOLD,
    )
    Path("plain_int8.tflite").write_bytes(metadata.attach(flatbuffer, own))
    Path("mirrored_int8.tflite").write_bytes(metadata.attach(flatbuffer, photo))


def make_reference() -> dict[str, Any]:
    """Stored outputs of a model, and what it says when it is compared with them."""
    command = ("verify", "plain_int8.tflite", "--limit", str(REFERENCE_IMAGES), *DATA)
    platform.platform = lambda: "Linux"  # without the version of this machine's kernel
    run(*command, "--save-reference", "reference.npz")
    return json.loads(run(*command, "--against", "reference.npz", "--json"))


def answers_to_tiles() -> dict[str, list[dict[str, Any]]]:
    """What each model answers to the tiles, as `classify --json` prints it."""
    rng = np.random.default_rng(2)
    Path("scenes").mkdir()
    for garment in TILES:
        picture = Image.fromarray(draw_scene(garment, rng).rgb)
        picture.save(f"scenes/{garment.lower()}.png")
    run("classify", "scenes", "--save-inputs", "tiles")
    answers = {}
    for model in ("mirrored_int8.tflite", "plain_int8.tflite", "photo_run/lenet-bn_int8.tflite"):
        printed = run("classify", "tiles", "--json", "--top-k", "10", "--model", model)
        answers[model] = [json.loads(line) for line in printed.splitlines()]
        for answer in answers[model]:
            del answer["latency_ms"]
    return answers


# --- what is kept


def keep() -> None:
    """Copies what the tests need from the working folder to the folder of this script."""
    for name in KEPT:
        for path in sorted(Path().glob(name)):
            kept = HERE / path
            kept.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".npz", ".keras"):
                pack_anew(path, kept)
            else:
                shutil.copyfile(path, kept)


def pack_anew(path: Path, kept: Path) -> None:
    """Writes an archive anew with compression, and without dates."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(kept, "w") as packed:
        for name in archive.namelist():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            packed.writestr(entry, archive.read(name), zipfile.ZIP_DEFLATED, 9)


def machine() -> dict[str, str]:
    """What decides how float32 sums are rounded: the processor and the libraries."""
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    told = [line for line in first if line.startswith(("model", "cpu family", "flags"))]
    return {
        "processor_sha256": sha256("\n".join(told).encode()),
        "tensorflow": importlib.metadata.version("tensorflow"),
        "keras": keras.__version__,
    }


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
