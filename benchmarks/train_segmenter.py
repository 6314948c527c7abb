"""Makes models/segmenter.tflite from a folder of photographs, none of which has to be outlined.

    python benchmarks/train_segmenter.py --photos DIR [-o models/segmenter.tflite]

DIR holds images.csv with the columns image and sender_id, and the files in DIR/images. Contributors named in
benchmarks/outlines.json train nothing, so that benchmarks/segmentation.py measures on people never seen. With
--masks FILE.npz, what the slow methods agree on is kept there, and taken from there by the next run.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent

from garmentlite.convert.export import to_int8
from garmentlite.edge.files import replacing, sha256, write_bytes
from garmentlite.edge.segmenters.network_file import FILE, with_checksum
from garmentlite.train.segmenter import train_segmenter
from garmentlite.train.segmenter_data import Photos, Samples, collect, drawn, joined

CALIBRATION_PICTURES = 500


def photos_of(folder: Path, kept_out: set[str]) -> Photos:
    """Reads the photographs of everybody who is not kept out."""
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["sender_id"] not in kept_out]

    def report(done: int) -> None:
        if done % 100 == 0:
            print(f"{done} of {len(rows)} photographs", file=sys.stderr)

    return collect((folder / "images" / row["image"] for row in rows), report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "models" / FILE)
    parser.add_argument(
        "--masks", type=Path, help="an .npz file that keeps the photographs and masks"
    )
    parser.add_argument("--drawn", type=int, default=0, help="scenes drawn by the project, added")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outlines = json.loads((ROOT / "benchmarks" / "outlines.json").read_text(encoding="utf-8"))
    if arguments.masks and arguments.masks.is_file():
        stored = np.load(arguments.masks)
        photos = Photos(**{name: stored[name] for name in stored.files})
    else:
        photos = photos_of(arguments.photos, set(map(str, outlines["contributors_kept_out"])))
        if arguments.masks:
            with replacing(arguments.masks) as temporary, temporary.open("wb") as file:
                np.savez(file, **vars(photos))
    print(f"{len(photos.rgb)} photographs on which the methods agree", file=sys.stderr)

    if arguments.drawn:
        photos = joined(photos, drawn(arguments.drawn, arguments.seed))

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step} of {arguments.steps}: loss {loss:.3f}", file=sys.stderr)

    model = train_segmenter(photos, steps=arguments.steps, seed=arguments.seed, on_step=report)
    calibration, _ = Samples(photos, arguments.seed + 1).batch(CALIBRATION_PICTURES)
    flatbuffer = to_int8(model, calibration)
    write_bytes(arguments.output, with_checksum(flatbuffer))
    print(f"{arguments.output}: {len(flatbuffer):,} bytes, SHA-256 {sha256(flatbuffer)}")


if __name__ == "__main__":
    main()
