"""What is named before a fixed camera, on drawn rooms with the shipped models."""

import cv2
import numpy as np
import pytest

from garmentlite.edge.camera_recognizer import NOTHING_MOVED, NOTHING_NEW, CameraRecognizer
from garmentlite.edge.drawing import SECONDS_PER_GARMENT, draw_garment, draw_moving_frame
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.labels import FASHION_MNIST_LABELS, NO_GARMENT
from garmentlite.edge.recognizer import Recognizer

FPS, PATTERN_FPS = 10, 5
SIZE_WH = (640, 480)


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer()


def room(seed=0, size_wh=SIZE_WH):
    """A wall with furniture along the lower edge and pictures: uint8, shape (H, W, 3)."""
    rng, (width, height) = np.random.default_rng(seed), size_wh
    picture = np.full((height, width, 3), (178, 190, 196), np.uint8)
    for _ in range(12):
        wide, high = (int(v) for v in rng.uniform(0.08, 0.25, 2) * size_wh)
        x, y = int(rng.uniform(0, width - wide)), int(rng.uniform(0.6, 0.9) * height)
        picture[y : y + high, x : x + wide] = rng.integers(40, 200, 3)
    for _ in range(4):
        wide, high = (int(v) for v in rng.uniform(0.06, 0.15, 2) * size_wh)
        x, y = int(rng.uniform(0, width - wide)), int(rng.uniform(0, 0.3) * height)
        picture[y : y + high, x : x + wide] = rng.integers(60, 160, 3)
    return picture


def held(picture, label="Trouser", *, size=0.7, centre=(0.5, 0.5), seed=3):
    """A drawn garment laid on a picture, which is not changed."""
    height, width = picture.shape[:2]
    side = round(size * height)
    rgb, alpha = draw_garment(label, np.random.default_rng(seed), side)
    x, y = round(centre[0] * width - side / 2), round(centre[1] * height - side / 2)
    shift = np.float64([[1, 0, x], [0, 1, y]])
    layer = cv2.warpAffine(np.dstack((rgb[..., ::-1], alpha)), shift, (width, height))
    share = layer[..., 3:] / 255
    return np.rint(layer[..., :3] * share + picture * (1 - share)).astype(np.uint8)


class Camera:
    """Shows pictures with noise to a `CameraRecognizer`, ten a second."""

    def __init__(self, recognizer, **options):
        self.recognizer, self.time = CameraRecognizer(recognizer, **options), 0.0
        self.rng = np.random.default_rng(1)

    def show(self, picture, seconds=0.1):
        for _ in range(round(seconds * FPS)):
            self.time += 1 / FPS
            noisy = picture + self.rng.normal(0, 3, picture.shape)
            frame = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
            recognition = self.recognizer.recognize(frame, self.time)
        return recognition

    def sway(self, picture, seconds, label="Trouser", **options):
        """Holds a garment up; returns the answers."""
        answers = []
        for number in range(round(seconds * FPS)):
            centre = (0.5 + 0.02 * np.sin(number), 0.5 + 0.01 * np.cos(number))
            answers.append(self.show(held(picture, label, centre=centre, **options)))
        return answers


