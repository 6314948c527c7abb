"""Tests of the pictures that the camera app keeps: what is written, limits, labels, what training takes."""

import json
import os
import shutil
import stat
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.collected import CollectedPictures, CollectRequest, Kept, Limits
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import OptionError, OutputError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.pictures import Picture, read_picture
from garmentlite.edge.preparation import prepare
from garmentlite.edge.recognition import Recognition, Score
from garmentlite.edge.segmenters.plain import PlainSegmenter
from garmentlite.edge.sinks.collected import CollectedSink
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sources.interface import Frame
from garmentlite.train import collection

NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
DAY = 86_400.0


class FixedChoice:
    """In place of a random generator: holds out always, or never."""

    def __init__(self, is_held_out):
        self.number = 0 if is_held_out else 1

    def integers(self, highest):
        return self.number


def sighting(number=0, *, label="Shirt", confidence=0.5, clock=NOON, seconds=0.0, name=None):
    """A drawn garment; another number is another garment."""
    scene = draw_scene("Shirt", np.random.default_rng(number))
    prepared = prepare(Picture(scene.rgb), PlainSegmenter())
    found = vars(prepared) | {"label": label, "confidence": confidence}
    recognition = Recognition(
        **found, scores=[Score(label, confidence)], probabilities=np.array([confidence])
    )
    frame = Frame(np.ascontiguousarray(scene.rgb[..., ::-1]), seconds, name)
    return Sighting(frame, recognition, recognition, 10.0, clock)


def blank_sighting(seconds=0.0, name=None):
    blank = prepare(Picture(np.full((60, 80, 3), 255, np.uint8)), PlainSegmenter())
    recognition = Recognition(
        **vars(blank), label="no garment", confidence=0.0, scores=[], probabilities=None
    )
    return Sighting(
        Frame(np.full((60, 80, 3), 255, np.uint8), seconds, name),
        recognition, recognition, 10.0, NOON,
    )  # fmt: skip


@pytest.fixture
def said():
    return []


@pytest.fixture
def make(tmp_path, said, monkeypatch):
    """Opens the folder, with what is given in place of the usual."""
    # The clock of the app, so that pictures of that day are not too old.
    monkeypatch.setattr("time.time", lambda: NOON)

    def open_folder(*, is_held_out=False, **options):
        return CollectedPictures(
            CollectRequest(tmp_path / "collected", **options),
            FASHION_MNIST_LABELS,
            said.append,
            rng=FixedChoice(is_held_out),
        )

    return open_folder


def files_of(collected):
    return sorted(
        path.relative_to(collected.folder).as_posix()
        for path in collected.folder.rglob("*")
        if path.is_file()
    )


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# --- what is written


def test_keep_with_a_label_writes_crop_details_and_image_for_this_user_alone(make):
    collected = make()
    seen = sighting(label="Coat", confidence=0.61)
    assert collected.keep(seen, "T-shirt/top") is Kept.YES
    (picture,) = collected.pictures()
    assert (picture.label, picture.answer, picture.confidence) == ("T-shirt/top", "Coat", 0.61)
    assert (picture.time, picture.is_held_out) == (NOON, False)
    assert files_of(collected) == [
        f".details/{picture.id}-28x28.png",
        f".details/{picture.id}.json",
        f"T-shirt-top/{picture.id}.png",
    ]
    sizes = [path.stat().st_size for path in collected.folder.rglob("*") if path.is_file()]
    assert picture.size == sum(sizes)
    for path in collected.folder.rglob("*"):
        assert mode_of(path) == (0o700 if path.is_dir() else 0o600)
    assert mode_of(collected.folder) == 0o700
    text = (collected.folder / ".details" / f"{picture.id}.json").read_text("utf-8")
    details = json.loads(text)
    assert text.count("\n") == 1
    assert details["time"] == "2027-01-15T12:00:00+00:00"
    assert details["label"] == "Coat"
    assert np.array_equal(collected.tile_of(picture), seen.recognition.image_u8)


@pytest.mark.parametrize("number", range(5))
def test_crop_gives_training_the_image_that_the_app_saw(make, number):
    collected = make()
    seen = sighting(number)
    collected.keep(seen)
    prepared = prepare(read_picture(collected.pictures()[0].path), PlainSegmenter())
    assert prepared.form == "transparent"
    assert np.array_equal(prepared.image_u8, seen.recognition.image_u8)


