r"""Measures what the camera app takes on a device: memory, time to its first answer, and space on the disk.

    python benchmarks/device_cost.py [--frames 10000] [--environment ~/garmentlite-env]

The app runs without a window, before its test pattern. Its resident memory is read after a hundredth, a half
and all of the frames. The time is that from the start of the process to the first line, the best of three.
The space is that of the packages in an environment, without NumPy, OpenCV and Pillow, which a Raspberry Pi
has from apt.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

APP = [sys.executable, "-m", "garmentlite.cli", "webcam", "--source", "test-pattern", "--headless"]
STARTS = 3
FROM_APT = ("numpy", "numpy.libs", "cv2", "PIL", "pillow.libs")
# Folders that are there in every environment, or that only tests and training need.
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "__pycache__")


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in megabytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1000


def memory_over(frames: int) -> dict[int, float]:
    """Runs the app for some frames; its resident memory by the number of frames it has answered."""
    at = {max(frames // 100, 1), max(frames // 2, 1), frames}
    found = {}
    with subprocess.Popen(APP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for number, _ in enumerate(process.stdout, start=1):
            if number in at:
                found[number] = resident_mb(process.pid)
            if number == frames:
                break
        process.kill()
    return found


def seconds_to_first_answer() -> float:
    """The shortest time of some starts."""
    times = []
    for _ in range(STARTS):
        start = time.perf_counter()
        with subprocess.Popen(APP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdout.readline()
            times.append(time.perf_counter() - start)
            process.kill()
    return min(times)


def megabytes_of_packages(environment: Path) -> dict[str, float]:
    """Space of each package of an environment, the largest first."""
    (site,) = environment.glob("lib/python3*/site-packages")
    sizes = {}
    for entry in site.iterdir():
        if entry.name in (*FROM_APT, *NOT_OURS) or entry.suffix == ".dist-info":
            continue
        files = entry.rglob("*") if entry.is_dir() else [entry]
        sizes[entry.name] = sum(file.lstat().st_size for file in files if file.is_file()) / 1e6
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--environment", type=Path, help="an environment with garmentlite alone")
    arguments = parser.parse_args()
    print(f"first answer after {seconds_to_first_answer():.2f} s")
    for number, megabytes in memory_over(arguments.frames).items():
        print(f"after {number:,} frames {megabytes:.0f} MB are resident")
    if arguments.environment:
        sizes = megabytes_of_packages(arguments.environment)
        for name, megabytes in list(sizes.items())[:8]:
            print(f"{name}: {megabytes:.1f} MB")
        print(f"all packages but NumPy, OpenCV and Pillow: {sum(sizes.values()):.1f} MB")


if __name__ == "__main__":
    main()
