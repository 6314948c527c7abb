"""Tests of who may look, with requests to a page that is really served."""

import socket

import pytest
from waiting import PATIENCE_S

TOKEN = "a-token-of-forty-three-characters-0123456789"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PATHS = (
    "/",
    "/page.js",
    "/verdict",
    "/events",
    "/snapshot.jpg",
    "/stream.mjpg",
    "/features",
    "/none",
)


@pytest.fixture
def page(serve, make_sighting):
    made = serve(TOKEN)
    made.server.verdicts.take(make_sighting())
    return made


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "wrong", [{}, {"Authorization": "Bearer no"}, {"Cookie": "garmentlite=no"}]
)
def test_request_without_the_token_is_refused(page, path, wrong):
    status, headers, body = page.ask(path, **wrong)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"open the address that the app printed" in body


@pytest.mark.parametrize("path", ["/controls", "/classify", "/none"])
def test_post_without_the_token_is_refused(page, path):
    assert page.ask(path, method="POST", body=b'{"paused": true}')[0] == 401
    assert not page.controls.settings.is_paused


@pytest.mark.parametrize(
    "right", [{"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"garmentlite={TOKEN}"}]
)
def test_request_with_the_token_is_answered(page, right):
    assert page.ask("/verdict", **right)[0] == 200


def test_address_with_the_token_gives_a_cookie_and_leads_to_one_without(page):
    status, headers, body = page.ask(f"/?token={TOKEN}")
    cookie = headers["Set-Cookie"]
    assert status == 200
    assert b'http-equiv="refresh" content="0;url=/"' in body
    assert TOKEN.encode() not in body
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert page.ask("/", Cookie=cookie.partition(";")[0])[0] == 200


def test_address_with_a_wrong_token_gives_no_cookie(page):
    status, headers, _ = page.ask("/?token=wrong")
    assert (status, headers["Set-Cookie"]) == (401, None)


def test_token_in_another_address_than_the_pages_is_not_taken(page):
    assert page.ask(f"/verdict?token={TOKEN}")[0] == 401


def test_page_for_this_machine_alone_needs_no_token(serve):
    page = serve()
    assert page.ask("/verdict")[0] == 200
    status, headers, _ = page.ask("/?token=anything")
    assert (status, headers["Set-Cookie"]) == (200, None)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.2",
        "192.168.0.1",
        "",
        "[::1",
        "127.0.0.1.evil.example",
    ],
)
def test_foreign_host_is_refused(serve, host):
    status, _, body = serve().ask("/verdict", Host=host)
    assert status == 403
    assert b"--allow-host" in body


def test_own_hosts_are_answered(serve):
    page = serve()
    name = socket.gethostname()
    for host in (
        "127.0.0.1",
        f"127.0.0.1:{page.port}",
        "localhost:1",
        name.upper(),
        f"{name}.local:8000",
    ):
        assert page.ask("/verdict", Host=host)[0] == 200, host
    assert page.ask("/verdict", Host="shop.example")[0] == 200  # allowed when it was started


def test_request_without_a_host_is_refused(serve):
    page = serve()
    with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"GET /verdict HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.recv(100)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # another program on this machine
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
)
def test_request_of_a_foreign_page_is_refused(serve, headers):
    page = serve()
    assert page.ask("/snapshot.jpg", **headers)[0] == 403
    status, _, body = page.ask("/controls", method="POST", body=b'{"paused": true}', **headers)
    assert (status, page.controls.settings.is_paused) == (403, False)
    assert b"other web pages" in body


def test_form_that_a_foreign_page_sends_is_refused(serve):
    page = serve()
    headers = {
        "Sec_Fetch_Site": "cross-site",
        "Sec_Fetch_Mode": "navigate",
        "Sec_Fetch_Dest": "document",
    }
    assert page.ask("/controls", method="POST", body=b'{"paused": true}', **headers)[0] == 403
    assert page.ask("/", **headers)[0] == 200  # a link to the page is no danger


def test_request_of_the_page_itself_is_answered(serve):
    page = serve()
    host = f"127.0.0.1:{page.port}"
    for scheme in ("http", "https"):  # a proxy may speak HTTPS with the browser
        headers = {"Origin": f"{scheme}://{host}", "Sec_Fetch_Site": "same-origin"}
        assert page.ask("/controls", method="POST", body=b'{"paused": true}', **headers)[0] == 200


def test_headers_of_a_proxy_are_not_trusted(serve):
    headers = {
        "X_Forwarded_Host": "localhost",
        "X_Forwarded_For": "127.0.0.1",
        "Forwarded": "host=localhost",
    }
    assert serve().ask("/verdict", Host="evil.example", **headers)[0] == 403


@pytest.mark.parametrize("path", ["/", "/verdict", "/none", "/page.css"])
def test_every_answer_has_the_strict_headers(serve, path):
    _, headers, _ = serve().ask(path)
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Access-Control-Allow-Origin"] is None
