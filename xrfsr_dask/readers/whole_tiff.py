"""Whether all images of a TIFF are there: tifffile passes over those it cannot read, and of a file that is cut
off it may leave no more than the small copy that some programs put before the photograph."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tifffile


_DEPTH = 3  # of directories within directories


def lacks_an_image(file: tifffile.TiffFile) -> bool:
    """Whether a file tells of an image that is not in it, or does not tell its size and where it lies.

    Smaller copies of another image may be incomplete, unless there are no other images. Whether the values of
    an image are there is told when they are read.
    """
    if not _chain_ends(file):
        return True
    pages = list(_all_pages(file.pages))
    if any(_after(file, at) is None for page in pages for at in page.subifds or ()):
        return True
    full = [page for page in pages if not page.is_reduced] or pages
    return not all(page.dataoffsets and 0 not in page.shape for page in full)


def _all_pages(pages: Iterable[Any], depth: int = 0) -> Iterator[Any]:
    for page in pages:
        yield page
        if page.subifds and depth < _DEPTH:
            yield from _all_pages(page.pages, depth + 1)


def _chain_ends(file: tifffile.TiffFile) -> bool:
    """Whether the chain of directories, one per image, comes to its end, and not to one it has been at."""
    at: int | None = file.tiff.offsetsize  # where the first is named: byte 4, or 8 of a BigTIFF
    seen: set[int] = set()
    while at is not None:
        directory = _number(file, at, file.tiff.offsetformat)
        if not directory:
            return directory is not None and bool(seen)  # there must be a first
        if directory in seen:
            return False
        seen.add(directory)
        at = _after(file, directory)
    return False


def _after(file: tifffile.TiffFile, directory: int) -> int | None:
    """Where the directory that begins at a byte names the next; None where it reaches beyond the file."""
    tiff = file.tiff
    n_tag = _number(file, directory, tiff.tagnoformat)
    if n_tag is None:
        return None
    at = directory + tiff.tagnosize + n_tag * tiff.tagsize
    return at if at + tiff.offsetsize <= file.filehandle.size else None


def _number(file: tifffile.TiffFile, at: int, kind: str) -> int | None:
    n = struct.calcsize(kind)
    if at + n > file.filehandle.size:
        return None
    file.filehandle.seek(at)
    return int(struct.unpack(kind, file.filehandle.read(n))[0])
