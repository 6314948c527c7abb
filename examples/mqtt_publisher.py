"""Publishes the garment before a camera to an MQTT broker, whenever another one is shown.

    python examples/mqtt_publisher.py localhost
    python examples/mqtt_publisher.py broker.home --topic hall/garment --source pictures

`cli webcam --mqtt` publishes more, such as what Home Assistant needs. This program is a start for your own.
"""

import argparse
import json

import paho.mqtt.client as mqtt

from garmentlite import GarmentStream, Recognizer

TIMEOUT_S = 10  # for a message to reach the broker

parser = argparse.ArgumentParser(description="Publishes the garment before a camera.")
parser.add_argument("host", help="Name or address of the MQTT broker.")
parser.add_argument("--port", type=int, default=1883, help="Port of the broker.")
parser.add_argument("--topic", default="garmentlite", help="Topic of the messages.")
parser.add_argument("--source", default="auto", help="A camera, a video or a folder of pictures.")
arguments = parser.parse_args()

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect(arguments.host, arguments.port)
client.loop_start()  # a thread of paho-mqtt sends the messages and connects again after a loss
label = None
with GarmentStream(arguments.source, Recognizer()) as stream:
    for sighting in stream:
        recognition = sighting.recognition
        if recognition.label != label:
            label = recognition.label
            document = {"label": label, "confidence": round(recognition.confidence, 3)}
            message = client.publish(arguments.topic, json.dumps(document), qos=1, retain=True)
            message.wait_for_publish(TIMEOUT_S)
client.disconnect()
client.loop_stop()
