"""Collects what the page about a run shows: reads its files, verifies them, and classifies pictures."""

from __future__ import annotations

import csv
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.convert.output_files import output_paths
from garmentlite.convert.verify.check import verify
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.measurements import Answers
from garmentlite.convert.verify.parity_report import ParityReport
from garmentlite.edge.callbacks import OnStageProgress, Say
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError, ModelError, PictureError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.picture_files import find_pictures
from garmentlite.edge.pictures import Picture, read_picture
from garmentlite.edge.preparation import naive_tile
from garmentlite.edge.recognition import name_of, recognize
from garmentlite.train import runs
from garmentlite.train.data import FashionMnist

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter

TRUTH_FILE = "labels.csv"  # columns image and label, as 'cli draw' writes it
# Pixels of the longest side. Pictures are kept at this size until the page is made.
THUMBNAIL_SIDE = 200


@dataclass(frozen=True)
class Run:
    """A finished and converted run.

    Attributes:
        folder: The folder of the run.
        config: The document config.json.
        history: The document history.json, one object for each epoch.
        metrics: The document metrics.json of the float network.
        float32: Path of the reference file.
        int8: Path of the file for the device.
        card: The card of the conversion.
    """

    folder: Path
    config: dict[str, Any]
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    float32: Path
    int8: Path
    card: dict[str, Any]

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights were kept."""
        return max(epoch["epoch"] for epoch in self.history if epoch["best"])

    @property
    def stopped_short(self) -> bool:
        """Whether training ended while it was still improving, as far as can be known."""
        return bool(self.metrics["ended"] == "all epochs done")


@dataclass(frozen=True)
class PictureAnswer:
    """The answer of the network to a picture under one preparation.

    Attributes:
        label: One of the model's labels, "unknown" or "no garment".
        confidence: Probability of the label, in [0, 1].
        image_u8: The network's input, uint8, shape (28, 28); None without a garment.
        reason: Why no garment was found; None if one was.
    """

    label: str
    confidence: float
    image_u8: np.ndarray | None
    reason: str | None = None


@dataclass(frozen=True)
class RecognizedPicture:
    """One picture under both preparations.

    Attributes:
        path: Its file.
        thumbnail_rgb: The picture, reduced to `THUMBNAIL_SIDE`, uint8, shape (H, W, 3).
        truth: Its label; None if it is not known.
        prepared: The answer with this project's preparation.
        naive: The answer when the whole picture is only resized to 28x28.
    """

    path: Path
    thumbnail_rgb: np.ndarray
    truth: str | None
    prepared: PictureAnswer
    naive: PictureAnswer


@dataclass(frozen=True)
class RunResults:
    """The results of a run for its page.

    Attributes:
        run: The run.
        parity: The parity check of its two files on the test images.
        probabilities: The int8 file's answers to the test images, float32, shape (N, C).
        data: The data set.
        pictures: Folder or file of the pictures; None if none were given.
        recognized: The pictures that could be read.
    """

    run: Run
    parity: ParityReport
    probabilities: np.ndarray
    data: FashionMnist
    pictures: Path | None
    recognized: list[RecognizedPicture]


def collect(
    run: Path,
    data: FashionMnist,
    pictures: Path | None,
    segmenter: Segmenter,
    *,
    criteria: Criteria,
    on_progress: OnStageProgress,
    warn: Say,
) -> RunResults:
    """Reads a run, verifies its int8 file, and recognizes pictures with it.

    Args:
        run: Folder of a finished run that was converted to int8.
        data: Fashion-MNIST; its test images go through both files.
        pictures: Folder of pictures to recognize, or one picture; None to leave them out. A
            `labels.csv` in the folder, as 'cli draw' writes it, marks them as drawn and names what they show.
        segmenter: Separates the garment from its background.
        criteria: Margin and error rate of the parity check.
        on_progress: Called with (stage, done, total).
        warn: Called with a sentence for each picture that cannot be read.

    Raises:
        DataError: If the folder does not hold a finished run, or `labels.csv` lacks its columns.
        ModelError: If the run was not converted, or its two files do not fit each other.
        PictureError: If `pictures` holds no picture.
    """
    found = read_run(run)
    recognized = _recognize_all(pictures, Classifier(found.int8), segmenter, on_progress, warn)
    given: list[Answers] = []
    parity = verify(
        found.float32,
        found.int8,
        data.x_test,
        data.y_test,
        criteria,
        on_progress=on_progress,
        on_answers=given.append,
    )
    return RunResults(found, parity, given[0].probabilities, data, pictures, recognized)


def read_run(folder: Path) -> Run:
    """Reads the documents of a run.

    Raises:
        DataError: If it is not finished, or was trained on other classes than those of Fashion-MNIST.
        ModelError: If it was not converted.
    """
    config = runs.read_json(folder, runs.CONFIG)
    labels = runs.labels_of(config)
    if labels != FASHION_MNIST_LABELS:
        raise DataError(
            f"{folder} was trained on other classes ({', '.join(labels)}) than those of Fashion-MNIST, which "
            "'cli report' shows; see how it does on its held-out photographs with 'cli verify FLOAT32 INT8 "
            f"--photos {folder / runs.HELD_OUT}'."
        )
    history = runs.read_json(folder, runs.HISTORY)
    metrics = runs.read_json(folder, runs.METRICS)
    paths = output_paths(folder, _name_of_files(folder, config["network"]))
    missing = [paths[kind].name for kind in ("float32", "int8", "card") if not paths[kind].exists()]
    if missing:
        raise ModelError(
            f"{folder} is not converted yet ({', '.join(missing)} not there); run: "
            f"{command('convert', folder, '--int8', '--force')}"
        )
    card = runs.read_json(folder, paths["card"].name)
    return Run(folder, config, history, metrics, paths["float32"], paths["int8"], card)


def command(*words: str | Path) -> str:
    """Makes a command to type, quoted for a shell."""
    return shlex.join(["cli", *map(str, words)])


def _name_of_files(folder: Path, network: str) -> str:
    """Finds the name of the files made from a run: that of the only int8 file, or else the network's."""
    others = list(folder.glob("*_int8.tflite"))
    if len(others) == 1:
        return others[0].name.removesuffix("_int8.tflite")
    return network


