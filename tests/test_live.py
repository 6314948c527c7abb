"""Tests of cameras that are watched and opened again, with a camera that misbehaves on purpose."""

import threading
import time
from itertools import chain, count, pairwise

import numpy as np
import pytest
from waiting import PATIENCE_S

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources import live
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.sources.live import LiveSource


def frames(level=120, first=0):
    """Frames without end; each differs a little from the one before."""
    for number in count(first):
        frame = np.full((48, 64, 3), level, np.uint8)
        frame[0, 0] = number % 256, number // 256 % 256, 0
        yield frame


def some(number, first=0):
    return [frame for frame, _ in zip(frames(first=first), range(number), strict=False)]


class FakeCamera:
    """A camera that follows a script, one for each opening; the last one is used again.

    A script is an exception that opening raises, or what reading gives: frames, anything that is none, or an
    exception that is raised.
    """

    name = "Camera 0"

    def __init__(self, *scripts, seconds=0.005):
        self.scripts, self.seconds = list(scripts), seconds
        self.opened = self.closed = self.reads = 0
        self.released = threading.Event()

    def open(self):
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, BaseException):
            raise script
        self.opened += 1
        return FakeCapture(self, iter(script))


class FakeCapture:
    def __init__(self, camera, items):
        self.camera, self.items = camera, items

    def read(self):
        time.sleep(self.camera.seconds)
        self.camera.reads += 1
        item = next(self.items, None)
        if isinstance(item, BaseException):
            raise item
        return item() if callable(item) else item

    def close(self):
        self.camera.closed += 1
        self.camera.released.set()


def until(source, reached):
    """Reads a source until a frame or a state is what a test waits for; returns all that came."""
    items, deadline = [], time.monotonic() + PATIENCE_S
    for item in source:
        items.append(item)
        if reached(item):
            return items
        assert time.monotonic() < deadline, f"waited in vain; the last item is {item}"
    raise AssertionError("the source ended")


def is_frame(item):
    return isinstance(item, Frame)


def has(status):
    return lambda item: isinstance(item, CameraState) and item.status is status


def no_camera_thread_runs():
    for thread in threading.enumerate():
        if thread.name == "camera":
            thread.join(PATIENCE_S)
            if thread.is_alive():
                return False
    return True


def test_live_source_gives_the_newest_frames_with_growing_times():
    camera = FakeCamera(frames(), seconds=0.001)
    with LiveSource(camera) as source:
        until(source, is_frame)
        seen = []
        for item in source:
            if is_frame(item):
                seen.append(item)
                before = camera.reads
                while camera.reads < before + 10:  # a slow loop, during which frames go by
                    time.sleep(0.01)
            if len(seen) == 4:
                break
    numbers = [int(one.bgr[0, 0, 0]) + 256 * int(one.bgr[0, 0, 1]) for one in seen]
    assert all(later - earlier > 3 for earlier, later in pairwise(numbers))
    assert all(later.time > earlier.time for earlier, later in pairwise(seen))
    assert source.camera.status is CameraStatus.OK


def test_live_source_left_early_releases_the_camera_and_ends_its_thread():
    camera = FakeCamera(frames())
    with LiveSource(camera) as source:
        next(iter(source))
    assert camera.released.wait(PATIENCE_S)
    assert no_camera_thread_runs()


def test_live_source_first_opening_that_fails_raises():
    with (
        pytest.raises(SourceError, match="is not there"),
        LiveSource(FakeCamera(SourceError("Camera 0 is not there."))),
    ):
        pass
    assert no_camera_thread_runs()


def test_live_source_without_a_usable_first_frame_raises_and_releases_the_camera():
    camera = FakeCamera([None] * 100)
    with pytest.raises(SourceError, match="gives no usable frames"), LiveSource(camera):
        pass
    assert camera.released.wait(PATIENCE_S)


def test_live_source_whose_driver_hangs_at_once_raises_within_the_limit(monkeypatch):
    monkeypatch.setattr(live, "OPENING_SECONDS", 0.1)
    stuck = threading.Event()
    try:
        with (
            pytest.raises(SourceError, match="gave no frame within"),
            LiveSource(FakeCamera([lambda: stuck.wait(PATIENCE_S)])),
        ):
            pass
    finally:
        stuck.set()


def test_live_source_tolerates_five_bad_frames_in_a_row():
    good = some(40)
    bad = [None, np.empty((0, 0, 3), np.uint8), b"", good[0].astype(float), (True, None)]
    camera = FakeCamera(chain(good[:1], bad, good[1:2], bad, frames(first=50)))
    with LiveSource(camera) as source:
        until(source, is_frame)
        assert source.camera.bad_frames == 10
        assert source.camera.reconnects == 0
    assert camera.opened == 1


def test_live_source_six_bad_frames_in_a_row_are_a_lost_camera_which_is_opened_again():
    camera = FakeCamera([*some(300), *[None] * 6], frames(first=1000))
    with LiveSource(camera, first_pause=0.01) as source:
        items = until(source, lambda item: is_frame(item) and source.camera.reconnects == 1)
        assert source.camera.bad_frames == 6
    statuses = [item.status for item in items if isinstance(item, CameraState)]
    assert CameraStatus.LOST in statuses
    assert no_camera_thread_runs()
    assert (camera.opened, camera.closed) == (2, 2)


