"""NumPy archives are read as they were written, and anything else is refused in one sentence."""

import io
import zipfile

import numpy as np
import pytest

from garmentlite.edge.errors import DataError
from garmentlite.edge.npz import read_arrays, read_npz, write_npz

ARRAYS = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "names": np.array(["a", "Größe"])}


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "some.npz"
    write_npz(path, "checkpoint", {"epoch": 3}, ARRAYS)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_archive_that_was_written_is_read_again(tmp_path, compress):
    path = tmp_path / "some.npz"
    write_npz(path, "checkpoint", {"epoch": 3}, ARRAYS, compress=compress)
    archive = read_npz(path, "checkpoint", "train anew")
    assert archive.about == {"epoch": 3}
    assert archive.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(archive.arrays[name], array)


def test_archive_of_another_purpose_is_refused(written):
    with pytest.raises(
        DataError, match=r"cannot be read as a reference \(it holds a checkpoint\); do x\."
    ):
        read_npz(written, "reference", "do x")


def test_missing_file_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(DataError, match="do x"):
        read_npz(tmp_path / "none.npz", "checkpoint", "do x")


def test_changed_array_is_refused_by_its_checksum(written):
    with np.load(written) as stored:
        arrays = dict(stored)
    arrays["x"] = arrays["x"] + 1
    np.savez(written, **arrays)
    with pytest.raises(DataError, match="checksum is wrong"):
        read_npz(written, "checkpoint", "do x")


@pytest.mark.parametrize("at", range(0, 700, 7))
def test_archive_with_a_changed_byte_is_refused_or_read_as_it_was(written, at):
    content = bytearray(written.read_bytes())
    content[at % len(content)] ^= 0xFF
    written.write_bytes(content)
    try:
        archive = read_npz(written, "checkpoint", "do x")
    except DataError:
        return
    np.testing.assert_array_equal(archive.arrays["x"], ARRAYS["x"])


def test_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("garmentlite.edge.npz.LARGEST_BYTES", 1000)
    path = tmp_path / "large.npz"
    write_npz(path, "checkpoint", {}, {"x": np.zeros(2000, np.uint8)}, compress=True)
    with pytest.raises(DataError, match=r"more than 1,000"):
        read_npz(path, "checkpoint", "do x")


def test_header_that_states_a_huge_array_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    )
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue() + b"1234")
    with pytest.raises(DataError, match="unpacks to more than"):
        read_npz(path, "checkpoint", "do x")


@pytest.mark.parametrize("shape", [(0,), (0, 28, 28), ()])
def test_empty_and_scalar_arrays_are_read_again(tmp_path, shape):
    array = np.full(shape, 7, np.uint8)
    write_npz(tmp_path / "a.npz", "checkpoint", {}, {"x": array})
    found = read_npz(tmp_path / "a.npz", "checkpoint", "do x").arrays["x"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.uint8
    assert found.flags.writeable


def test_arrays_by_column_are_read_again(tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    write_npz(tmp_path / "a.npz", "checkpoint", {}, {"x": array})
    found = read_npz(tmp_path / "a.npz", "checkpoint", "do x").arrays["x"]
    np.testing.assert_array_equal(found, array)


def test_archive_of_pickled_objects_is_refused(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        read_npz(path, "checkpoint", "do x")


def test_read_arrays_reads_an_archive_of_numpy_and_refuses_what_is_too_large(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    found = read_arrays(tmp_path / "a.npz", "checkpoint", "do x")
    assert found.keys() == ARRAYS.keys()
    np.testing.assert_array_equal(found["x"], ARRAYS["x"])
    monkeypatch.setattr("garmentlite.edge.npz.LARGEST_BYTES", 10)
    with pytest.raises(
        DataError, match=r"as a checkpoint \(it unpacks to more than 10 bytes\); do x"
    ):
        read_arrays(tmp_path / "a.npz", "checkpoint", "do x")
