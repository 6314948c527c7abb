"""Collections of labelled photographs are read from folders and tables, and a part of them is held out."""

import csv
import io
import os

import pytest

from garmentlite.edge.errors import DataError, OptionError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import collection, table_text
from garmentlite.train.collection import Columns, read_collection

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


def test_read_of_folders_takes_the_label_from_the_subfolder_in_a_fixed_order(write):
    folder = write("socks/b.jpg", "hats/a.png", "socks/a.jpg", ".hidden/a.jpg", "hats/notes.txt")
    photos = collection.read(folder)
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
    photos = collection.read(source, Columns(label=("what",), contributor="sender_id"))
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
        OptionError, match=r"--split-by sender is not a column .*did you mean 'sender_id'"
    ):
        collection.read(folder, Columns(contributor="sender"))
    with pytest.raises(
        DataError, match="has the columns file, sender_id, label, expected file and what"
    ):
        collection.read(folder, Columns(label=("what",)))


def test_read_of_a_table_takes_the_first_label_that_is_filled_in_and_splits_doubts_and_flags(write):
    folder = write("a.jpg", "b.jpg")
    (folder / "labels.csv").write_text(
        "file,seen,label,also,flags\na.jpg,Coat,Shirt,Pullover| Shirt,cut|worn\nb.jpg,,Hat,,\n"
    )
    columns = Columns(label=("seen", "label"), also="also", flags="flags")
    photos = collection.read(folder, columns)
    assert [(one.label, one.also, one.flags) for one in photos] == [
        ("Coat", ("Pullover", "Shirt"), ("cut", "worn")), ("Hat", (), ()),
    ]  # fmt: skip
    # The same table without these columns is read as before.
    assert [(one.label, one.also, one.flags) for one in collection.read(folder)] == [
        ("Shirt", (), ()), ("Hat", (), ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "option"),
    [
        (Columns(also="seen_als"), "--also-column seen_als"),
        (Columns(flags="seen_flag"), "--flags-column seen_flag"),
    ],
)
def test_read_with_columns_of_doubts_or_flags_that_are_not_there_is_one_sentence(
    write, columns, option
):
    folder = write("a.jpg")
    with pytest.raises(OptionError, match=f"{option} names a column of a table, but"):
        collection.read(write("hats/b.jpg"), columns)
    (folder / "labels.csv").write_text("file,label,seen_also,seen_flags\na.jpg,Hat,,\n")
    with pytest.raises(OptionError, match=f"{option} is not a column of .*did you mean 'seen_"):
        collection.read(folder, columns)


def test_read_collection_weighs_flags_and_says_which_are_unknown(photograph_table):
    said, table = [], photograph_table.with_name("flags.csv")
    flags = ["", "worn", "cut", "child|crumpled", "blurred", "several|worn"] * 2
    table.write_text(
        "file,label,flags\n"
        + "".join(f"{i}.png,{'Dress' if i % 2 else 'Bag'},{f}\n" for i, f in enumerate(flags))
    )
    found = read_collection(
        table, FASHION_MNIST_LABELS, columns=Columns(flags="flags"), say=said.append
    )
    assert found.factors.tolist() == [1, 1, 0.5, 0.5, 1, 0.5] * 2
    assert said == [
        "The flags blurred are unknown and change nothing; the flags are worn, hanging, child, back, "
        "several, cut, crumpled."
    ]


def test_read_of_folders_split_by_a_column_is_refused(write):
    with pytest.raises(OptionError, match="--split-by sender_id names a column of a table, but"):
        collection.read(write("hats/a.jpg"), Columns(contributor="sender_id"))


def test_read_of_an_empty_subfolder_is_said_and_the_rest_goes_on(write):
    folder, said = write("hats/a.jpg", "socks/notes.txt"), []
    photos = collection.read(folder, warn=said.append)
    assert [one.label for one in photos] == ["hats"]
    assert len(said) == 1
    assert "There is no picture in" in said[0]
    with pytest.raises(DataError, match="remove that subfolder"):
        collection.read(folder)
    (folder / "hats" / "a.jpg").unlink()
    with pytest.raises(DataError, match="holds no photograph"):
        collection.read(folder, warn=said.append)


def test_with_files_names_the_missing_and_keeps_the_others(write):
    folder, said = write("a.jpg", "b.jpg"), []
    (folder / "labels.csv").write_text("file,label\na.jpg,Hat\ngone.jpg,Hat\nb.jpg,Sock\n")
    photos, checksums = collection.with_files(collection.read(folder), said.append)
    assert [one.name for one in photos] == ["a.jpg", "b.jpg"]
    assert [len(one) for one in checksums] == [64, 64]
    assert len(said) == 1
    assert said[0].startswith("Line 3 of ")
    assert "gone.jpg, which cannot be read (No such file or directory); it is left out." in said[0]


# --- a part is held out


