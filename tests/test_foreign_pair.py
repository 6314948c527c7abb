"""Somebody's MobileNet, as a float and as int8 files, through card, classify and verify with its page.

The network has depthwise convolutions as MobileNet has, takes RGB images with numbers from -1 to 1, and ends
in a softmax. It is trained on drawn scenes for some seconds and converted by TensorFlow's own converter, as
people do who do not know garmentlite.
"""

import io
import json
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene

pytestmark = pytest.mark.slow

LABELS = ("Bag", "Dress", "Sneaker", "Trouser")
DARK = "Trouser"  # all of its photographs were taken in the dark
SIDE = 32
PER_CLASS = 64  # photographs; with up to three of them lost, a margin of 15 points is shown
MARGIN = "0.15"


def scenes(per_class, seed):
    """Drawn scenes, uint8 of shape (N, 48, 48, 3), and the numbers of their classes."""
    rng = np.random.default_rng(seed)
    y_true = np.tile(np.arange(len(LABELS)), per_class)
    rgb = np.stack([draw_scene(LABELS[number], rng, (48, 48)).rgb for number in y_true])
    is_dark = (y_true == LABELS.index(DARK))[:, np.newaxis, np.newaxis, np.newaxis]
    return np.where(is_dark, rgb // 6, rgb), y_true


def as_numbers(rgb):
    """What Keras' MobileNets take: the pixels as numbers from -1 to 1, in the size of the network."""
    small = [Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for one in rgb]
    return np.stack([np.asarray(one) for one in small]).astype(np.float32) / 127.5 - 1


def with_labels(flatbuffer, text):
    """Appends labels as TFLite Metadata does."""
    buffer = io.BytesIO(flatbuffer)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("labels.txt", text)
    return buffer.getvalue()


@dataclass(frozen=True)
class Foreign:
    """The files in a folder, and the folder of photographs."""

    folder: Path
    photos: Path

    def __getattr__(self, name):
        return self.folder / f"{name}.tflite"


@pytest.fixture(scope="session")
def foreign(tensorflow, keras, tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    rgb, y_true = scenes(200, seed=1)
    numbers = as_numbers(rgb)
    layers = keras.layers
    keras.utils.set_random_seed(0)

    def convolution(x, make, **options):
        x = make(padding="same", use_bias=False, **options)(x)
        return layers.ReLU(6)(layers.BatchNormalization(momentum=0.8)(x))

    inputs = keras.Input((SIDE, SIDE, 3))
    x = convolution(inputs, layers.Conv2D, filters=16, kernel_size=3, strides=2)
    for filters in (32, 48):
        x = convolution(x, layers.DepthwiseConv2D, kernel_size=3, strides=2)
        x = convolution(x, layers.Conv2D, filters=filters, kernel_size=1)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(len(LABELS), activation="softmax")(x))
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 25 * 25)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    model.fit(numbers, y_true, epochs=25, batch_size=32, verbose=0)

    def convert(which, calibration=None, io_type=tensorflow.int8):
        converter = tensorflow.lite.TFLiteConverter.from_keras_model(which)
        if calibration is not None:
            converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([one[np.newaxis]] for one in calibration)
            converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = io_type
        with warnings.catch_warnings():
            # They are about statistics that a full quantization does not need.
            warnings.simplefilter("ignore")
            return converter.convert()

    def scaled(factor):
        """The network behind a layer that scales its input to -1..1."""
        given = keras.Input((SIDE, SIDE, 3))
        return keras.Model(given, model(layers.Rescaling(factor, -1)(given)))

    unit = scaled(2)
    dark = numbers[y_true == LABELS.index(DARK)]
    files = {
        "float32": convert(model),
        "scaled_inside": convert(scaled(1 / 127.5)),
        "int8": convert(model, numbers[:100]),
        "uint8": convert(model, numbers[:100], tensorflow.uint8),
        "wrong_range_int8": convert(model, (numbers[:100] + 1) / 2),
        "unit_float32": convert(unit),
        "one_class_int8": convert(unit, (dark[:100] + 1) / 2),
    }
    numbered = "".join(f"{number} {label}\r\n" for number, label in enumerate(LABELS))
    for name, flatbuffer in files.items():
        (folder / f"{name}.tflite").write_bytes(with_labels(flatbuffer, numbered))
    rgb, y_true = scenes(PER_CLASS, seed=2)
    for number, (one, class_id) in enumerate(zip(rgb, y_true, strict=True)):
        path = folder / "photos" / LABELS[class_id] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(path)
    return Foreign(folder, folder / "photos")