def test_keep_without_a_label_puts_the_picture_among_the_unlabelled(make):
    collected = make()
    collected.keep(sighting())
    (picture,) = collected.pictures()
    assert (picture.label, picture.path.parent.name) == (None, "unlabelled")


def test_keep_with_frames_keeps_the_whole_frame_too(make):
    collected = make(with_frames=True)
    seen = sighting()
    collected.keep(seen)
    (picture,) = collected.pictures()
    with Image.open(collected.folder / ".details" / f"{picture.id}-frame.jpg") as frame:
        assert (frame.height, frame.width) == seen.frame.bgr.shape[:2]


def test_keep_of_a_held_out_garment_is_hidden_from_training(make):
    collected = make(is_held_out=True)
    collected.keep(sighting(), "Shirt")
    (picture,) = collected.pictures()
    assert (picture.label, picture.is_held_out) == ("Shirt", True)
    assert picture.path.parent == collected.folder / ".held-out" / "Shirt"
    assert mode_of(collected.folder / ".held-out") == 0o700


def test_keep_without_a_garment_keeps_nothing(make):
    collected = make()
    assert collected.keep(blank_sighting(), "Shirt") is Kept.NO_GARMENT
    assert collected.pictures() == []


@pytest.mark.parametrize(
    "label", ["", "  ", "unknown", "No Garment", "unlabelled", "../x", ".x", "a\nb\x00", "x" * 61]
)
def test_a_label_that_cannot_be_a_class_is_refused(make, label):
    collected = make()
    with pytest.raises(OptionError, match="cannot be called"):
        collected.keep(sighting(), label)
    collected.keep(sighting())
    with pytest.raises(OptionError, match="cannot be called"):
        collected.relabel([collected.pictures()[0].id], label)
    assert len(files_of(collected)) == 3


# --- near-duplicates


def test_keep_leaves_near_duplicates_out_even_after_a_restart(make):
    collected = make()
    assert collected.keep(sighting(1)) is Kept.YES
    assert collected.keep(sighting(1)) is Kept.NEAR_DUPLICATE
    assert collected.keep(sighting(2)) is Kept.YES
    again = make()
    assert again.keep(sighting(2)) is Kept.NEAR_DUPLICATE
    assert len(again.pictures()) == 2


def test_keep_of_a_duplicate_with_a_new_label_is_kept_once(make):
    collected = make()
    collected.keep(sighting(1))
    assert collected.keep(sighting(1), "Shirt") is Kept.YES
    assert collected.keep(sighting(1), "Shirt") is Kept.NEAR_DUPLICATE
    assert collected.keep(sighting(1), "Coat") is Kept.YES


def test_keep_after_the_likeness_was_deleted_is_kept(make):
    collected = make()
    collected.keep(sighting(1))
    collected.delete_all()
    assert collected.keep(sighting(1)) is Kept.YES


# --- limits


def test_keep_in_a_full_folder_deletes_the_oldest_picture_without_a_label(make):
    full = make()
    full.keep(sighting(1), "Shirt")
    for number in (2, 3, 4):
        full.keep(sighting(number, clock=NOON + number))
    size = sum(picture.size for picture in full.pictures())
    collected = make(limits=Limits(most_bytes=size))
    assert collected.keep(sighting(5, clock=NOON + 5)) is Kept.YES
    left = [(picture.time - NOON, picture.label) for picture in collected.pictures()]
    assert left[0] == (5, None)
    assert left[-1] == (0, "Shirt")
    assert (2, None) not in left
    assert sum(picture.size for picture in collected.pictures()) <= size


def test_keep_in_a_folder_full_of_labelled_pictures_keeps_nothing_and_says_so_once(make, said):
    full = make()
    full.keep(sighting(1), "Shirt")
    collected = make(limits=Limits(most_bytes=full.pictures()[0].size))
    assert collected.keep(sighting(2), "Shirt") is Kept.FULL
    assert collected.keep(sighting(3)) is Kept.FULL
    assert len(collected.pictures()) == 1
    assert said == [str(Kept.FULL)]


