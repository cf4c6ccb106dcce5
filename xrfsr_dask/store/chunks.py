"""Chunks of floats in a folder of this machine, read and written one after another in the calling thread.

They hold their numbers as they are and a checksum, so nothing is gained by the threads and the event loop that
Zarr puts around every chunk, and its fresh memory for each costs more than the reading. The files are the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata.v3 import ArrayV3Metadata

from xrfsr_dask.store.local import Folder

CHECKSUM = 4
"""Bytes of the crc32c that ends a chunk."""

Region = tuple[slice, ...]

_BARE = (BytesCodec(), Crc32cCodec())


def is_bare(array: zarr.Array) -> bool:
    """Whether the chunks of an array are plain floats with a checksum, in a folder of this machine."""
    metadata = array.metadata
    return (
        isinstance(array.store_path.store, Folder)
        and isinstance(metadata, ArrayV3Metadata)
        and metadata.codecs == _BARE
        and np.dtype(array.dtype).kind == "f"
        and array.ndim > 0
    )


def plain_slices(array: zarr.Array, region: Any) -> Region | None:
    """A region as one slice with start and stop an axis; None where it is made of anything else."""
    parts = () if region is ... else region
    if not isinstance(parts, tuple) or len(parts) > array.ndim:
        return None
    out = []
    for part, n in zip((*parts, *[slice(None)] * (array.ndim - len(parts))), array.shape, strict=True):
        start, stop, step = part.indices(n) if isinstance(part, slice) else (0, 0, 0)
        if step != 1 or stop < start:
            return None
        out.append(slice(start, stop))
    return tuple(out)


def are_whole(array: zarr.Array, region: Region) -> bool:
    """Whether no chunk is covered in part only, but for what lies outside the array."""
    return all(
        part.start % side == 0 and (part.stop % side == 0 or part.stop == n)
        for part, side, n in zip(region, array.chunks, array.shape, strict=True)
    )


def read_chunks(array: zarr.Array, region: Region) -> np.ndarray:
    """A part of an array; where a chunk is missing the fill value.

    Raises
    ------
    ValueError
        A chunk is not as long as it was written, or its checksum does not match.
    """
    store, out = array.store_path.store, np.empty([part.stop - part.start for part in region], array.dtype)
    assert isinstance(store, Folder)
    held, chunk = _room(array)
    for key, inside, outside in _pieces(array, region):
        found = store.read_into(key, held.data)
        if found is None:
            out[outside] = array.fill_value
            continue
        if found != len(held):
            raise ValueError(f"{key} has {found} bytes where {len(held)} were written")
        if not is_sound(held):
            raise ValueError(f"the checksum of {key} does not match")
        out[outside] = chunk[inside]
    return out


def write_chunks(array: zarr.Array, region: Region, values: np.ndarray) -> None:
    """Write whole chunks, each at once or not at all."""
    store, buffer = array.store_path.store, default_buffer_prototype().buffer
    assert isinstance(store, Folder)
    held, chunk = _room(array)
    for key, inside, outside in _pieces(array, region):
        part = values[outside]
        if part.shape != chunk.shape:
            chunk[...] = array.fill_value
        chunk[inside] = part
        held[-CHECKSUM:] = np.frombuffer(_checksum(held), np.uint8)
        store.set_sync(key, buffer.from_array_like(held))


def is_sound(stored: np.ndarray) -> bool:
    """Whether stored bytes, uint8, end with their checksum."""
    return len(stored) >= CHECKSUM and _checksum(stored) == stored[-CHECKSUM:].tobytes()


def _checksum(stored: np.ndarray) -> bytes:
    value: int = google_crc32c.value(stored[:-CHECKSUM])
    return value.to_bytes(CHECKSUM, "little")


def _room(array: zarr.Array) -> tuple[np.ndarray, np.ndarray]:
    """Bytes for one chunk as it is stored, and its numbers among them."""
    held = np.empty(math.prod(array.chunks) * array.dtype.itemsize + CHECKSUM, np.uint8)
    stored = np.dtype(array.dtype).newbyteorder("<")
    return held, held[:-CHECKSUM].view(stored).reshape(array.chunks)


def _pieces(array: zarr.Array, region: Region) -> Iterator[tuple[str, Region, Region]]:
    """The key of every chunk that a region touches, and where the two meet: in the chunk, in the region."""
    corner = [part.start for part in region]
    for index, both in cut(region, array.chunks):
        low = [at * side for at, side in zip(index, array.chunks, strict=True)]
        key = array.metadata.encode_chunk_key(index)
        yield f"{array.path}/{key}" if array.path else key, shifted(both, low), shifted(both, corner)


def cut(region: Region, sides: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Region]]:
    """A region cut at the borders of chunks of some size: their indices, and the part that lies in each."""
    for index in touched(region, sides):
        low = [at * side for at, side in zip(index, sides, strict=True)]
        yield index, common(region, low, [at + side for at, side in zip(low, sides, strict=True)])


def touched(region: Region, sides: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Indices of the chunks of some size that a region touches."""
    spans = [range(r.start // side, -(-r.stop // side)) for r, side in zip(region, sides, strict=True)]
    return itertools.product(*spans) if all(part.stop > part.start for part in region) else iter(())


def common(region: Region, low: Sequence[int], high: Sequence[int]) -> Region:
    """What a region has in common with the one from `low` to `high`."""
    return tuple(slice(max(r.start, a), min(r.stop, b)) for r, a, b in zip(region, low, high, strict=True))


def shifted(region: Region, corner: Sequence[int]) -> Region:
    """A region as seen from a corner."""
    return tuple(slice(r.start - at, r.stop - at) for r, at in zip(region, corner, strict=True))
