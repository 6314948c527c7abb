"""The page about a run has every part, with correct figures and sentences that fit the results."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.convert.report import run_report
from garmentlite.convert.run_results import collect, read_run
from garmentlite.convert.verify.criteria import Criteria
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import DataError, ModelError, PictureError
from garmentlite.edge.labels import FASHION_MNIST_LABELS as LABELS
from garmentlite.edge.metadata import attach
from garmentlite.edge.segmenters.registry import make_segmenter

MARGIN = 0.3  # the made test set has 20 images a class: enough to show 30 points
VOID = {"meta", "img", "br", "rect", "line", "circle", "polyline"}


class _Page(HTMLParser):
    """Text, headings, ids, links and pictures of a page; fails where tags do not close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open_tags, self.ids, self.links, self.images, self.words = [], set(), [], [], []
        self.headings = []
        self.feed(text)
        self.close()
        assert not self.open_tags
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        self.links += [attrs["href"]] if "href" in attrs else []
        self.images += [attrs["src"]] if "src" in attrs else []
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if self.open_tags and self.open_tags[-1] == "h2":
            self.headings.append(data)
        if "style" not in self.open_tags:
            self.words.append(data)


def _candidate(way, changed, shirt):
    none = dict.fromkeys(LABELS, 0)
    return {
        "way": way, "validation_images": 6000, "changed": changed, "agreement": 1 - changed / 6000,
        "accuracy_change": -0.0007, "lost": none | {"Shirt": shirt}, "gained": none,
    }  # fmt: skip


@pytest.fixture(scope="module")
def files(made_data, dense_model, metadata_of):
    """The bytes of a float32 and an int8 file that know the made patterns, and of one that lost Shirt."""
    x = made_data.x_train.reshape(-1, 784) / 255
    means = np.stack([x[made_data.y_train == number].mean(axis=0) for number in range(10)])
    means -= x.mean(axis=0)
    kernel, bias = means / 4, -((means**2).sum(axis=1) / 8 + means @ x.mean(axis=0) / 4)
    damaged = bias.copy()
    damaged[LABELS.index("Shirt")] -= 9
    card = metadata_of(labels=list(LABELS))
    return {
        "float32": attach(dense_model(kernel, bias, io="float32"), card),
        "int8": attach(dense_model(kernel, bias, io="int8", output_scale=0.15), card),
        "damaged": attach(dense_model(kernel, damaged, io="int8", output_scale=0.15), card),
    }


@pytest.fixture
def run(tmp_path, files):
    """Folder of a finished, converted run."""
    folder = tmp_path / "runs" / "demo"
    folder.mkdir(parents=True)
    weights = dict.fromkeys(LABELS, 1.0) | {"Shirt": 2.0}
    config = {
        "network": "weighted-cnn", "class_weights": weights, "device": "an abacus with 2 rows",
        "images": {"training": 54000, "validation": 6000},
    }  # fmt: skip
    epoch = {"seconds": 90.0, "loss": 0.7, "accuracy": 0.75, "val_accuracy": 0.8}
    history = [
        epoch | {"epoch": number, "val_loss": loss, "best": best}
        for number, loss, best in ((1, 0.5, True), (2, 0.4, True), (3, 0.45, False))
    ]
    ways = [_candidate("post-training", 62, 9), _candidate("output range cut, ties evened", 17, 3)]
    card = {"quantization": {"way": "output range cut, ties evened", "candidates": ways}}
    documents = {
        "config": config, "history": history, "metrics": {"ended": "all epochs done"}, "weighted-cnn": card,
    }  # fmt: skip
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    for kind in ("float32", "int8"):
        (folder / f"weighted-cnn_{kind}.tflite").write_bytes(files[kind])
    return folder


@pytest.fixture
def drawn(tmp_path):
    """A folder of drawn pictures with their labels.csv."""
    folder = tmp_path / "drawn"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["image,label"]
    for number, label in enumerate(("Bag", "Dress", "Trouser")):
        Image.fromarray(draw_scene(label, rng).rgb).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{label}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def build(run, made_data):
    """The text of the page, and the warnings on the way."""

    def make(pictures=None, *, margin=MARGIN, folder=run, data=made_data):
        warnings = []
        results = collect(
            folder, data, pictures, make_segmenter("border"), criteria=Criteria(margin),
            on_progress=lambda *_: None, warn=warnings.append,
        )  # fmt: skip
        page = run_report.to_html(results)
        return page, warnings

    return make


@pytest.fixture
def page(build):
    """The page read, of a run without warnings."""

    def make(*arguments, **options) -> _Page:
        text, warnings = build(*arguments, **options)
        assert not warnings
        return _Page(text)

    return make