def test_live_source_is_opened_again_as_often_as_it_takes():
    gone = SourceError("Camera 0 is unplugged.")
    camera = FakeCamera([*some(2), gone], gone, gone, gone, frames(first=1000))
    with LiveSource(camera, first_pause=0.01) as source:
        items = until(source, is_frame)
        assert source.camera.reconnects == 1
    lost = [item.message for item in items if has(CameraStatus.LOST)(item)]
    assert lost
    assert all(message.startswith("Camera 0 is unplugged.") for message in lost)
    assert camera.opened == 2


def test_live_source_that_changes_form_and_size_goes_on():
    grey, large = np.full((48, 64), 120, np.uint8), np.full((96, 128, 4), 120, np.uint8)
    deep = np.full((48, 64, 3), 120 * 257, np.uint16)
    kinds = [grey, large, deep]

    def changing():
        for number in count():
            frame = kinds[number % 3].copy()
            frame[0, 0] = number % 256
            yield frame

    with LiveSource(FakeCamera(changing())) as source:
        shapes = set()
        until(
            source, lambda item: (is_frame(item) and shapes.add(item.bgr.shape)) or len(shapes) == 2
        )
    assert shapes == {(48, 64, 3), (96, 128, 3)}


def test_live_source_that_turns_black_gives_states_and_no_frames():
    is_seen = threading.Event()

    def black():
        while not is_seen.is_set():
            yield np.zeros((48, 64, 3), np.uint8)

    camera = FakeCamera(chain(some(2), black(), frames(first=500)))
    with LiveSource(camera) as source:
        items = until(source, has(CameraStatus.BLACK))
        is_seen.set()
        assert not any(is_frame(item) for item in items)
        until(source, is_frame)
    assert camera.opened == 1


def test_live_source_tells_a_state_that_lasts_about_ten_times_a_second():
    black = (np.zeros((48, 64, 3), np.uint8) for _ in count())
    with LiveSource(FakeCamera(black, seconds=0.001)) as source:
        start, states = time.monotonic(), 0
        for _ in source:
            states += 1
            if time.monotonic() - start >= 1:
                break
    assert states <= 12


@pytest.mark.slow
def test_live_source_that_freezes_is_seen_and_opened_again():
    still = np.full((48, 64, 3), 77, np.uint8)
    camera = FakeCamera([*some(200), *[still] * 10_000], [still] * 10_000, frames(first=900))
    with LiveSource(camera, first_pause=0.01) as source:
        until(source, is_frame)
        until(source, has(CameraStatus.FROZEN))
        items = until(source, is_frame)
    assert not any(has(CameraStatus.OK)(item) for item in items[:-1])
    assert camera.opened == 3


@pytest.mark.slow
def test_live_source_whose_driver_hangs_is_opened_again_beside_it():
    stuck = threading.Event()
    camera = FakeCamera([*some(200), lambda: stuck.wait(PATIENCE_S)], frames(first=900))
    try:
        with LiveSource(camera, first_pause=0.01) as source:
            until(source, is_frame)
            items = until(source, lambda item: is_frame(item) and source.camera.reconnects == 1)
        assert any(has(CameraStatus.LOST)(item) for item in items)
        assert camera.opened == 2
    finally:
        stuck.set()
    assert no_camera_thread_runs()


@pytest.mark.slow
def test_live_source_whose_driver_always_hangs_collects_no_threads():
    stuck = threading.Event()
    camera = FakeCamera([*some(1), lambda: stuck.wait(3 * PATIENCE_S)])
    hanging = []
    camera.scripts = [
        [*some(1, number), lambda: stuck.wait(3 * PATIENCE_S)] for number in range(50)
    ]
    try:
        with LiveSource(camera, first_pause=0.01) as source:
            start = time.monotonic()
            for _ in source:
                hanging.append(sum(one.name == "camera" for one in threading.enumerate()))
                if time.monotonic() - start > 10:
                    break
    finally:
        stuck.set()
    assert max(hanging) <= live.MOST_HANGING


@pytest.mark.slow
def test_live_source_frame_that_waited_while_the_app_was_paused_is_not_answered():
    stuck = threading.Event()
    camera = FakeCamera([*some(200), lambda: stuck.wait(PATIENCE_S)], frames(first=900))
    try:
        with LiveSource(camera, first_pause=0.01) as source:
            items = iter(source)
            while not is_frame(next(items)):
                pass
            time.sleep(live.STALL_SECONDS + 2)  # the app is paused, and the camera hangs
            assert not is_frame(next(items))
    finally:
        stuck.set()


def test_live_source_of_a_stream_that_is_over_ends():
    with LiveSource(FakeCamera([*some(3), EOFError()])) as source:
        assert not any(has(CameraStatus.LOST)(item) for item in source)


def test_live_source_whose_stream_has_no_frame_raises():
    with pytest.raises(SourceError, match="ended before its first frame"):
        LiveSource(FakeCamera([EOFError()])).__enter__()


def test_live_source_defect_of_the_driver_reaches_the_loop():
    camera = FakeCamera([*some(1), RuntimeError("driver bug")])
    with LiveSource(camera) as source, pytest.raises(RuntimeError, match="driver bug"):
        until(source, lambda _: False)
    assert camera.released.wait(PATIENCE_S)


def test_live_source_can_be_opened_again():
    source = LiveSource(FakeCamera(frames(), frames(first=400)))
    for _ in range(2):
        with source:
            assert until(source, is_frame)[-1].time < PATIENCE_S
            assert source.camera.reconnects == 0
