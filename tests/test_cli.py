"""Tests of the command line: exit status, one sentence for each error, valid JSON, and no lost results."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from garmentlite import cli
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import attach
from garmentlite.edge.npz import read_npz, write_npz
from garmentlite.edge.segmenters.registry import make_segmenter
from garmentlite.edge.shipped import default_model
from garmentlite.edge.version import __version__

COMMANDS = (
    "data", "train", "rebalance", "compare", "convert", "verify", "plan", "classify", "webcam", "card",
    "draw", "report",
)  # fmt: skip


def error_of(result) -> str:
    """The one sentence of an error; nothing else but progress may be on standard error."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
    assert "Error" not in result.stdout
    return errors[0]


@pytest.fixture
def pictures(tmp_path):
    """A folder with a garment in Fashion-MNIST's own form, a drawn photograph, and a text as .jpg."""
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("cv2")
    from garmentlite.edge.drawing import draw_scene

    folder = tmp_path / "pictures"
    folder.mkdir()
    tile = np.zeros((28, 28), np.uint8)
    tile[2:26, 9:19] = 160
    image.fromarray(tile).save(folder / "tile.png")
    scene = draw_scene("Shirt", np.random.default_rng(0))
    image.fromarray(scene.rgb).save(folder / "drawn.jpg")
    (folder / "text.jpg").write_text("not a picture")
    return folder


# --- the whole


def test_help_lists_every_command(run):
    stdout = run("--help").stdout
    assert all(f"  {name} " in stdout for name in COMMANDS)
    assert "exit status is 0" in stdout
    assert "..." not in stdout.split("Commands:")[1]  # no sentence is cut off


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_its_options(run, command):
    from typer.main import get_command

    shown = run(command, "--help").stdout
    parameters = get_command(cli.app).commands[command].params
    names = [name for one in parameters for name in one.opts if name.startswith("--")]
    assert "--help" not in names  # it would be found everywhere
    missing = [name for name in names if not re.search(rf"{re.escape(name)}\b", shown)]
    assert missing == []


def test_help_of_train_shows_its_options_in_groups(run):
    stdout = run("train", "--help").stdout
    titles = [line for line in stdout.splitlines() if line.endswith(":") and line[0].isalpha()]
    assert titles == ["Data:", "Network:", "Schedule:", "Photographs:", "Hardware:", "Options:"]
    last = stdout.partition("Options:\n")[2]
    assert " ".join(last.split()) == "--help Show this message and exit."  # all others are grouped
    photographs = stdout.partition("Photographs:")[2].partition("Hardware:")[0]
    assert "--split-by" in photographs
    assert "--epochs" not in photographs


def test_version_is_the_packages(run):
    assert run("--version").stdout == f"garmentlite {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["classifi"], ["train", "--epochs", "0"], ["classify"], ["draw", "x", "--count", "many"]],
)
def test_wrong_usage_exits_2(run, arguments):
    assert run(*arguments, expect=2).stdout == ""


def test_error_is_one_sentence_and_debug_shows_its_traceback(run):
    plain = run("card", "none.tflite", expect=2)
    assert error_of(plain) == (
        "Error: Cannot read the model none.tflite: No such file or directory; name a .tflite file."
    )
    debugged = run("--debug", "card", "none.tflite", expect=2)
    assert "Traceback" in debugged.stderr
    assert "ModelError" in debugged.stderr