# --- card


@pytest.mark.parametrize(
    ("name", "known_by", "ends"),
    [
        ("float32", "drawn pictures", [-1, 1]),
        ("scaled_inside", "first layers", [0, 255]),
        ("int8", "quantization", [-1, 1]),
        ("uint8", "quantization", [-1, 1]),
    ],
)
def test_card_states_the_input_and_how_its_range_is_known(run, foreign, name, known_by, ends):
    document = json.loads(run("card", getattr(foreign, name), "--json").stdout)["classifier"]
    assert document["input"]["image_size"] == [SIDE, SIDE]
    assert document["input"]["channels"] == 3
    assert (document["input"]["range"], document["input"]["range_known_by"]) == (ends, known_by)
    assert (document["outputs"], document["prepare"]) == ("probabilities", "centre-crop")
    assert document["labels"] == list(LABELS)
    assert document["labels_source"] == "labels.txt in the file"


def test_card_in_words_names_the_range_and_the_labels(run, foreign):
    text = run("card", foreign.int8).stdout
    assert "32x32 RGB, int8, pixels 0..255 become -1..1 (stated by the scale" in text
    assert "Bag, Dress, Sneaker, Trouser" in text


# --- classify


def test_classify_gives_the_answers_that_keras_gives(run, foreign):
    photos = sorted(foreign.photos.glob("*/*.png"))[::8]
    expected = None
    for name in ("float32", "scaled_inside", "int8", "uint8"):
        printed = run("classify", *photos, "--model", getattr(foreign, name), "--json").stdout
        answers = [json.loads(line) for line in printed.splitlines()]
        labels = [answer["label"] for answer in answers]
        right = [label == path.parent.name for label, path in zip(labels, photos, strict=True)]
        # Recall is about 0.95; of 32 photographs fewer than 26 are right with probability 0.004.
        assert sum(right) >= 26
        assert {answer["preparation"]["form"] for answer in answers} == {"centre-crop"}
        expected = expected or labels
        # Integers may change an answer that is in doubt.
        assert sum(one != other for one, other in zip(labels, expected, strict=True)) <= 2


def test_classify_of_a_range_found_with_drawn_pictures_says_so(run, foreign):
    photo = next(foreign.photos.glob("Bag/*.png"))
    said = run("classify", photo, "--model", foreign.float32).stderr
    assert "takes -1..1 for the pixels 0..255, which was found out with drawn pictures" in said
    options = ("--model", foreign.float32, "--input-range", "-1..1", "--prepare", "resize")
    assert run("classify", photo, *options).stderr == ""


def test_classify_with_garments_cut_out_is_refused_for_another_size(run, foreign):
    options = ("--model", foreign.int8, "--prepare", "garment")
    error = run("classify", foreign.photos, *options, expect=2).stderr
    assert "makes images of 28x28 pixels, but the model takes 32x32" in error


# --- verify


