"""What Home Assistant is told about the app: one device with four entities.

Home Assistant reads these documents from retained messages and then makes the entities by itself, see
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
"""

from __future__ import annotations

import re
from typing import Any

from garmentlite.edge.version import __version__

DISCOVERY_TOPIC = "homeassistant"
# Home Assistant publishes "online" here when it has started.
STATUS_TOPIC = f"{DISCOVERY_TOPIC}/status"
ONLINE, OFFLINE = "online", "offline"
LABEL_CHANGED = "label_changed"


def discovery(topic: str) -> dict[str, dict[str, Any]]:
    """Makes the documents that describe the app's entities.

    Args:
        topic: The app's topics begin with it: `TOPIC/availability` (online or offline), `TOPIC/state` (the
            answer), `TOPIC/camera` (the state of the camera) and `TOPIC/event` (each change of the label).

    Returns:
        For each topic on which a document must be published, the document.
    """
    node = re.sub(r"\W+", "_", topic, flags=re.ASCII)
    app_runs = {"topic": f"{topic}/availability"}
    # An answer from before the camera was lost is not an answer any more.
    camera_gives_answers = {
        "topic": f"{topic}/camera",
        "value_template": f"{{{{ '{ONLINE}' if value_json.status == 'ok' else '{OFFLINE}' }}}}",
    }
    answer = {
        "state_topic": f"{topic}/state",
        "json_attributes_topic": f"{topic}/state",
        "availability": [app_runs, camera_gives_answers],
        "availability_mode": "all",
    }
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "label"): answer
        | {
            "name": "Garment",
            "icon": "mdi:tshirt-crew",
            "value_template": "{{ value_json.label }}",
        },
        ("sensor", "confidence"): answer
        | {
            "name": "Confidence",
            "icon": "mdi:percent",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "value_template": "{{ (value_json.confidence * 100) | round }}",
        },
        ("binary_sensor", "camera_problem"): {
            "name": "Camera",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": f"{topic}/camera",
            "json_attributes_topic": f"{topic}/camera",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            "availability": [app_runs],
        },
        ("event", "change"): {
            "name": "Change",
            "icon": "mdi:hanger",
            "event_types": [LABEL_CHANGED],
            "state_topic": f"{topic}/event",
            "availability": [app_runs],
        },
    }
    device = {
        "identifiers": [node],
        "name": topic.replace("/", " "),
        "model": "garmentlite",
        "sw_version": __version__,
    }
    return {
        f"{DISCOVERY_TOPIC}/{kind}/{node}/{name}/config": {
            **entity,
            "unique_id": f"{node}_{name}",
            "device": device,
            "origin": {"name": "garmentlite", "sw_version": __version__},
        }
        for (kind, name), entity in entities.items()
    }
