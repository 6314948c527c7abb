"""The file formats of pictures: which are taken from a folder, and which reader of Pillow reads a file."""

from __future__ import annotations

from pathlib import Path

from garmentlite.edge.errors import PictureError

# Pillow's readers for these formats. Its other readers may start programs (EPS) or are rarely tested. A
# file says in its first bytes which of them it needs, whatever its name is.
_USUAL = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
FORMATS_IN_WORDS = "AVIF, BMP, GIF, HEIC, JPEG, JPEG 2000, PGM, PNG, PPM, TIFF, WebP"

_READ_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
# These are pictures too, but nothing here reads them. They are taken from a folder all the same, so that each
# of them is named in an error. Raw files of cameras begin like a TIFF file, and only
# the small preview in them would be read.
_UNREAD_SUFFIXES = (
    ".arw", ".cr2", ".cr3", ".dng", ".eps", ".ico", ".jxl", ".nef", ".orf", ".psd", ".raf", ".rw2", ".svg",
    ".tga", ".xcf",
)  # fmt: skip
# Suffixes of the files that are taken from a folder. A file named on its own may have any name.
PICTURE_SUFFIXES = frozenset(_READ_SUFFIXES + _UNREAD_SUFFIXES)

HEAD_BYTES = 64  # the first bytes of a file, by which its reader is found

_JPEG_2000 = (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")  # as a .jp2 file, and without its box
# Brands of ISO/IEC 23008-12, the container of HEIC and AVIF; "mif1" stands in files of both.
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def formats_of(name: str | Path, head: bytes) -> tuple[str, ...]:
    """Finds the readers of Pillow that may open a file, and prepares the one for HEIC.

    Args:
        name: Path of the file, for errors.
        head: Its first `HEAD_BYTES` bytes.

    Raises:
        PictureError: If no reader is installed for the format, or the file is a picture of a kind that is
            not read.
    """
    from PIL import features

    suffix = Path(name).suffix.lower()
    if suffix in _UNREAD_SUFFIXES:
        raise PictureError(f"{name} is a {suffix} file, which is not read; save it as JPEG or PNG.")
    if head.startswith(_JPEG_2000):
        if not features.check("jpg_2000"):
            raise PictureError(
                f"{name} is a JPEG 2000 picture, which this build of Pillow cannot read; save it as JPEG."
            )
        return ("JPEG2000",)
    if head[4:8] != b"ftyp":
        return _USUAL
    brands = [head[i : i + 4] for i in (8, *range(16, min(int.from_bytes(head[:4]), len(head)), 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        if not features.check("avif"):
            raise PictureError(
                f"{name} is an AVIF picture, which needs Pillow 11.3 or later; update Pillow, or save the "
                "picture as JPEG."
            )
        return ("AVIF",)
    if any(brand in _HEIF_BRANDS for brand in brands):
        try:
            from pillow_heif import register_heif_opener
        except ImportError as error:
            raise PictureError(
                f"{name} is a HEIC picture, which needs pillow-heif; install it with: python -m pip install "
                "'garmentlite[heic]', or save the picture as JPEG."
            ) from error
        register_heif_opener()
        return ("HEIF",)
    return _USUAL
