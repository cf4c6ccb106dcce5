"""Photographs of every kind that scientists keep, and those that cannot be used."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import read_photograph

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (6, 9, 3)).astype("u1")
RGB16 = RNG.integers(0, 65536, (6, 9, 3)).astype("u2")


def check(path, image, *words):
    """The image is read as it is, and each note holds its word."""
    found = read_photograph(path)
    assert found.image.dtype == image.dtype
    np.testing.assert_array_equal(found.image, image[..., None] if image.ndim == 2 else image)
    assert len(found.notes) == len(words)
    assert all(word in note for word, note in zip(words, found.notes, strict=True))


def png16(path, image):
    """A PNG of 16 bit, which pillow cannot write in colour."""
    ny, nx, n_band = image.shape

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = {1: 0, 2: 4, 3: 2, 4: 6}[n_band]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    head = struct.pack(">IIBBBBB", nx, ny, 16, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize(
    "image", [RGB, RGB[..., 0], RGB16, RGB16[..., 1]], ids=["rgb8", "grey8", "rgb16", "grey16"]
)
@pytest.mark.parametrize(
    "more", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}]
)
def test_a_tiff_of_8_or_16_bit_is_read_as_it_is(tmp_path, image, more):
    kind = "rgb" if image.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "p.tif", image, photometric=kind, **more)
    check(tmp_path / "p.tif", image)


@pytest.mark.parametrize("image", [RGB, RGB[..., 0]])
def test_a_png_is_read_as_it_is(tmp_path, image):
    Image.fromarray(image).save(tmp_path / "p.png")
    check(tmp_path / "p.png", image)


def test_a_tiff_with_planes_apart_is_read(tmp_path):
    planes = np.ascontiguousarray(np.moveaxis(RGB16, -1, 0))
    tifffile.imwrite(tmp_path / "p.tif", planes, photometric="rgb", planarconfig="separate")
    check(tmp_path / "p.tif", RGB16)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg"])
def test_a_tiff_whose_compression_needs_another_reader_is_read(tmp_path, compression):
    smooth = np.full((32, 48, 3), (200, 100, 50), "u1")
    Image.fromarray(smooth).save(tmp_path / "p.tif", compression=compression)
    found = read_photograph(tmp_path / "p.tif").image.astype(int)
    assert found.shape == smooth.shape
    assert np.abs(found - smooth).max() <= (0 if compression == "tiff_lzw" else 4)


def test_a_pyramid_is_read_at_its_full_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(RGB, photometric="rgb", subifds=1)
        file.write(RGB[::2, ::2], photometric="rgb", subfiletype=1)
    check(tmp_path / "p.tif", RGB)


def test_a_jpeg_is_read(tmp_path):
    Image.fromarray(np.full((16, 24, 3), 90, "u1")).save(tmp_path / "p.jpg")
    found = read_photograph(tmp_path / "p.jpg")
    assert found.image.shape == (16, 24, 3)
    assert np.abs(found.image.astype(int) - 90).max() <= 3


def test_alpha_is_dropped_and_said(tmp_path):
    Image.fromarray(np.dstack([RGB, RGB[..., 0]])).save(tmp_path / "a.png")
    check(tmp_path / "a.png", RGB, "alpha channel was dropped")
    Image.fromarray(RGB[..., :2], "LA").save(tmp_path / "b.png")
    check(tmp_path / "b.png", RGB[..., 0], "alpha channel was dropped")
    Image.fromarray(RGB).save(tmp_path / "one.png", transparency=(0, 0, 0))
    check(tmp_path / "one.png", RGB, "alpha channel was dropped")
    Image.fromarray(RGB[..., 0]).save(tmp_path / "grey.png", transparency=3)
    check(tmp_path / "grey.png", RGB[..., 0], "alpha channel was dropped")
    both = np.dstack([RGB16, RGB16[..., 0]])
    tifffile.imwrite(tmp_path / "c.tif", both, photometric="rgb", extrasamples=["unassalpha"])
    check(tmp_path / "c.tif", RGB16, "alpha channel was dropped")


def test_any_damage_to_a_png_is_told(tmp_path):
    y, x = np.mgrid[:60, :80]
    smooth = np.dstack([3 * y, 2 * x, y + x]).astype("u1")
    Image.fromarray(smooth).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    check(tmp_path / "whole.png", smooth)
    for at in range(8, whole.index(b"IEND") - 4):  # what ends the file says nothing of the picture
        (tmp_path / "hurt.png").write_bytes(whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1 :])
        with pytest.raises(InputError, match=r"hurt\.png"):
            read_photograph(tmp_path / "hurt.png")


def test_a_palette_is_expanded(tmp_path):
    colours = Image.fromarray(RGB).quantize(8)
    colours.save(tmp_path / "p.png")
    check(tmp_path / "p.png", np.asarray(colours.convert("RGB")))
    colours.save(tmp_path / "p.gif", transparency=1)
    check(tmp_path / "p.gif", np.asarray(colours.convert("RGB")), "alpha channel was dropped")
    table, index = RNG.integers(0, 256, (3, 256)).astype("u2"), RGB[..., 0]
    tifffile.imwrite(tmp_path / "p.tif", index, photometric="palette", colormap=table * 257)
    check(tmp_path / "p.tif", np.moveaxis(table.astype("u1")[:, index], 0, -1))


def test_one_bit_becomes_black_and_white(tmp_path):
    bits = RGB[..., 0] > 100
    Image.fromarray(bits).save(tmp_path / "p.png")
    check(tmp_path / "p.png", bits.astype("u1") * np.uint8(255))
    tifffile.imwrite(tmp_path / "p.tif", bits, photometric="minisblack")
    check(tmp_path / "p.tif", bits.astype("u1") * np.uint8(255))


def test_white_as_zero_is_turned_round(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", RGB16[..., 0], photometric="miniswhite")
    check(tmp_path / "p.tif", 65535 - RGB16[..., 0])


def test_a_grey_png_keeps_its_16_bits(tmp_path):
    png16(tmp_path / "p.png", RGB16[..., :1])
    check(tmp_path / "p.png", RGB16[..., :1])


def test_a_colour_png_of_16_bits_is_read_with_8_and_says_so(tmp_path):
    png16(tmp_path / "p.png", RGB16)
    found = read_photograph(tmp_path / "p.png")
    assert np.abs(found.image.astype(int) - RGB16 // 256).max() <= 1
    assert found.notes == (
        "p.png is a colour PNG of 16 bit and was read with 8; save it as TIFF to keep all 16.",
    )


@pytest.mark.parametrize(("largest", "said"), [(65535, True), (1023, True), (255, False)])
def test_a_colour_ppm_of_more_than_8_bits_is_read_with_8_and_says_so(tmp_path, largest, said):
    image = (RGB16.astype(int) % (largest + 1)).astype(">u2" if said else "u1")
    path = tmp_path / "p.ppm"
    path.write_bytes(b"P6 # by hand 9\n9 6\n%d\n" % largest + image.tobytes())
    found = read_photograph(path)
    assert np.abs(found.image - 255 * (image / largest)).max() <= 1
    words = "p.ppm is a colour PPM of 16 bit and was read with 8; save it as TIFF to keep all 16."
    assert found.notes == ((words,) if said else ())


def test_a_grey_pgm_keeps_its_16_bits(tmp_path):
    (tmp_path / "p.pgm").write_bytes(b"P5 9 6 65535\n" + RGB16[..., 0].astype(">u2").tobytes())
    check(tmp_path / "p.pgm", RGB16[..., 0])


TOP_LEFT = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (-1, 0), 7: (-1, -1), 8: (0, -1)}
"""Stored pixel that is seen at the top left, for each orientation mark."""


@pytest.mark.parametrize("mark", TOP_LEFT)
def test_the_orientation_mark_is_followed_by_both_readers_alike(tmp_path, mark):
    said = () if mark == 1 else ("turned upright",)
    image, exif = Image.fromarray(RGB), Image.Exif()
    exif[274] = mark
    image.save(tmp_path / "p.png", exif=exif)
    upright = read_photograph(tmp_path / "p.png").image
    assert upright.shape == ((9, 6, 3) if mark >= 5 else (6, 9, 3))
    np.testing.assert_array_equal(upright[0, 0], RGB[TOP_LEFT[mark]])
    check(tmp_path / "p.png", upright, *said)
    tifffile.imwrite(tmp_path / "p.tif", RGB, photometric="rgb", extratags=[(274, 3, 1, mark, True)])
    check(tmp_path / "p.tif", upright, *said)


def test_a_painting_larger_than_pillows_limit_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(RGB).save(tmp_path / "p.png")
    check(tmp_path / "p.png", RGB)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize(
    ("name", "array", "more", "words"),
    [
        ("p.tif", RGB.astype("f4"), {"photometric": "rgb"}, "values of 32 bits and type float32"),
        ("p.tif", RGB.astype("i2"), {"photometric": "rgb"}, "type int16"),
        ("p.tif", np.zeros((4, 6, 9), "u1"), {"photometric": "minisblack"}, "is a stack of images"),
        ("p.tif", np.zeros((6, 9, 4), "u1"), {"photometric": "separated"}, "in SEPARATED colours"),
    ],
)
def test_a_tiff_that_is_no_photograph_is_refused(tmp_path, name, array, more, words):
    tifffile.imwrite(tmp_path / name, array, **more)
    with pytest.raises(InputError, match=f"photograph .*{words}"):
        read_photograph(tmp_path / name)


def test_inks_and_floats_are_refused_by_their_mode(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "p.jpg")
    with pytest.raises(InputError, match=r"p\.jpg is in mode CMYK; save it as RGB or grey"):
        read_photograph(tmp_path / "p.jpg")


def test_a_missing_photograph_is_named(tmp_path):
    for name, words in (("none.tif", "does not exist"), (".", "is not a file")):
        with pytest.raises(InputError, match=words):
            read_photograph(tmp_path / name)
    with pytest.raises(InputError, match="the name of the photograph is empty"):
        read_photograph("")


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate", "packbits", "tiff_lzw", "jpeg"])
def test_luminance_and_chrominance_are_colours(tmp_path, compression):
    Image.fromarray(RGB).convert("YCbCr").save(tmp_path / "p.tif", compression=compression)
    found = read_photograph(tmp_path / "p.tif")
    near = np.asarray(Image.fromarray(RGB).convert("YCbCr").convert("RGB"))
    off = np.abs(found.image.astype(int) - near)
    assert off.mean() <= (30 if compression == "jpeg" else 2)  # JPEG blurs what is noise


def test_a_small_copy_before_the_photograph_is_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(RGB[::2, ::2], photometric="rgb", subfiletype=1)
        file.write(RGB, photometric="rgb")
    check(tmp_path / "p.tif", RGB)
    small, whole = Image.fromarray(RGB[::2, ::2]), Image.fromarray(RGB)
    small.encoderinfo = {"compression": "tiff_lzw", "tiffinfo": {254: 1}}
    small.save(
        tmp_path / "q.tif", save_all=True, append_images=[whole], compression="tiff_lzw", tiffinfo={254: 1}
    )
    assert read_photograph(tmp_path / "q.tif").image.shape == RGB.shape


def test_several_images_and_a_fourth_band_are_said(tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(RGB, photometric="rgb")
        file.write(RGB[:4], photometric="rgb")
    check(tmp_path / "p.tif", RGB, "p.tif holds 2 images; the largest was taken.")
    four = np.concatenate([RGB, RGB[..., :1]], axis=2)
    tifffile.imwrite(tmp_path / "q.tif", four, photometric="rgb", extrasamples=["unspecified"])
    check(tmp_path / "q.tif", RGB, "q.tif: of its four bands, the last, of no known meaning, was dropped.")


def test_a_fourth_band_that_no_tag_tells_of_is_dropped_and_said(tmp_path):
    path, four = tmp_path / "p.tif", np.concatenate([RGB, RGB[..., :1]], axis=2)
    tifffile.imwrite(path, four, photometric="rgb", extrasamples=["unspecified"])
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<HHI", 338, 3, 1), struct.pack("<HHI", 65000, 3, 1)))
    check(path, RGB, "p.tif: of its four bands, the last, of no known meaning, was dropped.")


def test_an_orientation_mark_of_two_numbers_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", RGB, photometric="rgb", extratags=[(274, 3, 2, (6, 6), True)])
    with pytest.raises(InputError, match=r"p\.tif has an orientation mark that is not one number"):
        read_photograph(tmp_path / "p.tif")


def test_a_tiff_without_any_directory_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", RGB, photometric="rgb")
    data = (tmp_path / "p.tif").read_bytes()
    (tmp_path / "p.tif").write_bytes(data[:4] + bytes(4) + data[8:])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_photograph(tmp_path / "p.tif")


def test_the_first_image_of_several_is_taken_and_said(tmp_path):
    first, second = (Image.new("L", (9, 6), value) for value in (10, 200))
    first.save(tmp_path / "p.gif", save_all=True, append_images=[second])
    found = read_photograph(tmp_path / "p.gif")
    assert np.ptp(found.image) == 0
    assert found.image[0, 0, 0] < 100
    assert found.notes == ("p.gif holds 2 images; the first was taken.",)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.png", b"no image at all"),
        ("p.tif", b"II*\0garbage"),
        ("p.tif", b"II*\0"),
        ("p.jpg", b"\xff\xd8\xff"),
    ],
)
def test_an_unreadable_photograph_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"photograph .*{name} cannot be read"):
        read_photograph(tmp_path / name)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "p.tif").write_bytes(b"")
    with pytest.raises(InputError, match=r"p\.tif is empty \(0 bytes\)"):
        read_photograph(tmp_path / "p.tif")


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.tif", "z.tif"])
def test_a_truncated_photograph_is_refused(tmp_path, name):
    image, path = RNG.integers(0, 256, (64, 64, 3)).astype("u1"), tmp_path / name
    if name.endswith("tif"):
        tifffile.imwrite(path, image, photometric="rgb", compression="zlib" if name[0] == "z" else None)
    else:
        Image.fromarray(image).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="cannot be read"):
        read_photograph(path)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_a_photograph_cut_off_behind_its_small_copy_is_refused(tmp_path, compression):
    image = RNG.integers(0, 256, (64, 64, 3)).astype("u1")
    small, path = Image.fromarray(image[::8, ::8]), tmp_path / "p.tif"
    small.save(path, save_all=True, append_images=[Image.fromarray(image)], compression=compression)
    data = path.read_bytes()
    check(path, image, "holds 2 images; the largest was taken")
    for kept in range(8 * 8 * 3 + 200, len(data) - 100, 500):
        path.write_bytes(data[:kept])
        with pytest.raises(InputError, match=r"photograph .*p\.tif cannot be read"):
            read_photograph(path)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_photograph_lost_from_below_its_small_copy_is_refused(tmp_path, bigtiff):
    image, path = RNG.integers(0, 256, (64, 64, 3)).astype("u1"), tmp_path / "p.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as file:
        file.write(image[::8, ::8], photometric="rgb", subfiletype=1, subifds=1)
        file.write(image, photometric="rgb")
    check(path, image)
    data = path.read_bytes()
    for kept in range(600, len(data) - 100, 25 if bigtiff else 20):
        path.write_bytes(data[:kept])
        with pytest.raises(InputError, match=r"photograph .*p\.tif cannot be read"):
            read_photograph(path)


def test_the_image_of_most_pixels_is_taken_whatever_its_bands(tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(RGB[:4, :8], photometric="rgb")
        file.write(RGB16[..., 0], photometric="minisblack")
    check(tmp_path / "p.tif", RGB16[..., 0], "p.tif holds 2 images; the largest was taken.")


def test_a_compression_that_would_lose_bits_is_refused(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "p.tif", RGB16, photometric="rgb", compression="zlib")

    def no_codec(self, **_):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", no_codec)
    with pytest.raises(InputError, match=r"16-bit values compressed by .*pip install imagecodecs"):
        read_photograph(tmp_path / "p.tif")


@pytest.mark.parametrize("loop", ["next", "within"])
def test_a_tiff_whose_directories_go_in_a_circle_ends_and_is_refused(tmp_path, loop):
    path = tmp_path / "p.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.full((6, 8, 3), 90, "u1"), subifds=1)
        file.write(np.full((3, 4, 3), 90, "u1"), subfiletype=1)
    data = bytearray(path.read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    n_tag = struct.unpack_from("<H", data, first)[0]
    tags = [first + 2 + 12 * i for i in range(n_tag)]
    within = next(at for at in tags if struct.unpack_from("<H", data, at)[0] == 330) + 8
    struct.pack_into("<I", data, tags[-1] + 12 if loop == "next" else within, first)
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        read_photograph(path)
