"""Tests of the recognizer with paths, arrays and Pillow images, and of what it refuses."""

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_garment, draw_scene
from garmentlite.edge.errors import ModelError, OptionError, PictureError
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import Picture
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.shipped import default_model


@pytest.fixture(scope="module")
def recognizer(shipped_int8):
    return Recognizer(shipped_int8)


@pytest.fixture(scope="module")
def rgb():
    return draw_scene("Trouser", np.random.default_rng(4)).rgb


def assert_same(one, other):
    assert (one.label, one.confidence, one.scores) == (other.label, other.confidence, other.scores)
    np.testing.assert_array_equal(one.image_u8, other.image_u8)
    np.testing.assert_array_equal(one.mask, other.mask)


def test_recognize_gives_the_same_answer_to_a_path_an_array_and_an_image(recognizer, rgb, tmp_path):
    path = tmp_path / "trouser.png"
    Image.fromarray(rgb).save(path)
    of_path = recognizer.recognize(path)
    assert of_path.label == "Trouser"
    assert of_path.confidence == of_path.scores[0].probability
    assert len(of_path.scores) == 10
    assert of_path.mask.shape == rgb.shape[:2]
    x, y, width, height = of_path.box
    assert of_path.mask[y : y + height, x : x + width].sum() == of_path.mask.sum()
    assert list(of_path.latency_ms) == ["segment", "prepare", "infer", "read"]
    assert_same(recognizer.recognize(str(path)), of_path)
    assert_same(recognizer.recognize(Image.fromarray(rgb)), of_path)
    of_frame = recognizer.recognize(np.ascontiguousarray(rgb[..., ::-1]))
    assert_same(of_frame, of_path)
    assert list(of_frame.latency_ms) == ["segment", "prepare", "infer"]
    assert_same(recognizer.recognize(Picture(rgb)), of_path)


def test_recognize_large_picture_refers_to_its_size_and_not_to_the_reduced_one(
    recognizer, tmp_path
):
    rgb = draw_scene("Trouser", np.random.default_rng(4), (640, 480)).rgb
    path = tmp_path / "trouser.png"
    Image.fromarray(rgb).save(path)
    of_path = recognizer.recognize(path)
    assert of_path.label == "Trouser"
    assert of_path.mask.shape == (480, 640)
    x, y, width, height = of_path.box
    inside = of_path.mask[y : y + height, x : x + width]
    assert inside.sum() == of_path.mask.sum()
    assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    assert_same(recognizer.recognize(np.ascontiguousarray(rgb[..., ::-1])), of_path)
    assert_same(recognizer.recognize(Image.fromarray(rgb)), of_path)


@pytest.mark.parametrize("size_wh", [(1600, 1200), (1000, 750), (1281, 721)], ids=str)
def test_recognize_large_file_gives_mask_and_box_of_at_most_640_pixels(
    recognizer, tmp_path, size_wh
):
    rgb = draw_scene("Trouser", np.random.default_rng(4), (640, 480)).rgb
    path = tmp_path / "trouser.jpg"
    Image.fromarray(rgb).resize(size_wh).save(path)
    recognition = recognizer.recognize(path)
    assert recognition.label == "Trouser"
    scale = 640 / size_wh[0]
    assert recognition.mask.shape == (round(size_wh[1] * scale), 640)
    rows, columns = np.nonzero(recognition.mask)
    x, y, width, height = recognition.box
    edges = (x, y, x + width - 1, y + height - 1)
    # Mask and box are enlarged each by itself, and may differ by the rounding of a pixel.
    np.testing.assert_allclose(
        edges, (columns.min(), rows.min(), columns.max(), rows.max()), atol=1
    )


def test_recognize_of_an_image_uses_its_transparency_and_orientation(recognizer, tmp_path):
    shirt, alpha = draw_garment("Pullover", np.random.default_rng(3), 120)
    recognition = recognizer.recognize(Image.fromarray(np.dstack([shirt, alpha])))
    assert recognition.form == "transparent"
    upright = draw_scene("Bag", np.random.default_rng(1), (200, 100)).rgb
    turned = Image.fromarray(np.rot90(upright).copy())
    turned.getexif()[0x0112] = 6  # the viewer turns it by a quarter, clockwise
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    with Image.open(tmp_path / "turned.png") as opened:
        assert recognizer.recognize(opened).mask.shape == (100, 200)
        assert opened.size == (100, 200)  # it is not changed


def test_recognize_of_a_grey_image_is_possible(recognizer, rgb):
    grey = Image.fromarray(rgb).convert("L")
    assert recognizer.recognize(grey).mask.shape == rgb.shape[:2]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        pytest.param(np.zeros((48, 64), np.uint8), "COLOR_GRAY2BGR", id="grey"),
        pytest.param(np.zeros((48, 64, 4), np.uint8), "COLOR_BGRA2BGR", id="BGRA"),
        pytest.param(np.zeros((48, 64, 3)), "astype", id="float"),
        pytest.param(np.zeros((2, 48, 64, 3), np.uint8), r"got uint8 of shape \(2, 48", id="batch"),
        pytest.param(np.zeros((0, 0, 3), np.uint8), "too small", id="empty"),
    ],
)
def test_recognize_of_another_array_says_how_to_convert_it(recognizer, frame, message):
    with pytest.raises(PictureError, match=message):
        recognizer.recognize(frame)


def test_recognize_of_what_is_no_picture_is_refused(recognizer, tmp_path):
    with pytest.raises(PictureError, match="There is no picture"):
        recognizer.recognize(tmp_path / "gone.jpg")
    with pytest.raises(PictureError, match="too small"):
        recognizer.recognize(Image.new("RGB", (20, 300)))
    with pytest.raises(TypeError, match="got list"):
        recognizer.recognize([[0, 0], [0, 0]])


def test_recognize_of_a_damaged_image_is_one_sentence(recognizer, rgb, tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(rgb).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as opened, pytest.raises(PictureError, match=r"cut\.jpg is damaged"):
        recognizer.recognize(opened)


def test_recognizer_without_arguments_takes_the_shipped_model_in_one_thread():
    cv2 = load_opencv()
    cv2.setNumThreads(2)
    recognizer = Recognizer()
    assert cv2.getNumThreads() == 1
    assert recognizer.classifier.path == default_model()
    assert recognizer.segmenter.name == "network"


def test_recognizer_of_objects_uses_them(shipped_int8):
    class Everything:
        name, version = "everything", 1

        def segment(self, rgb):
            return np.ones(rgb.shape[:2], bool)

    classifier, segmenter = Classifier(shipped_int8), Everything()
    recognizer = Recognizer(classifier, segmenter)
    assert recognizer.classifier is classifier
    reason = recognizer.recognize(np.zeros((48, 64, 3), np.uint8)).reason
    assert reason == "what stands out covers nearly the whole picture"


def test_recognizer_of_wrong_names_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match="Cannot read the model"):
        Recognizer(tmp_path / "gone.tflite")
    with pytest.raises(OptionError, match="did you mean 'grabcut'"):
        Recognizer(segmenter="grabcutt")
