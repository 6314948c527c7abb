"""Tests of the page's URLs, with requests to a page that is really served."""

import http.client
import io
import json
import re
import socket
import threading

import numpy as np
import pytest
from PIL import Image
from waiting import PATIENCE_S, wait_until

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.page.features import Feature
from garmentlite.edge.page.handlers import EVENTS_BUFFER, LARGEST_REQUEST, MOST_VIEWERS, PageHandler


@pytest.fixture
def page(serve, make_sighting):
    made = serve()
    made.server.verdicts.take(make_sighting("Coat", 0.8))
    return made


class Camera:
    """A thread that gives frames of noise, whose JPEG is large, until it is stopped."""

    def __init__(self, page, make_sighting):
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
        self._sighting = make_sighting(frame_bgr=noise)
        self._page = page
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_stopped.set()
        self._thread.join()

    def _run(self):
        while not self._is_stopped.wait(0.02):
            self._page.server.verdicts.take(self._sighting)


def events_of(connection, count):
    """Reads server-sent events: pairs of name and document."""
    found, text = [], ""
    while len(found) < count:
        chunk = connection.recv(1 << 16)
        assert chunk, "the server closed the connection"
        text += chunk.decode()
        found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
    return [(name, json.loads(data)) for name, data in found]


def test_page_and_its_files_are_served_with_their_types(page):
    status, headers, body = page.ask("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    paths = re.findall(rb'(?:src|href)="([^"]+)"', body)
    assert b"page.js" in paths
    for path in paths:
        status, headers, _ = page.ask(f"/{path.decode()}")
        assert status == 200
        assert headers["Content-Type"].split(";")[0] in (
            "text/css",
            "text/javascript",
            "image/svg+xml",
        )


def test_scripts_import_only_what_is_served(page):
    waiting, seen = ["page.js"], set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        status, _, body = page.ask(f"/{name}")
        assert status == 200, name
        waiting += set(re.findall(r'from "\./([^"]+)"', body.decode())) - seen
    assert len(seen) > 5


def test_verdict_is_the_newest_answer(page):
    status, headers, body = page.ask("/verdict")
    document = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert (document["label"], document["confidence"]) == ("Coat", 0.8)


def test_snapshot_is_the_newest_frame_with_the_outline(page):
    status, headers, body = page.ask("/snapshot.jpg")
    picture = np.asarray(Image.open(io.BytesIO(body)))
    assert (status, headers["Content-Type"], headers["X-Frame"]) == (200, "image/jpeg", "1")
    assert picture.shape == (48, 64, 3)
    assert np.ptp(picture) > 50  # the frame is grey, the outline is not
    assert headers["Cache-Control"] == "no-store"


def test_snapshot_after_a_frame_waits_for_the_next_one(page, make_sighting):
    threading.Timer(0.2, page.server.verdicts.take, [make_sighting()]).start()
    status, headers, _ = page.ask("/snapshot.jpg?after=1")
    assert (status, headers["X-Frame"]) == (200, "2")


def test_snapshot_with_a_number_that_is_none_is_the_newest(page):
    for after in ("x", "-1", "²", ""):
        assert (
            page.ask(f"/snapshot.jpg?after={after.encode().hex() if after == '²' else after}")[0]
            == 200
        )


@pytest.mark.slow
def test_snapshot_of_a_lost_camera_is_refused(page):
    page.server.verdicts.take_state(CameraState(CameraStatus.LOST, "The camera is gone."))
    assert page.ask("/snapshot.jpg")[0] == 503


def test_nothing_is_encoded_while_nobody_looks_and_each_frame_once(page, make_sighting):
    for _ in range(5):
        page.server.verdicts.take(make_sighting())
        page.ask("/verdict")
    assert page.server.pictures.encoded == 0
    for _ in range(3):
        page.ask("/snapshot.jpg")
    assert page.server.pictures.encoded == 1


def test_stream_sends_a_part_for_each_frame(page, make_sighting):
    with page.open("/stream.mjpg") as connection, Camera(page, make_sighting):
        text = b""
        while text.count(b"--frame\r\nContent-Type: image/jpeg") < 4:
            text += connection.recv(1 << 16)
    assert b"Content-Type: multipart/x-mixed-replace; boundary=frame" in text
    numbers = [int(one) for one in re.findall(rb"X-Frame: (\d+)", text)]
    assert numbers == sorted(set(numbers))


def test_events_begin_with_the_present_verdict_and_tell_changes(page, make_sighting):
    verdicts = page.server.verdicts
    with page.open("/events") as connection:
        assert events_of(connection, 1)[0][1]["label"] == "Coat"
        verdicts.take(make_sighting("Coat", 0.7))  # no change
        verdicts.take(make_sighting("Bag", 0.7))
        verdicts.take_state(CameraState(CameraStatus.LOST, "The camera is gone."))
        [(name, document)] = events_of(connection, 1)
        assert (name, document["label"]) == ("verdict", None)
        assert document["camera"]["status"] == "lost"
        page.ask("/controls", method="POST", body=b'{"paused": true}')
        assert events_of(connection, 1)[0][1]["settings"]["paused"] is True


def test_live_events_have_every_frame_and_the_history(page, make_sighting):
    with page.open("/events?live=1") as connection:
        names = [(name, one["label"]) for name, one in events_of(connection, 2)]
        assert names == [("history", "Coat"), ("verdict", "Coat")]
        page.server.verdicts.take(make_sighting("Coat", 0.9))
        assert events_of(connection, 1)[0][1]["confidence"] == 0.9
        page.server.verdicts.take(make_sighting("Bag", 0.6))
        ended, begun, verdict = events_of(connection, 3)
        assert (ended[1]["label"], ended[1]["confidence"]) == ("Coat", 0.9)
        assert ended[1]["ended"] is not None
        assert (begun[1]["label"], begun[1]["ended"]) == ("Bag", None)
        assert verdict[1]["label"] == "Bag"


def test_controls_change_the_settings_of_the_app(page):
    body = json.dumps({"box": [0.1, 0.2, 0.3, 0.4], "mirrored": True}).encode()
    status, _, answer = page.ask("/controls", method="POST", body=body)
    assert status == 200
    assert json.loads(answer) == {"box": [0.1, 0.2, 0.3, 0.4], "mirrored": True, "paused": False}
    assert page.controls.settings.is_mirrored
    assert page.controls.settings.box.x == 0.1


def test_controls_that_are_wrong_are_one_sentence(page):
    status, _, answer = page.ask("/controls", method="POST", body=b'{"box": [0, 0, 2, 2]}')
    assert status == 400
    assert answer.startswith(
        b"The controls cannot be changed: The guide box does not lie within the frame"
    )
    assert answer.count(b"\n") == 1


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "/page.js/../../server.py", "/..%2f..%2fetc/passwd", "/static/page.js",
     "/features/../page.js", "//etc/passwd", "/features/none.js", "/page.css%00", "/stream.mjpg/x"],
)  # fmt: skip
def test_address_that_does_not_exist_is_refused(page, path):
    status, _, body = page.ask(path)
    assert status == 404
    assert body == b"There is no such address; docs/camera.md lists them.\n"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/verdict"), ("GET", "/controls"), ("GET", "/classify"), ("PUT", "/")],
)
def test_method_that_an_address_does_not_have_is_refused(page, method, path):
    assert page.ask(path, method=method)[0] == 405


