import subprocess
import sys
from pathlib import Path

import pytest

from garmentlite.edge.redaction import redacted

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:secret@camera:554/h264", "rtsp://***@camera:554/h264"),
        ("http://camera/video.mjpg", "http://camera/video.mjpg"),
        ("http://admin:se/cr@et@camera/x", "http://***@camera/x"),
        ("http://camera/x?user=admin&pwd=secret", "http://camera/x?***"),
        ("rtsp://u:p@camera/x?a=1: Connection refused", "rtsp://***@camera/x?*** Connection refused"),
        ("tcp://a:b@one/ and rtsp://c:d@two/", "tcp://***@one/ and rtsp://***@two/"),
        ("film.mp4", "film.mp4"),
        ("0", "0"),
    ],
)  # fmt: skip
def test_redacted_hides_what_may_be_secret(text, expected):
    assert redacted(text) == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="works on Linux only")
def test_hide_in_process_list_overwrites_the_command_line():
    code = (
        "import sys; from pathlib import Path\n"
        "from garmentlite.edge.redaction import hide_in_process_list\n"
        "hide_in_process_list(sys.argv[2])\n"
        "sys.stdout.write(Path('/proc/self/cmdline').read_text())"
    )
    url = "rtsp://admin:secret@camera/stream"
    shown = subprocess.run(
        [sys.executable, "-c", code, "--source", url, "last"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "secret" not in shown
    assert "admin" not in shown
    assert "rtsp://***@camera/stream" in shown
    assert shown.rstrip("\0").endswith("last")
