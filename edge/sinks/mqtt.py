"""Publishes the answers to an MQTT broker, in the form that Home Assistant finds by itself."""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from garmentlite.edge.broker_address import BrokerAddress
from garmentlite.edge.callbacks import Say
from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.sinks.home_assistant import (
    LABEL_CHANGED,
    OFFLINE,
    ONLINE,
    STATUS_TOPIC,
    discovery,
)
from garmentlite.edge.sinks.interface import Sighting

if TYPE_CHECKING:
    from types import ModuleType

    from paho.mqtt.client import Client, MQTTMessage

HEARTBEAT_S = 60.0  # the answer is published again after this time, even if it has not changed
CONFIDENCE_STEP = 0.1  # a change of confidence from which on the answer is published again
CONFIDENCE_S = 1.0  # shortest time between two messages of which only the confidence differs
# Home Assistant needs some seconds after its "online" before it takes all messages.
HOME_ASSISTANT_STARTS_S = 5.0
KEEPALIVE_S = 30  # a broker that does not answer for longer than this is gone
# Longest time between two attempts to connect; the first attempts follow after 1, 2, 4 ... seconds.
LONGEST_PAUSE_S = 30
GOODBYE_S = 2.0  # longest time that the app waits at its end for the broker

PROBLEMS = (CameraStatus.BLACK, CameraStatus.FROZEN, CameraStatus.LOST)