def test_keep_on_a_disk_with_little_free_space_keeps_nothing(make, said, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1 << 40, 0, 500 << 20))
    collected = make()
    assert collected.keep(sighting(), "Shirt") is Kept.NO_SPACE
    assert (files_of(collected), said) == ([], [str(Kept.NO_SPACE)])


def test_pictures_without_a_label_are_deleted_when_they_are_too_old(make, monkeypatch):
    collected = make()
    collected.keep(sighting(1))
    collected.keep(sighting(2), "Shirt")
    collected.keep(sighting(3, clock=NOON + 2 * DAY))
    assert len(collected.pictures()) == 3
    assert collected.keep(sighting(4, clock=NOON + 30.5 * DAY)) is Kept.YES
    assert [picture.label for picture in collected.pictures()] == [None, None, "Shirt"]
    monkeypatch.setattr("time.time", lambda: NOON + 33 * DAY)
    assert len(make().pictures()) == 2


# --- labels and deletion


def test_relabel_moves_many_at_once_and_back(make):
    collected = make()
    for number in range(4):
        collected.keep(sighting(number))
    names = [picture.id for picture in collected.pictures()]
    assert collected.relabel([*names[:3], "no such picture"], "Ankle boot") == 3
    assert [one.label for one in collected.pictures()] == ["Ankle boot"] * 3 + [None]
    assert collected.relabel(names, None) == 4
    assert not (collected.folder / "Ankle boot").exists()


def test_relabel_keeps_what_is_held_out_held_out(make):
    collected = make(is_held_out=True)
    collected.keep(sighting())
    collected.relabel([collected.pictures()[0].id], "Bag")
    (picture,) = collected.pictures()
    assert (picture.label, picture.is_held_out) == ("Bag", True)


def test_delete_removes_one_with_its_details(make):
    collected = make(with_frames=True)
    for number in range(2):
        collected.keep(sighting(number), "Bag")
    gone, stays = (picture.id for picture in collected.pictures())
    assert collected.delete([gone, "../../etc/passwd"]) == 1
    assert [picture.id for picture in collected.pictures()] == [stays]
    assert not any(gone in name for name in files_of(collected))


def test_delete_all_leaves_other_files_alone(make):
    collected = make(with_frames=True)
    collected.keep(sighting(1), "Bag")
    collected.keep(sighting(2))
    own = collected.folder / "Bag" / "own-photo.jpg"
    own.write_bytes(b"mine")
    (collected.folder / ".details" / "20260101-000000-0123456789abcdef.json").write_text("{}")
    assert collected.delete_all() == 2
    assert files_of(collected) == ["Bag/own-photo.jpg"]


def test_a_picture_that_was_moved_by_hand_has_the_label_of_its_folder(make):
    collected = make()
    collected.keep(sighting())
    (picture,) = collected.pictures()
    other = collected.folder / "t-shirt-top"
    other.mkdir()
    picture.path.rename(other / picture.path.name)
    assert collected.pictures()[0].label == "T-shirt/top"


# --- damage


def test_damaged_details_are_one_sentence_and_the_picture_is_listed(make, said, capfd):
    collected = make()
    collected.keep(sighting(1))
    collected.keep(sighting(2))
    for picture in collected.pictures():
        for suffix in (".json", "-28x28.png"):
            path = collected.folder / ".details" / (picture.id + suffix)
            path.write_bytes(path.read_bytes()[:40])
    again = make()
    listed = again.pictures()
    assert [(one.answer, one.confidence) for one in listed] == [(None, None)] * 2
    assert [again.tile_of(one) for one in listed] == [None, None]
    again.pictures()
    assert len(said) == 4
    assert all("damaged" in sentence for sentence in said)
    assert capfd.readouterr().err == ""


def test_missing_details_leave_the_answer_open(make):
    collected = make()
    collected.keep(sighting())
    shutil.rmtree(collected.folder / ".details")
    (picture,) = make().pictures()
    assert picture.answer is None


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be made"):
        CollectedPictures(CollectRequest(tmp_path / "file" / "x"), (), print)


# --- training


