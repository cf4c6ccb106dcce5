"""Regions drawn on a painting: which pixels lie within, and their mean abundances, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError
from xrfsr_dask.result.levels import stored_group
from xrfsr_dask.result.lowrank import Stored, loaded
from xrfsr_dask.store.results import stored_levels

BLOCK_PX = 1600
"""Side of the blocks that a region is looked at in; a multiple of the coarsest level, and of a cell."""

_COARSEST = 16  # px of a pixel of the level that fills a region
_PIECE_PX = 100  # side of what is read of the painting's own pixels: some chunks

Box = tuple[slice, slice]
"""Rows and columns."""


class Region:
    """A polygon on a grid of pixels; those whose centres it surrounds, an odd number of times, are within.

    Parameters
    ----------
    corners : sequence of (y, x), mm
    shape : (ny, nx), px
    pitch_mm : float
    """

    def __init__(
        self,
        corners: Sequence[tuple[float, float]] | np.ndarray,
        shape: tuple[int, int],
        pitch_mm: float = 1.0,
    ) -> None:
        self._corners = np.asarray(corners, float) / pitch_mm - 0.5  # centres of pixels are at integers
        self._shape = shape

    def contains(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Whether places, in px of `shape` with centres at integers, lie within; bool like `y`."""
        out = np.zeros(np.shape(y), bool)
        for (ay, ax), (by, bx) in self._edges():
            crosses = (ay <= y) != (by <= y)
            with np.errstate(divide="ignore", invalid="ignore"):
                out ^= crosses & (x > ax + (y - ay) * (bx - ax) / (by - ay))
        return out

    def blocks(self) -> Iterator[tuple[Box, np.ndarray]]:
        """Boxes of at most `BLOCK_PX` px a side that hold some of it, each with its mask."""
        low = np.maximum(np.floor(self._corners.min(axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(self._corners.max(axis=0)) + 1, self._shape).astype(int)
        first = low // BLOCK_PX * BLOCK_PX
        for y in range(first[0], high[0], BLOCK_PX):
            for x in range(first[1], high[1], BLOCK_PX):
                box = (
                    slice(y, min(y + BLOCK_PX, self._shape[0])),
                    slice(x, min(x + BLOCK_PX, self._shape[1])),
                )
                mask = self._mask(box)
                if mask.any():
                    yield box, mask

    def _mask(self, box: Box) -> np.ndarray:
        """Pixels of a box within, bool: each row is entered or left where an edge crosses it."""
        y, x = (np.arange(part.start, part.stop) for part in box)
        turns = np.zeros((len(y), len(x) + 1), np.uint8)
        for (ay, ax), (by, bx) in self._edges():
            rows = np.flatnonzero((ay <= y) != (by <= y))
            if rows.size:
                crossed = ax + (y[rows] - ay) * (bx - ax) / (by - ay)
                at = np.clip(np.floor(crossed).astype(int) + 1 - x[0], 0, len(x))
                turns[rows, at] ^= 1
        return np.bitwise_xor.accumulate(turns, axis=1)[:, :-1].view(bool)

    def _edges(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return zip(self._corners, np.roll(self._corners, -1, axis=0), strict=True)


def mean_abundance(ds: xr.Dataset, region: Region) -> tuple[np.ndarray, int]:
    """Mean abundances of a region's pixels, float64 (n_atom,), and how many there are.

    What a level holds of whole pixels is taken from it, as its pixels are means; the rest, along the edge, from
    the painting's own pixels. So a large region costs about what its edge does.

    Raises
    ------
    InputError
        No pixel lies within, or none that holds numbers.
    """
    total, n, n_known = np.zeros(ds.sizes["atom"]), 0, 0
    level = _level(ds)
    for box, mask in region.blocks():
        within = int(mask.sum())
        n += within
        if level is not None:
            total += _from_level(*level, box, mask)
            n_known += within - int(mask.sum())
        some, known = _from_pixels(ds.abundance.data, box, mask)
        total, n_known = total + some, n_known + known
    if not n:
        raise InputError("the region holds no pixel of the painting; draw a larger one.")
    if not n_known:
        raise InputError("No pixel of the region has abundances that are all numbers.")
    return total / n_known, n


def _level(ds: xr.Dataset) -> tuple[int, Stored, Stored] | None:
    """The coarsest level that is used: size of its pixels, abundances, how much of each was measured."""
    group = stored_group(ds)
    there = {} if group is None else stored_levels(group)
    factor = max((f for f in there if f <= _COARSEST), default=None)
    if factor is None:
        return None
    abundance, measured = there[factor]
    return factor, Stored(abundance), Stored(measured)


def _from_level(factor: int, abundance: Stored, measured: Stored, box: Box, mask: np.ndarray) -> np.ndarray:
    """Sum of abundances over pixels of a level that lie within, whole and measured; these leave the mask."""
    ny, nx = (side // factor for side in mask.shape)  # a pixel cut by the painting's edge is no mean of all
    inner = mask[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    at = tuple(
        slice(part.start // factor, part.start // factor + n) for part, n in zip(box, (ny, nx), strict=True)
    )
    if not inner.size:
        return np.zeros(abundance.shape[2])
    full = inner.all(axis=(1, 3)) & (measured[at] == 1)
    inner &= ~full[:, None, :, None]
    total = np.zeros(abundance.shape[2])
    for (rows, columns), A in abundance.pieces((at[0], at[1])):
        total += A[full[rows, columns]].sum(axis=0, dtype=np.float64)
    return factor**2 * total


def _from_pixels(abundance: Any, box: Box, mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Sum of abundances over the pixels of a mask that hold numbers, and how many do.

    Only pieces with pixels of the mask are read.
    """
    total, n = np.zeros(abundance.shape[2]), 0
    for y in range(0, mask.shape[0], _PIECE_PX):
        for x in range(0, mask.shape[1], _PIECE_PX):
            part = mask[y : y + _PIECE_PX, x : x + _PIECE_PX]
            if part.any():
                rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
                tight = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
                A = loaded(
                    abundance[
                        box[0].start + y + tight[0].start : box[0].start + y + tight[0].stop,
                        box[1].start + x + tight[1].start : box[1].start + x + tight[1].stop,
                    ]
                )
                here = A[part[tight]].astype(float)
                whole = np.isfinite(here).all(axis=1)
                total, n = total + here[whole].sum(axis=0), n + int(whole.sum())
    return total, n
