r"""Counts the instructions that the processor of a Raspberry Pi takes for one inference, in an emulator.

    make test-pi-bookworm    # once; it leaves the emulated system in a folder
    python benchmarks/pi_instructions.py models/*.tflite [--networks] [--picture FILE ...]

The emulator is qemu-aarch64 of QEMU 7.2. It must be built with plugins, as in Debian 12's package qemu-user,
but not in qemu-user-static. gcc compiles the plugin. The emulated system is the one of bookworm in which
`make test-pi` has installed garmentlite.

The script prints a table in Markdown and a line of JSON. It counts the third inference with random inputs,
of each model in a process of its own. From run to run the counts change by some tens at most. They say
nothing exact about time. With --networks, all networks that `cli train` knows are counted as well. They are
not trained, since the weights do not change the count.

With --picture, which may be given several times, the stages of recognizing a picture file with the shipped
models are counted too, the third time that each runs. If the answer is in doubt, the picture is segmented,
prepared and answered a second time, which only the last line of its table includes. These counts include
Python's own work, which differs by up to 1% from run to run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from arm64_system import CORES, write_cpuinfo

from garmentlite.edge.contents_reader import read_contents

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = Path(__file__).with_suffix(".c")
RUNS = 3  # the first inferences take more, while the runtime packs weights
# What runs in the guest; a marked part begins with umask(0x7e0) and ends with umask(0x7e1).
GUEST_OF_MODELS = f"""
import os, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter

def run(path):
    interpreter = Interpreter(model_content=open(path, "rb").read(), num_threads=1)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    rng = np.random.default_rng(0)
    for _ in range({RUNS}):
        if taken["dtype"] == np.float32:
            pixels = rng.random(taken["shape"], np.float32)
        else:
            pixels = rng.integers(-128, 128, taken["shape"]).astype(taken["dtype"])
        interpreter.set_tensor(taken["index"], pixels)
        os.umask(0x7e0)
        interpreter.invoke()
        os.umask(0x7e1)

# Each model runs in a process of its own. In one process its count would change by some thousands, because of
# the memory that the models before it have used.
for path in sys.argv[1:]:
    if os.fork() == 0:
        run(path)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{{path}} could not be run.")
"""
STAGES = ("decode", "segment", "prepare", "infer")
WHOLE = "whole, decoding included"
GUEST_OF_A_PICTURE = f"""
import os, sys
from types import SimpleNamespace
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import prepare
from garmentlite.edge.recognition import answer_to, recognize
from garmentlite.edge.recognizer import Recognizer

def counted(function, *arguments):
    os.umask(0x7e0)
    result = function(*arguments)
    os.umask(0x7e1)
    return result

def whole(path):
    return recognize(read_picture(path), recognizer.classifier, recognizer.segmenter)

recognizer = Recognizer()
for _ in range({RUNS}):
    picture = counted(read_picture, sys.argv[1])
    mask = counted(recognizer.segmenter.segment, picture.rgb)
    known = SimpleNamespace(name="known", segment=lambda rgb: mask)
    prepared = counted(prepare, picture, known)
    if prepared.image_u8 is None:
        sys.exit(f"{{sys.argv[1]}} shows no garment ({{prepared.reason}}); choose another picture.")
    counted(answer_to, prepared.image_u8, recognizer.classifier)
    counted(whole, sys.argv[1])
