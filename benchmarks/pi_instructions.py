r"""Counts the instructions that the processor of a Raspberry Pi takes for one inference, in an emulator.

    python benchmarks/pi_instructions.py models/segmenter.tflite --qemu qemu-aarch64 --site DIR \
        --python ROOT/usr/bin/python3.11 --root cortex-a72=ROOT4 --root cortex-a76=ROOT5 [--picture FILE ...]

The emulator is qemu-aarch64 of QEMU 7.2. It must be built with plugins, as in Debian's package qemu-user, but
not in qemu-user-static. gcc compiles the plugin. Each root is a folder with a 64-bit Arm system and its
Python; it is passed to qemu-aarch64 with -L. Its proc/cpuinfo must be a copy of that file from the board,
since XNNPACK chooses kernels by it. DIR is a folder with the unpacked aarch64 wheels of ai-edge-litert and
numpy.

The script prints a table in Markdown and a line of JSON. It counts the third inference with random inputs.
The counts do not change from run to run. They say nothing exact about time.

With --picture, which may be given several times, the stages of recognizing a picture file with the shipped
models are counted too, the third time that each runs. For this DIR also holds the wheels of OpenCV and
Pillow, and a link called garmentlite to this repository. If the answer is in doubt, the picture is segmented,
prepared and answered a second time, which only the last line of its table includes. These counts include
Python's own work, which differs by up to 1% from run to run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PLUGIN = Path(__file__).with_suffix(".c")
RUNS = 3  # the first inferences take more, while the runtime packs weights
# What runs in the guest; a marked part begins with umask(0x7e0) and ends with umask(0x7e1).
GUEST_OF_MODELS = f"""
import os, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
for path in sys.argv[1:]:
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


def counts(
    guest: str,
    values: list[str],
    parts: int,
    core: str,
    root: Path,
    arguments: argparse.Namespace,
    plugin: Path,
) -> list[int]:
    """Runs a program in the guest.

    Args:
        guest: The program, which marks parts of itself.
        values: Its arguments.
        parts: How many parts it marks.
        core: The processor, as QEMU calls it.
        root: The guest's system.
        arguments: Those of the command line.
        plugin: The compiled plugin.

    Returns:
        Instructions of each marked part, in the order in which they ran.
    """
    command = [
        arguments.qemu, "-plugin", str(plugin), "-cpu", core, "-L", str(root), "-U", "LD_LIBRARY_PATH",
        "-U", "PYTHONHOME", "-U", "VIRTUAL_ENV", "-E", f"PYTHONPATH={arguments.site}",
        "-E", "PYTHONHASHSEED=0", str(arguments.python), "-c", guest, *values,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    marks = [int(n) for n in re.findall(r"^instructions [01] (\d+)$", done.stderr, re.MULTILINE)]
    if done.returncode or len(marks) != 2 * parts:
        sys.exit(
            f"The guest failed on {core} (exit status {done.returncode}):\n{done.stderr[-2000:]}"
        )
    return [after - before for before, after in zip(marks[::2], marks[1::2], strict=True)]


def print_table(what: str, results: dict[str, dict[str, int]], cores: list[str]) -> None:
    """Prints results by name and core as a table in Markdown, and as a line of JSON."""
    print(f"| {what} | {' | '.join(f'{core}, million' for core in cores)} |")
    print("|---" * (1 + len(cores)) + "|")
    for name, by_core in results.items():
        print(f"| {name} | " + " | ".join(f"{by_core[core] / 1e6:.2f}" for core in cores) + " |")
    print(json.dumps(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--qemu", default="qemu-aarch64", help="the emulator, built with plugins")
    parser.add_argument("--python", type=Path, required=True, help="the guest's Python")
    parser.add_argument("--site", type=Path, required=True, help="folder of the guest's packages")
    parser.add_argument("--root", action="append", required=True, metavar="CORE=DIR")
    parser.add_argument(
        "--picture", type=Path, action="append", default=[],
        help="a picture file whose stages are counted too; may be given several times",
    )  # fmt: skip
    arguments = parser.parse_args()
    roots = dict(text.split("=", 1) for text in arguments.root)
    of_models: dict[str, dict[str, int]] = {path.name: {} for path in arguments.models}
    stages = (*STAGES, WHOLE)
    of_pictures: dict[Path, dict[str, dict[str, int]]] = {
        path: {stage: {} for stage in stages} for path in arguments.picture
    }
    with TemporaryDirectory() as folder:
        plugin = compiled_plugin(Path(folder))
        for core, root in roots.items():
            given = (core, Path(root), arguments, plugin)
            if of_models:
                paths = list(map(str, arguments.models))
                spent = counts(GUEST_OF_MODELS, paths, RUNS * len(paths), *given)
                for name, count in zip(of_models, spent[RUNS - 1 :: RUNS], strict=True):
                    of_models[name][core] = count
            for path, of_stages in of_pictures.items():
                spent = counts(GUEST_OF_A_PICTURE, [str(path)], RUNS * len(stages), *given)
                for stage, count in zip(stages, spent[-len(stages) :], strict=True):
                    of_stages[stage][core] = count
    if of_models:
        print_table("model", of_models, list(roots))
    for path, of_stages in of_pictures.items():
        print_table(path.name, of_stages, list(roots))


if __name__ == "__main__":
    main()
