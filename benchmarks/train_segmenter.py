"""Trains a segmenter like models/segmenter.tflite, on photographs that nobody has to outline, and on scenes.

    python benchmarks/train_segmenter.py --photos DIR --scenes DIR --all-scenes [-o models/segmenter.tflite]

DIR of the photographs holds images.csv (columns image, sender_id) and the files in DIR/images. DIR of the
scenes holds index.csv (columns file, note), pictures of rooms and clips of people. Contributors named in
benchmarks/outlines.json train nothing, so that benchmarks/segmentation.py measures on people never seen.
Without --all-scenes the places of `garmentlite.train.scenes.KEPT_OUT` train nothing either. --masks FILE.npz
stores the photographs and their masks, which the slow methods agree on; if FILE exists, it is used as it is.

The file replaces models/segmenter.tflite unless -o names another one. The card models/segmenter.json is
written by hand; it says in which way the shipped file was made otherwise. --small runs a training of a few
minutes, to see that all of it works.

On a GPU, with KERAS_BACKEND=jax and 16 cores that make samples, the whole takes 13 minutes. On two cores of
an AMD EPYC, one of which makes the samples, a step with new samples takes 0.4 seconds.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np

from garmentlite.edge.files import sha256, write_bytes
from garmentlite.edge.segmenters.network_file import FILE, with_checksum
from garmentlite.train import cut_outs
from garmentlite.train.cut_outs import MaskedPhoto
from garmentlite.train.scenes import KEPT_OUT, read_scenes
from garmentlite.train.segmenter_data import SCENE_SIDE, Samples

ROOT = Path(__file__).resolve().parent.parent
CALIBRATION_PICTURES = 500
DRAWN = 700  # scenes drawn by the project, beside the photographs
FURTHER_LEARNING_RATE = 2e-3  # of the second training
_SEED_OF_DRAWN = 1708
SMALL = {"steps": 160, "further_steps": 100, "batch": 32, "photographs": 80}


def photos_of(folder: Path, limit: int | None) -> list[MaskedPhoto]:
    """The photographs of everybody who is not kept out."""
    kept_out = set(map(str, _outlines()["contributors_kept_out"]))
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["sender_id"] not in kept_out][:limit]

    def report(done: int) -> None:
        if done % 100 == 0:
            print(f"{done} of {len(rows)} photographs", file=sys.stderr)

    return cut_outs.collect((folder / "images" / row["image"] for row in rows), report)


def checksum_of(table: Path) -> str:
    """SHA-256 of a table and of the files that it names, in its order."""
    digest = hashlib.sha256(table.read_bytes())
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row.get("file") or f"images/{row['image']}"
            digest.update((table.parent / name).read_bytes())
    return digest.hexdigest()


def _outlines() -> dict:
    outlines: dict = json.loads((ROOT / "benchmarks" / "outlines.json").read_text(encoding="utf-8"))
    return outlines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--all-scenes", action="store_true", help="the kept-out scenes train too")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "models" / FILE)
    parser.add_argument("--masks", type=Path, help="an .npz file that keeps photographs and masks")
    parser.add_argument("--steps", type=int, default=5830, help="steps of the first training")
    parser.add_argument("--further-steps", type=int, default=8027, help="of the second")
    parser.add_argument("--batch", type=int, default=256, help="samples of a step")
    parser.add_argument("--repeats", type=int, default=4, help="of a batch in the second training")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="that make samples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a few minutes, to see that it works")
    arguments = parser.parse_args()
    limit = None
    if arguments.small:
        arguments.steps, arguments.further_steps = SMALL["steps"], SMALL["further_steps"]
        arguments.batch, limit = SMALL["batch"], SMALL["photographs"]
        if arguments.output == parser.get_default("output") or arguments.masks:
            parser.error(
                "--small is a trial; name its file with -o, and leave --masks out, so that it replaces "
                "neither the shipped file nor the masks of a whole training"
            )
    if arguments.masks and arguments.masks.is_file():
        photos = cut_outs.load(arguments.masks)
    else:
        photos = photos_of(arguments.photos, limit)
        if arguments.masks:
            cut_outs.save(arguments.masks, photos)
    photos += cut_outs.drawn(DRAWN, _SEED_OF_DRAWN)
    print(f"{len(photos)} photographs and drawn scenes on which the methods agree", file=sys.stderr)

    # Workers import this file: without the frameworks they start in a second.
    from garmentlite.convert.export import to_int8
    from garmentlite.train.segmenter import mean_of, train_segmenter

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step}: loss {loss:.3f}", file=sys.stderr)

    settings = {
        "batch": arguments.batch,
        "seed": arguments.seed,
        "workers": arguments.workers,
        "on_step": report,
    }
    scenes = read_scenes(arguments.scenes, SCENE_SIDE, KEPT_OUT)
    first = train_segmenter(
        Samples(photos, scenes, arguments.seed), steps=arguments.steps, **settings
    )
    if arguments.all_scenes:
        scenes = read_scenes(arguments.scenes, SCENE_SIDE)
    samples = Samples(photos, scenes, arguments.seed + 10)
    second = train_segmenter(
        samples, steps=arguments.further_steps, learning_rate=FURTHER_LEARNING_RATE,
        repeats=arguments.repeats, begin_with=first, **settings,
    )  # fmt: skip
    model = mean_of(first, second, Samples(photos, scenes, arguments.seed + 1), 64)
    pictures, _ = Samples(photos, scenes, arguments.seed + 2).batch(CALIBRATION_PICTURES, 0)
    flatbuffer = with_checksum(to_int8(model, pictures.astype(np.float32) / 255))
    write_bytes(arguments.output, flatbuffer)
    print(f"{arguments.output}: {len(flatbuffer):,} bytes, SHA-256 {sha256(flatbuffer)}")
    for name, table in (
        ("photographs", arguments.photos / "images.csv"),
        ("scenes", arguments.scenes / "index.csv"),
    ):
        print(f"{name}: SHA-256 {checksum_of(table)}")


if __name__ == "__main__":
    main()