class MqttSink:
    """Publishes the answer when it changes, and the state of the camera.

    A thread of its own talks to the broker, so that the app never waits for it. While the broker is away,
    nothing is kept; once it is back, everything is published again. The state messages are retained, the
    events are not.
    """

    def __init__(self, broker: BrokerAddress, say: Say) -> None:
        """Chooses the broker.

        Args:
            broker: Its address.
            say: Called with a sentence when the connection is made or lost, once each, also from another
                thread.

        Raises:
            MissingPartError: If paho-mqtt 2 is not installed.
        """
        self._paho = _load_paho()
        self._broker = broker
        self._say = say
        self._lock = threading.Lock()  # guards the fields below, which two threads read
        self._state: dict[str, Any] | None = None
        self._state_sent = -HEARTBEAT_S  # value of time.monotonic
        self._sent_confidence = 0.0
        self._camera = _camera_document(CameraState(CameraStatus.OPENING))
        self._resend_at: float | None = None  # value of time.monotonic
        self._has_complained = False
        self._was_connected = False
        self._is_closing = False

    def __enter__(self) -> Self:
        """Starts the thread that connects to the broker, and does not wait for it."""
        paho = self._paho
        client: Client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.is_encrypted:
            client.tls_set()
        client.will_set(self._topic("availability"), OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(1, LONGEST_PAUSE_S)
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_message = self._home_assistant_started
        client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        self._client = client  # set before the thread that uses it starts
        client.loop_start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Says goodbye to the broker; waits for it for `GOODBYE_S` seconds at most."""
        self._is_closing = True
        # The broker publishes the will only if it does not hear the goodbye.
        self._client.publish(self._topic("availability"), OFFLINE, retain=True)
        self._client.disconnect()
        # loop_stop waits for the thread, which may be waiting for a broker that does not answer.
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopping.start()
        stopping.join(GOODBYE_S)

    def show(self, sighting: Sighting) -> bool:
        """Publishes the answer if it has changed or is due again."""
        recognition = sighting.recognition
        state = {
            "label": recognition.label,
            "confidence": round(recognition.confidence, 3),
            "time": datetime.fromtimestamp(sighting.clock, UTC).isoformat(timespec="seconds"),
        }
        with self._lock:
            self._note_camera(sighting.camera or CameraState(CameraStatus.OK))
            previous, since = self._state, time.monotonic() - self._state_sent
            self._state = state
            if previous is not None and previous["label"] != state["label"]:
                self._publish("state", state)
                event = {"event_type": LABEL_CHANGED, "previous_label": previous["label"], **state}
                self._publish("event", event, retain=False)
            elif since >= HEARTBEAT_S or (since >= CONFIDENCE_S and self._has_moved(state)):
                self._publish("state", state)
            self._resend_if_due()
        return True

    def show_state(self, camera: CameraState) -> bool:
        """Publishes the state of the camera if it has changed."""
        with self._lock:
            self._note_camera(camera)
            self._resend_if_due()
        return True

    def _has_moved(self, state: dict[str, Any]) -> bool:
        return abs(state["confidence"] - self._sent_confidence) >= CONFIDENCE_STEP

    def _note_camera(self, camera: CameraState) -> None:
        document, previous = _camera_document(camera), self._camera
        self._camera = document
        # The message alone may count seconds, which is no news.
        if any(document[key] != previous[key] for key in ("status", "reconnects")):
            self._publish("camera", document)

    def _resend_if_due(self) -> None:
        if self._resend_at is not None and time.monotonic() >= self._resend_at:
            self._resend_at = None
            self._publish_everything()

    def _publish_everything(self) -> None:
        for topic, document in discovery(self._broker.topic).items():
            self._client.publish(topic, json.dumps(document), retain=True)
        self._client.publish(self._topic("availability"), ONLINE, retain=True)
        self._publish("camera", self._camera)
        if self._state is not None:
            self._publish("state", self._state)

    def _publish(self, name: str, document: dict[str, Any], *, retain: bool = True) -> None:
        # Without a connection the message is dropped, and `_connected` publishes the present state later.
        payload = json.dumps(document, ensure_ascii=False)
        self._client.publish(self._topic(name), payload, retain=retain)
        if name == "state":
            self._state_sent, self._sent_confidence = time.monotonic(), document["confidence"]

    def _topic(self, name: str) -> str:
        return f"{self._broker.topic}/{name}"

    # --- called by paho-mqtt in its thread; an exception would end this thread

    def _connected(self, client: Client, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._complain(
                f"The MQTT broker {self._broker} refuses the connection ({reason}); check the user and the "
                "password of --mqtt. The app goes on and tries again."
            )
            return
        client.subscribe(STATUS_TOPIC)
        with self._lock:
            self._publish_everything()
        self._has_complained = False
        self._was_connected = True
        self._say(
            f"Connected to the MQTT broker {self._broker}; the topics begin with {self._broker.topic}/."
        )

    def _not_connected(self, client: Client, _: Any) -> None:
        error = sys.exception()  # paho-mqtt calls this while it handles the error
        reason = getattr(error, "strerror", None) or str(error or "no connection")
        self._complain(
            f"The MQTT broker {self._broker} cannot be reached ({reason}); check the address of --mqtt and "
            "whether the broker runs. The app goes on and tries again."
        )

    def _disconnected(
        self, client: Client, _: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if self._is_closing:
            return
        if self._was_connected:
            self._complain(
                f"The connection to the MQTT broker {self._broker} is lost. The app goes on and connects "
                "again."
            )
        else:
            self._complain(
                f"{self._broker} does not answer as an MQTT broker does; check the port of --mqtt, and write "
                "mqtts:// if the broker uses TLS. The app goes on and tries again."
            )

    def _home_assistant_started(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if message.payload == ONLINE.encode():
            self._resend_at = time.monotonic() + HOME_ASSISTANT_STARTS_S

    def _complain(self, sentence: str) -> None:
        """Says a sentence once until the next connection."""
        if not self._has_complained:
            self._has_complained = True
            self._say(sentence)


def _camera_document(camera: CameraState) -> dict[str, Any]:
    return {
        "status": str(camera.status),
        "problem": camera.status in PROBLEMS,
        "message": camera.message,
        "reconnects": camera.reconnects,
    }


def _load_paho() -> ModuleType:
    way_out = "install it with: python -m pip install 'garmentlite[mqtt]'"
    try:
        from paho.mqtt import client
    except ImportError as error:
        raise MissingPartError(
            f"--mqtt needs paho-mqtt, which is not installed; {way_out}"
        ) from error
    if not hasattr(client, "CallbackAPIVersion"):  # Raspberry Pi OS 12 has version 1.6
        raise MissingPartError(
            f"--mqtt needs paho-mqtt 2, and an older one is installed; {way_out}"
        )
    return client
