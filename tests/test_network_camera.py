"""Tests of cameras on the network, with an HTTP (MJPEG) and an RTSP server on this machine."""

import base64
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from waiting import PATIENCE_S

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import SourceError
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.sources.registry import open_source

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "weighted-cnn_int8.tflite"


def jpeg(number):
    """A drawn picture that differs from number to number."""
    frame = np.full((240, 320, 3), 90, np.uint8)
    cv2.rectangle(frame, (number % 200, 60), (number % 200 + 60, 180), (40, 200, 90), -1)
    return cv2.imencode(".jpg", frame)[1].tobytes()


class Server:
    """Accepts connections on a port of its own, until it is killed; it can be started again."""

    def __init__(self):
        self.socket, self.port, self.clients, self.is_silent = None, 0, [], threading.Event()

    def start(self):
        self.socket = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.socket,), daemon=True).start()
        return self

    def kill(self):
        """Closes the port and all connections, as if the camera had lost its power."""
        with suppress(OSError):  # it was killed before
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        while self.clients:
            with suppress(OSError):  # the camera has left
                self.clients.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self, listening):
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, suppress(OSError):
            self.serve(client)

    def each_frame(self):
        for number in count():
            if self.is_silent.is_set():
                time.sleep(PATIENCE_S)
            yield number, jpeg(number)
            time.sleep(0.05)


class HttpServer(Server):
    """Sends MJPEG to whoever asks for /video and says user:secret if `asks_for_password`."""

    asks_for_password = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/video"

    def serve(self, client):
        request = client.recv(65536).decode()
        if "/video" not in request.partition("\r\n")[0]:
            client.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")
            return
        given = "Basic " + base64.b64encode(b"user:secret").decode()
        if self.asks_for_password and given not in request:
            challenge = (
                b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"\r\n\r\n'
            )
            client.sendall(challenge)
            return
        if "/video/one.jpg" in request:
            picture = jpeg(1)
            head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(picture)}\r\n\r\n"
            client.sendall(head.encode() + picture)
            return
        client.sendall(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        )
        for _, picture in self.each_frame():
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            client.sendall(head.encode() + picture + b"\r\n")


class RtspServer(Server):
    """Sends JPEG pictures as RTP packets (RFC 2435) within the RTSP connection (RFC 2326)."""

    @property
    def url(self):
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def serve(self, client):
        for request in self._requests(client):
            method = request.split()[0]
            headers = dict(
                line.split(": ", 1) for line in request.split("\r\n")[1:] if ": " in line
            )
            answer = [f"RTSP/1.0 200 OK\r\nCSeq: {headers['CSeq']}"]
            body = ""
            if method == "OPTIONS":
                answer.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
                    "m=video 0 RTP/AVP 26\r\na=control:track0\r\n"
                )
                answer += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == "SETUP":
                answer += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
            elif method == "PLAY":
                answer.append("Session: 1")
            client.sendall(("\r\n".join(answer) + "\r\n\r\n" + body).encode())
            if method == "PLAY":
                self._play(client)

    def _requests(self, client):
        received = b""
        while data := client.recv(65536):
            received += data
            while b"\r\n\r\n" in received:
                request, _, received = received.partition(b"\r\n\r\n")
                yield request.decode()

    def _play(self, client):
        sequence = 0
        for number, picture in self.each_frame():
            tables, scan = self._parts(picture)
            for at in range(0, len(scan), 1400):
                part = scan[at : at + 1400]
                is_last = at + 1400 >= len(scan)
                head = struct.pack(">BBHII", 0x80, 26 | (0x80 if is_last else 0), sequence & 0xFFFF,
                                   number * 4500, 7)  # fmt: skip
                head += struct.pack(">I", at) + bytes([1, 255, 320 // 8, 240 // 8])
                if at == 0:
                    head += struct.pack(">BBH", 0, 0, len(tables)) + tables
                packet = head + part
                client.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
                sequence += 1

    @staticmethod
    def _parts(picture):
        """Takes the quantization tables and the compressed data out of a JPEG picture."""
        tables, at = b"", 2
        while picture[at + 1] != 0xDA:
            length = struct.unpack_from(">H", picture, at + 2)[0]
            if picture[at + 1] == 0xDB:
                segment = picture[at + 4 : at + 2 + length]
                while segment:
                    tables, segment = tables + segment[1:65], segment[65:]
            at += 2 + length
        at += 2 + struct.unpack_from(">H", picture, at + 2)[0]
        return tables, picture[at:-2]


@pytest.fixture(params=[HttpServer, RtspServer])
def server(request):
    started = request.param().start()
    yield started
    started.is_silent.set()
    started.kill()


@pytest.fixture
def http_server():
    started = HttpServer().start()
    yield started
    started.kill()


def until(source, reached):
    """Reads a source until a frame or a state is what a test waits for; returns it."""
    deadline = time.monotonic() + PATIENCE_S
    for item in source:
        if reached(item):
            return item
        assert time.monotonic() < deadline, f"waited in vain; the last item is {item}"
    raise AssertionError("the source ended")


def is_frame(item):
    return isinstance(item, Frame)


def is_lost(item):
    return isinstance(item, CameraState) and item.status is CameraStatus.LOST


def test_network_camera_gives_its_frames(server):
    with open_source(server.url) as source:
        frame = until(source, is_frame)
    assert frame.bgr.shape == (240, 320, 3)
    # It is the grey of the drawing, which JPEG changes a little.
    assert np.abs(frame.bgr[5, 5].astype(int) - 90).max() < 6
    assert frame.name is None


@pytest.mark.slow
def test_network_camera_that_is_killed_and_started_again_is_answered_again(server):
    with open_source(server.url) as source:
        until(source, is_frame)
        server.kill()
        until(source, is_lost)
        server.start()
        until(source, is_frame)
        assert source.camera.reconnects == 1
        server.kill()
        until(source, is_lost)
        server.start()
        until(source, is_frame)
        assert source.camera.reconnects == 2


@pytest.mark.slow
def test_network_camera_that_falls_silent_is_seen_and_opened_again(server):
    with open_source(server.url) as source:
        until(source, is_frame)
        server.is_silent.set()
        until(source, is_lost)
        server.is_silent.clear()
        until(source, is_frame)
        assert source.camera.reconnects == 1


def test_network_camera_with_a_password_gives_its_frames(http_server):
    http_server.asks_for_password = True
    url = http_server.url.replace("://", "://user:secret@")
    with open_source(url) as source:
        until(source, is_frame)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("http://user:secret@127.0.0.1:{free}/video", "Connection refused"),
        ("rtsp://user:secret@127.0.0.1:{free}/video", "Connection refused"),
        ("http://user:secret@127.0.0.1:{port}/other", "404 Not Found"),
        ("http://user:secret@nowhere.invalid/video", "resolve"),
    ],
)
def test_network_camera_that_cannot_be_opened_says_why_without_its_password(
    http_server, place, expected
):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        free = unused.getsockname()[1]
    url = place.format(free=free, port=http_server.port)
    with pytest.raises(SourceError) as raised, open_source(url):
        pass
    assert expected in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "user" not in str(raised.value).replace("user name", "")


