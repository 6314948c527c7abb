"""Trains a network for every fold of a folder of photographs, as the shipped one is made; takes it to int8.

    python benchmarks/photo_folds.py --photos DIR [--folds 5] [-o runs/photo-fold] [--seed 0]
        [--data-dir DIR] [-- OPTION...]

What stands behind -- goes to 'cli train' (by default what models/garment-net-photo was made with), and so do
--seed, by which the photographs are prepared too, and --data-dir, Fashion-MNIST's four files. Makes
runs/photo-fold-1 to -5, each with an int8 file by calibration alone; finished runs are left as they are, one
that was broken off goes on. benchmarks/real_garments.py measures with them, 'cli convert --held-out' finds
temperature and threshold.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

from garmentlite.edge.files import write_bytes
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.train import photo_set, runs
from garmentlite.train.data import load
from garmentlite.train.tiles import make_tiles

LABEL = "fashion_mnist_label"
OPTIONS = [
    "--init", str(ROOT / "models" / "teachers" / "wide-muon.keras"), "--network", "garment-net-wide",
    "--label-column", LABEL, "--split-by", "sender_id", "--group", "footwear=Sandal,Sneaker,Ankle boot",
]  # fmt: skip


def cli(*arguments: str | Path) -> None:
    print("cli", *arguments, flush=True)
    subprocess.run([sys.executable, ROOT / "cli.py", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("-o", "--output", default="runs/photo-fold")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    tiles = Path(f"{arguments.output}-tiles.npz")  # the same for every fold
    if not tiles.exists():
        tiles.parent.mkdir(parents=True, exist_ok=True)
        photos, checksums = photo_set.with_files(
            photo_set.read(arguments.photos, label_column=LABEL), print
        )
        segmenter = make_segmenter("network")
        make_tiles(photos, checksums, segmenter, arguments.seed, cache=tiles, warn=print)
    these = ["--photos", arguments.photos, "--folds", str(arguments.folds)]
    these += ["--seed", str(arguments.seed)]
    if arguments.data_dir:
        these += ["--data-dir", arguments.data_dir]
    for number in range(1, arguments.folds + 1):
        run = Path(f"{arguments.output}-{number}")
        if not run.exists():
            run.mkdir()
            shutil.copy(tiles, run / runs.TILES)
        if not (run / runs.METRICS).exists():
            cli("train", *these, "--fold", str(number), *(arguments.options or OPTIONS),
                "-o", run, "--resume")  # fmt: skip
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from garmentlite.convert import folding, int8, material, pipeline

    images = material.from_fashion_mnist(load(arguments.data_dir)).training
    for number in range(1, arguments.folds + 1):
        run = Path(f"{arguments.output}-{number}")
        model = pipeline.load_keras(run / runs.MODEL)
        flatbuffer, _ = int8.post_training(folding.fold(model), images, seed=0)
        write_bytes(run / "fold_int8.tflite", flatbuffer)
        print(f"{run / 'fold_int8.tflite'}: {len(flatbuffer):,} bytes")


if __name__ == "__main__":
    main()
