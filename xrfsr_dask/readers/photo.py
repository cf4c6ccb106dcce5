"""The photograph of the whole painting, from TIFF (tifffile) or PNG, JPEG and the like (pillow)."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xrfsr_dask.errors import InputError, first_line
from xrfsr_dask.readers.protocol import damaged_is_input_error, readable
from xrfsr_dask.readers.whole_tiff import lacks_an_image

if TYPE_CHECKING:
    from PIL import Image

_LARGEST_PX = 4 * 10**9  # pillow refuses more; its own limit, 0.18e9, is less than one painting
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_ORIENTATION = 274
_HEAD_BYTES = 4096  # hold the size and depth of a PNG or PPM, comments included


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph as read, upright."""

    image: np.ndarray
    """uint8 or uint16 of shape (ny, nx, 1 or 3), row 0 at the top."""
    source: str
    """The file, as the user named it."""
    notes: tuple[str, ...] = ()
    """What was dropped or turned, a sentence each."""


@damaged_is_input_error("photograph")
def read_photograph(path: str | Path) -> Photograph:
    """Read a photograph: one or three bands of 8 or 16 bit; alpha is dropped, palettes are expanded.

    Raises
    ------
    InputError
        The file is missing, unreadable, of floats, of inks (CMYK), or a stack of images.
    """
    path = readable(path, "photograph")
    if not path.is_file():
        raise InputError(f"photograph {path} is not a file.")
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise InputError(f"photograph {path} is empty (0 bytes).")
    image, notes = _read_tiff(path) if magic in _TIFF_MAGIC else _read_pillow(path)
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[2] in (2, 4):
        image = image[..., :-1]
        notes.append(f"{path.name}: its alpha channel was dropped.")
    return Photograph(_checked(path, image), str(path), tuple(notes))


def _checked(path: Path, image: np.ndarray) -> np.ndarray:
    if 0 in image.shape:
        raise InputError(f"photograph {path} has no pixels (shape {image.shape}).")
    if image.dtype.kind != "u" or image.dtype.itemsize > 2 or image.shape[2] not in (1, 3):
        raise InputError(
            f"photograph {path} has {image.shape[2]} bands of type {image.dtype}; save it with one or "
            "three bands of 8 or 16 bit."
        )
    return np.ascontiguousarray(image, image.dtype.newbyteorder("="))


def _read_tiff(path: Path) -> tuple[np.ndarray, list[str]]:
    import tifffile

    notes = []
    try:
        with tifffile.TiffFile(path) as file:
            if lacks_an_image(file):
                raise InputError(
                    f"photograph {path} cannot be read: it is cut off or damaged, one of its images is not all "
                    "there; copy or save it again."
                )
            whole = [series for series in file.series if not series.keyframe.is_reduced] or file.series
            series = max(whole, key=_size)
            page: Any = series.keyframe
            if len(whole) > 1:
                notes.append(f"{path.name} holds {len(whole)} images; the largest was taken.")
            _check_tiff(path, series.axes, page)
            if page.photometric.name == "YCBCR":
                return _without_codec(path, page, notes)
            image = _expanded(series.asarray(), page)
    except InputError:
        raise
    except Exception as error:  # tifffile raises what the damage makes it raise
        if "imagecodecs" in str(error):
            return _without_codec(path, page, notes)
        raise _unreadable(path, error) from error
    image = np.moveaxis(image, 0, -1) if series.axes == "SYX" else image
    alpha = page.extrasamples and page.extrasamples[-1].name != "UNSPECIFIED"
    if image.ndim == 3 and image.shape[2] == 4 and not alpha:
        image = image[..., :3]
        notes.append(f"{path.name}: of its four bands, the last, of no known meaning, was dropped.")
    tag = page.tags.get(_TIFF_ORIENTATION)
    image, turned = _upright(path, image, _mark(path, None if tag is None else tag.value))
    return image, notes + turned


def _size(series: Any) -> tuple[int, int]:
    """Pixels of an image, then its values: colour is more than grey of the same size, and no more than that."""
    page = series.keyframe
    return page.imagelength * page.imagewidth, math.prod(series.shape)


def _check_tiff(path: Path, axes: str, page: Any) -> None:
    if axes not in ("YX", "YXS", "SYX"):
        raise InputError(
            f"photograph {path} is a stack of images (axes {axes}); save the one to be used alone."
        )
    kind, bits = page.photometric.name, page.bitspersample
    if kind.startswith("MINIS") and page.samplesperpixel > 2:
        raise InputError(f"photograph {path} has a grey band and {page.samplesperpixel - 1} others; save one.")
    if kind not in ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "YCBCR"):
        raise InputError(f"photograph {path} is in {kind} colours; save it as RGB or grey.")
    if bits not in (1, 8, 16) or page.dtype.kind not in "ub":
        raise InputError(
            f"photograph {path} has values of {bits} bits and type {page.dtype}; save it with 8 or 16 bit."
        )


