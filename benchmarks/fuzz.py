"""Opens many damaged files of every kind that garmentlite reads, and counts the outcomes.

    python benchmarks/fuzz.py [KIND ...] [--count 1000] [--seed 0] [--jobs 1]

Every file is a valid one in which a few bytes, words or fields were changed. A worker process opens it as a
command would. The outcome is good if the file is opened, or refused with an error of one sentence. The other
outcomes are failures: another exception (unexpected), a file that takes longer than 60 s (a hang), and the
end of the worker process (a death), after which a new worker goes on with the next file. The script prints
one row for each kind, or JSON with --json. Its exit status is 1 if there was a failure. `--show N` opens file
N again and shows the traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from garmentlite.edge import foreign_model, trial
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import GarmentliteError, ModelError
from garmentlite.edge.metadata import split
from garmentlite.edge.npz import read_npz, write_npz
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.runtime import pack, unpack
from garmentlite.edge.segmenters.network_file import SegmentationNetwork
from garmentlite.edge.shipped import FOLDER
from garmentlite.edge.text_table import text_table
from garmentlite.train import collection, data
from garmentlite.train.checkpoint import State
from garmentlite.train.config import TrainConfig
from garmentlite.train.labelling import find_labelling
from garmentlite.train.recipe import Recipe

MODELS = ("garment-net-photo_int8", "segmenter", "garment-net_int8", "weighted-cnn_int8")
LABELS = ("hat", "sock")
SLOWEST_S = 60
# Bytes of address space of a worker. If a file needs more, that counts as an unexpected exception.
MEMORY_LIMIT = 3 << 30
ODD_WORDS = (
    0,
    1,
    2,
    3,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
ODD_NUMBERS = (0, 1, -1, 2, 3, 7, 255, 256, 65_535, 1 << 20, (1 << 31) - 1, -(1 << 31))
ODD_SCALES = (0.0, -1.0, 1e-45, 1e-38, 1e-20, 1e20, 3e38, float("inf"), float("nan"))
ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**400, "", "\x1b[2J", "unknown", [], [1], {}, {"a": {"b": [None]}},
)  # fmt: skip


@dataclass
class Counts:
    """Counts of the outcomes for one kind of file."""

    kind: str
    opened: int = 0
    refused: int = 0
    deaths: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    peak_mb: int = 0

    @property
    def failures(self) -> int:
        """The number of files with a failure."""
        return len(self.deaths) + len(self.hangs) + len(self.unexpected)

    def add(self, other: Counts) -> None:
        """Adds what another worker counted."""
        self.opened += other.opened
        self.refused += other.refused
        self.deaths += other.deaths
        self.hangs += other.hangs
        self.unexpected += other.unexpected
        self.peak_mb = max(self.peak_mb, other.peak_mb)


# --- changes of bytes


def changed_bytes(content: bytes, rng: random.Random, places: list[range] | None = None) -> bytes:
    """Changes, removes, repeats or cuts off a few bytes or words, mostly within `places`."""
    changed = bytearray(content)
    within = places or [range(len(content))]
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if len(changed) < 8:
            break
        chosen = rng.choice(within) if rng.random() < 0.9 else range(len(content))
        at = min(rng.randrange(chosen.start, chosen.stop), len(changed) - 5)
        way = rng.random()
        if way < 0.35:
            changed[at] ^= 1 << rng.randrange(8)
        elif way < 0.55:
            changed[at] = rng.randrange(256)
        elif way < 0.85:
            struct.pack_into("<I", changed, at & ~3, rng.choice(ODD_WORDS))
        elif way < 0.9:
            struct.pack_into("<H", changed, at & ~1, rng.choice(ODD_WORDS) & 0xFFFF)
        elif way < 0.93:
            del changed[at : at + rng.randrange(1, 64)]
        elif way < 0.96:
            changed[at:at] = changed[at : at + rng.randrange(1, 64)]
        elif way < 0.98:
            struct.pack_into("<f", changed, at & ~3, rng.choice(ODD_SCALES))
        else:
            del changed[at:]
    return bytes(changed)


# --- models


def structure_of(flatbuffer: bytes) -> list[range]:
    """Finds the parts of a flatbuffer outside its large constants, in pieces of 64 bytes."""
    constants = []
    for buffer in unpack(flatbuffer).buffers:
        if buffer.data is not None and len(buffer.data) > 256:
            start = flatbuffer.find(np.asarray(buffer.data, np.uint8).tobytes())
            constants.append((start, start + len(buffer.data)))
    pieces, at = [], 0
    for start, stop in [*sorted(constants), (len(flatbuffer), 0)]:
        pieces += [range(i, min(i + 64, start)) for i in range(at, start, 64)]
        at = max(at, stop)
    return pieces


def changed_fields(flatbuffer: bytes, rng: random.Random) -> bytes:
    """Changes one to three fields of a model."""
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    for _ in range(rng.choice((1, 1, 2, 3))):
        tensor, operator = rng.choice(graph.tensors), rng.choice(graph.operators)
        way = rng.randrange(12)
        if way == 0 and tensor.quantization is not None:
            tensor.quantization.scale = [rng.choice(ODD_SCALES)] * rng.choice((0, 1, 1, 3))
        elif way == 1 and tensor.quantization is not None and tensor.quantization.scale is not None:
            scale = [float(one) for one in tensor.quantization.scale]
            if scale:
                scale[rng.randrange(len(scale))] *= rng.choice((1e-30, 1e-6, 1e6, 1e30))
            tensor.quantization.scale = scale
        elif way == 2 and tensor.quantization is not None:
            tensor.quantization.zeroPoint = [rng.choice(ODD_NUMBERS)]
        elif way == 3 and tensor.shape is not None and len(tensor.shape):
            shape = [int(size) for size in tensor.shape]
            shape[rng.randrange(len(shape))] = rng.choice((0, 1, 2, 3, 5, 1000, 1 << 20, -1))
            tensor.shape = shape
        elif way == 4:
            tensor.type = rng.randrange(20)
        elif way == 5:
            tensor.buffer = rng.randrange(len(model.buffers))
        elif way in (6, 7):
            side = "inputs" if way == 6 else "outputs"
            numbers = [int(number) for number in getattr(operator, side)]
            number = rng.choice((-1, 0, len(graph.tensors), rng.randrange(len(graph.tensors))))
            if numbers and rng.random() < 0.7:
                numbers[rng.randrange(len(numbers))] = number
            else:
                numbers = numbers[:-1] if rng.random() < 0.5 else [*numbers, number]
            setattr(operator, side, numbers)
        elif way == 8 and operator.builtinOptions is not None:
            names = [
                name
                for name, value in vars(operator.builtinOptions).items()
                if isinstance(value, int)
            ]
            if names:
                setattr(
                    operator.builtinOptions, rng.choice(names), rng.choice((0, 1, 2, 3, 5, 100))
                )
        elif way == 9:
            code = rng.choice(model.operatorCodes)
            code.builtinCode = rng.randrange(160)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        elif way == 10:
            operator.opcodeIndex = rng.randrange(len(model.operatorCodes))
        else:
            rng.shuffle(graph.operators)
    return pack(model)


def make_models(folder: Path) -> Callable[[random.Random], Callable[[], object]]:
    """Makes damaged copies of shipped models, most of them without metadata as if from another program."""
    whole = {name: (FOLDER / f"{name}.tflite").read_bytes() for name in MODELS}
    bare = {name: split(content)[0] for name, content in whole.items()}
    structures = {name: structure_of(content) for name, content in bare.items()}
    path = folder / "model.tflite"
    foreign_model.cache_root = lambda: folder / "none" / "none"  # type: ignore[assignment]
    # A file is where the folder of the cache would be, so nothing is cached.
    (folder / "none").write_bytes(b"")
    run_a_child = foreign_model._try

    def one(rng: random.Random) -> Callable[[], object]:
        name = rng.choices(MODELS, (4, 4, 1, 1))[0]
        way = rng.random()
        if way < 0.5:
            content = changed_bytes(bare[name], rng, structures[name])
        elif way < 0.9:
            try:
                content = changed_fields(bare[name], rng)
            except (
                ValueError,
                TypeError,
                struct.error,
                OverflowError,
            ):  # a value that does not fit
                content = changed_bytes(bare[name], rng, structures[name])
        else:
            content = changed_bytes(whole[name], rng)
        # A new process for each file takes 0.4 s. A fork of this process tests the same and is faster, so
        # only a few files get a new process.
        foreign_model._try = run_a_child if rng.random() < 0.002 else fork_and_try
        foreign_model._checked_here.clear()

        def open_it() -> None:
            path.write_bytes(content)
            if name == "segmenter":
                square = np.arange(96 * 96 * 3, dtype=np.uint8).reshape(96, 96, 3)
                SegmentationNetwork(path).levels(square)
                return
            classifier = Classifier(path)
            noise = np.random.default_rng(0).integers(0, 256, (2, *classifier.image_size), np.uint8)
            classifier.probabilities(noise)

        return open_it

    return one


def fork_and_try(flatbuffer: bytes) -> None:
    """Tries a model in a fork of this process, as `foreign_model` does in a new process."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            signal.alarm(0)
            trial.limit_resources()
            trial.run(flatbuffer, ("default", "undelegated"))
            status = 0
        except ModelError:
            status = trial.REFUSED
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        raise ModelError(f"it ended the process in which it was tried ({status})")


