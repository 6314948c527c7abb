"""The images of a conversion form three parts without common images, for any size and classes."""

from dataclasses import replace

import numpy as np
import pytest

from garmentlite.convert import material
from garmentlite.convert.material import from_run
from garmentlite.edge.errors import DataError, OptionError, PictureError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.data import validation_split
from garmentlite.train.photo_set import make_set
from garmentlite.train.stored_photos import write_photos

LABELS = ("T-shirt/top", "Dress")


@pytest.fixture
def write(tmp_path):
    """Writes random grey pictures, given the number of them for each folder; returns the folder."""
    image = pytest.importorskip("PIL.Image")

    def make(counts, shape=(30, 32), seed=0):
        rng = np.random.default_rng(seed)
        for name, count in counts.items():
            (tmp_path / "pictures" / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(0, 256, shape, np.uint8)
                path = tmp_path / "pictures" / name / f"{seed}-{number}.png"
                image.fromarray(pixels).save(path)
        return tmp_path / "pictures"

    return make


def parts_of(found):
    return found.training, found.validation, found.test


def test_from_fashion_mnist_calibrates_chooses_and_measures_on_different_images(made_data):
    found = material.from_fashion_mnist(made_data)
    train_at, validate_at = validation_split(made_data.y_train)
    np.testing.assert_array_equal(found.training.indices, train_at)
    np.testing.assert_array_equal(found.validation.indices, validate_at)
    np.testing.assert_array_equal(found.test.images_u8, made_data.x_test)
    assert (found.labels, found.image_size) == (FASHION_MNIST_LABELS, (28, 28))
    assert found.is_labelled


def test_from_folder_of_a_folder_per_class_splits_each_into_half_a_quarter_and_a_quarter(write):
    found = material.from_folder(write({"t-shirt top": 12, "Dress": 8}), LABELS)
    counts = [np.bincount(part.y).tolist() for part in parts_of(found)]
    assert counts == [[6, 4], [3, 2], [3, 2]]
    assert found.is_labelled
    assert found.image_size == (30, 32)
    assert found.labels == LABELS
    places = np.concatenate([part.indices for part in parts_of(found)])
    assert sorted(places) == list(range(20))


def test_from_folder_keeps_each_picture_with_its_class_and_place(write):
    pil_image = pytest.importorskip("PIL.Image")
    folder = write({"t-shirt-top": 5, "dress": 5})
    files = sorted(folder.rglob("*.png"))
    for part in parts_of(material.from_folder(folder, LABELS)):
        for image, class_id, place in zip(part.images_u8, part.y, part.indices, strict=True):
            np.testing.assert_array_equal(image, np.asarray(pil_image.open(files[place])))
            assert files[place].parent.name == ("t-shirt-top", "dress")[class_id]


def test_from_folder_twice_gives_the_same_parts(write):
    folder = write({"dress": 9, "t-shirt-top": 9})
    first, again = (material.from_folder(folder, LABELS) for _ in range(2))
    for one, other in zip(parts_of(first), parts_of(again), strict=True):
        np.testing.assert_array_equal(one.indices, other.indices)


def test_from_folder_of_pictures_alone_is_not_labelled(write):
    found = material.from_folder(write({".": 8}), LABELS)
    assert not found.is_labelled
    assert [len(part.y) for part in parts_of(found)] == [4, 2, 2]


def test_answered_gives_every_image_the_class_of_the_network(write):
    found = material.from_folder(write({".": 8}), LABELS)

    def predict(images_u8):
        bright = images_u8.mean(axis=(1, 2)) > 127
        return np.stack([~bright, bright], axis=1).astype(float)

    for part in parts_of(found.answered(predict)):
        np.testing.assert_array_equal(part.y, part.images_u8.mean(axis=(1, 2)) > 127)


def test_from_folder_takes_a_picture_that_is_there_twice_once(write):
    write({"dress": 8, "t-shirt-top": 8})
    folder = write({"dress": 8}, seed=0)
    for path in sorted((folder / "dress").iterdir()):
        (folder / "dress" / f"copy-{path.name}").write_bytes(path.read_bytes())
    found = material.from_folder(folder, LABELS)
    images = np.concatenate([part.images_u8 for part in parts_of(found)])
    assert len({image.tobytes() for image in images}) == len(images) == 16


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        pytest.param({"dress": 8, "t-shirt-top": 3}, "holds 3 different pictures of 'T-shirt/top'", id="few"),
        pytest.param({".": 3}, "holds 3 different pictures, at least 4", id="few-unlabelled"),
        pytest.param({"dress": 8, "Coat": 8}, "not in the folder of a class.*--labels", id="unknown"),
        pytest.param({"dress": 8, ".": 1}, "is not in the folder of a class", id="mixed"),
    ],
)  # fmt: skip
def test_from_folder_that_cannot_serve_says_why(write, counts, message):
    with pytest.raises(DataError, match=message):
        material.from_folder(write(counts), LABELS)


def test_from_folder_of_pictures_of_two_sizes_names_one(write):
    write({".": 4})
    folder = write({".": 1}, shape=(40, 40), seed=9)
    with pytest.raises(DataError, match=r"9-0\.png has 40 x 40 pixels, .* 30 x 32.*--save-inputs"):
        material.from_folder(folder, LABELS)


@pytest.mark.parametrize("channels", [3, 4])
def test_from_folder_of_colour_says_what_the_network_sees(write, channels):
    with pytest.raises(DataError, match=r"is not grey.*--save-inputs"):
        material.from_folder(write({".": 4}, shape=(30, 32, channels)), LABELS)


def test_from_folder_without_pictures_is_said(tmp_path):
    with pytest.raises(PictureError, match="no picture in"):
        material.from_folder(tmp_path, LABELS)


@pytest.mark.parametrize("name", ["unknown", "No Garment"])
def test_from_folder_of_a_class_called_like_no_class_is_refused(write, name):
    with pytest.raises(OptionError, match=rf"A class cannot be called '{name}'.*--labels"):
        material.from_folder(write({"dress": 8, "shirt": 8}), ("dress", name))
    with pytest.raises(DataError, match=rf"is in the folder '{name}', but no class"):
        material.from_folder(write({"dress": 8, name: 8}), ("dress", "shirt"))


def test_material_of_a_run_calibrates_on_other_photographs_than_it_measures_on(
    photographs, photograph_tiles, tmp_path
):
    tiles = photograph_tiles
    labelling = replace(
        photographs.labelling,
        classes=("Dress", "footwear"),
        members=np.eye(2, dtype=bool),
        own=True,
    )
    held = replace(photographs, labelling=labelling, is_held_out=np.arange(26) >= 18)
    write_photos(tmp_path, held, tiles, variants=True)
    made = from_run(tmp_path, labelling.classes)
    photos = make_set(held, tiles, 0)
    # The last tile of each is that of the second mask, which calibrates nothing.
    variants = photos.tiles_u8[:, :-1].reshape(-1, 28, 28)
    np.testing.assert_array_equal(made.training.images_u8, variants)
    np.testing.assert_array_equal(made.training.y, np.repeat(photos.y, 3))
    for part in (made.validation, made.test):
        np.testing.assert_array_equal(part.images_u8, photos.validation_u8)
        np.testing.assert_array_equal(part.y, photos.y_validation)
    flat = tiles.tiles_u8.reshape(-1, 28, 28)
    for part in (made.training, made.test):
        np.testing.assert_array_equal(flat[part.indices], part.images_u8)