def test_error_of_the_program_keeps_its_traceback(run, monkeypatch):
    monkeypatch.setattr(cli, "_open_model", lambda *_: 1 / 0)
    result = CliRunner().invoke(cli.app, ["classify", "photo.jpg"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_webcam_box_outside_the_frame_is_refused(run):
    error = run("webcam", "--source", "test-pattern", "--box", "0.5,0.5,0.6,0.6", expect=2).stderr
    assert error.startswith("Error: --box 0.5,0.5,0.6,0.6 does not lie within the frame")


def test_webcam_takes_its_source_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("GARMENTLITE_SOURCE", "http:/nothing")
    assert "There is no source 'http:/nothing'" in run("webcam", "--headless", expect=2).stderr


def test_webcam_list_prints_the_cameras_and_opens_none(run, monkeypatch):
    monkeypatch.setattr("garmentlite.edge.sources.camera_list.camera_list", lambda: "two cameras")
    assert run("webcam", "--list").stdout == "two cameras\n"


@pytest.mark.parametrize("options", [("--rotate", "45"), ("--resolution", "10x10"), ("--fps", "0")])
def test_webcam_setting_that_is_not_possible_is_refused(run, options):
    assert options[0] in run("webcam", "--source", "test-pattern", *options, expect=2).stderr


def test_ctrl_c_anywhere_exits_2_and_not_as_a_failed_check(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("garmentlite.convert.verify.check.run", interrupted)
    assert run("verify", "a.tflite", "b.tflite", expect=2).stderr == "Interrupted.\n"


def test_program_in_a_process_gives_its_exit_status(run_python):
    failed = run_python("cli.py", "card", "none.tflite")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("Error: Cannot read the model none.tflite")
    assert failed.stderr.count("\n") == 1
    assert run_python("cli.py", "--version").returncode == 0
    assert run_python("cli.py").returncode == 2


def test_program_whose_reader_leaves_ends_quietly(shipped_int8):
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "cli.py", "card", str(shipped_int8)],
        cwd=Path(cli.__file__).parent, stdout=writer, stderr=subprocess.PIPE, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert "Traceback" not in result.stderr
    assert result.returncode == 0


# --- data


def test_data_prints_counts_and_json(run, made_data_dir):
    assert "1,000" not in run("data", "--data-dir", made_data_dir).stdout
    table = run("data", "--data-dir", made_data_dir).stdout
    assert "Shirt" in table
    assert "0 test images also in training" in table
    document = json.loads(run("data", "--data-dir", made_data_dir, "--json").stdout)
    assert document["counts"]["Shirt"] == [100, 20]
    assert set(document) == {
        "folder", "md5", "counts", "duplicates_train", "duplicates_test", "overlap",
    }  # fmt: skip


def test_data_of_a_folder_without_it_is_one_sentence(run, tmp_path):
    assert "lacks train-images-idx3-ubyte" in error_of(
        run("data", "--data-dir", tmp_path, expect=2)
    )


def test_data_of_a_wrong_file_names_it(run, made_data_dir):
    path = made_data_dir / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    error = error_of(run("data", "--data-dir", made_data_dir, expect=2))
    assert "t10k-labels-idx1-ubyte is not Fashion-MNIST's" in error


# --- classify


def test_classify_of_a_folder_does_the_others_and_exits_2(run, pictures, shipped_int8):
    result = run("classify", pictures, "--model", shipped_int8, expect=2)
    assert "text.jpg is not a picture that can be read" in error_of(result)
    lines = result.stdout.splitlines()
    assert [Path(line.split(":")[0]).name for line in lines] == ["drawn.jpg", "tile.png"]
    assert "3 pictures: 2 have a garment, in 0 no garment was found, 1 could not" in result.stderr


def test_classify_json_has_the_documented_fields(run, pictures, shipped_int8):
    (pictures / "text.jpg").unlink()
    out = run("classify", pictures, "--json", "--top-k", 2, "--model", shipped_int8).stdout
    documents = [json.loads(line) for line in out.splitlines()]
    assert len(documents) == 2
    for document in documents:
        assert set(document) == {
            "path", "label", "confidence", "top_k", "latency_ms", "preparation",
        }  # fmt: skip
        assert document["label"] in {*FASHION_MNIST_LABELS, "unknown", "no garment"}
        assert 0 <= document["confidence"] <= 1
        assert all(set(row) == {"label", "probability"} for row in document["top_k"])
        assert {"read", "segment", "prepare"} <= set(document["latency_ms"])
    forms = {Path(one["path"]).name: one["preparation"]["form"] for one in documents}
    assert forms == {"drawn.jpg": "photo", "tile.png": "fashion-mnist"}
    assert len(documents[1]["top_k"]) == 2


def test_classify_computes_in_one_thread_and_needs_opencv_for_photographs_alone(
    run, pictures, shipped_int8, monkeypatch
):
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(2)
    run("classify", pictures / "drawn.jpg", "--model", shipped_int8)
    assert cv2.getNumThreads() == 1
    monkeypatch.setitem(sys.modules, "cv2", None)
    run("classify", pictures / "tile.png", "--model", shipped_int8)
    result = run("classify", pictures / "drawn.jpg", "--model", shipped_int8, expect=2)
    assert "OpenCV cannot be loaded" in error_of(result)


def test_classify_of_a_missing_picture_does_the_others(run, pictures, shipped_int8):
    result = run(
        "classify", "gone.jpg", pictures / "tile.png", "nothing/*.png", "--model", shipped_int8,
        expect=2,
    )  # fmt: skip
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.count("Error: ") == 2


def test_classify_of_a_picture_named_twice_does_it_once(run, pictures, shipped_int8):
    tile = pictures / "tile.png"
    assert len(run("classify", tile, tile, "--model", shipped_int8).stdout.splitlines()) == 1


def test_classify_with_a_label_for_two_classes_says_so(run, pictures, shipped_int8, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("Top\nTop\n" + "\n".join(FASHION_MNIST_LABELS[2:]))
    arguments = ("classify", pictures / "tile.png", "--model", shipped_int8)
    said = run(*arguments, "--labels", labels).stderr
    assert said.startswith(f"Note: The labels of {shipped_int8} have one name for several classes")
    assert run(*arguments).stderr == ""


def test_classify_saves_what_the_network_saw_and_overwrites_nothing(
    run, pictures, shipped_int8, tmp_path
):
    image = pytest.importorskip("PIL.Image")
    (pictures / "text.jpg").unlink()
    other = pictures / "other"
    other.mkdir()
    shutil.copy(pictures / "drawn.jpg", other / "tile.jpg")  # the same stem as tile.png
    arguments = ("classify", pictures, "--model", shipped_int8, "--save-inputs", tmp_path / "seen")
    run(*arguments)
    names = sorted(os.listdir(tmp_path / "seen"))
    assert names == ["drawn.png", "tile-2.png", "tile.png"]
    for name in names:
        with image.open(tmp_path / "seen" / name) as opened:
            assert (opened.size, opened.mode) == ((28, 28), "L")
    before = (tmp_path / "seen" / "tile.png").read_bytes()
    (tmp_path / "seen" / "tile.png").write_bytes(b"mine")
    assert "already there" in error_of(run(*arguments, expect=2))
    assert (tmp_path / "seen" / "tile.png").read_bytes() == b"mine"
    run(*arguments, "--force")
    assert (tmp_path / "seen" / "tile.png").read_bytes() == before


def test_classify_into_a_folder_that_cannot_be_is_one_sentence(
    run, pictures, shipped_int8, tmp_path
):
    (tmp_path / "file").touch()
    result = run(
        "classify", pictures / "tile.png", "--model", shipped_int8, "--save-inputs",
        tmp_path / "file" / "seen", expect=2,
    )  # fmt: skip
    assert "Cannot write" in error_of(result)


def test_classify_without_a_model_says_how_to_make_one(run, pictures, monkeypatch, tmp_path):
    monkeypatch.setattr("garmentlite.edge.shipped.FOLDER", tmp_path / "empty")
    error = error_of(run("classify", pictures, expect=2))
    assert "There is no model in" in error
    assert "'cli train'" in error


def test_classify_uses_the_shipped_model_unless_told_otherwise(run, pictures, monkeypatch):
    def probabilities(*options):
        line = json.loads(run("classify", pictures / "tile.png", "--json", *options).stdout)
        return line["top_k"]

    by_default = probabilities()
    assert by_default == probabilities("--model", default_model())
    other = default_model().with_name("weighted-cnn_int8.tflite")
    assert by_default != probabilities("--model", other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is not a model that can be used here", id="empty"),
        pytest.param(b"just text\n", "no 'TFL3' identifier", id="text"),
        pytest.param(None, "it is damaged", id="cut-off"),
    ],
)
def test_classify_with_a_file_that_is_no_model_is_one_sentence(
    run, pictures, shipped_int8, tmp_path, content, message
):
    path = tmp_path / "model.tflite"
    path.write_bytes(shipped_int8.read_bytes()[:100_000] if content is None else content)
    assert message in error_of(run("classify", pictures, "--model", path, expect=2))


def test_classify_with_an_unknown_segmenter_proposes_the_nearest(run, pictures):
    assert "did you mean 'grabcut'" in error_of(
        run("classify", pictures, "--segment", "grabcutt", expect=2)
    )


def test_classify_help_names_the_segmenters_of_the_registry(run):
    from garmentlite.edge.segmenters.registry import SEGMENTERS

    assert ", ".join(SEGMENTERS) in run("classify", "--help").stdout


def test_classify_with_labels_from_a_file_names_classes_by_them(
    run, pictures, shipped_int8, tmp_path
):
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"name {i}\n\n" for i in range(10)))
    result = run(
        "classify", pictures / "tile.png", "--model", shipped_int8, "--labels", labels, "--json"
    )
    assert json.loads(result.stdout)["label"].startswith("name ")
    labels.write_text("one\ntwo\n")
    error = error_of(run("classify", pictures, "--labels", labels, expect=2))
    assert "10 outputs but there are 2 labels" in error


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"\xff\xfe\x00"])
def test_classify_with_a_labels_file_that_holds_none_is_one_sentence(
    run, pictures, tmp_path, content
):
    labels = tmp_path / "labels.txt"
    if content is not None:
        labels.write_bytes(content)
    assert "--labels" in error_of(run("classify", pictures, "--labels", labels, expect=2))


