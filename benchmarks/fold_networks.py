"""The networks of the runs of benchmarks/photo_folds.py, each of which has not seen some photographs."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.metadata import attach
from garmentlite.edge.shipped import default_model
from garmentlite.train.stored_photos import read_photos

INT8 = "fold_int8.tflite"  # in the folder of a run


def runs_named(pattern: str) -> list[Path]:
    """Finds the folders that match a pattern, such as "runs/photo-fold-*", in the order of their names."""
    return [Path(name) for name in sorted(glob(pattern)) if Path(name).is_dir()]


def run_of_photographs(found: Sequence[Path]) -> dict[str, int]:
    """Finds the run that holds a photograph out: its number in `found`, by the file name."""
    numbers = {}
    for number, run in enumerate(found):
        stored = read_photos(run)
        held = zip(stored.files, stored.is_held_out, strict=True)
        numbers |= {name: number for name, is_held_out in held if is_held_out}
    return numbers


def classifier_of(run: Path) -> Classifier:
    """Opens the network of a run, with temperature, threshold and views of the shipped default model."""
    metadata = Classifier(default_model()).metadata
    assert metadata is not None
    with TemporaryDirectory() as folder:
        path = Path(folder) / INT8
        path.write_bytes(attach((run / INT8).read_bytes(), metadata))
        return Classifier(path)
