"""Shows that a change of the code or of the shipped files leaves every answer as it was.

    python benchmarks/same_answers.py --cli "python cli.py" --models models --pictures FOLDER -o new.json
    python benchmarks/same_answers.py --compare old.json new.json

The first form takes a snapshot of one version. It runs each `.tflite` file of a folder in the LiteRT runtime
itself, on 2,000 images made of fixed random numbers and on the first 1,000 test images of Fashion-MNIST where
those are found, and stores checksums of the outputs. Then it runs `classify --json` with each int8 classifier
on the pictures, and stores all that is printed, except for the times. Pictures of `cli draw` will do.

The second form compares two snapshots and exits with status 1 where anything differs. Both must be made on
one machine: float32 outputs depend on the processor in their last bits.

Nothing of garmentlite is imported, so that the script runs beside any version of it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MADE_IMAGES, TEST_IMAGES = 2_000, 1_000
BLOCK = 4  # pixels; side of the squares that made images consist of
TEST_FILE = "t10k-images-idx3-ubyte"
IDX_HEAD = 16  # bytes before the pixels of an IDX file of images
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
# Where garmentlite finds Fashion-MNIST too: the Debian package's folder, and the folder of its downloads.
DATA_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"), CACHE / "garmentlite" / "fashion-mnist")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cli", help="command that runs garmentlite, such as 'python cli.py'")
    parser.add_argument("--models", type=Path, help="folder of the .tflite files")
    parser.add_argument("--pictures", type=Path, help="folder of pictures to classify")
    parser.add_argument("--data-dir", type=Path, help="folder of Fashion-MNIST, if not found")
    parser.add_argument("-o", "--output", type=Path, help="file for the snapshot, JSON")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("OLD", "NEW"))
    arguments = parser.parse_args()
    if arguments.compare:
        old, new = (json.loads(path.read_text(encoding="utf-8")) for path in arguments.compare)
        return compare(old, new)
    if not (arguments.cli and arguments.models and arguments.pictures and arguments.output):
        parser.error("give --cli, --models, --pictures and -o, or --compare OLD NEW")
    document = snapshot(
        shlex.split(arguments.cli), arguments.models, arguments.pictures, arguments.data_dir
    )
    arguments.output.write_text(
        json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"Snapshot written to {arguments.output}.")
    return 0


# --- a snapshot of one version


def snapshot(
    command: list[str], models: Path, pictures: Path, data_dir: Path | None
) -> dict[str, Any]:
    """Collects all answers of one version, as JSON can hold them."""
    paths = sorted(models.rglob("*.tflite"))
    if not paths:
        sys.exit(f"There is no .tflite file in {models}; name the folder of the shipped files.")
    test_images = find_test_images(data_dir)
    files, answers = {}, {}
    for path in paths:
        print(f"{path.name} ...", file=sys.stderr)
        files[path.name] = about_file(path, test_images)
        if path.name.endswith("_int8.tflite"):
            answers[path.name] = classify(command, path, pictures)
    return {
        "machine": f"{platform.machine()}, {processor()}",
        "runtime": importlib.metadata.version("ai-edge-litert"),
        "made_images": MADE_IMAGES,
        "test_images": 0 if test_images is None else len(test_images),
        "files": files,
        "pictures": answers,
    }


def about_file(path: Path, test_images: np.ndarray | None) -> dict[str, str | None]:
    """Computes checksums of a file's flatbuffer and outputs; None if it cannot take the test images."""
    flatbuffer = without_zip(path.read_bytes())
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    shape = tuple(interpreter.get_input_details()[0]["shape"][1:])
    fits = test_images is not None and shape == (*test_images.shape[1:], 1)
    return {
        "flatbuffer": sha256(flatbuffer),
        "outputs of made images": outputs_sha256(interpreter, made_images(shape)),
        "outputs of test images": (
            outputs_sha256(interpreter, test_images[..., np.newaxis]) if fits else None
        ),
    }


