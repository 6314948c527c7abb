"""Results are written completely or not at all, and an older result is never lost."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from garmentlite.edge.errors import OutputError
from garmentlite.edge.files import (
    is_dir,
    is_file,
    read_bytes,
    replacing,
    require_writable,
    sha256,
    write_bytes,
    write_json,
    write_text,
)


@pytest.fixture
def older(tmp_path) -> Path:
    path = tmp_path / "result.json"
    path.write_text("older")
    return path


def test_write_bytes_of_a_new_file_makes_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(path.parent) == ["file.bin"]


def test_write_text_is_utf_8_whatever_the_locale(tmp_path):
    write_text(tmp_path / "text", "größe\n")
    assert (tmp_path / "text").read_bytes() == "größe\n".encode()


def test_write_json_is_indented_and_keeps_letters(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"größe": [1, None]}
    assert "größe" in text
    assert text.endswith("}\n")


def test_write_json_with_a_name_that_is_not_utf_8_is_read_again(tmp_path):
    write_json(tmp_path / "a.json", {"path": "dress-\udcff.png"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"path": "dress-\udcff.png"}


def test_write_json_of_nan_is_refused_and_the_older_file_stays(older):
    with pytest.raises(ValueError, match="JSON"):
        write_json(older, {"recall": float("nan")})
    assert older.read_text() == "older"


def test_write_replaces_an_older_file(older):
    write_text(older, "newer")
    assert older.read_text() == "newer"


def test_written_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "shared", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o640


def test_private_file_can_be_read_by_this_user_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_bytes(tmp_path / "private", b"x", is_private=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, OSError])
def test_replacing_that_fails_half_way_keeps_the_older_file_and_leaves_nothing(older, failure):
    def write_half():
        with replacing(older) as temporary:
            temporary.write_text("half of the ne")
            assert older.read_text() == "older"
            raise failure

    with pytest.raises(OutputError if failure is OSError else failure):
        write_half()
    assert older.read_text() == "older"
    assert os.listdir(older.parent) == [older.name]


def test_replacing_keeps_the_suffix_for_writers_that_choose_by_it(tmp_path):
    with replacing(tmp_path / "net.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_write_on_a_full_disk_keeps_the_older_file_and_says_so(older):
    def write_to_full_disk():
        with replacing(older) as temporary:
            # Whatever is written to /dev/full fails as it does on a disk without space.
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            temporary.write_text("newer")

    with pytest.raises(OutputError, match=r"Cannot write .*result\.json: No space left"):
        write_to_full_disk()
    assert older.read_text() == "older"
    assert os.listdir(older.parent) == [older.name]


def test_write_when_space_ends_at_the_folder_says_so(older, monkeypatch):
    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("garmentlite.edge.files.tempfile.mkstemp", no_space)
    with pytest.raises(OutputError, match="No space left"):
        write_text(older, "newer")
    assert older.read_text() == "older"


def test_write_below_a_file_in_the_folders_way_is_one_sentence(older):
    with pytest.raises(OutputError, match=r"Cannot write .*; name another place"):
        write_text(older / "below.txt", "x")
    assert older.read_text() == "older"


def test_write_onto_a_folder_is_one_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="Cannot write"):
        write_text(tmp_path / "taken", "x")
    assert os.listdir(tmp_path) == ["taken"]


def test_require_writable_of_a_missing_folder_makes_it_empty(tmp_path):
    require_writable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []


def test_require_writable_behind_a_file_is_refused(older):
    with pytest.raises(OutputError, match="Cannot write"):
        require_writable(older / "run")


def test_sha256_of_nothing_is_the_known_one():
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_read_bytes_reads_a_file_of_the_limit_and_refuses_one_byte_more(tmp_path):
    path = tmp_path / "some"
    path.write_bytes(b"abcd")
    assert read_bytes(path, 4) == b"abcd"
    with pytest.raises(OSError, match="larger than 3 bytes"):
        read_bytes(path, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_read_bytes_of_a_pipe_a_device_and_a_folder_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="expected a regular file"):
            read_bytes(path, 10)


@pytest.mark.parametrize("name", ["none", "x" * 300, "a\0b", "none/below"])
def test_a_name_that_cannot_be_looked_up_is_neither_file_nor_folder(tmp_path, name):
    assert not is_file(tmp_path / name)
    assert not is_dir(tmp_path / name)
    with pytest.raises(OSError):  # which one depends on the name
        read_bytes(tmp_path / name, 10)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_write_to_a_name_that_cannot_be_is_one_sentence(tmp_path, name):
    with pytest.raises(OutputError, match="Cannot write"):
        write_text(tmp_path / name / "file", "x")
    with pytest.raises(OutputError, match="Cannot write"):
        require_writable(tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked on Windows")
def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    """A process that writes is killed in the middle of it; another goes on."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom garmentlite.edge.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / name], stdout=subprocess.PIPE, text=True
        )
        for name in ("killed.json", "living.json")
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        killed, living = writers
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(os.listdir(tmp_path)) == 2
        for name in os.listdir(tmp_path):
            os.utime(tmp_path / name, (0, 0))  # written long ago
        write_text(tmp_path / "new.json", "{}")
        left = [name for name in os.listdir(tmp_path) if name != "new.json"]
        assert len(left) == 1
        assert living.poll() is None
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
