"""The text of the systemd unit. This module computes it; `edge.service.installation` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNIT_NAME = "garmentlite.service"
WATCHDOG_S = 30  # systemd starts the app again if the loop gives no sign of life for so long
MEMORY_LIMIT = "400M"  # the app with all its outputs takes less than half of it
# The first systemd that can make the pauses between restarts longer (RestartSteps); bookworm has 252.
GROWING_PAUSES_SINCE = 254

_PAUSES = """\
RestartSec=1
RestartSteps=6
RestartMaxDelaySec=60
"""
_EQUAL_PAUSES = "RestartSec=10\n"

# What only the system's own systemd can forbid. Cameras are /dev/video* and, for libcamera, /dev/media* and
# memory from /dev/dma_heap.
_SANDBOX = """\
SupplementaryGroups=video
CapabilityBoundingSet=
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-media rw
DeviceAllow=char-dma_heap rw
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
"""


@dataclass(frozen=True)
class UnitRequest:
    """What a unit is written for.

    Attributes:
        command: The program and its arguments.
        user: Name of the user as whom a system unit runs; None for a unit of this user's own systemd.
        writable: Folders to which the app may write; a system unit may write nowhere else.
        folder: The folder in which the app runs, from which relative paths in its options start.
        secrets: A file with lines NAME=VALUE for the environment of the app; it need not exist.
        systemd: Version of systemd on the machine.
    """

    command: Sequence[str]
    user: str | None
    writable: Sequence[Path]
    folder: Path
    secrets: Path
    systemd: int


def unit_text(request: UnitRequest) -> str:
    """Writes the unit."""
    pauses = _PAUSES if request.systemd >= GROWING_PAUSES_SINCE else _EQUAL_PAUSES
    text = f"""\
[Unit]
Description=garmentlite camera app
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={" ".join(map(_quoted, request.command))}
WorkingDirectory={_escaped(str(request.folder))}
EnvironmentFile=-{_escaped(str(request.secrets))}
WatchdogSec={WATCHDOG_S}
WatchdogSignal=SIGKILL
Restart=always
{pauses}MemoryMax={MEMORY_LIMIT}
NoNewPrivileges=yes
UMask=0077
StandardOutput=journal
SyslogIdentifier=garmentlite
"""
    if request.user is not None:
        folders = " ".join(_quoted(str(path)) for path in request.writable)
        text += f"User={request.user}\n{_SANDBOX}ReadWritePaths={folders}\n"
    wanted_by = "default.target" if request.user is None else "multi-user.target"
    return f"{text}\n[Install]\nWantedBy={wanted_by}\n"


def _escaped(text: str) -> str:
    # systemd replaces "%h" and the like.
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    r"""Writes a word so that systemd reads it as one word; "$" would otherwise name a variable."""
    escaped = _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'
