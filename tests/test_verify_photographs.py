"""Photographs for the parity check are prepared as on the device; those without a garment are counted."""

import re

import numpy as np
import pytest
from PIL import Image

from garmentlite.convert.report.verify_page import to_html
from garmentlite.convert.report.verify_text import to_text
from garmentlite.convert.verify.check import verify
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.photographs import load_photographs
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import DataError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import attach
from garmentlite.edge.model_input import CONTRACT, ModelInput
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparer import make_preparer
from garmentlite.edge.quantization import Quantization
from garmentlite.edge.recognition import recognize
from garmentlite.edge.segmenters.registry import make_segmenter

# A shop's own classes, and what is drawn for each.
DRAWN = {"Tasche": "Bag", "Kleid": "Dress", "Hose": "Trouser"}
LABELS = list(DRAWN)
COUNT = 10  # of each; 9 are the fewest that show the margin of 30 points
MARGIN = 0.3


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(5)
    return {
        label: [draw_scene(drawn, rng).rgb for _ in range(COUNT)] for label, drawn in DRAWN.items()
    }


@pytest.fixture
def folder(scenes, tmp_path):
    """A subfolder for each class, one of them with an empty wall and one with a broken file."""
    root = tmp_path / "photos"
    for label, pictures in scenes.items():
        (root / label).mkdir(parents=True)
        for number, rgb in enumerate(pictures):
            Image.fromarray(rgb).save(root / label / f"{number}.png")
    Image.fromarray(np.full((80, 60, 3), 190, np.uint8)).save(root / "Hose" / "wall.png")
    (root / "Kleid" / "broken.jpg").write_bytes(b"no picture")
    return root


@pytest.fixture
def segmenter():
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    return make_segmenter("border")


@pytest.fixture
def preparer(segmenter):
    """Cuts out garments for models of grey 28x28 images."""
    tile = Quantization(np.dtype(np.float32), 0.0, 0)
    return make_preparer("garment", ModelInput((28, 28), 1, tile, CONTRACT, "contract"), segmenter)


@pytest.fixture
def models(dense_model, metadata_of, scenes, segmenter, tmp_path):
    """A float32 and an int8 file that know the shop's classes, and their metadata."""
    from garmentlite.edge.pictures import Picture
    from garmentlite.edge.preparation import prepare

    means = np.stack(
        [
            np.mean([prepare(Picture(rgb), segmenter).image_u8 for rgb in pictures], axis=0).ravel()
            for pictures in scenes.values()
        ]
    )
    means = means / 255 - (means / 255).mean(axis=0)
    made = []
    for io in ("float32", "int8"):
        path = tmp_path / f"shop_{io}.tflite"
        flatbuffer = dense_model(means / 8, -(means**2).sum(axis=1) / 16, io=io)
        path.write_bytes(attach(flatbuffer, metadata_of(labels=LABELS)))
        made.append(Classifier(path))
    return made


# --- reading and preparing


def test_load_photographs_of_a_folder_takes_the_class_from_the_subfolder(folder, preparer):
    warnings, seen = [], []
    photographs = load_photographs(
        folder, LABELS, preparer, warn=warnings.append,
        on_progress=lambda done, of: seen.append((done, of)),
    )  # fmt: skip
    assert photographs.images_u8.shape == (3 * COUNT, 28, 28)
    assert photographs.images_u8.dtype == np.uint8
    assert np.bincount(photographs.y_true).tolist() == [COUNT] * 3
    for name, class_id in zip(photographs.files, photographs.y_true, strict=True):
        assert name.startswith(f"{LABELS[class_id]}/")
    facts = photographs.facts
    assert (facts.source, facts.segmenter, facts.pictures) == ("photos", "border", 3 * COUNT + 2)
    assert [(one.file, one.label) for one in facts.no_garment] == [("Hose/wall.png", "Hose")]
    assert "no garment stands out" in facts.no_garment[0].reason
    assert [one.file for one in facts.unreadable] == ["Kleid/broken.jpg"]
    assert len(warnings) == 1
    assert "broken.jpg" in warnings[0]
    assert seen[-1] == (facts.pictures, facts.pictures)


def test_load_photographs_gives_the_image_that_the_device_gives_the_network(
    folder, preparer, segmenter, models
):
    photographs = load_photographs(folder, LABELS, preparer)
    for image_u8, name in zip(photographs.images_u8, photographs.files, strict=True):
        seen = recognize(read_picture(folder / name), models[1], segmenter)
        np.testing.assert_array_equal(image_u8, seen.image_u8)


def write_table(folder, head, name="labels.csv", encoding="utf-8"):
    rows = [f"{label}/{number}.png,{label}" for label in LABELS for number in range(COUNT)]
    (folder / name).write_text("\n".join([head, *rows]), encoding=encoding)
    return folder / name


