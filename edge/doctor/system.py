"""The operating system, the processor, the C library and Python."""

from __future__ import annotations

import platform
import sys
from contextlib import suppress
from pathlib import Path

from garmentlite.edge.doctor.finding import Finding, ok, problem

# libLiteRt.so of ai-edge-litert 2.3 needs it, although the wheel allows 2.27.
OLDEST_GLIBC = (2, 34)
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)  # as pyproject.toml says
_BOARD = Path("/proc/device-tree/model")  # "Raspberry Pi 4 Model B Rev 1.4" and a null byte


def find_system() -> Finding:
    """Names the operating system and the board; any is fine, since the other checks find what is wrong."""
    name = platform.platform(terse=True)
    with suppress(OSError):  # no such file on macOS and Windows
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    with suppress(OSError):  # only boards with a device tree have it
        board = _BOARD.read_text(encoding="utf-8", errors="replace").strip("\0")
        name += f" on a {board}"
    return ok(name)


def find_architecture() -> Finding:
    """Refuses 32-bit systems, also those with a 64-bit kernel."""
    machine = platform.machine()
    if sys.maxsize > 2**32:
        return ok(f"64-bit ({machine})")
    return problem(
        f"this Python is a 32-bit program (the kernel says {machine}), and the LiteRT runtime exists for "
        "64-bit systems only; install the 64-bit Raspberry Pi OS on the SD card."
    )


def find_glibc() -> Finding:
    """Refuses a C library that is too old for the runtime."""
    library, version = platform.libc_ver()
    if library != "glibc":
        return ok("this system does not use glibc")
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if numbers >= OLDEST_GLIBC:
        return ok(version)
    oldest = ".".join(map(str, OLDEST_GLIBC))
    return problem(
        f"glibc {version} is too old, the LiteRT runtime needs {oldest}; install Raspberry Pi OS bookworm or "
        "newer (bullseye has 2.31)."
    )


def find_python() -> Finding:
    """Refuses versions of Python for which garmentlite is not made."""
    version, where = platform.python_version(), sys.executable
    if OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        return ok(f"{version}, {where}")
    return problem(
        f"{where} is Python {version}, and garmentlite needs 3.11, 3.12 or 3.13; make the environment with "
        "one of these."
    )
