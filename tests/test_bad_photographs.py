"""Files that are not photographs of one garment each give an answer or an error; the others are answered."""

import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from garmentlite import cli
from garmentlite.edge.drawing import draw_garment, draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS

SEGMENTERS = ("network", "border")

# Of what is on the pictures of the fixture `folder`: the reason why there is no garment.
EMPTY = {
    "one-colour": "no garment stands out from the background",
    "black": "no garment stands out from the background",
    "white": "no garment stands out from the background",  # over-exposed altogether
    "wall": "no garment stands out from the background",
    "black-28x28": "no garment stands out from the background",
    "transparent-altogether": "no garment stands out from the background",
    "transparent-but-a-speck": "no garment stands out from the background",
}
GARMENTS = ("one", "two", "over-exposed", "transparent", "narrow")
EITHER = ("noise", "cut", "cloth-only", "dark", "very-long", "ground")
UNREADABLE = {
    "10-pixels-wide.png": "is too small (10 x 320 pixels, expected at least 28 x 28)",
    "empty.jpg": "is not a picture that can be read",
    "cut-off.jpg": "is damaged or incomplete",
    "gone.jpg": "There is no picture",  # a link to nothing
}


def errors_of(result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("Error: ")]


@pytest.fixture(scope="module")
def image():
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    return pytest.importorskip("PIL.Image")


# --- classify


def bad_pictures() -> dict[str, np.ndarray]:
    """Arrays by what is on them: uint8, RGB, RGBA or grey."""
    from garmentlite.train.empty_scenes import piece_of_ground

    rng = np.random.default_rng(4)
    shirt, trouser = (draw_scene(label, rng) for label in ("Pullover", "Trouser"))
    garment, alpha = draw_garment("Shirt", rng)
    speck = np.zeros_like(alpha)
    speck[:3, :3] = 255
    long = np.full((28, 4000, 3), 128, np.uint8)
    long[8:20, 1500:2200] = 20
    wall = 150 + np.linspace(-8, 8, 320)[:, np.newaxis] + rng.normal(0, 2, (240, 320, 1))
    return {
        "one-colour": np.full((240, 320, 3), (200, 30, 60), np.uint8),
        "black": np.zeros((240, 320, 3), np.uint8),
        "white": np.full((240, 320, 3), 255, np.uint8),
        "wall": np.repeat(wall.astype(np.uint8), 3, axis=2),
        "black-28x28": np.zeros((28, 28), np.uint8),
        "transparent-altogether": np.dstack((garment, np.zeros_like(alpha))),
        "transparent-but-a-speck": np.dstack((garment, speck)),
        "one": shirt.rgb,
        "two": np.concatenate((shirt.rgb, trouser.rgb), axis=1),
        "cut": shirt.rgb[120:, :200],
        "over-exposed": np.minimum(shirt.rgb.astype(np.int32) * 3, 255).astype(np.uint8),
        "transparent": np.dstack((garment, alpha)),
        "narrow": shirt.rgb[:, 146:174],
        "noise": rng.integers(0, 256, (240, 320, 3), np.uint8),
        "cloth-only": shirt.rgb[130:190, 130:190],
        "dark": shirt.rgb // 20,
        "very-long": long,
        "ground": piece_of_ground(shirt.rgb, shirt.mask),
        "10-pixels-wide": shirt.rgb[:, 155:165],
    }