def _read_truth(pictures: Path) -> dict[Path, str]:
    """Reads the labels of drawn pictures; empty if there is no table of them."""
    path = pictures / TRUTH_FILE
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {pictures / row["image"]: row["label"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(
            f"{path} is not a table with the columns image and label; draw the pictures again "
            f"({command('draw', pictures, '--force')}) or remove it."
        ) from error


def _recognize_all(
    pictures: Path | None,
    classifier: Classifier,
    segmenter: Segmenter,
    on_progress: OnStageProgress,
    warn: Say,
) -> list[RecognizedPicture]:
    if pictures is None:
        return []
    truth = _read_truth(pictures)
    paths = find_pictures([pictures])
    recognized = []
    for number, path in enumerate(paths, start=1):
        try:
            picture = read_picture(path)
        except PictureError as error:
            warn(str(error))
        else:
            recognized.append(_recognize(path, picture, truth.get(path), classifier, segmenter))
        on_progress("Recognizing pictures", number, len(paths))
    return recognized


def _recognize(
    path: Path, picture: Picture, truth: str | None, classifier: Classifier, segmenter: Segmenter
) -> RecognizedPicture:
    ours = recognize(picture, classifier, segmenter)
    naive_u8 = naive_tile(picture.rgb)
    label, confidence = name_of(classifier.probabilities(naive_u8[np.newaxis])[0], classifier)
    return RecognizedPicture(
        path,
        _thumbnail(picture.rgb),
        truth,
        PictureAnswer(
            ours.label,
            ours.confidence,
            ours.image_u8,
            ours.reason,
        ),
        PictureAnswer(label, confidence, naive_u8),
    )


def _thumbnail(rgb: np.ndarray) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(rgb)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return np.asarray(image)
