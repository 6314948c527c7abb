"""Trains a network for every fold of a folder of photographs, as the shipped one is made; takes it to int8.

    python benchmarks/photo_folds.py --photos DIR [--folds 5] [-o runs/photo-fold] [--seed 0]
        [--data-dir DIR] [--init FILE] [--network NAME] [--label-column NAME] [--split-by NAME] [--group ...]

The last five options are those of 'cli train'; by default they are what models/garment-net-photo was made
with. Makes runs/photo-fold-1 to -5, each with an int8 file by calibration alone; finished runs are left as
they are, and one that was interrupted is continued. benchmarks/real_garments.py measures with them, and
'cli convert --held-out' finds temperature and threshold with them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from own_process import in_own_process

ROOT = Path(__file__).resolve().parent.parent

from garmentlite.edge.files import write_bytes
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.train import collection, runs, session
from garmentlite.train.data import load
from garmentlite.train.tiles import make_tiles

SEGMENTER = "network"


def request_for(fold: int, folder: Path, arguments: argparse.Namespace) -> session.TrainRequest:
    """Makes the request to train one fold."""
    return session.TrainRequest(
        network=arguments.network,
        init=arguments.init,
        photos=session.PhotoRequest(
            source=arguments.photos,
            label_column=arguments.label_column,
            split_by=arguments.split_by,
            groups=tuple(arguments.group),
            folds=arguments.folds,
            fold=fold,
            segmenter=SEGMENTER,
        ),
        seed=arguments.seed,
        output=folder,
        resume=True,
        data_dir=arguments.data_dir,
        command=shlex.join(["python", *sys.argv]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("-o", "--output", default="runs/photo-fold")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path)
    teacher = ROOT / "models" / "teachers" / "wide-muon.keras"
    parser.add_argument("--init", type=Path, default=teacher)
    parser.add_argument("--network", default="garment-net-wide")
    parser.add_argument("--label-column", default="fashion_mnist_label")
    parser.add_argument("--split-by", default="sender_id")
    parser.add_argument("--group", nargs="*", default=["footwear=Sandal,Sneaker,Ankle boot"])
    arguments = parser.parse_args()
    tiles = Path(f"{arguments.output}-tiles.npz")  # the same for every fold
    if not tiles.exists():
        tiles.parent.mkdir(parents=True, exist_ok=True)
        photos, checksums = collection.with_files(
            collection.read(arguments.photos, label_column=arguments.label_column), print
        )
        segmenter = make_segmenter(SEGMENTER)
        make_tiles(photos, checksums, segmenter, arguments.seed, cache=tiles, warn=print)
    for number in range(1, arguments.folds + 1):
        run = Path(f"{arguments.output}-{number}")
        if not run.exists():
            run.mkdir()
            shutil.copy(tiles, run / runs.TILES)
        if not (run / runs.METRICS).exists():
            outcome = in_own_process(session.run, request_for(number, run, arguments), say=print)
            if not outcome.is_finished:
                sys.exit(f"{run} was interrupted; the same command continues it.")
            print(outcome.text, flush=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from garmentlite.convert import folding, int8, material
    from garmentlite.convert.source import load_keras

    images = material.from_fashion_mnist(load(arguments.data_dir)).training
    for number in range(1, arguments.folds + 1):
        run = Path(f"{arguments.output}-{number}")
        model = load_keras(run / runs.MODEL)
        flatbuffer = int8.post_training(folding.fold(model), images, seed=0)
        write_bytes(run / "fold_int8.tflite", flatbuffer)
        print(f"{run / 'fold_int8.tflite'}: {len(flatbuffer):,} bytes")


if __name__ == "__main__":
    main()
