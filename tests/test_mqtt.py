"""Tests of MQTT, with a real broker on this computer that is stopped and started again."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from waiting import PATIENCE_S, wait_until

from garmentlite.edge.broker_address import parse_broker
from garmentlite.edge.callbacks import say_nothing
from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.recognition import Recognition, Score
from garmentlite.edge.sinks import mqtt
from garmentlite.edge.sinks.home_assistant import STATUS_TOPIC, discovery
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sinks.mqtt import MqttSink
from garmentlite.edge.sources.interface import Frame

paho = pytest.importorskip(
    "paho.mqtt.client", reason="paho-mqtt is not installed (the `mqtt` extra)"
)
needs_mosquitto = pytest.mark.skipif(
    not shutil.which("mosquitto"), reason="mosquitto is not installed (apt install mosquitto)"
)

TOPIC = "home/hall"
LABELS = ("Shirt", "Coat")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A mosquitto on a port of this computer that wants a user and a password, and keeps nothing on disk."""

    def __init__(self, folder):
        self.port, self.process = free_port(), None
        self.url = f"mqtt://anna:pa%40ss@127.0.0.1:{self.port}/{TOPIC}"
        passwords = folder / "passwords"
        subprocess.run(
            ["mosquitto_passwd", "-c", "-b", passwords, "anna", "pa@ss"],
            check=True,
            capture_output=True,
        )
        passwords.chmod(0o644)  # mosquitto reads it as a user of its own if root starts it
        self.settings = folder / "mosquitto.conf"
        self.settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
            "persistence false\nuser root\n"
        )

    def start(self):
        self.process = subprocess.Popen(
            ["mosquitto", "-c", self.settings], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_until(self.answers, "the start of the broker")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
            self.process = None


class Listener:
    """What another client of the broker gets, such as Home Assistant."""

    def __init__(self, port):
        self.messages = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.username_pw_set("anna", "pa@ss")
        self.client.on_message = lambda client, _, message: self.messages.append(message)
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("#")
        self.client.loop_start()

    def last(self, topic):
        """The last document on a topic; None if there is none."""
        found = [one for one in list(self.messages) if one.topic == topic]
        if not found:
            return None
        text = found[-1].payload.decode()
        return json.loads(text) if text.startswith("{") else text

    def all(self, topic):
        return [one for one in list(self.messages) if one.topic == topic]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def listen(broker):
    """Makes clients of the broker, which are closed at the end."""
    listeners = []

    def start():
        listeners.append(Listener(broker.port))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def connected(broker):
    """The sink, connected to the broker, and what it said."""
    broker.start()
    said = []
    with MqttSink(parse_broker(broker.url), said.append) as sink:
        wait_until(lambda: said, "the connection")
        yield sink, said


def sighting(label, confidence=0.9, *, camera=None):
    recognition = Recognition(
        label=label,
        confidence=confidence,
        scores=[Score(label, confidence)],
        probabilities=np.array([confidence, 1 - confidence], np.float32),
        image_u8=np.zeros((28, 28), np.uint8),
        mask=np.ones((48, 64), bool),
        box=(0, 0, 64, 48),
        reason=None,
        form="photo",
        segmenter="plain",
        latency_ms={},
    )
    frame = Frame(np.zeros((48, 64, 3), np.uint8), 0.0)
    return Sighting(frame, recognition, recognition, 10.0, 1_800_000_000.0, camera)


@needs_mosquitto
def test_mqtt_publishes_answers_events_and_what_home_assistant_needs(broker, listen, connected):
    sink, said = connected
    assert said == [
        f"Connected to the MQTT broker 127.0.0.1:{broker.port}; the topics begin with {TOPIC}/."
    ]
    early = listen()
    assert sink.show(sighting("Shirt", 0.95))
    wait_until(lambda: early.last(f"{TOPIC}/state"), "the first answer")
    assert early.last(f"{TOPIC}/state") == {
        "label": "Shirt", "confidence": 0.95, "time": "2027-01-15T08:00:00+00:00",
    }  # fmt: skip
    sink.show(sighting("Coat", 0.8))
    wait_until(lambda: early.last(f"{TOPIC}/event"), "the event")
    assert early.last(f"{TOPIC}/event") == {
        "event_type": "label_changed", "previous_label": "Shirt",
        "label": "Coat", "confidence": 0.8, "time": "2027-01-15T08:00:00+00:00",
    }  # fmt: skip

    late = listen()  # gets what is retained, and no event
    wait_until(lambda: late.last(f"{TOPIC}/state"), "the retained answer")
    assert late.last(f"{TOPIC}/state")["label"] == "Coat"
    assert late.last(f"{TOPIC}/availability") == "online"
    assert late.last(f"{TOPIC}/camera") == {
        "status": "ok", "problem": False, "message": "", "reconnects": 0,
    }  # fmt: skip
    assert late.last(f"{TOPIC}/event") is None
    for topic, document in discovery(TOPIC).items():
        assert late.last(topic) == document
    assert all(one.retain for one in late.messages)


@needs_mosquitto
def test_mqtt_publishes_an_answer_that_does_not_change_only_once(listen, connected):
    sink, _ = connected
    listener = listen()
    for _ in range(100):
        sink.show(sighting("Shirt"))
    sink.show(sighting("Coat"))
    wait_until(lambda: listener.last(f"{TOPIC}/event"), "the event")
    labels = [json.loads(one.payload)["label"] for one in listener.all(f"{TOPIC}/state")]
    assert labels == ["Shirt", "Coat"]


@needs_mosquitto
def test_mqtt_publishes_again_what_is_due(listen, connected, monkeypatch):
    monkeypatch.setattr(mqtt, "HEARTBEAT_S", 0.0)
    sink, _ = connected
    listener = listen()
    for _ in range(3):
        sink.show(sighting("Shirt"))
    wait_until(lambda: len(listener.all(f"{TOPIC}/state")) == 3, "the third answer")


@needs_mosquitto
def test_mqtt_publishes_a_moved_confidence(listen, connected, monkeypatch):
    monkeypatch.setattr(mqtt, "CONFIDENCE_S", 0.0)
    sink, _ = connected
    listener = listen()
    for confidence in (0.9, 0.85, 0.79, 0.78):
        sink.show(sighting("Shirt", confidence))
    sink.show(sighting("Coat", 0.5))
    wait_until(lambda: listener.last(f"{TOPIC}/event"), "the event")
    shown = [json.loads(one.payload)["confidence"] for one in listener.all(f"{TOPIC}/state")]
    assert shown == [0.9, 0.79, 0.5]


@needs_mosquitto
def test_mqtt_publishes_the_state_of_the_camera(listen, connected):
    sink, _ = connected
    listener = listen()
    lost = CameraState(CameraStatus.LOST, "The camera 0 gives no frames.", reconnects=1)
    assert sink.show_state(lost)
    sink.show_state(replace(lost, message="The camera 0 gives no frames for 2 seconds."))
    sink.show(sighting("Shirt", camera=CameraState(CameraStatus.OK, reconnects=1)))
    wait_until(lambda: listener.last(f"{TOPIC}/state"), "the answer")
    cameras = [json.loads(one.payload) for one in listener.all(f"{TOPIC}/camera")]
    changes = [(one["status"], one["problem"]) for one in cameras if one["reconnects"] == 1]
    assert changes == [("lost", True), ("ok", False)]


@needs_mosquitto
def test_mqtt_publishes_everything_again_after_a_restart_of_the_broker(broker, listen):
    said = []
    with MqttSink(parse_broker(broker.url), said.append) as sink:
        wait_until(lambda: said, "the first sentence")
        assert "cannot be reached (Connection refused)" in said[0]
        sink.show(sighting("Shirt"))  # the app goes on without the broker
        broker.start()
        wait_until(lambda: len(said) == 2, "the connection")
        listener = listen()
        wait_until(lambda: listener.last(f"{TOPIC}/state"), "the answer of before")
        broker.stop()
        wait_until(lambda: len(said) == 3, "the loss")
        assert "is lost" in said[2]
        sink.show(sighting("Coat"))
        broker.start()
        wait_until(lambda: len(said) == 4, "the second connection")
        late = listen()
        wait_until(lambda: late.last(f"{TOPIC}/state"), "the answer of meanwhile")
        assert late.last(f"{TOPIC}/state")["label"] == "Coat"
        assert late.last(f"{TOPIC}/availability") == "online"
        for topic, document in discovery(TOPIC).items():
            assert late.last(topic) == document
        assert [sentence.split()[0] for sentence in said] == [
            "The",
            "Connected",
            "The",
            "Connected",
        ]
        assert not any("pa@ss" in sentence or "pa%40ss" in sentence for sentence in said)


@needs_mosquitto
def test_mqtt_publishes_everything_again_after_a_start_of_home_assistant(
    listen, connected, monkeypatch
):
    monkeypatch.setattr(mqtt, "HOME_ASSISTANT_STARTS_S", 0.0)
    sink, _ = connected
    home_assistant = listen()
    wait_until(lambda: home_assistant.last(f"{TOPIC}/camera"), "the retained messages")
    home_assistant.client.publish(STATUS_TOPIC, "online")

    def is_sent_again():
        sink.show_state(CameraState(CameraStatus.OPENING))
        return all(len(home_assistant.all(topic)) == 2 for topic in discovery(TOPIC))

    wait_until(is_sent_again, "the second publication")


@needs_mosquitto
def test_webcam_with_mqtt_publishes_what_it_prints(broker, listen, run, monkeypatch):
    broker.start()
    listener = listen()
    monkeypatch.setenv("GARMENTLITE_MQTT", broker.url)  # the option has a test of its own below
    # About three seconds, so that the connection is made before the end.
    printed = run("webcam", "--source", "test-pattern", "--headless", "--max-frames", "60")
    assert "Connected" in printed.stderr
    assert "pa@ss" not in printed.stdout + printed.stderr
    wait_until(lambda: listener.last(f"{TOPIC}/availability") == "offline", "the goodbye")
    labels = {json.loads(line)["label"] for line in printed.stdout.splitlines()}
    published = {json.loads(one.payload)["label"] for one in listener.all(f"{TOPIC}/state")}
    assert published
    assert published <= labels


def test_webcam_with_a_wrong_mqtt_address_says_what_to_write(run):
    result = run("webcam", "--source", "test-pattern", "--mqtt", "http://anna:pass1@h", expect=2)
    assert "mqtt://user:password@host" in result.stderr
    assert "pass1" not in result.stderr


@needs_mosquitto
def test_mqtt_says_goodbye_at_the_end(broker, listen):
    broker.start()
    listener = listen()
    with MqttSink(parse_broker(broker.url), say_nothing):
        wait_until(lambda: listener.last(f"{TOPIC}/availability") == "online", "the start")
    wait_until(lambda: listener.last(f"{TOPIC}/availability") == "offline", "the goodbye")


@needs_mosquitto
def test_mqtt_will_says_offline_if_the_app_is_killed(broker, listen):
    broker.start()
    listener = listen()
    app = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time\n"
            "from garmentlite.edge.broker_address import parse_broker\n"
            "from garmentlite.edge.sinks.mqtt import MqttSink\n"
            f"with MqttSink(parse_broker({broker.url!r}), print):\n"
            "    time.sleep(600)\n",
        ]
    )
    try:
        wait_until(lambda: listener.last(f"{TOPIC}/availability") == "online", "the start")
    finally:
        app.kill()
        app.wait()
    wait_until(lambda: listener.last(f"{TOPIC}/availability") == "offline", "the will")


