"""Lazy arrays that compute or read just what is indexed: stored arrays, and the HR cube as its two factors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize

from xrfsr_dask.errors import InputError
from xrfsr_dask.store.arrays import read_finite, where

CUBE_CHUNK = (100, 100, 1024)
"""Largest chunk of the lazy cube: px, px, channels; 40 MiB. Wide enough for a fast map of one channel, small
enough that reductions over the whole cube stay in bounded memory."""


class Stored:
    """An array of a store, read through its checksums; a chunk that is missing is a `DamagedStoreError`."""

    def __init__(self, array: zarr.Array) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype
        self.ndim = array.ndim

    def __getitem__(self, key: Any) -> np.ndarray:
        region, drop = _slices(key, self.shape)
        return read_finite(self.array, region)[drop]

    def __dask_tokenize__(self) -> Any:
        place = where(self.array)
        return place, self.shape, (Path(place) / "zarr.json").stat().st_mtime_ns


class LowRank:
    """A cube (y, x, energy) that is never held: indexing multiplies the factors for just that piece.

    Parameters
    ----------
    abundance : array of shape (ny, nx, n_atom), dimensionless
        NumPy, `Stored` or Dask; the latter is computed inside the task that asks, without a scheduler.
    endmember : array of shape (n_atom, n_channel), counts per measured spot
    """

    def __init__(self, abundance: Any, endmember: np.ndarray) -> None:
        self.abundance = abundance
        self.endmember = np.ascontiguousarray(endmember, np.float32)
        self.shape: tuple[int, ...] = (*abundance.shape[:2], self.endmember.shape[1])
        self.dtype = np.dtype(np.float32)
        self.ndim = 3

    def __getitem__(self, key: Any) -> np.ndarray:
        (y, x, energy), drop = _slices(key, self.shape)
        A = loaded(self.abundance[y, x])
        D = self.endmember[:, energy]
        return (A.reshape(-1, len(D)) @ D).reshape(*A.shape[:2], D.shape[1])[drop]

    def __dask_tokenize__(self) -> Any:
        return tokenize(self.abundance, self.endmember)


def loaded(piece: Any) -> np.ndarray:
    """A piece of a factor as float32 NumPy, whatever holds it."""
    if isinstance(piece, da.Array):
        piece = piece.compute(scheduler="synchronous")
    return np.ascontiguousarray(piece, np.float32)


def lazy_stored(array: zarr.Array) -> da.Array:
    """A stored array as Dask array of one chunk per shard (per chunk where there are no shards)."""
    chunks = array.shards or array.chunks
    return _lazy(Stored(array), f"stored-{array.basename}", chunks)


def lazy_cube(abundance: Any, endmember: np.ndarray) -> da.Array:
    """The cube ``abundance @ endmember`` as Dask array (y, x, energy), float32; nothing is read or multiplied."""
    return _lazy(LowRank(abundance, endmember), "cube", CUBE_CHUNK)


def _lazy(source: Stored | LowRank, name: str, chunks: tuple[int, ...]) -> da.Array:
    return da.from_array(
        source,
        chunks=tuple(max(1, min(c, n)) for c, n in zip(chunks, source.shape, strict=True)),
        name=f"{name}-{tokenize(source)}",
        fancy=False,
        meta=np.empty((0,) * source.ndim, source.dtype),
    )


def _slices(key: Any, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[Any, ...]]:
    """`key` as one slice per axis, and the index that afterwards drops the axes it named by an integer."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    if not all(isinstance(part, slice | int | np.integer) for part in parts) or len(parts) != len(shape):
        raise InputError(f"a lazy array is indexed by integers and slices, one for each axis; got {key!r}.")
    region, drop = [], []
    for part, n in zip(parts, shape, strict=True):
        if isinstance(part, slice):
            region.append(slice(*part.indices(n)))
            drop.append(slice(None))
        else:
            at = range(n)[int(part)]
            region.append(slice(at, at + 1))
            drop.append(0)
    return tuple(region), tuple(drop)
