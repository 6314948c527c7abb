"""Tests of the page as an output of the camera app."""

import http.client
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import PATIENCE_S

from garmentlite.edge import camera_app
from garmentlite.edge.callbacks import say_nothing
from garmentlite.edge.camera_app import CameraOutcome, CameraRequest, run_camera_app
from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.controls import Controls
from garmentlite.edge.errors import OutputError
from garmentlite.edge.page.access_token import token_path
from garmentlite.edge.page.address import Address
from garmentlite.edge.sinks.page import PageSink

MODEL = Path(__file__).parent.parent / "models" / "weighted-cnn_int8.tflite"


@pytest.fixture(autouse=True)
def config(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def ask(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def port_in(sentence):
    return int(sentence.rpartition(":")[2].partition("/")[0])


def test_page_shows_answers_and_states_of_the_camera(make_sighting):
    said = []
    with PageSink(Address(port=0), Controls(), pytest.fail, said.append) as sink:
        port = port_in(said[0])
        assert said == [f"The page: http://127.0.0.1:{port}/"]
        assert sink.show(make_sighting("Bag"))
        assert json.loads(ask(port, "/verdict")[1])["label"] == "Bag"
        assert sink.show_state(CameraState(CameraStatus.LOST, "The camera is gone."))
        assert json.loads(ask(port, "/verdict")[1])["camera"]["status"] == "lost"
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/verdict")


def test_page_for_the_network_has_the_same_token_after_a_restart():
    said = []
    for _ in range(2):
        with PageSink(Address("0.0.0.0", 0), Controls(), pytest.fail, said.append):
            token = token_path().read_text(encoding="ascii").strip()
            assert said[-1].endswith(f"/?token={token}")
            assert "//0.0.0.0" not in said[-1]
            assert ask(port_in(said[-1]), "/verdict")[0] == 401
            assert ask(port_in(said[-1]), "/verdict", Authorization=f"Bearer {token}")[0] == 200
    assert said[0].partition("?")[2] == said[1].partition("?")[2]


def test_page_for_this_machine_makes_no_token():
    with PageSink(Address(port=0), Controls(), pytest.fail, say_nothing):
        assert not token_path().exists()


def test_page_without_a_usable_token_is_not_served():
    token_path().parent.mkdir()
    token_path().touch(0o600)
    sink = PageSink(Address("0.0.0.0", 0), Controls(), pytest.fail, pytest.fail)
    with pytest.raises(OutputError, match="There is no token"), sink:
        pytest.fail("it was opened")


def test_page_gives_a_recording_its_own_speed(make_sighting):
    live = make_sighting()
    recorded = replace(live, frame=replace(live.frame, duration=0.3))
    with PageSink(Address(port=0), Controls(), pytest.fail, say_nothing) as sink:
        begin = time.monotonic()
        sink.show(live)
        sink.show(recorded)
        assert time.monotonic() - begin >= 0.3


def test_camera_app_with_a_page_alone_prints_no_json(capsys):
    said, found = [], []

    def say(sentence):
        said.append(sentence)
        threading.Thread(
            target=lambda: found.append(ask(port_in(sentence), "/snapshot.jpg"))
        ).start()

    request = CameraRequest(
        source="test-pattern", model=MODEL, segmenter="plain", has_window=False,
        serve=Address(port=0), max_frames=30,
    )  # fmt: skip
    assert run_camera_app(request, say).answered == 30
    assert len(said) == 1
    assert found[0][0] == 200
    assert capsys.readouterr().out == ""


def test_webcam_with_a_taken_port_is_one_sentence(run):
    said = []
    with PageSink(Address(port=0), Controls(), pytest.fail, said.append):
        taken = f"127.0.0.1:{port_in(said[0])}"
        error = run(
            "webcam", "--source", "test-pattern", "--headless", "--serve", taken, expect=2
        ).stderr
    assert "is taken by another program; '--serve 127.0.0.1:" in error
    assert error.startswith("Error: Port ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("options", [["--serve"], ["--serve", "--max-frames", "1"], ["--serve="]])
def test_webcam_serve_needs_no_value(run, monkeypatch, options):
    seen = []

    def record(request, *_):
        seen.append(request)
        return CameraOutcome(answered=1, unreadable=0, was_stopped=False)

    monkeypatch.setattr(camera_app, "run_camera_app", record)
    run("webcam", "--headless", *options)
    assert seen[0].serve == Address("127.0.0.1", 8000)


def test_webcam_serve_with_a_value_takes_it(run):
    error = run("webcam", "--headless", "--serve", "host:port", expect=2).stderr
    assert error.startswith("Error: --serve needs HOST:PORT")


def test_webcam_with_a_host_name_but_no_page_is_one_sentence(run):
    error = run("webcam", "--headless", "--allow-host", "shop.example", expect=2).stderr
    assert error == "Error: --allow-host belongs to --serve; give both.\n"


@pytest.mark.parametrize("name", ["http://shop.example", "shop.example:8000", "shop.example/page"])
def test_address_in_place_of_a_host_name_is_refused(run, name):
    error = run("webcam", "--headless", "--serve", "--allow-host", name, expect=2).stderr
    assert f"--allow-host {name} is not a host name; give the name alone" in error