def test_classify_with_a_changed_model_does_not_run_it(run, pictures, shipped_int8, tmp_path):
    content = bytearray(shipped_int8.read_bytes())
    content[len(content) // 2] ^= 1  # one weight
    path = tmp_path / "changed.tflite"
    path.write_bytes(bytes(content))
    error = error_of(run("classify", pictures / "tile.png", "--model", path, expect=2))
    assert f"{path} was changed after it was made" in error


def test_classify_broken_off_by_ctrl_c_exits_2(pictures, shipped_int8):
    many = pictures / "many"
    many.mkdir()
    for i in range(300):
        shutil.copy(pictures / "drawn.jpg", many / f"{i}.jpg")
    process = subprocess.Popen(
        [sys.executable, "-u", "cli.py", "classify", str(many), "--model", str(shipped_int8)],
        cwd=Path(cli.__file__).parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background job ignores Ctrl-C, and would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout.readline()  # it is at work
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert stderr == "Interrupted.\n"


# --- draw


def test_draw_makes_pictures_with_labels_and_the_same_for_one_seed(run, tmp_path):
    pytest.importorskip("PIL")
    for name in ("a", "b"):
        run("draw", tmp_path / name, "--count", 1, "--seed", 5)
    with (tmp_path / "a" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == list(FASHION_MNIST_LABELS)
    for row in rows:
        pictures = [(tmp_path / name / row["image"]).read_bytes() for name in ("a", "b")]
        assert pictures[0] == pictures[1]


def test_draw_where_something_is_needs_force(run, tmp_path):
    (tmp_path / "labels.csv").write_text("mine")
    assert "already there" in error_of(run("draw", tmp_path, "--count", 1, expect=2))
    assert (tmp_path / "labels.csv").read_text() == "mine"
    run("draw", tmp_path, "--count", 1, "--force")


# --- verify


@pytest.fixture
def pair(dense_model, metadata_of, tmp_path, made_data):
    """Writes models of one dense layer that know the made data set; (reference, candidate)."""
    means = np.array([made_data.x_train[made_data.y_train == i].mean(axis=0) for i in range(10)])
    means = means.reshape(10, -1) / 255
    kernel, bias = 2 * means, -(means**2).sum(axis=1)

    def write(name, io, *, shift=0.0, **fields):
        moved = bias.copy()
        moved[6] += shift
        card = metadata_of(labels=list(FASHION_MNIST_LABELS), **fields)
        options = {"output_scale": 1.0, "zero_point": 40} if io == "int8" else {}
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(attach(dense_model(kernel, moved, io=io, **options), card))
        return path

    return write


# 20 images a class cannot show a loss below 12 points: ln(0.05) / 20, roughly.
MARGIN = ("--margin", "0.3")


def test_verify_of_a_file_with_itself_exits_0_with_json(run, pair, made_data_dir):
    path = pair("same", "float32")
    arguments = ("verify", path, path, "--data-dir", made_data_dir, *MARGIN)
    assert "PASSED" in run(*arguments).stdout
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["passed"] is True
    assert {
        "passed", "margin", "alpha", "classes", "precision", "agreement", "confidence_drift",
    } <= set(document)  # fmt: skip
    assert {
        "label", "support", "recall_reference", "recall_candidate", "lost", "gained", "p_value",
        "p_holm", "bound", "verdict",
    } <= set(document["classes"][0])  # fmt: skip
    assert [row["label"] for row in document["classes"]] == list(FASHION_MNIST_LABELS)
    assert document["margin"] == 0.3


def test_verify_of_a_broken_model_exits_1_and_names_the_class(run, pair, made_data_dir):
    reference, broken = pair("good", "float32"), pair("broken", "float32", shift=-500.0)
    arguments = ("verify", reference, broken, "--data-dir", made_data_dir, *MARGIN)
    assert "NOT PASSED" in run(*arguments, expect=1).stdout
    document = json.loads(run(*arguments, "--json", expect=1).stdout)
    lost = [row["label"] for row in document["classes"] if row["verdict"] == "lost"]
    assert lost == ["Shirt"]


def test_verify_that_cannot_be_judged_exits_2(run, pair, made_data_dir):
    path = pair("same", "float32")
    error = error_of(run("verify", path, path, "--data-dir", made_data_dir, expect=2))
    assert "images of each class" in error


@pytest.mark.parametrize("arguments", [["--margin", "0"], ["--margin", "2"], ["--alpha", "0.9"]])
def test_verify_of_a_margin_or_alpha_out_of_range_exits_2(run, pair, made_data_dir, arguments):
    path = pair("same", "float32")
    error_of(run("verify", path, path, "--data-dir", made_data_dir, *arguments, expect=2))


def test_verify_writes_a_report_and_overwrites_none(run, pair, made_data_dir, tmp_path):
    path = pair("same", "float32")
    arguments = (
        "verify", path, path, "--data-dir", made_data_dir, *MARGIN, "--report", tmp_path / "out",
    )  # fmt: skip
    run(*arguments)
    assert (tmp_path / "out" / "verify.html").read_text().startswith("<!")
    assert json.loads((tmp_path / "out" / "verify.json").read_text())["passed"] is True
    assert "already there" in error_of(run(*arguments, expect=2))
    run(*arguments, "--force")


def test_verify_by_layers_and_on_corrupted_images_is_in_every_report(
    run, pair, made_data_dir, tmp_path
):
    files = pair("one", "float32"), pair("other", "float32")
    arguments = (
        "verify",
        *files,
        "--data-dir",
        made_data_dir,
        *MARGIN,
        "--layers",
        "--corruptions",
    )
    text = run(*arguments, "--report", tmp_path / "out").stdout
    assert "No layer adds any error" in text
    assert "200 images in 19 sets" in text
    page = (tmp_path / "out" / "verify.html").read_text()
    assert "Layer by layer" in page
    assert "Corrupted images" in page
    document = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert document == json.loads(run(*arguments, "--json").stdout)
    assert document["guards"][-1]["name"] == "corrupted images"
    assert [row["operator"] for row in document["layers"]["layers"]] == ["FULLY_CONNECTED"]
    assert len(document["corruptions"]["sets"]) == 19
    limited = json.loads(run(*arguments, "--limit", 150, "--json").stdout)
    assert limited["corruptions"]["images"] == 150


def test_verify_of_a_file_that_breaks_on_corrupted_images_exits_1(run, pair, made_data_dir):
    # One class has a start of 20, a third of what usually lies between first and second: on clean images
    # it wins nothing, and where contrast is gone it wins a third of all.
    files = pair("sound", "float32"), pair("biased", "float32", shift=20.0)
    arguments = ("verify", *files, "--data-dir", made_data_dir, *MARGIN)
    run(*arguments)
    text = run(*arguments, "--layers", "--corruptions", expect=1).stdout
    assert "a guard failed (corrupted images)" in text
    assert "contrast 3 (" in text
    assert "Most error enters at layer 1 FULLY_CONNECTED 10" in text


def test_verify_by_layers_of_files_that_do_not_match_is_one_sentence(
    run, pair, made_data_dir, shipped_int8
):
    error = error_of(
        run("verify", pair("float", "float32"), shipped_int8, "--layers", "--limit", 200, *MARGIN,
            "--data-dir", made_data_dir, expect=2)
    )  # fmt: skip
    assert "cannot be compared one by one" in error


@pytest.mark.parametrize("option", ["--layers", "--corruptions"])
def test_verify_of_one_file_by_layers_or_corruptions_is_one_sentence(
    run, shipped_int8, tmp_path, option
):
    error = error_of(
        run("verify", shipped_int8, "--save-reference", tmp_path / "x.npz", option, expect=2)
    )
    assert option in error


def test_verify_of_named_classes_leaves_the_others_out(run, pair, made_data_dir):
    reference, broken = pair("good", "float32"), pair("broken", "float32", shift=-500.0)
    arguments = ("verify", reference, broken, "--data-dir", made_data_dir, "--margin", "0.3")
    asked = ("--classes", "shirt", "--classes", "Bag")
    document = json.loads(run(*arguments, *asked, "--json", expect=1).stdout)
    judged = {row["label"]: row["verdict"] for row in document["classes"] if not row["reason"]}
    assert judged == {"Shirt": "lost", "Bag": "shown"}
    assert "did you mean 'Bag'" in error_of(run(*arguments, "--classes", "Bagg", expect=2))


def test_verify_of_classes_with_few_images_leaves_them_out_or_cannot_judge(
    run, pair, made_data_dir
):
    path = pair("same", "float32")
    arguments = ("verify", path, path, "--data-dir", made_data_dir, *MARGIN, "--limit", "100")
    document = json.loads(run(*arguments, "--min-support", "10", "--json").stdout)
    reasons = {row["reason"] for row in document["classes"]} - {None}
    assert reasons
    assert all("fewer than 10" in reason for reason in reasons)
    assert "No class can be judged" in error_of(run(*arguments, "--min-support", "90", expect=2))


def test_verify_writes_junit_xml_and_overwrites_none(run, pair, made_data_dir, tmp_path):
    reference, broken = pair("good", "float32"), pair("broken", "float32", shift=-500.0)
    arguments = (
        "verify", reference, broken, "--data-dir", made_data_dir, *MARGIN, "--junit", "out/parity.xml",
    )  # fmt: skip
    run(*arguments, expect=1)
    suite = ElementTree.parse(tmp_path / "out" / "parity.xml").getroot().find("testsuite")
    lost = [case.attrib["name"] for case in suite if case.find("failure[@type='lost']") is not None]
    assert lost == ["Shirt"]
    assert "already there" in error_of(run(*arguments, expect=2))


def test_verify_that_compares_kernels_says_what_differs(run, pair, made_data_dir):
    reference, candidate = pair("a", "float32"), pair("b", "int8")
    arguments = ("verify", reference, candidate, "--data-dir", made_data_dir, *MARGIN, "--kernels")
    document = json.loads(run(*arguments, "--json", expect=1).stdout)
    assert document["kernel_comparison"]["images"] == 200


def test_verify_of_photographs_judges_what_the_device_would_see(run, pair, tmp_path):
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    path = pair("same", "float32")
    run("draw", "drawn", "--count", "1")
    (tmp_path / "drawn" / "broken.png").write_bytes(b"no picture")
    options = ("--photos", "drawn", "--segment", "border", "--margin", "0.96")
    document = json.loads(run("verify", path, path, *options, "--json").stdout)
    assert document["photographs"]["pictures"] == document["images"] == 10
    with (tmp_path / "drawn" / "labels.csv").open("a") as file:
        file.write("broken.png,Bag\n")
    result = run("verify", path, path, *options, expect=2)  # done but for one
    assert "PASSED" in result.stdout
    assert "1 could not be read" in " ".join(result.stdout.split())
    assert "broken.png" in error_of(result)
    assert "takes the place" in error_of(
        run("verify", path, path, *options, "--limit", 5, expect=2)
    )


def test_plan_says_how_many_images_a_margin_takes(run):
    result = run("plan", "--margin", "0.05", "--changed", "0", "--changed", "0.01")
    table = [line.split() for line in result.stdout.splitlines() if line[:1].isdigit()]
    (_, none_80, none_90), (_, some_80, some_90) = table
    assert none_80 == none_90 == "59"
    assert int(none_80) <= int(some_80) <= int(some_90)
    document = json.loads(run("plan", "--margin", "0.05", "--changed", "0", "--json").stdout)
    assert document[0]["images"] == {"0.8": 59, "0.9": 59}
    assert "between 0 and 1" in error_of(run("plan", "--changed", "2", expect=2))


def test_verify_stores_outputs_and_compares_with_them(run, pair, made_data_dir, tmp_path):
    path, stored = pair("model", "float32"), tmp_path / "outputs.npz"
    data = ("--data-dir", made_data_dir)
    run("verify", path, "--save-reference", stored, *data)
    assert "already there" in error_of(
        run("verify", path, "--save-reference", stored, *data, expect=2)
    )
    assert "bit for bit" in run("verify", path, "--against", stored, *data).stdout
    assert json.loads(run("verify", path, "--against", stored, "--json", *data).stdout)["equal"]
    archive = read_npz(stored, "set of stored outputs", "")
    outputs = archive.arrays["outputs"].copy()
    outputs[0] = outputs[0, ::-1]
    write_npz(stored, "set of stored outputs", archive.about, {"outputs": outputs})
    assert "1 answers changed" in run("verify", path, "--against", stored, *data, expect=1).stdout
    other = pair("other", "float32", temperature=2.0)
    assert "another model" in error_of(run("verify", other, "--against", stored, *data, expect=2))
    error_of(run("verify", path, "--against", stored, "--limit", 5, *data, expect=2))


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.tflite"],
        ["a.tflite", "b.tflite", "--against", "x.npz"],
        ["a.tflite", "--against", "x.npz", "--save-reference", "y.npz"],
    ],
)
def test_verify_of_too_few_or_many_files_says_what_it_takes(run, arguments):
    error = error_of(run("verify", *arguments, expect=2))
    assert "takes REFERENCE and CANDIDATE" in error


def test_verify_of_the_shipped_pair_by_its_own_outputs_is_equal(
    run, shipped_int8, real_data_dir, tmp_path
):
    stored = tmp_path / "outputs.npz"
    options = ("--limit", 200, "--data-dir", real_data_dir)
    run("verify", shipped_int8, "--save-reference", stored, *options)
    assert "bit for bit" in run("verify", shipped_int8, "--against", stored, *options).stdout


# --- train and convert


def test_train_of_an_unknown_network_proposes_the_nearest(run, tensorflow, made_data_dir, tmp_path):
    result = run(
        "train", "--network", "weigted-cnn", "--data-dir", made_data_dir, "-o", "run", expect=2
    )
    assert "did you mean 'weighted-cnn'" in error_of(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("weight", "message"),
    [("Shirtt=2", "did you mean 'Shirt'"), ("Shirt=0", "with a factor above 0")],
)
def test_train_with_a_wrong_class_weight_is_one_sentence(
    run, tiny, made_data_dir, tmp_path, weight, message
):
    result = run(
        "train", "--network", tiny, "--class-weight", weight, "--data-dir", made_data_dir,
        "-o", "run", expect=2,
    )  # fmt: skip
    assert message in error_of(result)
    assert not (tmp_path / "run").exists()


def test_train_without_its_packages_names_the_extra(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    error = error_of(run("train", expect=2))
    assert "keras" in error
    assert "pip install 'garmentlite[train]'" in error


def test_convert_without_its_packages_names_the_extra(run, trained_keras, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    result = run("convert", trained_keras, "--int8", "-o", tmp_path / "out", expect=2)
    assert "need tensorflow_model_optimization, which is not installed" in error_of(result)


@pytest.mark.slow
def test_road_from_data_to_card(run, tiny, made_data_dir, tmp_path):
    """Trains, converts, verifies and shows a small network, as the README has it."""
    data, folder = ("--data-dir", made_data_dir), tmp_path / "run"
    trained = run("train", "--network", tiny, "--epochs", 3, "-o", folder, *data)
    assert "next: cli convert" in trained.stdout
    assert sorted(os.listdir(folder)) == [
        "config.json", "confusion_matrix.png", "history.csv", "history.json",
        "learning_curves.png", "metrics.json", "model.keras", "per_class.png",
    ]  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["class_weights"]["Shirt"] == 2.0  # the network's own
    assert config["labels"] == list(FASHION_MNIST_LABELS)
    assert config["views"] == ["plain"]
    assert config["images"] == {"training": 900, "validation": 100}
    assert {"command", "seed", "versions", "device", "data_md5"} <= set(config)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test"]["images"] == 200
    assert {
        "accuracy", "macro_recall", "macro_precision", "macro_f1", "mcc", "log_loss", "per_class",
        "confusion_matrix",
    } <= set(metrics["test"])  # fmt: skip
    assert len((folder / "history.csv").read_text().splitlines()) == 4

    # A finished run is touched by nobody.
    before = (folder / "model.keras").read_bytes()
    assert "already holds a run" in error_of(
        run("train", "--network", tiny, "-o", folder, *data, expect=2)
    )
    assert "nothing to resume" in run("train", "--network", tiny, "-o", folder, "--resume").stdout
    assert (folder / "model.keras").read_bytes() == before

    assert "No known format is named" in error_of(run("convert", folder, expect=2))
    converted = run("convert", folder, "--int8", "--ptq", *data)
    assert "* chosen." in converted.stdout
    assert "Next: cli verify" in converted.stdout
    assert "already there" in error_of(run("convert", folder, "--int8", *data, expect=2))

    pair = folder / "tiny_float32.tflite", folder / "tiny_int8.tflite"
    verdict = CliRunner().invoke(cli.app, ["verify", *map(str, (*pair, *data, *MARGIN)), "--json"])
    assert verdict.exit_code in (0, 1)  # so small a network may fail it; it is judged, at least
    assert len(json.loads(verdict.stdout)["classes"]) == 10
    card = json.loads(run("card", pair[1], "--json").stdout)
    assert card["training"]["network"] == tiny
    assert card["reference_sha256"]


@pytest.mark.slow
def test_train_with_a_target_reaches_it_on_validation_and_prints_its_price(
    run, tiny, made_data_dir, tmp_path
):
    folder = tmp_path / "run"
    result = run(
        "train", "--network", tiny, "--epochs", 1, "--learning-rate", 1e-4, "-o", folder,
        "--target-recall", "shirt=0.9", "--target-recall", "bag=0.1", "--data-dir", made_data_dir,
    )  # fmt: skip
    assert "Raised outputs: Shirt by" in result.stdout
    metrics = json.loads((folder / "metrics.json").read_text())
    recall = {row["label"]: row["recall"] for row in metrics["validation"]["per_class"]}
    assert recall["Shirt"] == metrics["target_recall"]["recall"]["Shirt"][1] >= 0.9
    assert json.loads((folder / "config.json").read_text())["target_recall"] == {
        "Shirt": 0.9, "Bag": 0.1,
    }  # fmt: skip


@pytest.mark.slow
def test_rebalance_raises_outputs_of_a_finished_run_and_leaves_it_alone(
    run, tiny, made_data_dir, tmp_path
):
    data = ("--data-dir", made_data_dir)
    plain, raised = tmp_path / "plain", tmp_path / "raised"
    run("train", "--network", tiny, "--epochs", 1, "--learning-rate", 1e-4, "-o", plain, *data)
    before = {path.name: path.read_bytes() for path in plain.iterdir()}
    result = run("rebalance", plain, "--target-recall", "Shirt=0.9", "-o", raised, *data)
    assert "Raised outputs: Shirt by" in result.stdout
    assert {path.name: path.read_bytes() for path in plain.iterdir()} == before
    config, metrics = (
        json.loads((raised / name).read_text()) for name in ("config.json", "metrics.json")
    )
    assert config["target_recall"] == {"Shirt": 0.9}
    assert config["weights_of"] == sha256(before["model.keras"])
    assert metrics["ended"] == f"weights of {plain}"
    assert metrics["target_recall"]["recall"]["Shirt"][1] >= 0.9
    assert (raised / "history.csv").read_bytes() == before["history.csv"]
    again = ("rebalance", raised, "--target-recall", "Bag=0.9", "-o", tmp_path / "twice", *data)
    assert "are raised already" in error_of(run(*again, expect=2))
    (plain / "model.keras").write_text("broken")
    broken = ("rebalance", plain, "--target-recall", "Bag=0.9", "-o", tmp_path / "twice", *data)
    assert "cannot be read as a Keras network" in error_of(run(*broken, expect=2))


@pytest.mark.slow
def test_train_with_a_teacher_on_all_devices_with_tensorboard(
    run, tiny, trained_keras, made_data_dir, tmp_path
):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    folder = tmp_path / "run"
    result = run(
        "train", "--network", tiny, "--epochs", 2, "-o", folder, "--data-dir", made_data_dir,
        "--teacher", trained_keras, "--distribute", "--tensorboard", "--mixed-precision",
    )  # fmt: skip
    assert "each batch split in 1" in result.stderr
    assert re.search(r"Kept: epoch \d, .* a gap of", result.stderr)
    config = json.loads((folder / "config.json").read_text())
    assert config["teacher"] == [sha256(trained_keras.read_bytes())]
    assert config["mixed_precision"] is True
    assert len(list((folder / "tensorboard").glob("events*"))) == 1
    assert not (folder / "teacher.npz").exists()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["overfitting"]["epoch"] in (1, 2)


@pytest.mark.parametrize(
    "content", [pytest.param(None, id="missing"), pytest.param(b"text", id="text")]
)
def test_train_with_a_teacher_that_is_none_names_it(run, tiny, made_data_dir, tmp_path, content):
    teacher = tmp_path / "teacher.keras"
    if content is not None:
        teacher.write_bytes(content)
    arguments = ("train", "--network", tiny, "-o", tmp_path / "run", "--data-dir", made_data_dir)
    error = error_of(run(*arguments, "--teacher", teacher, expect=2))
    assert f"{teacher} cannot be read as a Keras network" in error
    assert "--teacher takes a run's folder or a .keras file" in error
    assert not (tmp_path / "run").exists()


# --- compare


@pytest.fixture
def finished(trained_keras, made_data, tmp_path):
    """Two finished runs with one network; the second recognises no Shirt on the test images."""
    from garmentlite.edge import metrics

    folders = []
    for name, shift in (("first", 0.0), ("second", -9.0)):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(trained_keras, folder / "model.keras")
        logits = np.eye(10)[made_data.y_test] + shift * np.eye(10)[6]
        summary = metrics.summary(made_data.y_test, logits, FASHION_MNIST_LABELS)
        (folder / "metrics.json").write_text(json.dumps({"test": summary}))
        folders.append(folder)
    return folders


def test_compare_prints_figures_and_words_without_reading_a_model(run, finished):
    for folder in finished:
        (folder / "model.keras").unlink()
    out = run("compare", *finished).stdout
    assert "No class gains recall, and these lose it: Shirt -100.0 points" in out
    (line,) = [line for line in out.splitlines() if line.startswith("Shirt ")]
    assert line.split() == ["Shirt", "100.0%", "0.0%", "-100.0*"]
    document = json.loads(run("compare", *finished, "--json").stdout)
    assert [one["run"] for one in document["runs"]] == ["first", "second"]
    assert document["differences"][0]["recall"]["Shirt"]["may_be_chance"] is False
    assert "paired" not in document


def test_compare_writes_pictures_and_page_and_overwrites_none(
    run, finished, made_data_dir, tmp_path
):
    arguments = ("compare", *finished, "--class", "coat", "-o", tmp_path / "out")
    arguments += ("--data-dir", made_data_dir, "--json")
    document = json.loads(run(*arguments).stdout)
    assert sorted(os.listdir(tmp_path / "out")) == [
        "compare.html", "compare.json", "confusion_matrices.png", "trade_off.png",
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == document
    counts = document["paired"]["second"]  # one network, so no image differs
    assert [(row["images"], row["lost"], row["gained"]) for row in counts[:-1]] == [(10, 0, 0)] * 10
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "What recall of Coat costs" in page
    assert "already there" in error_of(run(*arguments, expect=2))
    run(*arguments, "--force")


def test_compare_of_one_run_or_none_that_is_finished_exits_2(run, finished, tmp_path):
    assert "two runs or more" in error_of(run("compare", finished[0], expect=2))
    error = error_of(run("compare", finished[0], tmp_path, expect=2))
    assert "is not a finished run" in error
    error = error_of(run("compare", *finished, "--class", "Shrit", expect=2))
    assert "did you mean 'Shirt'" in error


@pytest.mark.slow
def test_train_class_weight_none_and_balanced_are_all_ones(run, tiny, made_data_dir, tmp_path):
    for option in ("none", "balanced"):
        folder = tmp_path / option
        result = run(
            "train", "--network", tiny, "--epochs", 1, "--class-weight", option, "-o", folder,
            "--data-dir", made_data_dir,
        )  # fmt: skip
        config = json.loads((folder / "config.json").read_text())
        assert set(config["class_weights"].values()) == {1.0}
        assert ("the same as 'none'" in result.stderr) == (option == "balanced")


@pytest.mark.slow
def test_train_broken_off_keeps_the_best_and_resumes_where_it_was(
    run, fit, tiny, made_data_dir, tmp_path, monkeypatch
):
    arguments = ("train", "--network", tiny, "--epochs", 3, "--data-dir", made_data_dir)
    run(*arguments, "-o", tmp_path / "whole")

    folder = tmp_path / "broken"
    train = fit.train

    def interrupted(*given, on_step, **options):
        def stop(epoch, step, steps):
            on_step(epoch, step, steps)
            if (epoch, step) == (3, 2):
                raise KeyboardInterrupt

        return train(*given, on_step=stop, **options)

    monkeypatch.setattr(fit, "train", interrupted)
    stopped = run(*arguments, "-o", folder, expect=2)
    assert "Interrupted: the best weights so far" in stopped.stderr
    assert "--resume continues the run" in stopped.stderr
    assert (folder / "model.keras").exists()
    assert not (folder / "metrics.json").exists()
    assert "not a finished run" in error_of(run("convert", folder, "--int8", expect=2))

    monkeypatch.setattr(fit, "train", train)
    config = (folder / "config.json").read_bytes()
    assert "--resume continues it" in error_of(run(*arguments, "-o", folder, expect=2))
    other = run(*arguments, "-o", folder, "--resume", "--seed", 9, expect=2)
    assert "was made with seed = 0, now it is 9" in error_of(other)
    assert (folder / "config.json").read_bytes() == config
    run(*arguments, "-o", folder, "--resume")
    results = [
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "broken")
    ]
    assert results[0] == results[1]
    assert not (folder / "checkpoint.npz").exists()


def test_train_interrupted_before_its_first_epoch_exits_2(
    run, fit, tiny, made_data_dir, tmp_path, monkeypatch
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "train", interrupted)
    result = run("train", "--network", tiny, "-o", "run", "--data-dir", made_data_dir, expect=2)
    assert result.stderr.endswith(
        "No epoch was finished, so there is nothing to keep.\nInterrupted.\n"
    )


# --- train on photographs


DRAWN = {"Tasche": "Bag", "Kleid": "Dress", "Hose": "Trouser"}  # classes of one's own


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory):
    """Drawn photographs, 18 of each of three classes of one's own; an empty wall and a broken file."""
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("cv2")
    from garmentlite.edge.drawing import draw_scene

    rng, root = np.random.default_rng(8), tmp_path_factory.mktemp("drawn")
    for label, drawn in DRAWN.items():
        (root / label).mkdir()
        for number in range(18):
            rgb = draw_scene(drawn, rng, (96, 96)).rgb
            image.fromarray(rgb).save(root / label / f"{number}.png")
    image.fromarray(np.full((80, 60, 3), 190, np.uint8)).save(root / "Hose" / "wall.png")
    (root / "Kleid" / "broken.jpg").write_bytes(b"no picture")
    return root


@pytest.mark.slow
def test_road_from_photographs_of_own_classes_to_a_file_that_names_them(
    run, tiny, drawn_photos, tmp_path
):
    """Without Fashion-MNIST, which is not to be found here."""
    folder = tmp_path / "run"
    train = (
        "train", "--network", tiny, "--photos", drawn_photos, "--segment", "border", "--folds", 3,
        "--epochs", 6, "-o", folder,
    )  # fmt: skip
    trained = run(*train)
    assert "so the labels are the classes (Hose, Kleid, Tasche)" in trained.stderr
    assert "broken.jpg is not a picture" in trained.stderr
    assert "In 1 no garment was found" in trained.stderr
    assert "photographs held out" in trained.stdout
    assert sorted(os.listdir(folder)) == [
        "config.json", "confusion_matrix.png", "held_out.csv", "history.csv", "history.json",
        "learning_curves.png", "metrics.json", "model.keras", "per_class.png", "photos.npz",
    ]  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["labels"] == ["Hose", "Kleid", "Tasche"]
    assert config["views"] == ["plain"]  # the network's own augmentation mirrors no image
    assert config["photos"]["alone"] is True
    assert config["photos"]["segmenter"] == "border"
    assert config["photos"]["segmenter_version"] == make_segmenter("border").version
    assert (config["photos"]["unreadable"], config["photos"]["photographs"]) == (1, 56)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert "test" not in metrics
    assert 18 <= metrics["photos"]["images"] <= 20
    assert metrics["photos"]["accuracy"] > 0.6  # chance is 0.33

    assert "are other classes" not in trained.stderr
    converted = run("convert", folder, "--int8")
    assert "Ways to int8" in converted.stdout
    assert "too few to fit an 'unknown' threshold" in converted.stderr
    assert f"--photos {folder / 'held_out.csv'}" in converted.stdout
    pair = folder / "tiny_float32.tflite", folder / "tiny_int8.tflite"
    verdict = CliRunner().invoke(
        cli.app,
        ["verify", *map(str, pair), "--photos", str(folder / "held_out.csv"), "--segment", "border",
         "--margin", "0.7", "--json"],
    )  # fmt: skip
    assert verdict.exit_code in (0, 1), verdict.stderr  # judged, at least
    assert [row["label"] for row in json.loads(verdict.stdout)["classes"]] == sorted(DRAWN)
    card = json.loads(run("card", pair[1], "--json").stdout)
    assert card["labels"] == sorted(DRAWN)
    document = json.loads((folder / "tiny.json").read_text())
    assert document["test_set_read"][0].startswith("none: the photographs held out")
    pictures = [drawn_photos / label / "0.png" for label in DRAWN]
    out = run("classify", *pictures, "--model", pair[1], "--segment", "border", "--json").stdout
    assert {json.loads(line)["label"] for line in out.splitlines()} <= {*DRAWN, "unknown"}
    again = ("rebalance", folder, "--target-recall", "Hose=0.9", "-o", tmp_path / "raised")
    assert "was trained on other classes (Hose, Kleid, Tasche)" in error_of(run(*again, expect=2))

    # The next network begins with these weights; with other classes, without the last layer.
    short = ("--epochs", 1, "--init", folder, "-o", tmp_path / "next")
    same = run(*train[:-4], *short)
    assert "last layer" not in same.stderr
    config = json.loads((tmp_path / "next" / "config.json").read_text())
    assert config["init_sha256"] == sha256((folder / "model.keras").read_bytes())


@pytest.fixture
def table_of_photos(drawn_photos, tmp_path):
    """The same as a table: dresses, trousers that are one of two classes, and what is neither."""
    called = {"Kleid": "Dress", "Hose": "legwear", "Tasche": "Umbrella"}
    rows = [
        [drawn_photos / label / f"{number}.png", name, f"s{number // 2}"]
        for label, name in called.items()
        for number in range(10)
    ]
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["file", "what", "sender"], *rows, [tmp_path / "gone.png", "Dress", "s0"]]
        )
    return path


