"""Metadata that vouch for themselves, and what an array must look like before a byte of it is read.

Every ``zarr.json`` this package writes carries a checksum of the rest of it among its attributes, so that a
flipped bit in a shape, a transform or a unit is an error like one in a chunk. An edit on purpose takes the
checksum out.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from typing import Any

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store.places import P, Place, contents, file_bytes, replace_text

NAME = "zarr.json"
"""File of a node's metadata."""

CHECKSUM = "checksum"
"""Attribute with the crc32 of the metadata, in canonical JSON without itself, as eight hex digits."""

_PLAIN, _PACKED = ["bytes", "crc32c"], ["bytes", "blosc", "crc32c"]  # codecs: of floats and indices, of others
_SETTINGS: dict[str, dict[str, Any]] = {
    "bytes": {"endian": ("little",)},
    "blosc": {
        "typesize": (1, 2, 4, 8),
        "cname": ("lz4",),
        "clevel": range(10),
        "shuffle": ("bitshuffle",),
        "blocksize": (0,),
    },
    "crc32c": {},
}
_KINDS = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}
_MOST_AXES = 4
_MOST_VALUES = 2**48  # of an array
_MOST_CHUNKS = 2**24  # of an array; the largest photograph has a quarter as many cells
_MOST_IN_CHUNK = 2**28  # values of a chunk
_MOST_IN_SHARD, _MOST_IN_INDEX = 2**24, 2**10  # values of a shard, and chunks in it


def checksum_of(metadata: dict[str, Any]) -> str:
    """crc32 of a node's metadata without their checksum, eight hex digits."""
    attributes = {key: value for key, value in metadata.get("attributes", {}).items() if key != CHECKSUM}
    text = json.dumps(metadata | {"attributes": attributes}, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x}"


def seal(folder: P) -> dict[P, dict[str, Any]]:
    """Write the checksum into the metadata of a group or array and of all below it that have none.

    Returns
    -------
    dict of Place to dict
        The metadata of all of them, verified, by their folders.
    """
    sealed = {}
    for path in nodes(folder):
        sealed[path.parent] = found = read_metadata(path)
        if CHECKSUM not in found["attributes"]:
            write_metadata(path, found)
    return sealed


def set_attributes(folder: Place, attributes: dict[str, Any]) -> None:
    """Add attributes to a group or array that may be sealed; it never stands without its checksum."""
    found = read_metadata(folder / NAME)
    found["attributes"] |= attributes
    write_metadata(folder / NAME, found)


def write_metadata(path: Place, metadata: dict[str, Any]) -> None:
    """Write metadata with their checksum; they take the place of what was there at once."""
    attributes = metadata.get("attributes", {}) | {CHECKSUM: checksum_of(metadata)}
    replace_text(path, json.dumps(metadata | {"attributes": attributes}, indent=2))


def nodes(folder: P) -> Iterator[P]:
    """Metadata files of a node and of all below it; what lies inside an array is not looked at."""
    below, files = contents(folder)
    if NAME in (file.name for file in files):
        yield folder / NAME
    if "c" not in (child.name for child in below) or (folder / "c" / NAME).is_file():
        for child in below:
            if not child.is_symlink():
                yield from nodes(child)


