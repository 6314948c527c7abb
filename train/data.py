"""Finds or downloads Fashion-MNIST, checks it and splits it; needs only NumPy and the standard library."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.client
import io
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import DataError
from garmentlite.edge.files import (
    cache_root,
    is_dir,
    is_file,
    open_regular,
    read_bytes,
    require_writable,
    write_bytes,
)
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.read_errors import READ_ERRORS
from garmentlite.edge.text_table import text_table

# MD5 of the decompressed files, as released after duplicates were removed (commit 658ec8c of
# github.com/zalandoresearch/fashion-mnist). The compressed files differ from mirror to mirror.
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # the folder of that package's files
MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
TIMEOUT_S = 10  # after this time without an answer the next mirror is tried
LARGEST_BYTES = 64 << 20  # of a file, compressed or not; the largest have 26 MB and 47 MB
LARGEST_HEAD = 64 << 10  # bytes of a table's first line; Kaggle's has 7 KB
VALIDATION_PER_CLASS = 600  # of 6,000: a tenth
# The seed of every split that is the same for all runs: the date of the data set's release.
SPLIT_SEED = 20170825


@dataclass(frozen=True)
class FashionMnist:
    """The data set in memory.

    Attributes:
        x_train: Training images, uint8, shape (60000, 28, 28): a light garment on background 0.
        y_train: Their class numbers, uint8, shape (60000,), in [0, 10).
        x_test: Test images, uint8, shape (10000, 28, 28); for the last measurement only.
        y_test: Their class numbers, uint8, shape (10000,).
        folder: The folder where the files were found.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    folder: Path


def load(data_dir: Path | None = None, say: Say = say_nothing) -> FashionMnist:
    """Finds or downloads Fashion-MNIST, checks every file, and reads it.

    It is looked for in this order: `data_dir`, `$FASHION_MNIST_DIR`, the files of the Debian and Ubuntu
    package `dataset-fashion-mnist`, the user's cache, a download into that cache.

    Args:
        data_dir: A folder with the four IDX files, compressed (`.gz`) or not; None to look for it.
        say: Called with a sentence before anything that takes time.

    Raises:
        DataError: If a named folder lacks a file, a file differs from the released one, or the data set
            cannot be obtained.
        OutputError: If it has to be downloaded and the cache cannot be written.
    """
    folder = locate(data_dir, say)
    content = {name: read_checked(folder, name) for name in MD5}
    return FashionMnist(
        x_train=_parse_images(content["train-images-idx3-ubyte"]),
        y_train=_parse_labels(content["train-labels-idx1-ubyte"]),
        x_test=_parse_images(content["t10k-images-idx3-ubyte"]),
        y_test=_parse_labels(content["t10k-labels-idx1-ubyte"]),
        folder=folder,
    )


def locate(data_dir: Path | None, say: Say = say_nothing) -> Path:
    """Finds the folder with the data set, and downloads it if there is none; see `load`."""
    named = data_dir or (
        Path(os.environ["FASHION_MNIST_DIR"]) if os.environ.get("FASHION_MNIST_DIR") else None
    )
    if named:
        missing = [name for name in MD5 if _file_in(named, name) is None]
        if missing:
            tables = sorted(named.glob("*.csv")) if is_dir(named) else [named]
            for table in filter(is_file, tables):
                refuse_pixel_table(table)
            raise DataError(
                f"{named} lacks {', '.join(missing)} (or .gz); name the folder with the four files "
                "of Fashion-MNIST, or leave it out to have them found or downloaded."
            )
        return named
    for folder in (DEBIAN_FOLDER, cache_folder()):
        if all(_file_in(folder, name) for name in MD5):
            return folder
    require_writable(  # checked before 30 MB are downloaded
        cache_folder(),
        "Fashion-MNIST is downloaded there; set XDG_CACHE_HOME to a folder that can be written, or name the "
        "folder of its four files with --data-dir",
    )
    _obtain(cache_folder(), say)
    return cache_folder()


def cache_folder() -> Path:
    """Returns the folder for downloads, below `$XDG_CACHE_HOME` or `~/.cache`."""
    return cache_root() / "fashion-mnist"


