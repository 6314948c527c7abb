"""Tests of the state of a camera: which of its frames are answered, and when it is opened again."""

import numpy as np
import pytest

from garmentlite.edge.camera_state import CameraStatus
from garmentlite.edge.sources.watch import CameraWatch, is_black


def noisy(level, seed, shape=(48, 64, 3)):
    """A frame of a sensor: one level and some noise, which differs from seed to seed."""
    noise = np.random.default_rng(seed).integers(-3, 4, shape)
    return np.clip(level + noise, 0, 255).astype(np.uint8)


class Camera:
    """Shows a watch frames at ten a second."""

    def __init__(self, **options):
        self.watch, self.seconds, self.seed = CameraWatch("Camera 0", **options), 0.0, 0
        self.watch.opening(0.0)

    def shows(self, level, seconds=0.1, *, repeats=False):
        """Shows frames of one level for some seconds; returns which of them are answered."""
        answered = []
        for _ in range(round(seconds * 10)):
            self.seed += not repeats
            answered.append(self.watch.frame(noisy(level, self.seed), self.seconds))
            self.seconds += 0.1
        return answered

    @property
    def status(self):
        return self.watch.state.status


@pytest.fixture
def camera():
    """A camera whose exposure has settled."""
    made = Camera()
    made.shows(120, 1.0)
    assert made.status is CameraStatus.OK
    return made


def test_watch_answers_after_the_exposure_has_settled():
    camera = Camera()
    assert camera.status is CameraStatus.OPENING
    brightening = [camera.shows(level)[0] for level in (40, 60, 80, 100, 115, 120)]
    assert not any(brightening)
    assert camera.status is CameraStatus.SETTLING
    answered = camera.shows(120, 0.6)
    assert answered[:3] == [False] * 3
    assert answered[5]
    assert camera.watch.state.message == ""


def test_watch_waits_for_a_restless_exposure_for_no_longer_than_1_5_seconds():
    camera = Camera()
    answered = [camera.shows(40 + 60 * (number % 2))[0] for number in range(20)]
    assert answered.index(True) == 15
    assert all(answered[15:])


def test_watch_answers_no_black_frame_and_says_so(camera):
    assert not any(camera.shows(3, 10.0))
    assert camera.status is CameraStatus.BLACK
    assert "uncover the lens" in camera.watch.state.message
    assert not camera.watch.has_stalled(camera.seconds)
    assert camera.shows(120, 1.0)[-1]
    assert camera.status is CameraStatus.OK


def test_watch_black_frames_without_noise_are_black_and_not_frozen(camera):
    black = np.zeros((48, 64, 3), np.uint8)
    assert not any(camera.watch.frame(black, camera.seconds + number) for number in range(10))
    assert camera.status is CameraStatus.BLACK
    assert not camera.watch.has_stalled(camera.seconds + 10)


@pytest.mark.parametrize(
    ("level", "expected"), [(0, True), (16, True), (40, False), (128, False), (255, False)]
)
def test_is_black_is_true_up_to_the_black_of_video(level, expected):
    assert is_black(noisy(level, 1)) is expected


def test_is_black_a_small_lamp_in_a_dark_room_is_no_black_frame():
    frame = noisy(4, 1, (480, 640, 3))
    frame[100:200, 100:200] = 200
    assert not is_black(frame)


def test_watch_answers_no_repeated_frame_and_sees_the_stall_after_3_seconds(camera):
    assert not any(camera.shows(120, 2.7, repeats=True))
    assert camera.status is CameraStatus.OK
    assert not camera.watch.has_stalled(camera.seconds)
    camera.shows(120, 0.3, repeats=True)
    assert camera.watch.has_stalled(camera.seconds)
    camera.watch.lost(camera.seconds)
    assert camera.status is CameraStatus.FROZEN
    assert "--allow-static" in camera.watch.state.message


def test_watch_camera_that_repeats_after_it_was_opened_again_stays_frozen(camera):
    camera.shows(120, 3.2, repeats=True)
    camera.watch.lost(camera.seconds)
    camera.watch.opening(camera.seconds + 1)
    camera.seconds += 1
    assert not any(camera.shows(120, 3.2, repeats=True))
    assert camera.status is CameraStatus.FROZEN
    assert camera.shows(120, 1.0)[-1]
    assert camera.watch.state.reconnects == 1


def test_watch_with_static_frames_allowed_answers_them_all():
    camera = Camera(allow_static=True)
    camera.shows(120, 1.0)
    assert all(camera.shows(120, 10.0, repeats=True))
    assert not camera.watch.has_stalled(camera.seconds)


def test_watch_single_pixel_that_differs_is_no_repeat(camera):
    frame = noisy(120, 1, (480, 640, 3))
    camera.watch.frame(frame, camera.seconds)
    other = frame.copy()
    other[400, 500, 1] += 1
    assert camera.watch.frame(other, camera.seconds + 0.1)
    assert not camera.watch.frame(other.copy(), camera.seconds + 0.2)


def test_watch_silence_of_3_seconds_is_a_stall(camera):
    last = camera.seconds - 0.1
    assert not camera.watch.has_stalled(last + 2.9)
    assert camera.watch.has_stalled(last + 3.1)
    camera.watch.lost(last + 3.1)
    assert camera.status is CameraStatus.LOST
    assert "gives no frames" in camera.watch.state.message


def test_watch_camera_may_take_10_seconds_for_its_first_frame():
    camera = Camera()
    assert not camera.watch.has_stalled(9.9)
    assert camera.watch.has_stalled(10.1)


def test_watch_pauses_grow_to_30_seconds_and_begin_again_once_it_is_back(camera):
    pauses = []
    for _ in range(8):
        camera.watch.lost(camera.seconds, "Camera 0 is unplugged.")
        pauses.append(camera.watch.retry_at - camera.seconds)
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])
    assert camera.watch.state.message.startswith("Camera 0 is unplugged.")
    camera.watch.opening(camera.seconds)
    camera.shows(120, 1.0)
    camera.watch.lost(camera.seconds)
    assert camera.watch.retry_at - camera.seconds == pytest.approx(1)


def test_watch_counts_reconnects_and_bad_frames_and_says_since_when(camera):
    camera.watch.bad_frames(3)
    camera.watch.lost(50.0, "It is gone.")
    camera.watch.lost(60.0, "It is still gone.")
    assert camera.watch.state.since == 50.0
    camera.watch.opening(70.0)
    camera.seconds = 71.0
    camera.shows(120, 1.0)
    state = camera.watch.state
    assert (state.reconnects, state.bad_frames) == (1, 3)
    assert 71.0 < state.since < 72.0


def test_watch_other_size_of_frames_is_no_repeat(camera):
    camera.watch.frame(np.full((48, 64, 3), 90, np.uint8), camera.seconds)
    assert camera.watch.frame(np.full((96, 128, 3), 90, np.uint8), camera.seconds + 0.1)
