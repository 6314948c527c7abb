"""The sink that passes on only what is new."""

from types import SimpleNamespace

import pytest

from garmentlite.edge.sinks import only_changes
from garmentlite.edge.sinks.only_changes import OnlyChangesSink


class Noting:
    """A sink that notes what it gets; it is open in a `with` block."""

    def __init__(self):
        self.got, self.is_open = [], False

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *error):
        self.is_open = False

    def show(self, sighting):
        self.got.append(sighting.recognition.label)
        return sighting.recognition.label != "the end"

    def show_state(self, camera):
        self.got.append(camera)
        return False


def sighting(label):
    return SimpleNamespace(recognition=SimpleNamespace(label=label))


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(only_changes.time, "monotonic", lambda: now.seconds)
    return now


def test_answers_are_passed_on_when_they_change(clock):
    noting = Noting()
    with OnlyChangesSink(noting) as sink:
        assert noting.is_open
        for label in ("Coat", "Coat", "Bag", "Bag", "Coat"):
            assert sink.show(sighting(label))
    assert noting.got == ["Coat", "Bag", "Coat"]
    assert not noting.is_open


def test_answer_that_stays_is_passed_on_once_a_minute(clock):
    noting = Noting()
    with OnlyChangesSink(noting) as sink:
        for clock.seconds in (100, 159, 160, 219, 220):
            sink.show(sighting("Coat"))
    assert noting.got == ["Coat"] * 3


def test_sink_that_wants_no_more_ends_the_stream(clock):
    with OnlyChangesSink(Noting()) as sink:
        assert not sink.show(sighting("the end"))
        assert not sink.show_state("lost")
