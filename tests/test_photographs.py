"""Tests with real photographs. GARMENT_PHOTOS names their folder.

It holds images.csv with the columns `image` and `fashion_mnist_label`, and the files in images/."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import acceptance, naive_tile, prepare
from garmentlite.edge.recognition import recognize
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import FOLDER, default_model

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


@pytest.mark.parametrize("name", ["border", "grabcut", "network"])
def test_prepare_photographs_gives_tiles_like_the_training_images(pictures, name):
    segmenter = make_segmenter(name)
    tiles = [prepare(picture, segmenter).image_u8 for picture in pictures]
    accepted = sum(tile is not None and acceptance(tile)["accepted"] for tile in tiles)
    # Seen: 95% of 200. With that chance, fewer than 51 of 60 come once in two thousand draws.
    assert accepted >= 51


def test_naive_tiles_of_photographs_are_never_like_the_training_images(pictures):
    assert not any(acceptance(naive_tile(picture.rgb))["accepted"] for picture in pictures)


def test_network_of_fashion_mnist_calls_photographs_bags_without_their_preparation(pictures):
    naive = Classifier(FOLDER / "garment-net_int8.tflite")
    answers = Counter(naive.predict(naive_tile(picture.rgb)).label for picture in pictures)
    assert answers["Bag"] > COUNT / 2  # there is no bag among them


@pytest.mark.parametrize("name", ["grabcut", "network"])
def test_default_model_does_not_call_photographs_bags(pictures, name):
    segmenter, classifier = make_segmenter(name), Classifier(default_model())
    answers = Counter(recognize(picture, classifier, segmenter).label for picture in pictures)
    named = answers.total() - answers[NO_GARMENT] - answers[UNKNOWN]
    assert named > COUNT / 2
    assert answers["Bag"] < COUNT / 4
