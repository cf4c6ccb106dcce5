"""Lazy arrays that compute or read just what is indexed: stored arrays, and the HR cube as its two factors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from dask.base import tokenize
from dask.local import get_sync

from xrfsr_dask.store import shards
from xrfsr_dask.store.arrays import finite, place_of, read_finite, where
from xrfsr_dask.store.places import stamp

CUBE_CHUNK = (100, 100, 1024)
"""Largest chunk of the lazy cube: px, px, channels; 40 MiB. Wide enough for a fast map of one channel, small
enough that reductions over the whole cube stay in bounded memory."""

_PIECE_BYTES = 32 * 2**20

# OpenBLAS takes one thread for products up to these sizes (its ``interface/gemm.c`` and ``gemv.c``).
_ONE_THREAD = 65536 * 4  # multiplications, matrix times matrix
_ONE_THREAD_VECTOR = 2304 * 4  # multiplications, matrix times vector: fewer than this
_LEAST_ROWS = 16  # of a product, to be worth a call


class Stored:
    """An array of a store, read through its checksums; a chunk that is missing is a `DamagedStoreError`."""

    def __init__(self, array: zarr.Array) -> None:
        self.array = array
        self._plain_shards = shards.readable(array)
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype
        self.ndim = array.ndim

    def __getitem__(self, key: Any) -> np.ndarray:
        region, rest = _pushed_down(key, self.shape)
        if self._plain_shards and all(part.step == 1 for part in region):
            return finite(shards.assembled(self.array, region), self.array, region)[rest]
        return read_finite(self.array, region)[rest]

    def pieces(self, region: tuple[slice, slice]) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Rows and columns (y, x) in pieces: where each lies within the region, and its values, all of the
        last axis; they are only good until the next is asked for."""
        if not self._plain_shards:
            yield (slice(None), slice(None)), self[region]
            return
        for place, values in shards.chunks_in(self.array, (*region, slice(0, self.shape[2]))):
            (y, x), (rows, columns) = region, place[:2]
            within = (
                slice(rows.start - y.start, rows.stop - y.start),
                slice(columns.start - x.start, columns.stop - x.start),
            )
            yield within, finite(values, self.array, place)

    def __dask_tokenize__(self) -> Any:
        return where(self.array), self.shape, stamp(place_of(self.array) / "zarr.json")


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
        (y, x, energy), rest = _pushed_down(key, self.shape)
        A = loaded(self.abundance[y, x])
        D = self.endmember[:, energy]
        return product(A.reshape(A.shape[0] * A.shape[1], len(D)), D).reshape(*A.shape[:2], D.shape[1])[rest]

    def __dask_tokenize__(self) -> Any:
        return tokenize(self.abundance, self.endmember)


def loaded(piece: Any) -> np.ndarray:
    """A piece of a factor as float32 NumPy, whatever holds it."""
    if isinstance(piece, da.Array):
        piece = piece.compute(scheduler=get_sync)  # by name, Dask would import distributed first
    return np.ascontiguousarray(piece, np.float32)


def product(A: np.ndarray, D: np.ndarray) -> np.ndarray:
    """``A @ D`` in pieces so small that BLAS takes one thread for each, float32 (n, n_channel).

    Dask calls this from one thread per core; with as many BLAS threads each they fight for the cores, and one
    channel of a large cube takes several times as long. The number of BLAS threads is the whole process's, and
    not ours to set from inside a task.

    Parameters
    ----------
    A, D : float32 arrays of shape (n, n_atom), (n_atom, n_channel)
    """
    n, n_atom = A.shape
    if not n_atom:  # a layer may have no endmember
        return np.zeros((n, D.shape[1]), np.float32)
    out = np.empty((n, D.shape[1]), np.float32)
    width = max(1, _ONE_THREAD // (_LEAST_ROWS * n_atom))
    for first in range(0, D.shape[1], width):
        columns = slice(first, min(first + width, D.shape[1]))
        wide = columns.stop - first
        most = _ONE_THREAD // (wide * n_atom) if wide > 1 else (_ONE_THREAD_VECTOR - 1) // n_atom
        rows = max(1, min(most, n))
        whole = n // rows * rows
        stack = A[:whole].reshape(-1, rows, n_atom)
        np.matmul(stack, D[:, columns], out=out[:whole].reshape(-1, rows, D.shape[1])[..., columns])
        np.matmul(A[whole:], D[:, columns], out=out[whole:, columns])
    return out


def lazy_stored(array: zarr.Array) -> da.Array:
    """A stored array as Dask array: a chunk is a shard, or an even part of it where that is over 32 MiB."""
    return _lazy(Stored(array), f"stored-{array.basename}", _piece(array))


def _piece(array: zarr.Array) -> tuple[int, ...]:
    """Whole inner chunks, the same number of them in each part of a shard; the last axis is not divided."""
    if array.shards is None:
        return array.chunks
    inner, sides = array.chunks, array.shards
    counts = [side // chunk for side, chunk in zip(sides, inner, strict=True)]
    for parts in range(1, max(counts) + 1):
        piece = [c * n // parts if n % parts == 0 else c * n for c, n in zip(inner, counts, strict=True)]
        if np.prod(piece) * array.dtype.itemsize <= _PIECE_BYTES:
            return tuple(piece)
    return inner


def lazy_cube(abundance: Any, endmember: np.ndarray, chunks: tuple[int, ...] = CUBE_CHUNK) -> da.Array:
    """The cube ``abundance @ endmember`` as Dask array (y, x, energy), float32; nothing is multiplied yet."""
    return _lazy(LowRank(abundance, endmember), "cube", chunks)


def cube_variable(abundance: Any, endmember: np.ndarray) -> xr.Variable:
    """`lazy_cube` with its dimensions and units."""
    attrs = {"units": "counts", "long_name": "counts per measured spot"}
    return xr.Variable(("y", "x", "energy"), lazy_cube(abundance, endmember), attrs)


# `fancy=False` would keep Dask (2026.8) from pushing plain slices down into the source, and a map of one
# channel would multiply out the whole cube.
def _lazy(source: Stored | LowRank, name: str, chunks: tuple[int, ...]) -> da.Array:
    return da.from_array(
        source,
        chunks=tuple(max(1, min(c, n)) for c, n in zip(chunks, source.shape, strict=True)),
        name=f"{name}-{tokenize(source)}",
        meta=np.empty((0,) * source.ndim, source.dtype),
    )


def _pushed_down(key: Any, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[Any, ...]]:
    """The slices that hold all that `key` asks for, and what to ask of them in its place.

    >>> _pushed_down((3, [9, 4], slice(2, None)), (10, 10, 8))
    ((slice(3, 4, 1), slice(4, 10, 1), slice(2, 8, 1)), (0, [5, 0], slice(None, None, None)))
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(part is Ellipsis for part in parts):
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    pairs = [_pushed_axis(part, n) for part, n in zip(parts, shape, strict=True)]
    return tuple(outer for outer, _ in pairs), tuple(inner for _, inner in pairs)


def _pushed_axis(part: Any, n: int) -> tuple[slice, Any]:
    if isinstance(part, slice):
        start, stop, step = part.indices(n)
        if step > 0:
            return slice(start, stop, step), slice(None)
        part = list(range(start, stop, step))
    whole = np.arange(n)[part]
    if not whole.size:
        return slice(0, 0, 1), part
    low, high = int(whole.min()), int(whole.max())
    return slice(low, high + 1, 1), (whole - low).tolist()
