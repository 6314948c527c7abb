"""Tests of the recording and of the log, with real files and limits of the system."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.errors import OptionError, OutputError
from garmentlite.edge.recognition import Recognition
from garmentlite.edge.sinks import recording
from garmentlite.edge.sinks.interface import Sighting
from garmentlite.edge.sinks.log_file import LogRequest, LogSink
from garmentlite.edge.sinks.recording import RecordingRequest, RecordingSink
from garmentlite.edge.sources.interface import Frame

ROOT = Path(__file__).parent.parent
NOTHING = Recognition(
    label="no garment", confidence=0.0, scores=[], probabilities=None, image_u8=None, mask=None,
    box=None, reason="nothing moved", form="photo", segmenter="plain", latency_ms={"segment": 1.0},
)  # fmt: skip


def sighting_at(seconds, size=(120, 160), duration=0.0, level=None):
    if level is None:
        bgr = np.random.default_rng(int(seconds * 1000)).integers(0, 256, (*size, 3), np.uint8)
    else:
        bgr = np.full((*size, 3), level, np.uint8)
    return Sighting(
        frame=Frame(bgr, seconds, duration=duration),
        recognition=NOTHING,
        answer_to_frame=NOTHING,
        frames_per_second=10.0,
        clock=1e9 + seconds,
    )


def read_video(path):
    """Reads the frames of a video and its frames per second."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    return frames, video.get(cv2.CAP_PROP_FPS)


def segments(folder, suffix=".avi"):
    return sorted(folder.glob(f"app-*{suffix}"))


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm"])
def test_recording_of_each_format_can_be_read_and_prints_nothing(tmp_path, suffix, capfd):
    request = RecordingRequest(tmp_path / f"new/app{suffix}")
    with RecordingSink(request) as sink:
        try:
            assert all(sink.show(sighting_at(n / 10, level=100)) for n in range(10))
        except OutputError as error:
            pytest.skip(f"this OpenCV has no such encoder: {error}")
    assert capfd.readouterr() == ("", "")
    (segment,) = segments(tmp_path / "new", suffix)
    frames, rate = read_video(segment)
    assert (len(frames), rate) == (10, 10)
    # The frame of 160x120 is enlarged to 640x480, and the panel is beside it.
    assert frames[0].shape == (480, 840, 3)
    assert frames[5][200:300, 200:300].mean() == pytest.approx(100, abs=5)


@pytest.mark.parametrize(
    ("times", "duration", "expected"),
    [
        pytest.param([0, 0.25, 0.5], 0.0, 6, id="slow camera: frames are repeated"),
        pytest.param(np.arange(30) / 30, 0.0, 10, id="fast camera: frames are left out"),
        pytest.param(np.arange(30) / 30, 1 / 30, 30, id="video: its own rate"),
        pytest.param([0, 2, 4], 2.0, 5, id="pictures: one frame a second"),
        pytest.param([0, 0.1, 500, 500.1], 0.0, 4, id="a lost camera is left out"),
        pytest.param([10, 10.1, 0, 0.1], 0.0, 4, id="time that begins anew"),
    ],
)
def test_recording_runs_as_fast_as_its_source(tmp_path, times, duration, expected):
    with RecordingSink(RecordingRequest(tmp_path / "app.avi")) as sink:
        for seconds in times:
            sink.show(sighting_at(float(seconds), duration=duration))
        sink.show_state(CameraState(CameraStatus.LOST))
    assert len(read_video(segments(tmp_path)[0])[0]) == expected


def test_recording_fits_frames_of_another_size_into_the_first(tmp_path):
    with RecordingSink(RecordingRequest(tmp_path / "app.avi")) as sink:
        sink.show(sighting_at(0.0))
        sink.show(sighting_at(0.1, size=(300, 50), level=200))
    frames, _ = read_video(segments(tmp_path)[0])
    assert [frame.shape for frame in frames] == [(480, 840, 3)] * 2
    bright = np.argwhere(frames[1][:, :640].min(axis=2) > 150)
    height, width = np.ptp(bright, axis=0) + 1
    assert height / width == pytest.approx(6, rel=0.1)