@pytest.fixture(scope="module")
def folder(image, tmp_path_factory):
    """Pictures that can be read, and in the subfolder `unreadable` files that are none."""
    root = tmp_path_factory.mktemp("bad")
    unreadable = root / "unreadable"
    unreadable.mkdir()
    for name, pixels in bad_pictures().items():
        where = unreadable if f"{name}.png" in UNREADABLE else root
        image.fromarray(pixels).save(where / f"{name}.png")
    jpeg = io.BytesIO()
    image.open(root / "one.png").save(jpeg, "JPEG")
    (unreadable / "cut-off.jpg").write_bytes(jpeg.getvalue()[:4000])
    (unreadable / "empty.jpg").touch()
    (unreadable / "gone.jpg").symlink_to("nowhere.jpg")
    return root


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_classify_of_bad_photographs_gives_each_one_answer_or_sentence(run, folder, segmenter):
    # The default is asked for by leaving the option away.
    option = () if segmenter == "network" else ("--segment", segmenter)
    result = run("classify", folder, "--json", *option, expect=2)
    documents = {Path(one["path"]).stem: one for one in map(json.loads, result.stdout.splitlines())}
    assert len(documents) == len(result.stdout.splitlines())
    assert set(documents) == {*EMPTY, *GARMENTS, *EITHER}
    for name, document in documents.items():
        made = document["preparation"]
        assert made["segmenter"] == (segmenter if made["form"] == "photo" else None)
        assert math.isfinite(document["confidence"])
        if name in EMPTY or (name in EITHER and document["label"] == "no garment"):
            assert (document["label"], document["confidence"], document["top_k"]) == (
                "no garment", 0.0, [],
            ), name  # fmt: skip
            assert (made["found"], made["box"]) == (False, None)
            assert made["reason"] == EMPTY.get(name, made["reason"]) is not None
        else:
            assert document["label"] in {*FASHION_MNIST_LABELS, "unknown"}, name
            assert (made["found"], made["reason"], len(made["box"])) == (True, None, 4)
            assert document["top_k"][0]["probability"] == document["confidence"] > 0
    errors = errors_of(result)
    *others, counts = result.stderr.splitlines()
    assert len(errors) == len(others) == len(UNREADABLE)
    assert counts.endswith(f", {len(UNREADABLE)} could not be read.")
    for name, message in UNREADABLE.items():
        assert sum(f"unreadable/{name}" in error and message in error for error in errors) == 1


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_classify_of_photographs_that_can_be_read_exits_0_whatever_is_on_them(
    run, folder, tmp_path, segmenter
):
    shutil.copytree(folder, tmp_path / "pictures", ignore=shutil.ignore_patterns("unreadable"))
    result = run("classify", tmp_path / "pictures", "--segment", segmenter)
    assert result.stderr.endswith(", 0 could not be read.\n")
    assert len(result.stderr.splitlines()) == 1
    words = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert len(words) == len(EMPTY) + len(GARMENTS) + len(EITHER)
    for name, reason in EMPTY.items():
        sentence = words[str(tmp_path / "pictures" / f"{name}.png")]
        assert sentence.startswith("no garment")
        assert reason in sentence


def test_classify_of_a_transparent_background_takes_the_garment_from_it(run, folder):
    _, _, _, alpha = np.moveaxis(bad_pictures()["transparent"], 2, 0)
    rows, columns = (np.flatnonzero((alpha >= 128).any(axis=axis)) for axis in (1, 0))
    box = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
    for segmenter in SEGMENTERS:
        out = run("classify", folder / "transparent.png", "--json", "--segment", segmenter).stdout
        made = json.loads(out)["preparation"]
        assert (made["form"], made["segmenter"], made["box"]) == ("transparent", None, box)


# --- train --photos


@pytest.fixture
def write_photos(image, tmp_path):
    """Draws photographs, so many of each label in its subfolder; returns the folder."""
    drawn = {"hat": "Bag", "sock": "Trouser", "tie": "Dress"}

    def write(**counts: int) -> Path:
        root, rng = tmp_path / "photos", np.random.default_rng(6)
        for label, count in counts.items():
            (root / label).mkdir(parents=True)
            for number in range(count):
                scene = draw_scene(drawn[label], rng, (96, 96))
                image.fromarray(scene.rgb).save(root / label / f"{number}.png")
        return root

    return write