@pytest.mark.slow
def test_train_on_photographs_and_fashion_mnist_goes_on_from_a_network(
    run, fit, tiny, trained_keras, table_of_photos, made_data_dir, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    arguments = (
        "train", "--network", tiny, "--init", trained_keras, "--photos", table_of_photos,
        "--label-column", "what", "--split-by", "sender", "--group", "legwear=Trouser,Bag",
        "--segment", "border", "--epochs", 2, "-o", folder, "--data-dir", made_data_dir,
    )  # fmt: skip

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(fit, "train", interrupted)
        run(*arguments, expect=2)
    assert (folder / "tiles.npz").exists()
    result = run(*arguments, "--resume")
    assert "gone.png, which cannot be read" in result.stderr
    assert "10 photographs have a label that is none of the classes (Umbrella 10)" in result.stderr
    assert "the network learns to be unsure of them" in result.stderr
    assert "no sender is both trained on and held out" in result.stderr
    assert re.search(r"accuracy [\d.]+%, photographs [\d.]+, [\d.]+%", result.stderr)
    assert "legwear" in result.stdout
    assert not (folder / "tiles.npz").exists()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test"]["images"] == 200
    assert [row["label"] for row in metrics["photos"]["per_group"]] == ["Dress", "legwear"]
    config = json.loads((folder / "config.json").read_text())
    assert config["photos"]["groups"]["legwear"] == ["Trouser", "Bag"]
    assert config["images"] == {"training": 900, "validation": 100}
    assert config["learning_rate"] == pytest.approx(1e-2 * 0.2)
    assert config["photos"]["outliers"] > 0
    assert config["photos"]["outliers_an_epoch"] > 0
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"photo_loss", "photo_accuracy", "photo_recall Dress", "val_recall Bag"} <= set(rows[0])
    with (folder / "held_out.csv").open(newline="") as file:
        held_out = list(csv.DictReader(file))
    assert {row["label"] for row in held_out} == {"Dress"}  # a group is no class
    converted = run("convert", folder, "--int8", "--ptq", "--data-dir", made_data_dir)
    assert "on 200 test images (Fashion-MNIST)" in converted.stdout
    assert "too few to fit an 'unknown' threshold" in converted.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--split-by", "x"], "--split-by x names a column of a table", id="no-table"),
        pytest.param(["--also-column", "x"], "--also-column x names a column", id="also"),
        pytest.param(["--flags-column", "x"], "--flags-column x names a column", id="flags"),
        pytest.param(["--rooms", "nowhere"], "--rooms nowhere has no index.csv", id="rooms"),
        pytest.param(["--fold", 9], "--fold 9 of --folds 5 does not exist", id="fold"),
        pytest.param(["--group", "a=Rock"], "No class is called 'Rock'", id="group"),
        pytest.param(["--segment", "grabcutt"], "No segmenter is called 'grabcutt'", id="segment"),
        pytest.param(["--all-photos"], "--all-photos and --teacher need Fashion-MNIST", id="all"),
        pytest.param(
            ["--images", 9], "--images is the number of Fashion-MNIST images", id="images"
        ),
        pytest.param(
            ["--data-dir", "x"], "--data-dir is the folder of Fashion-MNIST", id="data-dir"
        ),
    ],
)
def test_train_on_photographs_with_options_that_do_not_fit_is_said_before_the_work(
    run, drawn_photos, options, message
):
    result = run("train", "--photos", drawn_photos, *options, expect=2)
    assert message in error_of(result)
    assert "Starting" not in result.stderr