def _expanded(image: np.ndarray, page: Any) -> np.ndarray:
    """Palettes as RGB, one bit as eight, black as zero."""
    if page.photometric.name == "PALETTE":
        return np.asarray((page.colormap >> 8).astype(np.uint8).T[image])
    if image.dtype.kind == "b":
        image = image.astype(np.uint8) * np.uint8(255)
    return np.iinfo(image.dtype).max - image if page.photometric.name == "MINISWHITE" else image


def _without_codec(path: Path, page: Any, notes: list[str]) -> tuple[np.ndarray, list[str]]:
    """A compression tifffile has no codec for (LZW, JPEG): pillow reads it where it keeps every bit."""
    if page.bitspersample <= 8 and page.samplesperpixel in (1, 3, 4):
        with _libtiff_silent():
            image, more = _read_pillow(path, frame=page.index)
        return image, notes + more
    raise InputError(
        f"photograph {path} has {page.bitspersample}-bit values compressed by {page.compression.name}; "
        "`pip install imagecodecs`, or save it uncompressed or with ZIP compression."
    )


@contextmanager
def _libtiff_silent() -> Iterator[None]:
    """What libtiff writes of damage to the process's own stderr is told by the error that follows."""
    try:
        before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no stderr
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _upright(path: Path, image: np.ndarray, orientation: int) -> tuple[np.ndarray, list[str]]:
    """The image as TIFF's orientation 1 … 8 means it to be seen."""
    if not 2 <= orientation <= 8:
        return image, []
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    turns: dict[int, tuple[int, ...]] = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}
    return np.flip(image, turns.get(orientation, ())), [_turned(path, orientation)]


def _mark(path: Path, found: Any) -> int:
    """An orientation mark as one number; 1, upright, where there is none."""
    if found is None or isinstance(found, int):
        return 1 if found is None else found
    raise InputError(
        f"photograph {path} has an orientation mark that is not one number; save it again, upright and without "
        "a mark."
    )


def _turned(path: Path, orientation: int) -> str:
    return f"{path.name} was turned upright as its orientation mark ({orientation}) says."


def _read_pillow(path: Path, frame: Any = None) -> tuple[np.ndarray, list[str]]:
    from PIL import ImageOps

    try:
        with _pillow_image(path) as image:
            if image.format == "PNG":  # whose checksums are not looked at when it is read
                image.verify()
        with _pillow_image(path) as image:
            notes = _depth_notes(path, image)
            if frame is not None:
                image.seek(frame)
            elif (n_image := getattr(image, "n_frames", 1)) > 1:
                notes.append(f"{path.name} holds {n_image} images; the first was taken.")
            mark = _mark(path, image.getexif().get(_TIFF_ORIENTATION))
            image.load()
            if 2 <= mark <= 8:  # without a mark this would copy the image, large as it is
                notes.append(_turned(path, mark))
                ImageOps.exif_transpose(image, in_place=True)
            pixels = np.asarray(_plain(path, image))
    except InputError:
        raise
    except Exception as error:  # a damaged file makes pillow raise anything, SyntaxError included
        raise _unreadable(path, error) from error
    return pixels, notes


@contextmanager
def _pillow_image(path: Path) -> Iterator[Image.Image]:
    """An image opened without pillow's limit on pixels, which one large painting exceeds."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = _LARGEST_PX
    try:
        with Image.open(path) as image:
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _plain(path: Path, image: Image.Image) -> Image.Image | np.ndarray:
    """Grey or RGB, with alpha where there is some, of 8 or 16 bit."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("L", "RGB") and image.has_transparency_data:  # one colour that stands for none
        return image.convert(f"{image.mode}A")
    if image.mode in ("1", "YCbCr"):
        return image.convert("L" if image.mode == "1" else "RGB")
    if image.mode == "I":
        values = np.asarray(image)
        if values.min() >= 0 and values.max() <= np.iinfo(np.uint16).max:
            return values.astype(np.uint16)
    if image.mode not in ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L"):
        raise InputError(f"photograph {path} is in mode {image.mode}; save it as RGB or grey of 8 or 16 bit.")
    return image


def _depth_notes(path: Path, image: Image.Image) -> list[str]:
    """Pillow reads colour of 16 bit in PNG and PPM as 8 bit, and so does all that reads by it: say so."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    deep = {"PNG": _is_deep_png, "PPM": _is_deep_ppm}.get(image.format or "")
    if deep is None or not deep(head):
        return []
    return [
        f"{path.name} is a colour {image.format} of 16 bit and was read with 8; save it as TIFF to keep all 16."
    ]


def _is_deep_png(head: bytes) -> bool:
    bits, colour = head[24:26]  # of the header chunk, the first in every PNG
    return bits == 16 and colour != 0


def _is_deep_ppm(head: bytes) -> bool:
    """Colour as text or bytes (P3, P6) whose largest value, the third number, is beyond a byte."""
    words = re.sub(rb"#[^\r\n]*", b"", head).split(maxsplit=4)
    return words[0] in (b"P3", b"P6") and int(words[3]) > np.iinfo(np.uint8).max


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"photograph {path} cannot be read ({first_line(error)}); copy or save it again.")
