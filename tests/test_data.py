"""Fashion-MNIST is found, downloaded, checked and split, with small files and with the real ones."""

import gzip
import http.server
import os
import stat
import struct
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.errors import DataError, OutputError
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import data
from garmentlite.train.data import (
    FashionMnist,
    as_input,
    inspect,
    load,
    locate,
    read_checked,
    validation_split,
)

TRAIN_IMAGES = "train-images-idx3-ubyte"


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """No place of this machine is looked at, and nothing is fetched."""
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(data, "MIRRORS", ())
    monkeypatch.setattr(data.shutil, "which", lambda name: None)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_load_when_the_cache_cannot_be_written_names_the_ways_out(tmp_path):
    (tmp_path / "cache").write_text("a file in the folder's place")
    with pytest.raises(OutputError, match=r"set XDG_CACHE_HOME .* --data-dir"):
        load()


# --- reading


@pytest.mark.parametrize("compressed", [True, False], ids=["gz", "plain"])
def test_load_reads_images_and_labels_of_idx_files(write_idx, idx_files, tmp_path, compressed):
    found = load(write_idx(tmp_path / "here", compressed=compressed))
    assert (found.x_train.shape, found.x_test.shape) == ((30, 28, 28), (10, 28, 28))
    assert found.x_train.dtype == found.y_train.dtype == np.uint8
    assert found.x_train.tobytes() == idx_files[TRAIN_IMAGES][16:]
    assert found.y_test.tolist() == list(range(10))
    assert found.folder == tmp_path / "here"


def test_load_of_a_plain_file_goes_before_a_compressed_one(write_idx, tmp_path):
    folder = write_idx(tmp_path / "both")
    write_idx(folder, compressed=False)
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(b"never read")
    load(folder)


def test_load_of_a_wrong_file_names_it_and_both_checksums(write_idx, tmp_path):
    folder = write_idx(tmp_path / "wrong")
    wrong = struct.pack(">4I", 0x803, 1, 28, 28) + bytes(784)
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(wrong))
    with pytest.raises(DataError, match=rf"{TRAIN_IMAGES}\.gz is not Fashion-MNIST's") as caught:
        load(folder)
    assert data.MD5[TRAIN_IMAGES] in str(caught.value)
    assert "--data-dir" in str(caught.value)


def test_load_of_swapped_files_refuses_the_first_by_name(write_idx, tmp_path):
    folder = write_idx(tmp_path / "swapped", compressed=False)
    (folder / TRAIN_IMAGES).write_bytes((folder / "t10k-images-idx3-ubyte").read_bytes())
    with pytest.raises(DataError, match="is not Fashion-MNIST's train-images"):
        load(folder)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"not gzip", id="text"),
        pytest.param(lambda content: content[:-20], id="cut-off"),
        pytest.param(lambda content: content[:40] + b"\xff" * 40 + content[80:], id="corrupt"),
    ],
)
def test_load_of_a_broken_gz_names_it(write_idx, tmp_path, damage):
    folder = write_idx(tmp_path / "broken")
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz (cannot be read|is not)"):
        load(folder)


def test_load_of_a_named_folder_that_lacks_a_file_names_the_file(write_idx, tmp_path):
    folder = write_idx(tmp_path / "partial")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"partial lacks t10k-labels-idx1-ubyte \(or \.gz\)"):
        load(folder)


def test_load_of_kaggles_tables_says_what_they_are(tmp_path):
    table = tmp_path / "fashion-mnist_test.csv"
    table.write_text("label," + ",".join(f"pixel{number}" for number in range(1, 785)) + "\n")
    for named in (tmp_path, table):
        with pytest.raises(
            DataError, match=r"fashion-mnist_test\.csv is a table of pixels, as Kaggle"
        ):
            load(named)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_load_of_a_named_place_that_is_no_folder_lists_the_files(idx_files, tmp_path, kind):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("x")
    with pytest.raises(DataError, match="place lacks train-images"):
        load(place)


def test_read_checked_of_a_file_that_went_away_says_so(idx_files, tmp_path):
    with pytest.raises(DataError, match="is missing"):
        read_checked(tmp_path, TRAIN_IMAGES)


# --- the order of places


def test_locate_looks_in_the_order_of_the_documentation(write_idx, tmp_path, monkeypatch):
    named, by_variable = write_idx(tmp_path / "named"), write_idx(tmp_path / "variable")
    debian, cache = write_idx(tmp_path / "debian"), write_idx(data.cache_folder())
    monkeypatch.setenv("FASHION_MNIST_DIR", str(by_variable))
    assert locate(named) == named
    assert locate(None) == by_variable
    monkeypatch.setenv("FASHION_MNIST_DIR", "")
    assert locate(None) == debian
    for path in debian.iterdir():
        path.unlink()
    assert locate(None) == cache


