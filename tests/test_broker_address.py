"""Tests of the address of an MQTT broker."""

import pytest

from garmentlite.edge.broker_address import BrokerAddress, parse_broker
from garmentlite.edge.errors import OptionError


def test_parse_broker_with_every_part():
    found = parse_broker("mqtt://anna:p%40ss%2Fword@broker.local:1884/home/hall%20camera/")
    assert found == BrokerAddress(
        host="broker.local",
        port=1884,
        is_encrypted=False,
        user="anna",
        password="p@ss/word",
        topic="home/hall camera",
    )


def test_parse_broker_with_a_host_alone_takes_the_usual_port_and_a_topic_of_this_computer(
    monkeypatch,
):
    monkeypatch.setattr("socket.gethostname", lambda: "kit+chen.example.org")
    found = parse_broker("mqtts://broker")
    assert (found.host, found.port, found.is_encrypted) == ("broker", 8883, True)
    assert (found.user, found.password) == (None, None)
    assert found.topic == "garmentlite/kit-chen"


@pytest.mark.parametrize(
    ("url", "shown"),
    [("mqtt://u:secret@h:1883", "h:1883"), ("mqtt://u:secret@[::1]:99", "[::1]:99")],
)
def test_broker_address_shows_no_password(url, shown):
    found = parse_broker(url)
    assert str(found) == shown
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("broker.local", "begin with mqtt://", id="no scheme"),
        pytest.param("http://u:secret@h", "begin with mqtt://", id="another scheme"),
        pytest.param("mqtt://u:secret@", "no host", id="no host"),
        pytest.param("mqtt://u:secret@h:0", "port 0", id="port 0"),
        pytest.param("mqtt://u:secret@h:99999", "port cannot be read", id="port too large"),
        pytest.param("mqtt://u:secret@h:x", "port cannot be read", id="port no number"),
        pytest.param(f"mqtt://u:secret@{'h' * 64}.local", "host", id="host too long"),
        pytest.param("mqtt://u:secret@[::1", "host", id="open bracket"),
        pytest.param("mqtt://u:secret@h/\udcff", "UTF-8", id="not UTF-8"),
        pytest.param("mqtt://:secret@h", "without a user", id="password alone"),
        pytest.param("mqtt://u:secret@h/a/%23", "its topic", id="wildcard"),
        pytest.param("mqtt://u:secret#1@h", "%23 for #", id="number sign in the password"),
    ],
)
def test_parse_broker_refuses_other_addresses_without_repeating_them(url, reason):
    with pytest.raises(OptionError, match=reason) as refused:
        parse_broker(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
