"""Real photographs, from the folder that GARMENT_PHOTOS names: images.csv with the columns `image` and
`fashion_mnist_label`, and the files in images/."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from edge.pictures import read_picture
from edge.preparation import acceptance, naive_tile, prepare
from edge.segmentation import make_segmenter

PHOTOS = os.environ.get("GARMENT_PHOTOS")
pytestmark = pytest.mark.skipif(not PHOTOS, reason="GARMENT_PHOTOS names no folder of photographs")
COUNT = 60


@pytest.fixture(scope="module")
def pictures():
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    folder = Path(PHOTOS or "")
    with (folder / "images.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fashion_mnist_label"] != "other"]
    every = len(rows) // COUNT
    return [read_picture(folder / "images" / row["image"]) for row in rows[::every][:COUNT]]


@pytest.mark.parametrize("name", ["border", "grabcut"])
def test_prepare_photographs_gives_tiles_like_the_training_images(pictures, name):
    segmenter = make_segmenter(name)
    tiles = [prepare(picture, segmenter).image_u8 for picture in pictures]
    accepted = sum(tile is not None and acceptance(tile)["accepted"] for tile in tiles)
    # Seen: 95% of 200. With that chance, fewer than 51 of 60 come once in two thousand draws.
    assert accepted >= 51


def test_naive_tiles_of_photographs_are_never_like_the_training_images(pictures):
    assert not any(acceptance(naive_tile(picture.rgb))["accepted"] for picture in pictures)


def test_default_model_does_not_call_photographs_bags(pictures, default_classifier):
    segmenter = make_segmenter("grabcut")
    naive, ours = Counter[str](), Counter[str]()
    for picture in pictures:
        naive[default_classifier.predict(naive_tile(picture.rgb)).label] += 1
        tile = prepare(picture, segmenter).image_u8
        if tile is not None:
            ours[default_classifier.predict(tile).label] += 1
    # There is no bag among them.
    assert naive["Bag"] > COUNT / 2
    assert ours["Bag"] < COUNT / 4


@pytest.fixture(scope="module")
def default_classifier():
    from edge.classifier import Classifier
    from edge.shipped import default_model

    return Classifier(default_model())