def n_stored(metadata: dict[str, Any]) -> int:
    """Chunks, or shards, that an array stores when it is whole."""
    sizes = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    return math.prod(-(-n // size) for n, size in zip(metadata["shape"], sizes, strict=True))


def metadata_at(path: Place) -> dict[str, Any] | None:
    """Metadata of one node, verified as by `read_metadata`; None where there is no such file."""
    try:
        return read_metadata(path)
    except DamagedStoreError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            return None
        raise


def read_metadata(path: Place) -> dict[str, Any]:
    """Metadata of one node, verified.

    Raises
    ------
    DamagedStoreError
        They cannot be read, or are not those that were written.
    """
    found = _parsed(path)
    vouched = found["attributes"].get(CHECKSUM)
    if vouched is not None and vouched != checksum_of(found):
        raise DamagedStoreError(
            f"{path} is damaged: its checksum does not match. Put a copy back; if it was edited on purpose, "
            f"take '{CHECKSUM}' out of its attributes."
        )
    return found


def _parsed(path: Place) -> dict[str, Any]:
    try:
        found = json.loads(file_bytes(path))
        if not isinstance(found, dict) or found.get("node_type") not in ("array", "group"):
            raise ValueError("neither an array nor a group")
        return found | {"attributes": dict(found.get("attributes", {}))}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedStoreError(f"{path} is damaged: not readable ({type(error).__name__}).") from error


def check_array(path: Place, metadata: dict[str, Any]) -> None:
    """Refuse an array that this package would never write and that could not be read in bounded memory.

    Raises
    ------
    DamagedStoreError
        Type, shape, chunks or codecs are none of ours; the message names which.
    """
    try:
        shape = _sizes(metadata["shape"], least=0)
        chunks = _sizes(metadata["chunk_grid"]["configuration"]["chunk_shape"], least=1)
        kind, codecs, fill = str(metadata["data_type"]), metadata["codecs"], metadata["fill_value"]
        foreign, sharded = _foreign(codecs, chunks, kind), _is_sharded(codecs)
        regular = metadata["chunk_grid"]["name"] == "regular"
        separator = metadata["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
        default = (metadata["chunk_key_encoding"]["name"], separator) == ("default", "/")
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedStoreError(f"{path}: these are no metadata of an array ({error!r}).") from error
    faults = {
        f"data type '{kind[:40]}'": kind not in _KINDS,
        f"chain of codecs {foreign}": bool(foreign),
        f"shape {shape}"[:80]: len(shape) > _MOST_AXES
        or math.prod(shape) > _MOST_VALUES
        or math.prod(-(-n // size) for n, size in zip(shape, chunks, strict=False)) > _MOST_CHUNKS,
        f"size of chunks {chunks} in an array {shape}"[:120]: len(chunks) != len(shape)
        or math.prod(chunks) > (_MOST_IN_SHARD if sharded else _MOST_IN_CHUNK)
        or (not sharded and any(size > max(n, 1) for n, size in zip(shape, chunks, strict=True))),
        f"fill value {fill!r}"[:80]: fill != ("NaN" if kind.startswith("float") else 0),
        "grid of chunks": not (regular and default),
        "storage transformer": bool(metadata.get("storage_transformers")),
    }
    for what, wrong in faults.items():
        if wrong:
            raise DamagedStoreError(f"{path}: the {what} is none that xrfsr writes; nothing was read.")


def _sizes(values: Any, *, least: int) -> tuple[int, ...]:
    if not isinstance(values, list) or any(type(n) is not int or n < least for n in values):
        raise ValueError(f"sizes {str(values)[:40]}")
    return tuple(values)


def _foreign(listed: Any, chunks: tuple[int, ...], kind: str) -> str:
    """What codecs are, where they are not as xrfsr writes them for a data type; empty where they are."""
    known = _PLAIN if kind.startswith("float") or kind.endswith("64") else _PACKED
    if not _is_sharded(listed):
        return _foreign_chain(listed, known)
    shard = listed[0]["configuration"]
    sides = _sizes(shard["chunk_shape"], least=1)
    if (
        len(sides) != len(chunks)
        or any(n % side for n, side in zip(chunks, sides, strict=True))
        or math.prod(chunks) // math.prod(sides) > _MOST_IN_INDEX
        or shard.get("index_location", "end") != "end"
    ):
        return f"of shards {chunks} with chunks {sides}"[:80]
    return _foreign_chain(shard["index_codecs"], _PLAIN) or _foreign_chain(shard["codecs"], known)


def _is_sharded(listed: Any) -> bool:
    return [codec["name"] for codec in listed] == ["sharding_indexed"]


def _foreign_chain(listed: Any, known: list[str]) -> str:
    names = [str(codec["name"]) for codec in listed]
    if names != known:
        return ", ".join(f"'{name[:40]}'" for name in names)[:80] or "[]"
    for name, codec in zip(names, listed, strict=True):
        for key, value in codec.get("configuration", {}).items():
            if value not in _SETTINGS[name].get(key, ()):
                return f"{names}, '{name}' with {key} {value!r}"[:80]
    return ""
