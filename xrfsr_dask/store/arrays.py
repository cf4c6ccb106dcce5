"""Zarr arrays as this package writes and reads them: checksummed, labelled, every chunk present."""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.array_spec import ArrayConfigParams
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import StorePath

from xrfsr_dask.errors import DamagedStoreError, MemoryBudgetError, StoreError, first_line
from xrfsr_dask.store.bounded import bounded, most_stored
from xrfsr_dask.store.chunks import (
    Region,
    are_whole,
    cut,
    is_bare,
    plain_slices,
    read_chunks,
    shifted,
    write_chunks,
)
from xrfsr_dask.store.contents import listed_arrays
from xrfsr_dask.store.metadata import NAME, check_array, metadata_at
from xrfsr_dask.store.places import Place, as_place, ends, files_below, folders, node, size_of

_READ_AT_ONCE = 16 * 2**20
"""Bytes of chunks that Zarr may read or write at once beside the array itself; larger chunks go one by one."""

_ZARR_AT_ONCE = 10  # chunks of one request that Zarr has in hand together (its ``async.concurrency``)
_COPIES = 2.5  # of each chunk in hand, measured: as stored, as decoded, and with its checksum

_NO_THREAD = (
    "the system gives this process no more threads; raise its limits of memory and processes, or use fewer "
    "workers."
)

# A chunk equal to the fill value is written like any other, so a chunk that is not there is damage.
_CONFIG: ArrayConfigParams = {"write_empty_chunks": True}


def new_array(
    group: zarr.Group,
    name: str,
    *,
    shape: Sequence[int],
    dtype: Any,
    chunks: Sequence[int],
    dims: Sequence[str],
    shards: Sequence[int] | None = None,
    attrs: dict[str, Any] | None = None,
) -> zarr.Array:
    """Create an array with crc32c on every chunk; floats are filled with NaN, integers with 0.

    Integers (counts, photographs) are compressed with blosc-lz4 and bit shuffle; floats barely
    compress and are stored as they are.
    """
    kind = np.dtype(dtype)
    codecs: list[Any] = [Crc32cCodec()]
    if kind.kind in "iu" and kind.itemsize <= 4:
        codecs.insert(0, BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"))
    return group.create_array(
        name,
        shape=tuple(int(n) for n in shape),
        dtype=kind,
        chunks=tuple(max(1, min(int(c), int(n))) for c, n in zip(chunks, shape, strict=True))
        if shards is None
        else tuple(chunks),
        shards=None if shards is None else tuple(shards),
        dimension_names=tuple(dims),
        compressors=codecs,
        fill_value=np.nan if kind.kind == "f" else 0,
        attributes=attrs or {},
        config=_CONFIG,
    )


def write_coordinate(group: zarr.Group, name: str, values: np.ndarray, **attrs: Any) -> None:
    """Write a one-dimensional coordinate named after its own dimension."""
    array = new_array(
        group, name, shape=values.shape, dtype=values.dtype, chunks=values.shape, dims=(name,), attrs=attrs
    )
    write(array, ..., values)


def write_values(group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...], **attrs: Any) -> None:
    """Write a small array as one chunk."""
    array = new_array(
        group,
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=values.shape,
        dims=dims,
        attrs=attrs,
    )
    write(array, ..., values)


def pixel_centres_mm(n: int, pitch_mm: float) -> np.ndarray:
    """Positions of `n` pixel centres in mm from the photograph's edge, float64 of shape (n,)."""
    return (np.arange(n) + 0.5) * pitch_mm


def new_group(path: str | Place, **settings: Any) -> zarr.Group:
    """A new group of Zarr's third format; `settings` as for `zarr.create_group`."""
    return zarr.create_group(node(path), zarr_format=3, **settings)