def write_table(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def refused(run, *arguments) -> tuple[str, list[str]]:
    """The one error of a training that does not begin, and what was said before it."""
    result = run("train", "--photos", *arguments, expect=2)
    errors = errors_of(result)
    assert len(errors) == 1
    assert result.stdout == ""
    assert "Starting" not in result.stderr
    assert not Path("runs").exists()
    return errors[0], result.stderr.splitlines()[:-1]


def test_train_on_a_folder_without_subfolders_is_one_sentence(run, write_photos):
    photos = write_photos(hat=2)
    error, _ = refused(run, photos / "hat")
    assert "has neither subfolders nor a labels.csv" in error


def test_train_on_subfolders_without_pictures_is_one_sentence(run, tmp_path):
    for name in ("hat", "sock"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    error, said = refused(run, tmp_path / "photos")
    assert "holds no photograph" in error
    assert [("There is no picture in" in one, "left out" in one) for one in said] == 2 * [
        (True, True)
    ]


def test_train_on_a_picture_in_place_of_a_folder_is_one_sentence(run, write_photos):
    error, _ = refused(run, write_photos(hat=1) / "hat" / "0.png")
    assert "cannot be read as a table" in error


def test_train_on_a_table_whose_files_are_all_missing_names_each(run, tmp_path):
    table = write_table(tmp_path / "t.csv", ("file", "label"), ("a.jpg", "hat"), ("b.jpg", "sock"))
    error, said = refused(run, table)
    assert "None of the photographs that" in error
    assert len(said) == 2
    for line, name, sentence in zip((2, 3), ("a.jpg", "b.jpg"), said, strict=True):
        assert (
            f"Line {line} of {table} names {name}, which cannot be read (No such file" in sentence
        )


def test_train_on_a_table_of_missing_files_but_for_one_class_is_one_sentence(run, write_photos):
    photos = write_photos(hat=6)
    rows = [(f"hat/{number}.png", "hat") for number in range(6)]
    table = write_table(photos / "t.csv", ("file", "label"), *rows, ("sock/0.png", "sock"))
    error, said = refused(run, table)
    assert "have 1 label (hat), and a classifier needs two" in error
    assert len(said) == 1
    assert "names sock/0.png, which cannot be read" in said[0]


def test_train_on_a_table_of_lines_that_lack_something_names_each_line(run, write_photos):
    photos = write_photos(hat=1)
    rows = [
        ("hat/0.png", " "), ("", "hat"), ("hat/0.png",), ("hat/\0.png", "hat"), ("hat", "hat"),
    ]  # fmt: skip
    error, said = refused(run, write_table(photos / "t.csv", ("file", "label"), *rows))
    assert "None of the photographs that" in error
    endings = (
        "has no label; it is left out.", "has no file; it is left out.",
        "has no label; it is left out.",
        "which cannot be read (its name contains a null byte); it is left out.",
        "names hat, which cannot be read (it is a folder, expected a regular file); it is left out.",
    )  # fmt: skip
    # First what the table lacks, then what the disk lacks.
    order = [(2, 0), (3, 1), (4, 2), (5, 3), (6, 4)]
    for (line, ending), sentence in zip(order, said, strict=True):
        assert f"Line {line} of" in sentence
        assert sentence.endswith(endings[ending])


def test_verify_on_a_table_with_a_line_that_lacks_its_label_is_one_sentence(
    run, write_photos, shipped_int8
):
    table = write_table(write_photos(hat=1) / "t.csv", ("file", "label"), ("hat/0.png", ""))
    result = run("verify", shipped_int8, shipped_int8, "--photos", table, expect=2)
    assert errors_of(result) == [
        f"Error: Line 2 of {table} has no label; write it there, or remove the line."
    ]


def test_train_on_two_classes_of_three_photographs_holds_none_out_and_says_so(run, write_photos):
    error, said = refused(run, write_photos(hat=3, sock=3))
    assert "No photograph is held out in fold 1 of 5" in error
    for label in ("hat", "sock"):
        assert sum(f"Only 3 photographs show '{label}'" in one for one in said) == 1


@pytest.mark.parametrize("what", ["unreadable", "empty"])
def test_train_on_photographs_of_nothing_ends_before_the_training(
    run, image, tensorflow, tiny, tmp_path, what
):
    for number, label in enumerate(("hat", "sock") * 5):
        path = tmp_path / "photos" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "empty":
            image.fromarray(np.full((80, 60, 3), 100 + number, np.uint8)).save(path)
        else:
            path.write_bytes(b"no picture %d" % number)
    result = run(
        "train", "--network", tiny, "--photos", tmp_path / "photos", "--segment", "border", expect=2
    )
    assert len(errors_of(result)) == 1
    assert "No photograph is left to train on" in errors_of(result)[0]
    unreadable = [one for one in result.stderr.splitlines() if "is not a picture that" in one]
    assert len(unreadable) == (10 if what == "unreadable" else 0)
    assert "Training tiny" not in result.stderr


@pytest.mark.slow
def test_train_with_a_class_of_three_photographs_and_broken_files_goes_on(
    run, tiny, write_photos, tmp_path
):
    photos = write_photos(hat=8, sock=8, tie=3)
    (photos / "hat" / "broken.jpg").write_bytes(b"no picture")
    (photos / "sock" / "empty.jpg").touch()
    result = run(
        "train", "--network", tiny, "--photos", photos, "--segment", "border", "--folds", 3,
        "--epochs", 1, "-o", tmp_path / "run",
    )  # fmt: skip
    assert "Only 3 photographs show 'tie', at least 5 are needed to validate" in result.stderr
    assert "broken.jpg is not a picture that can be read" in result.stderr
    assert "empty.jpg is not a picture that can be read" in result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["photos"]["unreadable"] == 2
    assert config["photos"]["training_by_group"]["tie"] == 3  # always trained on
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    per_group = {row["label"]: row for row in metrics["photos"]["per_group"]}
    assert (per_group["tie"]["support"], per_group["tie"]["recall"]) == (0, None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_classify_of_a_file_whose_name_is_no_text_prints_json_all_the_same(tmp_path, image):
    picture = image.fromarray(draw_scene("Dress", np.random.default_rng(1)).rgb)
    picture.save(tmp_path / "dress.png")
    os.rename(tmp_path / "dress.png", os.fsencode(tmp_path) + b"/dress-\xff.png")
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, Path(cli.__file__), "classify", tmp_path, "--json"]
    result = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["path"].endswith("dress-\udcff.png")