@pytest.mark.parametrize("head", ["file,label", "image,label", "path,label"])
def test_load_photographs_of_a_table_is_that_of_the_folders(folder, preparer, head):
    expected = load_photographs(folder, LABELS, preparer)
    table = write_table(folder, head, encoding="utf-8-sig")
    for source in (table, folder):  # a folder with labels.csv is read by it
        photographs = load_photographs(source, LABELS, preparer)
        assert sorted(photographs.files) == sorted(expected.files)
        assert photographs.facts.pictures == 3 * COUNT
        order, theirs = np.argsort(photographs.files), np.argsort(expected.files)
        np.testing.assert_array_equal(photographs.images_u8[order], expected.images_u8[theirs])
        np.testing.assert_array_equal(photographs.y_true[order], expected.y_true[theirs])


def test_load_photographs_of_a_missing_file_in_a_table_counts_it(folder, preparer):
    table = write_table(folder, "file,label")
    with table.open("a") as file:
        file.write("\nnone.png,Hose")
    warnings = []
    photographs = load_photographs(table, LABELS, preparer, warn=warnings.append)
    assert [one.file for one in photographs.facts.unreadable] == ["none.png"]
    assert "There is no picture" in warnings[0]


def test_load_photographs_of_folders_named_by_hand_finds_their_class(tmp_path, scenes, preparer):
    for name in ("t-shirt-top", "ANKLE_BOOT", "Bag"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(scenes["Tasche"][0]).save(tmp_path / "photos" / name / "0.png")
    photographs = load_photographs(tmp_path / "photos", FASHION_MNIST_LABELS, preparer)
    found = [FASHION_MNIST_LABELS[class_id] for class_id in photographs.y_true]
    assert sorted(found) == ["Ankle boot", "Bag", "T-shirt/top"]


# --- what cannot be used


def test_load_photographs_of_an_unknown_class_proposes_the_nearest(folder, preparer):
    (folder / "Kleid").rename(folder / "Kleidd")
    with pytest.raises(DataError, match=r"names the class 'Kleidd'.*did you mean 'Kleid'"):
        load_photographs(folder, LABELS, preparer)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"name,label\na.png,Hose\n", "has the columns name, label", id="no-file-column"),
        pytest.param(b"file\na.png\n", "expected file and label", id="no-label-column"),
        pytest.param(b"", "has the columns none", id="empty"),
        pytest.param(b"file,label\n", "names no photograph", id="no-row"),
        pytest.param(b"file,label\na.png,Hose\nb.png,Rock\n", "Line 3 of .*'Rock'", id="class"),
        pytest.param(b"file,label\n\xff\xfe,Hose\n", "cannot be read as a table", id="not-utf-8"),
    ],
)  # fmt: skip
def test_load_photographs_of_a_broken_table_is_one_sentence(tmp_path, preparer, content, message):
    table = tmp_path / "truth.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_photographs(table, LABELS, preparer)


def test_load_photographs_of_nothing_says_what_is_expected(tmp_path, preparer):
    with pytest.raises(DataError, match="There is no folder or table"):
        load_photographs(tmp_path / "none", LABELS, preparer)
    with pytest.raises(DataError, match=r"neither subfolders nor a labels\.csv"):
        load_photographs(tmp_path, LABELS, preparer)
    (tmp_path / "Hose").mkdir()
    with pytest.raises(DataError, match=r"There is no picture in .*Hose.*remove that subfolder"):
        load_photographs(tmp_path, LABELS, preparer)
    Image.fromarray(np.full((80, 60, 3), 190, np.uint8)).save(tmp_path / "Hose" / "wall.png")
    with pytest.raises(DataError, match="No garment was found in any of the 1 photographs of"):
        load_photographs(tmp_path, LABELS, preparer)


# --- in the report


def test_report_on_photographs_says_what_was_left_out_and_names_the_files(
    folder, preparer, models, dense_model, metadata_of, tmp_path
):
    photographs = load_photographs(folder, LABELS, preparer)
    images, y_true = photographs.images_u8, photographs.y_true
    report = verify(*models, images, y_true, Criteria(MARGIN), photographs=photographs)
    assert report.passed
    assert {row.verdict for row in report.classes} == {"shown"}
    for text in (" ".join(to_text(report).split()), to_html(report, images)):
        assert "made from 32 photographs" in text
        assert "No garment was found in 1 of them (Hose 1)" in text
        assert "1 could not be read" in text
    blind = tmp_path / "blind_int8.tflite"
    kernel, bias = np.zeros((3, 784)), np.array([0.0, 1.0, 0.0])
    blind.write_bytes(
        attach(dense_model(kernel + 1e-3, bias, io="int8"), metadata_of(labels=LABELS))
    )
    report = verify(
        models[0], Classifier(blind), images, y_true, Criteria(MARGIN), photographs=photographs
    )
    assert {row.label for row in report.with_verdict("lost")} == {"Tasche", "Hose"}
    for change in report.changed_images:
        assert change.file == photographs.files[change.index]
    assert re.search(r"\n(Hose|Tasche)/\d\.png ", to_text(report))
    assert "Hose/0.png" in to_html(report, images)