# --- other files


def make_metadata(folder: Path) -> Callable[[random.Random], Callable[[], object]]:
    """Makes model files with a valid flatbuffer and damaged metadata."""
    content = (FOLDER / "garment-net-photo_int8.tflite").read_bytes()
    flatbuffer, _ = split(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        document = json.loads(archive.read("metadata.json"))
    tail = [range(i, i + 16) for i in range(len(flatbuffer), len(content) - 16, 16)]

    def packed(text: bytes) -> bytes:
        buffer = io.BytesIO(flatbuffer)
        buffer.seek(0, io.SEEK_END)
        with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("metadata.json", text)
        return buffer.getvalue()

    def one(rng: random.Random) -> Callable[[], object]:
        way = rng.random()
        if way < 0.4:
            changed = changed_bytes(content, rng, tail)
        elif way < 0.7:
            changed = packed(changed_bytes(json.dumps(document).encode(), rng))
        else:
            other = json.loads(json.dumps(document))
            inner = other
            while isinstance(inner, dict) and inner:
                name = rng.choice(list(inner))
                if rng.random() < 0.5 or not isinstance(inner[name], dict):
                    inner[name] = rng.choice(ODD_VALUES)
                    break
                inner = inner[name]
            changed = packed(json.dumps(other).encode())
        return lambda: split(changed)

    return one


def make_pictures(folder: Path) -> Callable[[random.Random], Callable[[], object]]:
    """Makes damaged pictures of every format that garmentlite reads."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    smooth = Image.fromarray(pixels).resize((64, 56))
    sound = []
    for kind, mode in (
        ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("GIF", "P"), ("BMP", "RGB"),
        ("TIFF", "RGB"), ("TIFF", "I;16"), ("WEBP", "RGBA"), ("PPM", "RGB"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        image = smooth.convert("L").convert("I;16") if mode == "I;16" else smooth.convert(mode)
        image.save(buffer, kind)
        sound.append(buffer.getvalue())
    path = folder / "picture"

    def one(rng: random.Random) -> Callable[[], object]:
        content = rng.choice(sound)
        path.write_bytes(changed_bytes(content, rng, [range(200), range(len(content))]))
        return lambda: read_picture(path)

    return one


def make_idx(folder: Path) -> Callable[[random.Random], Callable[[], object]]:
    """Makes the four files of a small data set in place of Fashion-MNIST and damages one of them."""
    rng_images = np.random.default_rng(0)
    content = {}
    for part, count in (("train", 20), ("t10k", 10)):
        images = rng_images.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        content[f"{part}-images-idx3-ubyte"] = struct.pack(">4I", 0x803, *images.shape) + bytes(
            images
        )
        content[f"{part}-labels-idx1-ubyte"] = struct.pack(">2I", 0x801, count) + bytes(labels)
    data.MD5 = {name: hashlib.md5(part).hexdigest() for name, part in content.items()}

    def one(rng: random.Random) -> Callable[[], object]:
        changed = rng.choice(list(content))
        for name, part in content.items():
            is_packed = rng.random() < 0.5
            written = gzip.compress(part, mtime=0) if is_packed else part
            for suffix in ("", ".gz"):
                (folder / f"{name}{suffix}").unlink(missing_ok=True)
            (folder / f"{name}{'.gz' if is_packed else ''}").write_bytes(
                changed_bytes(written, rng, [range(20), range(len(written))])
                if name == changed
                else written
            )
        return lambda: data.load(folder)

    return one


def make_tables(folder: Path) -> Callable[[random.Random], Callable[[], object]]:
    """Makes damaged tables of photographs."""
    text = io.StringIO()
    csv.writer(text).writerows(
        [
            ["file", "label", "sender", "also", "flags"],
            *(
                [f"{i}.jpg", ("shirt, blue", "coat")[i % 2], f"x{i}", "coat|shirt", "cut|worn"]
                for i in range(8)
            ),
        ]
    )
    for i in range(8):
        (folder / f"{i}.jpg").write_bytes(bytes([i]))  # never opened as a picture
    path = folder / "labels.csv"
    columns = collection.Columns(contributor="sender", also="also", flags="flags")

    def one(rng: random.Random) -> Callable[[], object]:
        path.write_bytes(changed_bytes(text.getvalue().encode(), rng))
        said: list[str] = []

        def open_it() -> None:
            photos = collection.read(path, columns, warn=said.append)
            there, _ = collection.with_files(photos, said.append)
            find_labelling([photo.label for photo in there], ("shirt", "coat"), own_classes=True)

        return open_it

    return one


def make_npz(folder: Path) -> Callable[[random.Random], Callable[[], object]]:
    """Makes damaged .npz archives such as those of checkpoints, stored outputs and tiles."""
    path = folder / "archive.npz"
    sound = []
    for compress in (False, True):
        arrays = {"x": np.arange(60.0).reshape(3, 20), "names": np.array(["a", "Größe"])}
        write_npz(path, "checkpoint", {"epoch": 3}, arrays, compress=compress)
        sound.append(path.read_bytes())

    def one(rng: random.Random) -> Callable[[], object]:
        path.write_bytes(changed_bytes(rng.choice(sound), rng))
        return lambda: read_npz(path, "checkpoint", "train again")

    return one


@dataclass
class Variable:
    """Takes the place of a Keras variable, because importing Keras takes seconds."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its values."""
        return self.array.shape

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        """Returns its values."""
        return self.array

    def assign(self, array: np.ndarray) -> None:
        """Replaces its values."""
        self.array = array.astype(self.array.dtype)


def make_checkpoints(folder: Path) -> Callable[[random.Random], Callable[[], object]]:
    """Makes damaged checkpoints of this version and of version 0.1.0."""
    variables = [Variable(np.ones((3, 4), np.float32)), Variable(np.zeros(4, np.float32))]
    model: Any = SimpleNamespace(
        variables=variables, optimizer=SimpleNamespace(variables=variables)
    )
    recipe = Recipe()
    config = TrainConfig(
        **vars(recipe),
        network="lenet-bn",
        labels=LABELS,
        class_weights=dict.fromkeys(LABELS, 1.0),
        seed=0,
    )
    state, path = State(config, model), folder / "checkpoint.npz"
    state.best = [variable.array for variable in variables]
    state.save(path)
    sound = path.read_bytes()
    with np.load(path) as stored:
        older = {name: stored[name] for name in stored.files if name not in ("about", "partial")}
    document = {
        "config": asdict(config),
        "history": [],
        "partial": {"steps": 0, "images": 0, "loss": 0.0, "accuracy": 0.0},
    }

    def packed(text: bytes) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, document=np.array(text.decode("utf-8", "replace")), **older)
        return buffer.getvalue()

    def one(rng: random.Random) -> Callable[[], object]:
        if rng.random() < 0.4:
            content = changed_bytes(sound, rng)
        elif rng.random() < 0.5:
            content = changed_bytes(packed(json.dumps(document).encode()), rng)
        else:
            content = packed(changed_bytes(json.dumps(document).encode(), rng))
        path.write_bytes(content)
        return lambda: State(config, model).restore(path)

    return one


