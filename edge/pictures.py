"""Reads pictures of every common file format as RGB arrays; refuses anything else in one sentence."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge.errors import PictureError
from garmentlite.edge.files import is_dir, is_file, open_regular
from garmentlite.edge.read_errors import READ_ERRORS

if TYPE_CHECKING:
    from PIL.Image import Image

# Suffixes of the files that are taken from a folder. A file named on its own may have any name.
PICTURE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
# Pillow's readers for these formats. Its other readers may start programs (EPS) or are rarely tested.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MIN_SIDE = 28  # pixels; a smaller picture has less detail than the image that the network sees
MAX_PIXELS = (
    64_000_000  # width x height; 192 MB as RGB, which fits into the memory of a board with 1 GB
)
_GREY_16_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of 16-bit grey pictures
MAX_SIDE = 640  # pixels, the longest side to which photographs are reduced


@dataclass(frozen=True)
class Picture:
    """One picture in memory.

    Attributes:
        rgb: uint8, shape (H, W, 3).
        alpha: uint8, shape (H, W), 0 = transparent; None if the picture is opaque.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Raises ValueError if an array has a wrong type or shape."""
        if self.rgb.dtype != np.uint8 or self.rgb.ndim != 3 or self.rgb.shape[2] != 3:
            raise ValueError(
                f"rgb must be uint8 of shape (H, W, 3), got {self.rgb.dtype} {self.rgb.shape}"
            )
        if self.alpha is not None and (
            self.alpha.dtype != np.uint8 or self.alpha.shape != self.rgb.shape[:2]
        ):
            raise ValueError(
                f"alpha must be uint8 of shape {self.rgb.shape[:2]}, "
                f"got {self.alpha.dtype} {self.alpha.shape}"
            )

    @classmethod
    def from_bgr(cls, frame_bgr: np.ndarray) -> Picture:
        """Makes a picture of a frame in OpenCV's order of channels.

        Args:
            frame_bgr: uint8, shape (H, W, 3). It is copied.
        """
        return cls(np.ascontiguousarray(frame_bgr[..., ::-1]))

    @classmethod
    def from_image(cls, image: Image, max_side: int = MAX_SIDE) -> Picture:
        """Makes a picture of a Pillow image in any mode, upright and reduced if it is large.

        Args:
            image: It is not changed.
            max_side: Longest side of the result in pixels; a smaller image keeps its size.

        Raises:
            PictureError: If the image is too small or too large, or its file turns out to be damaged.
        """
        from PIL import ImageOps

        name = str(getattr(image, "filename", "") or "The image")
        with _errors_named(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which does not matter here
            _check_size(name, image.size)
            return _to_picture(_reduced(_in_8_bit(ImageOps.exif_transpose(image)), max_side))


def read_picture(path: str | Path, max_side: int = MAX_SIDE) -> Picture:
    """Reads a picture upright, in 8-bit RGB, and reduces it if it is large.

    Grey, 1-bit, 16-bit, palette and CMYK pictures become RGB, and transparency becomes `alpha`. An animation
    gives its first frame. Large JPEG files are decoded at a fraction of their size.

    Args:
        path: A picture file.
        max_side: Longest side of the result in pixels; a smaller picture keeps its size.

    Returns:
        The picture.

    Raises:
        PictureError: If the path is empty, if there is no such file, if it is not a picture or is damaged, or
            if the picture has a side below 28 pixels or more than 64 million pixels (checked before it is
            decoded).
    """
    from PIL import Image, ImageOps

    _refuse_empty(path)
    path = Path(path)
    if is_dir(path):
        raise PictureError(
            f"{path} is a folder, expected a picture file; name a file in it, or 'cli classify "
            f"{path}' for all of them."
        )
    if not is_file(path):
        raise PictureError(_not_a_file(path))
    with _errors_named(path), open_regular(path) as file, warnings.catch_warnings():
        # Pillow warns about sizes, which are checked below, and about odd metadata, which does not matter.
        warnings.simplefilter("ignore")
        with Image.open(file, formats=_FORMATS) as opened:
            _check_size(path, opened.size)
            opened.draft("RGB", (max_side, max_side))
            opened.load()
            ImageOps.exif_transpose(opened, in_place=True)
            return _to_picture(_reduced(_in_8_bit(opened), max_side))


def find_pictures(
    paths: Iterable[str | Path], warn: Callable[[str], None] | None = None
) -> list[Path]:
    """Lists the picture files that files, folders and patterns name.

    Args:
        paths: Files with any suffix; folders, which are searched with their subfolders for known suffixes
            (hidden folders and files are left out); and glob patterns (`**` for any depth).
        warn: Called with a sentence for each folder below `paths` that this user may not read; without
            it, that is an error.

    Returns:
        Files in the order of the arguments, sorted within each; no file is listed twice.

    Raises:
        PictureError: If one of `paths` names no picture.
    """

    def cannot_read(error: OSError) -> None:
        sentence = f"The folder {error.filename} cannot be read ({error.strerror})"
        if warn is None:
            raise PictureError(f"{sentence}; allow it with 'chmod +rx'.") from error
        warn(f"{sentence}; it is left out.")

    found: dict[Path, None] = {}
    for path in paths:
        _refuse_empty(path)
        if os.path.exists(path):  # before globbing: a file may be called 'shirt[1].jpg'
            matches = [Path(path)]
        else:
            matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        files = [file for match in matches for file in _files_of(match, cannot_read)]
        if not files:
            raise PictureError(_nothing_found(path, matches))
        found.update(dict.fromkeys(files))
    return list(found)


@contextmanager
def _errors_named(path: str | Path) -> Iterator[None]:
    """Turns the errors that Pillow raises for a broken or huge file into a `PictureError`."""
    from PIL import Image

    try:
        yield
    except Image.DecompressionBombError as error:
        raise PictureError(_too_large(path, "so many")) from error
    except Image.UnidentifiedImageError as error:
        raise PictureError(
            f"{path} is not a picture that can be read (JPEG, PNG, WebP, BMP, GIF, TIFF); "
            "save it as JPEG or PNG."
        ) from error
    except PermissionError as error:
        raise PictureError(
            f"{path} cannot be read by this user; allow it with 'chmod +r'."
        ) from error
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(
            f"{path} is damaged or incomplete ({reason}); copy it again or save it again."
        ) from error


def _check_size(path: str | Path, size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise PictureError(
            f"{path} is too small ({width} x {height} pixels, expected at least {MIN_SIDE} x "
            f"{MIN_SIDE}); use a larger picture."
        )
    if width * height > MAX_PIXELS:
        raise PictureError(_too_large(path, f"{width} x {height}"))


def _too_large(path: str | Path, amount: str) -> str:
    return (
        f"{path} is too large ({amount} pixels, at most {MAX_PIXELS // 10**6} million can be read); "
        "make it smaller."
    )


def _in_8_bit(image: Image) -> Image:
    """Converts an image of any mode to "RGB" or, if something is transparent, to "RGBA"."""
    if image.mode in _GREY_16_BIT:
        return _from_levels(np.asarray(image), 65_535).convert("RGB")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        full_scale = next((top for top in (1, 255) if values.max() <= top), 65_535)
        return _from_levels(values, full_scale).convert("RGB")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)  # convert always makes a copy


def _from_levels(values: np.ndarray, full_scale: int) -> Image:
    """Makes an 8-bit image of grey values in [0, full_scale]."""
    from PIL import Image

    scaled = np.clip(values.astype(np.float64) * 255 / full_scale, 0, 255)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _reduced(image: Image, max_side: int) -> Image:
    from PIL import Image

    scale = max_side / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)  # each pixel is the mean of an area


def _to_picture(image: Image) -> Picture:
    pixels: np.ndarray[Any, np.dtype[np.uint8]] = np.array(image)
    if image.mode == "RGB":
        return Picture(pixels)
    alpha = np.ascontiguousarray(pixels[..., 3])
    return Picture(np.ascontiguousarray(pixels[..., :3]), None if alpha.min() == 255 else alpha)


def _files_of(path: Path, cannot_read: Callable[[OSError], None]) -> list[Path]:
    """Lists the pictures below a folder; any other path is returned alone."""
    if not is_dir(path):
        return [path]
    files = []
    for folder, subfolders, names in os.walk(path, onerror=cannot_read):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if file.suffix.lower() in PICTURE_SUFFIXES)


def _nothing_found(path: str | Path, matches: list[Path]) -> str:
    if matches:
        suffixes = ", ".join(sorted(PICTURE_SUFFIXES))
        return f"There is no picture in {path} ({suffixes}); name another folder or a file."
    if glob.has_magic(str(path)):
        return f"Nothing matches {path}; check the pattern and the folder."
    return _not_a_file(path)


def _refuse_empty(path: str | Path) -> None:
    if not str(path):  # Path("") would be the current folder
        raise PictureError("The path of the picture is an empty text; name a picture file.")


def _not_a_file(path: str | Path) -> str:
    if os.path.exists(path):
        return f"{path} is a pipe or a device, expected a picture file; save the picture as a file."
    return f"There is no picture {path}; check the name and the folder."