def test_train_with_options_of_photographs_but_none_is_one_sentence(run):
    assert "belong to --photos" in error_of(run("train", "--all-photos", expect=2))


def test_train_on_photographs_of_one_class_is_one_sentence(run, drawn_photos, tmp_path):
    shutil.copytree(drawn_photos / "Hose", tmp_path / "one" / "Hose")
    (tmp_path / "one" / "empty").mkdir()
    result = run("train", "--photos", tmp_path / "one", expect=2)
    assert "have 1 label (Hose), and a classifier needs two" in error_of(result)
    assert "There is no picture in" in result.stderr
    assert "no folder or table" in error_of(run("train", "--photos", tmp_path / "none", expect=2))


def test_train_by_force_replaces_a_finished_run(run, tiny, made_data_dir, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("metrics.json", "model.keras"):
        (folder / name).write_text("older")
    arguments = (
        "train",
        "--network",
        tiny,
        "--epochs",
        1,
        "-o",
        folder,
        "--data-dir",
        made_data_dir,
    )
    run(*arguments, "--force")
    assert json.loads((folder / "metrics.json").read_text())["ended"] == "all epochs done"


def test_train_into_a_file_is_one_sentence(run, tiny, made_data_dir, tmp_path):
    (tmp_path / "file").touch()
    result = run(
        "train", "--network", tiny, "-o", tmp_path / "file" / "run", "--data-dir", made_data_dir,
        expect=2,
    )  # fmt: skip
    assert "Cannot write" in error_of(result)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("gone.keras", None, "neither a run's folder nor a network", id="missing"),
        pytest.param("text.keras", b"text\n", "cannot be read as a Keras network", id="text"),
        pytest.param("model.h5", b"", "cannot be read as a Keras network", id="h5"),
        pytest.param("model.onnx", b"", "neither a run's folder nor a network", id="onnx"),
    ],
)
def test_convert_of_what_is_no_network_is_one_sentence(
    run, tensorflow, made_data_dir, tmp_path, name, content, message
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = run(
        "convert", tmp_path / name, "--int8", "-o", tmp_path / "out", "--data-dir", made_data_dir,
        expect=2,
    )  # fmt: skip
    assert message in error_of(result)


def test_convert_into_a_place_that_takes_no_files_is_said_before_the_work(
    run, trained_keras, tmp_path
):
    (tmp_path / "file").touch()
    result = run("convert", trained_keras, "--int8", "-o", tmp_path / "file" / "out", expect=2)
    assert "Cannot write" in error_of(result)
    assert "Starting" not in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            (),
            "No known format is named; give one or several of --int8, --int8-weights",
            id="nothing",
        ),
        pytest.param(
            ("--float16", "--ptq"), "--ptq applies to the int8 file; give --int8", id="ptq"
        ),
        pytest.param(("--float16", "--io", "int8"), "--io applies to the int8 file", id="io"),
        pytest.param(("--float16", "--c-array"), "--c-array applies to the int8", id="c-array"),
        pytest.param(("--int8", "--io", "int4"), "--io is int8, uint8 or float32", id="io-unknown"),
        pytest.param(("--int8", "--labels", "x.txt"), "x.txt cannot be", id="labels"),
        pytest.param(("--int8", "--input-range", "0..9"), "choose one of 0..1, 0..255", id="range"),
        pytest.param(("--int8", "--calibration", "none"), "There is no picture none", id="folder"),
    ],
)
def test_convert_with_options_that_do_not_fit_is_said_before_the_work(
    run, trained_keras, tmp_path, options, message
):
    result = run("convert", trained_keras, *options, "-o", tmp_path / "out", expect=2)
    assert message in error_of(result)
    assert "Starting" not in result.stderr


