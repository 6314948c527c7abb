"""Tests of reading pictures of every common kind, and of files that are not pictures."""

import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, features

from garmentlite.edge.errors import PictureError
from garmentlite.edge.picture_files import find_pictures
from garmentlite.edge.pictures import (
    MAX_PIXELS,
    MAX_SIDE,
    Picture,
    halved,
    read_picture,
)

WIDTH, HEIGHT = 60, 40


@pytest.fixture
def gradient():
    """uint8, shape (40, 60): dark at the left, light at the right."""
    return np.tile(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, 1))


def save(image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "CMYK", "1", "YCbCr"])
def test_read_picture_of_any_opaque_mode_becomes_rgb(tmp_path, gradient, mode):
    suffix = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    path = save(Image.fromarray(gradient).convert(mode), tmp_path / f"picture.{suffix}")
    picture = read_picture(path)
    assert picture.rgb.shape == (HEIGHT, WIDTH, 3)
    assert picture.rgb.dtype == np.uint8
    assert picture.alpha is None
    assert picture.rgb[:, :5].mean() < 40
    assert picture.rgb[:, -5:].mean() > 215


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_read_picture_of_16_bits_scales_to_8(tmp_path, suffix):
    values = np.tile(np.linspace(0, 65_535, WIDTH).astype(np.uint16), (HEIGHT, 1))
    picture = read_picture(save(Image.fromarray(values), tmp_path / f"deep.{suffix}"))
    expected = np.rint(values * (255 / 65_535))
    assert np.array_equal(picture.rgb, np.repeat(expected[..., np.newaxis], 3, axis=2))


def test_read_picture_of_dark_16_bits_stays_dark(tmp_path):
    values = np.full((HEIGHT, WIDTH), 4112, np.uint16)  # 16 x 257
    assert read_picture(save(Image.fromarray(values), tmp_path / "dark.png")).rgb.max() == 16


def test_read_picture_of_12_bits_in_16_scales_to_8(tmp_path):
    values = np.tile(np.linspace(0, 4095, WIDTH).astype(np.uint16), (HEIGHT, 1))
    picture = read_picture(save(Image.fromarray(values), tmp_path / "camera.png"))
    assert np.array_equal(picture.rgb[..., 1], np.rint(values * (255 / 4095)))


def test_read_picture_of_black_16_bits_is_black(tmp_path):
    values = np.zeros((HEIGHT, WIDTH), np.uint16)
    assert read_picture(save(Image.fromarray(values), tmp_path / "black.png")).rgb.max() == 0


@pytest.mark.parametrize(
    ("suffix", "reader"),
    [
        ("avif", "AVIF"), ("heic", "HEIF"), ("jfif", "JPEG"), ("jp2", "JPEG2000"), ("mpo", "MPO"),
        ("pnm", "PPM"), ("webp", "WEBP"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["picture.{}", "download"])
def test_read_picture_of_every_format_finds_its_reader_whatever_its_name(
    tmp_path, gradient, suffix, reader, name
):
    if suffix == "heic":
        pytest.importorskip(
            "pillow_heif", reason="pillow-heif is not installed"
        ).register_heif_opener()
    if suffix in ("avif", "jp2") and not features.check({"jp2": "jpg_2000"}.get(suffix, suffix)):
        pytest.skip(f"this build of Pillow does not write {suffix}")
    path = tmp_path / name.format(suffix)
    Image.fromarray(gradient).convert("RGB").save(path, reader)
    picture = read_picture(path)
    assert picture.rgb.shape == (HEIGHT, WIDTH, 3)
    # Every one of these readers is lossy at most by a few levels on a gradient.
    assert np.abs(picture.rgb[..., 0].astype(int) - gradient).max() < 16


def test_read_picture_of_grey_pnm_files(tmp_path, gradient):
    for suffix in ("pgm", "pnm"):
        path = tmp_path / f"grey.{suffix}"
        Image.fromarray(gradient).save(path, "PPM")
        assert np.array_equal(read_picture(path).rgb[..., 2], gradient)


def iso_file(*brands):
    """The first bytes of a HEIC or AVIF file: its size, type, main brand, version and further brands."""
    size = 16 + 4 * (len(brands) - 1)
    return struct.pack(">I", size) + b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])


def test_read_picture_of_heic_without_its_reader_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.jpg"  # phones' apps give such files this suffix too
    path.write_bytes(iso_file(b"mif1", b"mif1", b"heic") + bytes(100))
    with pytest.raises(PictureError, match=r"pip install 'garmentlite\[heic\]'"):
        read_picture(path)