def test_locate_of_a_variable_that_names_nothing_is_refused(monkeypatch, tmp_path, idx_files):
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path / "gone"))
    with pytest.raises(DataError, match="gone lacks"):
        locate(None)


def test_cache_folder_without_the_variable_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.cache_folder() == tmp_path / ".cache" / "garmentlite" / "fashion-mnist"


# --- obtaining


@pytest.fixture
def serve(tmp_path):
    """Serves a folder on 127.0.0.1; returns the address, ending with a slash."""
    servers = []

    def start(folder: Path, handler=None) -> str:
        class Quiet(handler or http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        def make(*arguments):
            return Quiet(*arguments, directory=str(folder))

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_load_downloads_once_into_the_cache_and_says_so(write_idx, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", (serve(write_idx(tmp_path / "web")),))
    said = []
    assert load(None, said.append).folder == data.cache_folder()
    assert len(said) == 1
    assert "Downloading Fashion-MNIST" in said[0]
    assert sorted(os.listdir(data.cache_folder())) == sorted(f"{name}.gz" for name in data.MD5)
    monkeypatch.setattr(data, "MIRRORS", ())
    assert len(load(None, said.append).x_train) == 30
    assert len(said) == 1


def test_load_from_a_mirror_with_a_wrong_file_asks_the_next_and_keeps_nothing_wrong(
    write_idx, serve, tmp_path, monkeypatch
):
    wrong = write_idx(tmp_path / "wrong")
    (wrong / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(b"something else"))
    mirrors = (serve(wrong), serve(write_idx(tmp_path / "right")))
    monkeypatch.setattr(data, "MIRRORS", mirrors[:1])
    with pytest.raises(DataError, match="is not the released file"):
        load(None)
    assert list(data.cache_folder().iterdir()) == []
    monkeypatch.setattr(data, "MIRRORS", mirrors)
    assert len(load(None).x_train) == 30


class Short(http.server.SimpleHTTPRequestHandler):
    """Promises more bytes than it sends."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b\x08\x00 half")


class Nonsense(http.server.SimpleHTTPRequestHandler):
    """Does not speak HTTP."""

    def do_GET(self):
        self.wfile.write(b"220 mail.example.com ESMTP\r\n")


class Silent(http.server.SimpleHTTPRequestHandler):
    """Takes the question and never answers."""

    def do_GET(self):
        threading.Event().wait(30)


class Login(http.server.SimpleHTTPRequestHandler):
    """Answers everything with its own page, as the network of a hotel does."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Please log in</html>")


@pytest.mark.parametrize("handler", [Short, Nonsense, Silent, Login, None])
def test_load_without_a_working_mirror_says_what_each_did_and_what_to_do(
    idx_files, serve, tmp_path, monkeypatch, handler
):
    monkeypatch.setattr(data, "TIMEOUT_S", 0.2)
    (tmp_path / "empty").mkdir()
    address = serve(tmp_path / "empty", handler)
    nobody = "http://127.0.0.1:9/"  # no server answers there
    monkeypatch.setattr(data, "MIRRORS", (address, nobody))
    with pytest.raises(DataError, match="cannot be obtained") as caught:
        load(None)
    assert address.split("/")[2] in str(caught.value)
    assert "127.0.0.1:9: " in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert list(data.cache_folder().iterdir()) == []


def test_load_of_a_broken_off_download_goes_on_with_what_is_missing(
    write_idx, serve, tmp_path, monkeypatch
):
    web = write_idx(tmp_path / "web")
    write_idx(data.cache_folder())
    missing = "t10k-labels-idx1-ubyte.gz"
    (data.cache_folder() / missing).unlink()
    for path in web.iterdir():
        if path.name != missing:
            path.unlink()
    monkeypatch.setattr(data, "MIRRORS", (serve(web),))
    load(None)


def test_load_of_more_than_the_limit_is_broken_off(write_idx, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", (serve(write_idx(tmp_path / "web")),))
    monkeypatch.setattr(data, "LARGEST_BYTES", 1 << 10)
    with pytest.raises(DataError, match="sends more than"):
        load(None)


def test_load_with_a_file_in_the_caches_way_is_one_sentence(
    write_idx, serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(data, "MIRRORS", (serve(write_idx(tmp_path / "web")),))
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(OutputError, match="Cannot write"):
        load(None)


APT = """#!/bin/sh
# Stands for apt-get: "download" leaves a package in the working folder.
case "$*" in
*update*) exit {update} ;;
*download*) : > {package}_1_all.deb ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3{folder}" && cp {web}/* "$3{folder}"
"""


@pytest.fixture
def fake_apt(tmp_path, monkeypatch):
    """Puts programs that act like apt-get and dpkg-deb first on the path."""

    def install(web: Path, update: int = 0):
        programs = tmp_path / "bin"
        programs.mkdir()
        contents = {
            "apt-get": APT.format(update=update, package=data.DEBIAN_PACKAGE),
            "dpkg-deb": DPKG.format(folder=data.DEBIAN_FOLDER, web=web),
        }
        for name, text in contents.items():
            (programs / name).write_text(text)
            (programs / name).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
        monkeypatch.setattr(data.shutil, "which", lambda name: str(programs / name))

    return install


def test_load_where_the_web_is_silent_takes_the_package(write_idx, fake_apt, tmp_path):
    fake_apt(write_idx(tmp_path / "package"))
    said = []
    assert load(None, said.append).folder == data.cache_folder()
    assert any("dataset-fashion-mnist" in sentence for sentence in said)


def test_load_of_a_package_that_is_another_is_refused(write_idx, fake_apt, tmp_path):
    package = write_idx(tmp_path / "package")
    (package / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(b"another"))
    fake_apt(package)
    with pytest.raises(DataError, match=r"cannot be obtained \(apt: .*is not Fashion-MNIST's"):
        load(None)


def test_load_where_apt_fails_too_says_so(write_idx, fake_apt, tmp_path):
    fake_apt(write_idx(tmp_path / "package"), update=100)
    with pytest.raises(DataError, match=r"cannot be obtained \(apt: apt-get failed"):
        load(None)


# --- split and input


def test_validation_split_is_disjoint_complete_and_stratified():
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 100))
    training, validation = validation_split(y)
    assert sorted([*training, *validation]) == list(range(1000))
    np.testing.assert_array_equal(np.bincount(y[validation]), np.full(10, 10))
    assert (np.diff(training) > 0).all()
    assert (np.diff(validation) > 0).all()


def test_validation_split_does_not_depend_on_any_seed():
    y = np.tile(np.arange(10), 50)
    np.random.seed(1)
    first = validation_split(y)
    np.random.seed(2)
    np.testing.assert_array_equal(validation_split(y)[1], first[1])


def test_validation_split_of_many_images_takes_600_a_class():
    _, validation = validation_split(np.repeat(np.arange(2), 9000))
    assert len(validation) == 1200


def test_as_input_divides_by_255_and_adds_a_channel():
    images = np.array([[[0, 51, 255]]], np.uint8)
    x = as_input(images)
    assert (x.shape, x.dtype) == ((1, 1, 3, 1), np.float32)
    np.testing.assert_array_equal(x[0, 0, :, 0], np.array([0, 0.2, 1], np.float32))


# --- the report


def test_inspect_counts_duplicates_and_overlap():
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28), np.uint8)
    x_train = images[[0, 1, 2, 0, 0, 3]]  # image 0 is repeated twice
    x_test = images[[4, 4, 1, 5, 0]]  # image 4 repeated once; 1 and 0 are in training
    y_train, y_test = np.array([0, 1, 2, 0, 3, 9], np.uint8), np.array([0, 0, 1, 2, 9], np.uint8)
    report = inspect(FashionMnist(x_train, y_train, x_test, y_test, Path("here")))
    assert (report.duplicates_train, report.duplicates_test, report.overlap) == (2, 1, 2)
    assert report.counts["T-shirt/top"] == (2, 2)
    assert report.counts["Ankle boot"] == (1, 1)
    assert report.counts["Bag"] == (0, 0)
    assert list(report.counts) == list(FASHION_MNIST_LABELS)


