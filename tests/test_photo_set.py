"""Labelled photographs: read, named by classes and groups, split so that what belongs together stays so."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import photo_set
from garmentlite.train.photo_set import LabelledPhoto

FOOTWEAR = "footwear=Sandal,Sneaker,Ankle boot"


@pytest.fixture
def write(tmp_path):
    """Writes files with some bytes; returns the folder. No picture is opened here."""

    def make(*names, content=None):
        for name in names:
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode() if content is None else content)
        return tmp_path / "photos"

    return make


def labelled(*labels):
    return [
        LabelledPhoto(path=None, name=f"{i}.jpg", label=label, where="There")
        for i, label in enumerate(labels)
    ]


# --- reading


def test_read_of_folders_takes_the_label_from_the_subfolder_in_a_fixed_order(write):
    folder = write("socks/b.jpg", "hats/a.png", "socks/a.jpg", ".hidden/a.jpg", "hats/notes.txt")
    photos = photo_set.read(folder)
    assert [(one.name, one.label, one.contributor) for one in photos] == [
        ("hats/a.png", "hats", ""), ("socks/a.jpg", "socks", ""), ("socks/b.jpg", "socks", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("table", ["labels.csv", "images.csv", "other.csv"])
def test_read_of_a_table_takes_the_columns_that_are_named(write, table):
    folder = write("images/a.jpg", "b.jpg")
    (folder / table).write_text(
        "image,sender_id,what,label\na.jpg,7,Hat,no\nb.jpg,8, Sock ,no\nc.jpg,8,Hat,no\n"
    )
    source = folder / table if table == "other.csv" else folder
    photos = photo_set.read(source, label_column="what", contributor_column="sender_id")
    assert [(one.name, one.label, one.contributor) for one in photos] == [
        ("a.jpg", "Hat", "7"), ("b.jpg", "Sock", "8"), ("c.jpg", "Hat", "8"),
    ]  # fmt: skip
    # Beside the table, or in the folder `images` beside it.
    assert [one.path.relative_to(folder).as_posix() for one in photos] == [
        "images/a.jpg", "b.jpg", "c.jpg",
    ]  # fmt: skip
    assert photos[1].where == f"Line 3 of {folder / table}"


def test_read_with_a_column_that_is_not_there_proposes_the_nearest(write):
    folder = write("a.jpg")
    (folder / "labels.csv").write_text("file,sender_id,label\na.jpg,7,Hat\n")
    with pytest.raises(
        OptionError, match=r"--split-by sender is no column .*did you mean 'sender_id'"
    ):
        photo_set.read(folder, contributor_column="sender")
    with pytest.raises(
        DataError, match="has the columns file, sender_id, label, expected file and what"
    ):
        photo_set.read(folder, label_column="what")


def test_read_of_folders_split_by_a_column_is_refused(write):
    with pytest.raises(OptionError, match="--split-by sender_id names a column of a table, but"):
        photo_set.read(write("hats/a.jpg"), contributor_column="sender_id")


def test_read_of_an_empty_subfolder_is_said_and_the_rest_goes_on(write):
    folder, said = write("hats/a.jpg", "socks/notes.txt"), []
    photos = photo_set.read(folder, warn=said.append)
    assert [one.label for one in photos] == ["hats"]
    assert len(said) == 1
    assert "There is no picture in" in said[0]
    with pytest.raises(DataError, match="remove that subfolder"):
        photo_set.read(folder)
    (folder / "hats" / "a.jpg").unlink()
    with pytest.raises(DataError, match="holds no photograph"):
        photo_set.read(folder, warn=said.append)


def test_with_files_names_the_missing_and_keeps_the_others(write):
    folder, said = write("a.jpg", "b.jpg"), []
    (folder / "labels.csv").write_text("file,label\na.jpg,Hat\ngone.jpg,Hat\nb.jpg,Sock\n")
    photos, checksums = photo_set.with_files(photo_set.read(folder), said.append)
    assert [one.name for one in photos] == ["a.jpg", "b.jpg"]
    assert [len(one) for one in checksums] == [64, 64]
    assert len(said) == 1
    assert said[0].startswith("Line 3 of ")
    assert "gone.jpg, which cannot be read (No such file or directory); it is left out." in said[0]


# --- labels


def test_label_finds_classes_and_groups_and_says_what_becomes_of_other_labels():
    said = []
    photos = labelled("t-shirt top", "footwear", "Hat", "Shirt", "SHIRT", "Hat")
    found = photo_set.label(
        photos, FASHION_MNIST_LABELS, groups=[FOOTWEAR, "tops=Shirt,Pullover"], say=said.append
    )
    assert found.groups == (
        "T-shirt/top",
        "Shirt",
        "footwear",
    )  # a group without photographs is none
    assert found.y.tolist() == [0, 2, -1, 1, 1, -1]
    assert [np.flatnonzero(row).tolist() for row in found.members] == [[0], [6], [5, 7, 9]]
    assert (found.classes, found.own) == (FASHION_MNIST_LABELS, False)
    assert len(said) == 1
    assert said[0].startswith(
        "2 photographs have a label that is none of the classes (Hat 2); of them the network learns to be "
        "unsure."
    )


@pytest.mark.parametrize("forced", [False, True])
def test_label_without_any_of_the_classes_makes_the_labels_the_classes(forced):
    said = []
    photos = labelled("socks", "hats", "Socks") + labelled("Shirt") * forced
    found = photo_set.label(photos, FASHION_MNIST_LABELS, own_classes=forced, say=said.append)
    assert found.classes == found.groups == (("Shirt",) * forced + ("hats", "socks"))
    assert [found.classes[i] for i in found.y[:3]] == ["socks", "hats", "socks"]
    assert found.members.tolist() == np.eye(2 + forced, dtype=bool).tolist()
    assert found.own
    assert len(said) == 1
    assert said[0].endswith("Fashion-MNIST is not used.")
    assert said[0].startswith(
        "The labels" if forced else "No label is one of Fashion-MNIST's, so the"
    )


def test_label_of_one_class_alone_is_refused():
    with pytest.raises(DataError, match=r"have 1 label \(socks\), and a classifier needs two"):
        photo_set.label(labelled("socks", "socks"), FASHION_MNIST_LABELS)


def test_label_with_a_group_that_none_has_does_not_make_other_classes():
    with pytest.raises(
        DataError, match="labelled footwear or as one of the classes, but for example 'x'"
    ):
        photo_set.label(labelled("x", "y"), FASHION_MNIST_LABELS, groups=[FOOTWEAR])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        pytest.param("footwear", "--group takes NAME=CLASS,CLASS, got 'footwear'", id="no-classes"),
        pytest.param("=Shirt", "--group takes NAME=CLASS,CLASS", id="no-name"),
        pytest.param("a=,", "--group takes NAME=CLASS,CLASS", id="empty"),
        pytest.param("shirt=Coat", "'shirt' is a class itself", id="class"),
        pytest.param("a=Sandal,Sneeker", "did you mean 'Sneaker'", id="unknown"),
    ],
)
def test_label_with_a_group_that_is_none_is_one_sentence(option, message):
    with pytest.raises(OptionError, match=message):
        photo_set.label(labelled("Shirt"), FASHION_MNIST_LABELS, groups=[option])


# --- folds


def dealt(y, contributors=None, checksums=None, count=5):
    contributors = [""] * len(y) if contributors is None else contributors
    checksums = [str(i) for i in range(len(y))] if checksums is None else checksums
    return photo_set.assign_folds(np.array(y), contributors, checksums, count)


def test_assign_folds_spreads_every_label_evenly():
    y = np.repeat([0, 1, 2, -1], [50, 20, 7, 33])
    folds = dealt(y)
    for label in (0, 1, 2, -1):
        counts = np.bincount(folds[y == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(folds, dealt(y))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 30)), min_size=1))
def test_assign_folds_keeps_contributors_and_equal_files_together(rows):
    y, senders, files = zip(*rows, strict=True)
    folds = dealt(y, [f"s{one}" for one in senders], [f"f{one}" for one in files], count=3)
    assert set(folds) <= {0, 1, 2}
    for keys in (senders, files):
        for key in set(keys):
            assert len({fold for fold, one in zip(folds, keys, strict=True) if one == key}) == 1


def test_assign_folds_of_contributors_is_stratified_as_far_as_they_can_be():
    # One label comes from five contributors of 10, the other from forty of 1.
    y = [0] * 50 + [1] * 40
    senders = [f"a{i // 10}" for i in range(50)] + [f"b{i}" for i in range(40)]
    folds = dealt(y, senders)
    assert np.bincount(folds[:50], minlength=5).tolist() == [10] * 5
    assert np.bincount(folds[50:], minlength=5).tolist() == [8] * 5


def test_assign_folds_trains_always_on_labels_too_rare_to_validate():
    y = [0] * 20 + [1] * 3
    assert set(dealt(y)[20:]) == {-1}
    assert set(dealt(y)[:20]) == {0, 1, 2, 3, 4}
    # Where contributors are known, they decide.
    assert -1 not in dealt(y, [f"s{i}" for i in range(23)])


# --- hostile folders and tables


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_with_files_leaves_out_pipes_devices_and_impossible_names(write):
    folder = write("a.jpg")
    os.mkfifo(folder / "pipe.jpg")
    names = ["a.jpg", "pipe.jpg", "/dev/zero", "x" * 300, "a\0b"]
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{name},hat\n" for name in names))
    said = []
    photos, checksums = photo_set.with_files(photo_set.read(folder), said.append)
    assert [photo.name for photo in photos] == ["a.jpg"]
    assert len(checksums) == 1
    assert len(said) == 4
    assert "expected a regular file" in said[0]


def test_read_of_a_table_that_is_a_device_or_too_large_is_refused(write, monkeypatch):
    with pytest.raises(DataError, match="no folder or table"):
        photo_set.read(write("a.jpg").parent / "none.csv")
    monkeypatch.setattr(photo_set, "LARGEST_TABLE", 10)
    folder = write("labels.csv", content=b"file,label\na.jpg,hat\n")
    with pytest.raises(DataError, match="larger than 10 bytes"):
        photo_set.read(folder)


@pytest.mark.parametrize("name", ["unknown", "No Garment"])
def test_label_refuses_a_class_called_like_an_answer_without_a_class(name):
    with pytest.raises(DataError, match=f"No class may be called '{name}'"):
        photo_set.label(labelled(name, "hat"), FASHION_MNIST_LABELS, own_classes=True)