def test_request_that_is_too_large_is_refused(page):
    head = f"POST /controls HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {LARGEST_REQUEST + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        assert_refused(connection, 400, "cannot be read")


def assert_refused(connection, status, words):
    """Reads an answer, which has to be one sentence."""
    connection.settimeout(PATIENCE_S)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    text = answer.read().decode()
    assert answer.status == status
    assert words in text
    assert (text.count("\n"), text[-2:]) == (1, ".\n")


@pytest.mark.parametrize("place", ["address", "field", "fields"])
def test_header_that_is_too_long_is_refused(page, place):
    size = 200_000
    address = "?" + "x" * size if place == "address" else ""
    fields = {"address": "", "field": f"X: {'x' * size}\r\n", "fields": "X: y\r\n" * (size // 6)}
    with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
        connection.sendall(
            f"GET /verdict{address} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields[place]}\r\n".encode()
        )
        assert_refused(connection, 431, "header of the request is larger than 64 kB")


@pytest.mark.parametrize(
    "text",
    [
        b"\0" * 100 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /controls HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n\r\n",
    ],
)
def test_request_that_is_not_http_is_refused_in_a_sentence(page, text):
    with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
        connection.sendall(text)
        assert_refused(connection, 400, "cannot be read; send HTTP/1.1")
    assert page.ask("/verdict")[0] == 200


def test_value_that_cannot_be_read_is_refused_and_prints_nothing(page, capfd):
    status, _, body = page.ask("/snapshot.jpg?after=%ff")
    assert (status, body.count(b"\n")) == (400, 1)
    assert capfd.readouterr() == ("", "")


def test_five_viewers_and_one_that_never_reads(serve, make_sighting):
    """The stuck one is cut off, and the others see every frame that they have time for."""
    page = serve(patience=3)  # so long that a busy machine does not cut off the others too
    with Camera(page, make_sighting), page.open("/stream.mjpg") as stuck:
        viewers = [page.open("/stream.mjpg") for _ in range(5)]
        received = [0] * 5

        def read(number):
            while chunk := viewers[number].recv(1 << 16):
                received[number] += chunk.count(b"X-Frame")

        threads = [threading.Thread(target=read, args=[number]) for number in range(5)]
        for thread in threads:
            thread.start()
        wait_until(
            lambda: page.ask("/verdict")[0] == 200 and min(received) > 20, "20 frames for all"
        )
        wait_until(lambda: is_cut_off(stuck), "the cut")
        before = min(received)
        wait_until(lambda: min(received) > before + 5, "frames after the cut")
        for viewer in viewers:
            viewer.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for viewer in viewers:
            viewer.close()


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux tells how long bytes have waited"
)
def test_reader_of_events_that_never_reads_is_cut_off_although_its_buffer_has_room(
    serve, make_sighting
):
    """What waits for it fits into the server's own buffer, and nothing more comes."""
    page = serve(patience=0.5)
    with socket.socket() as stuck:
        # The system makes the buffer a little larger.
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        stuck.connect(("127.0.0.1", page.port))
        stuck.sendall(b"GET /events?live=1 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        sent = 0
        while sent < EVENTS_BUFFER // 2:
            page.server.verdicts.take(make_sighting("Coat", 0.8))
            sent += len(page.ask("/verdict")[2])
        wait_until(lambda: is_cut_off(stuck), "the cut")


def is_cut_off(connection):
    """Whether the server has closed the connection, which the system tells once it is sent something."""
    try:
        connection.sendall(b"\r\n")
    except OSError:
        return True
    return False


def test_viewers_beyond_the_limit_are_refused_until_one_leaves(page):
    viewers = [page.open("/events") for _ in range(MOST_VIEWERS)]
    for viewer in viewers:
        events_of(viewer, 1)
    status, _, body = page.ask("/stream.mjpg")
    assert status == 503
    assert b"Too many viewers" in body
    for viewer in viewers:
        viewer.close()
    # There is news, so that it writes to them.
    page.ask("/controls", method="POST", body=b'{"paused": true}')
    page.ask("/controls", method="POST", body=b'{"paused": false}')

    def has_room():
        with page.open("/events") as connection:
            return b"200 OK" in connection.recv(100)

    wait_until(has_room, "room for a viewer")


def test_feature_adds_a_panel_with_addresses_of_its_own(serve):
    class Greeting(PageHandler):
        def initialize(self, page, word):
            super().initialize(page)
            self._word = word

        def get(self):
            self.send_json({"word": self._word})

    feature = Feature(
        "greeting",
        "A greeting",
        "export function mount() {}",
        [("/greeting", Greeting, {"word": "hello"})],
    )
    page = serve("t" * 43, features=[feature])
    bearer = {"Authorization": f"Bearer {'t' * 43}"}
    assert json.loads(page.ask("/features", **bearer)[2]) == [
        {"name": "greeting", "title": "A greeting", "script": "/features/greeting.js"}
    ]
    assert page.ask("/features/greeting.js", **bearer)[2] == b"export function mount() {}"
    assert json.loads(page.ask("/greeting", **bearer)[2]) == {"word": "hello"}
    assert page.ask("/greeting")[0] == 401


def test_server_that_is_stopped_closes_its_port_and_connections(serve, make_sighting, caplog):
    page = serve()
    page.server.verdicts.take(make_sighting())
    with page.open("/events") as connection:
        events_of(connection, 1)
        threads = threading.active_count()
        page.server.stop()
        assert threading.active_count() < threads
        assert connection.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        page.ask("/verdict")
    assert caplog.text == ""