KINDS = {
    "model": make_models,
    "metadata": make_metadata,
    "picture": make_pictures,
    "idx": make_idx,
    "table": make_tables,
    "npz": make_npz,
    "checkpoint": make_checkpoints,
}


# --- workers


def work(kind: str, numbers: range, seed: int, show: bool = False) -> None:
    """Opens files in this process; writes the number of each file before it, and the counts at the end."""
    counts = Counts(kind)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    with tempfile.TemporaryDirectory() as folder:
        make = KINDS[kind](Path(folder))
        for number in numbers:
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            signal.alarm(SLOWEST_S)  # ends this process, which counts as a hang
            rng = random.Random(f"{seed} {kind} {number}")
            open_it = make(rng)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    open_it()
                counts.opened += 1
            except GarmentliteError as error:
                if show:
                    raise
                counts.refused += 1
                sentence = str(error)
                if "\n" in sentence or not sentence.isprintable():
                    counts.unexpected.append(f"{number}: not one line: {sentence!r:.200}")
            except Exception as error:  # any other exception is a failure
                if show:
                    raise
                counts.unexpected.append(f"{number}: {type(error).__name__}: {str(error)[:200]!r}")
            signal.alarm(0)
    counts.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(json.dumps(asdict(counts)) + "\n")


def supervise(kind: str, numbers: range, seed: int) -> Counts:
    """Runs worker processes one after the other until all files were opened; a death ends a worker."""
    counts, at = Counts(kind), numbers.start
    while at < numbers.stop:
        # A worker opens no more than 2000 files, so that its peak memory does not grow with their number.
        stop = min(numbers.stop, at + 2000)
        command = [sys.executable, "-P", __file__, "--worker", kind, str(at), str(stop), str(seed)]
        with tempfile.TemporaryFile() as words:
            ended = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=words, text=True, check=False
            )
            words.seek(0)
            last = words.read().decode(errors="backslashreplace").strip().splitlines()[-1:]
        lines = ended.stdout.splitlines()
        if ended.returncode == 0:
            counts.add(Counts(**json.loads(lines[-1])))
            at = stop
            continue
        if not lines:
            raise RuntimeError(f"a worker did not start: {last}")
        number = int(lines[-1])
        # The worker ended before it wrote its counts, so all files before this one are counted as refused.
        counts.refused += number - at
        is_hang = ended.returncode == -signal.SIGALRM
        (counts.hangs if is_hang else counts.deaths).append(
            f"{number}: status {ended.returncode} {' '.join(last)[:200]}"
        )
        at = number + 1
    return counts


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        kind, start, stop, seed = sys.argv[2:]
        work(kind, range(int(start), int(stop)), int(seed))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--count", type=int, default=1000, help="number of files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="number of workers at the same time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--show", type=int, metavar="N", help="open only file N, without a worker process"
    )
    arguments = parser.parse_args()
    kinds = arguments.kinds or list(KINDS)
    if arguments.show is not None:
        work(kinds[0], range(arguments.show, arguments.show + 1), arguments.seed, show=True)
        return
    found = {kind: Counts(kind) for kind in kinds}
    shares = [
        (kind, range(at, min(at + 2000, arguments.count)))
        for kind in kinds
        for at in range(0, arguments.count, 2000)
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for counts in pool.map(lambda share: supervise(*share, arguments.seed), shares):
            found[counts.kind].add(counts)
    if arguments.json:
        print(json.dumps([asdict(counts) for counts in found.values()]))
    else:
        head = ["kind", "opened", "refused", "deaths", "hangs", "unexpected", "peak MB"]
        rows = [
            [
                one.kind, f"{one.opened:,}", f"{one.refused:,}", str(len(one.deaths)),
                str(len(one.hangs)), str(len(one.unexpected)), str(one.peak_mb),
            ]
            for one in found.values()
        ]  # fmt: skip
        print(text_table(head, rows))
        for one in found.values():
            for sentence in (*one.deaths, *one.hangs, *one.unexpected):
                print(f"{one.kind} {sentence}")
    sys.exit(1 if any(one.failures for one in found.values()) else 0)


if __name__ == "__main__":
    main()
