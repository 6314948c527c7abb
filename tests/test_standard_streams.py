"""Tests of commands whose three streams are closed, full or interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from garmentlite import cli

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shells close streams in this way on Unix")


def shell(redirection, *arguments):
    """Runs the command with a redirection of the shell; its end."""
    line = f'exec "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-P", "cli.py", *map(str, arguments)],
        cwd=Path(cli.__file__).parent, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.slow
def test_closed_input_and_error_do_no_harm(shipped_int8):
    expected = shell("", "card", shipped_int8)
    for redirection in ("2>&-", "<&-", "<&- 2>&-"):
        ended = shell(redirection, "card", shipped_int8)
        assert (ended.returncode, ended.stdout) == (0, expected.stdout)


def test_closed_error_keeps_the_status_of_an_error():
    assert shell("2>&-", "card", "none.tflite").returncode == 2


def test_closed_output_is_a_sentence(shipped_int8):
    ended = shell(">&-", "card", shipped_int8)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: Standard output is closed")
    assert ended.stderr.count("\n") == 1
    assert shell("<&- >&- 2>&-", "card", shipped_int8).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_on_a_full_disk_is_a_sentence_that_names_it(shipped_int8, tmp_path):
    picture = tmp_path / "tile.png"
    Image.new("L", (28, 28), 90).save(picture)
    for command in (["card", shipped_int8], ["doctor"], ["classify", picture], ["--version"]):
        ended = shell("> /dev/full", *command)
        assert ended.returncode == 2
        sentence = "Error: Standard output cannot be written (No space left on device);"
        assert ended.stderr.startswith(sentence)
        assert ended.stderr.count("\n") == 1
    assert shell("2> /dev/full", "card", "none.tflite").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x" * 300, "a\x1b[2J\nb"])
def test_a_name_that_cannot_be_or_steers_the_terminal_is_one_line(name):
    for command in (
        ["classify", name], ["card", name], ["data", "--data-dir", name],
        ["draw", "x" * 300, "--count", "1"],
    ):  # fmt: skip
        ended = shell("", *command)
        assert ended.returncode == 2
        assert ended.stderr.startswith("Error: ")
        assert ended.stderr.count("\n") == 1
        assert "\x1b" not in ended.stderr


@pytest.mark.parametrize("module", ["json", "typer.core", "garmentlite.edge.documents"])
def test_ctrl_c_while_the_program_starts_is_one_word(module, tmp_path):
    """The signal comes as soon as the program has imported a module, which Python reports by itself."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-P", "cli.py", "webcam", "--source", str(tmp_path)],
        cwd=Path(cli.__file__).parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    for line in process.stderr:
        if line.rpartition("|")[2].strip() == module:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 2
    said = [line for line in rest.splitlines() if not line.startswith("import time:")]
    assert said == ["Interrupted."]