def test_address_of_a_single_picture_is_refused(http_server):
    with (
        pytest.raises(SourceError, match="sends a single picture and no stream; give the address"),
        open_source(f"{http_server.url}/one.jpg"),
    ):
        pass


@pytest.mark.slow
def test_app_with_a_camera_that_is_killed_and_started_again_tells_it_in_its_lines(http_server):
    http_server.asks_for_password = True
    url = http_server.url.replace("://", "://user:secret@")
    app = subprocess.Popen(
        [sys.executable, "-P", "cli.py", "webcam", "--source", url, "--headless", "--model", str(MODEL),
         "--segment", "plain"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = (json.loads(line) for line in app.stdout)
        first = next(line for line in lines if line["label"])
        assert first["camera"]["status"] == "ok"
        if sys.platform.startswith("linux"):
            shown = Path(f"/proc/{app.pid}/cmdline").read_bytes()
            assert b"secret" not in shown
            assert b"http://***@127.0.0.1" in shown
        http_server.kill()
        lost = next(line for line in lines if line["camera"]["status"] != "ok")
        assert (lost["label"], lost["camera"]["status"]) == (None, "lost")
        assert "secret" not in json.dumps(lost)
        http_server.start()
        back = next(line for line in lines if line["label"])
        assert back["camera"]["reconnects"] == 1
        http_server.kill()
        next(line for line in lines if line["camera"]["status"] == "lost")
        app.send_signal(signal.SIGTERM)  # within the pause before the camera is opened again
        _, err = app.communicate(timeout=PATIENCE_S)
        assert (app.returncode, err) == (0, "")
    finally:
        app.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_app_whose_camera_has_fallen_silent_ends_with_0(server, number):
    """The camera's thread waits in FFmpeg then, and must not return while Python ends."""
    app = subprocess.Popen(
        [sys.executable, "-P", "cli.py", "webcam", "--source", server.url, "--headless"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        next(line for line in app.stdout if json.loads(line)["label"])
        server.is_silent.set()
        next(line for line in app.stdout if json.loads(line)["camera"]["status"] == "lost")
        app.send_signal(number)
        _, err = app.communicate(timeout=PATIENCE_S)
        assert (app.returncode, err) == (0, "")
    finally:
        app.kill()