def test_recording_begins_new_segments_and_keeps_the_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "CHECK_S", 0.0)
    (tmp_path / "app-notes.avi").write_bytes(b"not a segment of this recording")
    request = RecordingRequest(tmp_path / "app.avi", segment_minutes=1 / 60, quota_mb=1)
    first = None
    with RecordingSink(request) as sink:
        for n in range(60):  # noise, about 0.4 MB for each frame
            sink.show(sighting_at(n / 10, size=(480, 640)))
            first = first or segments(tmp_path)[0]
    kept = [path for path in segments(tmp_path) if path.name != "app-notes.avi"]
    assert sum(path.stat().st_size for path in kept) < 2_000_000
    assert not first.exists()
    assert (tmp_path / "app-notes.avi").exists()
    assert all(read_video(path)[0] for path in kept)


def test_recording_on_a_nearly_full_disk_ends_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "FREE_MB", 10**12)
    with (
        RecordingSink(RecordingRequest(tmp_path / "app.avi")) as sink,
        pytest.raises(OutputError, match="MB are free on its disk"),
    ):
        sink.show(sighting_at(0.0))


def test_recording_whose_folder_was_deleted_ends_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "CHECK_S", 0.0)
    with RecordingSink(RecordingRequest(tmp_path / "videos/app.avi")) as sink:
        sink.show(sighting_at(0.0))
        shutil.rmtree(tmp_path / "videos")
        with pytest.raises(OutputError, match="it cannot be found any more"):
            sink.show(sighting_at(0.1))


def test_recording_with_an_unknown_suffix_names_the_known_ones():
    with pytest.raises(OptionError, match=r"\.avi, \.mp4, \.webm"):
        RecordingRequest(Path("app.mov"))


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
if sys.argv.pop(1) == "unknown":
    resource.getrlimit = lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    from garmentlite.edge.sinks import recording
    recording.QUIET_S = 0.2
