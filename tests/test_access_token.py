"""Tests of the token: it is made once, can be read by its user alone, and is never weak."""

import os
import stat

import pytest

from garmentlite.edge.errors import OutputError
from garmentlite.edge.page.access_token import read_or_make_token, token_path

posix = pytest.mark.skipif(os.name != "posix", reason="needs the rights of POSIX")


def test_token_path_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert token_path() == tmp_path / "garmentlite" / "page-token"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert token_path() == tmp_path / ".config" / "garmentlite" / "page-token"


@posix
def test_token_is_long_the_same_after_a_restart_and_readable_by_its_user_alone(tmp_path):
    path = tmp_path / "garmentlite" / "page-token"
    token = read_or_make_token(path)
    assert len(token) >= 22  # characters of 6 bits: at least 128 bits
    assert read_or_make_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_tokens_differ(tmp_path):
    assert read_or_make_token(tmp_path / "a") != read_or_make_token(tmp_path / "b")


@posix
def test_token_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "page-token"
    read_or_make_token(path)
    path.chmod(0o640)
    with pytest.raises(OutputError, match="Other users can read the token"):
        read_or_make_token(path)


@pytest.mark.parametrize("content", ["", "short", "x" * 21, "a b" * 20])
def test_token_file_without_a_token_is_refused(tmp_path, content):
    path = tmp_path / "page-token"
    path.touch(0o600)
    path.write_text(content, encoding="ascii")
    with pytest.raises(OutputError, match="There is no token in"):
        read_or_make_token(path)


def test_token_that_cannot_be_kept_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="set XDG_CONFIG_HOME to a folder"):
        read_or_make_token(tmp_path / "file" / "page-token")