def _alter(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- the page as a whole


def test_build_of_a_converted_run_tells_its_parts_in_order(page):
    made = page()
    told = [heading for heading in made.headings if heading in run_report.HEADINGS]
    assert told == list(run_report.HEADINGS)
    assert made.links == [link for link in made.links if link.removeprefix("#") in made.ids]
    assert len(made.links) == len(told)


def test_build_of_a_converted_run_is_self_contained(build, drawn):
    text, _ = build(drawn)
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert all(source.startswith("data:image/") for source in _Page(text).images)


def test_build_of_a_converted_run_states_the_facts(page, run):
    text = page().text
    size = (run / "weighted-cnn_int8.tflite").stat().st_size
    for fact in (
        "Shirt counts 2 times",
        "54,000 images, 3 epochs in 4 min",
        "the weights of epoch 2 were kept",
        "an abacus with 2 rows",
        f"{size:,} bytes",
        "passed Every class is recognised as before",
        "output range cut, ties evened chosen",
        "Shirt (3/0)",
    ):
        assert fact in text


def test_build_of_more_images_than_one_thread_takes_shows_the_answer_to_each(page, run, made_data):
    # 'cli verify' deals 250 at a time to the cores.
    many = replace(
        made_data, x_test=np.tile(made_data.x_test, (5, 1, 1)), y_test=np.tile(made_data.y_test, 5)
    )
    text = page(data=many).text
    chosen = np.random.default_rng(run_report.SAMPLE_SEED).choice(
        1000, run_report.SAMPLES, replace=False
    )
    answers = Classifier(run / "weighted-cnn_int8.tflite").logits(many.x_test).argmax(axis=1)
    right = int((answers == many.y_test)[chosen].sum())
    assert f"{run_report.SAMPLES} test images drawn at random" in text
    assert f"its confidence. {right} of the answers are right." in text


def test_build_of_a_run_asks_each_model_once_for_each_test_image(page, monkeypatch, made_data):
    asked = {}
    original = Classifier.raw_outputs

    def counting(self, images_u8):
        asked[self.path.name] = asked.get(self.path.name, 0) + len(images_u8)
        return original(self, images_u8)

    monkeypatch.setattr(Classifier, "raw_outputs", counting)
    page()
    assert set(asked.values()) == {len(made_data.x_test)}


def test_build_of_one_epoch_shows_it_as_a_dot(build, run):
    history = json.loads((run / "history.json").read_text())
    (run / "history.json").write_text(json.dumps(history[:1]))
    text, _ = build()
    assert "1 epoch in 2 min" in text
    assert len(re.findall(r'<circle [^>]*r="4" fill', text)) == 4  # two lines in two charts


# --- the verdict


def test_verdict_of_a_sound_int8_file_says_that_it_may_replace_float(page):
    text = page().text
    assert "The int8 file may replace the float one." in text
    assert "A longer training" not in text


def test_verdict_of_a_damaged_class_says_so_and_that_longer_training_helps(page, run, files):
    (run / "weighted-cnn_int8.tflite").write_bytes(files["damaged"])
    text = page().text
    assert "not passed Shirt is recognised less often than before." in text
    assert "this int8 file should not replace the float one. After a short training" in text


def test_verdict_of_a_finished_training_does_not_promise_that_longer_helps(page, run, files):
    (run / "weighted-cnn_int8.tflite").write_bytes(files["damaged"])
    _alter(run / "metrics.json", ended="no better for 5 epochs")
    assert "A longer training" not in page().text


# --- samples and mistakes


def test_mistakes_are_wrong_answers_with_the_surest_first(page, run, files):
    (run / "weighted-cnn_int8.tflite").write_bytes(files["damaged"])
    text = page().text
    mistakes = text[text.index("These are the wrong answers") :]
    mistakes = mistakes[: mistakes.index("No pictures were given")]
    shown = re.findall(r"(right|wrong) (\d+)% answer: (\S+)", mistakes)
    sure = [int(percent) for _, percent, _ in shown]
    assert 0 < len(shown) <= run_report.MISTAKES
    assert {mark for mark, _, _ in shown} == {"wrong"}
    assert sure == sorted(sure, reverse=True)
    assert "The most frequent mistake: Shirt taken for" in mistakes


def test_samples_of_two_builds_are_the_same(build):
    assert build() == build()


# --- pictures


def test_drawn_pictures_are_said_to_be_made_and_counted(page, drawn):
    text = page(drawn).text
    assert "holds 3 pictures MADE by the project, not photographs" in text
    assert re.search(r"our preparation \d of 3 \d+%", text)
    assert re.search(r"naive resize \d of 3 \d+%", text)


def test_photographs_without_labels_are_not_judged(page, drawn):
    (drawn / "labels.csv").unlink()
    text = page(drawn).text
    pictures = text[text.index("holds 3 photographs") :]
    assert re.search(r"The naive resize leads to the answer '.+' for \d of them", pictures)
    assert not re.search(r"MADE|right|wrong", pictures)


def test_picture_that_cannot_be_read_is_a_warning_and_the_others_are_shown(build, drawn):
    (drawn / "broken.jpg").write_text("no picture")
    text, warnings = build(drawn)
    assert len(warnings) == 1
    assert "broken.jpg" in warnings[0]
    assert "holds 3 pictures" in _Page(text).text
    assert "broken.jpg" not in text


def test_pictures_none_of_which_can_be_read_leave_a_sentence(build, tmp_path):
    (tmp_path / "broken.jpg").write_text("no picture")
    text, warnings = build(tmp_path / "broken.jpg")
    assert len(warnings) == 1
    assert "broken.jpg could be read." in text


def test_picture_without_a_garment_says_why(page, tmp_path):
    path = tmp_path / "<wall>.png"
    Image.new("RGB", (60, 90), (90, 90, 90)).save(path)
    made = page(path)
    assert "no garment no garment stands out from the background" in made.text
    assert "<wall>.png" in made.text  # as text: it did not open a tag


def test_large_photograph_is_embedded_small(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.jpg")
    (jpeg,) = [source for source in page(tmp_path / "large.jpg").images if "image/jpeg" in source]
    thumbnail = Image.open(io.BytesIO(base64.b64decode(jpeg.partition(",")[2])))
    assert max(thumbnail.size) == 200


def test_more_pictures_than_are_shown_are_all_counted(page, drawn, monkeypatch):
    monkeypatch.setattr(run_report, "MOST_PICTURES", 2)
    made = page(drawn)
    assert "2 of them are shown, spread evenly over the folder." in made.text
    assert "of 3" in made.text
    assert "0.png" in made.text
    assert "1.png" not in made.text


def test_labels_without_their_columns_are_refused_with_the_next_step(build, drawn):
    (drawn / "labels.csv").write_text("file,class\n0.png,Bag\n")
    with pytest.raises(DataError, match=r"columns image and label.*cli draw"):
        build(drawn)


def test_folder_without_pictures_is_refused(build, tmp_path):
    with pytest.raises(PictureError, match="no picture"):
        build(tmp_path / "runs")


# --- what to try next


def test_next_commands_of_a_short_run_name_its_files_and_the_full_training(page, run):
    text = page().text
    assert f"cli classify your-photo.jpg --model {run / 'weighted-cnn_int8.tflite'}" in text
    assert f"cli webcam --source test-pattern --model {run / 'weighted-cnn_int8.tflite'}" in text
    assert f"cli train --network weighted-cnn -o {run.parent / 'weighted-cnn'}" in text


def test_next_command_of_a_finished_run_is_the_baseline(page, run):
    _alter(run / "metrics.json", ended="no better for 5 epochs")
    folder = run.parent / "weighted-cnn-unweighted"
    assert f"--class-weight none -o {folder}" in page().text


def test_next_commands_never_train_into_the_same_folder(page, run):
    folder = run.rename(run.parent / "weighted-cnn")
    assert f"-o {folder}-2" in page(folder=folder).text


def test_next_commands_quote_a_folder_with_spaces(page, run):
    folder = run.rename(run.parent / "my run")
    assert f"--model '{folder / 'weighted-cnn_int8.tflite'}'" in page(folder=folder).text


# --- folders that are not ready


def test_build_of_files_with_another_name_finds_them(page, run):
    for path in run.glob("weighted-cnn*"):
        path.rename(path.with_name(path.name.replace("weighted-cnn", "mine")))
    assert "mine_int8.tflite" in page().text


def test_build_of_an_unconverted_run_names_the_command(build, run):
    (run / "weighted-cnn_int8.tflite").unlink()
    with pytest.raises(
        ModelError, match=rf"weighted-cnn_int8.tflite.*cli convert {run} --int8 --force"
    ):
        build()


@pytest.mark.parametrize("name", ["config.json", "history.json", "metrics.json"])
def test_build_of_an_unfinished_run_names_the_command(build, run, name):
    (run / name).unlink()
    with pytest.raises(DataError, match=rf"{name}.*cli train"):
        build()


def test_read_run_on_other_classes_is_refused_with_the_command_that_measures_it():
    folder = Path(__file__).parent / "upgrade_0_1_0" / "photo_run"
    with pytest.raises(
        DataError, match=r"other classes \(blouse, hoodie.*cli verify FLOAT32 INT8 --photos"
    ):
        read_run(folder)
