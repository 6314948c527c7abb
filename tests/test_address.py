"""Tests of the address of the page: how it is read, and what is said if its port cannot be opened."""

import os
import socket

import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.edge.page.address import (
    Address,
    host_for_browsers,
    is_loopback,
    open_sockets,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", "127.0.0.1", 8000),
        ("9000", "127.0.0.1", 9000),
        (":9000", "127.0.0.1", 9000),
        ("0.0.0.0", "0.0.0.0", 8000),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("raspberrypi.local:8080", "raspberrypi.local", 8080),
        ("::1", "::1", 8000),
        ("[::]:8080", "::", 8080),
    ],
)
def test_parse_address_fills_in_what_is_missing(text, host, port):
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize("text", ["host:port", "127.0.0.1:65536", "[::1]8x", "a:-1", "a:٣"])
def test_parse_address_with_a_wrong_port_says_what_is_expected(text):
    with pytest.raises(OptionError, match=r"--serve needs HOST:PORT .* such as 127\.0\.0\.1:8000"):
        parse_address(text)


def test_address_of_ipv6_is_written_with_brackets():
    assert str(Address("::1", 80)) == "[::1]:80"
    assert parse_address(str(Address("::1", 80))) == Address("::1", 80)


def test_open_sockets_with_a_taken_port_names_the_next_free_one():
    taken = open_sockets(Address("127.0.0.1", 0))
    port = taken[0].getsockname()[1]
    beside = socket.socket()
    try:
        beside.bind(("127.0.0.1", port + 1))
        beside.listen()
        with pytest.raises(OptionError) as caught:
            open_sockets(Address("127.0.0.1", port))
    except OSError:
        pytest.skip("the port beside the chosen one is taken")
    finally:
        beside.close()
        taken[0].close()
    assert f"Port {port} of 127.0.0.1 is taken" in str(caught.value)
    free = parse_address(str(caught.value).split("'--serve ")[1].split("'")[0])
    assert free.port > port + 1
    for one in open_sockets(free):
        one.close()


def test_open_sockets_of_another_machine_says_what_to_use():
    with pytest.raises(OptionError, match=r"'192\.0\.2\.1' is not an address of this machine"):
        open_sockets(Address("192.0.2.1", 0))


def test_open_sockets_of_an_impossible_name_is_an_error():
    with pytest.raises(OptionError, match="--serve"):
        open_sockets(Address("a..b", 0))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may open every port")
def test_open_sockets_with_a_port_of_the_system_names_another():
    with pytest.raises(OptionError, match="not allowed for this user"):
        open_sockets(Address("127.0.0.1", 1))


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_is_loopback_tells_who_can_reach_the_port(host, expected):
    sockets = open_sockets(Address(host, 0))
    try:
        assert is_loopback(sockets) is expected
    finally:
        for one in sockets:
            one.close()


def test_host_for_browsers_is_never_the_unspecified_address():
    assert host_for_browsers("192.168.1.7") == "192.168.1.7"
    assert host_for_browsers("::1") == "[::1]"
    assert host_for_browsers("0.0.0.0") not in ("", "0.0.0.0")