def test_inspect_of_images_that_differ_in_one_pixel_finds_no_duplicate():
    x = np.zeros((2, 28, 28), np.uint8)
    x[1, 27, 27] = 1
    y = np.zeros(2, np.uint8)
    report = inspect(FashionMnist(x[:1], y[:1], x[1:], y[1:], Path("here")))
    assert (report.duplicates_train, report.overlap) == (0, 0)
    assert inspect(FashionMnist(x, y, x, y, Path("here"))).duplicates_train == 0


def test_load_of_the_real_data_set_is_the_released_one(real_data_dir):
    found = load(real_data_dir)
    assert (found.x_train.shape, found.x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    report = inspect(found)
    assert set(report.counts.values()) == {(6000, 1000)}
    # The release had its duplicates removed (commit 658ec8c of its repository).
    assert (report.duplicates_train, report.duplicates_test, report.overlap) == (0, 0, 0)
    training, validation = validation_split(found.y_train)
    assert (len(training), len(validation)) == (54000, 6000)
    np.testing.assert_array_equal(np.bincount(found.y_train[validation]), np.full(10, 600))


def test_load_of_a_file_that_unpacks_to_gigabytes_is_refused_in_little_memory(
    write_idx, tmp_path, monkeypatch
):
    folder = write_idx(tmp_path / "data")
    monkeypatch.setattr(data, "LARGEST_BYTES", 4 << 20)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="unpacks to more than 4 MiB"):
            load(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_load_from_a_folder_whose_name_cannot_be_is_one_sentence():
    with pytest.raises(DataError, match="lacks"):
        load(Path("x" * 300))
