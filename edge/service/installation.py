"""Installs, shows and removes the systemd unit."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from garmentlite.edge.errors import MissingPartError, OptionError, OutputError
from garmentlite.edge.files import write_text
from garmentlite.edge.page.access_token import token_path
from garmentlite.edge.service.unit import UNIT_NAME, UnitRequest, unit_text

SECRETS_FILE = "service.env"
_PASSWORD = re.compile(r"(--\w+=)?\w+://[^/@]*:[^/@]*@")
_SYSTEM_FOLDER = Path("/etc/systemd/system")


@dataclass(frozen=True)
class Plan:
    """What an installation will do.

    Attributes:
        path: Where the unit is written.
        text: Its content.
        token: Where the page's token is kept, which its visitors from the network need; None without a page.
        folders: Folders that are made for the user, if they are missing.
        account: The user as whom the service runs.
    """

    path: Path
    text: str
    token: Path | None
    folders: tuple[Path, ...]
    account: pwd.struct_passwd


def plan_installation(
    options: Sequence[str], *, for_user: bool, outputs: Sequence[Path] = ()
) -> Plan:
    """Works out the unit; nothing is written.

    Args:
        options: Options of `cli webcam`. The service has no display and its log must not fill the disk, so
            `--headless` and `--only-changes` are added.
        for_user: Whether the unit is for the user's own systemd in place of that of the system.
        outputs: Folders to which the options let the app write.

    Raises:
        MissingPartError: If the machine has no systemd.
        OptionError: If an option contains a password, or the machine does not know the user.
    """
    account = _account()
    home = Path(account.pw_dir)
    folders = (home / ".config" / "garmentlite", home / ".cache" / "garmentlite")
    if any(_PASSWORD.match(option) for option in options):
        raise OptionError(
            "Everybody on this machine can read a unit, so a password must not be in it; write "
            f"GARMENTLITE_MQTT=URL or GARMENTLITE_SOURCE=URL into {folders[0] / SECRETS_FILE}, let only its "
            "owner read that file, and leave out the option."
        )
    added = [name for name in ("--headless", "--only-changes") if name not in options]
    request = UnitRequest(
        command=(sys.executable, "-P", "-m", "garmentlite.cli", "webcam", *added, *options),
        user=None if for_user else account.pw_name,
        writable=(*folders, *outputs),
        folder=Path.cwd(),
        secrets=folders[0] / SECRETS_FILE,
        systemd=systemd_version(),
    )
    unit_folder = home / ".config/systemd/user" if for_user else _SYSTEM_FOLDER
    has_page = any(option.split("=")[0] == "--serve" for option in options)
    token = folders[0] / token_path().name if has_page else None
    return Plan(unit_folder / UNIT_NAME, unit_text(request), token, (*folders, *outputs), account)


def install(plan: Plan, *, for_user: bool) -> None:
    """Writes the unit, starts the service, and lets it start with the machine.

    Raises:
        OptionError: If a system unit is to be installed without the rights for it.
        OutputError: If the unit cannot be written or systemd refuses it.
    """
    _require_rights(for_user)
    # It fails where systemd does not run, as in a container, before anything is written.
    _systemctl(for_user, "daemon-reload")
    for folder in plan.folders:
        _make_for(plan.account, folder)
    write_text(plan.path, plan.text)
    _systemctl(for_user, "daemon-reload")
    _systemctl(for_user, "enable", UNIT_NAME)
    _systemctl(for_user, "restart", UNIT_NAME)


def remove(*, for_user: bool) -> Path:
    """Stops the service and deletes its unit.

    Returns:
        The path of the deleted unit.

    Raises:
        OptionError: If there is none, or the rights are missing.
        OutputError: If systemd cannot stop it.
    """
    _require_rights(for_user)
    path = unit_path(for_user=for_user)
    if not path.exists():
        raise OptionError(f"There is no {path}; 'cli service install' makes it.")
    _systemctl(for_user, "disable", "--now", UNIT_NAME)
    path.unlink()
    _systemctl(for_user, "daemon-reload")
    return path


def is_running(*, for_user: bool) -> bool:
    """Prints what systemd knows about the service, and tells whether it runs."""
    return (
        subprocess.run(
            _command(for_user, "status", "--no-pager", UNIT_NAME), check=False
        ).returncode
        == 0
    )


def unit_path(*, for_user: bool) -> Path:
    """Returns the path of the unit, which need not exist."""
    folder = Path(_account().pw_dir) / ".config/systemd/user" if for_user else _SYSTEM_FOLDER
    return folder / UNIT_NAME


def systemd_version() -> int:
    """Asks systemd for its version.

    Raises:
        MissingPartError: If there is no systemd.
    """
    told = subprocess.run(
        [_program(), "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.match(r"systemd (\d+)", told)
    if found is None:
        raise MissingPartError(
            "'systemctl --version' does not name a version of systemd; start 'cli webcam' in another way."
        )
    return int(found[1])


def _account() -> pwd.struct_passwd:
    """The user who calls, also through sudo."""
    name = os.environ.get("SUDO_USER") if os.geteuid() == 0 else None
    try:
        return pwd.getpwnam(name) if name else pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise OptionError(
            f"This machine has no account for the user {name or os.geteuid()}, as whom the service would "
            "run; call the command as a user that it knows."
        ) from error


def _require_rights(for_user: bool) -> None:
    if for_user and os.environ.get("SUDO_USER"):
        raise OptionError("A unit of your own needs no sudo; run the same command without it.")
    if not for_user and os.geteuid() != 0:
        program = shutil.which("cli") or sys.argv[0]
        raise OptionError(
            f"Only root may change the services of the system; run 'sudo {program} service ...', or add "
            "--user for a service of your own."
        )


def _make_for(account: pwd.struct_passwd, folder: Path) -> None:
    """Makes a folder with its parents; those that are new belong to the user."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        for part in reversed(missing):
            part.mkdir()
            os.chown(part, account.pw_uid, account.pw_gid)
    except OSError as error:
        raise OutputError(f"Cannot make {folder}: {error.strerror}; name another place.") from error


def _systemctl(for_user: bool, *words: str) -> None:
    done = subprocess.run(_command(for_user, *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OutputError(
            f"'systemctl {' '.join(words)}' failed ({done.stderr.strip() or done.returncode}); "
            "'cli service status' shows more."
        )


def _command(for_user: bool, *words: str) -> list[str]:
    return [_program(), *(["--user"] if for_user else []), *words]


def _program() -> str:
    program = shutil.which("systemctl")
    if program is None:
        raise MissingPartError(
            "This machine has no systemctl, so it does not run systemd; start 'cli webcam' in another way."
        )
    return program