def test_read_collection_holds_out_contributors_and_keeps_other_labels_reachable(photographs):
    photos, is_held_out = photographs.photos, photographs.is_held_out
    assert len(photos) == 26
    held, trained = (
        {one.contributor for one, out in zip(photos, is_held_out, strict=True) if out == part}
        for part in (True, False)
    )
    assert held
    assert not held & trained
    others = photographs.labelling.y == -1
    assert {one.label for one, is_other in zip(photos, others, strict=True) if is_other} == {"Hat"}
    assert others[is_held_out].any()


def test_read_collection_of_all_folds_holds_everything_out_once(photograph_table):
    parts = [
        read_collection(photograph_table, FASHION_MNIST_LABELS, groups=[FOOTWEAR], fold=fold)
        for fold in range(1, 6)
    ]
    assert sum(part.is_held_out.astype(int) for part in parts).tolist() == [1] * 26
    nothing = read_collection(photograph_table, FASHION_MNIST_LABELS, groups=[FOOTWEAR], fold=None)
    assert not nothing.is_held_out.any()


def test_read_collection_says_which_labels_are_too_few_to_validate(photograph_table):
    said, few = [], photograph_table.with_name("few.csv")
    few.write_text(
        "file,label\n" + "".join(f"{3 * i}.png,Dress\n" for i in range(8)) + "1.png,Bag\n"
    )
    found = read_collection(few, FASHION_MNIST_LABELS, say=said.append)
    assert len(said) == 1
    assert said[0].startswith("Only 1 photographs show 'Bag', at least 5 are needed to validate")
    assert not found.is_held_out[-1]


@pytest.mark.parametrize(("folds", "fold"), [(1, 1), (5, 0), (5, 6)])
def test_read_collection_of_a_fold_that_is_none_is_refused(photograph_table, folds, fold):
    with pytest.raises(OptionError, match=f"--fold {fold} of --folds {folds} does not exist"):
        read_collection(photograph_table, FASHION_MNIST_LABELS, folds=folds, fold=fold)


def test_read_collection_without_any_file_or_held_out_photograph_is_one_sentence(photograph_table):
    gone = photograph_table.with_name("gone.csv")
    gone.write_text("file,label\nnone.png,Dress\n")
    with pytest.raises(DataError, match=r"None of the photographs that .*gone.csv names exists"):
        read_collection(gone, FASHION_MNIST_LABELS)
    gone.write_text("file,label\n0.png,Dress\n")
    with pytest.raises(DataError, match="No photograph is held out in fold 1 of 5"):
        read_collection(gone, FASHION_MNIST_LABELS)


# --- hostile folders and tables


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_with_files_leaves_out_pipes_devices_and_impossible_names(write):
    folder = write("a.jpg")
    os.mkfifo(folder / "pipe.jpg")
    names = ["a.jpg", "pipe.jpg", "/dev/zero", "x" * 300, "a\0b"]
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{name},hat\n" for name in names))
    said = []
    photos, checksums = collection.with_files(collection.read(folder), said.append)
    assert [photo.name for photo in photos] == ["a.jpg"]
    assert len(checksums) == 1
    assert len(said) == 4
    assert "expected a regular file" in said[0]


def test_read_of_a_table_that_is_a_device_or_too_large_is_refused(write, monkeypatch):
    with pytest.raises(DataError, match="no folder or table"):
        collection.read(write("a.jpg").parent / "none.csv")
    monkeypatch.setattr(table_text, "LARGEST_TABLE", 10)
    folder = write("labels.csv", content=b"file,label\na.jpg,hat\n")
    with pytest.raises(DataError, match="larger than 10 bytes"):
        collection.read(folder)


def test_read_collection_with_a_billion_folds_is_one_sentence(write):
    folder = write("socks/b.jpg", "hats/a.png")
    with pytest.raises(OptionError, match=r"--folds 1000000000 is too many; take at most 1,000"):
        read_collection(folder, FASHION_MNIST_LABELS, folds=1_000_000_000)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_read_of_a_table_takes_what_spreadsheets_write(write, delimiter, encoding):
    rows = [
        ("file", "label", "note"),
        (r"front\1.png", "Shirt", "a, b"),
        ("front/1.png", "Coat", ""),
    ]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    write("labels.csv", content=text.getvalue().encode(encoding))
    folder = write("images/front/1.png")
    photos = collection.read(folder)
    assert [photo.label for photo in photos] == ["Shirt", "Coat"]
    assert {photo.path for photo in photos} == {folder / "images" / "front" / "1.png"}


def test_read_of_kaggles_fashion_mnist_says_what_it_is(write):
    head = "label," + ",".join(f"pixel{number}" for number in range(1, 785))
    folder = write("fashion-mnist_train.csv", content=head.encode() + b"\n2" + b",0" * 784)
    with pytest.raises(DataError, match=r"table of pixels, as Kaggle offers .* --data-dir"):
        collection.read(folder / "fashion-mnist_train.csv")
