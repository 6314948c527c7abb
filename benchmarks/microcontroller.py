"""Runs the shipped int8 files with TFLite Micro on this computer and prints the tables of docs/embedding.md.

    pip install '.[microcontroller]'        # Python 3.10 to 3.13 on x86-64 Linux
    python benchmarks/microcontroller.py

The first table compares every output with those of LiteRT's kernels on the test images and states the arena,
the memory that TFLite Micro works in. The second states how much flash and RAM a model leaves on some boards.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from garmentlite.convert.arena import Arena, UnknownArena, measure_arena
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.metadata import split
from garmentlite.train import data

MODELS = Path(__file__).resolve().parent.parent / "models"
KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Board:
    """A microcontroller's memory in bytes, as the vendor's data sheet states it."""

    name: str
    flash_bytes: int
    ram_bytes: int
    data_sheet: str


BOARDS = (
    Board("Arduino UNO R3 (ATmega328P)", 32 * KIB, 2 * KIB, "Microchip DS40002061"),
    Board("STM32F103C8", 64 * KIB, 20 * KIB, "ST DS5319"),
    Board("BBC micro:bit v2 (nRF52833)", 512 * KIB, 128 * KIB, "Nordic nRF52833 PS"),
    Board("Arduino Nano 33 BLE (nRF52840)", MIB, 256 * KIB, "Nordic nRF52840 PS"),
    Board("Raspberry Pi Pico (RP2040)", 2 * MIB, 264 * KIB, "Raspberry Pi Pico datasheet"),
    Board("Raspberry Pi Pico 2 (RP2350)", 4 * MIB, 520 * KIB, "Raspberry Pi Pico 2 datasheet"),
    Board("ESP32-S3-WROOM-1-N8", 8 * MIB, 512 * KIB, "Espressif ESP32-S3-WROOM-1 datasheet"),
    Board("STM32H743ZI", 2 * MIB, MIB, "ST DS12110"),
)


def micro_outputs(flatbuffer: bytes, classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """Computes the raw outputs of uint8 images, shape (N, 28, 28), with TFLite Micro; shape (N, C)."""
    micro = runtime.Interpreter.from_bytes(flatbuffer)
    outputs = []
    for image in images:
        real = image[np.newaxis, :, :, np.newaxis] / np.float32(255)
        micro.set_input(classifier.input.quantize(real), 0)
        micro.invoke()
        outputs.append(micro.get_output(0)[0].astype(int))
    return np.array(outputs)


def differences(ours: np.ndarray, theirs: np.ndarray) -> str:
    """States the largest difference in steps and the number of other answers."""
    steps = int(np.abs(ours - theirs).max())
    changed = int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum())
    return f"{steps} / {changed}"


def left(board: Board, flash_bytes: int, arena_bytes: int) -> str:
    """States what a model leaves of a board's memory for the program."""
    flash, ram = board.flash_bytes - flash_bytes, board.ram_bytes - arena_bytes
    if min(flash, ram) <= 0:
        return "does not fit"
    return f"{flash / 1000:,.0f} kB, {ram / 1000:,.0f} kB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "models", type=Path, nargs="*", help="Model files; all shipped ones by default."
    )
    parser.add_argument("--limit", type=int, default=1_000, help="Number of test images.")
    parser.add_argument("--data-dir", type=Path, help="Folder of Fashion-MNIST.")
    arguments = parser.parse_args()
    images = data.load(arguments.data_dir).x_test[: arguments.limit]
    sizes: dict[str, tuple[int, Arena]] = {}
    print("| model | flash | arena | activations alone | reference kernels | XNNPACK |")
    print("|---|---|---|---|---|---|")
    for path in arguments.models or sorted(MODELS.glob("*_int8.tflite")):
        flatbuffer, _ = split(path.read_bytes())
        default, reference = Classifier(path), Classifier(path, kernels="reference")
        arena = measure_arena(flatbuffer)
        if isinstance(arena, UnknownArena):
            raise SystemExit(f"The arena of {path} was not measured, because {arena.reason}.")
        sizes[default.name] = (len(flatbuffer), arena)
        ours = micro_outputs(flatbuffer, default, images)
        apart = [
            differences(ours, one.raw_outputs(images).astype(int)) for one in (reference, default)
        ]
        print(
            f"| `{default.name}` | {len(flatbuffer):,} | {arena.num_bytes:,} "
            f"| {read_contents(flatbuffer).arena_bytes:,} | {apart[0]} | {apart[1]} |"
        )
    print(f"\nBytes; {len(images):,} test images; {arena.measured_by}.\n")
    print("| microcontroller | flash, RAM | " + " | ".join(sizes) + " | data sheet |")
    print("|---" * (len(sizes) + 3) + "|")
    for board in BOARDS:
        rest = [left(board, flash, arena.num_bytes) for flash, arena in sizes.values()]
        memory = f"{board.flash_bytes // KIB:,} KiB, {board.ram_bytes // KIB:,} KiB"
        print(f"| {' | '.join([board.name, memory, *rest, board.data_sheet])} |")


if __name__ == "__main__":
    main()
