"""The systemd unit of 'cli service', and what is done to install it, with a systemctl that only notes."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from garmentlite.edge.service import installation
from garmentlite.edge.service.unit import UnitRequest, unit_text

USER = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def request_of(tmp_path):
    """Makes a request with some fields in place of the usual ones."""

    def make(**fields) -> UnitRequest:
        usual = {
            "command": ("/opt/env/bin/python", "-m", "garmentlite.cli", "webcam"), "user": "ada",
            "writable": (Path("/srv/pictures"),), "folder": Path("/home/ada"),
            "secrets": Path("/home/ada/service.env"), "systemd": 257,
        }  # fmt: skip
        return UnitRequest(**(usual | fields))

    return make


@pytest.fixture
def systemctl(monkeypatch, tmp_path):
    """A systemctl of version 252 that notes how it was called, in a home and an /etc of their own."""
    (tmp_path / "bin").mkdir()
    program, notes = tmp_path / "bin" / "systemctl", tmp_path / "notes"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "systemd 252 (252.39)" || echo "$@" >> {notes}\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.delenv("SUDO_USER", raising=False)
    own = pwd.getpwuid(os.geteuid())
    account = pwd.struct_passwd((*own[:5], str(tmp_path / "home"), own.pw_shell))
    monkeypatch.setattr(installation.pwd, "getpwuid", lambda number: account)
    monkeypatch.setattr(installation, "_SYSTEM_FOLDER", tmp_path / "etc")
    return lambda: notes.read_text("utf-8").splitlines()


def test_system_unit_runs_as_the_user_in_the_group_video(request_of):
    lines = unit_text(request_of()).splitlines()
    for line in ("User=ada", "SupplementaryGroups=video", "Type=notify", "WatchdogSec=30",
                 "Restart=always", "WantedBy=multi-user.target"):  # fmt: skip
        assert line in lines
    assert 'ReadWritePaths="/srv/pictures"' in lines


def test_unit_of_a_user_names_neither_user_nor_group(request_of):
    text = unit_text(request_of(user=None))
    assert not re.search(r"^(User|SupplementaryGroups|CapabilityBoundingSet)=", text, re.MULTILINE)
    assert "WantedBy=default.target" in text


@pytest.mark.parametrize(
    ("systemd", "grows"), [(252, False), (253, False), (254, True), (257, True)]
)
def test_pauses_grow_where_systemd_can_do_it(request_of, systemd, grows):
    text = unit_text(request_of(systemd=systemd))
    assert ("RestartMaxDelaySec=60" in text) is grows
    assert text.count("RestartSec=") == 1


def test_words_reach_the_program_unchanged(request_of):
    text = unit_text(request_of(command=("/env/python", 'a "b" \\ c', "100%", "$HOME")))
    assert r'ExecStart="/env/python" "a \"b\" \\ c" "100%%" "$$HOME"' in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("user", [USER, None], ids=["system", "user"])
def test_systemd_accepts_the_unit(request_of, tmp_path, user):
    path = tmp_path / "garmentlite.service"
    request = request_of(command=(sys.executable, "-V"), user=user, folder=tmp_path, systemd=252)
    path.write_text(unit_text(request), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_system_unit_is_well_shut_in(request_of, tmp_path):
    path = tmp_path / "garmentlite.service"
    path.write_text(unit_text(request_of()), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", "--no-pager", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout  # 1 if the exposure is above 4.0 of 10
    (exposure,) = re.findall(r"Overall exposure level for \S+: (\S+)", done.stdout)
    assert 0 < float(exposure) <= 4


def test_dry_run_prints_the_unit_and_writes_nothing(run, systemctl, tmp_path):
    printed = run(
        "service", "install", "--dry-run", "--", "--source", "1", "--collect", "kept"
    ).stdout
    assert '"webcam" "--headless" "--only-changes" "--source" "1" "--collect" "kept"' in printed
    assert f'"{Path.cwd() / "kept"}"' in printed
    assert not (tmp_path / "etc").exists()
    assert not (tmp_path / "home").exists()


def test_options_that_webcam_does_not_have_are_refused(run, systemctl):
    refused = run("service", "install", "--dry-run", "--", "--sauce", "1", expect=2)
    assert "--sauce" in refused.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--box", "nonsense"),
        ("--resolution", "0x0"),
        ("--record", "app.txt"),
        ("--serve", "127.0.0.1:99999"),
        ("--allow-host", "shop.example"),
        ("--mqtt", "nonsense"),
        ("--model", "missing.tflite"),
    ],
)
def test_value_with_which_the_app_would_end_at_once_is_refused(run, systemctl, option, value):
    refused = run("service", "install", "--dry-run", "--", option, value, expect=2)
    named = value if option == "--model" else option
    assert named in refused.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--list"], "run 'cli webcam --list'"),
        (["--source", "-"], "name a camera"),
        (["--max-frames", "5"], "leave that option out"),
    ],
)
def test_option_that_makes_no_sense_for_a_service_is_refused(run, systemctl, options, words):
    refused = run("service", "install", "--dry-run", "--", *options, expect=2)
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_service_may_write_to_the_folders_of_its_outputs(run, systemctl):
    options = ["--record", "videos/app.avi", "--log", "logs/app.jsonl", "--collect", "kept",
               "--watch-model", "models/new.tflite"]  # fmt: skip
    (line,) = [
        one
        for one in run("service", "install", "--dry-run", "--", *options).stdout.splitlines()
        if one.startswith("ReadWritePaths=")
    ]
    for name in ("videos", "logs", "kept", "models"):
        assert f'"{Path.cwd() / name}"' in line


def test_password_is_refused_since_everybody_can_read_a_unit(run, systemctl):
    refused = run(
        "service", "install", "--dry-run", "--", "--mqtt", "mqtt://me:secret@broker", expect=2
    )
    assert "service.env" in refused.stderr
    assert "secret" not in refused.stderr


def test_service_of_a_user_is_installed_and_removed(run, systemctl, tmp_path):
    unit = tmp_path / "home/.config/systemd/user/garmentlite.service"
    assert str(unit) in run("service", "install", "--user", "--", "--source", "1").stdout
    assert '"--source" "1"' in unit.read_text("utf-8")
    assert systemctl() == [
        "--user daemon-reload", "--user daemon-reload", "--user enable garmentlite.service",
        "--user restart garmentlite.service",
    ]  # fmt: skip
    assert str(unit) in run("service", "remove", "--user").stdout
    assert not unit.exists()
    assert systemctl()[4:] == ["--user disable --now garmentlite.service", "--user daemon-reload"]


def test_service_with_a_page_says_where_its_token_is(run, systemctl, tmp_path):
    printed = run("service", "install", "--user", "--", "--serve", "0.0.0.0:8000").stdout
    assert str(tmp_path / "home/.config/garmentlite/page-token") in printed


def test_service_that_is_not_there_cannot_be_removed(run, systemctl):
    assert "service install" in run("service", "remove", "--user", expect=2).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install for the system")
def test_system_service_runs_as_the_user_who_called_sudo(run, systemctl, monkeypatch, tmp_path):
    account = pwd.struct_passwd(
        ("ada", "x", os.getuid(), os.getgid(), "", str(tmp_path / "ada"), "/bin/sh")
    )
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setattr(installation.pwd, "getpwnam", lambda name: account)
    run("service", "install")
    unit = (tmp_path / "etc" / "garmentlite.service").read_text("utf-8")
    assert "User=ada\n" in unit
    assert f"EnvironmentFile=-{tmp_path / 'ada/.config/garmentlite/service.env'}\n" in unit
    assert (tmp_path / "ada/.config/garmentlite").is_dir()


def test_system_service_needs_root(run, systemctl, monkeypatch):
    monkeypatch.setattr(installation.os, "geteuid", lambda: 1000)
    refused = run("service", "install", expect=2)
    assert "sudo" in refused.stderr
    assert "--user" in refused.stderr


def test_machine_without_systemd_says_so(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "systemctl" in run("service", "install", "--dry-run", expect=2).stderr


def test_install_where_systemd_does_not_run_leaves_nothing(run, systemctl, tmp_path):
    program = tmp_path / "bin" / "systemctl"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "systemd 252 (252.39)" || exit 1\n',
        encoding="utf-8",
    )
    refused = run("service", "install", "--user", expect=2)
    assert "daemon-reload' failed" in refused.stderr
    assert not (tmp_path / "home").exists()


def test_user_without_an_account_is_named(run, systemctl, monkeypatch):
    def no_account(number):
        raise KeyError(number)

    monkeypatch.setattr(installation.pwd, "getpwuid", no_account)
    refused = run("service", "install", "--user", "--dry-run", expect=2)
    assert f"no account for the user {os.geteuid()}" in refused.stderr


@pytest.mark.parametrize(("status", "expect"), [(0, 0), (3, 1)])
def test_status_is_that_of_systemd(run, systemctl, tmp_path, status, expect):
    program = tmp_path / "bin" / "systemctl"
    program.write_text(f"#!/bin/sh\nexit {status}\n", encoding="utf-8")
    run("service", "status", expect=expect)