def read_checked(folder: Path, name: str) -> bytes:
    """Reads one of the four files, decompresses it and checks its MD5.

    Raises:
        DataError: If the file cannot be read or decompressed, or its MD5 is another one.
    """
    path = _file_in(folder, name)
    if path is None:
        raise DataError(f"{folder / name} is missing (with .gz or without); restore it.")
    try:
        content = read_bytes(path, LARGEST_BYTES)
        if path.suffix == ".gz":
            content = _gunzip(content)
    except READ_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{path} cannot be read ({reason}); delete it and run 'cli data' again."
        ) from error
    found = _md5(content)
    if found != MD5[name]:
        raise DataError(
            f"{path} is not Fashion-MNIST's {name}: its decompressed MD5 is {found}, expected "
            f"{MD5[name]}; delete it and run 'cli data' again, or name the right folder with --data-dir."
        )
    return content


def validation_split(y_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits the training set: 600 images of each class are kept out of training, for validation.

    The split does not depend on the seed of a run. So models trained with different seeds are compared on
    the same images, and images that find quantization ranges never select a model.

    Args:
        y_train: Class numbers of the training set, shape (N,); of a class with fewer than 6,000 images a
            tenth is kept out.

    Returns:
        Sorted indices of the training images, and of the validation images; int64.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    chosen = []
    for class_id in np.unique(y_train):
        members = np.flatnonzero(y_train == class_id)
        count = min(VALIDATION_PER_CLASS, len(members) // 10)
        chosen.append(rng.choice(members, count, replace=False))
    validation = np.sort(np.concatenate(chosen))
    training = np.setdiff1d(np.arange(len(y_train)), validation)
    return training, validation


def as_input(images_u8: np.ndarray) -> np.ndarray:
    """Turns uint8 images (N, H, W) into the input of a network: float32 (N, H, W, 1), pixel / 255."""
    return (images_u8[..., np.newaxis] / np.float32(255)).astype(np.float32)


@dataclass(frozen=True)
class DataReport:
    """What Fashion-MNIST contains, as `cli data` reports it.

    Attributes:
        folder: The folder of the files.
        md5: MD5 of the decompressed bytes by file name; all have been checked.
        counts: Number of training and of test images by label.
        duplicates_train: Number of training images that repeat an earlier training image bit for bit.
        duplicates_test: The same number within the test set.
        overlap: Number of test images that are also in the training set.
    """

    folder: str
    md5: dict[str, str]
    counts: dict[str, tuple[int, int]]
    duplicates_train: int
    duplicates_test: int
    overlap: int

    def as_text(self) -> str:
        """Writes the report for people."""
        table = text_table(
            ["class", "train", "test"],
            [[label, f"{train:,}", f"{test:,}"] for label, (train, test) in self.counts.items()],
        )
        return (
            f"Fashion-MNIST in {self.folder}: {len(self.md5)} files, MD5 as released\n{table}\n"
            f"{self.duplicates_train} duplicates in training, {self.duplicates_test} in test, "
            f"{self.overlap} test images also in training"
        )


def inspect(data: FashionMnist) -> DataReport:
    """Counts images, duplicates and the overlap of training and test set."""
    train_rows, test_rows = _as_rows(data.x_train), _as_rows(data.x_test)
    unique_train = np.unique(train_rows)
    train_counts = np.bincount(data.y_train, minlength=10)
    test_counts = np.bincount(data.y_test, minlength=10)
    return DataReport(
        folder=str(data.folder),
        md5=dict(MD5),
        counts={
            label: (int(train_counts[i]), int(test_counts[i]))
            for i, label in enumerate(FASHION_MNIST_LABELS)
        },
        duplicates_train=len(train_rows) - len(unique_train),
        duplicates_test=len(test_rows) - len(np.unique(test_rows)),
        overlap=int(np.isin(test_rows, unique_train).sum()),
    )


def _as_rows(images: np.ndarray) -> np.ndarray:
    """Views each image as one opaque value, shape (N,), so that NumPy sorts and compares whole images."""
    rows = np.ascontiguousarray(images.reshape(len(images), -1))
    return rows.view(np.dtype((np.void, rows.shape[1]))).ravel()


def _file_in(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if is_file(path):
            return path
    return None


def _gunzip(content: bytes) -> bytes:
    """Decompresses, with no more than one byte beyond the limit in memory at any time."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
        unpacked = packed.read(LARGEST_BYTES + 1)
    if len(unpacked) > LARGEST_BYTES:
        raise OSError(
            errno.EFBIG,
            f"it unpacks to more than {LARGEST_BYTES >> 20} MiB, no file of the data set",
        )
    return unpacked


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _parse_images(content: bytes) -> np.ndarray:
    # IDX: magic, count, height and width as four big-endian 32-bit numbers, then the pixels.
    count, height, width = np.frombuffer(content, ">u4", 4)[1:]
    return np.frombuffer(content, np.uint8, offset=16).reshape(int(count), int(height), int(width))


def _parse_labels(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8, offset=8)


def refuse_pixel_table(table: Path) -> None:
    """Raises DataError if a table holds pixels, as Kaggle's form of Fashion-MNIST does.

    Args:
        table: A CSV file. The first line of Kaggle's is label,pixel1,...,pixel784.
    """
    with open_regular(table) as file:
        head = file.readline(LARGEST_HEAD).decode("utf-8", "replace")
    if {"pixel1", "pixel784"} <= set(head.strip().split(",")):
        raise DataError(
            f"{table} is a table of pixels, as Kaggle offers Fashion-MNIST. Only the four released files "
            f"({', '.join(MD5)}) can be checked byte for byte; put them into a folder and name it with "
            "--data-dir, or leave that option out to have them downloaded."
        )


def _obtain(folder: Path, say: Say) -> None:
    failures = []
    for mirror in MIRRORS:
        say(f"Downloading Fashion-MNIST (30 MB) from {mirror.split('/')[2]} ...")
        try:
            for name in MD5:
                if _file_in(folder, name) is None:
                    write_bytes(folder / f"{name}.gz", _download(f"{mirror}{name}.gz", name))
            return
        except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error) or type(error).__name__
            failures.append(f"{mirror.split('/')[2]}: {reason}")
    if shutil.which("apt-get"):
        say(f"The download failed; trying the package {DEBIAN_PACKAGE} ...")
        try:
            _from_debian_package(folder)
            return
        except (OSError, subprocess.SubprocessError, DataError) as error:
            failures.append(f"apt: {error}")
    raise DataError(
        f"Fashion-MNIST cannot be obtained ({'; '.join(failures)}); put its four .gz files into a "
        "folder and name it with --data-dir."
    )


def _download(url: str, name: str) -> bytes:
    """Downloads one of the four files, compressed; another file than the released one is refused."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        content = answer.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise urllib.error.URLError(f"{url} sends more than {LARGEST_BYTES >> 20} MiB")
    if _md5(_gunzip(content)) != MD5[name]:
        raise urllib.error.URLError(f"{url} is not the released file")
    return content


def _from_debian_package(folder: Path) -> None:
    """Downloads the package from the apt sources of this machine and unpacks it; needs no root.

    apt keeps its lists and caches in a temporary folder, and nothing is installed.
    """
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        for sub in ("lists/partial", "cache/archives/partial"):
            (state / sub).mkdir(parents=True)
        (state / "status").touch()
        private = [
            f"-oDir::State={state}",
            f"-oDir::State::Lists={state}/lists",
            f"-oDir::State::status={state}/status",
            f"-oDir::Cache={state}/cache",
            "-oDebug::NoLocking=1",
            "-oAcquire::Languages=none",
            "-oAPT::Sandbox::User=",
            f"-oAcquire::http::Timeout={TIMEOUT_S}",
        ]
        for command in (
            ["apt-get", "-q", *private, "update"],
            ["apt-get", "-q", *private, "download", DEBIAN_PACKAGE],
        ):
            _run_quietly(command, state)
        for package in state.glob(f"{DEBIAN_PACKAGE}_*.deb"):
            _run_quietly(["dpkg-deb", "-x", str(package), str(state / "unpacked")], state)
        unpacked = state / "unpacked" / DEBIAN_FOLDER.relative_to("/")
        for file_name in MD5:
            read_checked(unpacked, file_name)
            write_bytes(folder / f"{file_name}.gz", (unpacked / f"{file_name}.gz").read_bytes())


def _run_quietly(command: list[str], folder: Path) -> None:
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if result.returncode:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:]
        raise OSError(f"{' '.join(command[:1])} failed: {' '.join(last)}")
