"""Publishes the garment in front of a camera to an MQTT broker, whenever the answer changes.

    python examples/mqtt_publisher.py localhost
    python examples/mqtt_publisher.py broker.home --topic hall/garment --source photos

This is a start for a program of your own; `cli webcam --mqtt` publishes more, for Home Assistant.
"""

import argparse
import json
import sys

import paho.mqtt.client as mqtt

from garmentlite import GarmentliteError, GarmentStream, Recognizer


def publish(client: mqtt.Client, topic: str, source: str) -> None:
    """Publishes label and confidence whenever the label changes, until the source ends."""
    last_label = None
    with GarmentStream(source, Recognizer()) as stream:
        for sighting in stream:
            recognition = sighting.recognition
            if recognition.label == last_label:
                continue
            last_label = recognition.label
            document = {"label": last_label, "confidence": round(recognition.confidence, 3)}
            # Retained, so that a client that connects later learns the last answer at once.
            client.publish(topic, json.dumps(document), qos=1, retain=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Publishes the garment in front of a camera.")
    parser.add_argument("host", help="Name or address of the MQTT broker.")
    parser.add_argument("--port", type=int, default=1883, help="Port of the broker.")
    parser.add_argument("--topic", default="garmentlite", help="Topic of the messages.")
    parser.add_argument("--source", default="auto", help="Camera, video or folder of pictures.")
    arguments = parser.parse_args()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    try:
        client.connect(arguments.host, arguments.port)
    except OSError as error:
        sys.exit(f"The broker {arguments.host}:{arguments.port} cannot be reached ({error}).")
    client.loop_start()  # sends the messages in a thread, and connects again after a loss
    try:
        publish(client, arguments.topic, arguments.source)
    except GarmentliteError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
    finally:
        client.disconnect()
        client.loop_stop()


if __name__ == "__main__":
    main()
