"""Chunks that unpack to no more than the metadata say: a few megabytes of Blosc may claim two gigabytes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec
from zarr.core.metadata import ArrayV3Metadata

_HEADER = 16  # bytes that Blosc puts before a block, which it leaves as it is where it would grow
_CHECKSUM, _INDEX = 4, 16  # bytes of a crc32c; of a chunk's place in a shard


class _Bounded(BloscCodec):
    """Blosc that refuses a block whose header claims another size than its chunk has."""

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        _require_size(chunk_bytes, chunk_spec)
        return super()._decode_sync(chunk_bytes, chunk_spec)

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        _require_size(chunk_bytes, chunk_spec)
        return await super()._decode_single(chunk_bytes, chunk_spec)


def bounded(metadata: ArrayV3Metadata) -> ArrayV3Metadata:
    """The same metadata, of an array whose blocks are decoded only where they are as large as its chunks."""
    codecs = tuple(_held(codec) if isinstance(codec, BloscCodec) else codec for codec in metadata.codecs)
    return metadata if codecs == metadata.codecs else dataclasses.replace(metadata, codecs=codecs)


def most_stored(array: zarr.Array) -> int:
    """Bytes that a chunk, or shard, of an array takes at most."""
    stored = array.shards or array.chunks
    n_inner = math.prod(stored) // math.prod(array.chunks)
    more = n_inner * (_HEADER + _CHECKSUM + _INDEX) + _CHECKSUM
    return math.prod(stored) * np.dtype(array.dtype).itemsize + more


def _held(codec: BloscCodec) -> _Bounded:
    return _Bounded(**{part.name: getattr(codec, part.name) for part in dataclasses.fields(codec) if part.init})


def _require_size(chunk_bytes: Any, chunk_spec: Any) -> None:
    head = chunk_bytes.as_numpy_array()[:_HEADER].tobytes()
    claimed = int.from_bytes(head[4:8], "little")
    wanted = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
    if len(head) < _HEADER or claimed != wanted:
        raise ValueError(f"a block unpacks to {claimed} bytes where a chunk has {wanted}")