def test_recognize_empty_room_is_no_garment_without_a_network(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    recognition = camera.show(room())
    assert (recognition.label, recognition.reason) == (NO_GARMENT, NOTHING_NEW)
    assert "infer" not in recognition.latency_ms
    assert recognition.as_document()["preparation"]["found"] is False


def test_recognize_garment_after_an_empty_room(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    answers = camera.sway(room(), 1)
    assert {answer.label for answer in answers} == {"Trouser"}
    x, y, width, height = answers[-1].box
    assert x + width / 2 == pytest.approx(320, abs=30)
    assert y + height / 2 == pytest.approx(240, abs=40)
    assert camera.show(room()).label == NO_GARMENT


def test_recognize_garment_in_view_from_the_first_frame(recognizer):
    answers = Camera(recognizer).sway(room(), 3)
    assert {answer.label for answer in answers[3:]} == {"Trouser"}


def test_recognize_what_never_moved_is_withheld_with_a_reason():
    # This segmenter does not say how sure it is.
    camera = Camera(Recognizer(segmenter="grabcut"))
    recognition = camera.show(held(room()), 0.3)
    assert (recognition.label, recognition.reason) == (NO_GARMENT, NOTHING_MOVED)
    assert recognition.scores == []
    assert camera.show(held(room()), 4).reason == NOTHING_NEW


def test_recognize_certain_garment_is_named_before_it_moves_and_then_joins_the_room(
    recognizer,
):
    camera = Camera(recognizer)
    picture = held(np.full_like(room(), 180), "Pullover")
    assert camera.show(picture).label == "Pullover"
    camera.show(picture, 2)
    assert {camera.show(picture).reason for _ in range(10)} == {NOTHING_NEW}


def test_recognize_unchanged_frame_runs_no_network(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    camera.sway(room(), 1)
    still = held(room())
    answers = [camera.show(still) for _ in range(10)]
    assert {answer.label for answer in answers} == {"Trouser"}
    assert not any("infer" in answer.latency_ms for answer in answers[2:])
    assert answers[-1].mask.shape == (480, 640)


def test_recognize_forgets_the_scene(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    camera.recognizer.forget()
    assert camera.show(room()).reason != NOTHING_NEW


@pytest.mark.slow
def test_recognize_test_pattern_names_every_kind_of_garment(recognizer):
    camera, named = CameraRecognizer(recognizer), set()
    for number in range(round(len(FASHION_MNIST_LABELS) * SECONDS_PER_GARMENT * PATTERN_FPS)):
        seconds = number / PATTERN_FPS
        frame_rgb, label = draw_moving_frame(seconds, (320, 240))
        answer = camera.recognize(np.ascontiguousarray(frame_rgb[..., ::-1]), seconds)
        if answer.label == label:
            named.add(label)
    assert named == set(FASHION_MNIST_LABELS)


@pytest.mark.parametrize("segmenter", ["border", "plain"])
def test_recognize_with_another_segmenter(segmenter):
    camera = Camera(Recognizer(segmenter=segmenter))
    camera.show(room(), 2)
    assert camera.sway(room(), 0.5)[-1].label == "Trouser"


# What may come before a camera, each with a sensible answer.


@pytest.mark.slow
def test_recognize_panning_camera_over_an_empty_wall_finds_nothing(recognizer):
    wide = np.concatenate([room(seed) for seed in range(3)], axis=1)
    camera = Camera(recognizer)
    camera.show(wide[:, :640], 2)
    for number in range(20):
        recognition = camera.show(wide[:, 24 * number : 24 * number + 640])
        assert recognition.mask.shape == (480, 640)
    # Once it stands, the new view is learned.
    assert camera.show(wide[:, 480:1120], 3).reason == NOTHING_NEW


def test_recognize_lights_switched_in_an_empty_room(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    for gain in (0.3, 1.0):
        assert camera.show(room() * gain, 1).label == NO_GARMENT


@pytest.mark.slow
def test_recognize_lights_switched_while_a_garment_is_held(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    camera.sway(room(), 1)
    lit = [answer.label for answer in camera.sway(room() // 2, 1)]
    assert NO_GARMENT not in lit


def test_recognize_hand_alone_is_no_garment(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    for number in range(10):
        picture = room()
        x = 420 - 8 * number
        cv2.line(picture, (x + 120, 480), (x, 300), (120, 150, 200), 44)
        cv2.circle(picture, (x, 290), 36, (120, 150, 200), -1)
        for finger in (-24, -8, 8, 24):
            cv2.line(picture, (x + finger, 280), (x + finger, 225), (120, 150, 200), 14)
        assert camera.show(picture).label == NO_GARMENT


def test_recognize_mirror_beside_the_box_is_left_out(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    for number in range(5):
        shown = held(room(), size=0.6, centre=(0.48 + 0.01 * number, 0.5))
        mirrored = held(shown, size=0.25, centre=(0.96 - 0.01 * number, 0.25))
        recognition = camera.show(mirrored)
    assert recognition.label == "Trouser"
    assert recognition.box.x + recognition.box.width < 0.8 * 640


def test_recognize_screen_that_shows_a_garment_belongs_to_the_room(recognizer):
    camera = Camera(recognizer)
    screen = held(room(), "Shirt", size=0.4, centre=(0.5, 0.4))
    assert camera.show(screen, 4).label == NO_GARMENT
    assert camera.show(screen).reason == NOTHING_NEW


@pytest.mark.parametrize("level", [0, 127, 255])
def test_recognize_frame_of_one_colour_is_no_garment(recognizer, level):
    camera = CameraRecognizer(recognizer)
    for number in range(5):
        frame = np.full((480, 640, 3), level, np.uint8)
        assert camera.recognize(frame, number / FPS).label == NO_GARMENT


@pytest.mark.slow
@pytest.mark.parametrize("size_wh", [(160, 120), (1920, 1080), (480, 640)], ids=str)
def test_recognize_other_sizes_of_frames(recognizer, size_wh):
    camera = Camera(recognizer)
    camera.show(room(size_wh=size_wh), 2)
    recognition = camera.sway(room(size_wh=size_wh), 0.4)[-1]
    assert recognition.label != NO_GARMENT
    assert recognition.mask.shape == size_wh[::-1]
    x, _, width, height = recognition.box
    assert (x + width / 2) / size_wh[0] == pytest.approx(0.5, abs=0.08)
    assert height / size_wh[1] == pytest.approx(0.65, abs=0.12)


def test_recognize_garment_that_fills_the_frame(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    assert camera.sway(room(), 1, size=1.25)[-1].mask.shape == (480, 640)
    # The room is known again as soon as it is seen.
    assert camera.show(room(), 0.5).reason == NOTHING_NEW


def test_recognize_two_garments_names_one_of_them(recognizer):
    camera = Camera(recognizer)
    camera.show(room(), 2)
    for number in range(6):
        shown = held(room(), "Pullover", size=0.6, centre=(0.3, 0.48 + 0.01 * number))
        shown = held(shown, "Coat", size=0.6, centre=(0.72, 0.5 - 0.01 * number))
        recognition = camera.show(shown)
    assert recognition.label != NO_GARMENT


def test_recognize_garment_outside_the_box_is_found_all_the_same(recognizer):
    camera = Camera(recognizer, box=GuideBox(0.6, 0.1, 0.35, 0.8))
    camera.show(room(), 2)
    for number in range(4):
        recognition = camera.show(held(room(), size=0.5, centre=(0.25, 0.48 + 0.01 * number)))
    assert recognition.label == "Trouser"