from garmentlite.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_FSIZE")
@pytest.mark.parametrize("limit", ["known", "unknown"])
def test_webcam_goes_on_without_a_recording_that_cannot_grow(tmp_path, limit):
    """A limit that is unknown, such as that of a file system, shows only when a write fails."""
    arguments = [limit, "webcam", "--source", "test-pattern", "--headless", "--segment", "plain"]
    arguments += ["--record", "app.avi", "--max-frames", "150"]
    app = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert app.returncode == 0, app.stderr
    assert len(app.stdout.splitlines()) == 150
    assert "the largest size that the system allows; raise the limit" in app.stderr
    assert len([line for line in app.stderr.splitlines() if line.startswith("Error")]) == 1
    assert read_video(segments(tmp_path)[0])[0]  # what was written can be read


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes")
@pytest.mark.parametrize("records", [True, False])
def test_webcam_whose_reader_has_gone_away_goes_on_for_its_other_outputs(tmp_path, records):
    arguments = ["webcam", "--source", "test-pattern", "--headless", "--segment", "plain"]
    arguments += ["--record", "app.avi", "--max-frames", "100"] if records else []
    app = subprocess.Popen(
        [sys.executable, ROOT / "cli.py", *arguments],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    app.stdout.readline()
    app.stdout.close()
    assert app.wait(120) == 0
    assert app.stderr.read() == ""
    app.stderr.close()
    if records:
        (segment,) = segments(tmp_path)
        assert len(read_video(segment)[0]) > 20  # 100 frames of the pattern take 6 seconds


@pytest.mark.slow
def test_recording_of_a_killed_app_can_be_read(tmp_path):
    arguments = ["webcam", "--source", "test-pattern", "--headless", "--segment", "plain"]
    arguments += ["--record", "app.avi", "--record-minutes", "0.02"]
    app = subprocess.Popen(
        [sys.executable, ROOT / "cli.py", *arguments],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while len(segments(tmp_path)) < 3:
        assert app.stdout.readline()
    app.kill()
    app.communicate()
    assert all(len(read_video(path)[0]) > 5 for path in segments(tmp_path)[:2])


def test_log_appends_lines_and_keeps_older_files(tmp_path):
    path = tmp_path / "new" / "app.jsonl"
    for start in (0, 40):  # two runs of the app
        with LogSink(LogRequest(path, largest_mb=0.005, old_files=2)) as sink:
            assert all(sink.show(sighting_at(float(start + n))) for n in range(40))
    files = sorted(tmp_path.glob("new/*"))
    assert [file.name for file in files] == ["app.jsonl", "app.jsonl.1", "app.jsonl.2"]
    assert all(file.stat().st_size <= 5000 for file in files)
    times = [
        json.loads(line)["time"]
        for file in reversed(files)
        for line in file.read_text().splitlines()
    ]
    assert times == list(np.arange(80.0)[-len(times) :])  # the newest ones, none missing
    assert len(times) > 15


@pytest.mark.parametrize("way", ["deleted", "renamed", "folder deleted"])
def test_log_that_is_taken_away_is_made_anew(tmp_path, way):
    path = tmp_path / "logs" / "app.jsonl"
    with LogSink(LogRequest(path)) as sink:
        sink.show(sighting_at(1.0))
        if way == "deleted":
            path.unlink()
        elif way == "renamed":
            path.rename(tmp_path / "old.jsonl")
        else:
            shutil.rmtree(path.parent)
        sink.show(sighting_at(2.0))
    assert [json.loads(line)["time"] for line in path.read_text().splitlines()] == [2.0]


def test_log_on_a_full_disk_is_one_sentence_and_leaves_no_half_line(tmp_path):
    path = tmp_path / "app.jsonl"
    code = (
        "import resource\n"
        "from garmentlite.edge.errors import OutputError\n"
        "from garmentlite.edge.sinks.log_file import LogRequest, RotatingFile\n"
        "from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "file = RotatingFile(LogRequest(Path('app.jsonl')))\n"
        "file.open()\n"
        "file.write('a' * 29 + '\\n')\n"
        "try:\n    file.write('b' * 29 + '\\n')\nexcept OutputError as error:\n    print(error)\n"
    )
    app = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert app.stdout.startswith("The log app.jsonl cannot be written: File too large;")
    assert path.read_text() == "a" * 29 + "\n"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_webcam_goes_on_without_a_log_that_is_full(tmp_path):
    arguments = ["webcam", "--source", "test-pattern", "--headless", "--segment", "plain"]
    arguments += ["--log", "/dev/full", "--max-frames", "3"]
    app = subprocess.run(
        [sys.executable, ROOT / "cli.py", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert app.returncode == 0
    assert len(app.stdout.splitlines()) == 3
    assert app.stderr.startswith("Error: The log /dev/full cannot be written: No space left")
    assert app.stderr.count("\n") == 1


def test_log_that_cannot_be_opened_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        LogSink(LogRequest(tmp_path / "file" / "app.jsonl")).__enter__()


def test_log_notes_the_states_of_the_camera(tmp_path):
    path = tmp_path / "app.jsonl"
    with LogSink(LogRequest(path)) as sink:
        for _ in range(3):
            sink.show_state(CameraState(CameraStatus.LOST, "The camera is gone."))
        sink.show(replace(sighting_at(1.0), camera=CameraState(CameraStatus.OK)))
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["camera"]["status"] == "lost"
    assert second["label"] == "no garment"


@pytest.fixture
def clock(monkeypatch):
    """The clock of the recording, a list of the one time in seconds that it shows."""
    times = [0.0]
    monkeypatch.setattr(recording.time, "monotonic", lambda: times[0])
    return times


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(0.1, [1, 1], id="the camera gave frames"),
        pytest.param(1000.0, [2], id="the camera was lost, so there was nothing to write"),
    ],
)
def test_recording_whose_file_stands_still_for_long_goes_on_in_another_one(
    tmp_path, clock, seconds, expected
):
    """FFmpeg keeps two small frames to itself for as long, as it does after an error that is over."""
    with RecordingSink(RecordingRequest(tmp_path / "app.avi")) as sink:
        sink.show(sighting_at(0.0))
        clock[0] = 1000.0
        assert sink.show(sighting_at(seconds))
    assert [len(read_video(path)[0]) for path in segments(tmp_path)] == expected


@pytest.fixture
def file_size_limit(monkeypatch):
    """Sets the system's limit of the size of a file, in bytes, which the recording does not know."""
    resource = pytest.importorskip("resource", reason="Windows has no RLIMIT_FSIZE")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda what: unlimited)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_recording_whose_file_reached_a_limit_ends_within_seconds_and_names_the_limit(
    tmp_path, clock, file_size_limit
):
    """OpenCV tells nothing of the error, and two small frames do not fill a block of FFmpeg either."""
    with RecordingSink(RecordingRequest(tmp_path / "app.avi")) as sink:
        sink.show(sighting_at(0.0, level=100))
        clock[0] = 3.0
        file_size_limit(100_000)
        with pytest.raises(OutputError, match="has the largest size that the system allows; raise"):
            sink.show(sighting_at(0.1, level=100))
    assert len(read_video(segments(tmp_path)[0])[0]) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_recording_whose_writes_fail_ends_within_seconds_and_names_the_error(tmp_path, clock):
    with RecordingSink(RecordingRequest(tmp_path / "app.avi")) as sink:
        sink.show(sighting_at(0.0, level=100))
        (segment,) = segments(tmp_path)
        segment.unlink()
        segment.symlink_to("/dev/full")
        clock[0] = 3.0
        with pytest.raises(OutputError, match=r"cannot grow any more \(No space left on device\)"):
            sink.show(sighting_at(0.1, level=100))


def test_recording_by_another_library_than_ffmpeg_is_not_tried(
    tmp_path, clock, file_size_limit, monkeypatch
):
    """A trial would fail here. Beside a library that writes in its own thread it is not safe."""
    writer = cv2.VideoWriter
    monkeypatch.setattr(
        cv2, "VideoWriter", lambda path, *rest: writer(path, cv2.CAP_OPENCV_MJPEG, *rest)
    )
    file_size_limit(200_000)
    with RecordingSink(RecordingRequest(tmp_path / "app.avi")) as sink:
        for number in range(6):  # this library writes 32 kB at a time, several frames together
            clock[0] = 3.0 * number
            assert sink.show(sighting_at(number / 10, level=100))
    assert len(read_video(segments(tmp_path)[0])[0]) == 6


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
@pytest.mark.parametrize("is_stale", [False, True], ids=["local disk", "network disk"])
def test_trials_amid_a_recording_leave_its_bytes_as_they_are(
    tmp_path, clock, monkeypatch, suffix, is_stale
):
    """A network disk may give an older size of the file, here one byte less, by its name."""
    monkeypatch.setattr(recording, "CHECK_S", 0.0)
    usual = Path.stat

    def stat(path, **options):
        found = usual(path, **options)
        is_older = is_stale and path.suffix == suffix and found.st_size > 0
        return SimpleNamespace(st_size=found.st_size - 1) if is_older else found

    def record(folder, quiet_s):
        """Records noise; returns the segment, and its size in bytes after each frame."""
        monkeypatch.setattr(recording, "QUIET_S", quiet_s)
        sizes = []
        with RecordingSink(RecordingRequest(folder / f"app{suffix}")) as sink:
            for number in range(20):
                clock[0] += 3.0
                assert sink.show(sighting_at(number / 10))
                (segment,) = segments(folder, suffix)
                sizes.append(os.path.getsize(segment))
        return segment, sizes

    without, _ = record(tmp_path / "without", np.inf)
    monkeypatch.setattr(Path, "stat", stat)
    tried, sizes = record(tmp_path / "tried", 2.0)
    monkeypatch.undo()
    stood_still = [before for before, after in pairwise(sizes) if before == after]
    assert (
        len({size for size in stood_still if size > 2 * recording.BLOCK_BYTES}) > 2
    )  # tried there
    assert tried.read_bytes() == without.read_bytes()
    assert len(read_video(tried)[0]) == 20


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_recording_of_a_still_scene_goes_on_while_its_file_does_not_grow(tmp_path, clock, suffix):
    with RecordingSink(RecordingRequest(tmp_path / f"app{suffix}")) as sink:
        for number in range(10):
            clock[0] = 3.0 * number
            assert sink.show(sighting_at(number / 10, level=100))
    assert len(read_video(segments(tmp_path, suffix)[0])[0]) == 10
