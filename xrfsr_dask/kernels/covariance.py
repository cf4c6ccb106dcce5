"""How alike two places of a picture are by their distance, where a place may be a spot.

A spot is a mean over its footprint. Its covariance is the point law averaged over the footprint, once with a
pixel and twice with another spot. It is averaged over all directions too, so that it depends on distance alone,
whichever way a patch is turned (which keeps it positive definite), and tabulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit

from xrfsr_dask.kernels.projection import FAST

KINDS = ("exponential", "matern32", "matern52", "wide")
"""Laws of correlation by their name; ``"wide"``: half a Matérn 3/2 of this reach and half one of four times as
much, for pictures that are rough and smooth at once."""

_ENTRIES, _FARTHEST = 3072, 60.0  # of a table; distances in steps
_PER_ROOT = np.float32((_ENTRIES - 1) / np.sqrt(_FARTHEST))
"""Entries lie evenly in the root of the distance: dense where the law bends, and found without a logarithm."""
_NODES, _NODES_FAR, _DIRECTIONS = 8, 4, 6
_NEAR = 2.5  # spots, beyond which the law has no kink under two of them, and few nodes do


def point_correlation(kind: str, d: np.ndarray) -> np.ndarray:
    """k(d) of two points, d in reaches; 1 at 0 (Rasmussen and Williams 2006, section 4.2)."""
    if kind == "exponential":
        return np.asarray(np.exp(-d))
    if kind == "wide":
        return 0.5 * (point_correlation("matern32", d) + point_correlation("matern32", 0.25 * d))
    root = np.sqrt(3.0 if kind == "matern32" else 5.0) * d
    square = 0.0 if kind == "matern32" else root**2 / 3
    return np.asarray((1 + root + square) * np.exp(-root))


@dataclass(frozen=True)
class Apart:
    """How far what lies at some places is from what lies at others: asked once, whatever the laws."""

    at: np.ndarray
    """float32 (n, m): entry of a table, with its fraction."""
    size: float
    """Side of a square spot, steps; of one as wide as the footprint where that is no square."""
    spots: int
    """How many of the two sides are spots, 0, 1 or 2; the others are points."""

    @classmethod
    def of(cls, P: np.ndarray, Q: np.ndarray, *, size: float, spots: int) -> Apart:
        """Places P (n, 2) and Q (m, 2), float32: centres, in steps of the scan."""
        at = np.empty((len(P), len(Q)), np.float32)
        _entries(P, np.ascontiguousarray(Q[:, 0]), np.ascontiguousarray(Q[:, 1]), _PER_ROOT, at)
        return cls(at, size, spots)

    def correlation(self, kind: str, reach: float) -> np.ndarray:
        """Mean correlation under the law `kind`, one of `KINDS`, of `reach` steps; float32 (n, m)."""
        out = np.empty_like(self.at)
        table, slope = _table(kind, float(reach), float(self.size), self.spots)
        _look_up(self.at.ravel(), table, slope, out.ravel())
        return out


@lru_cache(maxsize=256)
def _table(kind: str, reach: float, size: float, spots: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlation at distances ``(i / per_root) ** 2``, and what it changes by to the next, float32 (n,)."""
    d, out = np.square(np.arange(_ENTRIES) / float(_PER_ROOT)), np.empty(_ENTRIES, np.float32)
    near = d < _NEAR * size
    for part, nodes in ((near, _NODES), (~near, _NODES_FAR)):
        out[part] = _averaged(kind, reach, size, spots, d[part], nodes)
    return out, np.append(np.diff(out), np.float32(0.0))


def _averaged(kind: str, reach: float, size: float, spots: int, d: np.ndarray, n_node: int) -> np.ndarray:
    """Mean correlation at distances (n,) by Gauss and Legendre over the squares, and over directions."""
    nodes, weights = np.polynomial.legendre.leggauss(n_node)
    offset, weight = 0.5 * size * nodes, 0.5 * weights
    if spots == 0:
        offset, weight = np.zeros(1), np.ones(1)
    if spots == 2:  # the difference of two offsets along each axis
        apart = np.round(np.subtract.outer(offset, offset).ravel(), 9)
        offset, place = np.unique(apart, return_inverse=True)
        weight = np.bincount(place, weights=np.multiply.outer(weight, weight).ravel()).astype(np.float64)
    total = np.zeros(len(d))
    for angle in (np.arange(_DIRECTIONS) + 0.5) * (np.pi / 4) / _DIRECTIONS:
        y, x = d * np.sin(angle), d * np.cos(angle)
        for dy, wy in zip(offset, weight, strict=True):
            square = (y + dy)[:, None] ** 2 + (x[:, None] + offset) ** 2
            total += wy * (point_correlation(kind, np.sqrt(square) / reach) @ weight)
    return total / _DIRECTIONS


@njit(cache=True, nogil=True, fastmath=FAST)
def _entries(P, y, x, per_root, out):  # type: ignore[no-untyped-def]
    last = np.float32(_ENTRIES - 1)
    for i in range(P.shape[0]):
        row, y0, x0 = out[i], P[i, 0], P[i, 1]
        for j in range(row.size):
            dy, dx = y0 - y[j], x0 - x[j]
            row[j] = min(np.sqrt(np.sqrt(dy * dy + dx * dx)) * per_root, last)


@njit(cache=True, nogil=True, fastmath=FAST)
def _look_up(at, table, slope, out):  # type: ignore[no-untyped-def]
    for j in range(at.size):
        k = np.int32(at[j])
        i = np.uintp(np.uint32(k))  # an index that cannot be negative is fetched eight at a time
        out[j] = table[i] + (at[j] - np.float32(k)) * slope[i]
