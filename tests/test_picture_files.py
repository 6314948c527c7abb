"""Tests of finding picture files: folders, patterns, and files that are left out."""

import os

import pytest

from garmentlite.edge.errors import PictureError
from garmentlite.edge.picture_files import find_pictures


@pytest.fixture
def folder(tmp_path):
    for name in ("b.JPG", "a.png", "sub/c.jpeg", "notes.txt", ".hidden.png", ".cache/d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def names(paths, folder):
    return [str(path.relative_to(folder)) for path in paths]


def test_find_pictures_in_folder_are_sorted_and_known(folder):
    assert names(find_pictures([folder]), folder) == ["a.png", "b.JPG", "sub/c.jpeg"]


def test_find_pictures_keeps_order_of_arguments_and_drops_doubles(folder):
    found = find_pictures([folder / "b.JPG", folder])
    assert names(found, folder) == ["b.JPG", "a.png", "sub/c.jpeg"]


def test_find_pictures_takes_patterns_and_any_named_file(folder):
    assert names(find_pictures([f"{folder}/*.png"]), folder) == ["a.png"]
    assert names(find_pictures([str(folder / "notes.txt")]), folder) == ["notes.txt"]


def test_find_pictures_prefers_a_file_over_its_name_as_a_pattern(tmp_path):
    odd = tmp_path / "shirt[1].png"
    odd.write_bytes(b"")
    assert find_pictures([odd]) == [odd]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "There is no picture"),
        ("*.bmp", "Nothing matches"),
        ("empty", "no picture in"),
    ],
)
def test_find_pictures_of_nothing_is_refused(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureError, match=message):
        find_pictures([tmp_path / name])


def test_find_pictures_says_which_folder_cannot_be_read(folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # tests may run as root, who may read everything
    said = []
    assert names(find_pictures([folder], said.append), folder) == ["a.png", "b.JPG"]
    assert said == [
        f"The folder {folder / 'sub'} cannot be read (Permission denied); it is left out."
    ]
    with pytest.raises(PictureError, match=r"sub cannot be read .*chmod"):
        find_pictures([folder])


def test_find_pictures_counts_and_names_what_is_left_out(folder):
    said = []
    find_pictures([folder, folder / "notes.txt"], note=said.append)
    assert said == [
        f"In {folder} 1 file is left out, because the name does not end like that of a picture: "
        "notes.txt."
    ]
    for number in range(7):
        (folder / f"film{number}.mp4").touch()
    find_pictures([folder], note=said.append)
    assert "8 files are left out" in said[1]
    assert said[1].endswith("film0.mp4, film1.mp4, film2.mp4, film3.mp4, film4.mp4 and 3 more.")


def test_find_pictures_takes_every_picture_so_that_none_is_left_out_in_silence(tmp_path):
    suffixes = [
        "avif",
        "heic",
        "HEIF",
        "jfif",
        "jp2",
        "mpo",
        "pgm",
        "pbm",
        "pnm",
        "dng",
        "svg",
        "psd",
    ]
    for suffix in suffixes:
        (tmp_path / f"picture.{suffix}").touch()
    assert {path.suffix[1:] for path in find_pictures([tmp_path])} == set(suffixes)
