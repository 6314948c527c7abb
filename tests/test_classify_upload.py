"""Tests of pictures that are sent to the page."""

import io
import json
import socket
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image
from waiting import PATIENCE_S

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.page.classify_upload import LARGEST_PICTURE

BOUNDARY = "x1y2"


def picture_bytes(label="Coat", form="PNG", size=(120, 160)):
    content = io.BytesIO()
    Image.fromarray(draw_scene(label, np.random.default_rng(1), size).rgb).save(content, form)
    return content.getvalue()


def bomb(width, height):
    """A PNG of few bytes that claims to be huge."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def form_of(content, name="picture", filename="../../etc/passwd"):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def send(page, body, content_type="image/png"):
    status, _, answer = page.ask("/classify", method="POST", body=body, Content_Type=content_type)
    return status, answer


def test_picture_as_the_body_is_classified_as_by_the_command(serve):
    status, answer = send(serve(), picture_bytes())
    document = json.loads(answer)
    assert status == 200
    assert {"label", "confidence", "top_k", "latency_ms", "preparation", "image"} == document.keys()
    assert document["preparation"]["found"] is True


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "BMP"])
def test_picture_of_another_format_is_classified(serve, form):
    assert send(serve(), picture_bytes(form=form), "application/x-www-form-urlencoded")[0] == 200


def test_picture_in_a_form_is_classified_whatever_its_name(serve):
    page = serve()
    status, answer = send(
        page, form_of(picture_bytes()), f"multipart/form-data; boundary={BOUNDARY}"
    )
    assert status == 200
    assert json.loads(answer)["label"] == json.loads(send(page, picture_bytes())[1])["label"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", b"There is no picture in the request"),
        (b"not a picture", b"The picture is not a picture that can be read"),
        (picture_bytes()[:-2000], b"The picture is damaged or incomplete"),
        (picture_bytes(size=(20, 20)), b"The picture is too small (20 x 20 pixels"),
        (bomb(9000, 9000), b"The picture is too large (9000 x 9000 pixels, at most 64 million"),
        (bomb(100_000, 100_000), b"The picture is too large"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", b"The picture is not a picture that can be read"),
    ],
)
def test_body_that_is_no_usable_picture_is_refused_in_one_sentence(serve, body, sentence):
    status, answer = send(serve(), body)
    assert status == 400
    assert answer.startswith(sentence)
    assert answer.count(b"\n") == 1


@pytest.mark.parametrize("body", [b"", form_of(b""), b"--x1y2 and no end"])
def test_form_without_a_picture_is_refused(serve, body):
    status, answer = send(serve(), body, f"multipart/form-data; boundary={BOUNDARY}")
    assert status == 400
    assert b"Traceback" not in answer


def test_body_that_is_too_large_is_refused_before_it_is_received(serve):
    page = serve()
    with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
        head = "POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        connection.sendall(f"{head}Content-Length: {2 * LARGEST_PICTURE}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_body_of_unknown_length_that_is_too_large_is_refused(serve):
    page = serve()
    with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        answer = b""
        try:
            for _ in range(LARGEST_PICTURE // 100_000 + 5):
                connection.sendall(b"186a0\r\n" + bytes(100_000) + b"\r\n")
            answer = connection.recv(1000)
        except OSError:
            pass  # the server has closed the connection
    assert not answer.startswith(b"HTTP/1.1 200")
    assert send(page, picture_bytes())[0] == 200  # and there is room for the next one


def test_request_that_ends_early_makes_room_again(serve):
    page = serve()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
            connection.sendall(
                b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\nx"
            )
    assert send(page, picture_bytes())[0] == 200


def test_other_addresses_answer_while_pictures_are_classified(serve):
    page = serve()
    content = io.BytesIO()
    Image.new("RGB", (3000, 3000), (120, 3, 4)).save(content, "PNG")
    answers = []
    sender = threading.Thread(target=lambda: answers.append(send(page, content.getvalue())))
    sender.start()
    before = 0
    while sender.is_alive():
        assert page.ask("/verdict")[0] == 200
        before += 1
    sender.join()
    assert answers[0][0] == 200
    assert before > 0
