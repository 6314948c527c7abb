"""The checks of 'cli doctor', on this machine and on machines that are broken in one way each."""

import json
import os
from pathlib import Path

import pytest

from garmentlite.edge.doctor import board, cameras, checks, system
from garmentlite.edge.doctor.child import found_by_child
from garmentlite.edge.doctor.finding import NamedFinding, ok, problem
from garmentlite.edge.sources.v4l2 import PixelFormat, VideoDevice

ROOT = Path(__file__).resolve().parent.parent


def examine(run_python, *packages: Path) -> tuple[int, dict[str, dict]]:
    """Runs 'cli doctor --json' with folders of packages before all others; status and findings by name."""
    path = os.pathsep.join([*map(str, packages), os.environ.get("PYTHONPATH", "")])
    done = run_python(
        "-m", "garmentlite.cli", "doctor", "--json", env=os.environ | {"PYTHONPATH": path}
    )
    assert done.stderr == ""
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)}


@pytest.fixture
def broken_package(tmp_path):
    """Puts a package into a folder that raises an error when it is imported."""

    def make(name: str, error: str) -> Path:
        (tmp_path / f"{name}.py").write_text(f"raise {error}\n", encoding="utf-8")
        return tmp_path

    return make


def test_doctor_on_this_machine_passes_all_but_what_depends_on_devices(run_python):
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    status, findings = examine(run_python)
    assert list(findings) == [name for name, _ in checks.CHECKS]
    faults = {name for name, one in findings.items() if not one["passed"]}
    assert faults <= {"cameras", "groups", "throttling"}
    assert status == bool(faults)
    assert "Trouser" in findings["answer"]["found"]


def test_doctor_without_the_runtime_says_how_to_install_it(run_python, broken_package):
    error = "ModuleNotFoundError(\"No module named 'ai_edge_litert'\", name='ai_edge_litert')"
    status, findings = examine(run_python, broken_package("ai_edge_litert", error))
    assert status == 1
    for name in ("runtime", "XNNPACK", "answer"):
        assert not findings[name]["passed"]
        assert "pip install ai-edge-litert" in findings[name]["found"]
    assert findings["model"]["passed"]


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        ("ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')", "garmentlite[headless]"),
        ("ImportError('numpy.core.multiarray failed to import')", "numpy<2"),
        (
            "ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
            "apt install libgl1",
        ),
    ],
    ids=["missing", "built for NumPy 1", "libGL missing"],
)
def test_doctor_with_a_broken_opencv_says_how_to_repair_it(
    run_python, broken_package, error, way_out
):
    status, findings = examine(run_python, broken_package("cv2", error))
    assert status == 1
    assert not findings["OpenCV"]["passed"]
    assert way_out in findings["OpenCV"]["found"]
    assert findings["runtime"]["passed"]


def test_doctor_without_numpy_still_runs(run_python, broken_package):
    error = "ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')"
    status, findings = examine(run_python, broken_package("numpy", error))
    assert status == 1
    assert "pip install numpy" in findings["NumPy"]["found"]
    assert findings["model"]["passed"]


def test_package_that_ends_the_process_is_a_problem(run_python, broken_package):
    folder = broken_package("PIL", "__import__('os').kill(__import__('os').getpid(), 4)")
    _, findings = examine(run_python, folder)
    assert "SIGILL" in findings["Pillow"]["found"]


def test_lines_say_ok_or_what_to_do(run):
    lines = run("doctor", expect=None).stdout.splitlines()
    assert len(lines) == len(checks.CHECKS)
    for line in lines:
        assert line.startswith("ok       ") or (line.startswith("problem  ") and line.endswith("."))


def test_check_that_fails_itself_is_a_problem_and_the_others_still_run(monkeypatch):
    def broken():
        raise RuntimeError("no /proc here")

    monkeypatch.setattr(
        checks, "CHECKS", (("first", broken), ("second", lambda: ok("all is well")))
    )
    first, second = checks.examine()
    assert not first.finding.passed
    assert "RuntimeError: no /proc here" in first.finding.sentence
    assert second == NamedFinding("second", ok("all is well"))


