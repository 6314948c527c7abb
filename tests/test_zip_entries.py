"""Zip files that lie about what they hold take no more memory than they may."""

import io
import struct
import tracemalloc
import zipfile

import pytest

from garmentlite.edge.zip_entries import (
    UnpackError,
    open_archive,
    read_entry,
    require_honest_sizes,
)

HUGE = 64 << 20


def archive_of(content: bytes, method=zipfile.ZIP_DEFLATED) -> bytearray:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("entry", content)
    return bytearray(buffer.getvalue())


def lying(stated: int) -> bytearray:
    """A zip whose entry of 64 MiB of zeros says that it has `stated` bytes."""
    content = archive_of(bytes(HUGE))
    struct.pack_into("<L", content, content.rindex(b"PK\x01\x02") + 24, stated)
    struct.pack_into("<L", content, 22, stated)
    return content


def opened(content: bytes) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    archive = open_archive(io.BytesIO(content))
    return archive, archive.infolist()[0]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_read_entry_gives_back_what_was_written(method):
    archive, entry = opened(archive_of(b"content" * 1000, method))
    assert read_entry(archive, entry, 7000) == b"content" * 1000
    require_honest_sizes(archive, 7000)
    with pytest.raises(UnpackError, match="unpacks to more than"):
        read_entry(archive, entry, 6999)
    with pytest.raises(UnpackError, match="unpacks to more than"):
        require_honest_sizes(archive, 6999)


@pytest.mark.parametrize("stated", [10, HUGE - 1, HUGE, HUGE + 1])
def test_an_entry_that_lies_about_its_size_takes_little_memory(stated):
    archive, entry = opened(lying(stated))
    tracemalloc.start()
    try:
        with pytest.raises(UnpackError, match="unpacks to more than 1 MiB"):
            read_entry(archive, entry, 1 << 20)
        with pytest.raises(UnpackError, match="unpacks to more than 8 MiB"):
            require_honest_sizes(archive, 8 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("stated", [10, HUGE - 1, HUGE + 1])
def test_require_honest_sizes_refuses_a_lie_below_the_limit(stated):
    archive, _ = opened(lying(stated))
    with pytest.raises(UnpackError, match="another size than it states"):
        require_honest_sizes(archive, 2 * HUGE)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_entry_of_another_method_is_refused(method):
    archive, entry = opened(archive_of(b"content", method))
    with pytest.raises(UnpackError, match="expected deflate"):
        read_entry(archive, entry, 1000)


def test_an_entry_with_a_wrong_checksum_is_refused():
    content = archive_of(b"content", zipfile.ZIP_STORED)
    content[content.index(b"content")] ^= 1
    archive, entry = opened(content)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read_entry(archive, entry, 1000)


def test_an_archive_with_a_huge_directory_is_refused():
    content = archive_of(b"content")
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 12, 1 << 30)
    with pytest.raises(UnpackError, match="list of entries"):
        open_archive(io.BytesIO(content))


def test_what_is_no_archive_is_refused_as_such():
    for content in (b"", b"text", b"PK\x05\x06"):
        with pytest.raises(zipfile.BadZipFile):
            open_archive(io.BytesIO(content))
