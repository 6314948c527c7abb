"""Tests of sinks that run side by side: one that fails stops alone."""

import pytest

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import OutputError
from garmentlite.edge.sinks.side_by_side import SideBySide
from garmentlite.edge.sinks.watchdog import WatchdogSink


class CountingSink:
    """Counts what it gets; it may fail to open, at one of the calls, or when it is closed."""

    def __init__(self, *, opens=True, fails_at=None, closes=True, enough=None):
        self.opens, self.fails_at, self.closes, self.enough = opens, fails_at, closes, enough
        self.count, self.events = 0, []

    def __enter__(self):
        if not self.opens:
            raise OutputError("The port is in use.")
        self.events.append("opened")
        return self

    def __exit__(self, *exception):
        self.events.append("closed")
        if not self.closes:
            raise OutputError("The disk is full.")

    def show(self, sighting):
        self.count += 1
        if self.count == self.fails_at:
            raise OutputError("The disk is full.")
        return self.count != self.enough

    show_state = show


def test_sink_that_fails_is_closed_and_the_others_go_on():
    full, window, said = CountingSink(fails_at=2), CountingSink(), []
    with SideBySide([full, window], said.append) as sinks:
        assert [sinks.show(None) for _ in range(4)] == [True] * 4
        assert full.events == ["opened", "closed"]
    assert (full.count, window.count) == (2, 4)
    assert window.events == full.events == ["opened", "closed"]
    assert said == ["Error: The disk is full. The app goes on without it."]


def test_sink_that_fails_at_a_state_of_the_camera_stops_alone_too():
    broker, window, said = CountingSink(fails_at=1), CountingSink(), []
    with SideBySide([broker, window], said.append) as sinks:
        assert sinks.show_state(CameraState(CameraStatus.LOST))
    assert len(said) == 1


def test_sink_that_fails_and_cannot_be_closed_is_said_once():
    full, window, said = CountingSink(fails_at=1, closes=False), CountingSink(), []
    with SideBySide([full, window], said.append) as sinks:
        assert sinks.show(None)
    assert len(said) == 1


def test_last_sink_that_fails_raises_its_error_and_is_closed():
    first, last, said = CountingSink(fails_at=1), CountingSink(fails_at=2), []
    with SideBySide([first, last], said.append) as sinks:
        sinks.show(None)
        with pytest.raises(OutputError, match="The disk is full"):
            sinks.show(None)
    assert last.events == ["opened", "closed"]
    assert len(said) == 1


def test_sink_that_cannot_be_opened_raises_and_closes_the_others():
    window, page, said = CountingSink(), CountingSink(opens=False), []
    with pytest.raises(OutputError, match="port"), SideBySide([window, page], said.append):
        pass
    assert window.events == ["opened", "closed"]
    assert said == []


def test_sink_that_wants_no_more_is_closed_without_a_word_and_the_others_go_on():
    first, second = CountingSink(enough=1), CountingSink(enough=3)
    with SideBySide([first, second], pytest.fail) as sinks:
        assert sinks.show(None)
        assert first.events == ["opened", "closed"]
        assert sinks.show_state(None)
        assert not sinks.show(None)  # nobody is left
    assert (first.count, second.count) == (1, 3)


def test_watchdog_alone_does_not_keep_the_app_running(tmp_path):
    watchdog = WatchdogSink(str(tmp_path / "notify"), 30.0)
    with SideBySide([CountingSink(enough=1), watchdog], pytest.fail) as sinks:
        assert not sinks.show(None)
    failing = CountingSink(fails_at=1)
    with (
        SideBySide([failing, watchdog], pytest.fail) as sinks,
        pytest.raises(OutputError, match="disk is full"),
    ):
        sinks.show(None)