def test_training_takes_the_folder_and_leaves_out_what_has_no_label(make):
    collected = make(with_frames=True)
    for number, label in enumerate(("Shirt", "Coat", None)):
        collected.keep(sighting(number), label)
    make(is_held_out=True).keep(sighting(3), "Shirt")
    said = []
    photos = collection.read(collected.folder, warn=said.append)
    assert [photo.label for photo in photos] == ["Coat", "Shirt"]
    assert all(photo.path.suffix == ".png" for photo in photos)
    (sentence,) = said
    assert "have no label and are left out" in sentence
    held_out = collection.read(collected.folder / ".held-out")
    assert [photo.label for photo in held_out] == ["Shirt"]


# --- what is kept by itself


@pytest.fixture
def watch(make):
    """Shows sightings to the sink; returns how many pictures it keeps."""
    collected = make()

    def show(*sightings):
        before = len(collected.pictures())
        with CollectedSink(collected) as sink:
            assert all(sink.show(one) for one in sightings)
        return len(collected.pictures()) - before

    return show


def test_sink_keeps_uncertain_answers_and_no_sure_ones(watch):
    assert watch(sighting(1, confidence=0.95)) == 0
    assert watch(sighting(1, confidence=0.85)) == 1
    assert watch(sighting(2, label="unknown", confidence=0.95)) == 1
    assert watch(blank_sighting()) == 0


def test_sink_goes_on_after_its_folder_was_deleted(make):
    collected = make()
    with CollectedSink(collected) as sink:
        assert sink.show(sighting(1))
        shutil.rmtree(collected.folder)
        assert sink.show(sighting(2, seconds=5.0))
    assert len(collected.pictures()) == 1


def test_sink_whose_folder_cannot_be_made_again_says_so(make):
    collected = make()
    with CollectedSink(collected) as sink:
        shutil.rmtree(collected.folder)
        collected.folder.write_bytes(b"a file in its place")
        with pytest.raises(OutputError, match="cannot be made"):
            sink.show(sighting(1))


def test_sink_keeps_an_answer_that_changes(watch):
    first = sighting(1, label="Shirt", confidence=0.95, seconds=0.0)
    second = sighting(2, label="Coat", confidence=0.95, seconds=0.1)
    same = sighting(3, label="Coat", confidence=0.95, seconds=5.0)
    assert watch(first, second, same) == 1


def test_sink_does_not_take_the_next_garment_for_a_change(watch):
    first = sighting(1, label="Shirt", confidence=0.95, seconds=0.0)
    last = sighting(2, label="Coat", confidence=0.95, seconds=0.2)
    assert watch(first, blank_sighting(0.1), last) == 0


def test_sink_waits_between_two_pictures_of_one_garment(watch):
    assert watch(sighting(1, seconds=0.0), sighting(2, seconds=0.9), sighting(3, seconds=1.0)) == 2


def test_sink_keeps_every_uncertain_still_picture(watch):
    assert watch(*(sighting(number, name=f"{number}.png") for number in range(3))) == 3


def test_sink_holds_out_by_garment(make):
    collected = make()
    held = iter([1, 0, 1])  # for each time that a garment is held up
    collected._rng = type("Choice", (), {"integers": lambda self, highest: next(held)})()
    with CollectedSink(collected) as sink:
        for number in range(3):
            sink.show(sighting(number, seconds=10 * number))
            sink.show(blank_sighting(10 * number + 5))
    shown = [picture.is_held_out for picture in reversed(collected.pictures())]
    assert sorted(shown) == [False, False, True]


# --- the command


def test_webcam_collects_from_drawn_pictures(run, tmp_path):
    run("draw", "drawn", "--count", "1", "--seed", "3")
    run("webcam", "--source", "drawn", "--headless", "--collect", "kept", "--collect-frames")
    kept = [path for path in (tmp_path / "kept").rglob("*.png") if ".details" not in path.parts]
    frames = list((tmp_path / "kept" / ".details").glob("*-frame.jpg"))
    assert 0 < len(kept) == len(frames)


def test_webcam_with_collect_frames_alone_says_what_is_missing(run):
    result = run("webcam", "--source", "test-pattern", "--collect-frames", expect=2)
    assert "--collect-frames belongs to --collect" in result.stderr