"""


def compiled_plugin(folder: Path) -> Path:
    """The plugin, compiled into a folder."""
    library = folder / "pi_instructions.so"
    command = [
        "gcc",
        "-O2",
        "-Wall",
        "-Wextra",
        "-shared",
        "-fPIC",
        str(PLUGIN),
        "-o",
        str(library),
    ]
    subprocess.run(command, check=True)
    return library


def mirrored(system: Path, core: str, folder: Path) -> Path:
    """Makes a folder of links that looks like the system on the board with this processor."""
    root = folder / core
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "cpuinfo").symlink_to(write_cpuinfo(folder, core))
    for name in ("bin", "etc", "lib", "usr"):
        (root / name).symlink_to(system / name)
    return root


def counts(
    guest: str,
    values: list[str],
    parts: int,
    core: str,
    folder: Path,
    arguments: argparse.Namespace,
) -> list[int]:
    """Runs a program in the guest.

    Args:
        guest: The program, which marks parts of itself.
        values: Its arguments.
        parts: How many parts it marks.
        core: The processor, as QEMU calls it.
        folder: An empty folder.
        arguments: Those of the command line.

    Returns:
        Instructions of each marked part, in the order in which they ran.
    """
    system = arguments.system.resolve()
    (site,) = (system / "root" / "garmentlite-env" / "lib").glob("python3*/site-packages")
    (folder / "garmentlite").symlink_to(ROOT)
    packages = [folder, site, system / "usr/lib/python3/dist-packages"]
    python = system / "usr" / "bin" / site.parent.name
    command = [
        arguments.qemu, "-plugin", str(compiled_plugin(folder)), "-cpu", core,
        "-L", str(mirrored(system, core, folder)), "-U", "LD_LIBRARY_PATH", "-U", "PYTHONHOME",
        "-U", "VIRTUAL_ENV", "-E", f"PYTHONPATH={':'.join(map(str, packages))}", "-E", "PYTHONHASHSEED=0",
        str(python), "-c", guest, *values,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    marks = [int(n) for n in re.findall(r"^instructions [01] (\d+)$", done.stderr, re.MULTILINE)]
    if done.returncode or len(marks) != 2 * parts:
        sys.exit(
            f"The guest failed on {core} (exit status {done.returncode}):\n{done.stderr[-2000:]}"
        )
    return [after - before for before, after in zip(marks[::2], marks[1::2], strict=True)]


def options(description: str) -> argparse.ArgumentParser:
    """Makes a parser with the options that name the emulator and the guest."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--qemu", default="qemu-aarch64", help="the emulator, built with plugins")
    cache = os.environ.get("GARMENT_PI") or Path.home() / ".cache" / "garmentlite" / "arm64"
    parser.add_argument("--system", type=Path, default=Path(cache) / "bookworm" / "root")
    parser.add_argument(
        "--core", action="append", choices=CORES, help="may be repeated; by default each of them"
    )
    return parser


def count_models(paths: list[Path], arguments: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Counts the instructions of an inference, by the name of the model's file and by core."""
    results: dict[str, dict[str, int]] = {path.name: {} for path in paths}
    files = [str(path.resolve()) for path in paths]
    for core in arguments.core or CORES:
        with TemporaryDirectory() as folder:
            parts = RUNS * len(files)
            spent = counts(GUEST_OF_MODELS, files, parts, core, Path(folder), arguments)
        for name, count in zip(results, spent[RUNS - 1 :: RUNS], strict=True):
            results[name][core] = count
    return results


def count_picture(path: Path, arguments: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Counts the instructions of a picture's stages, by stage and by core."""
    stages = (*STAGES, WHOLE)
    results: dict[str, dict[str, int]] = {stage: {} for stage in stages}
    for core in arguments.core or CORES:
        with TemporaryDirectory() as folder:
            values, parts = [str(path.resolve())], RUNS * len(stages)
            spent = counts(GUEST_OF_A_PICTURE, values, parts, core, Path(folder), arguments)
        for stage, count in zip(stages, spent[-len(stages) :], strict=True):
            results[stage][core] = count
    return results


def write_networks(folder: Path) -> list[Path]:
    """Writes every network that can be trained, untrained, as int8 and as float32."""
    import numpy as np

    from garmentlite.convert import export
    from garmentlite.train.networks import NETWORKS

    x_range = np.random.default_rng(0).random((32, 28, 28, 1), np.float32)
    paths = []
    for name, network in NETWORKS.items():
        model = network.build(10)
        for kind, flatbuffer in (
            ("int8", export.to_int8(model, x_range)),
            ("float32", export.to_float32(model)),
        ):
            paths.append(folder / f"{name}_{kind}.tflite")
            paths[-1].write_bytes(flatbuffer)
    return paths


def print_table(what: str, results: dict[str, dict[str, int]]) -> None:
    """Prints millions by name and column as a table in Markdown, and as a line of JSON."""
    columns = list(next(iter(results.values())))
    print(f"| {what} | {' | '.join(f'{column}, million' for column in columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for name, row in results.items():
        print(f"| {name} | " + " | ".join(f"{row[column] / 1e6:.2f}" for column in columns) + " |")
    print(json.dumps(results))


def print_models(what: str, paths: list[Path], arguments: argparse.Namespace) -> None:
    """Prints the multiplications with addition of models, and their instructions by core."""
    counted = count_models(paths, arguments)
    macs = {path.name: {"MACs": read_contents(path.read_bytes()).macs} for path in paths}
    print_table(what, {name: macs[name] | counted[name] for name in counted})


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument(
        "--networks", action="store_true", help="also count every network that can be trained"
    )
    parser.add_argument(
        "--picture", type=Path, action="append", default=[],
        help="a picture file whose stages are counted too; may be given several times",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.models:
        print_models("model", arguments.models, arguments)
    if arguments.networks:
        with TemporaryDirectory() as folder:
            print_models("network", write_networks(Path(folder)), arguments)
    for path in arguments.picture:
        print_table(path.name, count_picture(path, arguments))


if __name__ == "__main__":
    main()