@needs_mosquitto
def test_mqtt_with_a_wrong_password_says_so_once(broker):
    broker.start()
    said = []
    url = broker.url.replace("pa%40ss", "wrong-one")
    with MqttSink(parse_broker(url), said.append) as sink:
        wait_until(lambda: said, "the refusal")
        sink.show(sighting("Shirt"))
        time.sleep(1.5)  # the second attempt comes after one second
    (sentence,) = said
    assert "refuses the connection (Not authorized)" in sentence
    assert "wrong-one" not in sentence


@pytest.fixture
def tls_broker(tmp_path):
    """A mosquitto with TLS, and the file of its certificate, which only its own authority knows."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed (apt install openssl)")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=broker",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    made = Broker(tmp_path)
    with made.settings.open("a") as settings:
        settings.write(f"certfile {certificate}\nkeyfile {key}\n")
    made.url = made.url.replace("mqtt://", "mqtts://")
    made.start()
    yield made, certificate
    made.stop()


@needs_mosquitto
def test_mqtts_connects_if_the_certificate_is_trusted(tls_broker, monkeypatch):
    broker, certificate = tls_broker
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    said = []
    with MqttSink(parse_broker(broker.url), said.append):
        wait_until(lambda: said, "the connection")
    assert said[0].startswith("Connected to the MQTT broker")


# paho-mqtt leaves the socket of a failed handshake to the garbage collector, which Python warns about.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@needs_mosquitto
def test_mqtts_with_an_unknown_certificate_says_so(tls_broker):
    broker, _ = tls_broker
    said = []
    with MqttSink(parse_broker(broker.url), said.append):
        wait_until(lambda: said, "the refusal")
    assert "cannot be reached" in said[0]
    assert "certificate verify failed" in said[0]


@needs_mosquitto
def test_mqtt_without_tls_at_a_port_with_tls_says_what_to_write(tls_broker):
    broker, _ = tls_broker
    said = []
    with MqttSink(parse_broker(broker.url.replace("mqtts://", "mqtt://")), said.append):
        wait_until(lambda: said, "the sentence")
    assert "does not answer as an MQTT broker does" in said[0]
    assert "write mqtts:// if the broker uses TLS" in said[0]


def test_mqtt_with_a_broker_that_does_not_answer_ends_soon():
    with socket.socket() as silent:  # takes the connection and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with MqttSink(parse_broker(f"mqtt://127.0.0.1:{silent.getsockname()[1]}"), print) as sink:
            sink.show(sighting("Shirt"))
            sink.show(sighting("Coat"))
        assert time.monotonic() - start < PATIENCE_S


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        pytest.param(None, "is not installed", id="missing"),
        pytest.param(type(sys)("client"), "an older one", id="version 1"),
    ],
)
def test_mqtt_without_paho_2_names_the_extra(module, reason, monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", module)
    monkeypatch.delattr(sys.modules["paho.mqtt"], "client")
    with pytest.raises(MissingPartError, match=rf"{reason}.*garmentlite\[mqtt\]"):
        MqttSink(parse_broker("mqtt://broker"), print)


def test_discovery_describes_one_device_whose_identifiers_differ_by_topic():
    documents = list(discovery("home/hall").values())
    assert len({json.dumps(one["device"]) for one in documents}) == 1
    identifiers = {one["unique_id"] for one in documents}
    assert len(identifiers) == len(documents) == 4
    assert not identifiers & {one["unique_id"] for one in discovery("home/attic").values()}
