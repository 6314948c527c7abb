"""The documented JSON agrees with real reports: no key is missing on either side, and all types are right."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from garmentlite import cli
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.metadata import attach

DOCUMENT = Path(cli.__file__).parent / "docs" / "verify-json.md"
MARGIN = ("--margin", 0.3)  # 20 images of a class show it
TYPES = {
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def documented(*headings: str) -> dict[str, list[str]]:
    """The types of every key in the tables under these headings."""
    parts = re.split(r"^## (.+)$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    tables = dict(zip(parts[1::2], parts[2::2], strict=True))
    rows = [
        row
        for heading in headings
        for row in re.findall(
            r"^\| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", tables[heading], re.MULTILINE
        )
    ]
    assert len(rows) == len({key for key, _ in rows})
    return {key: types.split(" or ") for key, types in rows}


def values(node, path: str = ""):
    """Every key of a document with each of its values; elements of a list of objects are `path[]`."""
    if path and not path.endswith("[]"):
        yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from values(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            if isinstance(value, dict):
                yield from values(value, f"{path}[]")


def assert_documented(documents, *headings: str) -> None:
    table = documented(*headings)
    seen = set()
    for document in documents:
        for key, value in values(document):
            assert key in table, f"{key} is not in {DOCUMENT.name}"
            assert any(TYPES[one](value) for one in table[key]), f"{key}: {value!r}"
            seen.add(key)
    assert seen == set(table)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The parsed output of a command; the status is left to other tests."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        result = CliRunner().invoke(cli.app, [str(one) for one in arguments], prog_name="cli")
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return json.loads(result.stdout)

    return invoke


@pytest.fixture
def files(dense_model, metadata_of, made_data, tmp_path):
    """A float32 file that knows the made data set, and an int8 file that lost a class."""
    means = np.stack([made_data.x_train[made_data.y_train == i].mean(axis=0) for i in range(10)])
    means = means.reshape(10, -1) / 255
    kernel, bias = 2 * means, -(means**2).sum(axis=1)
    card = metadata_of(labels=list(FASHION_MNIST_LABELS))
    reference, candidate = tmp_path / "a_float32.tflite", tmp_path / "a_int8.tflite"
    reference.write_bytes(attach(dense_model(kernel, bias, io="float32"), card))
    bias[6] -= 40
    made = dense_model(kernel, bias, io="int8", output_scale=1.0, zero_point=40)
    candidate.write_bytes(attach(made, card))
    return reference, candidate


@pytest.fixture
def photos(tmp_path):
    """Ten photographs of three classes, an empty wall and a broken file."""
    rng = np.random.default_rng(1)
    for label in ("Bag", "Dress", "Trouser"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(10):
            path = tmp_path / "photos" / label / f"{number}.png"
            Image.fromarray(draw_scene(label, rng).rgb).save(path)
    wall = np.full((80, 60, 3), 190, np.uint8)
    Image.fromarray(wall).save(tmp_path / "photos" / "Bag" / "wall.png")
    (tmp_path / "photos" / "Bag" / "broken.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_json_of_verify_is_as_documented(run, files, made_data_dir, photos):
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    of_data = run(
        "verify", *files, "--data-dir", made_data_dir, *MARGIN, "--json", "--kernels", "--layers",
        "--corruptions",
    )  # fmt: skip
    of_photos = run(
        "verify", *files, "--photos", photos, "--segment", "border", "--min-support", 9, *MARGIN, "--json"
    )  # fmt: skip
    assert of_data["changed_images"]
    assert {row["verdict"] for row in of_photos["classes"]} > {"not judged"}
    assert_documented([of_data, of_photos], "The report", "With `--layers`", "With `--corruptions`")


def test_json_of_verify_against_stored_outputs_is_as_documented(run, files, made_data_dir):
    data = ("--data-dir", made_data_dir)
    arguments = ["verify", files[1], "--save-reference", "out.npz", *data]
    assert CliRunner().invoke(cli.app, [str(one) for one in arguments]).exit_code == 0
    document = run("verify", files[1], "--against", "out.npz", *data, "--json")
    assert_documented([document], "With `--against`")


def test_json_of_plan_is_as_documented(run):
    document = run("plan", "--margin", 0.1, "--changed", 0.01, "--json")
    assert_documented([document], "`cli plan --json`")


def test_key_that_is_not_documented_is_seen():
    document = {"passed": True, "equal": True, "brand_new": 1}
    with pytest.raises(AssertionError, match="brand_new is not in"):
        assert_documented([document], "With `--against`")


def test_value_of_another_type_is_seen():
    with pytest.raises(AssertionError, match="passed: 'yes'"):
        assert_documented([{"passed": "yes"}], "With `--against`")