def test_convert_of_a_network_with_its_labels_in_the_wrong_order_ends_with_status_1(
    run, keras, tmp_path
):
    """The network tells dark from light pictures, and the file of labels has them the other way round."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, level in (("dark", 0), ("light", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(24):
            pixels = (level + rng.integers(0, 55, (28, 28))).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    last = keras.layers.Dense(2, activation="softmax")
    layers = [keras.Input((28, 28, 1)), keras.layers.GlobalAveragePooling2D(), last]
    network = keras.Sequential(layers)
    last.set_weights([np.array([[-9.0, 9.0]]), np.array([4.5, -4.5])])
    network.save(tmp_path / "own.keras")
    options = ("--float32", "--calibration", "pictures", "--labels", "labels.txt", "-o", "out")

    (tmp_path / "labels.txt").write_text("light\ndark\n")
    refused = run("convert", "own.keras", *options, expect=1)
    assert "recognises 0% of 12 images" in error_of(refused)
    assert "100% with its outputs taken in alphabetical order: dark, light; nothing was" in (
        error_of(refused)
    )
    assert not (tmp_path / "out").exists()

    (tmp_path / "labels.txt").write_text("dark\nlight\n")
    converted = run("convert", "own.keras", *options)
    assert "It ends in a softmax, which is left out" in converted.stderr
    shown = run("card", "out/own_float32.tflite").stdout
    assert "It ends in a softmax, which is left out" in " ".join(shown.split())


def test_convert_to_several_formats_prints_them_side_by_side(
    run, trained_keras, made_data_dir, tmp_path
):
    result = run(
        "convert", trained_keras, "--int8", "--ptq", "--float16", "--int8-weights", "--io", "uint8",
        "-o", tmp_path / "out", "--data-dir", made_data_dir,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("format "))
    rows = [line.split() for line in lines[head + 2 : head + 6]]
    assert [row[0] for row in rows] == ["float32", "float16", "int8-weights", "int8"]
    assert rows[0][-1] == "reference"
    assert result.stdout.splitlines()[-1].endswith("tiny_int8.tflite")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "tiny.json", "tiny.keras", "tiny_float16.tflite", "tiny_float32.tflite",
        "tiny_int8-weights.tflite", "tiny_int8.tflite",
    ]  # fmt: skip
    card = run("card", tmp_path / "out" / "tiny_int8.tflite", "--json").stdout
    assert json.loads(card)["quantization"]["io"] == "uint8"


def test_convert_with_photographs_held_out_by_other_runs_writes_their_threshold(
    run, trained_keras, made_data, made_data_dir, tmp_path
):
    folder = tmp_path / "fold"
    folder.mkdir()
    shutil.copy(trained_keras, folder / "model.keras")
    weights = dict.fromkeys(FASHION_MNIST_LABELS, 1.0)
    (folder / "config.json").write_text(json.dumps({"class_weights": weights}))
    x, y = made_data.x_test, made_data.y_test.astype(np.int64)
    photos = {
        "tiles_u8": x[:, np.newaxis], "grounds_u8": np.zeros((len(x), 3, 28, 28), np.uint8), "y": y,
        "found": np.ones(len(x), bool), "members": np.eye(10, dtype=bool),
        "groups": np.array(FASHION_MNIST_LABELS),
        "files": np.array([f"{number}.png" for number in range(len(x))]),
    }  # fmt: skip
    convert = (
        "convert", trained_keras, "--int8", "--ptq", "--held-out", folder, "-o", tmp_path / "out",
        "--data-dir", made_data_dir,
    )  # fmt: skip
    np.savez(folder / "photos.npz", is_held_out=np.arange(len(x)) < 20, **photos)
    few = run(*convert, expect=2)
    assert "20 photographs of garments were held out, at least 50" in error_of(few)
    assert not (tmp_path / "out" / "tiny_int8.tflite").exists()
    np.savez(folder / "photos.npz", is_held_out=np.ones(len(x), bool), **photos)
    result = run(*convert)
    assert "Fitted on 200 held-out photographs: temperature" in result.stderr
    card = json.loads((tmp_path / "out" / "tiny.json").read_text())
    assert 0 < card["unknown_threshold"] < 1
    inside = json.loads(run("card", tmp_path / "out" / "tiny_int8.tflite", "--json").stdout)
    assert inside["unknown_threshold"] == card["unknown_threshold"]
    assert inside["temperature"] == card["temperature"]


def test_convert_with_own_pictures_and_labels_needs_no_data_set(run, keras, tmp_path):
    image = pytest.importorskip("PIL.Image")
    inputs = keras.Input((32, 32, 1))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "own.keras")
    (tmp_path / "labels.txt").write_text("Light\nDark\n")
    rng = np.random.default_rng(0)
    for name, darkest in (("dark", 0), ("light", 150)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(darkest, darkest + 100, (32, 32)).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    result = run(
        "convert", tmp_path / "own.keras", "--int8", "--ptq", "--calibration", tmp_path / "pictures",
        "--labels", tmp_path / "labels.txt", "-o", tmp_path / "out",
    )  # fmt: skip
    assert "on 4 test images (pictures in pictures)" in result.stdout
    assert "not judged: too few images" in result.stdout
    card = json.loads((tmp_path / "out" / "own.json").read_text())
    assert card["labels"] == ["Light", "Dark"]