def test_child_that_raises_an_unexpected_error_gives_its_last_line(tmp_path, monkeypatch):
    (tmp_path / "breaks.py").write_text("def now():\n    return {}['gone']\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = found_by_child("breaks", "now")
    assert not finding.passed
    assert finding.sentence.startswith("KeyError: 'gone'; ")


@pytest.mark.parametrize(
    ("largest_int", "passed"), [(2**63 - 1, True), (2**31 - 1, False)], ids=["64 bit", "32 bit"]
)
def test_32_bit_python_is_refused_also_on_a_64_bit_kernel(monkeypatch, largest_int, passed):
    monkeypatch.setattr(system.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(system.sys, "maxsize", largest_int)
    finding = system.find_architecture()
    assert finding.passed is passed
    assert passed or "64-bit Raspberry Pi OS" in finding.sentence


@pytest.mark.parametrize(("version", "passed"), [("2.31", False), ("2.34", True), ("2.41", True)])
def test_glibc_of_bullseye_is_too_old(monkeypatch, version, passed):
    monkeypatch.setattr(system.platform, "libc_ver", lambda: ("glibc", version))
    finding = system.find_glibc()
    assert finding.passed is passed
    assert passed or "bookworm" in finding.sentence


def test_python_that_is_too_new_is_named(monkeypatch):
    monkeypatch.setattr(system.sys, "version_info", (3, 99, 0, "final", 0))
    assert "3.11, 3.12 or 3.13" in system.find_python().sentence


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ("throttled=0x0", ok("the board has not been slowed down since it was started")),
        (
            "throttled=0x50005",
            problem(
                "the board is slow: its voltage is too low (now, throttled=0x50005); use the power supply "
                "that belongs to the board, and a short cable."
            ),
        ),
        (
            "throttled=0x80000",
            problem(
                "the board is slow: it has reached its temperature limit (since it was started, "
                "throttled=0x80000); give it a heat sink or a fan, and take it out of a closed box."
            ),
        ),
        ("VCHI initialization failed", ok("not known, because vcgencmd gave no answer")),
    ],
    ids=["never", "low voltage now", "hot once", "no answer"],
)
def test_throttling_is_read_from_the_firmware(monkeypatch, tmp_path, answer, finding):
    program = tmp_path / "vcgencmd"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = get_throttled ] && echo "{answer}"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert board.find_throttling() == finding


def test_machine_without_vcgencmd_has_unknown_throttling(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert board.find_throttling() == ok("not known, because there is no vcgencmd on this machine")


@pytest.fixture
def devices(monkeypatch):
    """Makes this machine one with the given capture devices and without picamera2."""

    def make(*found: VideoDevice) -> None:
        monkeypatch.setattr(cameras, "video_devices", lambda: list(found))
        monkeypatch.setattr(cameras, "find_spec", lambda name: None)
        monkeypatch.setattr(cameras.sys, "platform", "linux")

    return make


def device(driver="uvcvideo", formats=("MJPG", "YUYV"), is_permitted=True) -> VideoDevice:
    kinds = tuple(PixelFormat(fourcc, ((640, 480),)) for fourcc in formats)
    return VideoDevice(Path("/dev/video0"), None, "Webcam C270", driver, kinds, is_permitted)


def test_camera_is_listed_with_its_formats_and_the_program_that_uses_it(devices, monkeypatch):
    devices(device())
    monkeypatch.setattr(cameras, "processes_that_use", lambda path: ["process 7 (motion)"])
    assert cameras.find_cameras() == ok(
        "/dev/video0 Webcam C270 (MJPG, YUYV), in use by process 7 (motion)"
    )


def test_machine_without_a_camera_is_told_what_to_try(devices):
    devices()
    finding = cameras.find_cameras()
    assert not finding.passed
    assert "test-pattern" in finding.sentence
    assert cameras.find_groups().passed


def test_camera_connector_alone_needs_picamera2(devices):
    devices(device(driver="unicam", formats=()))
    finding = cameras.find_cameras()
    assert not finding.passed
    assert "python3-picamera2" in finding.sentence


def test_camera_that_this_user_may_not_open_needs_a_group(devices):
    devices(device(is_permitted=False))
    finding = cameras.find_groups()
    assert not finding.passed
    assert "usermod -aG video" in finding.sentence