def open_group(path: str | Place, mode: Any = "r") -> zarr.Group:
    """Open a group, its metadata verified; raises `StoreError` where there is none.

    Of Zarr's formats only the third: the second lets a store name a codec that unpickles. Zarr is given the
    metadata that were verified: reading them itself, it would have each node opened by its one thread.
    """
    try:
        found = metadata_at(as_place(path) / NAME)
        if found is None:
            raise FileNotFoundError(f"it has no {NAME}")
        _require_third(found)
        found.pop("consolidated_metadata", None)
        return zarr.Group(zarr.AsyncGroup.from_dict(StorePath(node(path, read_only=mode == "r")), found))
    except (FileNotFoundError, KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{path}: there is no readable Zarr group here ({first_line(error)}).") from error


def holds(group: zarr.Group, name: str) -> bool:
    """Whether a group has something of that name, whole or not; opening it tells which.

    Raises
    ------
    DamagedStoreError
        It was written with it, and it is gone.
    """
    place = place_of(group)
    if (place / name).is_dir():
        return True
    if any(f"{array}/".startswith(f"{name}/") for array in listed_arrays(place, group.attrs)):
        raise DamagedStoreError(
            f"{place} is damaged: it was written with '{name}', which is gone. Run `xrfsr check`."
        )
    return False


def below(group: zarr.Group, name: str) -> list[str]:
    """Names of what lies in a group inside `group`, and of the arrays that were written there and are gone."""
    place, begins = place_of(group), f"{name}/"
    there = {folder.name for folder in folders(place / name)}
    listed = [path for path in listed_arrays(place, group.attrs) if path.startswith(begins)]
    return sorted(there | {path.removeprefix(begins).split("/")[0] for path in listed})


def open_array(group: zarr.Group, name: str, shape: tuple[int | None, ...] | None = None) -> zarr.Array:
    """An array of `group` by its path inside it, of a shape where one is told (None: any number), its metadata
    verified and found to be ours before Zarr acts on them; raises `StoreError` naming what is missing or
    wrong."""
    metadata = place_of(group) / name / NAME
    found = metadata_at(metadata)
    if found is None:
        if metadata.parent.is_dir():
            raise DamagedStoreError(f"{metadata} is damaged: it is missing. Run `xrfsr check`.")
        raise StoreError(f"{where(group)} holds no array '{name}'.")
    if found["node_type"] == "group":
        raise StoreError(f"{where(group)}/{name} is a group, an array was expected.")
    try:
        check_array(metadata, found)
        _require_third(found)
        array = zarr.Array(zarr.AsyncArray(_understood(found), group.store_path / name, _CONFIG))
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise DamagedStoreError(
            f"{where(group)}/{name}: metadata not readable ({first_line(error)})."
        ) from error
    if shape is not None and not _fits(array.shape, shape):
        wanted = str(shape).replace("None", "any")
        raise DamagedStoreError(
            f"{where(group)}/{name} is damaged: its shape is {array.shape}, {wanted} was expected."
        )
    return array


def _fits(found: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(found) == len(shape) and all(n in (None, m) for m, n in zip(found, shape, strict=True))


def _understood(found: dict[str, Any]) -> ArrayV3Metadata:
    """Metadata as Zarr understands them, which takes it three quarters of a millisecond: arrays that differ in
    their attributes only, as those of every generation, share it."""
    shared = _understood_once(
        json.dumps({name: value for name, value in found.items() if name != "attributes"})
    )
    own = copy.copy(shared)
    object.__setattr__(own, "attributes", found["attributes"])
    return own


@functools.lru_cache(maxsize=256)
def _understood_once(metadata: str) -> ArrayV3Metadata:
    return bounded(ArrayV3Metadata.from_dict(json.loads(metadata)))


def _require_third(metadata: dict[str, Any]) -> None:
    if metadata.get("zarr_format") != 3:
        raise ValueError(f"it is of Zarr's format {metadata.get('zarr_format')!r}, not 3")


def read(array: zarr.Array, region: Region | Any = ...) -> np.ndarray:
    """Read a region; a checksum that fails or a block that cannot be decoded is a `DamagedStoreError`."""
    if np.dtype(array.dtype).kind in "iu":
        _require_chunks(array, region)
    plain = plain_slices(array, region)
    try:
        if plain is None:
            return np.asarray(array[region])
        if is_bare(array):
            return read_chunks(array, plain)
        parts = _parts(array, plain)
        return np.asarray(array[plain]) if len(parts) < 2 else _assembled(array, plain, parts)
    except (ValueError, RuntimeError, TypeError, EOFError) as error:
        if "start new thread" in str(error):
            raise MemoryBudgetError(f"{where(array)} could not be read: {_NO_THREAD}") from error
        raise DamagedStoreError(
            f"{where(array)}{_at(region)}: stored bytes are damaged ({fault_of(error)}). "
            "Run `xrfsr check` to list every damaged chunk."
        ) from error


def fault_of(error: BaseException) -> str:
    """What Zarr says, but for a checksum, of which it shows the bytes."""
    text = first_line(error)
    return "the checksum does not match" if "checksum" in text.lower() else text


def _assembled(array: zarr.Array, region: Region, parts: list[Region]) -> np.ndarray:
    corner = [part.start for part in region]
    out = np.empty([part.stop - part.start for part in region], array.dtype)
    for part in parts:
        out[shifted(part, corner)] = array[part]
    return out


def write(array: zarr.Array, region: Region | Any, values: np.ndarray) -> None:
    """Write `values` to a region of slices, with as few chunks in memory as `read` takes.

    Zarr would make the folder of an array anew that was removed since it was opened; a task that comes too
    late is stopped here instead.
    """
    if not (place_of(array) / NAME).is_file():
        raise StoreError(f"{where(array)} is gone: what was to be written is no longer needed.")
    plain = plain_slices(array, region)
    if plain is None:
        array[region] = values
    elif is_bare(array) and are_whole(array, plain):
        write_chunks(array, plain, values)
    else:
        corner = [part.start for part in plain]
        for part in _parts(array, plain):
            array[part] = values[shifted(part, corner)]


def bytes_in_hand(chunk_bytes: int) -> int:
    """Bytes that `read` and `write` need beside the array, where its chunks have so many."""
    return int(_COPIES * (_ZARR_AT_ONCE * chunk_bytes if _few(chunk_bytes) else chunk_bytes))


def _few(chunk_bytes: int) -> bool:
    return _ZARR_AT_ONCE * chunk_bytes <= _READ_AT_ONCE


def _parts(array: zarr.Array, region: Region) -> list[Region]:
    """A region cut at the borders of chunks where these are large, else as it is."""
    stored = array.shards or array.chunks
    if _few(math.prod(stored) * np.dtype(array.dtype).itemsize):
        return [region]
    return [part for _, part in cut(region, stored)]


def _require_chunks(array: zarr.Array, region: Region | Any) -> None:
    """Refuse a region whose chunks are not there: integers have no value that would tell them from zeros."""
    parts = region if isinstance(region, tuple) else ()
    stored, folder = array.shards or array.chunks, place_of(array) / "c"
    spans, most = [], most_stored(array)
    for axis, (n, size) in enumerate(zip(array.shape, stored, strict=True)):
        part = parts[axis] if axis < len(parts) and isinstance(parts[axis], slice) else slice(None)
        first, stop, _ = part.indices(n)
        spans.append(range(first // size, -(-stop // size)) if stop > first else range(0))
    for index in itertools.product(*spans):
        fault = ""
        if (n_byte := size_of(folder.joinpath(*map(str, index)))) is None:
            fault = "is missing"
        elif n_byte > most:
            fault = f"has {n_byte} bytes, more than the {most} of a whole one"
        if fault:
            raise DamagedStoreError(
                f"{where(array)}: the chunk c/{'/'.join(map(str, index))} {fault}. "
                "Run `xrfsr check` to list every damaged chunk."
            )


def read_finite(array: zarr.Array, region: Region | Any = ...) -> np.ndarray:
    """Read a region that a finished write must have filled; NaN means that a chunk is missing."""
    if array.nbytes > _READ_AT_ONCE:  # of what is not there no memory is taken
        _require_chunks(array, region)
    return finite(read(array, region), array, region)


def finite(values: np.ndarray, array: zarr.Array, region: Region | Any) -> np.ndarray:
    """Values as read from a region of an array; a NaN among them is a `DamagedStoreError`."""
    if values.size and not np.isfinite([values.min(), values.max()]).all():  # NaN is passed on by both
        raise DamagedStoreError(f"{where(array)}{_at(region)}: a chunk is missing or was never written.")
    return values


def has_chunk(array: zarr.Array, index: tuple[int, ...]) -> bool:
    """Whether a chunk, or shard, is there, whole as each is written."""
    return place_of(array).joinpath("c", *map(str, index)).is_file()


def require_last_chunk(array: zarr.Array) -> zarr.Array:
    """The array, if its last chunk is there: a shape that nothing was written for is refused unread."""
    stored = array.shards or array.chunks
    index = tuple(max(0, -(-n // size) - 1) for n, size in zip(array.shape, stored, strict=True))
    if 0 in array.shape or not has_chunk(array, index):
        raise DamagedStoreError(
            f"{where(array)}: the chunk c/{'/'.join(map(str, index))} is missing, the last of its shape "
            f"{array.shape}. Run `xrfsr check` to list every damaged chunk."
        )
    return array


def stored_checksum(array: zarr.Array) -> str:
    """One checksum of all stored bytes of an array, from the crc32c that ends every chunk.

    Cheap: a few bytes of each chunk are read. A chunk that is missing counts as such.
    """
    digest, folder = hashlib.sha256(), place_of(array) / "c"
    files = files_below(folder)
    for path, end in zip(files, ends(files, 4), strict=True):
        digest.update(str(path.relative_to(folder)).encode() + end)
    return digest.hexdigest()[:16]


def where(node: zarr.Array | zarr.Group) -> str:
    """Where a node lies, for messages: the store's path and the path inside it."""
    return str(node.store_path).removeprefix("file://")


def place_of(node: zarr.Array | zarr.Group) -> Place:
    """Where a node lies."""
    return as_place(where(node))


def _at(region: Region | Any) -> str:
    """A region in words for messages, ``at y 0:50, x 50:100``; of the whole array nothing is said."""
    if region is ...:
        return ""
    if not isinstance(region, tuple):
        return f" at {region}"
    names = ("y", "x", "channel")
    return " at " + ", ".join(
        f"{name} {part.start or 0}:{part.stop if part.stop is not None else ''}"
        for name, part in zip(names, region, strict=False)
        if isinstance(part, slice)
    )