def without_zip(content: bytes) -> bytes:
    """Takes the flatbuffer alone; the metadata is a zip archive behind it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return content[: min(entry.header_offset for entry in archive.infolist())]
    except zipfile.BadZipFile:
        return content


def made_images(shape: tuple[int, ...]) -> np.ndarray:
    """Makes images of one shape (H, W, channels), uint8: half of them of coarse squares, half of noise.

    `RandomState` is used since NumPy promises the same numbers of it in all versions.
    """
    height, width, channels = shape
    half = MADE_IMAGES // 2
    rng = np.random.RandomState(20170825)
    coarse = rng.randint(0, 256, (half, -(-height // BLOCK), -(-width // BLOCK), channels))
    # Most garments leave the border of an image black.
    coarse[:, [0, -1]] = 0
    coarse[:, :, [0, -1]] = 0
    squares = coarse.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)[:, :height, :width]
    noise = rng.randint(0, 256, (MADE_IMAGES - half, *shape))
    return np.concatenate([squares, noise]).astype(np.uint8)


def find_test_images(data_dir: Path | None) -> np.ndarray | None:
    """Finds the first test images of Fashion-MNIST, uint8, shape (N, 28, 28); None if there are none."""
    named = data_dir or os.environ.get("FASHION_MNIST_DIR")
    for folder in [Path(named)] if named else DATA_FOLDERS:
        for path in (folder / TEST_FILE, folder / f"{TEST_FILE}.gz"):
            if path.is_file():
                content = path.read_bytes()
                content = gzip.decompress(content) if path.suffix == ".gz" else content
                pixels = np.frombuffer(content, np.uint8, offset=IDX_HEAD)
                return pixels.reshape(-1, 28, 28)[:TEST_IMAGES]
    print(
        "Without Fashion-MNIST, which 'cli data' downloads, only made images serve.",
        file=sys.stderr,
    )
    return None


def outputs_sha256(interpreter: Interpreter, images_u8: np.ndarray) -> str:
    """Computes a checksum of a file's outputs for uint8 images (N, H, W, channels), one by one."""
    (image,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    pixels = np.arange(256, dtype=np.float32) / np.float32(255)
    scale, zero_point = image["quantization"]
    if scale:  # an integer type
        limits = np.iinfo(image["dtype"])
        pixels = np.clip(np.rint(pixels / scale) + zero_point, limits.min, limits.max)
    table = pixels.astype(image["dtype"])
    digest = hashlib.sha256()
    for one in images_u8:
        interpreter.set_tensor(image["index"], table[one][np.newaxis])
        interpreter.invoke()
        digest.update(interpreter.get_tensor(answer["index"]).tobytes())
    return digest.hexdigest()


def classify(command: list[str], model: Path, pictures: Path) -> dict[str, Any]:
    """Runs `classify --json`; returns its exit status, and its answers by name of the picture."""
    arguments = ["classify", str(pictures.resolve()), "--json", "--top-k", "10"]
    arguments += ["--model", str(model.resolve())]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if not done.stdout:
        sys.exit(f"{shlex.join(command)} classified no picture in {pictures}: {done.stderr}")
    answers = {}
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        del answer["latency_ms"]
        answers[Path(answer.pop("path")).name] = answer
    return {"exit_status": done.returncode, "answers": answers}


def processor() -> str:
    """Returns the processor's model as Linux names it; otherwise what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- two snapshots


def compare(old: dict[str, Any], new: dict[str, Any]) -> int:
    """Prints what is the same and what is not; returns the exit status."""
    for name in ("machine", "runtime"):
        if old[name] != new[name]:
            print(f"Not the same {name}: {old[name]}; {new[name]}. float32 outputs may differ.")
    rows = [
        (file, part, verdict)
        for file in sorted(old["files"].keys() | new["files"].keys())
        for part, verdict in _compare_file(old["files"].get(file), new["files"].get(file)).items()
    ]
    for file in sorted(old["pictures"].keys() | new["pictures"].keys()):
        verdict = _compare_pictures(old["pictures"].get(file), new["pictures"].get(file))
        rows.append((file, "answers to pictures", verdict))
    width = max(len(file) for file, _, _ in rows)
    for file, part, verdict in rows:
        print(f"{file:{width}}  {part:22}  {verdict}")
    different = sum(not verdict.startswith("same") for _, _, verdict in rows)
    print(f"{different} of {len(rows)} lines differ." if different else "Every answer is the same.")
    return 1 if different else 0


def _compare_file(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, str]:
    if old is None or new is None:
        return {"file": f"only in the {'new' if old is None else 'old'} snapshot"}
    return {
        part: "same" if checksum == new.get(part) else "DIFFERENT"
        for part, checksum in old.items()
        if checksum or new.get(part)
    }


def _compare_pictures(old: dict[str, Any] | None, new: dict[str, Any] | None) -> str:
    if old is None or new is None:
        return f"only in the {'new' if old is None else 'old'} snapshot"
    if old["exit_status"] != new["exit_status"]:
        return f"DIFFERENT exit status: {old['exit_status']}, {new['exit_status']}"
    before, after = old["answers"], new["answers"]
    changed = [
        f"{name} ({_fields(before.get(name, {}), after.get(name, {}))})"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    if not changed:
        return f"same, {len(before)} pictures"
    return f"DIFFERENT in {len(changed)} of {len(before)} pictures: {', '.join(changed[:5])}"


def _fields(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Names the fields that differ."""
    return ", ".join(
        name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)
    )


if __name__ == "__main__":
    sys.exit(main())