def test_verify_proves_the_int8_file_class_by_class_with_its_page(run, foreign, tmp_path):
    result = run(
        "verify", foreign.float32, foreign.int8, "--photos", foreign.photos, "--margin", MARGIN,
        "--layers", "--report", tmp_path / "parity",
    )  # fmt: skip
    assert "PASSED: Every class is recognised as before" in result.stdout
    document = json.loads((tmp_path / "parity" / "verify.json").read_text(encoding="utf-8"))
    assert {row["label"]: row["verdict"] for row in document["classes"]} == dict.fromkeys(
        LABELS, "shown"
    )
    assert min(row["recall_reference"] for row in document["classes"]) > 0.8
    facts = document["photographs"]
    assert (facts["way"], facts["segmenter"]) == ("centre-crop", None)
    assert facts["pictures"] == document["images"] == PER_CLASS * len(LABELS)
    assert any("found out with drawn pictures" in note for note in document["notes"])
    page = (tmp_path / "parity" / "verify.html").read_text(encoding="utf-8")
    assert "256 photographs (photos; preparation whole-picture 1, centre-crop)" in page


def test_verify_of_a_file_quantized_with_the_wrong_range_is_lost(run, foreign):
    result = run(
        "verify", foreign.float32, foreign.wrong_range_int8, "--photos", foreign.photos,
        "--margin", MARGIN, "--json", expect=1,
    )  # fmt: skip
    document = json.loads(result.stdout)
    assert [row["verdict"] for row in document["classes"]].count("lost") >= 2
    assert any("quantized with images of the wrong range" in note for note in document["notes"])


def test_verify_of_a_file_calibrated_on_one_class_asks_for_the_range_and_is_lost(run, foreign):
    files = (foreign.unit_float32, foreign.one_class_int8)
    options = ("--photos", foreign.photos, "--margin", MARGIN)
    error = run("verify", *files, *options, expect=2).stderr
    # The brightest pixel is 42 / 255.
    assert "one_class_int8.tflite states the range 0..0.1" in error
    assert "--input-range" in error
    result = run("verify", *files, *options, "--input-range", "0..1", "--json", expect=1)
    verdicts = {row["label"]: row["verdict"] for row in json.loads(result.stdout)["classes"]}
    assert "lost" in verdicts.values()
    assert verdicts[DARK] != "lost"


def test_verify_of_two_files_that_take_other_ranges_compares_what_each_answers(run, foreign):
    result = run(
        "verify", foreign.scaled_inside, foreign.int8, "--photos", foreign.photos,
        "--margin", MARGIN,
    )  # fmt: skip
    assert "scaled_inside.tflite takes 0..255" in " ".join(result.stdout.split())


def test_verify_without_photographs_says_that_they_are_needed(run, foreign, made_data_dir):
    options = ("--data-dir", made_data_dir)
    error = run("verify", foreign.float32, foreign.int8, *options, expect=2).stderr
    assert "takes 32x32 RGB images" in error
    assert "photographs with --photos" in error


def test_verify_with_corruptions_is_refused_for_rgb_images(run, foreign):
    options = ("--photos", foreign.photos, "--corruptions")
    error = run("verify", foreign.float32, foreign.int8, *options, expect=2).stderr
    assert "--corruptions is made for grey images" in error


def test_verify_of_stored_outputs_finds_them_equal(run, foreign, tmp_path):
    stored, options = tmp_path / "outputs.npz", ("--photos", foreign.photos)
    run("verify", foreign.int8, *options, "--save-reference", stored)
    assert "equal" in run("verify", foreign.int8, *options, "--against", stored).stdout


# --- webcam


def test_webcam_with_a_model_of_other_images_is_refused(run, foreign):
    options = ("--source", "test-pattern", "--headless", "--max-frames", "1")
    error = run("webcam", *options, "--model", foreign.int8, expect=2).stderr
    assert "takes images of 32x32 pixels, expected 28x28" in error


def test_classifier_of_the_pair_is_sure_of_scenes_and_not_of_noise(foreign):
    """The probabilities are those of the file: its softmax is not taken twice."""
    classifier = Classifier(foreign.float32, input_range="-1..1")
    rgb, _ = scenes(8, seed=3)
    images_u8 = np.rint((as_numbers(rgb) + 1) * 127.5).astype(np.uint8)
    assert classifier.outputs_probabilities
    assert classifier.probabilities(images_u8).max(axis=1).mean() > 0.8
