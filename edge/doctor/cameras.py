"""The cameras: which there are, whether this user may open them, and which program uses them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from garmentlite.edge.doctor.finding import Finding, ok, problem

_GROUP = "video"
_DRIVERS = Path("/sys/class/video4linux")


def find_cameras() -> Finding:
    """Lists the cameras and the programs that use them."""
    if not sys.platform.startswith("linux"):
        return ok(
            "not listed, because this is not Linux; 'cli webcam --source 0' tries the first one"
        )
    found = []
    for device in _devices():
        name = (
            (_DRIVERS / device.name / "name").read_text(encoding="utf-8", errors="replace").strip()
        )
        holders = _programs_that_use(device)
        found.append(f"{device} {name}" + (f" (in use by {', '.join(holders)})" if holders else ""))
    if found:
        return ok("; ".join(found))
    return problem(
        "there is no camera; plug in a USB camera and look at 'lsusb', or try the camera app without one: "
        "'cli webcam --source test-pattern'."
    )


def find_groups() -> Finding:
    """Looks whether this user may open the cameras that there are."""
    if not sys.platform.startswith("linux"):
        return ok("this system has no group for cameras")
    locked = [device for device in _devices() if not os.access(device, os.R_OK | os.W_OK)]
    if locked:
        return problem(
            f"this user may not open {', '.join(map(str, locked))}; run 'sudo usermod -aG {_GROUP} $USER', "
            "then log out and in again."
        )
    return ok(f"this user {'is' if _is_member() else 'need not be'} in the group {_GROUP}")


def _devices() -> list[Path]:
    return sorted(Path("/dev").glob("video[0-9]*"))


def _is_member() -> bool:
    import grp

    with suppress(KeyError):  # a system without the group
        return grp.getgrnam(_GROUP).gr_gid in os.getgroups()
    return False


def _programs_that_use(device: Path) -> list[str]:
    """Names the programs that have a device open; those of other users are only seen by root."""
    programs = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process has ended, or belongs to another user
            if any(
                os.path.realpath(opened) == str(device) for opened in (process / "fd").iterdir()
            ):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                programs.append(f"{name} ({process.name})")
    return programs
