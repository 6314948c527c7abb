"""Reads pictures of every common file format as RGB arrays; refuses anything else in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from garmentlite.edge.errors import PictureError
from garmentlite.edge.files import is_dir, is_file, open_regular
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.picture_files import not_a_file, refuse_empty
from garmentlite.edge.picture_formats import FORMATS_IN_WORDS, HEAD_BYTES, formats_of
from garmentlite.edge.read_errors import READ_ERRORS

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_SIDE = 28  # pixels; a smaller picture has less detail than the image that the network sees
# Width x height of the largest picture: 192 MB as RGB, which fits into the memory of a board with 1 GB.
MAX_PIXELS = 64_000_000
_GREY_16_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of 16-bit grey pictures
# Pixels of the longest side. Masks and boxes of a photograph refer to the photograph reduced to this size.
MAX_SIDE = 640
# A picture is halved as long as its longest side keeps this many pixels. Garments are found at 128 pixels and
# become 28x28 images, and the shipped models were trained on photographs of this size.
LEAST_SIDE = 320


@dataclass(frozen=True)
class Picture:
    """One picture in memory, at the size at which the garment in it is recognized.

    Attributes:
        rgb: uint8, shape (h, w, 3).
        alpha: uint8, shape (h, w), 0 = transparent; None if the picture is opaque.
        full_hw: Height and width in pixels that the masks and boxes of the answer refer to; None for those
            of `rgb`.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    full_hw: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels that the masks and boxes of the answer refer to."""
        height, width = self.full_hw or self.rgb.shape[:2]
        return height, width

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
    def from_bgr(
        cls,
        frame_bgr: np.ndarray,
        alpha: np.ndarray | None = None,
        least_side: int = LEAST_SIDE,
    ) -> Picture:
        """Makes a picture of a frame in OpenCV's order of channels, reduced if it is large.

        Args:
            frame_bgr: uint8, shape (H, W, 3). It is copied.
            alpha: uint8, shape (H, W), 0 = transparent; None if the frame is opaque.
            least_side: The frame is halved as long as its longest side keeps this many pixels.

        Raises:
            MissingPartError: If OpenCV is not installed.
        """
        cv2 = load_opencv()
        height, width = frame_bgr.shape[:2]
        rgb = cv2.cvtColor(halved(frame_bgr, least_side), cv2.COLOR_BGR2RGB)
        return cls(rgb, None if alpha is None else halved(alpha, least_side), (height, width))

    @classmethod
    def from_image(cls, image: Image, least_side: int = LEAST_SIDE) -> Picture:
        """Makes a picture of a Pillow image in any mode, upright and reduced if it is large.

        Args:
            image: It is not changed.
            least_side: See `read_picture`.

        Raises:
            PictureError: If the image is too small or too large, or its file turns out to be damaged.
        """
        from PIL import ImageOps

        name = str(getattr(image, "filename", "") or "The image")
        with _errors_named(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which does not matter here
            _check_size(name, image.size)
            upright = ImageOps.exif_transpose(image)
            return _to_picture(upright, upright.size, least_side)


def read_picture(path: str | Path | IO[bytes], least_side: int = LEAST_SIDE) -> Picture:
    """Reads a picture upright, in 8-bit RGB, and reduces it if it is large.

    Grey, 1-bit, 12-bit, 16-bit, palette and CMYK pictures become RGB, and transparency becomes `alpha`.
    An animation gives its first frame. Large JPEG files are decoded at a fraction of their size.

    Args:
        path: A picture file, or an open one.
        least_side: The picture is halved as long as its longest side keeps this many pixels, and then
            reduced to 640 pixels if it is larger. A viewer asks for 640.

    Returns:
        The picture. Its masks and boxes refer to the picture in its own size, or reduced to a longest side
        of 640 pixels.

    Raises:
        PictureError: If the path is empty, if there is no such file, if it is not a picture or is damaged, or
            if the picture has a side below 28 pixels or more than 64 million pixels (checked before it is
            decoded).
    """
    from PIL import Image, ImageOps

    name = path if isinstance(path, str | Path) else "The picture"
    with _errors_named(name), _opened(path) as file, warnings.catch_warnings():
        # Pillow warns about sizes, which are checked below, and about odd metadata, which does not matter.
        warnings.simplefilter("ignore")
        formats = formats_of(name, file.read(HEAD_BYTES))
        file.seek(0)
        with Image.open(file, formats=formats) as opened:
            _check_size(name, opened.size)
            size_wh = opened.size
            factor = 2 ** _halvings(*size_wh, least_side)
            opened.draft("RGB", (size_wh[0] // factor, size_wh[1] // factor))
            opened.load()
            drafted_wh = opened.size
            ImageOps.exif_transpose(opened, in_place=True)
            full_wh = size_wh if opened.size == drafted_wh else size_wh[::-1]
            return _to_picture(opened, full_wh, least_side)


def _opened(path: str | Path | IO[bytes]) -> IO[bytes]:
    if not isinstance(path, str | Path):
        return path
    refuse_empty(path)
    path = Path(path)
    if is_dir(path):
        raise PictureError(
            f"{path} is a folder, expected a picture file; name a file in it, or 'cli classify "
            f"{path}' for all of them."
        )
    if not is_file(path):
        raise PictureError(not_a_file(path))
    return open_regular(path)


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
            f"{path} is not a picture that can be read ({FORMATS_IN_WORDS}); save it as JPEG or PNG."
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


def is_too_small(width: int, height: int) -> bool:
    """Tells whether a picture or frame of this size in pixels is refused."""
    return min(width, height) < MIN_SIDE


def too_small(name: str | Path, width: int, height: int) -> str:
    """Says that a picture or frame of this size in pixels is refused."""
    return (
        f"{name} is too small ({width} x {height} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}); use a "
        "larger picture."
    )


def _check_size(path: str | Path, size: tuple[int, int]) -> None:
    width, height = size
    if is_too_small(width, height):
        raise PictureError(too_small(path, width, height))
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
        values = np.asarray(image)
        # Cameras of 12 bits fill the lower bits of 16, and their pictures would look black.
        return _from_levels(values, 4095 if values.max() <= 4095 else 65_535).convert("RGB")
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


def halved(plane: np.ndarray, least_side: int) -> np.ndarray:
    """Halves a picture as long as its longest side keeps a number of pixels.

    OpenCV averages squares of 2 x 2 pixels with a fortieth of the instructions of any other ratio (counted
    on a Cortex-A72), and computes the same bytes on every machine. The last row or column of an odd number
    is left out.

    Args:
        plane: uint8, shape (H, W) or (H, W, 3). It is not changed.
        least_side: Pixels.

    Returns:
        uint8, shape (h, w) or (h, w, 3); `plane` itself if its longest side is below twice `least_side`.
    """
    for _ in range(_halvings(plane.shape[1], plane.shape[0], least_side)):
        rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
        squares = plane[: 2 * rows, : 2 * columns]
        cv2 = load_opencv()
        plane = cv2.resize(squares, (columns, rows), interpolation=cv2.INTER_AREA)
    return plane


def _halvings(width: int, height: int, least_side: int) -> int:
    """Counts how often a picture can be halved; no side gets smaller than a pixel."""
    return max(0, min(max(width, height) // least_side, width, height).bit_length() - 1)


def _to_picture(image: Image, full_wh: tuple[int, int], least_side: int) -> Picture:
    """Converts an upright image and reduces it.

    Args:
        image: In any mode.
        full_wh: Width and height in pixels of the picture that it was decoded from.
        least_side: See `read_picture`.
    """
    from PIL import Image

    image = _in_8_bit(image)
    halvings = _halvings(*image.size, least_side)
    if halvings:
        image = image.reduce(2**halvings)
    scale = min(1.0, MAX_SIDE / max(full_wh))
    width, height = (max(1, round(side * scale)) for side in full_wh)
    if max(image.size) > MAX_SIDE:
        image = image.resize((width, height), Image.Resampling.BOX)
    pixels: np.ndarray[Any, np.dtype[np.uint8]] = np.array(image)
    if image.mode == "RGB":
        return Picture(pixels, None, (height, width))
    alpha = np.ascontiguousarray(pixels[..., 3])
    rgb = np.ascontiguousarray(pixels[..., :3])
    return Picture(rgb, None if alpha.min() == 255 else alpha, (height, width))
