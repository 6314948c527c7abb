r"""How many instructions a Raspberry Pi's processor takes for one inference, counted by an emulator.

    python benchmarks/pi_instructions.py models/segmenter.tflite --qemu qemu-aarch64 --site DIR \
        --python ROOT/usr/bin/python3.11 --root cortex-a72=ROOT4 --root cortex-a76=ROOT5

The emulator is QEMU's qemu-aarch64, version 7.2, built with plugins (Debian's package qemu-user; the static
one has none); gcc compiles the plugin. Each root is a folder that holds a 64-bit Arm system with Python (-L
of qemu-aarch64) and, in proc/cpuinfo, what that board's kernel reports: XNNPACK chooses its kernels by it.
DIR holds the aarch64 wheels of ai-edge-litert and numpy, unpacked. Prints a table in Markdown and a line of
JSON. The counts are those of the third inference with random inputs; they are equal to the digit from run to
run. Instructions are not time.
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
GUEST = f"""
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
    models: list[Path], core: str, root: Path, arguments: argparse.Namespace, plugin: Path
) -> list[int]:
    """Instructions of the last inference of each model on one core."""
    command = [
        arguments.qemu, "-plugin", str(plugin), "-cpu", core, "-L", str(root), "-U", "LD_LIBRARY_PATH",
        "-U", "PYTHONHOME", "-U", "VIRTUAL_ENV", "-E", f"PYTHONPATH={arguments.site}",
        str(arguments.python), "-c", GUEST, *map(str, models),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    marks = [int(n) for n in re.findall(r"^instructions [01] (\d+)$", done.stderr, re.MULTILINE)]
    if done.returncode or len(marks) != 2 * RUNS * len(models):
        sys.exit(
            f"The guest failed on {core} (exit status {done.returncode}):\n{done.stderr[-2000:]}"
        )
    spent = [after - before for before, after in zip(marks[::2], marks[1::2], strict=True)]
    return spent[RUNS - 1 :: RUNS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--qemu", default="qemu-aarch64", help="the emulator, built with plugins")
    parser.add_argument("--python", type=Path, required=True, help="the guest's Python")
    parser.add_argument("--site", type=Path, required=True, help="folder of the guest's packages")
    parser.add_argument("--root", action="append", required=True, metavar="CORE=DIR")
    arguments = parser.parse_args()
    results: dict[str, dict[str, int]] = {path.name: {} for path in arguments.models}
    with TemporaryDirectory() as folder:
        plugin = compiled_plugin(Path(folder))
        for core, _, root in (text.partition("=") for text in arguments.root):
            spent = counts(arguments.models, core, Path(root), arguments, plugin)
            for path, count in zip(arguments.models, spent, strict=True):
                results[path.name][core] = count
    cores = [text.partition("=")[0] for text in arguments.root]
    print(f"| model | {' | '.join(f'{core}, million' for core in cores)} |")
    print("|---" * (1 + len(cores)) + "|")
    for name, by_core in results.items():
        print(f"| {name} | " + " | ".join(f"{by_core[core] / 1e6:.2f}" for core in cores) + " |")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
