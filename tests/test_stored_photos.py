"""Tests of the photographs that a run keeps."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.errors import DataError
from garmentlite.train.stored_photos import read_photos, write_photos


@pytest.mark.parametrize("variants", [False, True])
def test_write_photos_keeps_tiles_labels_and_names_and_lists_those_held_out(
    photographs, photograph_tiles, tmp_path, variants
):
    tiles = photograph_tiles
    held = replace(photographs, is_held_out=np.arange(26) >= 18)
    write_photos(tmp_path, held, tiles, variants=variants)
    stored = read_photos(tmp_path)
    expected = tiles.tiles_u8 if variants else tiles.tiles_u8[:, :1]
    np.testing.assert_array_equal(stored.tiles.tiles_u8, expected)
    for name in set(vars(tiles)) - {"tiles_u8"}:
        np.testing.assert_array_equal(getattr(stored.tiles, name), getattr(tiles, name))
    np.testing.assert_array_equal(stored.y, held.labelling.y)
    np.testing.assert_array_equal(stored.is_held_out, held.is_held_out)
    assert stored.files == tuple(photo.name for photo in photographs.photos)
    assert stored.groups == ("Dress", "footwear")
    with (tmp_path / "held_out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # A label that stands for several classes is not listed, and neither is a file that is no picture; a
    # picture in which no garment is found is.
    assert [Path(row["file"]).name for row in rows] == ["18.png", "21.png", "wall.png"]
    assert {row["label"] for row in rows} == {"Dress"}
    assert all(Path(row["file"]).is_file() for row in rows)


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_read_photos_of_a_run_without_is_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "photos.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"photos\.npz cannot be read .* train the run again"):
        read_photos(tmp_path)


def test_read_photos_of_version_0_1_0_takes_tiles_of_zeros_for_none(tmp_path):
    tiles_u8 = np.ones((3, 2, 28, 28), np.uint8)
    tiles_u8[1] = 0
    grounds_u8 = np.zeros((3, 3, 28, 28), np.uint8)
    grounds_u8[2, 1, 4, 4] = 9
    second_u8 = tiles_u8[:, 0] * np.uint8([1, 0, 0])[:, None, None]
    older = {
        "tiles_u8": tiles_u8, "second_u8": second_u8, "grounds_u8": grounds_u8,
        "found": np.array([True, False, True]), "y": np.array([0, 1, -1]),
        "is_held_out": np.array([True, False, False]), "members": np.eye(2, dtype=bool),
        "groups": np.array(["Bag", "Coat"]), "files": np.array(["a.jpg", "b.jpg", "c.jpg"]),
    }  # fmt: skip
    np.savez_compressed(tmp_path / "photos.npz", **older)
    stored = read_photos(tmp_path)
    assert stored.tiles.found.tolist() == [True, False, True]
    assert stored.tiles.second_found.tolist() == [True, False, False]
    assert stored.tiles.grounds_found.tolist() == [[False] * 3, [False] * 3, [False, True, False]]
    assert stored.groups == ("Bag", "Coat")
    assert stored.files == ("a.jpg", "b.jpg", "c.jpg")
    np.testing.assert_array_equal(stored.tiles.tiles_u8, tiles_u8)
    # Its first runs had neither pieces of background nor second masks.
    np.savez_compressed(
        tmp_path / "photos.npz",
        **{k: v for k, v in older.items() if k not in ("second_u8", "grounds_u8")},
    )
    first = read_photos(tmp_path).tiles
    np.testing.assert_array_equal(first.second_u8, tiles_u8[:, 0])
    assert first.grounds_found.shape == (3, 0)
