"""Tests of the newest verdict, its history, and how those who wait are told."""

import asyncio
import threading

import pytest

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.controls import Settings
from garmentlite.edge.labels import NO_GARMENT
from garmentlite.edge.page.verdicts import KEPT, NEWS_PER_SECOND, Verdicts


@pytest.fixture
def verdicts():
    """Verdicts for a loop that does not run, in tests where nobody waits."""
    loop = asyncio.new_event_loop()
    yield Verdicts(loop)
    loop.close()


def test_document_of_an_answer_has_the_keys_of_json_lines_and_more(verdicts, make_sighting):
    verdicts.take(make_sighting("Coat", 0.8))
    document = verdicts.news.as_document(Settings())
    assert document["label"] == "Coat"
    assert {"time", "confidence", "top_k", "latency_ms", "preparation"} <= document.keys()
    assert document["frame"] == 1
    assert document["frame_size"] == [64, 48]
    assert document["camera"] is None
    assert document["settings"] == {"box": [0.2, 0.1, 0.6, 0.8], "mirrored": False, "paused": False}


def test_document_before_the_first_frame_has_no_label(verdicts):
    document = verdicts.news.as_document(Settings())
    assert (document["frame"], document["label"], document["camera"]) == (0, None, None)


def test_document_while_the_camera_is_lost_has_no_label(verdicts, make_sighting):
    verdicts.take(make_sighting())
    verdicts.take_state(CameraState(CameraStatus.LOST, "The camera is gone."))
    document = verdicts.news.as_document(Settings())
    assert document["label"] is None
    assert "confidence" not in document
    assert document["camera"]["status"] == "lost"
    assert document["camera"]["message"] == "The camera is gone."


def test_state_that_is_repeated_is_no_news(verdicts):
    state = CameraState(CameraStatus.BLACK, "The picture is black.")
    verdicts.take_state(state)
    version = verdicts.news.version
    verdicts.take_state(CameraState(CameraStatus.BLACK, "The picture is black.", since=3.0))
    assert verdicts.news.version == version
    verdicts.take_state(CameraState(CameraStatus.LOST, "The camera is gone."))
    assert verdicts.news.version == version + 1


def test_history_has_an_entry_for_each_verdict_with_its_best_moment(verdicts, make_sighting):
    for clock, (label, confidence) in enumerate(
        [("Coat", 0.6), ("Coat", 0.9), ("Coat", 0.7), (NO_GARMENT, 0), ("Coat", 0.5), ("Bag", 0.8)]
    ):
        verdicts.take(make_sighting(label, confidence, clock=clock))
    found = [
        (one.number, one.label, one.confidence, one.began, one.ended) for one in verdicts.history()
    ]
    assert found == [(1, "Coat", 0.9, 0, 3), (2, "Coat", 0.5, 4, 5), (3, "Bag", 0.8, 5, None)]


def test_history_ends_the_verdict_when_the_camera_is_lost(verdicts, make_sighting):
    verdicts.take(make_sighting("Coat", clock=1))
    verdicts.take_state(CameraState(CameraStatus.LOST))
    assert verdicts.history()[0].ended is not None


def test_history_keeps_only_the_last_verdicts(verdicts, make_sighting):
    for number in range(KEPT + 5):
        verdicts.take(make_sighting(("Coat", "Bag")[number % 2], clock=number))
    assert [one.number for one in verdicts.history()] == list(range(6, KEPT + 6))


def test_waiting_ends_with_the_next_answer_of_another_thread(make_sighting):
    async def wait():
        verdicts = Verdicts(asyncio.get_running_loop())
        threading.Timer(0.05, verdicts.take, [make_sighting()]).start()
        return await verdicts.newer_than(0, 20)

    assert asyncio.run(wait()).frame_number == 1


def test_waiting_ends_without_news_when_patience_does():
    async def wait():
        return await Verdicts(asyncio.get_running_loop()).newer_than(0, 0.05)

    assert asyncio.run(wait()) is None


def test_waiting_skips_answers_that_come_too_fast(make_sighting):
    """A thousand answers at once are at most a few pieces of news."""

    async def count():
        loop = asyncio.get_running_loop()
        verdicts = Verdicts(loop)
        version, told = 0, 0
        for _ in range(1000):
            verdicts.take(make_sighting())
        begin = loop.time()
        while (news := await verdicts.newer_than(version, 2 / NEWS_PER_SECOND)) is not None:
            version, told = news.version, told + 1
        assert version == 1000
        assert loop.time() - begin < 20
        return told

    assert asyncio.run(count()) <= 2