def test_read_picture_of_damaged_avif_is_one_sentence(tmp_path):
    path = tmp_path / "shirt.avif"
    path.write_bytes(iso_file(b"mif1", b"mif1", b"avif") + bytes(100))
    with pytest.raises(PictureError, match=r"shirt\.avif .*(not a picture|damaged|AVIF)"):
        read_picture(path)


def test_read_picture_of_a_raw_file_says_what_to_do(tmp_path, gradient):
    path = tmp_path / "IMG_0001.DNG"
    Image.fromarray(gradient).save(path, "TIFF")  # as small previews in raw files are
    with pytest.raises(PictureError, match=r"is a \.dng file, which is not read; save it as JPEG"):
        read_picture(path)


@pytest.mark.parametrize("top", [1.0, 255.0, 65_535.0])
def test_read_picture_of_floats_scales_to_8_bits(tmp_path, top):
    values = np.tile(np.linspace(0, top, WIDTH, dtype=np.float32), (HEIGHT, 1))
    picture = read_picture(save(Image.fromarray(values), tmp_path / "float.tif"))
    assert picture.rgb[0, 0].tolist() == [0, 0, 0]
    assert picture.rgb[0, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_read_picture_with_transparency_keeps_alpha(tmp_path, gradient, mode):
    image = Image.fromarray(gradient).convert(mode)
    alpha = np.zeros_like(gradient)
    alpha[10:30, 10:50] = 255
    image.putalpha(Image.fromarray(alpha))
    picture = read_picture(save(image, tmp_path / "cut-out.png"))
    assert np.array_equal(picture.alpha, alpha)
    assert picture.rgb.shape == (HEIGHT, WIDTH, 3)


def test_read_picture_with_palette_transparency_keeps_alpha(tmp_path, gradient):
    image = Image.fromarray(gradient // 128).convert("P")
    picture = read_picture(save(image, tmp_path / "palette.png", transparency=b"\x00\xff"))
    assert set(np.unique(picture.alpha)) == {0, 255}


def test_read_picture_with_opaque_alpha_has_none(tmp_path, gradient):
    image = Image.fromarray(gradient).convert("RGBA")
    assert read_picture(save(image, tmp_path / "opaque.png")).alpha is None


def test_read_picture_of_animation_takes_first_frame(tmp_path):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    path = save(frames[0], tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert read_picture(path).rgb[0, 0].tolist() == [255, 0, 0]


def test_read_picture_with_exif_orientation_is_upright(tmp_path, gradient):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    path = save(Image.fromarray(gradient), tmp_path / "phone.jpg", exif=exif, quality=95)
    picture = read_picture(path)
    assert picture.rgb.shape == (WIDTH, HEIGHT, 3)
    assert picture.rgb[:3].mean() < 20  # the dark left side is now on top
    assert picture.rgb[-3:].mean() > 235


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif"])
def test_read_picture_of_large_photo_is_reduced_to_what_recognition_needs(tmp_path, suffix):
    path = save(Image.new("RGB", (3000, 1500), "green"), tmp_path / f"large.{suffix}")
    picture = read_picture(path)
    assert picture.rgb.shape == (188, 375, 3)
    assert picture.rgb.reshape(-1, 3).mean(axis=0) == pytest.approx((0, 128, 0), abs=2)
    assert picture.shape == (320, 640)


def test_read_picture_for_a_viewer_is_as_large_as_masks_are(tmp_path):
    path = save(Image.new("RGB", (3000, 1500), "green"), tmp_path / "large.jpg")
    picture = read_picture(path, MAX_SIDE)
    assert picture.rgb.shape[:2] == picture.shape == (320, 640)


def test_read_picture_of_large_turned_photo_has_an_upright_shape(tmp_path):
    image = Image.new("RGB", (1000, 500))
    image.getexif()[0x0112] = 6  # the viewer turns it by a quarter
    picture = read_picture(save(image, tmp_path / "turned.jpg", exif=image.getexif()))
    assert picture.rgb.shape == (500, 250, 3)
    assert picture.shape == (640, 320)


def test_read_picture_of_large_transparent_photo_reduces_its_transparency(tmp_path):
    pixels = np.zeros((400, 800, 4), np.uint8)
    pixels[:, 400:] = 255
    picture = read_picture(save(Image.fromarray(pixels), tmp_path / "half.png"))
    assert picture.alpha.shape == picture.rgb.shape[:2] == (200, 400)
    assert (picture.alpha[:, :200] == 0).all()
    assert (picture.alpha[:, 200:] == 255).all()
    assert (picture.rgb[:, 200:] == 255).all()


@pytest.mark.parametrize(("shape", "reduced"), [((480, 640), (240, 320)), ((479, 639), (479, 639))])
def test_picture_from_bgr_of_a_large_frame_is_halved(shape, reduced):
    frame_bgr = np.tile(np.arange(shape[1]) % 2 * 100, (shape[0], 1)).astype(np.uint8)
    picture = Picture.from_bgr(np.dstack([frame_bgr] * 3), alpha=frame_bgr)
    assert picture.rgb.shape[:2] == picture.alpha.shape == reduced
    assert picture.shape == shape
    assert picture.rgb.mean() == pytest.approx(50, abs=0.2)
    assert (picture.rgb[..., 0] == picture.alpha).all()


def test_halved_keeps_the_means_and_leaves_an_odd_row_out():
    plane = np.arange(5 * 8, dtype=np.uint8).reshape(5, 8)
    assert halved(plane, 4).tolist() == [[5, 7, 9, 11], [21, 23, 25, 27]]
    assert halved(plane, 5) is plane
    assert halved(np.zeros((2, 5000), np.uint8), 4).shape == (1, 2500)


def test_read_picture_of_28x28_keeps_every_pixel(tmp_path):
    tile = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    picture = read_picture(save(Image.fromarray(tile), tmp_path / "tile.png"))
    assert np.array_equal(picture.rgb[..., 0], tile)


def png_header(width, height):
    """A PNG that announces a size and holds no pixel."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    empty = b"IDAT"
    data = struct.pack(">I", 0) + empty + struct.pack(">I", zlib.crc32(empty))
    return b"\x89PNG\r\n\x1a\n" + chunk + data


def jpeg_bytes(size=(WIDTH, HEIGHT)):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"not a picture at all", "is not a picture", id="text"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not a picture", id="a program"),
        pytest.param(b"", "is not a picture", id="empty"),
        pytest.param(jpeg_bytes()[:-300], "is damaged or incomplete", id="truncated"),
        pytest.param(png_header(60, 40), "is damaged or incomplete", id="no pixels"),
        pytest.param(png_header(20_000, 20_000), "is too large", id="20000x20000"),
        pytest.param(png_header(10_000, 10_000), "10000 x 10000", id="100 million pixels"),
        pytest.param(png_header(1, 1), "is too small", id="1x1"),
        pytest.param(jpeg_bytes((400, 27)), "at least 28 x 28", id="too narrow"),
    ],
)
def test_read_picture_of_bad_file_says_why_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "shirt.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=message) as caught:
        read_picture(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_size_limit_lies_above_a_50_megapixel_phone():
    assert MAX_PIXELS > 8160 * 6144


@pytest.mark.parametrize("read", [read_picture, lambda path: find_pictures([path])])
def test_reading_an_empty_path_is_refused_as_such(read):
    with pytest.raises(PictureError, match="empty text; name a picture file"):
        read("")


def test_read_picture_of_folder_or_nothing_is_refused(tmp_path):
    with pytest.raises(PictureError, match="is a folder"):
        read_picture(tmp_path)
    with pytest.raises(PictureError, match="There is no picture"):
        read_picture(tmp_path / "missing.jpg")


@pytest.mark.parametrize(
    ("rgb", "alpha"),
    [
        pytest.param(np.zeros((4, 4), np.uint8), None, id="grey"),
        pytest.param(np.zeros((4, 4, 3), np.float32), None, id="float"),
        pytest.param(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), id="alpha shape"),
    ],
)
def test_picture_of_wrong_arrays_is_refused(rgb, alpha):
    with pytest.raises(ValueError, match="must be uint8"):
        Picture(rgb, alpha)


def test_picture_from_bgr_swaps_and_copies():
    frame_bgr = np.zeros((30, 40, 3), np.uint8)
    frame_bgr[..., 0] = 200  # blue
    picture = Picture.from_bgr(frame_bgr)
    frame_bgr[:] = 7
    assert picture.rgb[0, 0].tolist() == [0, 0, 200]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(PictureError, match="is a pipe or a device"):
            read_picture(path)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_cannot_be_is_one_sentence(name):
    for refuse in (read_picture, lambda path: find_pictures([path])):
        with pytest.raises(PictureError, match="There is no picture"):
            refuse(name)
