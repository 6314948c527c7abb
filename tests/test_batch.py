"""Tests of many files at once: their order, errors in between, and the images that are saved."""

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.batch import Tally, recognize_files
from garmentlite.edge.errors import OutputError, PictureError
from garmentlite.edge.recognition import Recognition
from garmentlite.edge.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer(shipped_int8):
    return Recognizer(shipped_int8, "plain")


@pytest.fixture
def folder(tmp_path):
    """Two pictures of a dark box on white, with a text file between them."""
    box = np.full((60, 60, 3), 255, np.uint8)
    box[15:45, 20:40] = 60
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "c.png"):
        Image.fromarray(box).save(tmp_path / "pictures" / name)
    (tmp_path / "pictures" / "b.jpg").write_text("not a picture")
    return tmp_path / "pictures"


def test_recognize_files_gives_an_answer_or_an_error_for_each(folder, recognizer):
    named = [folder, folder / "a.png", folder / "gone.jpg"]
    answers = list(recognize_files(named, recognizer))
    assert [answer.path.name for answer in answers] == ["gone.jpg", "a.png", "b.jpg", "c.png"]
    assert [type(answer.result) for answer in answers] == [
        PictureError, Recognition, PictureError, Recognition,
    ]  # fmt: skip
    assert list(answers[1].result.latency_ms) == ["segment", "prepare", "infer", "read"]


def test_recognize_files_saves_what_the_network_saw(folder, recognizer, tmp_path):
    inputs = tmp_path / "inputs"
    answers = list(recognize_files([folder], recognizer, save_inputs=inputs))
    assert sorted(path.name for path in inputs.iterdir()) == ["a.png", "c.png"]
    saved = np.asarray(Image.open(inputs / "a.png"))
    np.testing.assert_array_equal(saved, answers[0].result.image_u8)


def test_recognize_files_replaces_a_saved_image_only_when_told_to(folder, recognizer, tmp_path):
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="already there"):
        list(recognize_files([folder], recognizer, save_inputs=tmp_path))
    assert (tmp_path / "a.png").read_bytes() == b"mine"
    list(recognize_files([folder], recognizer, save_inputs=tmp_path, force=True))
    assert (tmp_path / "a.png").read_bytes() != b"mine"


def test_tally_counts_unreadable_files_and_missing_garments_apart(folder, recognizer):
    Image.new("RGB", (60, 60), (90, 90, 90)).save(folder / "wall.png")
    tally, said = Tally(), []
    (folder / "film.mp4").touch()
    for answer in recognize_files([folder], recognizer, note=said.append):
        tally.add(answer)
    assert tally == Tally(named=2, without_garment=1, unreadable=1)
    assert tally.in_words() == (
        "4 pictures: 2 have a garment, in 1 no garment was found, 1 could not be read."
    )
    assert "film.mp4" in said[0]
