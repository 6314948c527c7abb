"""Tests of the keys that keep a picture under a class; the display is one that only presses keys."""

import numpy as np
import pytest

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.collected import CollectedPictures, CollectRequest
from garmentlite.edge.controls import Controls
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.sinks.window import WindowSink

pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")


class PressedKeys:
    """A display that presses the given keys, one with each picture that it is shown."""

    screen_wh = (1920, 1080)

    def __init__(self, keys):
        self._keys = [["key", ord(key)] for key in keys]

    def events(self, seconds):
        return [self._keys.pop(0)] if self._keys else []

    def show(self, picture, way):
        assert picture.dtype == np.uint8

    def close(self):
        pass


@pytest.fixture
def collected(tmp_path):
    rng = np.random.default_rng(1)  # holds the first garment not out
    return CollectedPictures(
        CollectRequest(tmp_path / "kept"), FASHION_MNIST_LABELS, print, rng=rng
    )


def press(keys, collected, events):
    """Shows answers and states of a camera in a window, and presses a key at each."""
    with WindowSink(PressedKeys(keys), Controls(), collected=collected) as window:
        for event in events:
            show = window.show_state if isinstance(event, CameraState) else window.show
            assert show(event)


def different(make_sighting, count):
    rng = np.random.default_rng(0)
    sightings = [make_sighting() for _ in range(count)]
    for sighting in sightings:
        image_u8 = rng.integers(0, 256, (28, 28), np.uint8)
        object.__setattr__(sighting.answer_to_frame, "image_u8", image_u8)
    return sightings


def test_class_keys_keep_the_shown_picture_under_their_class(collected, make_sighting):
    press("170", collected, different(make_sighting, 3))
    labels = sorted(picture.label for picture in collected.pictures())
    assert labels == ["Ankle boot", "Shirt", "T-shirt/top"]


def test_class_key_keeps_the_frame_that_is_shown_and_not_another(collected, make_sighting):
    (sighting,) = different(make_sighting, 1)
    press("7", collected, [sighting])
    (picture,) = collected.pictures()
    assert np.array_equal(collected.tile_of(picture), sighting.answer_to_frame.image_u8)


def test_class_key_keeps_nothing_while_the_camera_is_lost(collected, make_sighting):
    lost = CameraState(CameraStatus.LOST, "The camera is gone.")
    press("x7", collected, [*different(make_sighting, 1), lost])
    assert collected.pictures() == []


def test_class_key_beyond_the_classes_keeps_nothing(collected, make_sighting):
    collected.labels = ("Hat", "Scarf")
    press("3", collected, different(make_sighting, 1))
    assert collected.pictures() == []


def test_class_key_whose_picture_cannot_be_written_does_not_end_the_window(
    collected, make_sighting
):
    (collected.folder / "Shirt").write_text("in the way")  # of the folder of the class
    press("77", collected, different(make_sighting, 2))
    assert collected.pictures() == []


def test_digits_without_collected_pictures_mean_nothing(make_sighting):
    press("7h", None, different(make_sighting, 2))
