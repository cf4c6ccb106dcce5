"""Shards of plain floats read chunk by chunk, straight from their files: what a map of a whole result needs.

Zarr reads the same bytes three to four times more slowly. Only the layout that `results.new_result` writes is
known here: little-endian float32, crc32c on every chunk, the index at the end; all else is Zarr's to read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store.arrays import place_of, where
from xrfsr_dask.store.chunks import CHECKSUM, Region, common, is_sound, shifted, touched
from xrfsr_dask.store.local import opened

_MISSING = 2**64 - 1  # offset of a chunk that was never written
_LIST = "Run `xrfsr check` to list every damaged chunk."


def readable(array: zarr.Array) -> bool:
    """Whether an array lies in shards as described above, in a folder of this machine."""
    codecs: Any = array.metadata.to_dict().get("codecs", ())
    at = place_of(array)
    if array.shards is None or len(codecs) != 1 or not (isinstance(at, Path) and at.is_dir()):
        return False
    inner = codecs[0].get("configuration", {})
    names = [[codec["name"] for codec in inner.get(part, ())] for part in ("codecs", "index_codecs")]
    little = all(codec["configuration"]["endian"] == "little" for codec in _bytes_codecs(inner))
    at_end = inner.get("index_location") == "end"
    return bool(
        array.dtype == np.float32 and little and at_end and names == [["bytes", "crc32c"], ["bytes", "crc32c"]]
    )


def chunks_in(array: zarr.Array, region: Region) -> Iterator[tuple[Region, np.ndarray]]:
    """Every inner chunk that a region touches: where it lies in the array, and its values there.

    Parameters
    ----------
    array : zarr.Array
        One that is `readable`.
    region : slices with start and stop, step 1, one an axis

    Yields
    ------
    place, values
        The part of the chunk inside the region; `values` is only good until the next is asked for.

    Raises
    ------
    DamagedStoreError
        A shard or chunk is missing, or its checksum does not match.
    """
    sides, inner = array.shards or array.chunks, array.chunks
    buffer = np.empty(4 * math.prod(inner) + CHECKSUM, np.uint8)
    for shard in touched(region, sides):
        first = [at * side for at, side in zip(shard, sides, strict=True)]
        stop = [min(at + side, n) for at, side, n in zip(first, sides, array.shape, strict=True)]
        part = common(region, first, stop)
        yield from _chunks_of(
            Path(where(array)), "/".join(map(str, ("c", *shard))), part, first, sides, inner, buffer
        )


def assembled(array: zarr.Array, region: Region) -> np.ndarray:
    """A region as one float32 array."""
    out = np.empty([part.stop - part.start for part in region], np.float32)
    for place, values in chunks_in(array, region):
        out[shifted(place, [part.start for part in region])] = values
    return out


def _bytes_codecs(inner: dict[str, Any]) -> list[Any]:
    parts = [*inner.get("codecs", ()), *inner.get("index_codecs", ())]
    return [codec for codec in parts if codec["name"] == "bytes"]


def _chunks_of(
    folder: Path,
    inside: str,
    part: Region,
    first: list[int],
    sides: tuple[int, ...],
    inner: tuple[int, ...],
    buffer: np.ndarray,
) -> Iterator[tuple[Region, np.ndarray]]:
    counts, path = [side // n for side, n in zip(sides, inner, strict=True)], folder / inside
    try:
        file = opened(folder, inside, buffering=0)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedStoreError(f"{path}: a chunk is missing. {_LIST}") from error
    with file:
        index = _index(file, path, counts)
        for at in touched(shifted(part, first), inner):
            low = [f + i * n for f, i, n in zip(first, at, inner, strict=True)]
            place = common(part, low, [a + n for a, n in zip(low, inner, strict=True)])
            offset, size = index[at].tolist()
            values = _chunk(file, path, offset, size, buffer).reshape(inner)
            yield place, values[shifted(place, low)]


def _index(file: Any, path: Path, counts: list[int]) -> np.ndarray:
    """Offset and size of each chunk, uint64 (*counts, 2)."""
    size = 16 * math.prod(counts) + CHECKSUM
    file.seek(max(0, file.seek(0, os.SEEK_END) - size))
    stored = np.frombuffer(file.read(size), np.uint8)
    if len(stored) < size or not is_sound(stored):
        raise DamagedStoreError(f"{path}: the index of this shard is damaged. {_LIST}")
    return stored[:-CHECKSUM].view("<u8").reshape(*counts, 2)


def _chunk(file: Any, path: Path, offset: int, size: int, buffer: np.ndarray) -> np.ndarray:
    if offset == _MISSING:
        raise DamagedStoreError(f"{path}: a chunk is missing or was never written. {_LIST}")
    file.seek(offset if size == len(buffer) else 0)
    if size != len(buffer) or file.readinto(buffer) != size:
        raise DamagedStoreError(
            f"{path}: a chunk of {size} bytes was found, {len(buffer)} were expected. {_LIST}"
        )
    if not is_sound(buffer):
        raise DamagedStoreError(f"{path}: stored bytes are damaged (checksum). {_LIST}")
    return buffer[:-CHECKSUM].view("<f4")
