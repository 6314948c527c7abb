"""Trains a network for every fold of a folder of photographs, as the shipped one is made; takes it to int8.

    python benchmarks/photo_folds.py --photos DIR [--rooms DIR] [--folds 5] [-o runs/photo-fold] [--seed 0]
        [--data-dir DIR] [--small] [OPTION ...]

The other options are those of 'cli train'; by default they are what models/garment-net-photo was made
with. Makes runs/photo-fold-1 to -5, each with an int8 file by calibration alone; finished runs are left as
they are, and one that was interrupted is continued. benchmarks/real_garments.py measures with them, and
'cli convert --held-out' finds temperature and threshold with them.

--small draws pictures in place of photographs and trains two folds for one epoch, which takes a few minutes;
it checks that all steps work together.
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
from fold_networks import INT8
from own_process import in_own_process

ROOT = Path(__file__).resolve().parent.parent

from garmentlite.edge.drawn_folder import draw_folder
from garmentlite.edge.files import write_bytes
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.train import collection, runs, session
from garmentlite.train.data import load
from garmentlite.train.held_variants import read_backgrounds
from garmentlite.train.tiles import make_tiles

SEGMENTER = "network"
COLUMNS = collection.Columns(
    label=("seen_label", "fashion_mnist_label"),
    contributor="sender_id",
    also="seen_also",
    flags="seen_flags",
)
SMALL_FOLDS, SMALL_COUNT, SMALL_CONTRIBUTORS = 2, 6, 8  # pictures of a class, and who took them


def request_for(fold: int, folder: Path, arguments: argparse.Namespace) -> session.TrainRequest:
    """Makes the request to train one fold."""
    return session.TrainRequest(
        network=arguments.network,
        init=arguments.init,
        teachers=tuple(arguments.teacher or ()),
        photos=session.PhotoRequest(
            source=arguments.photos,
            columns=columns_of(arguments),
            groups=tuple(arguments.group),
            folds=arguments.folds,
            fold=fold,
            segmenter=SEGMENTER,
            rooms=arguments.rooms,
        ),
        epochs=1 if arguments.small else None,
        mixed_precision=arguments.mixed_precision,
        seed=arguments.seed,
        output=folder,
        resume=True,
        data_dir=arguments.data_dir,
        command=shlex.join(["python", *sys.argv]),
    )


def columns_of(arguments: argparse.Namespace) -> collection.Columns:
    """Makes the columns of the table that the options name."""
    return collection.Columns(
        label=tuple(arguments.label_column or COLUMNS.label),
        contributor=arguments.split_by,
        also=arguments.also_column,
        flags=arguments.flags_column,
    )


def draw_photographs(folder: Path) -> Path:
    """Draws pictures in place of photographs and writes the columns of their table."""
    if not (folder / collection.TABLES[0]).exists():
        draw_folder(folder, SMALL_COUNT, seed=0)
    rng = np.random.default_rng(0)
    with (folder / collection.TABLES[0]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        head = ["image", *COLUMNS.label, COLUMNS.contributor, COLUMNS.also, COLUMNS.flags]
        writer.writerow(head)
        for number, row in enumerate(rows):
            also, flags = ("Shirt" if rng.random() < 0.2 else ""), rng.choice(["", "cut", "worn"])
            contributor = number % SMALL_CONTRIBUTORS
            writer.writerow([row["image"], row["label"], row["label"], contributor, also, flags])
    return folder / "images.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rooms", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("-o", "--output", default="runs/photo-fold")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--small", action="store_true")
    teacher = ROOT / "models" / "teachers" / "wide-muon.keras"
    parser.add_argument("--init", type=Path, default=teacher)
    parser.add_argument("--teacher", type=Path, action="append")
    parser.add_argument("--network", default="garment-net-wide")
    parser.add_argument("--label-column", action="append")
    parser.add_argument("--split-by", default=COLUMNS.contributor)
    parser.add_argument("--also-column", default=COLUMNS.also)
    parser.add_argument("--flags-column", default=COLUMNS.flags)
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--mixed-precision", action="store_true")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.folds = SMALL_FOLDS
        arguments.photos = draw_photographs(Path(f"{arguments.output}-drawn"))
    elif arguments.photos is None:
        parser.error("name a folder with --photos, or draw pictures with --small")
    tiles = Path(f"{arguments.output}-tiles.npz")  # the same for every fold
    tiles.parent.mkdir(parents=True, exist_ok=True)
    photos, checksums = collection.with_files(
        collection.read(arguments.photos, columns_of(arguments), warn=print), print
    )
    segmenter = make_segmenter(SEGMENTER)
    backgrounds = read_backgrounds(arguments.rooms, print) if arguments.rooms else None
    make_tiles(
        photos,
        checksums,
        segmenter,
        arguments.seed,
        backgrounds=backgrounds,
        cache=tiles,
        warn=print,
    )
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
    from garmentlite.convert.network import load_network

    images = material.from_fashion_mnist(load(arguments.data_dir)).training
    for number in range(1, arguments.folds + 1):
        run = Path(f"{arguments.output}-{number}")
        model = load_network(run / runs.MODEL).model
        flatbuffer = int8.post_training(folding.fold(model), images, seed=0)
        write_bytes(run / INT8, flatbuffer)
        print(f"{run / INT8}: {len(flatbuffer):,} bytes")


if __name__ == "__main__":
    main()
